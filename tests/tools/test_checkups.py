"""The tool that plants faults in models of other libraries: its lines of the table, and what it wrote."""

import json
import re
from pathlib import Path

import pytest
import torch
from lowerbound.gaussian import Gaussian

from tools.bench import checkups
from tools.reproduce.fault_table import FAULTS

ROOT = Path(__file__).parents[2]
FOUND = json.loads((ROOT / "results" / "checkups.json").read_text(encoding="utf-8"))["libraries"]
PAGE = (ROOT / "book" / "clinic.md").read_text(encoding="utf-8")


def test_the_errors_it_plants_here_are_lines_of_the_table():
    assert checkups.OWN.keys() <= {fault.name for fault in FAULTS}


def test_an_error_is_planted_and_taken_back():
    fault = next(fault for fault in FAULTS if fault.name == "KL without its half")
    q = Gaussian(torch.ones(1, 2), torch.zeros(1, 2))
    before = q.kl()
    with checkups.planted(fault):
        assert torch.equal(q.kl(), 2 * before)
    assert torch.equal(q.kl(), before)


@pytest.mark.parametrize("library", FOUND)
def test_the_counts_are_those_of_the_list(library):
    found = FOUND[library]
    faults = [row for row in found["list"] if row["expected"]]
    sound = [row for row in found["list"] if not row["expected"]]
    assert (len(faults), len(sound)) == (found["planted"], found["sound"])
    assert len(faults) >= 6
    for outcome in ("named", "look", "noticed", "missed"):
        assert sum(row["outcome"] == outcome for row in faults) == found[outcome]
    assert sum(bool(row["wrong"]) for row in sound) == found["false_alarms"]


@pytest.mark.parametrize("library", FOUND)
def test_what_a_fault_should_be_called_is_an_entry_of_the_page(library):
    entries = set(re.findall(r"^\((clinic-[\w-]+)\)=", PAGE, re.M))
    assert {entry for row in FOUND[library]["list"] for entry in row["expected"]} <= entries
