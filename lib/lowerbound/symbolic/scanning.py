"""What the readers of printed and of typed formulas share: a text, and how far it has been read."""

from __future__ import annotations

import re

import sympy as sp

NAMED = {"sin": sp.sin, "cos": sp.cos, "tan": sp.tan, "sinh": sp.sinh, "cosh": sp.cosh, "tanh": sp.tanh,
          "max": sp.Max, "min": sp.Min, "atan": sp.atan, "erf": sp.erf}  # fmt: skip


class Scanner:
    """A reader of sums from left to right. A notation says what a `product` is, and what is skipped."""

    blank = re.compile(r"\s*")

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def fail(self, says: str) -> ValueError:
        """The error for what stands here."""
        return ValueError(says)

    def rest(self) -> str:
        """What has not been read."""
        return self.text[self.at :]

    def space(self) -> None:
        """Pass what means nothing."""
        self.at += len(self.blank.match(self.rest())[0])

    def see(self, sign: str) -> bool:
        """Whether the next thing is this sign; it is passed if it is."""
        self.space()
        if not self.text.startswith(sign, self.at):
            return False
        self.at += len(sign)
        return True

    def need(self, sign: str) -> None:
        """Pass a sign that must stand here."""
        if not self.see(sign):
            found = self.rest()[:12] or "the end"
            raise self.fail(f"{sign!r} is expected here, and {found!r} stands there")

    def number(self):
        """The whole or decimal number that stands here, or None."""
        match = re.match(r"\d+(?:\.(?!\.)\d*)?", self.rest())
        if match is None:
            return None
        self.at += match.end()
        return sp.Rational(match[0]) if "." in match[0] else sp.Integer(match[0])

    def product(self):
        """The product that stands here."""
        raise NotImplementedError

    def sum(self):
        """The sum that stands here."""
        total = self.negative(self.product()) if self.see("-") else self.product()
        while True:
            if self.see("+"):
                total = total + self.product()
            elif self.see("-"):
                total = total - self.product()
            else:
                return total

    def negative(self, value):
        """Minus a value."""
        return -value

    def arguments(self, end: str) -> list:
        """Sums between commas, up to a closing sign."""
        found = [self.sum()]
        while self.see(","):
            found.append(self.sum())
        self.need(end)
        return found
