"""The built page of the library: everything public of the imported library is on it, and says its shapes."""

import importlib
import inspect
import re
import types
from pathlib import Path

import pytest
from sphinx.util.inventory import InventoryFile

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "book" / "api.md").read_text(encoding="utf-8")
SHAPE = re.compile(r"\[Tensor, |\((\w|T \+ 1)+,|\bany shape\b|\bshape of\b")


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
def entries():
    with (ROOT / "_build" / "html" / "objects.inv").open("rb") as file:
        inventory = InventoryFile.load(file, "", lambda base, path: path)
    return {name for kind in inventory.values() for name in kind}


@pytest.mark.parametrize("name", re.findall(r"^```\{library\} (\w+)$", PAGE, re.M))
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
