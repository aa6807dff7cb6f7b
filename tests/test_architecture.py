"""Which module may import which: the five rules of the house, held against the imports themselves."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import lowerbound
import pytest

LIBRARY = Path(lowerbound.__file__).parent
REPOSITORY = Path(__file__).parents[1]
# The modules of the model and around it, in reading order: a file imports only what stands before it.
ORDER = (
    *("gaussian", "bound", "likelihood", "schedule", "coordinates", "entry", "precision", "nets", "dense"),
    *("guidance", "samplers", "vae", "diffusion", "latent", "data", "checkpoint", "classifier", "fit"),
    *("metrics", "estimate", "zoo", "language", "train", "runtime", "adapters"),
    *("findings", "checkup_vae", "checkup_diffusion", "clinic"),
)
MAY_IMPORT = {
    **{name: set(ORDER[:rank]) for rank, name in enumerate(ORDER)},
    "__init__": {"clinic"},
    "results": set(),
    "figures": set(),
    "language": set(),
    "symbolic": {"language"},
    "proofs": {"symbolic"},
    "checks": {"language", "symbolic", "proofs", "dense"},
}
PACKAGES = {
    "symbolic": {"sympy", "mpmath"},
    "proofs": {"sympy"},
    "results": set(),
    "language": set(),
    "figures": {"matplotlib", "cycler", "fontTools", "numpy", "IPython", "ipywidgets", "PIL"},
}
WITHOUT_TORCH = ("lowerbound", "lowerbound.proofs", "lowerbound.figures", "lowerbound.results")


def _sources(folder):
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def _module(path):
    return path.relative_to(LIBRARY).with_suffix("").parts[0]


@functools.cache
def _nodes(path):
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def _imports(nodes, package=()):
    """Absolute dotted names of everything that a source imports, inside functions too."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            origin = ".".join([*base, *([node.module] if node.module else [])])
            names |= {f"{origin}.{alias.name}" for alias in node.names}
    return names


def _imported(path):
    parents = path.relative_to(LIBRARY).parts[:-1] if path.is_relative_to(LIBRARY) else ()
    return _imports(_nodes(path), ("lowerbound", *parents))


def test_the_library_holds_these_modules_and_no_other():
    assert {_module(path) for path in _sources(LIBRARY)} == set(MAY_IMPORT)


def test_a_file_imports_only_what_stands_before_it():
    for path in _sources(LIBRARY):
        module = _module(path)
        own = {name.split(".")[1] for name in _imported(path) if name.startswith("lowerbound.")}
        assert own - {module} <= MAY_IMPORT[module], f"{path}: {own - {module} - MAY_IMPORT[module]}"


def test_the_families_import_no_package_but_theirs():
    for path in _sources(LIBRARY):
        if (allowed := PACKAGES.get(_module(path))) is not None:
            roots = {name.split(".")[0] for name in _imported(path)} - set(sys.stdlib_module_names)
            assert roots <= allowed | {"lowerbound"}, f"{path}: {roots - allowed}"


def test_only_tests_import_the_tools():
    for folder in ("lib", "book"):
        for path in _sources(REPOSITORY / folder):
            assert not {name for name in _imported(path) if name.split(".")[0] == "tools"}, path


@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_importing_it_does_not_load_torch(name):
    code = f"import {name}, sys; print(*sorted({{'torch', 'torchvision'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from ..symbolic import KL", {"lowerbound.symbolic.KL"}),
        ("from .registry import derivation", {"lowerbound.proofs.registry.derivation"}),
        ("from lowerbound import zoo as z", {"lowerbound.zoo"}),
        ("def f():\n    import lowerbound.vae", {"lowerbound.vae"}),
    ],
)
def test_the_reader_of_imports_sees_every_form(source, expected):
    assert _imports(ast.walk(ast.parse(source)), ("lowerbound", "proofs")) == expected


def test_no_seed_is_set_for_everyone():
    """`torch.manual_seed` inside the library would change the caller's random numbers."""
    for path in _sources(LIBRARY):
        forked = [
            range(node.lineno, node.end_lineno + 1)
            for node in _nodes(path)
            if isinstance(node, ast.With) and "fork_rng" in ast.unparse(node.items[0])
        ]
        for node in _nodes(path):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"torch.manual_seed", "torch.seed"}:
                assert any(node.lineno in lines for lines in forked), f"{path.name}:{node.lineno}"
