"""The page of the library: which modules it has, and how docstrings and signatures are turned into it."""

import importlib
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "book" / "_ext"))
api, docstrings = importlib.import_module("api"), importlib.import_module("docstrings")

LIBRARY = api.library(ROOT)
ON_PAGE = re.findall(r"^```\{library\} (\w+)$", (ROOT / "book" / "api.md").read_text(encoding="utf-8"), re.M)


def test_every_module_has_its_place_on_the_page():
    modules = {path.stem for path in (ROOT / "lib" / "lowerbound").glob("*.py")}
    assert {*modules, "figures", "symbolic", "proofs", "checks"} - {"__init__"} == set(ON_PAGE)


def test_an_entry_names_the_equations_it_is_tested_against():
    assert api.tested_against("lowerbound.schedule.Schedule.posterior_variance", ROOT) == [
        "eq-reverse-posterior-variance"
    ]
    assert api.tested_against("lowerbound.zoo.load", ROOT) == []


# Docstrings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x_0 | x_t, p*, `a_b`.", [r"x\_0 \| x\_t, p\*, \ ``a_b``\ ."]),
        ("quote {lab}`STEM:key`", [r"quote {lab}\`STEM:key\`"]),
        ("Two.\n\nmean, std: (B, ...)\nk:   how many,\n     in all", [
            "Two.", "``mean``, ``std``", "   (B, ...)", "``k``", "   how many, in all"]),
        ("k: one; std: two. Raises ValueError if k: is.", [
            "``k``", "   one", "``std``", "   two.", "Raises ValueError if k: is."]),
        ("Ho 2020; std: Kingma 2014.", ["Ho 2020; std: Kingma 2014."]),
        ("Lines. mean: of x\nNo more.", ["Lines.", "``mean``", "   of x", "No more."]),
        ("k=1:  one\nk=2:  two", ["``k=1``", "   one", "``k=2``", "   two"]),
        ("Note: not an argument.", ["Note: not an argument."]),
        ("a. and so on", [r"\a. and so on"]),
        (">>> f(x_0)\n1", ["::", "   >>> f(x_0)", "   1"]),
        ("x = f(a_b)\ny = 2  # *", ["::", "   x = f(a_b)", "   y = 2  # *"]),
    ],
)  # fmt: skip
def test_a_docstring_becomes_restructured_text(text, expected):
    assert [line for line in docstrings.to_rst(text, LIBRARY, {"mean", "std", "k"}) if line] == expected


def test_names_become_links_where_the_page_has_them():
    ancestral, diffusion = LIBRARY["samplers.ancestral"], LIBRARY["diffusion.Diffusion"]
    link = r"\ :py:obj:`{} <lowerbound.{}>`\ ".format
    assert docstrings.inline("`ddim`", ancestral, set()) == link("ddim", "samplers.ddim")
    assert docstrings.inline("`ddim`", LIBRARY["samplers.ddim"], set()) == r"\ ``ddim``\ "  # itself
    assert docstrings.inline("`ddim`", ancestral, {"ddim"}) == r"\ ``ddim``\ "  # an argument
    assert docstrings.inline("`_times`", ancestral, set()) == r"\ ``_times``\ "
    assert docstrings.inline("`loss`", diffusion["bound"], set()) == link("loss", "diffusion.Diffusion.loss")
    assert docstrings.inline("`torch`", ancestral, set()) == r"\ ``torch``\ "  # not the library's


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gaussian.Gaussian", "(mean: Float[Tensor, 'B *dims'], logvar: Float[Tensor, '*#shape'])"),
        ("gaussian.Gaussian.kl",
         "(other: ~lowerbound.gaussian.Gaussian | None = None) -> Float[Tensor, 'B']"),
        ("schedule.linear",
         "(T: int = 1000, beta_1: float = 0.0001, beta_T: float = 0.02) -> ~lowerbound.schedule.Schedule"),
        ("data.Images", "(x: Tensor, y: Tensor)"),
        ("symbolic.notation.Unit", "(name: str)"),
        ("likelihood.Likelihood", ""),
    ],
)  # fmt: skip
def test_a_signature_stands_as_in_the_source(name, expected):
    assert api.signature(LIBRARY[name], "") == expected
