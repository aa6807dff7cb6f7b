"""Which derivations there are: each is a function that returns a `Derivation`, marked with `@derivation`."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from ..symbolic import Derivation, as_written

Proof = Callable[[], Derivation]
_PROOFS: dict[str, tuple[int, Proof]] = {}


def derivation(chapter: int, lecture: str = "") -> Callable[[Proof], Proof]:
    """Register a proof under its function's name, with its chapter and the minutes of the lecture it covers.

    The function runs with expressions kept as written. The first line of its docstring becomes the title.
    """

    def register(proof: Proof) -> Proof:
        @wraps(proof)
        def build() -> Derivation:
            with as_written():
                result = proof()
            result.chapter, result.lecture = chapter, lecture
            result.title = (proof.__doc__ or "").strip().splitlines()[0].rstrip(".")
            return result

        _PROOFS[proof.__name__] = chapter, build
        return build

    return register


def derivations() -> dict[str, Proof]:
    """All proofs by name, chapter by chapter. Calling one builds and checks it: `derivations()["elbo"]()`."""
    return {name: proof for name, (_, proof) in sorted(_PROOFS.items(), key=lambda item: item[1][0])}
