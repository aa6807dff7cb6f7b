"""Assignments: what students get, and what becomes of what they hand in. `python -m grading --help`."""
