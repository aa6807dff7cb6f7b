"""`python -m tools.publish.messages`: what the library can say to a reader and has no Vietnamese for.

The texts are read from the source, each with its fields: of `lowerbound.checks` and `lowerbound.symbolic`, of
`checkup`, of what the rest of the library refuses and prints, and the reasons of the steps of derivations, in
`lowerbound.proofs` and in the notebooks' cells.

Every text in these modules that has words in it is taken to be said, whether it is raised, printed, or put
into another text, except what by its place is none: docstrings, patterns, names of mistakes, options' help.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from lowerbound.language import read, say

from tools.publish import ROOT

TABLE = Path("lib", "lowerbound", "assets", "messages.vi.po")
FAMILIES = ("symbolic", "checks")
CHECKUP = ("adapters", "checkup_vae", "checkup_diffusion", "findings", "clinic")
REFUSING = (
    *("gaussian", "bound", "likelihood", "schedule", "entry", "precision", "nets", "dense", "guidance"),
    *("vae", "diffusion", "latent", "data", "checkpoint", "fit", "zoo", "train", "runtime"),
)
STEPS = {"step", "at_least", "at_most", "tends_to", "leading_order", "axiom"}  # calls that have a reason
WORD = re.compile(r"[A-Za-z]{2,}")
FIELD = re.compile(r"\{[a-z_]+\d*\}")
WRITTEN = ("printing.py", "normal_form.py")  # files that write formulas, and say nothing
OPTIONS = {"add", "add_argument", "_Parser"}  # of the command line: --help stays English
# Functions whose texts are patterns or names.
PATTERNS = {
    "compile", "match", "fullmatch", "search", "sub", "split", "findall", "partition", "symbols", "cast",
}  # fmt: skip

NOT_SAID = frozenset(
    # names of mistakes, keywords, patterns, pieces of formulas
    {
        "no width",
        "nothing moved",
        "encoder alone",
        "the book's",
        "turned round",
        "bound falls",
        "log p(x) rises",
        "too small",
        "index 0 left out",
        "wrong length",
        "not clean at 0",
        "not above 0",
        "not falling",
        "β kept",
        "2 · KL for ᾱ",
        "in bits",
        "bits for nats",
        "for an image",
        "a half too many",
        "√ᾱ for ᾱ",
        "ᾱ for √ᾱ",
        "1 − ᾱ for ᾱ",
        "half left out",
        "KL for ᾱ",
        "another end",
        "numpy",
        "math",
        "in what depends on ",
        "does not do ",
        "log {}",
        'Function("{node}")',
        "{first} or {second}",
        "log {name}",
        "exp({name})",
        "{first} and {second}",
        "CheckError: {self}",
        "not written",
        "writes into an argument",
        "{number}, seed={seed}",
        "<your function>",
        " in row {row}",
        "not a Derivation",
        "another start",
        "a jump",
        "unchecked",
        "a line",
        "the same",
        "as it was",
        "back again",
        "sqrt({base})",
        "is_{value}",
        "is_{name}",
        "tends_to(expr, symbol, target, ",
        "leading_order(expr, symbol, target, ",
        "is_{sign}",
        "StepError: {self}",
        "KL({args} || {args2})",
        "exp({args})",
        "norm2({args}, {args2})",
        "diff({expr}{counts})",
        "int(f, z) or int(f, u = 0..1)",
        "sum(f, i = 1..D)",
        "{rue}|varepsilon|vartheta|varphi|varsigma|varrho|varpi|varkappa|ell|hbar",
        "integer",
        "real",
        "Symbol(\"{name}\", {given})",
        "Symbol(\"{name}\")",
        "from {name}",
        " as {symbol} -> {value}",
        "(.+?) +(?:whole|integer)",
        "(.+?) +real",
        # names, code and settings, of checkup and of the command line
        "{name} with {name2}",
        "eps epsilon noise pred_noise pred_eps eps_pred noise_pred",
        "v velocity v_prediction pred_v v_pred",
        "x0 x_0 x_start start_x sample pred_x0 image data x",
        "x[:, None]",
        "x.view(-1, 1, {side}, {side})",
        "x.permute(0, 3, 1, 2)",
        "x.expand(-1, 3, -1, -1)",
        "x.mean(1, keepdim=True)",
        "recon recons reconx xrecon reconstruction reconstructions reconstructed "
        "reconstructedx xreconstructed xreconst xhat xrec rec output out decoded logits "
        "xlogits reconlogits prediction y yhat",
        "mu mean zmean zmu muz loc zloc means qmu qmean embedding meanz",
        "logvar logvarz logvariance zlogvar qlogvar zlogvariance logsigma2 logsigmasq "
        "logsigmasquared logcovariance lv",
        "z latent latents code codes zsample sampled sampledz",
        "std sigma stddev zstd zsigma scale zscale logstd logsigma logscale",
        "{name}.partial",
        "Ankle boot",
        "fashion-mnist-{split}.npz",
        "{split}: {images} images, SHA-256 {images2}",
        "{name}.float()",
        "x[None, None]",
        "x.expand(-1, {shape}, -1, -1)",
        "padding: 0 0.8em 0.2em 0; text-align: left; vertical-align: top",
        "{plain}; white-space: nowrap",
        "{plain}; overflow-wrap: anywhere",
        "<td style=\"{style}\">{text}</td>",
        "<th scope=\"col\" style=\"{plain}\">{text}</th>",
        "<tr>{row}</tr>",
        "style=\"caption-side: top; color: inherit; text-align: left\"",
        "<caption {style}>{headline}</caption>",
        "<table>{caption}<thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>",
        "mps",
        "cpu",
        "gpu",
        "short",
        "{name}.checkpoint",
        "not a checkout",
        "{parse} with changes",
        "no git here",
        "model name",
        "Fashion-MNIST, {train} training images",
        "{name}-samples",
        "{step}.png",
        "the preset's own unless given",
        "of the training",
        "nccl",
        "gloo",
        "python",
        "torchrun --nproc-per-node {local}",
        "{start} -m lowerbound.train {resume}",
        "{name}.json",
        "{name}.safetensors",
    }
)


def sources(root: Path = ROOT) -> list[Path]:
    """The files whose texts are said."""
    library = root / "lib" / "lowerbound"
    paths = (path for family in FAMILIES for path in (library / family).rglob("*.py"))
    modules = (library / f"{name}.py" for name in (*CHECKUP, *REFUSING))
    return sorted(path for path in (*paths, *modules) if path.name not in WRITTEN)


class _Reader(ast.NodeVisitor):
    """The texts of one file, with their lines."""

    def __init__(self) -> None:
        self.found: dict[str, int] = {}
        self.locals: dict[str, list[ast.expr]] = {}

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        outer, self.locals = self.locals, {}
        for part in ast.walk(node):
            if isinstance(part, ast.Assign) and isinstance(part.targets[0], ast.Name):
                self.locals.setdefault(part.targets[0].id, []).append(part.value)
        self._body(node)
        self.locals = outer

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._body(node)

    def visit_Module(self, node: ast.Module) -> None:
        self._body(node)

    def _body(self, node: ast.FunctionDef | ast.ClassDef | ast.Module) -> None:
        for part in node.body[1:] if ast.get_docstring(node) is not None else node.body:
            self.visit(part)

    def visit_Expr(self, node: ast.Expr) -> None:
        """A text that stands alone says what an attribute is, as a docstring does."""
        if not isinstance(node.value, ast.Constant):
            self.visit(node.value)

    def visit_Call(self, node: ast.Call) -> None:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        helped = any(keyword.arg in ("help", "description") for keyword in node.keywords)
        if name in PATTERNS or (name in OPTIONS and helped):
            return
        if name == "join" and isinstance(node.func, ast.Attribute) and _is_text(node.func.value):
            for between in self.forms(node.func.value):
                if WORD.search(between):
                    self._keep(f"{{first}}{between}{{second}}", node.lineno)
            self.visit(node.args[0])
            return
        if name == "Check":
            self._check(node)
            return
        self.generic_visit(node)

    def _check(self, node: ast.Call) -> None:
        """Names of mistakes are said to nobody; their sentences are."""
        for part in (*node.args, *(keyword.value for keyword in node.keywords)):
            if isinstance(part, ast.Dict):
                for value in part.values:
                    self.visit(value)
            else:
                self.visit(part)

    def visit_Constant(self, node: ast.Constant) -> None:
        self._text(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        self._text(node)
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                self.visit(part.value)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if isinstance(node.op, ast.Add) and _is_text(node):
            self._text(node)
            for part in ast.walk(node):
                if isinstance(part, ast.FormattedValue):
                    self.visit(part.value)
        else:
            self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_Dict(self, node: ast.Dict) -> None:
        """A key is said where its value is none that could be, as in `Slots`."""
        for key, value in zip(node.keys, node.values, strict=True):
            named = isinstance(value, ast.Tuple) and any(map(_is_text, value.elts))
            if key is not None and not _is_text(value) and not named:
                self.visit(key)
            self.visit(value)

    def visit_Tuple(self, node: ast.Tuple) -> None:
        """Of two texts the first is the name of a mistake, the second what is said of it."""
        named = len(node.elts) > 1 and all(map(_is_text, node.elts[:2])) and len(node.elts) < 4
        for part in node.elts[named:]:
            self.visit(part)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        for side in (node.body, node.orelse):  # words that are put into a text elsewhere
            if isinstance(side, ast.Constant) and isinstance(side.value, str) and side.value.isalpha():
                self._keep(side.value, node.lineno)
        self.generic_visit(node)

    def _text(self, node: ast.expr) -> None:
        for form in self.forms(node):
            words = FIELD.sub("", form)
            if WORD.search(words) and (words != form or " " in form.strip()) and "\\" not in form:
                self._keep(form, node.lineno)

    def _keep(self, form: str, line: int) -> None:
        self.found.setdefault(form, line)

    def forms(self, node: ast.expr) -> list[str]:
        """What an expression may say: its fields in braces, one text for each way through its conditions."""
        fields: dict[str, str] = {}
        return list(dict.fromkeys("".join(way) for way in product(*self._parts(node, fields))))

    def _parts(self, node: ast.expr, fields: dict[str, str]) -> Iterator[list[str]]:
        if isinstance(node, ast.Constant):
            yield [node.value if isinstance(node.value, str) else ""]
        elif isinstance(node, ast.JoinedStr):
            for part in node.values:
                yield from self._parts(part, fields)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and _is_text(node):
            yield from self._parts(node.left, fields)
            yield from self._parts(node.right, fields)
        elif isinstance(node, ast.IfExp) and (_is_text(node.body) or _is_text(node.orelse)):
            yield [
                "".join(way)
                for side in (node.body, node.orelse)
                for way in product(*self._parts(side, fields))
            ]
        elif isinstance(node, ast.FormattedValue):
            value = node.value
            if isinstance(value, ast.IfExp) and node.format_spec is None:
                yield from self._parts(value, fields)
            else:
                yield from self._parts(value, fields) if _is_text(value) else [self._field(value, fields)]
        else:
            yield self._field(node, fields)

    def _field(self, node: ast.expr, fields: dict[str, str]) -> list[str]:
        """A name in braces; or, of a local name that may be empty, what it may be."""
        if isinstance(node, ast.Name) and len(given := self.locals.get(node.id, [])) == 1:
            (value,) = given
            itself = any(isinstance(part, ast.Name) and part.id == node.id for part in ast.walk(value))
            if isinstance(value, ast.IfExp) and _is_text(value) and not itself:
                ways = ["".join(way) for way in product(*self._parts(value, fields))]
                if "" in ways:
                    return ways
        said = ast.unparse(node)
        if said not in fields:
            words = re.findall(r"[a-z_]{2,}", said.replace("self.", "")) or ["value"]
            word = words[-1].strip("_")
            same = sum(re.sub(r"\d+$", "", other) == word for other in fields.values())
            fields[said] = f"{word}{same + 1}" if same else word
        return [f"{{{fields[said]}}}"]


def _is_text(node: ast.expr) -> bool:
    """Whether an expression is seen to be a text."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str)
    if isinstance(node, ast.IfExp):
        return _is_text(node.body) or _is_text(node.orelse)
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Add) and (_is_text(node.left) or _is_text(node.right))
    return isinstance(node, ast.JoinedStr)


def said(text: str) -> dict[str, int]:
    """The texts of a source, with their lines."""
    reader = _Reader()
    reader.visit(ast.parse(text))
    return reader.found


def messages(root: Path = ROOT) -> dict[str, str]:
    """Everything that can be said, and where: "lib/lowerbound/checks/engine.py:120"."""
    return {form: place for form, place in texts(root).items() if form not in NOT_SAID}


def texts(root: Path = ROOT) -> dict[str, str]:
    """All texts of the files, and where they are."""
    found: dict[str, str] = {}
    for path in sources(root):
        for form, line in said(path.read_text(encoding="utf-8")).items():
            found.setdefault(form, f"{path.relative_to(root)}:{line}")
    return found


def reasons_in(text: str) -> dict[str, int]:
    """The reasons of the steps that a source derives, with their lines."""
    found: dict[str, int] = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in STEPS:
            for part in (*node.args, *(keyword.value for keyword in node.keywords)):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    found.setdefault(part.value, part.lineno)
    return found


def reasons(root: Path = ROOT) -> dict[str, str]:
    """The reasons of all proofs, and of what the notebooks derive, and where."""
    found: dict[str, str] = {}
    for path in sorted((root / "lib" / "lowerbound" / "proofs").rglob("*.py")):
        for reason, line in reasons_in(path.read_text(encoding="utf-8")).items():
            found.setdefault(reason, f"{path.relative_to(root)}:{line}")
    for path in sorted((root / "notebooks").rglob("*.ipynb")):
        for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
            if cell["cell_type"] == "code":
                rows = (re.sub(r"^(\s*)[%!].*", r"\1pass", row.rstrip("\n")) for row in cell["source"])
                for reason in reasons_in("\n".join(rows)):
                    found.setdefault(reason, f"{path.relative_to(root)}, cell {number}")
    return found


def unsaid(reason: str, known: dict[str, str]) -> bool:
    """Whether a reason has words, outside of its formulas, and neither an entry nor the form of one."""
    words = WORD.search(re.sub(r"\$[^$]*\$", "", reason))
    return bool(words) and reason not in known and say(reason, "vi") == reason


def missing(root: Path = ROOT) -> dict[str, str]:
    """What can be said and has no entry in the table, and where."""
    known = read((root / TABLE).read_text(encoding="utf-8"))
    found = {form: place for form, place in messages(root).items() if form not in known}
    return found | {reason: place for reason, place in reasons(root).items() if unsaid(reason, known)}


if __name__ == "__main__":
    for form, place in missing().items():
        print(f"{place}: {form!r}")
