"""Which symbols an expression binds, which are free in it, and what the engine can treat at all."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from functools import cache

import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.core.symbol import Str
from sympy.printing.latex import greek_letters_set

from .algebra import at_least_zero
from .notation import KL, Density, E, Family, Normal, RandomVariable, SquaredNorm, Unit

FUNCTIONS = (sp.exp, sp.log, sp.Abs, sp.sin, sp.cos, sp.tan, sp.sinh, sp.cosh, sp.tanh, sp.atan, sp.erf,
             sp.Max, sp.Min)  # fmt: skip
BINDERS = E | KL | sp.Integral | sp.Sum | sp.Product | SquaredNorm
TREATED = (
    *(sp.Add, sp.Mul, sp.Pow, sp.Symbol, sp.Rational, sp.Float, sp.Indexed, AppliedUndef, sp.Derivative),
    *(Density, Normal, *BINDERS.__args__, *FUNCTIONS),
)
CONSTANTS = frozenset([sp.pi, sp.E, sp.EulerGamma])


_GREEK = "|".join(sorted(greek_letters_set, key=len, reverse=True)) + (
    "|varepsilon|vartheta|varphi|varsigma|varrho|varpi|varkappa|ell|hbar"
)
_ACCENT = "bar|hat|tilde|vec|dot|ddot|mathbf|mathcal|mathsf|mathfrak|boldsymbol|widehat|widetilde|overline"
_LETTER = rf"\\(?:{_GREEK})(?![A-Za-z])"
_WORD = rf"(?:{_LETTER}|[^\W\d_]+\d*)"
_SUB = rf"(?:[\w'*<>:+\-, ]|{_LETTER}|\\(?:text|mathrm)\{{[\w -]*\}})*"
_NAME = re.compile(
    rf"(?:{_WORD}|\\(?:{_ACCENT})(?:\{{{_WORD}\}}|{_LETTER}))\d*'*(?:_(?:\{{{_SUB}\}}|{_SUB}))?"
)
_TAKEN = {"e", "pi", "oo", "I", "log", "ln", "exp", "sin", "cos", "tan", "sinh", "cosh", "tanh", "atan",
          "erf", "max", "min", "abs", "sqrt", "lim", "sum", "prod", "int", "KL"}  # fmt: skip


class UnsoundError(ValueError):
    """Something that the engine does not treat, in words for a student."""


def parts(expr) -> tuple[tuple, tuple, tuple]:
    """Of a binder: the symbols that it binds, the parts in which it binds them, and the other parts."""
    if isinstance(expr, E | KL):
        measure = expr.args[0]
        inside = (measure, *expr.args[1:]) if isinstance(measure, Density) else expr.args[1:]
        outside = measure.args[1:] if isinstance(measure, Normal) else ()
        return measure.variables, inside, outside
    limits = [expr.args[1]] if isinstance(expr, SquaredNorm) else list(expr.limits)
    return tuple(limit[0] for limit in limits), (expr.args[0],), tuple(b for k in limits for b in k[1:])


@cache
def free(expr) -> frozenset:
    """The symbols on which expr depends; bound ones are none of them. IndexedBases and functions count."""
    if isinstance(expr, sp.Symbol):
        return frozenset([expr])
    if isinstance(expr, Density):
        own = expr.parameter
        return frozenset([*expr.variables, *expr.given, *(free(own) if own is not None else ())])
    if isinstance(expr, BINDERS):
        bound, inside, outside = parts(expr)
        return frozenset().union(*map(free, inside)) - set(bound) | frozenset().union(*map(free, outside))
    if isinstance(expr, sp.Indexed):
        return frozenset([expr.base]).union(*map(free, expr.indices))
    return frozenset().union(*map(free, expr.args))


@cache
def symbols(expr) -> frozenset:
    """All symbols of an expression, bound ones too."""
    if isinstance(expr, sp.Symbol):
        return frozenset([expr])
    if isinstance(expr, Density):
        return free(expr)
    below = expr.indices if isinstance(expr, sp.Indexed) else expr.args
    return frozenset().union(*map(symbols, below))


def bound(expr) -> frozenset:
    """All symbols that some part of expr binds."""
    return frozenset(
        s for node in sp.preorder_traversal(expr) if isinstance(node, BINDERS) for s in parts(node)[0]
    )


def nodes(expr):
    """All subexpressions that are formulas: not what a density or an index range is made of."""
    yield expr
    if isinstance(expr, Density):
        return
    if isinstance(expr, BINDERS):
        _, inside, outside = parts(expr)
        below = (*inside, *(part for part in outside if not part.is_infinite))
    elif isinstance(expr, sp.Derivative):
        below = (expr.expr,)
    else:
        below = expr.indices if isinstance(expr, sp.Indexed) else expr.args
    for part in below:
        yield from nodes(part)


def names_alone(expr) -> bool:
    """Whether some name's subscript holds the index of a sum or product around it: x_t under a sum over t."""
    return any(
        subscripted(part, s)
        for node in nodes(expr)
        if isinstance(node, sp.Sum | sp.Product)
        for s in parts(node)[0]
        if not isinstance(s, RandomVariable)
        for part in parts(node)[1]
    )


def admit(expr, of: str = "a line", names_alone: bool = False) -> None:
    """Raises UnsoundError where expr holds what the engine does not treat.

    names_alone: x_t may stand under a sum over t, since nothing is derived from it.
    """
    if not isinstance(expr, sp.Basic):
        raise UnsoundError(f"{of} must be a formula; got {type(expr).__name__}.")
    if isinstance(expr, sp.core.relational.Relational) or expr in (sp.true, sp.false):
        raise UnsoundError(
            f"{of} is one side of an equation: write the new expression alone, without Eq, = or <. "
            "For an inequality call at_least() or at_most()."
        )
    admit_names(expr, of)
    for node in nodes(expr):
        _admit_node(node, of)
        if isinstance(node, BINDERS | sp.Derivative) and not names_alone:
            _admit_subscripts(node, of)


def subscripted(expr, index) -> str:
    """The first name in expr whose subscript holds the name of a symbol: x_t, x_{t-1} for t. "" if none."""
    holding = [n for n in sorted(_names(expr)) if index.name in re.findall("[A-Za-z]+", n.partition("_")[2])]
    return holding[0] if holding else ""


def _admit_subscripts(node, of: str) -> None:
    """Refuse x_t under a sum over t: to the engine it is one number, whatever t is."""
    if isinstance(node, sp.Derivative):
        pairs = [(v, node.expr) for v, _ in node.variable_count]
    else:
        variables, inside, _ = parts(node)
        pairs = [(v, part) for v in variables for part in inside]
    for symbol, part in pairs:
        if isinstance(symbol, RandomVariable):
            continue
        if name := subscripted(part, symbol):
            head = name.partition("_")[0]
            raise UnsoundError(
                f"{of} holds {name} where {symbol} changes, and a subscript is but a part of a name: "
                f"{name} is one number. Write an indexed letter, {head} = IndexedBase(...) and "
                f"{head}[{symbol}], or a function of {symbol}."
            )


def _admit_node(node, of: str) -> None:
    if not isinstance(node, TREATED) and node not in CONSTANTS:
        name = str(node) if node.is_Atom else type(node).__name__
        hint = " Numbers here are real." if node is sp.I or node in (sp.zoo, sp.nan) else ""
        if node in (sp.oo, -sp.oo):
            hint = " ∞ is the end of an integral, or the target of a limit."
        raise UnsoundError(f"{of} holds {name}, which the engine does not treat.{hint}")
    if isinstance(node, sp.Symbol):
        _admit_symbol(node, of)
    if isinstance(node, sp.Pow) and node.base.is_number and not node.exp.is_integer and node.base.is_negative:
        raise UnsoundError(f"{of} holds {node}, which is not a real number.")
    if isinstance(node, E | KL):
        for measure in node.args if isinstance(node, KL) else node.args[:1]:
            if isinstance(measure, Normal):
                _admit_line(measure.args[0], -sp.oo, sp.oo, of)
            if isinstance(measure, Normal) and measure.args[0] in free(measure.args[1]) | free(
                measure.args[2]
            ):
                raise UnsoundError(
                    f"{of} averages over {measure}, whose mean or variance holds the variable itself: "
                    "that is no density. Give the mean another letter."
                )
    elif isinstance(node, sp.Integral | sp.Sum | sp.Product):
        _admit_limits(node, of)
    elif isinstance(node, sp.Derivative):
        if not all(isinstance(v, sp.Symbol) and n.is_number and int(n) > 0 for v, n in node.variable_count):
            raise UnsoundError(f"{of}: a derivative is taken in a symbol, as in Derivative(f, a).")
        if any(v.is_integer for v, _ in node.variable_count):
            raise UnsoundError(f"{of}: a derivative in a whole number, {node.variables[0]}, does not exist.")


def _names(expr) -> set:
    """All names in an expression: of symbols, bound ones too, of functions, indexed letters and families."""
    names = {s.name for s in symbols(expr) if isinstance(s, sp.Symbol)}
    for node in sp.preorder_traversal(expr):
        if isinstance(node, AppliedUndef):
            names.add(node.func.__name__)
        elif isinstance(node, sp.IndexedBase):
            names.add(str(node.label))
        elif isinstance(node, Family):
            names |= {str(part) for part in node.args[:2]} - {""}
    return names


def admit_names(expr, of: str = "the line") -> None:
    """Raises UnsoundError where a name in expr, or one that it binds, would print like something else."""
    for name in sorted(_names(expr)):
        _admit_name(name, of)


def _admit_name(name: str, of: str) -> None:
    if not _NAME.fullmatch(name):
        raise UnsoundError(
            f"{of}: a name is a letter or a word, perhaps with a subscript, as in alpha_t or x_{{t-1}}; "
            f"got {name!r}, which would print like a formula."
        )
    if name in _TAKEN:
        raise UnsoundError(f"{of}: {name} is printed like a constant or a function; choose another name.")


def _admit_symbol(symbol, of: str) -> None:
    wrong = {k for k in ("real", "commutative", "finite") if symbol.assumptions0.get(k) is False}
    if wrong or symbol.is_infinite:
        raise UnsoundError(f"{of}: {symbol} is not a real number by its assumptions; numbers here are real.")


def _admit_limits(node, of: str) -> None:
    kind = type(node).__name__
    variables, _, ends = parts(node)
    if len(set(variables)) < len(variables):
        raise UnsoundError(f"{of}: {kind} over the same variable twice.")
    if all(len(limit) == 1 for limit in node.limits):
        if isinstance(node, sp.Product) or not all(isinstance(v, RandomVariable) for v in variables):
            raise UnsoundError(f"{of}: {kind} over {variables[0]} needs its ends, as in (z, a, b).")
        return
    if len(node.limits) > 1 or len(node.limits[0]) != 3:
        raise UnsoundError(f"{of}: write one {kind} with two ends inside the other, as in (i, 1, N).")
    if variables[0] in frozenset().union(*map(free, ends)):
        raise UnsoundError(f"{of}: the ends of {kind} hold its own variable {variables[0]}.")
    if not (isinstance(node, sp.Sum | sp.Integral) and over_values(node)):
        _admit_line(variables[0], *ends, of, whole=not isinstance(node, sp.Integral))
    infinite = [end for end in ends if end.is_infinite]
    if isinstance(node, sp.Sum | sp.Product):
        if isinstance(node, sp.Sum) and over_values(node):
            return
        if not variables[0].is_integer:
            raise UnsoundError(
                f"{of}: the index {variables[0]} of a {kind} must be a whole number: "
                f'Symbol("{variables[0]}", integer=True).'
            )
        if infinite:
            raise UnsoundError(
                f"{of}: an infinite {kind} is not treated; let the end tend to oo by tends_to()."
            )
        if not all(end.is_integer for end in ends):
            raise UnsoundError(
                f"{of}: the ends of a {kind} must be whole numbers; declare them integer=True."
            )


def _admit_line(variable, low, high, of: str, whole: bool = False) -> None:
    """Refuse a bound variable with assumptions that not all of its values obey: a positive one from −∞ on."""
    least = 1 if whole else 0
    said = {k for k, v in variable._assumptions_orig.items() if v is not None} - {"real", "commutative"}
    said -= {"finite", "extended_real", "complex", "hermitian"}
    holds = {
        "positive": lambda: _surely(low, least),
        "nonnegative": lambda: _surely(low, 0),
        "nonzero": lambda: _surely(low, least),
        "negative": lambda: _surely(-high, least),
        "nonpositive": lambda: _surely(-high, 0),
        "integer": lambda: whole,
    }
    wrong = [k for k in sorted(said) if k not in holds or not holds[k]()]
    if isinstance(variable, Unit) and not wrong:
        wrong = [] if _surely(1 - high, 0) else ["a number between 0 and 1"]
    if wrong:
        raise UnsoundError(
            f"{of}: {variable} is declared {wrong[0]}, and runs from {low} to {high}, where not all is so. "
            f"Declare it without: Symbol('{variable}', {'integer' if whole else 'real'}=True)."
        )


def _surely(end, least: int) -> bool:
    gap = end - least
    return bool(gap.is_extended_nonnegative) or (not end.is_infinite and at_least_zero(gap))


def unmerged(expr):
    """One sum in another as two nodes: sympy makes them one, with two ranges."""
    if not isinstance(expr, sp.Basic) or not expr.args or isinstance(expr, Density | sp.Indexed):
        return expr
    if not any(len(node.limits) > 1 and any(len(k) > 1 for k in node.limits)
               for node in expr.atoms(sp.Sum, sp.Product, sp.Integral)):  # fmt: skip
        return expr
    if isinstance(expr, sp.Sum | sp.Product | sp.Integral):
        inner = unmerged(expr.function)
        for limit in expr.limits:
            inner = made(type(expr), inner, limit)
        return inner
    with sp.evaluate(False):
        return expr.func(*map(unmerged, expr.args))


def over_values(node) -> bool:
    """Whether a sum or an integral is over all values of a random variable that stands in a density."""
    variable = node.limits[0][0]
    return isinstance(variable, RandomVariable) and (
        len(node.limits[0]) == 1 or any(variable in free(d) for d in node.function.atoms(Density))
    )


def one_range_each(known: dict, expr) -> None:
    """Raises UnsoundError where a variable has two sets of values; known: how each is summed so far."""
    ends = []
    for node in sp.preorder_traversal(expr):
        if not isinstance(node, sp.Sum | sp.Integral) or not over_values(node):
            continue
        for limit in node.limits:
            role, own = limit[0].role, ("over",)
            if isinstance(node, sp.Sum):
                low, high = limit[1:] if len(limit) == 3 else (sp.S.One, None)
                if low != 1 or not (high is None or isinstance(high, sp.Symbol)):
                    raise UnsoundError(
                        f"a sum over {limit[0]}, which stands in a density, is over all its values, as in "
                        f"Sum(f, ({limit[0]}, 1, K)) with one K; got ({', '.join(map(str, limit))})."
                    )
                own = ("sum", high)
                ends += [high] if high is not None else []
            other = known.setdefault(role, own)
            if other != own:
                raise UnsoundError(
                    f"{limit[0]} is summed over in two ways, or summed here and integrated there: a variable "
                    "has one set of values."
                )
    uses = [node for node in sp.preorder_traversal(expr) if node in ends]
    if len(uses) > len(ends):
        raise UnsoundError(
            f"{uses[0]} is the number of values of a variable; it cannot stand elsewhere in the line."
        )


def one_name_each(known: dict, expr, latex) -> None:
    """Raises UnsoundError where two different symbols or densities are printed alike; known: those so far."""
    new: dict = defaultdict(set)
    own = symbols(expr)
    _no_product(names_of := known.setdefault("", set()) | {latex(s) for s in own if isinstance(s, sp.Symbol)})
    known[""] = names_of
    for node in {*sp.preorder_traversal(expr), *own}:
        if (isinstance(node, sp.Symbol) and node in own) or isinstance(node, sp.Indexed | Density):
            new[latex(node)].add(node)
        elif isinstance(node, sp.IndexedBase):
            new[node.label.name + "[]"].add(node)
        elif isinstance(node, AppliedUndef):
            new[latex(sp.Symbol(node.func.__name__))].add(node.func)
            new[f"{node.func.__name__}[]"].add(Str("a function"))
        elif isinstance(node, Family):
            new[f"{node.args[0]}_{node.args[1]} family"].add(node)
            new[f"{node.args[0]}[]"].add(Str("a density"))
        elif node in CONSTANTS:
            new[latex(node)].add(node)
    for name, group in sorted(new.items()):
        group |= known.get(name, set())
        if len(group) > 1:
            word = name.removesuffix("[]").removesuffix(" family")
            kinds = " and ".join(sorted(_kind(node) for node in group))
            raise UnsoundError(
                f"two different things are both called {word}: {kinds}. Make it once, and use it everywhere."
            )
    for name, group in new.items():
        known[name] = group


def _no_product(names: set) -> None:
    """Raises UnsoundError where a name is printed like a product of others: ab beside a and b."""
    plain = {name for name in names if name.isalpha()} | {"d"}
    for name in sorted(plain):
        ends = {0}
        for end in range(1, len(name) + 1):
            if any(name[start:end] in plain and end - start < len(name) for start in ends):
                ends.add(end)
        if len(name) > 1 and (len(name) in ends or (len(name) == 2 and name[0] == "d")):
            raise UnsoundError(f"{name} is printed like a product or like dx; choose another name.")


def _kind(node) -> str:
    if isinstance(node, sp.Symbol) and type(node) is not sp.Symbol:
        return f'{type(node).__name__}("{node.name}")'
    if isinstance(node, sp.Symbol):
        given = ", ".join(f"{k}={v}" for k, v in sorted(node._assumptions_orig.items()) if k != "commutative")
        return f'Symbol("{node.name}"{", " + given if given else ""})'
    if isinstance(node, Family):
        return f"a family with fixed={[str(name) for name in node.args[2]]}"
    if isinstance(node, Density):
        fixed = [str(name) for name in node.family.args[2]]
        return f"a density of Family({node.family.args[0]}, {node.family.args[1]}, fixed={fixed})"
    if isinstance(node, sp.core.function.UndefinedFunction):
        return f'Function("{node}")'
    return str(node) if isinstance(node, Str | sp.Indexed) else f"{type(node).__name__} {node}"


def substitute(expr, values: dict):
    """Values put in for free symbols; bound ones are renamed first, so that nothing is captured."""
    values = {s: v for s, v in values.items() if s in free(expr)}
    if not values:
        return expr
    if isinstance(expr, sp.Symbol):
        return values[expr]
    if isinstance(expr, Density):
        new = [values.get(v, v) for v in (*expr.variables, *expr.given)]
        if not all(isinstance(v, RandomVariable) for v in new):
            raise UnsoundError(f"a formula cannot stand in the density {expr}.")
        n = len(expr.variables)
        family = expr.family.xreplace({k: v for k, v in values.items() if k == expr.family.parameter})
        return Density(family, sp.Tuple(*new[:n]), sp.Tuple(*new[n:]))
    if isinstance(expr, BINDERS):
        variables, _, _ = parts(expr)
        danger = frozenset().union(*map(free, values.values())) if values else frozenset()
        clash = [v for v in variables if v in danger]
        if clash:
            expr = rebind(expr, {v: fresh(v) for v in clash})
            variables, _, _ = parts(expr)
        inner = {s: v for s, v in values.items() if s not in variables}
        return _rebuild(expr, {}, lambda e: substitute(e, inner), lambda e: substitute(e, values))
    if isinstance(expr, sp.Derivative):
        touched = [v for v, _ in expr.variable_count if v in values]
        if any(not isinstance(values[v], sp.Symbol) for v in touched):
            raise UnsoundError(f"{expr} is differentiated in {touched[0]}, for which a formula was put in.")
        counts = [(values.get(v, v), n) for v, n in expr.variable_count]
        return sp.Derivative(substitute(expr.expr, values), *counts, evaluate=False)
    if isinstance(expr, sp.Indexed):
        return expr.base[tuple(substitute(i, values) for i in expr.indices)]
    return expr.func(*(substitute(a, values) for a in expr.args))


def rebind(expr, names: dict):
    """A binder with other names for what it binds."""
    return _rebuild(expr, names, lambda e: substitute(e, names), lambda e: e)


def _rebuild(expr, names: dict, inside, outside):
    """A binder anew, from what `inside` and `outside` make of its parts."""
    if isinstance(expr, E | KL):
        measures = expr.args if isinstance(expr, KL) else expr.args[:1]
        new = [_rebuilt_measure(m, names, inside, outside) for m in measures]
        return expr.func(*new) if isinstance(expr, KL) else E(new[0], inside(expr.args[1]))
    if isinstance(expr, SquaredNorm):
        index, *ends = expr.args[1]
        return SquaredNorm(inside(expr.args[0]), (names.get(index, index), *map(outside, ends)))
    limits = [sp.Tuple(names.get(k[0], k[0]), *map(outside, k[1:])) for k in expr.limits]
    return made(type(expr), inside(expr.function), *limits)


def _rebuilt_measure(measure, names: dict, inside, outside):
    if isinstance(measure, Normal):
        z, mean, variance = measure.args
        return Normal(names.get(z, z), outside(mean), outside(variance))
    return inside(measure)


def made(kind, *args):
    """A Sum, Product or Integral as it stands: their constructors put a factor 1 before what is summed."""
    node = sp.Expr.__new__(kind, *args)
    node.is_commutative = True
    return node


_NUMBERS = itertools.count(1)


def fresh(symbol):
    """A new symbol with the nature of this one, that stands nowhere yet."""
    return _alike(symbol, f"{symbol.name.split('#')[0]}#_{next(_NUMBERS)}")


def _alike(symbol, name: str):
    if isinstance(symbol, RandomVariable):
        return RandomVariable(name, like=symbol)
    return sp.Symbol(name, **{k: v for k, v in symbol._assumptions_orig.items() if v is not None})


def unmarked(expr):
    """With letters as a reader writes them: those that the engine has marked become z, or z_1 and z_2."""
    letters = expr.atoms(sp.Symbol)
    marked = sorted((s for s in letters if "#" in s.name), key=lambda s: s.name)
    taken = {s.name for s in letters if "#" not in s.name}
    names = {}
    for symbol in marked:
        base = symbol.name.split("#")[0]
        alone = sum(s.name.split("#")[0] == base for s in letters) == 1
        free_names = (f"{base}_{k}" for k in itertools.count(1))
        name = base if alone else next(n for n in free_names if n not in taken)
        taken.add(name)
        names[symbol] = _alike(symbol, name)
    return expr.xreplace(names)


def is_name(expr) -> bool:
    """Whether a definition or an assumption may be about expr."""
    if isinstance(expr, sp.Indexed):
        return all(
            sum(part.is_Symbol for part in sp.Add.make_args(i)) == (not i.is_Integer) for i in expr.indices
        )
    if isinstance(expr, AppliedUndef):
        return all(isinstance(a, sp.Symbol) for a in expr.args) and len(set(expr.args)) == len(expr.args)
    return isinstance(expr, sp.Symbol | Density)
