"""The book's table of contents, and its Sphinx extension tried on a small book of its own."""

from __future__ import annotations

import base64
import html
import importlib
import io
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from docutils import nodes
from lowerbound import proofs
from lowerbound.figures import curves, display, image_grid
from PIL import Image

ROOT = Path(__file__).parents[2]
EXTENSIONS = ROOT / "book" / "_ext"
sys.path.insert(0, str(EXTENSIONS))
dark_theme, formulas, labs, pictures, reading, tables = map(
    importlib.import_module, ("dark", "formulas", "labs", "pictures", "reading", "tables")
)

STUDENT = ROOT / "notebooks" / "assignments" / "student"
TOC = re.findall(r"^\s*(?:- file|root): (\S+)", (ROOT / "_toc.yml").read_text(), re.M)


def test_the_extension_loads_where_the_library_is_not_installed() -> None:
    """`make book` installs neither it nor torch: lib/ is put on the path once the build has begun."""
    program = "import sys; sys.modules['lowerbound'] = sys.modules['torch'] = None; import lowerbound_book"
    subprocess.run([sys.executable, "-c", program], cwd=EXTENSIONS, check=True)


def test_a_mark_moves_from_behind_its_own_formula() -> None:
    """A text behind a link is equal to the one behind the formula, and stays."""
    paragraph = nodes.paragraph("", "Move ", nodes.reference("", "Fig. 1"), nodes.Text(".\n"))
    paragraph += [nodes.Text("It is "), nodes.math("", "q"), nodes.Text(".\n")]
    paragraph += [nodes.math("", "p"), nodes.Text(".\n")]
    document = nodes.document(None, None)
    document += paragraph
    formulas.keep_together(None, document, "page")
    assert paragraph.astext() == "Move Fig. 1.\nIt is q.\np.\n"
    assert [box.astext() for box in document.findall(nodes.inline)] == ["q.", "p."]
    paragraph = nodes.paragraph("", "T rates (", nodes.math("", "L"), nodes.Text("), f("))
    paragraph += nodes.math("", "x")
    document += paragraph
    formulas.keep_together(None, document, "page")
    assert paragraph.astext() == "T rates (L), f(x"
    assert [box.astext() for box in paragraph.findall(nodes.inline)] == ["(L),"], "f( is a name's"


# The table of contents


@pytest.mark.parametrize("name", TOC)
def test_every_page_of_the_contents_exists(name: str) -> None:
    assert [suffix for suffix in (".md", ".ipynb") if (ROOT / f"{name}{suffix}").is_file()]


def test_every_page_is_in_the_contents() -> None:
    pages = {f"book/{path.stem}" for path in (ROOT / "book").glob("*.md")}
    labs = {f"notebooks/{path.stem}" for path in (ROOT / "notebooks").glob("*.ipynb")}
    handed_out = {f"notebooks/assignments/student/{path.stem}" for path in STUDENT.glob("*.ipynb")}
    assert pages | labs | handed_out == set(TOC)


# By CommonMark the line of a fence holds no other backtick: with one it is text.
NO_FENCE = re.compile(r"^ *`{3,}\{.*\}.*`.*$", re.M)


@pytest.mark.parametrize("folder", ["book", "book/vi"])
def test_a_directive_whose_title_would_make_it_text_stands_on_no_page(folder: str) -> None:
    pages = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / folder).glob("*.md")}
    assert {name: found for name, text in pages.items() if (found := NO_FENCE.findall(text))} == {}


def test_a_role_in_a_title_is_seen() -> None:
    fence = "```"
    assert NO_FENCE.findall(f"{fence}{{table}} Of {{lab}}`a:b` images\n{fence}{{table}} Of images\n") != []


def test_every_lab_has_its_chapter_and_every_chapter_its_lab() -> None:
    chapters = [name for name in TOC if re.match(r"book/\d\d_", name)]
    labs = [name for name in TOC if re.match(r"notebooks/\d\d_", name)]
    assert [name.removeprefix("book/") for name in chapters] == [
        name.removeprefix("notebooks/") for name in labs
    ]


def test_the_repository_is_named_once() -> None:
    config = (ROOT / "_config.yml").read_text()
    assert len(re.findall(r"github\.com", config)) == 1


# The extension, on a small book

PIXEL = io.BytesIO()
Image.new("RGB", (2, 2), "red").save(PIXEL, format="PNG")
PNG = base64.b64encode(PIXEL.getvalue()).decode()
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="4pt" height="2pt" viewBox="0 0 4 2">'
    '<path d="M0 0H4" style="fill: #ffffff"/><path d="M0 1H4" style="fill: none; stroke: #0072b2"/></svg>'
)


VAE = {"bits": [3.0, 3.14159], "name": "VAE"}


def output(key: str, alt: str = "", **data: Any) -> dict[str, Any]:
    about = {"lowerbound": {"key": key, "alt": alt} if alt else {"key": key}, "image/png": {"width": 518}}
    mimes = {mime.replace("_", "/"): body for mime, body in data.items()}
    return {"output_type": "display_data", "data": mimes, "metadata": about}


def player() -> str:
    """The HTML of a slider over two frames, of which the second is a drawing and comes first."""
    drawing = quote(SVG.replace('"', "'"), safe=" <>=:/;,.()'")
    images = [
        f'<img alt="Noise &amp; shirt. {label}." width="518" style="max-width:9em" src="data:image/{source}">'
        for label, source in (("t &lt; 5", f"png;base64,{PNG}"), ("t 9", f"svg+xml,{drawing}"))
    ]
    return display._player(images, ["t < 5", "t 9"], "t", 250, 1, ("image", "noise"))


def lab(slider: str = "") -> str:
    """A lab with a note, two figures and a slider, as JSON."""
    outputs = [
        output("gap", text_plain=["gap: -0.35 nats: exactly"]),
        output("bits", text_plain="bits: 4.11 ± 0.03 (1,500 test images)"),
        output("two-terms", "Two bars of equal height.", text_plain="Two bars", image_png=PNG),
        output("drawing", "A line.", **{"text_plain": "A line", "image_svg+xml": SVG}),
        output("chain", "Noise.", text_plain="Noise", image_png=PNG, text_html=slider or player()),
    ]
    outputs[1]["metadata"]["lowerbound"] |= {"n": 1500, "of": "test images", "error": 0.03}
    for place, text in ((0, "one\n"), (2, "two\n")):  # before and after the first note
        outputs.insert(place, {"output_type": "stream", "name": "stdout", "text": text})
    setup = {"cell_type": "code", "execution_count": None, "metadata": {}, "source": "install", "outputs": []}
    cell = {**setup, "execution_count": 1, "source": "x\n\n\ndef shown():\n    y", "outputs": outputs}
    return notebook(setup, {"cell_type": "markdown", "metadata": {}, "source": "# Lab 2"}, cell)


def notebook(*cells: dict[str, Any]) -> str:
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return json.dumps(
        {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 4}
    )


PROOFS_LAB = notebook({"cell_type": "markdown", "metadata": {}, "source": f"# Lab 1\n\n## {labs.PROOFS}"})
SPOILED = {
    "live": lab().replace('"text/html"', f'"{pictures.VIEW}"'),
    "empty": lab(re.sub("<img[^>]*>", "", player().replace(quote("<"), ""))),
    "foreign": lab(player().replace('src="data:image/png;base64,', 'src="frame.png?')),
    "broken": lab(player().replace("base64,", "base64,?")),
}


PAGE = """# Page

```{results} r.json:rows
name | {name}
bits | {bits[1]:.1f}
```

It costs {lab}`02_lab:bits`, so {lab}`02_lab:bits:short` bits.

It is {lab}`02_lab:gap`, or {result}`r.json:vae.bits.1:.2f` bits of {result}`r.json:vae.name`.

{lecture}`01:36-05:16`

```{labfigure} 02_lab:two-terms
:name: fig-two

Two *terms*.
```

```{labcode} 02_lab:shown
```

```{labfigure} 02_lab:drawing

A drawing.
```

```{labfigure} 02_lab:chain

A chain.
```

```{derivation} log_inequality
:label: eq-log
```

```{derivation} elbo_two_terms
:label: eq-statement
:result:
```

```{derivation} log_inequality
:label: eq-marked
:key:
```

```{derivation} elbo_two_terms
:label: eq-folded
:routine:
```

**Lecture.** {lecture}`00:10-01:36`, the aim; the bound stands at {lecture}`02:00`.

Of $x_0$, see {numref}`fig-two` and {eq}`eq-log`.

## A section

```{sidebar} Minutes
{lecture}`02:00-03:00`
```
"""


CONF = f"""
import sys
sys.path.insert(0, {str(EXTENSIONS)!r})
extensions = ["myst_nb", "lowerbound_book"]
exclude_patterns = ["_out", "jupyter_execute", "notebooks/spoiled_*"]
html_theme = "basic"
myst_enable_extensions = ["deflist", "dollarmath"]
nb_execution_mode = "off"
numfig = True
"""


MISTAKES = {
    "{lab}`02_lab:gup`": "02_lab.ipynb records no 'gup'; it has: bits, chain, drawing, gap, two-terms",
    "{lab}`03_lab:gap`": "notebooks/03_lab.ipynb does not exist",
    "{lab}`gap`": "'gap' is not of the form STEM:key",
    "{lab}`02_lab:two-terms`": "is a figure, not a note",
    "{lab}`02_lab:gap:short`": "02_lab:gap is no estimate, and has no short form",
    "{result}`q.json:a`": "results/q.json does not exist",
    "{result}`r.json:vae.nats`": "results/r.json has nothing at 'vae.nats' (stopped at 'nats')",
    "{result}`r.json:vae.bits.9`": "(stopped at '9')",
    "{result}`r.json:vae.bits`": "holds a list at 'vae.bits', not a number or text",
    "```{results} r.json:vae.bits\nbits | {bits}\n```": "holds no list of objects at 'vae.bits'",
    "```{results} r.json:rows\nbits | {nats}\n```": "does not fill its columns: KeyError('nats')",
    "```{results} r.json:rows\nbits\n```": 'each column must be a line "heading | format"',
    "{result}`r.json:vae.name:.2f`": "'VAE' at 'vae.name' does not take the format '.2f'",
    "{counted}`pages`": "nothing is counted as 'pages'; there are: numbered, printed, refused, claims, labs",
    "{lecture}`1:36`": "lecture minutes must look like 01:36-05:16, got '1:36'",
    "```{labfigure} 02_lab:none\n\nCaption.\n```": "records no 'none'",
    "```{labfigure} 02_lab:two-terms\n```": "needs a caption",
    "```{labcode} 02_lab:Nothing\n```": "02_lab.ipynb has no cell that defines 'Nothing'",
    "```{labfigure} 02_lab:gap\n\nCaption.\n```": "02_lab:gap holds no image; use the lab role for a note",
    "```{derivation} nonsense\n```": "lowerbound.proofs has no derivation 'nonsense'",
    "```{derivation} log_inequality\n:routine:\n```": "log_inequality is one line: there is nothing to fold",
} | {
    f"```{{labfigure}} spoiled_{name}:chain\n\nCaption.\n```": f"spoiled_{name}.ipynb stores no frames of"
    for name in SPOILED
}


class Book:
    """A small book, built where it can be changed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("conf.py", CONF)
        pages = (
            "book/page\nbook/mistakes\nbook/lecture_map\nnotebooks/01_lab\nnotebooks/02_lab\nnotebooks/04_lab"
        )
        self.write("index.md", f"# Index\n\n```{{minutes}}\n```\n\n```{{toctree}}\n{pages}\n```\n")
        self.write("book/page.md", PAGE)
        self.write("book/mistakes.md", "# Mistakes\n" + "".join(f"\n{mistake}\n" for mistake in MISTAKES))
        self.write(
            "book/lecture_map.md", "# Lecture map\n\n00:00–01:36\n: The aim.\n\n01:36–05:16\n: The bound.\n"
        )
        self.write("notebooks/01_lab.ipynb", PROOFS_LAB)
        self.write("notebooks/02_lab.ipynb", lab().replace("0.35 nats", "0.34 nats"))
        self.write("notebooks/04_lab.ipynb", SPOILED["broken"])
        for name, text in SPOILED.items():
            self.write(f"notebooks/spoiled_{name}.ipynb", text)
        self.write("results/r.json", json.dumps({"vae": {**VAE, "bits": [3.0, 2.71]}, "rows": [VAE]}))
        self.warnings = self.build()

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        os.utime(path, (time.time() + 2, time.time() + 2))

    def build(self) -> list[str]:
        """Build what has changed, in a process of its own. Returns the warnings."""
        command = [sys.executable, "-m", "sphinx", "-b", "html", "-n", "-N", "-q", ".", "_out"]
        done = subprocess.run(command, cwd=self.root, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stderr.replace(f"{self.root}/", "").splitlines()

    def html(self, name: str = "book/page") -> str:
        return (self.root / "_out" / f"{name}.html").read_text()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Book:
    """A book whose lab and results have changed since it was first built, and its pages have not."""
    book = Book(tmp_path_factory.mktemp("book"))
    before = book.html()
    assert "0.34 nats" in before
    assert "2.71" in before
    book.write("notebooks/02_lab.ipynb", lab())
    book.write("results/r.json", json.dumps({"vae": VAE, "rows": {"a": VAE, "b": {**VAE, "name": "B"}}}))
    book.build()
    return book


def test_each_mistake_is_a_warning_with_its_line(built: Book) -> None:
    line = 3
    for mistake, message in MISTAKES.items():
        warnings = [warning for warning in built.warnings if message in warning and "mistakes" in warning]
        assert len(warnings) == 1, message
        assert warnings[0].startswith(f"book/mistakes.md:{line}: WARNING: ")
        line += mistake.count("\n") + 2
    [other] = [warning for warning in built.warnings if "mistakes" not in warning]
    assert other.startswith("notebooks/04_lab.ipynb: WARNING: notebooks/04_lab.ipynb stores no frames")


def test_notes_and_results_stand_in_the_text_and_follow_their_files(built: Book) -> None:
    text = re.sub(r"<[^>]+>", "", built.html())
    assert "It is −0.35 nats: exactly, or 3.14 bits of VAE." in text


def test_an_estimate_stands_in_the_text_with_its_error_and_how_many(built: Book) -> None:
    text = re.sub(r"<[^>]+>", "", built.html())
    assert "It costs 4.11 ± 0.03 (1,500 test images), so 4.11 ± 0.03 bits." in text


def test_the_cell_that_defines_a_name_stands_on_a_page(built: Book) -> None:
    code = next(part for part in built.html().split("<pre>") if "shown" in part).split("</pre>")[0]
    assert re.sub(r"<[^>]+>", "", code).strip() == "x\n\n\ndef shown():\n    y"


def test_a_list_of_results_is_a_table(built: Book) -> None:
    cells = re.findall(r"<t[hd][ >].*?</t[hd]>", built.html(), re.S)
    cells = [re.sub(r"<[^>]+>", "", cell).strip() for cell in cells]
    assert cells == ["name", "bits", "VAE", "3.1", "B", "3.1"]


def test_lecture_minutes_link_to_their_entry_of_the_map(built: Book) -> None:
    link = r'<span class="lecture"><a [^>]*href="lecture_map.html#minute-0096"[^>]*>Lecture 01:36–05:16'
    assert re.search(link, built.html())
    assert 'id="minute-0096"' in built.html("book/lecture_map")


def test_minutes_in_a_sentence_are_no_tag_and_do_not_say_lecture_again(built: Book) -> None:
    plain = re.findall(r'<span class="minutes-plain"><a [^>]*#(minute-\d+)"[^>]*>([^<]*)</a>', built.html())
    assert plain == [("minute-0000", "00:10–01:36"), ("minute-0096", "02:00")]


def test_minutes_in_a_margin_are_listed_with_their_section(built: Book) -> None:
    row = r'<span class="minutes-time">02:00–03:00</span> <a [^>]*href="([^"]*)"><?.*?A section'
    lists = {page: re.findall(row, built.html(page)) for page in ("index", "book/lecture_map")}
    assert lists == {"index": ["book/page.html#a-section"], "book/lecture_map": ["page.html#a-section"]}
    early, late = built.html("book/lecture_map").split('id="minute-0096"')
    assert "A section" not in early.split("<article")[-1].split("minute-0000")[1]
    assert "A section" in late


def test_figure_has_picture_alt_text_number_caption_and_link(built: Book) -> None:
    figure = next(f for f in built.html().split("<figure")[1:] if 'id="fig-two"' in f).split("</figure>")[0]
    assert 'alt="Two bars of equal height."' in figure
    assert 'width="518"' in figure
    assert 'height="518"' in figure
    assert 'loading="lazy"' in figure
    assert "Fig. 1" in figure
    assert "Two <em>terms</em>." in figure
    assert 'href="../notebooks/02_lab.html#lab-02-lab-two-terms"' in figure
    assert (built.root / "_out/_images/02_lab-two-terms.png").read_bytes() == base64.b64decode(PNG)
    assert 'href="#fig-two"' in built.html()


def test_a_drawing_comes_in_the_colours_of_both_themes(built: Book) -> None:
    light, dark = (
        (built.root / f"_out/_images/02_lab-drawing-{theme}.svg").read_text() for theme in ("light", "dark")
    )
    assert "#ffffff" not in light, "a drawing stands on the page itself"
    assert "stroke: #0072b2" in light
    assert dark_theme.DARK["#0072b2"] in dark
    assert f'<svg fill="{dark_theme.INK}"' in dark
    images = [tag for tag in re.findall(r"<img[^>]*>", built.html()) if "02_lab-drawing" in tag]
    assert [re.search(r'class="([^"]*)"', tag)[1] for tag in images] == ["only-light", "only-dark"]  # type: ignore[index]
    assert all('width="518"' in tag and 'height="259"' in tag for tag in images)


def test_the_names_of_curves_can_be_read_in_the_dark_theme() -> None:
    from lowerbound.figures.names import WRITTEN

    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for colour in WRITTEN.values():
        shown = dark_theme.DARK.get(colour, colour)
        assert (light(shown) + 0.05) / (light(dark_theme.PAPER) + 0.05) >= 4.5, f"{colour} becomes {shown}"


def test_a_slider_becomes_a_player_of_its_frames(built: Book) -> None:
    player = built.html().split('<div class="player"')[1].split("</figure>")[0]
    assert 'data-interval="250"' in player
    assert re.findall(r'<details class="frame" (\w+)><summary>(.*?)</summary>', player) == [
        ("hidden", "t &lt; 5"),
        ("open", "t 9"),
    ]
    assert player.count("</details>") == 2
    alts = re.findall(r'alt="([^"]*)"', player)
    assert alts == ["Noise &amp; shirt. t &lt; 5.", *["Noise &amp; shirt. t 9."] * 2]
    assert (built.root / "_out/_images/02_lab-chain-00.png").read_bytes() == base64.b64decode(PNG)
    assert (built.root / "_out/_images/02_lab-chain-01-dark.svg").is_file()
    assert "data:image" not in player, "images are files of their own, fetched when they are asked for"
    for part in ('type="range"', 'max="1"', 'value="1"', 'aria-label="t"', 'aria-valuetext="t 9"'):
        assert part in player.split("<input")[1].split("<output>")[0]
    assert re.findall(r'<span class="player-end">(.*?)</span>', player) == ["image", "noise"]


def test_no_page_wants_the_scripts_of_widgets(built: Book) -> None:
    for page in ("book/page", "notebooks/02_lab"):
        assert "require.js" not in built.html(page)
        assert "jupyter-widgets" not in built.html(page)


def test_lab_page_has_alt_texts_and_anchors(built: Book) -> None:
    page = built.html("notebooks/02_lab")
    assert any("Two bars" in tag for tag in re.findall(r"<img[^>]*>", page))
    assert 'id="lab-02-lab-two-terms"' in page
    assert 'class="player"' in page
    assert 'id="lab-02-lab-chain"' in page
    assert ">install<" not in page, "the setup cell stands before the title"
    assert ">x</span>" in page or ">x<" in page


def test_notes_of_a_lab_are_one_folded_list(built: Book) -> None:
    page = built.html("notebooks/02_lab")
    notes = page.split("<details class='notes'>")[1].split("</details>")[0]
    assert "<summary>For the chapter: 2 numbers</summary>" in notes
    text = re.sub(r"<[^>]+>", "", notes)
    assert "gap -0.35 nats: exactly" in text
    assert "bits 4.11 ± 0.03" in text
    assert "gap: -0.35" not in page, "a note in a box of its own"


def test_what_a_cell_prints_around_a_note_is_one_box(built: Book) -> None:
    page = built.html("notebooks/02_lab")
    printed = re.findall(r'<div class="output stream.*?</div>', page, re.DOTALL)
    assert [re.sub(r"<[^>]+>", "", box).split() for box in printed] == [["one", "two"]]


def test_a_lab_links_back_to_the_figure_that_shows_its_output(built: Book) -> None:
    link = r'In the book: <a class="reference internal" href="../book/page.html#fig-two">Fig. 1</a>'
    assert re.search(link, built.html("notebooks/02_lab"))


def test_derivation_is_printed_and_numbered(built: Book) -> None:
    latex = proofs.derivations()["log_inequality"]().latex()
    block = built.html().split('id="equation-eq-log"')[1].split("</div>")[0]
    assert latex.splitlines()[1].replace("&", "&amp;") in block
    assert 'href="#equation-eq-log"' in built.html()


def test_room_is_kept_for_a_formula(built: Book) -> None:
    latex = proofs.derivations()["log_inequality"]().latex()
    block = built.html().split('id="equation-eq-log"')[0].rsplit("<div", 1)[1]
    sizes = formulas.formula_sizes()
    desk, phone = sizes[formulas.key(latex)]
    assert f'style="--high: {desk}rem; --high-on-a-phone: {phone}rem" class="math' in block
    assert f'<span style="--wide: {sizes[formulas.key("x_0")]}em" class="math' in built.html()


def test_a_derivation_says_what_was_checked_and_links_its_lab(built: Book) -> None:
    about = re.search(r'<p class="checked">(.*?)</p>', built.html())
    assert about
    assert re.sub(r"<[^>]+>", "", about[1]) == "1 step: inequality · log_inequality · Lab 1"
    assert 'href="../notebooks/01_lab.html#change-a-proof"' in about[1]


def test_a_key_equation_says_that_it_is_one(built: Book) -> None:
    parts = built.html().split('<p class="key-name">Key equation</p>')
    assert len(parts) == 2
    assert 'class="derivation key-equation' in parts[0].rsplit("<div", 1)[1]
    assert 'id="equation-eq-marked"' in parts[1].split('class="derivation')[0]


def test_a_routine_derivation_has_its_lines_and_a_button_with_its_statement(built: Book) -> None:
    block = built.html().split('id="equation-eq-folded"')[1].split("</details>")[0]
    proof = proofs.elbo_two_terms()
    assert proof.latex().splitlines()[1].replace("&", "&amp;") in block, "its lines, also without a script"
    button = re.search(r'<button type="button" class="unfold"[^>]*data-tex="([^"]*)" hidden>([^<]*)<', block)
    assert button
    assert html.unescape(button[1]) == proof.statement()
    assert button[2] == f"The {len(proof.steps)} lines"


def test_key_equations_are_not_folded() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "book").glob("0*.md")]
    directive = re.compile(r"^```\{derivation\} \w+\n((?::.*\n)*)", re.M)
    options = [found for text in texts for found in directive.findall(text)]
    assert sum(":routine:" in each for each in options) > 40
    assert [each for each in options if ":routine:" in each and (":key:" in each or ":result:" in each)] == []


def test_the_key_equations_of_the_book_are_few() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "book").glob("0*.md")]
    marked = [
        name
        for text in texts
        for name in re.findall(r"^```\{derivation\} (\w+)\n(?::.*\n)*:key:$", text, re.M)
    ]
    assert 5 <= len(marked) <= 8, marked
    sheet = (ROOT / "book" / "cheat_sheet.md").read_text(encoding="utf-8")
    assert [name for name in marked if f"{{derivation}} {name}\n" not in sheet] == []


def test_a_statement_is_printed_without_its_proof(built: Book) -> None:
    block = built.html().split('id="equation-eq-statement"')[1].split("</div>")[0]
    assert proofs.elbo_two_terms().statement().replace("&", "&amp;") in block
    assert "aligned" not in block


def test_photographs_stay_and_what_is_around_them_is_dark() -> None:
    photo = np.full((1, 8, 8), -1.0)
    photo[0, 2:5, 2:5] = 1.0  # white on black, as a garment
    fig = image_grid(np.repeat(photo, 2, 0), col_labels=["one", "two"])
    light = display.png(fig)
    seen, was = (
        np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
        for data in (light, dark_theme.dark_png(light))
    )
    page = np.array([int(dark_theme.PAPER[i : i + 2], 16) for i in (1, 3, 5)])
    assert (was[0, 0] == page).all(), "the paper"
    same = (seen == was).all(2)
    assert same.mean() > 0.4, "the photographs"
    assert (was[~same].mean(1) < 240).all(), "white is left around them"
    bare = display.png(curves([0, 1], {"a": [0, 1]}, "x", "y"))
    drawn = np.asarray(Image.open(io.BytesIO(dark_theme.dark_png(bare))).convert("RGB")).astype(int)
    assert (drawn.mean(2) < 100).mean() > 0.9, "a drawing has no photograph"
    assert dark_theme.dark_png(PIXEL.getvalue()) is None, "no palette"


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        (["0.9", "0.81", "—"], True),
        (["4.1 ± 0.3", "12.25 ± 0.01"], True),
        (["12 (1)", "30 (2.5)"], True),
        (["0.1 and 0.2", "1 to 3"], True),
        (["0.78–0.80", "–", "12"], True),
        (["93 %", "all 200"], True),
        (["1.2 M", "300"], True),
        (["2.14.0", "3.1.2"], False),
        (["DDIM", "Heun", "2"], False),
        (["3 calls", "4 calls"], False),
        (["1", "learned from the data"], False),
        ([""], False),
    ],
)
def test_a_column_of_numbers_is_known(texts: list[str], numbers: bool) -> None:
    assert tables.holds_figures(texts) == numbers


def test_reading_is_counted() -> None:
    text = nodes.paragraph("", " ".join(["word"] * 400))
    formula = nodes.math_block("", r"a \\ b \\ c \\ d")
    folded = nodes.admonition("", nodes.paragraph("", "word " * 900), classes=["dropdown"])
    program = nodes.literal_block("", "\n".join(["line"] * 20))
    assert reading.count(nodes.section("", text)) == pytest.approx(2)
    assert reading.count(nodes.section("", text, formula, program, folded)) == pytest.approx(2 + 2 + 2)
    assert [reading.in_words(minutes).replace("\u00a0", " ") for minutes in (1, 58, 61, 128, 120)] == [
        "5 min", "1 h", "1 h", "2 h 10 min", "2 h",
    ]  # fmt: skip
