"""The table of planted errors: each is noticed by the tests beside it, a known mistake by its self-check too.

An error is planted in the functions of the library as they are loaded, whoever has imported them: they get
the code that the changed text compiles to.
"""

import importlib
import inspect
import sys
from pathlib import Path
from types import FunctionType

import pytest
import torch
from hypothesis import Phase, settings
from jaxtyping import TypeCheckError
from lowerbound import checks, samplers
from lowerbound.bound import Bound
from lowerbound.checks import CheckError
from lowerbound.diffusion import Noised, fixed_small
from lowerbound.gaussian import Gaussian
from lowerbound.likelihood import GaussianLikelihood
from lowerbound.schedule import Schedule

ROOT = Path(__file__).parents[2]
TESTS = {path.stem: path.parent for path in (ROOT / "tests").rglob("test_*.py")}
sys.path[:0] = [str(ROOT), *sorted({str(folder) for folder in TESTS.values()})]
from oracles import toy_diffusion  # noqa: E402

from tools.reproduce.fault_table import CATALOGUE, FAULTS, Fault  # noqa: E402

TESTED = [fault for fault in FAULTS if fault.tests]
PLANTS = {fault.name: fault for fault in CATALOGUE}
SETS = [(name, mistake) for name in PLANTS for mistake in getattr(checks, name).mistakes]
SPREAD = {("terminal_kl", "mean over the batch")}  # a Bound has a rate for each example, and spreads the mean
ONCE = settings(phases=[Phase.explicit, Phase.generate])  # an example that fails need not be made small
NOTICED = (AssertionError, pytest.fail.Exception)
FAILURES = (*NOTICED, TypeCheckError, RuntimeError, ValueError, TypeError)


def function(namespace: dict, scope: str) -> FunctionType:
    """The function that stands in a module under this name, without its decorators."""
    name, *rest = scope.split(".")
    value = namespace[name]
    for part in rest:
        value = vars(value)[part]
    return inspect.unwrap(getattr(value, "fget", value))


def plant(patch: pytest.MonkeyPatch, fault: Fault, **names: object) -> None:
    """Plant an error in the loaded module; `names` are what its text needs beside the module's."""
    root = Path("lib") if fault.path.parts[0] == "lib" else Path()
    module = importlib.import_module(".".join(fault.path.relative_to(root).with_suffix("").parts))
    changed = dict(vars(module))
    exec(compile(fault.edited((ROOT / fault.path).read_text(encoding="utf-8")), fault.path, "exec"), changed)
    for name, value in names.items():
        patch.setattr(module, name, value, raising=False)
    if not fault.scope:
        numbers = {name: value for name, value in changed.items() if isinstance(value, int | float)}
        for name, value in numbers.items():
            patch.setattr(module, name, value)
        return
    old, new = function(vars(module), fault.scope), function(changed, fault.scope)
    for part in ("__code__", "__defaults__", "__kwdefaults__"):
        patch.setattr(old, part, getattr(new, part))


def call(test: str, patch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Make a call such as "test_vae.test_bound(0)", its arguments read in the test's module."""
    file, _, rest = test.partition(".")
    module, name = importlib.import_module(file), rest.partition("(")[0]
    if hasattr(getattr(module, name), "hypothesis"):
        patch.setattr(getattr(module, name), "_hypothesis_internal_use_settings", ONCE)
    eval(rest, vars(module), {"tmp_path": tmp_path})


# The table


@pytest.mark.parametrize("fault", [*FAULTS, *CATALOGUE], ids=lambda fault: fault.name)
def test_an_error_has_its_place_and_its_tests(fault: Fault) -> None:
    compile(fault.edited((ROOT / fault.path).read_text(encoding="utf-8")), fault.path, "exec")
    assert fault.tests or fault.lab
    for test in fault.tests:
        file, _, rest = test.partition(".")
        assert file in TESTS, f"planted error {fault.name!r}: there is no {file}.py"
        name = rest.partition("(")[0]
        assert f"def {name}(" in (TESTS[file] / f"{file}.py").read_text(), f"{fault.name!r}: no {file}.{name}"


def test_there_are_errors_for_every_lab() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    labs = [fault.lab.partition(":")[0] for fault in FAULTS if fault.lab]
    assert len(labs) >= 20
    assert set(labs) == {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}


@pytest.mark.parametrize(
    ("scope", "old", "message"),
    [
        ("", "b = 1", r"'none': the file of .*x\.py has 'b = 1' 0 times.* once; renew its line"),
        ("", "a = 1", r"'none': the file of .*x\.py has 'a = 1' 2 times"),
        ("C.g", "a = 1", r"'none': C\.g of .*x\.py has 'a = 1' 0 times"),
        ("C.h", "a = 1", r"'none': .*x\.py has no C\.h; renew its line"),
    ],
)
def test_an_error_without_its_place_is_refused(scope: str, old: str, message: str) -> None:
    text = "a = 1\nclass C:\n    def f(self):\n        a = 1\n    def g(self):\n        pass\n"
    with pytest.raises(ValueError, match=message):
        Fault("none", "x.py", scope, old, "c = 1").edited(text)
    assert "        c = 1\n    def g" in Fault("some", "x.py", "C.f", "a = 1", "c = 1").edited(text)


# Errors of the library


@pytest.mark.parametrize("fault", TESTED, ids=lambda fault: fault.name)
def test_a_planted_error_is_noticed(fault, monkeypatch, tmp_path, record_property):
    record_property("mutation", "library")
    plant(monkeypatch, fault)
    for test in fault.tests:
        with pytest.raises(NOTICED):
            call(test, monkeypatch, tmp_path)


# The catalogue of the self-checks, planted in the library's own functions


def _model(alpha_bar):
    return toy_diffusion(torch.nn.Identity(), len(alpha_bar) - 1, 3, schedule=Schedule(alpha_bar))


def _ddim_step(xt, eps, t, alpha_bar):
    """One step for each row, from its own t, where the network says eps."""
    rows = []
    for i, k in enumerate(t.tolist()):
        chain = Schedule(alpha_bar[: k + 1])
        model = toy_diffusion(torch.nn.Identity(), k, xt.shape[1], fixed_small, schedule=chain)
        model.predict_eps = lambda x, t, y=None, e=eps[i : i + 1]: e
        walk = samplers.ddim(model, xt[i : i + 1])
        next(walk)
        rows.append(next(walk))
    return torch.cat(rows)


def _drawn(mean, logvar, noise):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "randn", lambda *shape, **options: noise)
        return Gaussian(mean, logvar).sample()


def _posterior(x0, xt, t, alpha_bar):
    q = _model(alpha_bar).q_posterior(x0, xt, t)
    return q.mean, q.logvar.exp()[:, 0]


def _squared_error(eps, eps_hat):
    return Noised(eps, torch.ones(len(eps), dtype=torch.int64), eps, eps, eps_hat).squared_error()


def _last_rate(x0, end):
    ends = Schedule(torch.tensor([1.0, end], dtype=torch.float64))
    model = toy_diffusion(torch.nn.Identity(), 1, x0.shape[1], schedule=ends)
    model.predict_eps = lambda x, t: x
    return model.bound(x0).rates[:, -1]


LIBRARY = {  # what a student writes, by calls of the library; an ancestral step has no such call
    "kl": lambda mean, logvar: Gaussian(mean, logvar).kl(),
    "reparameterise": _drawn,
    "log_likelihood": lambda x, x_hat, log_sigma: GaussianLikelihood(x_hat, log_sigma).log_prob(x),
    "q_sample": lambda x0, t, eps, alpha_bar: _model(alpha_bar).q_sample(x0, t, eps),
    "posterior": _posterior,
    "x0_from_eps": lambda xt, eps, t, alpha_bar: _model(alpha_bar).x0_from_eps(xt, t, eps),
    "l_simple": _squared_error,
    "terminal_kl": _last_rate,
    "ddim_step": _ddim_step,
    "bits_per_dim": lambda distortion, rates, dims: Bound(distortion, rates).bits_per_dim(dims),
}


@pytest.mark.parametrize("name", LIBRARY)
def test_the_library_passes_the_students_check(name):
    getattr(checks, name)(LIBRARY[name])


@pytest.mark.parametrize("name", PLANTS)
def test_with_the_right_function_planted_nothing_fails(monkeypatch, tmp_path, name):
    plant(monkeypatch, PLANTS[name], variant=getattr(checks, name).oracle)
    for test in PLANTS[name].tests:
        call(test, monkeypatch, tmp_path)
    if name in LIBRARY:
        getattr(checks, name)(LIBRARY[name])


@pytest.mark.parametrize(("name", "mistake"), SETS, ids=[f"{a}: {b}" for a, b in SETS])
def test_a_mistake_of_the_catalogue_is_noticed_and_named(
    monkeypatch, tmp_path, record_property, unshaped, name, mistake
):
    record_property("mutation", "library")
    plant(monkeypatch, PLANTS[name], variant=getattr(checks, name).mistakes[mistake].of)

    def noticed(test):
        try:
            call(test, monkeypatch, tmp_path)
        except FAILURES:
            return True
        return False

    assert any(noticed(test) for test in PLANTS[name].tests)
    if name in LIBRARY:
        with pytest.raises(CheckError) as caught:
            getattr(checks, name)(LIBRARY[name])
        assert caught.value.mistake in (mistake, "raises") or (name, mistake) in SPREAD
