"""The self-checks: the right function passes, each known mistake is named, other types are refused.

The same catalogue is planted in the library's own functions: the check names it there too, and a test of
this folder fails on it.
"""

import math
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import sympy as sp
import torch
from lowerbound import checks, proofs
from lowerbound.checks import engine
from lowerbound.checks.engine import RTOL, Check, CheckError, Elsewhere, same
from lowerbound.checks.proved import PROOF_MISTAKES, SAYS
from lowerbound.proofs import ch2_vae as vae
from lowerbound.proofs import ch3_forward as forward
from lowerbound.proofs import ch4_reverse as reverse
from lowerbound.proofs.ch1_elbo import p, q, x, z
from lowerbound.symbolic import KL, Derivation, E, Family, Normal, as_written
from torch import Tensor
from torch.nn import Module

GROUPS = (*checks.ASSIGNMENTS.values(), *checks.LABS.values())
ALL = [check for group in GROUPS for check in group]
FUNCTIONS = {check.name: check for check in ALL if isinstance(check, Check)}
PROOFS = {check.name: check for check in ALL if not isinstance(check, Check)}
CATALOGUE = [(check, name) for check in FUNCTIONS.values() for name in check.mistakes]
IDS = [f"{check.name}: {name}" for check, name in CATALOGUE]
BOOK = Path(__file__).parents[2] / "book"


# The catalogue


@pytest.mark.parametrize("check", FUNCTIONS.values(), ids=lambda c: c.name)
def test_the_right_function_passes(check, capsys):
    check(check.oracle)
    assert re.fullmatch(rf"{check.name}: right( at \d+ random points)?\.\n", capsys.readouterr().out)


@pytest.mark.parametrize(("check", "name"), CATALOGUE, ids=IDS)
def test_each_mistake_is_named(check, name):
    with pytest.raises(CheckError) as caught:
        check(check.mistakes[name].of)
    assert caught.value.mistake == name
    assert check.mistakes[name].says in str(caught.value)


@pytest.mark.parametrize("check", FUNCTIONS.values(), ids=lambda c: c.name)
def test_the_hidden_test_names_each_mistake_at_points_of_its_own_and_is_silent(check, monkeypatch, capsys):
    """The variants differ from one another and from the right function everywhere, not at one lucky seed."""
    for seed in (1, 2):
        monkeypatch.setattr(engine.secrets, "randbelow", lambda most, seed=seed: seed)
        assert check.grade(check.oracle) is None
        for name, mistake in check.mistakes.items():
            with pytest.raises(CheckError) as caught:
                check.grade(mistake.of)
            assert caught.value.mistake == name
    assert capsys.readouterr().out == ""


class Recorded(Elsewhere):
    """The right function, somewhere else; it notes what it was called with."""

    def __init__(self, check):
        self.check, self.calls = check, []

    def run(self, cases, leaves):
        self.calls.append(cases)
        return engine.run(self.check.oracle, cases, leaves)


@pytest.mark.parametrize("check", FUNCTIONS.values(), ids=lambda c: c.name)
def test_the_hidden_test_asks_once_and_for_something_else_each_time(check):
    student = Recorded(check)
    check.grade(student)
    check.grade(student)
    first, second = (str([c.state_dict() if isinstance(c, Module) else c for case in cases for c in case])
                     for cases in student.calls)  # fmt: skip
    assert (first != second) or first == "[]"


@pytest.mark.parametrize("check", ALL, ids=lambda c: c.name)
def test_a_message_points_into_the_book(check):
    text = "\n".join(path.read_text(encoding="utf-8") for path in BOOK.glob("[0c]*.md"))
    assert re.search(rf"^(:label: {check.see}|\({check.see}\)=)$", text, re.M)


@pytest.mark.parametrize("check", FUNCTIONS.values(), ids=lambda c: c.name)
def test_a_function_that_is_not_written_or_raises_is_told_so(check, capsys):
    def unwritten(*arguments):
        raise NotImplementedError

    def broken(*arguments):
        raise ZeroDivisionError("oh")

    with pytest.raises(CheckError, match="not written yet") as caught:
        check(unwritten)
    assert caught.value.mistake == "not written"
    check.ask(unwritten)
    assert capsys.readouterr().out == f"{check.name} is not written yet.\n"
    check.ask(broken)
    assert "ZeroDivisionError: oh" in capsys.readouterr().out
    with pytest.raises(CheckError, match="ZeroDivisionError: oh"):
        check(broken)
    with pytest.raises(CheckError, match="give the function itself"):
        check(3)


# Types


class Equal:
    """Claims to be equal to everything, to every shape, and to be true."""

    shape, ndim, dtype = (5,), 1, torch.float64

    def __eq__(self, other):
        return True

    def __getattr__(self, name):
        return lambda *args, **kwargs: self

    def __float__(self):
        return 0.0

    __hash__ = None


class Sly(Tensor):
    """A tensor that answers every question with yes."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        return True


LIARS = [Equal(), None, "a word", [1.0], torch.zeros(5).as_subclass(Sly), True]


@pytest.mark.parametrize("check", ALL, ids=lambda c: c.name)
@pytest.mark.parametrize("liar", LIARS)
def test_what_is_no_value_is_refused(check, liar):
    for value in (liar, (liar, liar)):
        for way in (check, check.grade):
            with pytest.raises(CheckError) as caught:
                way(lambda *arguments, value=value: value)
            if not isinstance(liar, str) or value is not liar:
                assert caught.value.mistake in ("type", "not a Derivation")


@pytest.mark.parametrize("number", [math.nan, math.inf, 1e300, -1e300, 10**400])
def test_no_number_is_too_large_to_be_refused(number):
    for check in (checks.coin_bound, checks.deceptive_step, checks.best_encoder):
        wrong = tuple([number] * 6) if check is checks.deceptive_step else number
        with pytest.raises(CheckError):
            check(lambda *arguments, wrong=wrong: wrong)
        with pytest.raises(CheckError):
            check(lambda *arguments: (number, number))


def test_a_tensor_whose_own_methods_lie_is_read_all_the_same():
    def lying(mean, logvar):
        out = torch.zeros(len(mean), dtype=torch.float64)
        out.detach = out.clone = lambda: checks.kl.oracle(mean, logvar)
        return out

    with pytest.raises(CheckError, match="the same whatever it is called with"):
        checks.kl(lying)


def test_other_shapes_and_whole_numbers_are_not_taken():
    with pytest.raises(CheckError, match=r"returned shape \(5, 1\), and should return \(5,\)"):
        checks.kl(lambda *case: checks.kl.oracle(*case)[:, None])
    with pytest.raises(CheckError, match="floating-point"):
        checks.kl(lambda *case: checks.kl.oracle(*case).long())
    with pytest.raises(CheckError, match="must return 2 values, and returned 3"):
        checks.best_encoder(lambda *case: [*checks.best_encoder.oracle(*case), 0.0])


def test_a_mistake_that_is_not_known_is_told_where_and_which_way_and_not_the_value():
    with pytest.raises(CheckError) as caught:
        checks.kl(lambda mean, logvar: (v := checks.kl.oracle(mean, logvar)) + 0.1 * v.sin())
    said = str(caught.value)
    assert caught.value.mistake is None
    assert "at index (0,) is larger than the right value, which is positive (4 of 5 differ)" in said
    mean, logvar = checks.kl.case(1)
    assert f"{float(checks.kl.oracle(mean, logvar)[0]):.4g}" not in said
    assert "(5, 20)" in said
    assert "See equation (2.6), https://" in said
    assert said.endswith("/book/02_vae.html#equation-eq-vae-kl.")
    with pytest.raises(CheckError, match="NaN"):
        checks.kl(lambda mean, logvar: torch.full((5,), float("nan"), dtype=torch.float64))


def test_of_several_values_the_wrong_one_is_named():
    def tripled(pair):
        return pair[0], 3 * pair[1]

    with pytest.raises(CheckError, match="the second value: it is 3 times the right value"):
        checks.posterior(lambda *case: tripled(checks.posterior.oracle(*case)))


def test_arguments_are_copies_and_a_function_leaves_them_as_they_are():
    def spoils(mean, logvar):
        out = checks.kl.oracle(mean, logvar)
        mean.zero_()
        return out

    with pytest.raises(CheckError, match="writes into its argument `mean`"):
        checks.kl(spoils)
    with pytest.raises(CheckError, match="writes into its argument `b`"):
        checks.interval(lambda a, b, t: b.sort() or checks.interval.oracle(a, b, t))
    checks.kl(checks.kl.oracle)


def test_values_equal_up_to_rounding_alone():
    one = torch.ones(2, dtype=torch.float64)
    assert same(one, one * (1 + RTOL / 2))
    assert not same(one, one * (1 + 3 * RTOL))
    assert not same(10**9, 10**9 + 1)
    assert not same(one, torch.ones(1, 2))
    assert not same((1.0, 2.0), (1.0,))


def test_a_message_says_beta_with_its_number():
    with pytest.raises(CheckError, match=r"not the sum.*β = 39\.2"):
        checks.kl(lambda mean, logvar: checks.kl.oracle(mean, logvar) / mean.shape[1])


def test_in_a_notebook_the_message_stands_alone():
    with pytest.raises(CheckError) as caught:
        checks.kl(checks.kl.mistakes["no half"].of)
    assert caught.value._render_traceback_() == [f"CheckError: {caught.value}"]


# Derivations


def bound_derivation():
    encoder = q(z | x)
    with as_written():
        d = Derivation("bound", start=sp.log(p(x)) - KL(encoder, p(z | x)))
        d.step(E(encoder, sp.log(p(x))) - E(encoder, sp.log(encoder / p(z | x))), "definition")
        d.step(E(encoder, sp.log(p(x | z) * p(z) / encoder)), "product rule")
        d.step(E(encoder, sp.log(p(x | z))) - E(encoder, sp.log(encoder / p(z))), "log of a product")
        return d.step(E(encoder, sp.log(p(x | z))) - KL(encoder, p(z)), "definition")


def rate_derivation():
    encoder, prior = Normal(vae.z, vae.mu, vae.sigma**2), Normal(vae.z, 0, vae.s**2)
    squares = vae.z**2 / (2 * vae.s**2) - (vae.z - vae.mu) ** 2 / (2 * vae.sigma**2)
    with as_written():
        d = Derivation("rate", start=KL(encoder, prior))
        d.step(E(encoder, sp.log(encoder / prior)), "definition")
        d.step(E(encoder, squares + sp.log(vae.s / vae.sigma)), "log of a Gaussian")
        d.step(E(encoder, squares) + sp.log(vae.s / vae.sigma), "linear")
        return d.step(
            (vae.mu**2 + vae.sigma**2) / (2 * vae.s**2) - vae.half + sp.log(vae.s / vae.sigma), "moments"
        )


def recursion_derivation():
    v, alpha = sp.Symbol("v", positive=True), forward.alpha
    with as_written():
        before, step = Normal(forward.xs, 0, v), Normal(forward.xt, sp.sqrt(alpha) * forward.xs, 1 - alpha)
        d = Derivation("recursion", start=E(before, E(step, forward.xt**2)) - 1)
        d.step(E(before, alpha * forward.xs**2 + (1 - alpha)) - 1, "one step")
        d.step(alpha * v + (1 - alpha) - 1, "variance")
        return d.step(alpha * (v - 1), "collect")


def guess_derivation():
    bar = forward.alphabar
    with as_written():
        image, guess = (
            (forward.xt - sp.sqrt(1 - bar) * noise) / sp.sqrt(bar) for noise in (reverse.eps, reverse.eps_net)
        )
        given = {forward.x0: image, reverse.x0_net: guess}
        d = Derivation("guess", start=(forward.x0 - reverse.x0_net) ** 2, given=given)
        d.step((image - guess) ** 2, "put in")
        d.step((sp.sqrt(1 - bar) / sp.sqrt(bar) * (reverse.eps_net - reverse.eps)) ** 2, "cancel")
        return d.step((1 - bar) / bar * (reverse.eps - reverse.eps_net) ** 2, "square")


def units_derivation():
    rho, size, delta, prob = sp.symbols("rho D delta P", positive=True)
    with as_written():
        d = Derivation("units", start=-sp.log(prob) / (size * sp.log(2)), given={prob: rho * delta**size})
        d.step(-sp.log(rho * delta**size) / (size * sp.log(2)), "put in")
        d.step(-(sp.log(rho) + size * sp.log(delta)) / (size * sp.log(2)), "log of a product")
        return d.step(-sp.log(rho) / (size * sp.log(2)) - sp.log(delta) / sp.log(2), "divide")


def prior_derivation():
    p, q, r = PRIORS
    encoder = q(z | x)
    with as_written():
        given, ours, theirs = E(encoder, -sp.log(p(x | z))), KL(encoder, p(z)), KL(encoder, r(z))
        d = Derivation("priors", start=(given + ours) - (given + theirs))
        d.step(E(encoder, sp.log(encoder / p(z))) - E(encoder, sp.log(encoder / r(z))), "definition of KL")
        logs = [sp.log(encoder) - sp.log(prior) for prior in (p(z), r(z))]
        d.step(E(encoder, logs[0]) - E(encoder, logs[1]), "log of a quotient")
        return d.step(E(encoder, sp.log(r(z))) - E(encoder, sp.log(p(z))), "the entropy cancels")


PRIORS = Family("p", "theta"), Family("q", "phi"), Family("r")


def velocity_derivation():
    x0, guess, state, eps, eps_net, u, u_net = VELOCITY
    tau = sp.Symbol("tau", positive=True)
    with as_written():
        noise, noise_net = (state - (1 - tau) * x0) / tau, (state - (1 - tau) * guess) / tau
        given = {u: eps - x0, u_net: eps_net - guess, eps: noise, eps_net: noise_net}
        d = Derivation("velocity", start=(u - u_net) ** 2, given=given)
        d.step(((eps - x0) - (eps_net - guess)) ** 2, "what a velocity is")
        d.step(((noise - x0) - (noise_net - guess)) ** 2, "put in the noise")
        d.step((-(x0 - guess) / tau) ** 2, "the state cancels")
        return d.step((x0 - guess) ** 2 / tau**2, "square")


VELOCITY = sp.symbols("x_0 xhat_0 z epsilon epsilonhat u uhat", real=True)


@cache
def right(name):
    return globals()[name]()


@pytest.mark.parametrize("name", PROOFS)
def test_a_right_derivation_passes(name, capsys):
    PROOFS[name](lambda: right(name))
    PROOFS[name](right(name))
    PROOFS[name].grade(lambda: right(name))
    assert capsys.readouterr().out.count("follows.") == 3


@pytest.mark.parametrize("mistake", PROOF_MISTAKES)
@pytest.mark.parametrize("name", PROOFS)
def test_each_mistake_of_a_derivation_is_named(name, mistake):
    wrong = PROOF_MISTAKES[mistake](right(name))
    ways = (PROOFS[name], lambda wrong: PROOFS[name].grade(lambda: wrong))
    for way in ways:
        with pytest.raises(CheckError) as caught:
            way(wrong)
        assert caught.value.mistake == mistake


def test_every_verdict_has_a_variant_and_six_are_known():
    assert set(SAYS) == set(PROOF_MISTAKES)
    assert len(PROOF_MISTAKES) >= 6


@pytest.mark.parametrize(
    "name",
    [
        "elbo",
        "elbo_two_terms",
        "two_expectations",
        "gaussian_kl",
        "gaussian_kl_standard",
        "v_error",
        "bits_per_dim",
    ],
)
def test_a_proof_of_the_book_does_not_pass_for_a_students(name):
    proof = proofs.derivations()[name]()
    assert all(check.verdict(proof) is not None for check in PROOFS.values())


def test_a_wrong_line_in_a_function_is_reported_as_the_engine_says_it():
    def wrong():
        d = Derivation("units", start=-sp.log(sp.Symbol("P", positive=True)))
        return d.step(sp.Integer(0), "clear")

    with pytest.raises(CheckError, match="line 2 of 'units' does not follow") as caught:
        checks.units_derivation(wrong)
    assert caught.value.mistake == "a line"


def ended(name, *endings):
    """The right derivation with one more line, for each of these last lines."""
    for expr in endings:
        with as_written():
            d = right(name)
            longer = Derivation(d.name, d.first, given=d.given)
            for step in d.steps[1:]:
                longer.step(step.expr, step.reason)
            yield longer.step(expr, "in another form")


def prior_ends():
    p, q, r = PRIORS
    encoder = q(z | x)
    return (
        E(encoder, sp.log(r(z) / p(z))),
        E(encoder, -sp.log(p(z))) - E(encoder, -sp.log(r(z))),
    )


def other_ends():
    v, alpha, bar, e, h = (
        sp.Symbol("v", positive=True),
        forward.alpha,
        forward.alphabar,
        reverse.eps,
        reverse.eps_net,
    )
    rho, size, delta, _ = sp.symbols("rho D delta P", positive=True)
    encoder = q(z | x)
    with as_written():
        return {
            "recursion_derivation": (alpha * v - alpha, -alpha * (1 - v), (v - 1) * alpha),
            "guess_derivation": ((1 - bar) * (h - e) ** 2 / bar, (1 / bar - 1) * (e - h) ** 2),
            "units_derivation": (
                (-sp.log(rho) / size - sp.log(delta)) / sp.log(2),
                -sp.log(rho) / (size * sp.log(2)) + sp.log(1 / delta) / sp.log(2),
            ),
            "bound_derivation": (
                E(encoder, sp.log(p(x | z))) - E(encoder, sp.log(encoder / p(z))),
                -KL(encoder, p(z)) + E(encoder, sp.log(p(x | z))),
            ),
            "prior_derivation": prior_ends(),
            "velocity_derivation": (
                (VELOCITY[1] - VELOCITY[0]) ** 2 / sp.Symbol("tau", positive=True) ** 2,
                ((VELOCITY[0] - VELOCITY[1]) / sp.Symbol("tau", positive=True)) ** 2,
            ),
        }


@pytest.mark.parametrize("name", other_ends())
def test_a_proof_may_end_in_any_form_that_the_engine_can_show_equal(name):
    for longer in ended(name, *other_ends()[name]):
        assert PROOFS[name].verdict(longer) is None, longer.last


def test_a_proof_that_stops_on_the_way_is_told_so():
    for name in other_ends():
        d = right(name)
        with as_written():
            for line in (d.first, d.steps[1].expr):
                again = Derivation(d.name, d.first, given=d.given)
                for step in [*d.steps[1:], *d.steps[-2:0:-1]]:
                    again.step(step.expr, step.reason)
                again.step(line, "back")
                assert PROOFS[name].verdict(again) == "another end", (name, line)


def test_a_proof_that_starts_on_the_way_is_told_so():
    """Also where the second line is the first with its equal terms cancelled."""
    p, q, r = PRIORS
    encoder = q(z | x)
    with as_written():
        cancelled = KL(encoder, p(z)) - KL(encoder, r(z))
        for name in other_ends():
            d = right(name)
            for line in (d.steps[1].expr, *[cancelled] * (name == "prior_derivation")):
                again = Derivation(d.name, line, given=d.given)
                for step in d.steps[1:]:
                    again.step(step.expr, step.reason)
                assert PROOFS[name].verdict(again) == "another start", (name, line)


def test_the_terms_of_the_first_line_may_come_in_any_order():
    p, q, r = PRIORS
    encoder, d = q(z | x), right("prior_derivation")
    with as_written():
        cost, ours, theirs = E(encoder, -sp.log(p(x | z))), KL(encoder, p(z)), KL(encoder, r(z))
        for line in ((ours + cost) - (theirs + cost), ours + cost - cost - theirs):
            again = Derivation(d.name, line, given=d.given)
            for step in d.steps[1:]:
                again.step(step.expr, step.reason)
            assert PROOFS["prior_derivation"].verdict(again) is None


def test_the_task_alone_says_which_step_is_the_books():
    """x = 2, v = 1, from √3 to 1; any other step that deceives is right, to the check as to the grader."""
    own = [(2.0, 1.0, w, 2 * w / (1 + w * w), u, 2 * u / (1 + u * u)) for w, u in ((1.8, 1.1), (1.9, 1.0))]
    for step in own:
        checks.deceptive_step(lambda step=step: step)
        checks.deceptive_step.grade(lambda step=step: list(map(torch.tensor, step)))
    for root in (math.sqrt(3), 1.732, np.float32(3**0.5), sp.sqrt(3)):
        with pytest.raises(CheckError, match="the book's own step"):
            checks.deceptive_step(lambda root=root: (2, 1, root, root / 2, 1, 1))
