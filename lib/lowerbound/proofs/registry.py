"""Which derivations there are: each is a function that returns a `Derivation`, marked with `@derivation`."""

import copy
from collections.abc import Callable
from functools import cache, wraps

from ..symbolic import Derivation, as_written
from ..symbolic.clock import processor_time

Proof = Callable[[], Derivation]
_PROOFS: dict[str, tuple[int, Proof]] = {}
CODE: dict[str, str] = {}
SECONDS: dict[str, float] = {}  # of processor time that each proof's check took, of those that were checked


def _title(proof: Proof) -> str:
    return (proof.__doc__ or "").strip().splitlines()[0].rstrip(".")


def derivation(chapter: int, lecture: str = "", code: str = "") -> Callable[[Proof], Proof]:
    """Register a proof under its function's name, with its chapter and the minutes of the lecture it covers.

    code: what computes its last line in the library, as in "gaussian.Gaussian.kl"; a bridge test compares.
    The function runs with expressions kept as written, once in a process: each call gives a copy of what was
    checked then, to which lines can be added. The first line of its docstring becomes the title.
    """

    def register(proof: Proof) -> Proof:
        @cache
        def check() -> Derivation:
            start = processor_time()
            with as_written():
                result = proof()
            result.chapter, result.lecture, result.title = chapter, lecture, _title(proof)
            SECONDS[proof.__name__] = processor_time() - start
            return result

        @wraps(proof)
        def build() -> Derivation:
            return copy.copy(check())

        _PROOFS[proof.__name__] = chapter, build
        if code:
            CODE[proof.__name__] = code
        return build

    return register


def derivations(chapter: int | None = None) -> dict[str, Proof]:
    """All proofs by name, or one chapter's. Calling one checks it: `derivations()["elbo"]()`."""
    by_chapter = sorted(_PROOFS.items(), key=lambda item: item[1][0])
    return {name: proof for name, (number, proof) in by_chapter if chapter in (None, number)}


def titles(chapter: int | None = None) -> dict[str, str]:
    """What each proof shows, by name, without building it."""
    return {name: _title(proof) for name, proof in derivations(chapter).items()}


def code() -> dict[str, str]:
    """The proofs that the library implements, and where: {"gaussian_kl": "gaussian.Gaussian.kl", …}."""
    return dict(CODE)
