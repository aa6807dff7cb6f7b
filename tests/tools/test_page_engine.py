"""The tool that asks the page's engine and Python outside the same: what it counts, and that it goes on."""

import sys

from tools.publish.page_engine import PROBLEM, ROOT, ask, compare

ECHO = """
import json, sys
for row in sys.stdin:
    if row.strip() == "deadly":
        sys.exit(1)
    print(json.dumps({"answer": row.strip().upper(), "seconds": 1}), flush=True)
"""


def test_answers_are_kept_and_a_question_that_kills_is_passed_over(tmp_path):
    names, kept = ["a: 1", "deadly", "a: 2"], tmp_path / "kept.jsonl"
    answers = ask([sys.executable, "-c", ECHO], names, kept)
    assert {name: row["answer"] for name, row in answers.items()} == {
        "a: 1": "A: 1",
        "deadly": None,
        "a: 2": "A: 2",
    }
    assert ask([sys.executable, "-c", "no Python"], names, kept) == answers


def test_each_kind_is_counted_and_what_differs_is_named():
    page = {"a: 1": "x", "a: 2": "x", "b: 1": "it took more than 20 seconds", "b: 2": None}
    outside = {"a: 1": "x", "a: 2": "y", "b: 1": "x", "b: 2": "x"}
    rows = [{name: {"answer": said} for name, said in side.items()} for side in (page, outside)]
    assert compare(*rows) == {
        "a": {"asked": 2, "same": 1, "different": ["a: 2"], "out_of_time": []},
        "b": {"asked": 2, "same": 0, "different": [], "out_of_time": ["b: 1", "b: 2"]},
    }


def test_the_problems_of_the_page_are_found():
    text = (ROOT / "book" / "sheet.md").read_text(encoding="utf-8")
    assert len(PROBLEM.findall(text)) == text.count(":class: problem") > 10
