"""A derivation's formulas as JSON: lists of nodes, each naming its class from a closed list.

Nothing is evaluated from text. What a sandbox says of its own proof is not believed either: the lines that
come back are derived anew by the check, outside.
"""

from __future__ import annotations

from typing import Any

import sympy as sp
from lowerbound import symbolic
from lowerbound.symbolic.notation import Given
from sympy.core.function import AppliedUndef, UndefinedFunction
from sympy.core.symbol import Str

MAX_NODES = 20_000
MAX_DIGITS = 400

PLAIN = {
    cls.__name__: cls
    for cls in (
        sp.Abs, sp.Add, sp.Derivative, sp.Eq, sp.Ge, sp.Gt, sp.Heaviside, sp.Idx, sp.Indexed,
        sp.IndexedBase, sp.Integral,
        sp.KroneckerDelta, sp.Le, sp.Lt, sp.Max, sp.Min, sp.Mul, sp.Ne, sp.Piecewise, sp.Pow, sp.Product,
        sp.Sum, sp.Tuple, sp.ceiling, sp.cos, sp.erf, sp.exp, sp.floor, sp.gamma, sp.log, sp.sin, sp.tanh,
        symbolic.E, symbolic.KL, symbolic.Density, symbolic.Normal, symbolic.SquaredNorm, Given,
    )
}  # fmt: skip
CONSTANTS = {
    "pi": sp.pi, "e": sp.E, "oo": sp.oo, "-oo": -sp.oo, "I": sp.I, "true": sp.true, "false": sp.false,
    "Euler's": sp.EulerGamma,
}  # fmt: skip


def encode(derivation: Any) -> dict[str, Any]:
    """What a derivation says of itself, as JSON. Raises TypeError for a class that is not on the list."""
    return {
        "lines": [[_flatten(step.expr), str(step.relation), str(step.kind)] for step in derivation.steps],
        "given": [[_flatten(a), _flatten(b)] for a, b in derivation.given.items()],
        "lemmas": len(derivation.using),
        "conditions": len(derivation.where),
    }


def decode(data: dict[str, Any]) -> Any:
    """The lines again, as `checks.proved.Lines`, which nobody has checked yet. Raises ValueError."""
    from lowerbound.checks.proved import Lines

    exprs, relations, kinds = zip(*data["lines"], strict=True)
    given = {_build(a): _build(b) for a, b in data["given"]}
    words = tuple(map(str, relations)), tuple(map(str, kinds))
    return Lines(tuple(map(_build, exprs)), *words, given, int(data["lemmas"]), int(data["conditions"]))


def _flatten(root: Any) -> list[list[Any]]:
    """Nodes in an order in which each comes after those it is made of; the last is the root."""
    rows: list[list[Any]] = []
    numbers: dict[Any, int] = {}
    stack = [(sp.sympify(root), False)]
    while stack:
        node, ready = stack.pop()
        key = (type(node), node)
        if key in numbers:
            continue
        children = _children(node)
        if not ready and children:
            stack.append((node, True))
            stack += [(child, False) for child in children]
            continue
        if len(rows) >= MAX_NODES:
            raise TypeError(f"a formula with more than {MAX_NODES} terms cannot be graded")
        numbers[key] = len(rows)
        rows.append([*_label(node), [numbers[type(child), child] for child in children]])
    return rows


def _children(node: Any) -> tuple[Any, ...]:
    leaf = isinstance(node, sp.Symbol | Str | symbolic.Family | sp.Number) or node in CONSTANTS.values()
    return () if leaf else tuple(node.args)


def _label(node: Any) -> tuple[str, Any]:
    """The kind of a node, and what it holds beside its children."""
    for name, constant in CONSTANTS.items():
        if node is constant:
            return "constant", name
    if isinstance(node, sp.Rational):
        return "number", [str(node.p), str(node.q)]
    if isinstance(node, sp.Float):
        return "float", float(node)
    if isinstance(node, Str):
        return "text", node.name
    if isinstance(node, symbolic.Family):
        name, parameters, fixed = node.args
        own = _signs(parameters) if isinstance(parameters, sp.Symbol) else {}
        return "family", [name.name, parameters.name, own, [entry.name for entry in fixed]]
    if type(node) is symbolic.RandomVariable:
        return "variable", [node.name, node.role]
    if type(node) is symbolic.Unit:
        return "unit", node.name
    if type(node) is sp.Symbol:
        return "symbol", [node.name, _signs(node)]
    if isinstance(node, AppliedUndef):
        return "function", type(node).__name__
    if type(node) is PLAIN.get(type(node).__name__):
        return type(node).__name__, None
    if type(node).__name__ == "ExprCondPair":
        return "Tuple", None
    raise TypeError(f"{type(node).__name__} in a formula is not known to the grader")


def _signs(symbol: sp.Symbol) -> dict[str, bool]:
    """What is assumed of a symbol: {"positive": True}."""
    return {key: value for key, value in symbol._assumptions_orig.items() if value is not None}


def _build(rows: Any) -> Any:
    if not isinstance(rows, list) or not 0 < len(rows) <= MAX_NODES:
        raise ValueError("a formula is a list of nodes")
    made: list[Any] = []
    with symbolic.as_written():
        for number, (kind, held, children) in enumerate(rows):
            if any(not 0 <= child < number for child in children):
                raise ValueError("a node of a formula comes before what it is made of")
            made.append(_node(str(kind), held, [made[child] for child in children]))
    return made[-1]


def _node(kind: str, held: Any, args: list[Any]) -> Any:
    if kind == "constant":
        return CONSTANTS[held]
    if kind == "number":
        top, bottom = (str(part) for part in held)
        if max(len(top), len(bottom)) > MAX_DIGITS:
            raise ValueError(f"a number with more than {MAX_DIGITS} digits cannot be graded")
        return sp.Rational(int(top), int(bottom))
    if kind == "float":
        return sp.Float(float(held))
    if kind == "text":
        return Str(str(held))
    if kind == "family":
        name, parameters, own, fixed = held
        parameter = _symbol(str(parameters), own) if parameters else ""
        return symbolic.Family(str(name), parameter, [str(entry) for entry in fixed])
    if kind == "variable":
        name, role = map(str, held)
        return symbolic.RandomVariable(name, like=symbolic.RandomVariable(role) if role != name else None)
    if kind == "unit":
        return symbolic.Unit(str(held))
    if kind == "symbol":
        return _symbol(str(held[0]), held[1])
    if kind == "function":
        return UndefinedFunction(str(held))(*args)
    if kind == "Density":
        return _density(args)
    if kind in ("Sum", "Product", "Integral"):  # their constructors put a factor 1 before what is summed
        made = sp.Expr.__new__(PLAIN[kind], *args)
        made.is_commutative = args[0].is_commutative
        return made
    return PLAIN[kind](*args)


def _symbol(name: str, signs: Any) -> sp.Symbol:
    return sp.Symbol(name, **{str(key): bool(value) for key, value in signs.items()})


def _density(args: list[Any]) -> Any:
    family, left, right = args
    variables = [*left, *right]
    if not isinstance(family, symbolic.Family) or not all(
        isinstance(variable, symbolic.RandomVariable) for variable in variables
    ):
        raise ValueError("a density has a family and random variables")
    return symbolic.Density(family, left, right)
