"""One line of a derivation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

RELATIONS = {"=": "=", ">=": r"\ge", "<=": r"\le", "->": r"\longrightarrow", "~": r"\sim", ":=": ":="}


@dataclass(frozen=True)
class Step:
    """One line: how it relates to the line before, why, and what kind of check it passed.

    relation: "=", ">=", "<=", "->" (tends to), "~" (to leading order) or ":=" (is called).
    kind: "start", "definition", "algebra", "calculus", "limit" or "axiom".
    """

    expr: Any
    reason: str = ""
    relation: str = "="
    kind: str = "start"
    evidence: str = ""
    replay: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def note(self) -> str:
        """The reason as printed: an axiom says that it is one."""
        return f"axiom: {self.reason}" if self.kind == "axiom" else self.reason

    @property
    def arrow(self) -> str:
        """The relation in LaTeX."""
        if self.kind != "limit":
            return RELATIONS[self.relation]
        return (
            rf"\xrightarrow{{{self.evidence}}}"
            if self.relation == "->"
            else rf"\overset{{{self.evidence}}}{{\sim}}"
        )
