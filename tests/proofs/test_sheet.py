"""Lines that a reader types: the plain notation both ways, sheets and the engine's answer to them."""

import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
import sympy as sp
from lowerbound import checks, proofs
from lowerbound.checks.proved import canonical
from lowerbound.symbolic import Density, Derivation, as_written, latex
from lowerbound.symbolic.plain import Names, PlainError, read, write
from lowerbound.symbolic.sheet import answer, parse, written

LIBRARY = proofs.derivations()
ROOT = Path(__file__).parents[2]
SHEET_PAGE = (ROOT / "book" / "sheet.md").read_text(encoding="utf-8")
PROBLEMS = dict(
    re.findall(
        r"^\((problem-\w+)\)=.*?^```\{code-block\} text\n:class: problem\n(.*?)```", SHEET_PAGE, re.M | re.S
    )
)
ASSIGNED = {
    "problem-bound": "bound_derivation",
    "problem-rate": "rate_derivation",
    "problem-variance": "recursion_derivation",
    "problem-guess": "guess_derivation",
    "problem-units": "units_derivation",
}

PAIRS = "(log((a + b)/2) + log((a + c)/2) + log((b + c)/2))/3"  # what problem-three leads to
AB, AC, BC = (f"3*({pair})/(2*(a + b + c))" for pair in ("a + b", "a + c", "b + c"))
SOLVED = {  # lines that lead from the first line of an exercise's problem to its goal
    "problem-price": """\
>= (sigma^2 - 1 - log(sigma^2))/2   # a square, because mu^2/2
>= 0   # log t <= t - 1, because (t - 1 - log(t))/2 at t = sigma^2""",
    "problem-knobs": """\
= beta*(S/(2*beta*sigma^2) + R)   # beta out
= beta*(S/(2*s^2) + R)   # the name of the new width""",
    "problem-information": """\
= -E_{q(x, z)}[log q(x | z)] + E_{q(z)}[KL(q(x | z) || p(x | z))]   # split
>= -E_{q(x, z)}[log q(x | z)]   # a KL, because E_{q(z)}[KL(q(x | z) || p(x | z))]""",
    "problem-rest": "~ a*x_0^2/2 as a -> 0   # expand the logarithm",
    "problem-translate": """\
= (1 - alphabar_t)/alphabar_t*(epsilon - varepsilonhat)^2   # x_t is the same in both
= (epsilon - varepsilonhat)^2/S   # the ratio""",
    "problem-average": """\
= (log(a) + log(b))/2 - log(4*a*b/(a + b)^2)/2   # take the mean of the logarithms out
>= (log(a) + log(b))/2 + (1 - 4*a*b/(a + b)^2)/2   # because (t - 1 - log(t))/2 at t = 4*a*b/(a + b)^2
= (log(a) + log(b))/2 + (a - b)^2/(2*(a + b)^2)   # one fraction
>= (log(a) + log(b))/2   # a square, because (a - b)^2/(2*(a + b)^2)""",
    "problem-width": """\
= 1/(1 + alpha_t/beta_t)   # V is 1
= beta_t/(beta_t + alpha_t)   # one fraction
= beta_t   # they add up to 1""",
    "problem-order": "~ beta^2*c^2/4 as beta -> 0   # expand",
    "problem-three": "\n".join(
        [
            f"= {PAIRS} - (log({AB}) + log({AC}) + log({BC}))/3   # take the pairs out",
            f">= {PAIRS} - (log({AB}) + log({AC}) + {BC} - 1)/3   # because (t - 1 - log(t))/3 at t = {BC}",
            f">= {PAIRS} - log({AB})/3 - ({AC} + {BC} - 2)/3   # because (t - 1 - log(t))/3 at t = {AC}",
            f">= {PAIRS} - ({AB} + {AC} + {BC} - 3)/3   # because (t - 1 - log(t))/3 at t = {AB}",
            f"= {PAIRS}   # the three ratios have the mean 1",
        ]
    ),
    "problem-zero": """\
= (mu^2 + sigma^2 - 1)/2 - log(sigma)   # logarithm of a square
>= (mu^2 + (sigma - 1)^2)/2   # log t <= t - 1, because t - 1 - log(t) at t = sigma""",
    "problem-tilt": "~ beta*(1 + f) as beta -> 0   # expand",
    "problem-weight": """\
= beta_t/(2*alpha_t*(1 - alphabar_{t-1}))   # the variance
= (S_{t-1}/S_t - 1)/2   # the ratio""",
    "problem-known": """\
= (1 - alphabar_{t-1})/(1 - alphabar_{t-1}*alpha_t)*beta_t   # one fraction""",
    "problem-area": """\
= R*exp(2*lambda)   # chain rule
= R*S   # the ratio
= Q   # from image to noise""",
    "problem-hill": """\
= 2/(pi*(sin(u)/cos(u) + cos(u)/sin(u)))   # chain rule
= sin(2*u)/pi   # one fraction""",
    "problem-moved": """\
= E_{q(y | x, z)}[-log p(x | y, z)] + KL(q(y | x, z) || p(y | z))   # what is given
= E_{q(y | x, z)}[log(q(y | x, z)/(p(x | y, z)*p(y | z)))]   # one expectation
= KL(q(y | x, z) || p(y | x, z)) - log p(x | z)   # product rule""",
    "problem-pixels": """\
= -E_{q(z)}[E_{q(x)}[log p(x | z)]] - E_{q(z)}[E_{q(y)}[log p(y | z)]]   # logarithm of a product
>= -E_{q(x)}[log q(x)] - E_{q(z)}[E_{q(y)}[log p(y | z)]]   # because E_{q(z)}[KL(q(x) || p(x | z))]
>= -E_{q(x)}[log q(x)] - E_{q(y)}[log q(y)]   # a KL, because E_{q(z)}[KL(q(y) || p(y | z))]""",
    "problem-mean": """\
= E_{q(x | y)}[x]   # y is known
= E_{q(x)}[x]   # and says nothing of x""",
}
WRONG = {  # of these, a last line that must not pass for the goal, nor follow
    "problem-three": ">= (log((a + b)/2) + log((a + c)/2) + log((b + c)/2))/2",
    "problem-zero": ">= (mu^2 + sigma^2)/2",
    "problem-tilt": "~ 2*beta*(1 + f) as beta -> 0",
    "problem-weight": "= (1 - S_t/S_{t-1})/2",
    "problem-known": "= (1 - alphabar_{t-1}*alpha_t)/(1 - alphabar_{t-1})*beta_t",
    "problem-area": "= Q/2",
    "problem-hill": "= sin(u)/pi",
    "problem-moved": "= KL(q(y | x, z) || p(y | x, z)) + log p(x | z)",
    "problem-pixels": ">= -2*E_{q(x)}[log q(x)]",
    "problem-mean": "= E_{q(x)}[x] - y",
}


def spaced(tex):
    return tex.replace(r"\,", "").replace(" ", "")


@pytest.mark.parametrize("name", LIBRARY)
def test_every_line_of_the_book_is_typed_and_read_back(name):
    proof = LIBRARY[name]()
    lines = [step.expr for step in proof.steps] + [part for pair in proof.given.items() for part in pair]
    names = Names(lines)
    for line in lines:
        assert spaced(latex(read(write(line), names))) == spaced(latex(line)), write(line)


@pytest.mark.parametrize("name", LIBRARY)
def test_a_derivation_of_the_book_follows_as_a_sheet(name):
    proof = LIBRARY[name]()
    said = answer(written(proof), LIBRARY)
    assert said["ok"], said["message"]
    assert [spaced(row["latex"]) for row in said["rows"]] == [spaced(latex(s.expr)) for s in proof.steps]
    assert [row["arrow"] for row in said["rows"][1:]] == [step.arrow for step in proof.steps[1:]]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("2 a b", 2 * sp.Symbol("a") * sp.Symbol("b")),
        ("a/b/2", sp.Symbol("a") / sp.Symbol("b") / 2),
        ("-a^2", -(sp.Symbol("a") ** 2)),
        ("a^-1", 1 / sp.Symbol("a")),
        ("a − b·2", sp.Symbol("a") - 2 * sp.Symbol("b")),
        ("log a + b", sp.log(sp.Symbol("a")) + sp.Symbol("b")),
        ("a² (b + 0.5)", sp.Symbol("a") ** 2 * (sp.Symbol("b") + sp.Rational(1, 2))),
        ("max(a, b)", sp.Max(sp.Symbol("a"), sp.Symbol("b"))),
    ],
)
def test_what_people_type(typed, meant):
    assert sp.simplify(read(typed, Names([sp.Symbol("a"), sp.Symbol("b")])).doit() - meant) == 0


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("", "too early"),
        ("a +", "too early"),
        ("2 a)", "too much"),
        ("(a", "')' is expected"),
        ("aa", "there is no letter 'aa' here; did you mean a"),
        ("f(a)", "no function or density 'f'"),
        ("E[a]", "below the E"),
        ("E_{a}[a]", "stands a density"),
        ("sum(a)", "sum(f, i = 1..D)"),
        ("KL(a || a)", "needs two densities"),
        ("N(a; a)", "a mean and a variance"),
        ("N(a; 0, -1)", "positive variance"),
        ("diff(a)", "in which letter"),
        ("log(a, a)", "one argument"),
        ("a ? a", "too much"),
        ("__import__('os')", "cannot stand here"),
        ("a.__class__", "too much"),
        ("a" * 5000, "at most 4000"),
    ],
)
def test_what_is_no_formula_is_said(typed, says):
    with pytest.raises(PlainError, match=re.escape(says)):
        read(typed, Names([sp.Symbol("a")]))


def test_random_formulas_come_back():
    """The text of a random formula, read, prints the same."""
    rng, letters = random.Random(0), sp.symbols("a b c")

    def formula(depth):
        if not depth:
            return rng.choice([*letters, sp.Integer(rng.randint(1, 9))])
        a, b = formula(depth - 1), formula(depth - 1)
        return rng.choice(
            [lambda: a + b, lambda: a - b, lambda: a * b, lambda: a / b, lambda: a ** sp.Integer(2),
             lambda: -a, lambda: sp.log(a), lambda: sp.exp(a), lambda: sp.sqrt(a), lambda: sp.cos(a)]
        )()  # fmt: skip

    with as_written():
        tried = [formula(rng.randint(1, 4)) for _ in range(300)]
    for line in tried:
        again = read(write(line), Names(letters))
        assert spaced(latex(again)) == spaced(latex(line)), write(line)


BOUND = """densities p(x, z), q(z | x)
log p(x)
= E_{q(z | x)}[log p(x)]   # q integrates to one
= E_{q(z | x)}[log(p(x, z)/q(z | x))] + KL(q(z | x) || p(z | x))   # split
>= E_{q(z | x)}[log(p(x, z)/q(z | x))]   # never negative, because KL(q(z | x) || p(z | x))
"""


def test_a_free_sheet_is_checked_line_by_line():
    said = answer(BOUND, LIBRARY)
    assert said["ok"], said
    assert [row["row"] for row in said["rows"]] == [2, 3, 4, 5]
    assert {"p(", "q(", "x", "z"} <= set(said["words"])


@pytest.mark.parametrize(
    ("old", "new", "row", "verdict"),
    [
        ("= E_{q(z | x)}[log p(x)]", "= E_{q(z | x)}[log p(z)]", 3, "false"),
        (" + KL(q", " - KL(q", 4, "false"),
        (">= E", "<= E", 5, "false"),
        ("log p(x)]", "log p(y)]", 3, "unread"),
        (">= E", "E", 5, "unread"),
        ("densities p(x, z), q(z | x)", "densities p(x, z)", 3, "unread"),
        ("densities", "from nothing\ndensities", 1, "unread"),
        (", because KL(q(z | x) || p(z | x))", ", because KL(q(z | x) || p(z))", 5, "unchecked"),
    ],
)
def test_the_row_that_does_not_follow_is_named(old, new, row, verdict):
    assert old in BOUND
    said = answer(BOUND.replace(old, new), LIBRARY)
    assert not said["ok"]
    assert (said["failed"], said["verdict"]) == (row, verdict), said["message"]
    assert said["message"]


@pytest.mark.parametrize(
    "mistake", ["letters a + b", "given p", "where a", "densities p", "letters 0 < a < 1, b 7"]
)
def test_what_stands_above_the_lines_is_understood_or_refused_in_words(mistake):
    said = answer(f"{mistake}\na", LIBRARY)
    assert (said["failed"], said["verdict"]) == (1, "unread")
    assert "write" in said["message"] or "no letter" in said["message"] or "name" in said["message"]


def test_assumptions_conditions_lemmas_and_limits_are_written_in_a_sheet():
    assert answer("letters a, b > 0; m\nwhere a > b\na\n>= b # said", LIBRARY)["ok"]
    assert not answer("letters a, b > 0; m\na\n>= b # not said", LIBRARY)["ok"]
    assert answer("letters a > 0\nlog(a)/a\n-> 0 as a -> oo # growth", LIBRARY)["ok"]
    assert answer("letters v > 0; m\ngiven v = m^2 + 1\nv - 1\n= m^2 # put in", LIBRARY)["ok"]
    assert answer("use evidence\nlog p(x)\n= log(int(p(x | z)*p(z), z)) # lemma", LIBRARY)["ok"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("(" * 1900 + "a" + ")" * 1900, "nested too deeply"),
        ("-" * 3900 + "a", "nested too deeply"),
        ("2^" * 1500 + "a", "nested too deeply"),
        ("a" * 20_000, "at most 20000 letters"),
        ("a\u2028", "row of its own"),
        ("a # of\x0c two\x85 halves\r", "row of its own"),
        ("sum(a, \\let\\log\\exp = 1..2)", "which would print like a formula"),
        ("E_{\\href ~ N(0, 1)}[a]", "which would print like a formula"),
        ("E_{<img/src=x> ~ N(0, 1)}[a]", "which would print like a formula"),
    ],
)
def test_what_no_one_means_is_refused_in_its_row(line, says):
    """As rows are counted in a page: at each new line, and nowhere else."""
    said = answer(f"letters a\na\n= {line}\n", LIBRARY)
    if says == "row of its own":
        assert (said["ok"], said["rows"][-1]["row"]) == (True, 3)
        return
    assert not said["ok"]
    assert says in said["message"]
    assert said["failed"] in (1, 3)
    assert not any("\\let" in row["latex"] or "href" in row["latex"] for row in said["rows"])


def test_a_letter_that_would_print_like_a_formula_is_never_printed():
    said = answer("letters a_{\\let\\log\\exp}, b > 0\nlog(b) + a_{\\let\\log\\exp}\n", LIBRARY)
    assert (said["failed"], said["rows"]) == (2, [])


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_problem_begins_well_and_is_not_done(problem):
    said = answer(PROBLEMS[problem], LIBRARY)
    assert said["ok"], said["message"]
    assert not said["goal"]
    sheet = parse(PROBLEMS[problem], LIBRARY)
    if sheet.goal is None:
        return
    lines = SOLVED.get(problem, f"= {write(sheet.goal)} # at one go")
    reached = answer(f"{PROBLEMS[problem]}\n{lines}", LIBRARY)
    assert reached["ok"], reached["message"]
    assert reached["goal"]
    other = answer(PROBLEMS[problem].replace("goal ", "goal 1 + "), LIBRARY)
    assert other["goal"] is False


@pytest.mark.parametrize("problem", SOLVED)
def test_the_solution_of_an_exercise_is_needed_to_its_last_line(problem):
    *lines, _ = SOLVED[problem].split("\n")
    said = answer("\n".join([PROBLEMS[problem], *lines]), LIBRARY)
    assert said["ok"], said["message"]
    assert not said["goal"]


@pytest.mark.parametrize("problem", WRONG)
def test_a_wrong_goal_of_an_exercise_is_refused(problem):
    said = answer(f"{PROBLEMS[problem]}\n{WRONG[problem]} # wrong", LIBRARY)
    verdict = "unchecked" if WRONG[problem].startswith("~") else "false"  # no number contradicts a limit
    assert (said["ok"], said["verdict"], said["goal"]) == (False, verdict, False)


def test_each_exercise_that_asks_for_a_proof_has_a_problem():
    """In both languages; the fold of a solution is not part of the exercise."""
    asks = {
        "book": r"\b[Ss]how (that|from)|[Pp]rove|[Cc]heck that it|[Cc]onclude",
        "book/vi": "[Cc]hứng (minh|tỏ)|chỉ ra rằng|suy ra rằng|kiểm tra rằng nó",
    }
    for folder, words in asks.items():
        found = []
        for path in sorted((ROOT / folder).glob("0*.md")):
            page = path.read_text(encoding="utf-8")
            for text in re.findall(r"^`{3,}\{exercise\}.*?^`{3,}$", page, re.M | re.S):
                if re.search(words, text):
                    found += re.findall(r"^:label: (\S+)$", text, re.M)
                    assert "<problem-" in text, text
        assert len(found) == 14, found


def test_each_problem_of_an_exercise_is_linked_from_it():
    chapters = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "book").glob("0*.md"))
    exercises = re.findall(r"^`{3,}\{exercise\}.*?^`{3,}$", chapters, re.M | re.S)
    for problem in PROBLEMS.keys() - ASSIGNED.keys():
        (exercise,) = (text for text in exercises if f"<{problem}>`" in text)
        label = re.search(r"^:label: (\S+)$", exercise, re.M)[1]
        section = SHEET_PAGE.split(f"({problem})=")[1].split("```")[0]
        assert f"{{ref}}`{label}`" in section, problem


@pytest.mark.parametrize(("problem", "name"), ASSIGNED.items())
def test_a_problem_is_that_of_the_assignment(problem, name):
    """The first line, what is assumed, and the goal are those of the assignment's check, letter by letter."""
    check, sheet = getattr(checks, name), parse(PROBLEMS[problem], LIBRARY)
    with as_written():
        start, end, given = check.start(), check.end(), check.given()
    assert spaced(latex(read(sheet.lines[0][2], sheet.names))) == spaced(latex(start))
    ours, theirs = ({spaced(latex(k)): by_name(v) for k, v in side.items()} for side in (sheet.given, given))
    assert list(ours) == list(theirs)
    assert all(sp.simplify(ours[name] - theirs[name]) == 0 for name in ours)
    if sheet.goal is not None:
        assert canonical(by_name(sheet.goal)) == canonical(by_name(end))
    assert (sheet.goal is None) == check.closed


def by_name(formula):
    """The formula in letters of which nothing is assumed."""
    if formula.has(Density):
        return formula
    return formula.xreplace({s: sp.Symbol(s.name) for s in formula.free_symbols})


# For a process of its own: what watches calls watches those of every thread, a test runner's too.
AS_IN_A_BROWSER = """
import gc, sys, time, types
from lowerbound.symbolic import clock


class Monitoring:
    # Python 3.12's sys.monitoring as far as it is asked for, made of a profile function
    PROFILER_ID, events, name = 2, types.SimpleNamespace(PY_START=4), None

    def get_tool(self, tool):
        return self.name

    def use_tool_id(self, tool, name):
        self.name = name

    def free_tool_id(self, tool):
        self.name = None

    def register_callback(self, tool, event, call):
        self.call = call

    def set_events(self, tool, events):
        call = self.call
        sys.setprofile((lambda frame, event, arg: event == "call" and call(None, 0)) if events else None)


def calls():
    sum(i for i in range(50))


clock.sys = types.SimpleNamespace(
    platform="emscripten", monitoring=getattr(sys, "monitoring", None) or Monitoring()
)
time.process_time = None  # after 36 minutes there is none
gc.disable()  # an error in what Python calls while it collects is lost, and a profile function with it
began = time.perf_counter()
try:
    with clock.time_limit(10), clock.time_limit(0.2):
        while time.perf_counter() < began + 8:
            calls()
except clock.OutOfTime:
    print("ended", time.perf_counter() - began)
with clock.time_limit(10):
    calls()
from lowerbound.symbolic.sheet import answer
assert answer("letters t > 0\\nt - 1\\n>= log(t)  # tangent", {})["ok"]
print("open", len(clock._deadlines), clock.sys.monitoring.get_tool(2))
"""


def test_a_check_in_a_browser_ends_in_time():
    """Where there are neither signals nor threads, calls are watched: 0.2 s there are 0.8 s."""
    done = subprocess.run(
        [sys.executable, "-c", AS_IN_A_BROWSER],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (ended, seconds), state = (line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert ended == "ended"
    assert 0.8 <= float(seconds) < 5
    assert state == ["open", "0 None"]


def test_an_axiom_of_the_book_stays_one_and_no_reader_makes_another():
    text = written(LIBRARY["skewness_price"]())
    (axiom,) = LIBRARY["skewness_price"]().axioms
    assert answer(text, LIBRARY)["ok"]
    changed = text.replace(write(axiom.expr), f"2*{write(axiom.expr)}")
    assert changed != text
    assert not answer(changed, LIBRARY)["ok"]


def test_a_derivation_with_its_lines_replaced_is_checked_again():
    assert isinstance(LIBRARY["elbo"](), Derivation)
    text = written(LIBRARY["elbo"]()).replace("p(x | z)*p(z)", "p(x | z)")
    said = answer(text, LIBRARY)
    assert (said["failed"], said["verdict"]) == (4, "false")
    assert "log p(z)" in said["left_over"]
