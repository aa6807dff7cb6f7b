"""The page of the library: that nothing public is left out of it, and how docstrings are turned into it."""

import importlib
import inspect
import re
import subprocess
import sys
import types
from pathlib import Path

import lowerbound
import pytest
from sphinx.util.inventory import InventoryFile

ROOT = Path(__file__).parents[1]
EXTENSIONS = ROOT / "book" / "_ext"
sys.path.insert(0, str(EXTENSIONS))
api, docstrings = importlib.import_module("api"), importlib.import_module("docstrings")

PAGE = (ROOT / "book" / "api.md").read_text(encoding="utf-8")
ON_PAGE = re.findall(r"^\.\. automodule:: lowerbound\.(\w+)$", PAGE, re.M)
TABLE = re.findall(
    r"`(\w+)(?:\.py|/)`",
    (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("| module |")[2].partition("\n\n")[0],
)
SHAPE = re.compile(r"\[Tensor, |\((\w|T \+ 1)+,|\bany shape\b|\bshape of\b")
CONF = f"""
import sys
sys.path.insert(0, {str(EXTENSIONS)!r})
extensions = ["myst_parser", "api"]
html_theme = "basic"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
"""


def members(owner, listed=None):
    """The public functions, classes and properties that a module or class defines, by name."""
    for name, thing in vars(owner).items():
        thing = getattr(thing, "__func__", getattr(thing, "fget", thing))
        home = str(getattr(thing, "__module__", ""))
        made_here = home == owner.__name__ if listed is None else name in listed
        if inspect.isclass(owner):
            made_here = home.startswith("lowerbound")
        if not name.startswith("_") and made_here and (inspect.isfunction(thing) or inspect.isclass(thing)):
            yield name, thing


def public(module):
    """Everything public of a module, as (path, thing, docstrings that speak of it)."""
    package = module.__file__.endswith("__init__.py")
    listed = getattr(module, "__all__", ("derivations", "code")) if package else None
    for name, thing in members(module, listed):
        yield f"{module.__name__}.{name}", thing, [thing.__doc__]
        if inspect.isclass(thing):
            for key, member in members(thing):
                yield f"{module.__name__}.{name}.{key}", member, [member.__doc__, thing.__doc__]


def faults(module, entries):
    """What the page or a docstring lacks: an entry, a text, the shapes of its tensors."""
    found = []
    for path, thing, texts in public(module):
        signature = "" if inspect.isclass(thing) else str(inspect.signature(thing))
        if path not in entries:
            found.append(f"{path} is not on the page")
        if not texts[0]:
            found.append(f"{path} has no docstring")
        elif "Tensor" in signature and not SHAPE.search(" ".join([signature, *map(str, texts)])):
            found.append(f"{path} takes or gives a tensor, and no shape is named")
    return found


@pytest.fixture(scope="module")
def entries(tmp_path_factory):
    """The entries of the page, from a book that holds its modules alone, built without a warning."""
    root = tmp_path_factory.mktemp("api")
    blocks = re.findall(r"^```\{eval-rst\}\n.*?^```\n", PAGE, re.M | re.S)
    (root / "conf.py").write_text(CONF)
    (root / "_toc.yml").write_text("root: index\n")
    (root / "index.md").write_text("# The library\n\n" + "\n".join(blocks))
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-n", "-N", "-q", ".", "_out"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    with (root / "_out" / "objects.inv").open("rb") as file:
        inventory = InventoryFile.load(file, "", lambda base, path: path)
    return {name for kind in inventory.values() for name in kind}


def test_every_module_has_its_place_on_the_page():
    modules = {path.stem for path in Path(lowerbound.__file__).parent.iterdir() if path.suffix == ".py"}
    assert {*modules, "symbolic", "proofs", "checks"} - {"__init__"} == set(ON_PAGE)


def test_the_modules_stand_in_the_order_of_the_table():
    assert [name for name in ON_PAGE if name in TABLE] == [name for name in TABLE if name in ON_PAGE]
    assert len(TABLE) > 20


def test_an_entry_names_the_equations_it_is_tested_against():
    assert api.tested_against("lowerbound.schedule.Schedule.posterior_variance", ROOT) == [
        "eq-reverse-posterior-variance"
    ]
    assert api.tested_against("lowerbound.zoo.load", ROOT) == []


@pytest.mark.parametrize("name", ON_PAGE)
def test_everything_public_is_on_the_page_and_says_its_shapes(name, entries):
    assert faults(importlib.import_module(f"lowerbound.{name}"), entries) == []


def test_what_is_missing_is_found():
    module = types.ModuleType("lowerbound.planted")
    module.__file__ = "planted.py"
    source = (
        "class A:\n  'A class.'\n  @property\n  def p(self) -> 'Tensor': 'Shapeless.'\n  @classmethod\n"
        "  def c(cls): 'Made.'\n  def m(self, x: 'Float[Tensor, \"B\"]'): pass\n"
        "def f(x: 'Tensor'): '''(B,) nats.'''\ndef _private(): pass\n"
    )
    exec(source, vars(module))
    assert faults(module, {"lowerbound.planted.A", "lowerbound.planted.A.p", "lowerbound.planted.A.m"}) == [
        "lowerbound.planted.A.p takes or gives a tensor, and no shape is named",
        "lowerbound.planted.A.c is not on the page",
        "lowerbound.planted.A.m has no docstring",
        "lowerbound.planted.f is not on the page",
    ]


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
    assert [line for line in docstrings.to_rst(text, lowerbound, {"mean", "std", "k"}) if line] == expected


def test_names_become_links_where_the_page_has_them():
    samplers = importlib.import_module("lowerbound.samplers")
    diffusion = importlib.import_module("lowerbound.diffusion").Diffusion
    link = r"\ :py:obj:`{} <lowerbound.{}>`\ ".format
    assert docstrings.inline("`ddim`", samplers.ancestral, set()) == link("ddim", "samplers.ddim")
    assert docstrings.inline("`ddim`", samplers.ddim, set()) == r"\ ``ddim``\ "  # itself
    assert docstrings.inline("`ddim`", samplers.ancestral, {"ddim"}) == r"\ ``ddim``\ "  # an argument
    assert docstrings.inline("`_times`", samplers.ancestral, set()) == r"\ ``_times``\ "
    assert docstrings.inline("`loss`", diffusion.bound, set()) == link("loss", "diffusion.Diffusion.loss")
    assert docstrings.inline("`l_bound`", diffusion, set()) == r"\ ``l_bound``\ "
