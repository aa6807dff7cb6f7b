"""The Vietnamese edition: each page the same as the English one in all but words, and no word left out.

A change on one side alone is found: each kind is planted here, and seen.
"""

from __future__ import annotations

import functools
import html
import importlib
import json
import re
import shutil
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pytest
from lowerbound import proofs
from sphinx import locale

from tools.grading.assignment import SOURCES, VIETNAMESE, Assignment
from tools.publish import editions, parity

ROOT = Path(__file__).parents[2]
EXTENSIONS = ROOT / "book" / "_ext"
sys.path.insert(0, str(EXTENSIONS))
checked, falsehoods, labs, pair, words = map(
    importlib.import_module, ("checked", "falsehoods", "labs", "editions", "words")
)

ENGLISH = editions.english()


@functools.cache
def table() -> dict[str, str]:
    entries = [entry for entry in editions.strings() if entry.id]
    return {f"{e.context}\x04{e.id}" if e.context else e.id: e.string for e in entries}


@pytest.fixture
def in_vietnamese(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The helpers as they are while the Vietnamese edition is built."""
    made = type("Catalogue", (), {"_catalog": table()})()
    monkeypatch.setitem(locale.translators, ("general", words.DOMAIN), made)
    words._table.cache_clear()
    words._forms.cache_clear()
    yield words
    words._table.cache_clear()
    words._forms.cache_clear()


# Pages


@pytest.mark.parametrize("page", ENGLISH, ids=str)
def test_a_page_and_its_translation_differ_in_words_alone(page: Path) -> None:
    other = ROOT / editions.translation(page)
    assert other.is_file(), f"{page} is not translated"
    assert [*parity.differences(ROOT / page, other), *parity.faults(other)] == []


def test_the_changelog_in_vietnamese_stands_under_the_english_headings(tmp_path: Path) -> None:
    assert editions.check([editions.CHANGES]) == {editions.CHANGES: []}
    place, own = editions.CHANGES, editions.translation(editions.CHANGES)
    (tmp_path / own).parent.mkdir(parents=True, exist_ok=True)
    for path in (place, own):
        (tmp_path / path).write_text((ROOT / path).read_text(encoding="utf-8"), encoding="utf-8")
    text = (ROOT / place).read_text(encoding="utf-8")
    dated = text.replace("(unreleased)", "(2030-01-01)", 1)
    later = dated.replace("\n## ", "\n## 9.9.9 (unreleased)\n\n## ", 1)
    (tmp_path / place).write_text(later, encoding="utf-8")
    assert editions.fingerprint(place, tmp_path) == editions.fingerprint(place)
    shown = editions.changes(tmp_path)
    assert "## 9.9.9 (chưa phát hành)" in shown
    assert "(2030-01-01)" in shown
    assert len(shown.split("\n")) == len(later.split("\n"))
    (tmp_path / place).write_text(text.replace("\n- ", "\n- One more.\n- ", 1), encoding="utf-8")
    found = editions.check([place], tmp_path)[place]
    assert "in English" in "".join(found)
    (tmp_path / place).write_text(text.replace("`make grade`", "`make marks`"), encoding="utf-8")
    assert "names other code" in editions.check([place], tmp_path)[place][0]
    assert editions.fingerprint(place, tmp_path) != editions.fingerprint(place)


def test_every_translation_is_of_a_page() -> None:
    folders = ("book/vi/*.md", "notebooks/vi/*.ipynb", "notebooks/vi/assignments/*.ipynb")
    found = {path.relative_to(ROOT) for pattern in folders for path in ROOT.glob(pattern)}
    assert found == set(map(editions.translation, ENGLISH))


def test_every_translation_is_of_the_text_as_it_is_now() -> None:
    assert editions.stale() == [], (
        "bring the translation up to date; then `python -m tools.publish.editions record`"
    )


# What is planted in a translation, as a pattern and what takes its place, and the kind that is named.
PLANTED = {
    "a label renamed": ("book/01_elbo.md", r"^\(sec-elbo\)=", "(sec-elbo-2)=", "labels"),
    "a heading one level down": ("book/01_elbo.md", r"^## ", "### ", "levels of headings"),
    "a derivation exchanged": ("book/01_elbo.md", r"\{derivation\} elbo$", "{derivation} kl", "directives"),
    "an exercise dropped": ("book/01_elbo.md", r"^`{3,}\{exercise\}.*\n", "", "directives"),
    "an equation's label": ("book/01_elbo.md", r"^:label: (\S+)", r":label: \1-2", "options"),
    "minutes of the lecture": ("book/01_elbo.md", r"\{lecture\}`01:36", "{lecture}`01:37", "roles"),
    "a reference to a claim": ("book/02_vae.md", r"(\{ref\}`[^`]*)sec-claims", r"\1sec-clinic", "roles"),
    "a note of a lab": ("book/05_comparison.md", r"\{lab\}`05_comparison:", "{lab}`04_reverse:", "roles"),
    "a displayed formula": ("book/02_vae.md", r"^\$\$\n", "$$\n2 ", "displayed formulas"),
    "a formula in a line": ("book/02_vae.md", r"\$z\$", "$x$", "formulas"),
    "a line of a program": ("book/symbolic.md", r"^```python\n", "```python\nx = 1\n", "programs"),
    "a name in code letters": ("book/checked.md", r"`make ", "`cmake ", "names in code letters"),
    "a link": ("book/checked.md", r"\]\(http", "](ftp", "links"),
    "an item of a list": ("book/checked.md", r"^1\. ", "", "list items"),
    "a row of a table": ("book/05_comparison.md", r"^\|.*\|\n(?!\|[-: |]*\n)(?=\|)", "", "table rows"),
    "a number": ("book/performance.md", r"(?<![\d.`{:-])2(?![\d.`}])", "3", "numbers"),
    "a cell of code": ("notebooks/01_elbo.ipynb", r'"import torch', '"import torch as t', "code cells"),
    "an output": ("notebooks/01_elbo.ipynb", r"−2\.266", "−2.267", "code cells"),
    "letters that are not in NFC": ("book/index.md", "ế", unicodedata.normalize("NFD", "ế"), "NFC"),
    "a tone on the other letter": ("book/02_vae.md", "hoá", "hóa", "the tone of"),
}  # fmt: skip


@pytest.fixture
def edition(tmp_path: Path) -> Callable[[str], tuple[Path, Path]]:
    """A page and its translation in a folder of their own."""

    def copied(name: str) -> tuple[Path, Path]:
        page = Path(name)
        for path in (page, editions.translation(page)):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, tmp_path / path)
        return tmp_path / page, tmp_path / editions.translation(page)

    return copied


@pytest.mark.parametrize("kind", PLANTED)
def test_a_change_on_one_side_is_found(kind: str, edition: Callable[[str], tuple[Path, Path]]) -> None:
    name, pattern, new, said = PLANTED[kind]
    page, other = edition(name)
    text, count = re.subn(pattern, new, other.read_text(encoding="utf-8"), count=1, flags=re.M)
    assert count == 1, "nothing was planted"
    other.write_text(text, encoding="utf-8")
    assert any(said in line for line in [*parity.differences(page, other), *parity.faults(other)])


def test_what_only_a_translation_has_is_a_section_at_its_end(edition: Any) -> None:
    page, other = edition("book/glossary.md")
    text = other.read_text(encoding="utf-8")
    before, label, after = text.partition("(only-vi-terms)=\n")
    assert "lịch trình nhiễu" in after
    other.write_text(before + after, encoding="utf-8")
    assert any(line.startswith("levels of headings") for line in parity.differences(page, other))
    other.write_text(text.replace("hoá (*regularisation*)", "hóa (*regularisation*)"), encoding="utf-8")
    assert parity.faults(other) == ["the tone of 'hóa' stands on the other letter"]
    other.write_text(before.replace("$x_T$", "$x_t$", 1) + label + after, encoding="utf-8")
    assert any(line.startswith("formulas") for line in parity.differences(page, other))


def test_a_change_of_the_english_text_is_found(edition: Any, tmp_path: Path) -> None:
    page, _ = edition("book/index.md")
    editions.record([Path("book/index.md")], tmp_path)
    assert editions.stale(tmp_path) == []
    page.write_text(page.read_text(encoding="utf-8") + "\nOne more sentence.\n", encoding="utf-8")
    assert editions.stale(tmp_path) == ["book/index.md has changed since it was translated"]


def test_cells_that_parted_are_copied_again(edition: Any, tmp_path: Path) -> None:
    _, other = edition("notebooks/01_elbo.ipynb")
    before = other.read_text(encoding="utf-8")
    notebook = json.loads(before)
    next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")["source"] = ["x = 1"]
    other.write_text(json.dumps(notebook), encoding="utf-8")
    assert editions.copy_cells(Path("notebooks/01_elbo.ipynb"), tmp_path)
    assert json.loads(other.read_text(encoding="utf-8")) == json.loads(before)
    assert not editions.copy_cells(Path("notebooks/01_elbo.ipynb"), tmp_path)


# Words


@functools.cache
def checked_proofs() -> dict[str, Any]:
    """What is printed of each derivation: as the build has kept it, or checked here."""
    kept = checked.stored(ROOT / "_build" / checked.KEPT)
    return {name: kept.get(name) or checked.check(name) for name in proofs.derivations()}


def in_english(text: str) -> bool:
    """Whether a reader would see English: words, outside formulas, that the table has not."""
    bare = re.sub(r"\$[^$]*\$", "", text)
    return bool(re.search(r"[A-Za-z]{2,}", bare)) and words.in_words(text) == text and text not in table()


def test_every_reason_and_title_of_a_derivation_has_its_words(in_vietnamese: Any) -> None:
    missing = set()
    for proof in checked_proofs().values():
        said = [proof.title, *proof.reasons, *proof.how, *proof.axioms]
        said += re.findall(r"\\text\{((?:[^{}]|\{[^{}]*\})*)\}", proof.latex + proof.statement)
        missing |= set(filter(in_english, said))
    assert missing == set()


def test_every_kind_of_line_that_is_tried_has_its_words(in_vietnamese: Any) -> None:
    lines = falsehoods.table(ROOT)
    missing = set()
    for entries, most in ((lines.FALSE, 4), (lines.TRUE, 3)):  # as many as the page shows
        for kind, names in falsehoods.rows(entries):
            missing |= set(filter(in_english, [kind, *names[:most]]))
    assert missing == set()


SAID_IN_A_PLAYER = re.compile(
    r'<summary>(.*?)</summary>|(?:<img alt|aria-label)="([^"]*)"|class="player-end">(.*?)<'
)


def test_every_figure_and_note_of_a_lab_has_its_words(in_vietnamese: Any) -> None:
    missing = set()
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            for output in cell.get("outputs", []):
                about = output.get("metadata", {}).get("lowerbound", {})
                if "alt" in about:
                    player = "".join(output["data"].get("text/html", ""))
                    labels = SAID_IN_A_PLAYER.findall(player)
                    said = [about["alt"], *("".join(label) for label in labels)]
                elif about:
                    said = ["".join(output["data"]["text/plain"]).partition(": ")[2]]
                else:
                    continue
                missing |= {text for text in said if text != "exactly" and in_english(_plain(text))}
    assert missing == set()


def _plain(text: str) -> str:
    """A label as it is looked up; one of letters and numbers alone is the same in both languages."""
    text = html.unescape(text)
    return "" if re.fullmatch(r"(?:q: m = .*)|[a-zβσT]\b.{0,12}", text) else text


SAID = re.compile(r'\btranslated\(\s*((?:f?"(?:[^"\\]|\\.)*"\s*)+)')
SAID_BY_SCRIPTS = re.compile(r'\bword\(\s*"((?:[^"\\]|\\.)*)"')


def test_everything_that_helpers_and_scripts_say_is_in_the_table() -> None:
    said = set()
    for path in EXTENSIONS.glob("*.py"):
        for found in SAID.findall(path.read_text(encoding="utf-8")):
            said.add("".join(re.findall(r'"((?:[^"\\]|\\.)*)"', found)))
    scripts = [*(ROOT / "book" / "_static").glob("*.js"), *(ROOT / "book" / "_static" / "sheet").glob("*.js")]
    by_scripts = {
        text for path in scripts for text in SAID_BY_SCRIPTS.findall(path.read_text(encoding="utf-8"))
    }
    assert len(said) > 30
    assert len(by_scripts) > 30
    assert said | by_scripts <= set(table())
    known = {entry.id for entry in editions.strings() if any(f.endswith(".js") for f, _ in entry.locations)}
    assert by_scripts <= known, "entries for scripts lack the reference to one"


def test_the_table_has_the_same_fields_and_formulas_on_both_sides() -> None:
    parts = re.compile(r"\{[a-z]{2,}\}|\$[^$]+\$|%s|%\(\w+\)s")
    parted = {
        key: own for key, own in table().items() if sorted(parts.findall(key)) != sorted(parts.findall(own))
    }
    assert parted == {}
    assert [key for key, own in table().items() if not own or own != unicodedata.normalize("NFC", own)] == []
    misplaced = [found for own in table().values() for found in parity.MISPLACED.findall(own)]
    assert misplaced == []


def test_a_text_is_found_by_its_form_and_formulas_stay(in_vietnamese: Any) -> None:
    said = words.in_words
    assert said("4.11 ± 0.03 (1,500 test images)") == "4.11 ± 0.03 (1,500 ảnh kiểm tra)"
    assert said("910 to 1,140 (5 sets of draws)") == "910 đến 1,140 (5 bộ lần rút)"
    assert said("this to that") == "this to that", "only numbers fill the field of a number"
    assert (
        said("algebra, and numbers in 16 random models")
        == "đại số, và các con số trong 16 mô hình ngẫu nhiên"
    )
    assert words.in_formula(r"a &= b && \text{$\mathbb{E}$ is linear}") == (
        r"a &= b && \text{$\mathbb{E}$ có tính tuyến tính}"
    )
    assert words.in_formula(r"\frac{a}{b}") == r"\frac{a}{b}"


def test_in_english_every_text_stays_as_it_is() -> None:
    assert words.in_words("product rule") == "product rule"
    assert words.in_formula(r"\text{product rule}") == r"\text{product rule}"


# The staged edition, and the assignments


def test_the_settings_are_the_english_ones_but_for_the_language() -> None:
    told = editions.settings()
    assert told["sphinx"]["config"]["language"] == "vi"
    assert told["sphinx"]["config"]["numfig"] is True
    done = told["sphinx"]["config"]["lowerbound_translated"]
    assert set(done) == {str(page.with_suffix("")) for page in editions.pages()}
    assert all((ROOT / path).is_file() for path in done.values())
    captions = [part["caption"] for part in editions.contents()["parts"]]
    assert captions[0] == "Bài giảng"


def test_a_notebook_opens_on_colab_in_its_own_language() -> None:
    settings = editions.settings()
    options = {
        "repository_url": "https://github.com/a/b", "repository_branch": "main",
        "launch_buttons": {"colab_url": "https://colab"},
    }  # fmt: skip
    config = type("Config", (), {"html_theme_options": options})()
    assert labs.colab(config, "notebooks/01_elbo").endswith("/main/notebooks/01_elbo.ipynb")
    config.lowerbound_translated = settings["sphinx"]["config"]["lowerbound_translated"]
    assert labs.colab(config, "notebooks/01_elbo").endswith("/main/notebooks/vi/01_elbo.ipynb")


@pytest.mark.parametrize("source", sorted(VIETNAMESE.glob("*.ipynb")), ids=lambda path: path.stem)
def test_the_student_version_is_up_to_date_and_graded_by_the_english_source(source: Path) -> None:
    stored = (VIETNAMESE / "student" / source.name).read_text(encoding="utf-8")
    assert stored == nbformat.writes(Assignment(source).released) + "\n", "run `make assignments`"
    own, english = Assignment(source), Assignment(SOURCES / source.name)
    names = [(cell.id, cell.kind, cell.points) for cell in english.cells]
    assert [(cell.id, cell.kind, cell.points) for cell in own.cells] == names


HOME = "https://example.org/book/"
BOTH = {"en": f"{HOME}a/b.html", "vi": f"{HOME}vi/a/b.html", "x-default": f"{HOME}a/b.html"}
IN_THE_HEAD = {("en", HOME): BOTH, ("vi", f"{HOME}vi/"): BOTH, ("en", ""): {}, ("vi", ""): {}}


@pytest.mark.parametrize(("language", "base"), IN_THE_HEAD)
def test_the_head_of_a_page_names_both_editions_by_whole_addresses_or_not(language: str, base: str) -> None:
    translated, context = {"a/b": "book/vi/b.md"}, dict[str, Any]()
    config = SimpleNamespace(language=language, html_baseurl=base, lowerbound_translated=translated)
    pair.link_editions(SimpleNamespace(config=config, srcdir=ROOT), "a/b", "", context, None)
    named = re.findall(r'rel="alternate" hreflang="(.+?)" href="(.+?)"', context.get("metatags", ""))
    assert dict(named) == IN_THE_HEAD[language, base]
    assert context["other_edition"]["uri"] == ("../vi/a/b.html" if language == "en" else "../../a/b.html")
