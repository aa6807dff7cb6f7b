"""Words in the labs' drawings, in Vietnamese: all of them, where they stood, and none on top of another."""

from __future__ import annotations

import functools
import importlib
import json
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
from lowerbound import figures
from sphinx import locale

from tools.publish import editions, letters

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "book" / "_ext"))
drawn_words, pictures, words = map(importlib.import_module, ("drawn_words", "pictures", "words"))
# Names, which are the same in both languages.
SAME = {"DDIM", "DPM-Solver++", "ELBO", "Heun", "KL", "VAE", "cosine", "loss"}
FORMULAS = re.compile(r"\{formula\}|log [pt]\b|KL\(|\bKL\b|\blog\b")


@functools.cache
def table() -> dict[str, str]:
    entries = [entry for entry in editions.strings() if entry.context]
    return {f"{entry.context}\x04{entry.id}": entry.string for entry in entries}


@pytest.fixture
def in_vietnamese(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A table that the helpers use, and that a test may change."""
    entries = dict(table())
    made = type("Catalogue", (), {"_catalog": entries})()
    monkeypatch.setitem(locale.translators, ("general", words.DOMAIN), made)
    monkeypatch.setattr(words, "_table", lambda: entries)
    return entries


@functools.cache
def outputs() -> dict[str, dict[str, Any]]:
    """What the labs show, by STEM:key."""
    shown = {}
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            for output in cell.get("outputs", []):
                if key := output.get("metadata", {}).get("lowerbound", {}).get("key"):
                    shown[f"{path.stem}:{key}"] = output["data"]
    return shown


@functools.cache
def drawings() -> dict[str, str]:
    """Every drawing of the labs, those of sliders by their frames."""
    found = {}
    for name, data in outputs().items():
        if pictures.SVG in data:
            found[name] = pictures.text_of(data[pictures.SVG])
        player = pictures.text_of(data.get(pictures.HTML, ""))
        for number, (_, _, mime, _, text) in enumerate(re.findall(pictures.IMAGE, player)):
            if mime == pictures.SVG:
                found[f"{name}:{number}"] = drawn_words.in_double_quotes(unquote(text))
    assert len(found) > 60
    return found


def untranslated() -> set[str]:
    """Words of drawings that a reader would see in English."""
    said = {text.key for svg in drawings().values() for text in drawn_words.texts(svg)}
    missing = {key for key in said if f"{drawn_words.CONTEXT}{key}" not in words._table()}
    return {key for key in missing - SAME if re.search(r"[A-Za-z]{2}", FORMULAS.sub("", key))}


def misplaced() -> list[str]:
    """Words that leave their drawing, touch others, shrink, or stand on a curve, where the English do not."""
    found = []
    for name, svg in drawings().items():
        drawing, boxes = drawn_words.Drawing.of(svg), []
        for text in drawn_words.texts(svg):
            own, before = drawn_words.own_words(text), text.box()
            if own is None:
                boxes.append((text.key, before, before))
                continue
            placed = text.fitted(own, drawing)
            left, top, right, bottom = placed.box
            boxes.append((own, before, placed.box))
            if min(left, top, drawing.across - right, drawing.down - bottom) < 0:
                found.append(f"{name}: {own!r} leaves the drawing")
            if placed.size < 0.9 * text.place[2]:
                found.append(f"{name}: {own!r} is set in small letters")
            if text.body["style"] and drawing.hits(placed.box) > drawing.hits(before):
                found.append(f"{name}: {own!r} stands on a curve")
        for i, (one, old, new) in enumerate(boxes):
            for other, old_too, new_too in boxes[i + 1 :]:
                if _touch(new, new_too) and not _touch(old, old_too):
                    found.append(f"{name}: {one!r} touches {other!r}")
    return found


def _touch(one: Any, other: Any) -> bool:
    (left, top, right, bottom), (x0, y0, x1, y1) = one, other
    return bool(left < x1 - 0.5 and x0 < right - 0.5 and top < y1 - 1 and y0 < bottom - 1)


def test_every_word_of_a_drawing_is_translated(in_vietnamese: dict[str, str]) -> None:
    assert untranslated() == set()
    del in_vietnamese[f"{drawn_words.CONTEXT}network calls"]
    assert untranslated() == {"network calls"}


def test_words_stand_inside_of_their_drawing_and_apart(in_vietnamese: dict[str, str]) -> None:
    assert misplaced() == []
    for key, own, said in (
        ("chord", "dây cung của đường cong logarit, một đoạn thẳng", "on a curve"),
        ("best levels, best variance", "các mức tốt nhất và cả phương sai tốt nhất", "small"),
        ("posterior, {formula} = 1", "hậu nghiệm " * 9 + "{formula}", "small"),
        ("value, nats per observation", "giá trị, tính bằng nat cho mỗi quan sát" * 2, "leaves"),
        ("distortion", "độ méo của ảnh tái tạo", "touches"),
    ):
        before = dict(in_vietnamese)
        in_vietnamese[f"{drawn_words.CONTEXT}{key}"] = own
        assert any(said in line for line in misplaced()), key
        in_vietnamese.update(before)


def test_a_text_is_read_and_written_at_its_place(in_vietnamese: dict[str, str]) -> None:
    from lowerbound.figures import display

    fig = figures.curves([0, 1], {"first": [0, 1], "second": [1, 0]}, "a slope of $x_t$, nats", "grey level")
    svg = display.svg(fig)
    read = [text.key for text in drawn_words.texts(svg)]
    assert {"a slope of {formula}, nats", "grey level", "first", "second"} <= set(read)
    assert "mức xám" not in read
    in_vietnamese[f"{drawn_words.CONTEXT}a slope of {{formula}}, nats"] = "một độ dốc của {formula}, nat"
    drawing = drawn_words.Drawing.of(svg)
    for text in drawn_words.texts(svg):
        own = drawn_words.own_words(text)
        if own:
            old, new = text.box(), text.fitted(own, drawing).box
            axis = 1 if text.body["turned"] else 0  # what stood in the middle is in the middle
            assert abs(old[axis] + old[axis + 2] - new[axis] - new[axis + 2]) < 0.1
    told = drawn_words.translated_drawing(svg)
    ElementTree.fromstring(told)
    assert told.count(drawn_words._letters()["ộ"][2]) == 2, "một độ"
    assert drawn_words._letters()["ộ"][2] not in svg
    left = [text.key for text in drawn_words.texts(told)]
    assert "first" in left
    assert "grey level" not in left
    assert re.findall(r'href="#Cm\w+-\w+"', told) == re.findall(r'href="#Cm\w+-\w+"', svg), "formulas stay"


def test_every_letter_of_the_translations_has_an_outline() -> None:
    kept = json.loads(letters.FILE.read_text(encoding="utf-8"))
    assert kept == json.loads(json.dumps(letters.table())), "run `python -m tools.publish.letters`"
    told = "".join(own for key, own in table().items() if key.startswith(drawn_words.CONTEXT))
    assert set(told.replace(drawn_words.FIELD, "")) <= set(kept)


def test_in_english_a_drawing_stays_as_it_is() -> None:
    for svg in list(drawings().values())[:5]:
        assert drawn_words.translated_drawing(svg) == svg


def test_what_words_of_a_picture_mean_is_said_of_pictures_of_points(in_vietnamese: dict[str, str]) -> None:
    named = {key.removeprefix(pictures.CONTEXT) for key in table() if key.startswith(pictures.CONTEXT)}
    points = {name for name, data in outputs().items() if pictures.PNG in data and name not in drawings()}
    points -= {name.rpartition(":")[0] for name in drawings()}
    assert named <= points
    stem, _, key = "02_vae:samples".partition(":")
    [said] = pictures.meanings(stem, key)
    assert "location: vị trí" in said.astext()
    assert pictures.meanings(stem, "no-such-picture") == []
