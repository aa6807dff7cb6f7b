"""A second opinion by numbers: the value of a line in random models, and whether any of them contradicts it.

It shares nothing with the algebra: it reads the lines as they were written. A variable of a density takes two
values, cells whose widths may be small, so that densities exceed one; a family gets a random table in which
its parameter is a number like any other; symbols get numbers that obey all their assumptions, of both signs
and many sizes; integrals are done by quadrature. A point at which a line is no real number is no excuse: it
is reported.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterable, Iterator
from functools import cache, lru_cache

import sympy as sp
from sympy.core.function import AppliedUndef

from .assumptions import Assumptions
from .notation import KL, Density, E, Normal, RandomVariable, SquaredNorm, Unit
from .scope import free, over_values, symbols

LIVE = 5  # variables of a model that take two values; those beyond take one, others in each model
SHAKE = 1e-13  # by how much of itself a number is off while the error of a line is measured
SMALL, LEAST = 1e-300, 1e-290  # what a density is at least; below this a logarithm says nothing
_ENDS = {sp.oo: math.inf, -sp.oo: -math.inf}


class Undefined(ArithmeticError):  # noqa: N818
    """A line is no real number at this point."""


class NoNumber(ArithmeticError):  # noqa: N818
    """The numeric check cannot compute this."""


class TooSmall(ZeroDivisionError):  # noqa: N818
    """A logarithm of 0, or of a density that is too small for a number."""


class Infinite(NoNumber):
    """An integral or an average that quadrature does not find."""


class NoModel(ArithmeticError):  # noqa: N818
    """No numbers were found that obey all assumptions."""


class Cell(float):
    """The value of a random variable: a number, and which of its states it is."""

    state: int

    def __new__(cls, value: float, state: int):
        """A number that remembers its state."""
        cell = super().__new__(cls, value)
        cell.state = state
        return cell


class Model:
    """Random numbers for all that is free in some lines: `Model(lines, assumptions, seed).value(line)`.

    wild: sizes from 1/100 to 100 in place of moderate ones; corner: ends of the ranges.
    """

    def __init__(
        self, lines: Iterable, assumptions: Assumptions, seed: int, wild: bool = False, corner: bool = False
    ) -> None:
        self.rng = random.Random(
            seed // 2
        )  # an odd model mirrors the even one before it: other signs, other order
        self.mirrored = bool(seed % 2)
        self.assumptions, self.wild, self.corner, self.seed = assumptions, wild, corner, seed
        self.lines = list(lines)
        trees = [*self.lines, *assumptions.expressions()]
        self.numbers: dict = {}
        self.shaking: random.Random | None = None
        self.trace: dict | None = None
        self.cache: dict = {}
        self._tables: dict = {}
        self._marginals: dict = {}
        self._readers: dict = {}
        self._cells: dict = {}
        self._functions: dict = {}
        self._entries: dict = {}
        self._shapes: dict = {}
        self._variables(trees)
        self._draw(trees)

    def _variables(self, trees: list) -> None:
        roles, counted, self.members, _ = _content(tuple(trees))
        known = self.assumptions.densities
        self.smooth = {d.family for d, value in known.items() if isinstance(value, Normal)}
        self._smooth_keys = {_key(family)[:2] for family in self.smooth}
        self._gaussians: dict = {}
        self._others: dict = {}
        names = roles
        live = names if len(names) <= LIVE else self.rng.sample(names, LIVE)
        tight = self.rng.choice((0.08, 0.4, 1.0, 3.0))
        self.values, self.widths = {}, {}
        for name in names:
            n = 2 if name in live else 1
            self.values[name] = [Cell(_moderate(self.rng, signed=True), k) for k in range(n)]
            width = 1.0 if name in counted else tight * self.rng.uniform(0.5, 1.5)
            self.widths[name] = [
                width * self.rng.uniform(0.5, 1.5) ** (name not in counted) for _ in range(n)
            ]

    def _draw(self, trees: list) -> None:
        a = self.assumptions
        every = _content(tuple(trees))[3]
        named = {s for s in every if s in a.plain}
        loose = [s for s in every if s not in named]
        for _ in range(60):
            self.cache.clear()
            self._entries.clear()
            self.numbers = {}
            for s in loose:
                if isinstance(s, RandomVariable):
                    self.numbers[s] = (
                        self.rng.choice(self.values[s.role])
                        if s.role in self.values
                        else Cell(_moderate(self.rng, signed=True), 0)
                    )
                else:
                    self.numbers[s] = self._number(s)
            try:
                if all(obeys(s, self._symbol(s)) for s in named) and self._conditions():
                    return
            except (Undefined, NoNumber, OverflowError, ZeroDivisionError):
                continue
        raise NoModel

    def _number(self, s) -> float:
        ends = self.assumptions.ranges.get(s)
        for _ in range(60):
            value = self._from(ends) if ends else _drawn(s, self.rng, self.wild, self.corner)
            if value is not None and self.mirrored and not ends and not s.is_integer:
                value = _mirror(s, value)
            if value is not None and obeys(s, value):
                return value
        raise NoModel

    def _from(self, ends: tuple) -> float | None:
        try:
            low, high = (self._end(end) for end in ends)
        except (NoNumber, Undefined, KeyError):
            return float(self.rng.randrange(2, 6))
        low = high - 4 if low == -math.inf else low
        high = low + 4 if high == math.inf else high
        if high < low:
            return None
        return float(self.rng.randint(math.ceil(low), math.floor(high)))

    def _end(self, end) -> float:
        if end.is_infinite:
            return _ENDS[end]
        for s in free(end):
            if s not in self.numbers:
                self.numbers[s] = self._number(s)
        return self.value(end)

    def _conditions(self) -> bool:
        for condition in self.assumptions.conditions:
            left, right = self.value(condition.lhs), self.value(condition.rhs)
            holds = {sp.Gt: left > right, sp.Ge: left >= right, sp.Lt: left < right, sp.Le: left <= right}
            if not holds.get(type(condition), left != right):
                return False
        return all(self._in_range(s) for s in self.assumptions.ranges if s in self.numbers)

    def _in_range(self, s) -> bool:
        low, high = (self._end(end) for end in self.assumptions.ranges[s])
        return low <= self.numbers[s] <= high

    def value(self, expr, env: dict = {}) -> float:  # noqa: B006  (never changed)
        """The number that expr stands for. Raises Undefined, or NoNumber where it cannot be computed."""
        value = compiled(expr)(self, env)
        if value != value or value in (math.inf, -math.inf):
            raise OverflowError
        return value

    def spread(self, lines: Iterable) -> float:
        """How far the numbers of lines move when each operation is a bit off, and quadrature is coarser."""
        lines = list(lines)
        before, moved = [self.value(line) for line in lines], 0.0
        kept = dict(self.cache), dict(self._entries)
        for seed in range(2):
            self.shaking = random.Random(seed)
            self.cache.clear()
            try:
                after = [self.value(line) for line in lines]
            finally:
                self.shaking = None
                self.cache, self._entries = dict(kept[0]), dict(kept[1])
            moved = max(moved, math.fsum(abs(a - b) for a, b in zip(before, after, strict=True)))
        return moved

    def shaken(self, value: float) -> float:
        """A number as it is, or a bit off while `spread` is measured; small whole numbers are exact."""
        if self.shaking is None or (value.is_integer() and abs(value) < 1e6):
            return value
        return value * (1 + SHAKE * self.shaking.uniform(-1, 1))

    def points(self) -> dict:
        """The number of each symbol that is free in the lines."""
        wanted = frozenset().union(*map(free, self.lines))
        known = [s for s in wanted if isinstance(s, sp.Symbol)]
        return {s: self._symbol(s) for s in known if s in self.numbers or s in self.assumptions.plain}

    def allowed(self, also: Callable = lambda s, value: False) -> bool:
        """Whether the numbers, one of them moved perhaps, obey what is assumed; also: what passes, too."""
        named = {s: self._symbol(s) for s in self.assumptions.plain if isinstance(s, sp.Symbol)}
        return self._conditions() and all(obeys(s, v) or also(s, v) for s, v in named.items())

    def moved(self, symbol, number: float) -> Model:
        """Set one symbol to another number."""
        self.numbers[symbol] = number
        self.cache.clear()
        return self

    # What stands behind a name

    def _symbol(self, s) -> float:
        plain = self.assumptions.plain
        if not plain or s not in plain:
            return self.numbers[s]
        if s not in self.cache:
            self.cache[s] = self.value(plain[s])
        return self.cache[s]

    def element(self, base, indices: tuple, expr) -> float:
        """The number that B[i] stands for, the same each time."""
        entry = (base, indices)
        if entry in self._entries:
            return self._entries[entry]
        self._entries[entry] = value = self._element(base, indices, expr)
        return value

    def _element(self, base, indices: tuple, expr) -> float:
        a = self.assumptions
        loose = None
        for name, value, ranges, sure in [
            *((n, v, a.ranges, False) for n, v in a.given.items() if isinstance(n, sp.Indexed)),
            *(
                (k.name, k.value, k.ranges, True)
                for k in a.lemmas
                if isinstance(k.name, sp.Indexed) and not k.anywhere
            ),
        ]:
            if name.base != base or len(indices) != 1:
                continue
            index = name.indices[0]
            symbol = next(iter(free(index)), None)
            if symbol is None:
                if float(index) == indices[0]:
                    return self.value(value)
                continue
            offset = float(index - symbol)
            place = indices[0] - offset
            if symbol in ranges:
                low, high = (self._end(end) for end in ranges[symbol])
                if low <= place <= high:
                    loose = loose or (value, symbol, place)
            elif not sure:
                loose = loose or (value, symbol, place)
            if self.numbers.get(symbol) == place:  # what is said of this very index comes first
                return self.value(value, {symbol: place})
        if loose is not None:
            value, symbol, place = loose
            return self.value(value, {symbol: place})
        number = _moderate(self.rng, signed=not expr.is_nonnegative)
        return -abs(number) if expr.is_negative else number

    def function(self, f, arguments: list, expr) -> float:
        """The number that f(a, b) stands for: a random smooth function, or the assumed one."""
        name = self.assumptions.functions.get(f)
        if name is not None:
            return self.value(self.assumptions.plain[name], dict(zip(name.args, arguments, strict=True)))
        if f not in self._functions:
            draw = random.Random(f"{f.__name__}{self.seed}")
            self._functions[f] = [draw.uniform(0.4, 1.1) for _ in range(4 + len(arguments))]
        c = self._functions[f]
        at = sum(w * (1 + k) * a for k, (w, a) in enumerate(zip(c[4:], arguments, strict=True)))
        value = c[0] + c[1] * math.sin(at + c[2]) + c[3] * math.cos(0.6 * at)
        return math.exp(value) if expr.is_positive else abs(value) if expr.is_nonnegative else value

    # Densities

    def density(self, d, env: dict) -> float:
        """The value of a density at a place."""
        if d not in self._readers:
            self._readers[d] = self._reader(d)
        return self._readers[d](env)

    def _reader(self, d) -> Callable[[dict], float]:
        """What gives the value of a density at a place."""
        every, given, key = _parts(d)
        known = self._normals(d)
        if not known and key[:2] not in self._smooth_keys:
            above = self._marginal(d, every)
            if not given:
                return above
            below = self._marginal(d, tuple(pair for pair in every if pair[1] in given))
            return lambda env: above(env) / below(env)

        def read(env: dict) -> float:
            places = {role: env[v] if v in env else self._symbol(v) for v, role in every}
            if not known:
                return self._smooth(d, places, env)
            name, value = known[0]
            return compiled(value)(self, {v: places[role] for v, role in _parts(name)[0]})

        return read

    def _normals(self, d) -> list[tuple]:
        """The assumptions by which a density is a Gaussian."""
        if d not in self._gaussians:
            known = self.assumptions.densities.items()
            self._gaussians[d] = [(n, v) for n, v in known if isinstance(v, Normal) and _alike(n, d)]
        return self._gaussians[d]

    def _smooth(self, d, places: dict, env: dict) -> float:
        """A density of a family of which Gaussians are assumed: by the product and the sum rule."""
        if d.given:
            above = Density(d.family, sp.Tuple(*d.variables, *d.given), sp.Tuple())
            below = Density(d.family, sp.Tuple(*d.given), sp.Tuple())
            inner = {**env, **{v: places[v.role] for v in (*d.variables, *d.given)}}
            return self.density(above, inner) / self.density(below, inner)
        roles = [v.role for v in d.variables]
        for name, value in self.assumptions.densities.items():
            if _key(name.family) != _key(d.family) or not isinstance(value, Normal):
                continue
            if {v.role for v in (*name.variables, *name.given)} == set(roles):  # p(x, z) = p(x | z) p(z)
                rest = [v for v in d.variables if v.role in {g.role for g in name.given}]
                inner = {**env, **{v: places[v.role] for v in d.variables}}
                own = [v for v in d.variables if v not in rest]
                first = Density(d.family, sp.Tuple(*own), sp.Tuple(*rest))
                return self.density(first, inner) * (
                    self.density(Density(d.family, sp.Tuple(*rest), sp.Tuple()), inner) if rest else 1.0
                )
        for name, value in self.assumptions.densities.items():  # p(x) = ∫ p(x | z) p(z) dz
            if _key(name.family) == _key(d.family) and isinstance(value, Normal) and name.given:
                extra = [v for v in name.given if v.role not in roles]
                if {v.role for v in name.variables} == set(roles) and len(extra) == 1:
                    z = extra[0]
                    inner = {**env, **{v: places[v.role] for v in d.variables}}
                    both = Density(d.family, sp.Tuple(*d.variables, z), sp.Tuple())
                    return _over_line(
                        lambda u, both=both, inner=inner, z=z: self.density(both, {**inner, z: u}), self
                    )
        raise NoNumber(f"{d}, which follows from no Gaussian that is assumed")

    def gaussian(self, d, env: dict):
        """Mean and variance of a density of one variable that is assumed to be a Normal, or None."""
        for name, value in self._normals(d):
            inner = {v: compiled(next(u for u in d.given if u.role == v.role))(self, env) for v in name.given}
            return compiled(value.args[1])(self, inner), compiled(value.args[2])(self, inner)
        return None

    def _marginal(self, d, some: tuple) -> Callable[[dict], float]:
        """What gives the density of some of d's variables, pairs (symbol, role), by its family's table."""
        some = tuple(sorted(some, key=lambda pair: pair[1]))
        variables, names = [v for v, _ in some], tuple(role for _, role in some)
        key, parameter = _key(d.family), d.family.parameter
        sources, tables = self._sources(key), self._marginals.setdefault((key, names), {})

        def read(env: dict) -> float:
            try:
                states = tuple([(env[v] if v in env else self._symbol(v)).state for v in variables])
            except AttributeError:
                raise NoNumber(
                    f"{d} under a Gaussian average: assume what it is, given={{{d}: Normal(...)}}"
                ) from None
            told = parameter is not None and (parameter in env or parameter in self.numbers)
            at = (compiled(parameter)(self, env) if told else 0.0,)
            if sources:
                at += tuple(env[s] if s in env else self._symbol(s) for s in sources)
            if at not in tables:
                tables[at] = self._summed(d.family, names, at)
            return tables[at][states]

        return read

    def _summed(self, family, names: tuple, at: tuple) -> dict:
        """The joint density of some variables of a family, by their states."""
        members = self.members[_key(family)]
        sums = _sums(self._table(family, at), [members.index(name) for name in names])
        widths = [self.widths[name] for name in names]
        return {
            cell: mass / math.prod(width[k] for width, k in zip(widths, cell, strict=True))
            for cell, mass in sums.items()
        }

    def _sources(self, key) -> list:
        """The parameters of other families in what is assumed of a family: with them its table changes."""
        if key not in self._others:
            families, todo = set(), [key]
            while todo:
                one = todo.pop()
                facts = [v for n, v in self.assumptions.densities.items() if _key(n.family) == one]
                new = {d.family for v in facts for d in v.atoms(Density)} - families
                families |= new
                todo += map(_key, new)
            every = {family.parameter for family in families if _key(family) != key} - {None}
            self._others[key] = sorted(every, key=str)
        return self._others[key]

    def _table(self, family, at: tuple) -> dict:
        """Probabilities of the joint states of a family, at a value of its parameter, and of `_sources`."""
        key = _key(family)
        if (key, at) in self._tables:
            return self._tables[key, at]
        members = self.members[key]
        if key not in self._shapes:
            self._shapes[key] = self._shape(key)
        rise, wave = math.tanh(at[0] / 3) * 2, math.cos(at[0])
        shape = self._shapes[key].items()
        table = {cell: math.exp(base + slope * rise + bend * wave) for cell, (base, slope, bend) in shape}
        plain = {cell: math.exp(base) for cell, (base, _, _) in shape}
        fixed = [members.index(n) for n in key[2] if n in members]
        if fixed:  # the marginal of these has no parameter
            ours, theirs = _sums(table, fixed), _sums(plain, fixed)
            table = {c: m / ours[tuple(c[k] for k in fixed)] * theirs[tuple(c[k] for k in fixed)]
                     for c, m in table.items()}  # fmt: skip
        total = sum(table.values())
        table = {cell: mass / total for cell, mass in table.items()}
        self._tables[key, at] = table
        facts = [(n, v) for n, v in self.assumptions.densities.items()
                 if not isinstance(v, Normal) and _key(n.family) == key]  # fmt: skip
        if facts:
            self._tables[key, at] = self._obeying(family, facts, at)
        return self._tables[key, at]

    def _shape(self, key: tuple) -> dict:
        """Of each joint state of a family: the logarithm of its weight, and how a parameter changes it."""
        draw = random.Random(f"{key}{self.seed}")
        low = draw.choice((0.6, 1.2, 2.5))
        sizes = [range(len(self.values[name])) for name in self.members[key]]
        return {
            cell: (draw.uniform(-low, low), draw.uniform(-1, 1), draw.uniform(-0.3, 0.3))
            for cell in itertools.product(*sizes)
        }

    def _obeying(self, family, facts: list, at: tuple) -> dict:
        """The table with each density made what it is assumed to be, until all are. Raises NoModel."""
        key = _key(family)
        members = self.members[key]
        env = dict(zip((family.parameter, *self._sources(key)), at, strict=True))
        for _ in range(12):
            for name, value in facts:
                self._impose(key, members, name, value, at, env)
            if all(self._holds(members, name, value, env) for name, value in facts):
                return self._tables[key, at]
        raise NoModel

    def _impose(self, key, members, name, value, at, env) -> None:
        left = [members.index(v.role) for v in name.variables]
        right = [members.index(v.role) for v in name.given]
        extra = sorted({members.index(v.role) for d in value.atoms(Density) if _key(d.family) == key
                        for v in (*d.variables, *d.given)} - {*left, *right})  # fmt: skip
        table = self._tables[key, at]
        new = {}
        if extra and isinstance(value, Density):  # p(a | b) = p(a | b, c): c tells nothing more of a
            all_of, ab, cb, b = (_sums(table, group) for group in (
                [*left, *right, *extra], [*left, *right], [*extra, *right], right))  # fmt: skip
            for cell, mass in table.items():
                pick = lambda group: tuple(cell[k] for k in group)  # noqa: E731, B023
                target = ab[pick([*left, *right])] * cb[pick([*extra, *right])] / b[pick(right)]
                new[cell] = mass / all_of[pick([*left, *right, *extra])] * target
        else:
            joint, given = _sums(table, [*left, *right]), _sums(table, right)
            wanted: dict = {}
            for cell in table:
                pick = tuple(cell[k] for k in [*left, *right])
                if pick not in wanted:
                    inner = {v: self.values[v.role][cell[members.index(v.role)]]
                             for v in (*name.variables, *name.given)}  # fmt: skip
                    inner |= {v: self.values[v.role][cell[members.index(v.role)]]
                              for d in value.atoms(Density) for v in (*d.variables, *d.given)
                              if v.role in members}  # fmt: skip
                    width = math.prod(self.widths[members[k]][cell[k]] for k in left)
                    wanted[pick] = compiled(value)(self, {**env, **inner}) * width
            for cell, mass in table.items():
                pick = tuple(cell[k] for k in [*left, *right])
                new[cell] = mass / joint[pick] * wanted[pick] * given[tuple(cell[k] for k in right)]
        total = sum(new.values())
        self._forget()
        self._tables[key, at] = {cell: mass / total for cell, mass in new.items()}

    def _forget(self) -> None:
        for tables in self._marginals.values():
            tables.clear()

    def _holds(self, members, name, value, env) -> bool:
        roles = sorted({v.role for d in [name, *value.atoms(Density)] for v in (*d.variables, *d.given)})
        variables = {v.role: v for d in [name, *value.atoms(Density)] for v in (*d.variables, *d.given)}
        for cell in itertools.product(*(self.values[r] for r in roles)):
            inner = {**env, **{variables[r]: c for r, c in zip(roles, cell, strict=True)}}
            a, b = compiled(name)(self, inner), compiled(value)(self, inner)
            if abs(a - b) > 1e-9 * (abs(a) + abs(b)):
                return False
        return True

    def states(self, variables: tuple, env: dict) -> Iterator[tuple[dict, float]]:
        """All joint values of some variables, each with the size of its cell."""
        if variables not in self._cells:
            every = itertools.product(*(self._states(v) for v in variables))
            self._cells[variables] = [
                (dict(zip(variables, (c for c, _ in cell), strict=True)), math.prod(w for _, w in cell))
                for cell in every
            ]
        return ((env | cell, size) for cell, size in self._cells[variables])

    def _states(self, v) -> list:
        if v.role not in self.values:
            raise NoNumber(f"{v} is averaged over, and stands in no density")
        return list(zip(self.values[v.role], self.widths[v.role], strict=True))


# A line as a function of (model, env), made once


@cache
def compiled(expr) -> Callable:
    """What computes expr: a function of a model and of the values of the symbols bound around it."""
    kind = next((k for k in _KINDS if isinstance(expr, k)), None)
    if kind is None:
        raise NoNumber(f"{type(expr).__name__} has no number here")
    return _KINDS[kind](expr)


def _number(expr):
    value = float(expr)
    return lambda m, env: value


@cache
def _one(s):
    """One object for all copies of a symbol, which a dictionary finds without comparing names."""
    return s


def _symbol(s):
    s = _one(s)
    return lambda m, env: env[s] if s in env else m._symbol(s)


def _add(expr):
    terms = [compiled(a) for a in expr.args]

    def total(m, env):
        values = [term(m, env) for term in terms]
        return math.fsum(values if m.shaking is None else map(m.shaken, values))

    return total


def _mul(expr):
    factors = [compiled(a) for a in expr.args]
    return lambda m, env: math.prod([f(m, env) for f in factors])


def _pow(expr):
    base, exponent = compiled(expr.base), compiled(expr.exp)
    whole = int(expr.exp) if expr.exp.is_Integer else None

    def power(m, env):
        b = base(m, env)
        if m.shaking is not None:
            b = m.shaken(b)
        if whole is not None:
            if b == 0 and whole < 0:
                raise ZeroDivisionError
            return b**whole
        e = exponent(m, env)
        if b < 0 and e != int(e):
            raise Undefined(f"{expr}")
        if b == 0 and e < 0:
            raise ZeroDivisionError
        return b ** (int(e) if e == int(e) and abs(e) < 1000 else e)

    return power


def _log(expr):
    inside = compiled(expr.args[0])

    def logarithm(m, env):
        value = inside(m, env)
        if m.shaking is not None:
            value = m.shaken(value)
        if 0 <= value < LEAST:
            raise TooSmall
        if value < 0:
            raise Undefined(f"{expr}")
        return math.log(value)

    return logarithm


def _plain(f):
    def build(expr):
        inside = [compiled(a) for a in expr.args]
        return lambda m, env: f(*(m.shaken(a(m, env)) for a in inside))

    return build


def _indexed(expr):
    indices = [compiled(i) for i in expr.indices]
    return lambda m, env: m.element(expr.base, tuple(i(m, env) for i in indices), expr)


def _function(expr):
    arguments = [compiled(a) for a in expr.args]
    return lambda m, env: m.function(expr.func, [a(m, env) for a in arguments], expr)


def _density(d):
    d = _one(d)
    return lambda m, env: m.density(d, env)


def _normal(expr):
    logarithm = _log_normal(expr)
    return lambda m, env: max(math.exp(logarithm(m, env)), SMALL)


def _log_normal(expr):
    """By the formula of a Gaussian, written here anew: not the algebra's."""
    x, mean, variance = (compiled(a) for a in expr.args)

    def logarithm(m, env):
        v = variance(m, env)
        if v <= 0:
            raise Undefined(f"a variance is not positive in {expr}")
        return -0.5 * (x(m, env) - mean(m, env)) ** 2 / v - 0.5 * math.log(2 * math.pi * v)

    return logarithm


def _log_of(d):
    """The logarithm of a density, or of a product or quotient of densities: without an underflow."""
    factors = sp.Mul.make_args(d) if d.is_Mul else (d,)
    parts = []
    for f in factors:
        base, exponent = (f.base, f.exp) if isinstance(f, sp.Pow) else (f, sp.S.One)
        if not exponent.is_number:
            return None
        inside = (
            _log_normal(base)
            if isinstance(base, Normal)
            else _log_of(base)
            if base.is_Mul
            else _log(sp.log(base, evaluate=False))
        )
        parts.append((float(exponent), inside))
    return lambda m, env: math.fsum(k * f(m, env) for k, f in parts)


def _logarithm(expr):
    inside = expr.args[0]
    if inside.has(Normal) and (inside.is_Mul or inside.is_Pow or isinstance(inside, Normal)):
        positive = all(isinstance(f.as_base_exp()[0], Normal | Density) or f.is_positive
                       for f in sp.Mul.make_args(inside))  # fmt: skip
        if positive and (build := _log_of(inside)) is not None:
            return build
    return _log(expr)


def _expectation(expr):
    measure, f = expr.args[0], compiled(expr.args[1])
    if isinstance(measure, Normal):
        z = _one(measure.args[0])
        mean, variance = compiled(measure.args[1]), compiled(measure.args[2])

        def over_normal(m, env):
            centre, spread = mean(m, env), variance(m, env)
            return _gauss(lambda u: f(m, {**env, z: u}), centre, spread, m)

        return over_normal
    weight, variables = compiled(measure), tuple(map(_one, measure.variables))

    def over_states(m, env):
        if m.smooth and len(variables) == 1 and (known := m.gaussian(measure, env)) is not None:
            return _gauss(lambda u: f(m, {**env, variables[0]: u}), *known, m)
        if any(_key(measure.family) == _key(d) for d in m.smooth):
            return _nested(m, measure, f, weight, env)
        return math.fsum([size * weight(m, e) * f(m, e) for e, size in m.states(variables, env)])

    return over_states


def _nested(m, measure, f, weight, env):
    """E over a density of several variables, or of one that follows from Gaussians, by quadrature."""
    z, *rest = measure.variables
    if rest:
        raise NoNumber(f"an average over {measure} by quadrature")
    return _over_line(lambda u: weight(m, {**env, z: u}) * f(m, {**env, z: u}), m)


def _unfolded(expr):
    return compiled(expr.unfold())


def _integral(expr):
    f = compiled(expr.function)
    if len(expr.limits[0]) == 1:
        variables = tuple(_one(k[0]) for k in expr.limits)

        def over_states(m, env):
            near = [d for d in expr.function.atoms(Density) if free(d) & set(variables)]
            if any(_key(d.family) == _key(s) for d in near for s in m.smooth):
                if len(variables) > 1:
                    raise NoNumber("a double integral by quadrature")
                return _over_line(lambda u: f(m, {**env, variables[0]: u}), m)
            return math.fsum(size * f(m, e) for e, size in m.states(variables, env))

        return over_states
    z, low, high = map(_one, expr.limits[0])
    tabled = isinstance(z, RandomVariable) and any(z in free(d) for d in expr.function.atoms(Density))

    def over_line(m, env):
        if tabled and (low, high) == (-sp.oo, sp.oo):
            near = [d for d in expr.function.atoms(Density) if z in free(d)]
            if not any(_key(d.family) == _key(s) for d in near for s in m.smooth):
                return math.fsum(size * f(m, e) for e, size in m.states((z,), env))
        ends = [_ENDS[e] if e in _ENDS else compiled(e)(m, env) for e in (low, high)]
        return _quadrature(lambda u: f(m, {**env, z: u}), *ends, m)

    return over_line


def _sum(expr):
    f = compiled(expr.function)
    if isinstance(expr, sp.Sum) and over_values(expr):
        variables = tuple(_one(k[0]) for k in expr.limits)
        return lambda m, env: math.fsum(f(m, e) for e, _ in m.states(variables, env))
    index, low, high = map(_one, expr.limits[0])
    first, last = compiled(low), compiled(high)
    total = math.fsum if isinstance(expr, sp.Sum) else math.prod

    def over_index(m, env):
        a, b = round(first(m, env)), round(last(m, env))
        if b - a > 20_000:
            raise NoNumber("a long sum")
        return total(f(m, {**env, index: float(k)}) for k in range(a, b + 1))

    return over_index


def _derivative(expr):
    f = compiled(expr.expr)
    order = [_one(v) for v, n in expr.variable_count for _ in range(int(n))]

    def slope(m, env, left):
        if not left:
            return f(m, env)
        v, rest = left[0], left[1:]
        centre = env[v] if v in env else m._symbol(v)

        def at(u):
            if v in env:
                return slope(m, {**env, v: u}, rest)
            before, kept = m.numbers[v], m.cache
            m.numbers[v], m.cache = u, {}
            try:
                return slope(m, env, rest)
            finally:
                m.numbers[v], m.cache = before, kept

        size = max(0.02, min(abs(centre), 1.0))
        h = 2e-3 if len(left) == 1 else 10 ** (-4 + len(left))
        value, error = _difference_quotient(at, centre, h * size)
        return value if m.shaking is None else value + error * m.shaking.choice((-1, 1))

    return lambda m, env: slope(m, env, order)


def _difference_quotient(f: Callable, centre: float, h: float) -> tuple[float, float]:
    """The slope of f at a place, and how far it may be off: ever smaller steps, until two agree."""
    best, error, before = math.nan, math.inf, math.nan
    for _ in range(4):
        near, far = f(centre + h) - f(centre - h), f(centre + 2 * h) - f(centre - 2 * h)
        value = (8 * near - far) / (12 * h)
        apart = max(abs(value - before), 1e-14 / h)
        if apart < error:
            best, error = value, apart
        if error <= 1e-8 * (1 + abs(value)):
            break
        before, h = value, h / 5
    if not error <= 1e-3 * (1 + abs(best)):
        raise NoNumber("a slope that ever smaller steps do not find")
    return best, error


_KINDS = {
    sp.Number: _number,
    sp.NumberSymbol: _number,
    sp.Symbol: _symbol,
    sp.Add: _add,
    sp.Mul: _mul,
    sp.Pow: _pow,
    sp.exp: _plain(math.exp),
    sp.log: _logarithm,
    sp.Abs: _plain(abs),
    sp.sin: _plain(math.sin),
    sp.cos: _plain(math.cos),
    sp.tan: _plain(math.tan),
    sp.sinh: _plain(math.sinh),
    sp.cosh: _plain(math.cosh),
    sp.tanh: _plain(math.tanh),
    sp.atan: _plain(math.atan),
    sp.erf: _plain(math.erf),
    sp.Max: _plain(max),
    sp.Min: _plain(min),
    sp.Indexed: _indexed,
    AppliedUndef: _function,
    Density: _density,
    Normal: _normal,
    E: _expectation,
    KL: _unfolded,
    SquaredNorm: _unfolded,
    sp.Integral: _integral,
    sp.Sum: _sum,
    sp.Product: _sum,
    sp.Derivative: _derivative,
}


# Quadrature


@cache
def _hermite(n: int) -> list[tuple[float, float]]:
    """Nodes and weights for the mean over N(0, 1): the zeros of He_n, each a sign change that is halved."""

    def values(u: float) -> tuple[float, float]:
        """He_n(u) and He_{n-1}(u), by their recurrence."""
        before, here = 0.0, 1.0
        for k in range(n):
            before, here = here, u * here - k * before
        return here, before

    grid = [k / 64 for k in range(-64 * n, 64 * n + 1)]  # narrower than the gap of two zeros
    zeros = []
    for low, high in itertools.pairwise(u + 1 / 201 for u in grid):
        below = values(low)[0] > 0
        if below == (values(high)[0] > 0):
            continue
        while (middle := (low + high) / 2) not in (low, high):
            low, high = (middle, high) if (values(middle)[0] > 0) == below else (low, middle)
        zeros.append(high)
    return [(u, math.factorial(n - 1) / (n * values(u)[1] ** 2)) for u in zeros]


def _gauss(f: Callable, mean: float, variance: float, m) -> float:
    """The mean of f over N(mean, variance): by Hermite's points, by a fine grid where they do not agree."""
    if variance <= 0:
        raise Undefined("a variance is not positive")
    spread = math.sqrt(variance)
    rough = _weighed(f, mean, spread, 9)
    better = _weighed(f, mean, spread, 14)
    if _near(rough, better, 1e-9):
        return better if m.shaking is None else rough
    steps = ((0.25, 13.0, 0.137), (0.2, 17.0, 0.137), (0.2, 17.0, 0.371))  # the last one for a pole
    grids = [_grid(f, mean, spread, *step) for step in steps]
    if _near(grids[0], grids[1], 2e-3) and _near(grids[1], grids[2], 4e-3):  # not near: a corner in f
        return grids[1] if m.shaking is None else grids[0 if m.shaking.random() < 0.5 else 2]
    raise Infinite("an average that quadrature does not find; it may be infinite")


def _weighed(f: Callable, mean: float, spread: float, n: int) -> float:
    try:
        return math.fsum(w * f(mean + spread * u) for u, w in _hermite(n))
    except (OverflowError, ZeroDivisionError):
        return math.nan


def _grid(f: Callable, mean: float, spread: float, step: float, reach: float, offset: float) -> float:
    total, count = [], int(reach / step)
    for k in range(-count, count + 1):
        u = (k + offset) * step
        try:
            total.append(math.exp(-u * u / 2) * f(mean + spread * u))
        except TooSmall:
            if abs(u) < 9:
                raise
            total.append(0.0)  # a logarithm of −700 or so, 1e-17 times
    edge = max(abs(total[0]), abs(total[-1]))
    if edge > 1e-6 * max(map(abs, total)) + 1e-300:
        raise Infinite("an average that may be infinite")
    return step * math.fsum(total) / math.sqrt(2 * math.pi)


def _near(a: float, b: float, tolerance: float) -> bool:
    return abs(a - b) <= tolerance * (1 + abs(a) + abs(b))


def _over_line(f: Callable, m) -> float:
    return _quadrature(f, -math.inf, math.inf, m)


def _quadrature(f: Callable, low: float, high: float, m) -> float:
    """∫ f by the double exponential rule, with half the step until two agree."""
    if low == high:
        return 0.0
    if low > high:
        return -_quadrature(f, high, low, m)
    before, seen = math.nan, {}
    for step in (1 / 4, 1 / 8, 1 / 16, 1 / 32):
        total = math.fsum(_rule(f, low, high, step, seen))
        if _near(before, total, 1e-10):
            return total if m.shaking is None else before
        before, last = total, before
    if _near(before, last, 1e-5):
        return before if m.shaking is None else last
    raise Infinite("an integral that quadrature does not find; it may be infinite")


def _rule(f: Callable, low: float, high: float, step: float, seen: dict) -> Iterator[float]:
    """The terms of the rule with this step; seen: f at the points of a coarser one, which are among its."""
    ends = (low > -math.inf) + (high < math.inf)
    for t, at, weight in _points(ends, step):
        if ends == 0:
            x = at
        elif ends == 1:
            x = low + at if high == math.inf else high - at
        else:
            x = (low + high) / 2 + (high - low) / 2 * at
            if not low < x < high:
                continue
            weight *= (high - low) / 2
        if t not in seen:
            try:
                seen[t] = f(x)
            except (OverflowError, ZeroDivisionError):
                seen[t] = math.nan
        if seen[t] == seen[t]:
            yield weight * seen[t]


@cache
def _points(ends: int, step: float) -> list[tuple[float, float, float]]:
    """Where the double exponential rule takes f, for a range with so many finite ends: (t, place, weight)."""
    points = []
    count = int(3.6 / step)
    for t in (k * step for k in range(-count, count + 1)):
        inner = math.pi / 2 * math.sinh(t)
        if abs(inner) > (12, 300, 18)[ends]:
            continue
        if ends == 0:
            at, weight = math.sinh(inner), math.cosh(inner)
        elif ends == 1:
            at = weight = math.exp(inner)
        else:
            at, weight = math.tanh(inner), math.cosh(inner) ** -2
        points.append((t, at, step * math.pi / 2 * math.cosh(t) * weight))
    return points


# Draws


def _moderate(rng: random.Random, signed: bool = False) -> float:
    value = round(10 ** rng.uniform(-0.45, 0.35), 3)
    return value * rng.choice((-1, 1)) if signed else value


def _drawn(s, rng: random.Random, wild: bool, corner: bool) -> float:
    if s.is_integer:
        if s.is_nonnegative and not corner:
            return float(rng.choice((1, 2, 3, 4, rng.randrange(5, 13))))
        return float(rng.choice((0, 1, 2, 3, -1, -2, rng.randrange(4, 13))))
    if isinstance(s, Unit):
        if corner:
            return rng.choice((0.001, 0.01, 0.03, 0.97, 0.99, 0.999))
        return rng.uniform(0.02, 0.98) if wild else rng.uniform(0.12, 0.88)
    if corner:
        size = rng.choice((0.0, 1e-4, 1e-3, 0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 30.0, 100.0))
        return size * rng.choice((-1, 1))
    size = 10 ** rng.uniform(-1.6, 1.5) if wild else 10 ** rng.uniform(-0.45, 0.4)
    return round(size, 4) * rng.choice((-1, 1))


def _mirror(s, value: float) -> float:
    if isinstance(s, Unit):
        return 1 - value
    if s.is_nonnegative or s.is_nonpositive:
        return 1 / value if value else value
    return -value


_SIGNS: dict[str, Callable] = {
    "positive": lambda value: value > 0,
    "negative": lambda value: value < 0,
    "nonnegative": lambda value: value >= 0,
    "nonpositive": lambda value: value <= 0,
    "nonzero": lambda value: value != 0,
    "integer": float.is_integer,
    "noninteger": lambda value: not value.is_integer(),
    "rational": lambda value: True,  # every number of this check is
    "irrational": lambda value: False,
}
_SIGNS |= dict.fromkeys(("real", "complex", "finite", "commutative", "hermitian"), _SIGNS["rational"])


def obeys(s, value: float) -> bool:
    """Whether a number obeys every assumption of a symbol."""
    if isinstance(s, Unit):
        return 0 < value < 1
    if isinstance(s, RandomVariable):
        return True
    return all(found(float(value)) in (wanted, None) for found, wanted in _asked(s))


@cache
def _asked(s) -> list:
    """What a symbol was declared to be: tests of a number, None where one cannot tell, and their answers."""
    asked = [(name, wanted) for name, wanted in s._assumptions_orig.items() if wanted is not None]
    return [(_SIGNS.get(name) or _of_sympy(name), wanted) for name, wanted in asked]


def _of_sympy(name: str) -> Callable:
    return lambda value: getattr(sp.Rational(value).limit_denominator(10**9), f"is_{name}")


@lru_cache(64)
def _content(trees: tuple) -> tuple[list, frozenset, dict, list]:
    """Of some lines: the variables of densities, those summed over, those of each family, and all symbols."""
    densities = {d for tree in trees for d in tree.atoms(Density)}
    members: dict = {}
    for d in densities:
        members.setdefault(_key(d.family), set()).update(role for _, role in _parts(d)[0])
    counted = {k[0].role for tree in trees for s in tree.atoms(sp.Sum) if over_values(s) for k in s.limits}
    every = frozenset().union(*map(symbols, trees))
    return (
        sorted(frozenset().union(*members.values())),
        frozenset(counted),
        {family: sorted(group) for family, group in members.items()},
        sorted(map(_one, every), key=lambda s: (str(s), str(s._assumptions_orig))),
    )


@cache
def _parts(d) -> tuple[tuple, tuple, tuple]:
    """Of a density: its variables with their roles, the roles of those behind the bar, its family's key."""
    every = tuple((_one(v), v.role) for v in (*d.variables, *d.given))
    return every, tuple(v.role for v in d.given), _key(d.family)


@cache
def _key(family) -> tuple:
    """What makes two families one: name, the name of the parameter, and what has none."""
    return str(family.args[0]), str(family.args[1]), tuple(sorted(str(name) for name in family.args[2]))


def _alike(name, d) -> bool:
    return (
        _key(name.family) == _key(d.family)
        and {v.role for v in name.variables} == {v.role for v in d.variables}
        and {v.role for v in name.given} == {v.role for v in d.given}
    )


def _sums(table: dict, keep: list) -> dict:
    sums: dict = {}
    for cell, mass in table.items():
        short = tuple([cell[k] for k in keep])
        sums[short] = sums.get(short, 0.0) + mass
    return sums


def contradiction(assumptions: Assumptions) -> tuple | None:
    """Two assumed Gaussians of a family that no joint density has at once; None if none was found.

    p(a | b) and p(b) make p(a) = ∫ p(a | b) p(b) db and p(b | a) = p(a | b) p(b) / p(a).
    """
    known = [(name, value) for name, value in assumptions.densities.items() if isinstance(value, Normal)]
    for (first, f), (second, g) in itertools.permutations(known, 2):
        (b,) = second.variables
        rest = {v.role for v in first.given} - {b.role}
        same = _key(first.family) == _key(second.family) and b.role in {v.role for v in first.given}
        if not same or rest != {v.role for v in second.given}:
            continue
        (a,) = first.variables
        for third, h in known:
            given = {v.role for v in third.given}
            if _key(third.family) != _key(first.family):
                continue
            if third.variables[0].role == a.role and given == rest:
                pairs = [(h, E(g, f))]
            elif third.variables[0].role == b.role and given == rest | {a.role}:
                pairs = [(f * g / h, None)]
            else:
                continue
            if any(_apart(left, right, b, assumptions) for left, right in pairs):
                return first, second, third
    return None


def _apart(left, right, b, assumptions: Assumptions) -> bool:
    """Whether two functions differ; without a right one, whether the left one changes with b."""
    for seed in range(3):
        try:
            model = Model([left, *([right] if right is not None else [])], assumptions, seed)
            one = model.value(left)
            if right is None:
                model.moved(b, Cell(model.numbers[b] + 0.7, 0))
            other = model.value(left if right is None else right)
        except (NoModel, ArithmeticError, KeyError):
            continue
        if abs(one - other) > 1e-6 * (abs(one) + abs(other)):
            return True
    return False


def compiled_obeys(symbol, value, assumptions: Assumptions) -> bool:
    """Whether a value obeys the assumptions of a symbol in all of some random models."""
    tried, obeyed = 0, 0
    for seed in range(12):
        try:
            number = Model([value], assumptions, seed).value(value)
        except (NoModel, ArithmeticError):
            continue
        tried += 1
        obeyed += obeys(symbol, number)
    return tried == obeyed
