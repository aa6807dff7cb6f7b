"""Which module may import which: the table of CONTRIBUTING.md, held against the imports themselves."""

import ast
import subprocess
import sys
from pathlib import Path

import lowerbound
import pytest

ROOT = Path(lowerbound.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
MAX_LINES = 250

# Every module or sub-package, lowest first, and what it may import of the others.
TABLE: dict[str, set[str]] = {
    "__init__": set(),
    "noise": set(),
    "gaussian": {"noise"},
    "bound": set(),
    "likelihood": set(),
    "schedule": set(),
    "data": set(),
    "nets": set(),
    "dense": {"nets"},
    "objective": {"likelihood", "schedule"},
    "guidance": set(),
    "samplers": {"noise", "schedule"},
    "checkpoint": set(),
    "vae": {"bound", "gaussian", "likelihood", "noise"},
    "diffusion": {
        "bound",
        "gaussian",
        "guidance",
        "likelihood",
        "noise",
        "objective",
        "samplers",
        "schedule",
    },
    "augment": {"noise"},
    "recipe": set(),
    "parallel": {"noise"},
    "monitor": {"checkpoint", "samplers"},
    "fit": {"augment", "checkpoint", "data", "monitor", "parallel", "recipe"},
    "zoo": {"checkpoint", "diffusion", "nets", "objective", "schedule", "vae"},
    "estimate": {"bound", "diffusion", "noise", "schedule"},
    "metrics": {"data", "vae"},
    "presets": {"recipe", "zoo"},
    "train": {"checkpoint", "data", "fit", "metrics", "monitor", "parallel", "presets", "recipe", "zoo"},
    "runtime": {"presets", "train", "zoo"},
    "experiments": {
        "bound",
        "checkpoint",
        "data",
        "diffusion",
        "estimate",
        "fit",
        "gaussian",
        "metrics",
        "nets",
        "noise",
        "objective",
        "parallel",
        "recipe",
        "samplers",
        "schedule",
        "train",
        "vae",
        "zoo",
    },
    "symbolic": set(),
    "proofs": {"symbolic"},
    "checks": {"dense", "proofs", "symbolic"},
    "figures": set(),
}
WITHOUT_TORCH = ("__init__", "symbolic", "proofs", "figures")
SYMPY_ALONE = ("symbolic", "proofs")


def _module(path: Path) -> str:
    """The row of the table that a file belongs to."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[0]


def _imports(source: str, path: Path) -> set[str]:
    """Absolute dotted names of everything that a source file imports, inside functions too."""
    package = ["lowerbound", *path.relative_to(ROOT).parts[:-1]]
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{origin}.{alias.name}" for alias in node.names}
    return found


def _own(names: set[str]) -> set[str]:
    return {parts[1] for name in names if (parts := name.split("."))[0] == "lowerbound" and len(parts) > 1}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_imports_what_its_row_allows(path):
    row = _module(path)
    assert row in TABLE, f"{path.name} has no row in the table"
    own = _own(_imports(path.read_text(encoding="utf-8"), path)) - {row}
    assert own <= TABLE[row], f"{row} may not import {own - TABLE[row]}"


def test_the_table_has_no_row_too_many_and_points_one_way():
    assert set(TABLE) == {_module(path) for path in FILES}
    order = list(TABLE)
    for row, allowed in TABLE.items():
        assert all(order.index(name) < order.index(row) for name in allowed), row


def test_every_allowance_is_used():
    used: dict[str, set[str]] = {row: set() for row in TABLE}
    for path in FILES:
        used[_module(path)] |= _own(_imports(path.read_text(encoding="utf-8"), path)) - {_module(path)}
    assert used == TABLE


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_is_longer_than_one_sitting(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


def test_proofs_and_figures_never_name_torch():
    for path in FILES:
        roots = {name.split(".")[0] for name in _imports(path.read_text(encoding="utf-8"), path)}
        if _module(path) in WITHOUT_TORCH:
            assert not roots & {"torch", "torchvision", "torchmetrics", "safetensors"}, path
        if _module(path) in SYMPY_ALONE:
            assert roots <= {"sympy", "mpmath", "lowerbound", *sys.stdlib_module_names}, path


@pytest.mark.parametrize("name", ["lowerbound", "lowerbound.proofs", "lowerbound.figures"])
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
    assert _imports(source, ROOT / "proofs" / "vae.py") == expected


def test_no_seed_is_set_for_everyone():
    """`torch.manual_seed` inside the library would change the caller's random numbers."""
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        forked = [
            range(node.lineno, node.end_lineno + 1)
            for node in ast.walk(tree)
            if isinstance(node, ast.With) and "fork_rng" in ast.unparse(node.items[0])
        ]
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"torch.manual_seed", "torch.seed"}:
                assert any(node.lineno in lines for lines in forked), f"{path.name}:{node.lineno}"
