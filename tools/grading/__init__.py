"""Assignments: what students get, and what becomes of what they hand in. `python -m tools.grading --help`."""
