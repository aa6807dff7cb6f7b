"""A derivation as a sheet of plain lines, and the engine's answer to it, for a page in which lines change.

    densities p(x, z), q(z | x)               the letters of the densities, and their variables
    letters a, b; s > 0; 0 < r < 1; n whole   real numbers, and what is said of them
    given p(z) = N(z; 0, 1)                   an assumption
    where a > b                               for which values it holds; where t = 2..T
    use evidence_lower_bound                  a derivation of the book on which this one rests
    from elbo                                 all of this as it is in a derivation of the book
    goal log p(x)                             what the last line is to be, in any form that is as short

    log p(x)                                  the first line, then a relation, a line, and a reason behind #
    = E_{q(z | x)}[log(p(x))]                 # q integrates to one
    >= ...                                    # Jensen, because t - 1 - log(t) at t = p(x, z)/q(z | x)
    -> 0 as a -> oo                           # also ~ for leading order, := for a definition

`answer` takes such a text and says of each line whether it follows. Nothing in it is evaluated.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sympy as sp

from .derivation import Derivation
from .messages import StepError, coloured
from .notation import Density, Family, RandomVariable, Unit, as_written
from .plain import NAME, Names, PlainError, read, spelled, write
from .printing import latex
from .scope import admit_names, symbols

RELATION = re.compile(r"(:=|>=|<=|->|=|~)\s*")
METHODS = {
    "=": "step",
    ":=": "define",
    ">=": "at_least",
    "<=": "at_most",
    "->": "tends_to",
    "~": "leading_order",
}
WORDS = ("densities", "letters", "given", "where", "use", "from", "goal")
NO_REASON = "no reason given"
FREE = "sheet"  # the name of a derivation that is none of the book's
MOST = 60  # lines of a sheet
LETTERS = 20_000  # of a sheet
DEEP = "it is nested too deeply: write a smaller formula"
LONGER = 1.5  # times as many operations as the goal may the last line have


@dataclass
class Sheet:
    """A sheet that was read: what stands above its lines, and the lines as (row, relation, text, reason)."""

    names: Names = field(default_factory=Names)
    given: dict = field(default_factory=dict)
    where: list = field(default_factory=list)
    using: list[Derivation] = field(default_factory=list)
    origin: Derivation | None = None
    symbol: Any = None
    goal: Any = None
    lines: list[tuple[int, str, str, str]] = field(default_factory=list)


def written(derivation: Derivation) -> str:
    """The sheet of a derivation of the book: `from NAME`, then its lines."""
    rows = [f"from {derivation.name}", ""]
    for step in derivation.steps:
        relation = f"{step.relation} " if len(rows) > 2 else ""
        target = ""
        if step.point is not None:
            symbol, value = step.point
            target = f" as {write(symbol)} -> {write(value)}"
        reason = f"   # {step.reason}" if step.reason else ""
        rows.append(f"{relation}{write(step.expr)}{target}{reason}")
    return "\n".join(rows)


def _learn(known: Names, derivation: Derivation) -> None:
    for left, right in {**derivation.inherited, **derivation.given}.items():
        known.learn(left)
        known.learn(right)
    for step in derivation.steps:
        known.learn(step.expr)
        if step.point is not None:
            known.learn(step.point[0])
    for symbol in derivation.assumptions.ranges:
        known.add(symbol)
    if derivation.symbol is not None:
        known.learn(derivation.symbol)


def answer(text: str, library: Mapping[str, Callable[[], Derivation]]) -> dict[str, Any]:
    """What the engine says of a sheet, as plain values.

    library: the derivations of the book by name. Returns
    ok: whether every line follows. rows: of each line, its row in the text (from 1), LaTeX, arrow, reason and
    how it was checked ("" where it was not reached). failed: the row that does not follow or cannot be read.
    verdict: "", "unread" or that of the StepError. message: what is wrong. left_over: LaTeX of what is left
    over, or "". words: the names that can be typed. latex: the whole derivation, as far as it follows.
    goal: where the sheet has one, whether the last line that follows is it; else None.
    """
    said: dict[str, Any] = {
        "ok": False, "rows": [], "failed": None, "verdict": "", "message": "", "left_over": "", "words": [],
        "latex": "", "goal": None,
    }  # fmt: skip
    try:
        sheet = parse(text, library)
        said["words"] = sheet.names.words()
        _check(sheet, said)
    except _RowError as error:
        said |= {"failed": error.row, "verdict": "unread", "message": str(error)}
    return said


class _RowError(ValueError):
    def __init__(self, row: int, message: str) -> None:
        super().__init__(message)
        self.row = row


def parse(text: str, library: Mapping[str, Callable[[], Derivation]]) -> Sheet:
    """Read a sheet, not its lines. Raises a ValueError that knows its row."""
    sheet = Sheet()
    if len(text) > LETTERS:
        raise _RowError(1, f"a sheet has at most {LETTERS} letters; this one has {len(text)}")
    for row, line in enumerate(text.split("\n"), 1):
        line = spelled(line).strip()
        if not line or line.startswith("#"):
            continue
        word, _, rest = line.partition(" ")
        if not sheet.lines and word in WORDS:
            try:
                _header(sheet, word, rest.split("#")[0].strip(), library)
            except (PlainError, StepError, ValueError, TypeError) as error:
                raise _RowError(row, str(error)) from None
            except RecursionError:
                raise _RowError(row, DEEP) from None
            continue
        body, _, reason = line.partition("#")
        relation = RELATION.match(body) if sheet.lines else None
        if sheet.lines and relation is None:
            raise _RowError(row, "a line after the first begins with =, >=, <=, ->, ~ or :=")
        if len(sheet.lines) == MOST:
            raise _RowError(row, f"a sheet has at most {MOST} lines")
        start = relation.end() if relation else 0
        sheet.lines.append((row, relation[1] if relation else "", body[start:].strip(), reason.strip()))
    return sheet


def _header(sheet: Sheet, word: str, rest: str, library: Mapping[str, Callable[[], Derivation]]) -> None:
    known = sheet.names
    if word in ("from", "use"):
        for name in filter(None, re.split(r"[,\s]+", rest)):
            if name not in library:
                raise ValueError(
                    f"the book has no derivation {name!r}; there are {', '.join(sorted(library))}"
                )
            proof = library[name]()
            _learn(known, proof)
            if word == "use":
                sheet.using.append(proof)
                continue
            sheet.origin, sheet.symbol = proof, proof.symbol
            for lemma in proof.using:
                _learn(known, lemma)
            sheet.given |= proof.given
            ranges, conditions = proof.assumptions.ranges, proof.assumptions.conditions
            sheet.where += [(symbol, *ends) for symbol, ends in ranges.items()] + list(conditions)
            sheet.using += proof.using
    elif word == "densities":
        _densities(known, rest)
    elif word == "letters":
        _letters(known, rest)
    elif word == "given":
        left, equals, right = rest.partition("=")
        if not equals:
            raise ValueError("write an assumption as in: given p(z) = N(z; 0, 1)")
        sheet.given[read(left, known)] = read(right, known)
    elif word == "goal":
        sheet.goal = read(rest, known)
    elif word == "where":
        sheet.where.append(_condition(known, rest))


def _densities(known: Names, text: str) -> None:
    """`p(x, z), q_phi(z | x)`: families, and the random variables that stand in the brackets."""
    pieces = re.findall(r"([A-Za-z])(?:_([A-Za-z]+))?('*)\s*\(([^()]*)\)", text)
    if not pieces or re.sub(r"[A-Za-z](?:_[A-Za-z]+)?'*\s*\([^()]*\)|[,;\s]", "", text):
        raise ValueError("write densities as in: densities p(x, z), q(z | x)")
    for letter, parameter, primes, variables in pieces:
        family = Family(letter, parameter + primes)
        known.families.setdefault(letter + primes, family)
        for name in re.split(r"[,|]", variables):
            if not NAME.fullmatch(name.strip()):
                raise ValueError(f"{name.strip()!r} is no name of a variable")
            if name.strip() not in known.symbols:
                known.add(RandomVariable(name.strip()))


def _real(name: str) -> sp.Symbol:
    return sp.Symbol(name, real=True)


KINDS: tuple[tuple[str, Callable[[str], sp.Symbol]], ...] = (
    (r"0 *< *(.+?) *< *1", Unit),
    (r"(.+?) *> *0", lambda name: sp.Symbol(name, positive=True)),
    (r"(.+?) *>= *0", lambda name: sp.Symbol(name, nonnegative=True)),
    (r"(.+?) +(?:whole|integer)", lambda name: sp.Symbol(name, integer=True, positive=True)),
    (r"(.+?) +real", _real),
)


def _letters(known: Names, text: str) -> None:
    """`a, b; s > 0; 0 < r < 1; n whole`."""
    for piece in filter(None, (part.strip() for part in text.split(";"))):
        make: Callable[[str], sp.Symbol] = _real
        for pattern, kind in KINDS:
            if match := re.fullmatch(pattern, piece):
                piece, make = match[1], kind
                break
        for name in (part.strip() for part in piece.split(",")):
            if not NAME.fullmatch(name):
                raise ValueError(
                    f"{name!r} is no name of a letter; write letters a, b; s > 0; 0 < r < 1; n whole"
                )
            known.add(make(name))


def _condition(known: Names, text: str) -> Any:
    if match := re.fullmatch(r"(\S+)\s*=\s*(.+?)\.\.(.+)", text):
        return read(match[1], known), read(match[2], known), read(match[3], known)
    kinds = {">=": sp.Ge, "<=": sp.Le, ">": sp.Gt, "<": sp.Lt, "!=": sp.Ne}
    for sign, kind in kinds.items():
        left, found, right = text.partition(sign)
        if found:
            return kind(read(left, known), read(right, known))
    raise ValueError("write a condition as in: where a > b, or where t = 2..T")


def _check(sheet: Sheet, said: dict[str, Any]) -> None:
    """Read the lines, then check them one by one, as far as they follow."""
    if not sheet.lines:
        raise _RowError(1, "there is no line yet: write the first one, such as log p(x)")
    formulas, points = [], []
    for n, (row, relation, body, reason) in enumerate(sheet.lines):
        point = None
        try:
            if relation in ("->", "~") and not _axiom(sheet, n):
                body, found, target = body.rpartition(" as ")
                symbol, arrow, value = target.partition("->")
                if not found or not arrow:
                    raise PlainError(f"say where to: {relation} 0 as a -> oo")
                point = read(symbol, sheet.names), read(value, sheet.names)
            formulas.append(read(body, sheet.names))
            admit_names(formulas[-1])  # before it is printed: a name is no command of TeX
            printed = latex(formulas[-1])
        except (PlainError, TypeError, ValueError) as error:
            raise _RowError(row, str(error)) from None
        except RecursionError:
            raise _RowError(row, DEEP) from None
        points.append(point)
        said["rows"].append({"row": row, "latex": printed, "arrow": relation, "reason": reason, "how": ""})
    derivation = None
    for n, (row, relation, _, _) in enumerate(sheet.lines):
        try:
            with as_written():
                if derivation is None:
                    derivation = _begun(sheet, formulas[0])
                elif _axiom(sheet, n):
                    derivation.axiom(formulas[n], sheet.lines[n][3], relation)
                else:
                    options = _options(sheet, n, points[n])
                    words = options.pop("words")
                    getattr(derivation, METHODS[relation])(formulas[n], reason=words, **options)
        except StepError as error:
            left_over = error.residual
            said |= {"failed": row, "verdict": error.verdict, "message": coloured(str(error))}
            said["left_over"] = latex(left_over) if isinstance(left_over, sp.Basic) and left_over != 0 else ""
            break
        except (ValueError, TypeError) as error:
            said |= {"failed": row, "verdict": "unsound", "message": str(error)}
            break
        step = derivation.steps[-1]
        said["rows"][n] |= {"how": step.evidence or step.kind, "arrow": step.arrow if n else ""}
    else:
        said["ok"] = True
    if derivation is not None:
        said["latex"] = derivation.latex()
    if sheet.goal is not None:
        said["goal"] = bool(said["ok"] and _reached(derivation, sheet.goal))


def _reached(derivation: Derivation | None, goal: Any) -> bool:
    """Whether the last line is the goal: it equals it, speaks of nothing else, and is about as short."""
    assert derivation is not None  # there is one wherever all lines follow
    last = derivation.last
    if not _subjects(last) <= _subjects(goal) or sp.count_ops(last) > LONGER * sp.count_ops(goal) + 2:
        return False
    try:
        with as_written():
            copy.copy(derivation).step(goal, "the goal")
    except (StepError, ValueError):
        return False
    return True


def _subjects(formula: Any) -> set:
    return set(symbols(formula)) | formula.atoms(Density)


def _axiom(sheet: Sheet, number: int) -> bool:
    """Whether a line is one that the book itself does not check, as it stands there. No other can be one."""
    steps = sheet.origin.steps[number : number + 1] if sheet.origin else []
    _, relation, body, reason = sheet.lines[number]
    return any(
        (step.kind, step.relation, step.reason, write(step.expr)) == ("axiom", relation, reason, body)
        for step in steps
    )


def _begun(sheet: Sheet, first: Any) -> Derivation:
    origin = sheet.origin
    named = origin is not None and latex(first) == latex(origin.first)  # it is the name of that line alone
    return Derivation(
        origin.name if origin else FREE, first, origin.title if origin else "",
        symbol=sheet.symbol if named else None, given=sheet.given, where=sheet.where,
        using=sheet.using,
    )  # fmt: skip


def _options(sheet: Sheet, number: int, point: tuple | None) -> dict[str, Any]:
    """What a step is told beside its line: what an inequality rests on, and where a limit goes to."""
    _, relation, _, reason = sheet.lines[number]
    words, found, rest = reason.partition("because ")
    options: dict[str, Any] = {"words": words.strip(" ,;") or NO_REASON}
    if point is not None:
        return options | {"symbol": point[0], "target": point[1]}
    if found and relation in (">=", "<="):
        ground, _, places = rest.partition(" at ")
        known = sheet.names.copy()
        for letter, _ in (pair.partition("=")[::2] for pair in places.split(";") if pair.strip()):
            if letter.strip() not in known.symbols:
                known.add(sp.Symbol(letter.strip(), positive=True))
        at = {}
        for letter, value in (pair.partition("=")[::2] for pair in places.split(";") if pair.strip()):
            at[read(letter, known)] = read(value, known)
        return options | {"because": read(ground, known), "at": at}
    steps = sheet.origin.steps if sheet.origin else []
    for step in (*steps[number : number + 1], *steps):  # in the book's own place first
        if step.relation == relation and step.reason == reason:
            same = {key: value for key, value in step.replay.items() if key in ("because", "at")}
            return options | same | {"words": reason}
    return options
