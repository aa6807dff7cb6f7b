"""The sentence about the engine in the pages says so when the engine has changed since it was compared."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "book" / "_ext"))
import sheets  # noqa: E402

SAME = "The engine is still the same."
CHANGED = "The engine has changed since, and has not been compared again."


def said(folder: Path, engine: str) -> str:
    (folder / "results").mkdir(exist_ok=True)
    (folder / "results" / f"{engine}.json").write_text(json.dumps({"how": {"engine": engine}}), "utf-8")
    noted: list[str] = []
    env: Any = SimpleNamespace(srcdir=str(folder), note_dependency=noted.append)
    text = sheets.since(env, f"{engine}.json")
    assert any(name.endswith("checking.py") for name in noted)  # when it changes, the page is made again
    return text


def test_a_measured_engine_is_known_again(tmp_path: Path) -> None:
    assert said(tmp_path, sheets.fingerprint()) == SAME
    assert said(tmp_path, "0" * 16) == CHANGED


@pytest.mark.parametrize("kind", ["file", "name", "version"])
def test_an_engine_that_has_changed_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    before = sheets.fingerprint()
    files = dict(sheets.sources())
    name = "lowerbound/symbolic/checking.py"
    if kind == "version":
        monkeypatch.setattr(sheets, "version", lambda package: "0")
    elif kind == "file":
        changed = tmp_path / "checking.py"
        changed.write_bytes(files[name].read_bytes() + b"\n")
        files[name] = changed
    else:
        del files[name]
    monkeypatch.setattr(sheets, "sources", lambda: iter(files.items()))
    if kind == "name":
        assert sheets.fingerprint() != before
        return
    assert said(tmp_path, before) == CHANGED


def test_the_translations_of_messages_are_no_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = sheets.fingerprint()
    own = [pair for pair in sheets.sources() if not pair[0].startswith("lowerbound/assets/")]
    monkeypatch.setattr(sheets, "sources", lambda: iter(own))
    assert sheets.fingerprint() == before
