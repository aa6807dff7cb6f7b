"""The book's table of contents, and its Sphinx extension tried on a small book of its own."""

from __future__ import annotations

import base64
import importlib
import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
EXTENSIONS = ROOT / "book" / "_ext"
sys.path.insert(0, str(EXTENSIONS))
extension = importlib.import_module("lowerbound_book")
formulas = importlib.import_module("formulas")
pictures = importlib.import_module("pictures")

STUDENT = ROOT / "notebooks" / "assignments" / "student"
TOC = re.findall(r"^\s*(?:- file|root): (\S+)", (ROOT / "_toc.yml").read_text(), re.M)


# The table of contents


@pytest.mark.parametrize("name", TOC)
def test_every_page_of_the_contents_exists(name: str) -> None:
    assert [suffix for suffix in (".md", ".ipynb") if (ROOT / f"{name}{suffix}").is_file()]


def test_every_page_is_in_the_contents() -> None:
    pages = {f"book/{path.stem}" for path in (ROOT / "book").glob("*.md")}
    labs = {f"notebooks/{path.stem}" for path in (ROOT / "notebooks").glob("*.ipynb")}
    handed_out = {f"notebooks/assignments/student/{path.stem}" for path in STUDENT.glob("*.ipynb")}
    assert pages | labs | handed_out == set(TOC)


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


def lab() -> dict[str, Any]:
    view = {"version_major": 2, "version_minor": 0, "model_id": "box"}
    slider = output("chain", "Noise turns into a shirt.", text_plain="Noise", image_png=PNG)
    slider["data"][pictures.VIEW] = view
    drawing = quote(SVG.replace('"', "'"), safe=" <>=:/;,.()'")

    def frame(mime: str, data: str, caption: str) -> dict[str, Any]:
        value = (
            f'<img class="frame" alt="Noise &amp; shirt. {caption}." width="518" style="max-width:100%" '
            f'src="data:{mime},{data}"><div>{caption}</div>'
        )
        return {"model_name": "HTMLModel", "state": {"value": value}}

    def holds(*names: str) -> dict[str, Any]:
        return {"model_name": "BoxModel", "state": {"children": [f"IPY_MODEL_{name}" for name in names]}}

    models = {
        "box": holds("controls", "stack"),
        "controls": holds("play", "handle"),
        "stack": holds("first", "second"),
        "play": {"model_name": "PlayModel", "state": {"interval": 250}},
        "handle": {"model_name": "IntSliderModel", "state": {"value": 1, "description": "t:"}},
        "first": frame("image/png;base64", PNG, "t &lt; 5"),
        "second": frame("image/svg+xml", drawing, "t 9"),
        "other": {"model_name": "FloatProgressModel", "state": {}},
    }
    outputs = [
        output("gap", text_plain=["gap: 0.35 nats: exactly"]),
        output("two-terms", "Two bars of equal height.", text_plain="Two bars", image_png=PNG),
        output("drawing", "A line.", **{"text_plain": "A line", "image_svg+xml": SVG}),
        slider,
    ]
    title = {"cell_type": "markdown", "metadata": {}, "source": "# Lab 2"}
    cell = {"cell_type": "code", "execution_count": 1, "metadata": {}, "source": "x", "outputs": outputs}
    metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "widgets": {extension.STATE: {"version_major": 2, "version_minor": 0, "state": models}},
    }
    setup = {"cell_type": "code", "execution_count": None, "metadata": {}, "source": "install", "outputs": []}
    return {"cells": [setup, title, cell], "metadata": metadata, "nbformat": 4, "nbformat_minor": 4}


def proofs_lab() -> dict[str, Any]:
    cell = {"cell_type": "markdown", "metadata": {}, "source": f"# Lab 1\n\n## {extension.PROOFS}"}
    return {"cells": [cell], "metadata": lab()["metadata"], "nbformat": 4, "nbformat_minor": 4}


PAGE = """# Page

```{results} r.json:rows
name | {name}
bits | {bits[1]:.1f}
```

It is {lab}`02_lab:gap`, or {result}`r.json:vae.bits.1:.2f` bits of {result}`r.json:vae.name`.

{lecture}`01:36-05:16`

```{labfigure} 02_lab:two-terms
:name: fig-two

Two *terms*.
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
exclude_patterns = ["_out", "jupyter_execute"]
html_theme = "basic"
myst_enable_extensions = ["deflist", "dollarmath"]
nb_execution_mode = "off"
nb_ipywidgets_js = {{}}
numfig = True
"""


class Book:
    """A book of one page and one lab, built where it can be changed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("conf.py", CONF)
        self.write(
            "index.md",
            "# Index\n\n```{minutes}\n```\n\n"
            "```{toctree}\nbook/page\nbook/lecture_map\nnotebooks/01_lab\nnotebooks/02_lab\n```\n",
        )
        self.write("book/page.md", PAGE)
        self.write(
            "book/lecture_map.md", "# Lecture map\n\n00:00–01:36\n: The aim.\n\n01:36–05:16\n: The bound.\n"
        )
        self.write("notebooks/02_lab.ipynb", json.dumps(lab()))
        self.write("notebooks/01_lab.ipynb", json.dumps(proofs_lab()))
        self.write("results/r.json", json.dumps({"vae": VAE, "rows": {"a": VAE, "b": {**VAE, "name": "B"}}}))

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        os.utime(path, (time.time() + 2, time.time() + 2))

    def build(self) -> str:
        """Build what has changed, in a process of its own. Returns the warnings."""
        command = [sys.executable, "-m", "sphinx", "-b", "html", "-n", "-N", "-q", ".", "_out"]
        done = subprocess.run(command, cwd=self.root, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stderr.replace(f"{self.root}/", "")

    def html(self, name: str = "book/page") -> str:
        return (self.root / "_out" / f"{name}.html").read_text()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Book:
    book = Book(tmp_path_factory.mktemp("book"))
    assert book.build() == ""
    return book


@pytest.fixture
def fresh(tmp_path: Path) -> Book:
    return Book(tmp_path)


def test_notes_and_results_stand_in_the_text(built: Book) -> None:
    text = re.sub(r"<[^>]+>", "", built.html())
    assert "It is 0.35 nats: exactly, or 3.14 bits of VAE." in text


def test_a_list_of_results_is_a_table(built: Book) -> None:
    cells = re.findall(r"<t[hd][ >].*?</t[hd]>", built.html(), re.S)
    cells = [re.sub(r"<[^>]+>", "", cell).strip() for cell in cells]
    assert cells == ["name", "bits", "VAE", "3.1", "B", "3.1"]


def test_lecture_minutes_link_to_their_entry_of_the_map(built: Book) -> None:
    link = r'<span class="lecture"><a [^>]*href="lecture_map.html#minute-0096"[^>]*>Lecture 01:36–05:16'
    assert re.search(link, built.html())
    assert 'id="minute-0096"' in built.html("book/lecture_map")


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
    assert pictures.DARK["#0072b2"] in dark
    assert f'<svg fill="{pictures.INK}"' in dark
    images = [tag for tag in re.findall(r"<img[^>]*>", built.html()) if "02_lab-drawing" in tag]
    assert [re.search(r'class="([^"]*)"', tag)[1] for tag in images] == ["only-light", "only-dark"]  # type: ignore[index]
    assert all('width="518"' in tag and 'height="259"' in tag for tag in images)


def test_a_slider_becomes_a_player_of_its_frames(built: Book) -> None:
    player = built.html().split('<div class="player"')[1].split("</figure>")[0]
    assert 'data-interval="250"' in player
    assert 'data-start="1"' in player
    frames = re.findall(r'<div class="frame"([^>]*)>', player)
    assert ["hidden" in frame for frame in frames] == [True, False]
    assert ['data-label="t &lt; 5"' in frames[0], 'data-label="t 9"' in frames[1]] == [True, True]
    alts = re.findall(r'alt="([^"]*)"', player)
    assert alts == ["Noise &amp; shirt. t &lt; 5.", *["Noise &amp; shirt. t 9."] * 2]
    assert (built.root / "_out/_images/02_lab-chain-00.png").read_bytes() == base64.b64decode(PNG)
    assert (built.root / "_out/_images/02_lab-chain-01-dark.svg").is_file()
    handle = re.search(r"<input[^>]*>", player)
    assert handle
    for part in ('type="range"', 'max="1"', 'value="1"', 'aria-label="t"', 'aria-valuetext="t 9"'):
        assert part in handle[0]


def test_no_page_holds_the_state_of_widgets(built: Book) -> None:
    for page in ("book/page", "notebooks/02_lab"):
        assert "FloatProgressModel" not in built.html(page)
        assert "require.js" not in built.html(page)


def test_lab_page_has_alt_texts_and_anchors(built: Book) -> None:
    page = built.html("notebooks/02_lab")
    assert any("Two bars" in tag for tag in re.findall(r"<img[^>]*>", page))
    assert 'id="lab-02-lab-two-terms"' in page
    assert 'class="player"' in page
    assert 'id="lab-02-lab-chain"' in page
    assert ">install<" not in page, "the setup cell stands before the title"
    assert ">x<" in page


def test_a_lab_links_back_to_the_figure_that_shows_its_output(built: Book) -> None:
    link = r'In the book: <a class="reference internal" href="../book/page.html#fig-two">Fig. 1</a>'
    assert re.search(link, built.html("notebooks/02_lab"))


def test_derivation_is_printed_and_numbered(built: Book) -> None:
    proofs = importlib.import_module("lowerbound.proofs")
    latex = proofs.derivations()["log_inequality"]().latex()
    block = built.html().split('id="equation-eq-log"')[1].split("</div>")[0]
    assert latex.splitlines()[1].replace("&", "&amp;") in block
    assert 'href="#equation-eq-log"' in built.html()


def test_room_is_kept_for_a_formula(built: Book) -> None:
    latex = importlib.import_module("lowerbound.proofs").derivations()["log_inequality"]().latex()
    block = built.html().split('id="equation-eq-log"')[0].rsplit("<div", 1)[1]
    known = formulas.rooms()[formulas.key(latex)]
    assert f'style="--high: {known}rem" class="math' in block
    assert f'<span style="--wide: {formulas.rooms()[formulas.key("x_0")]}em" class="math' in built.html()


def test_a_derivation_says_what_was_checked_and_links_its_lab(built: Book) -> None:
    about = re.search(r'<p class="checked">(.*?)</p>', built.html())
    assert about
    assert re.sub(r"<[^>]+>", "", about[1]) == "1 step: inequality · log_inequality · Lab 1"
    assert 'href="../notebooks/01_lab.html#change-a-proof"' in about[1]


def test_a_statement_is_printed_without_its_proof(built: Book) -> None:
    proofs = importlib.import_module("lowerbound.proofs")
    block = built.html().split('id="equation-eq-statement"')[1].split("</div>")[0]
    assert proofs.elbo_two_terms().statement().replace("&", "&amp;") in block
    assert "aligned" not in block


MISTAKES = {
    "{lab}`02_lab:gup`": "notebooks/02_lab.ipynb records no 'gup'; it has: chain, drawing, gap, two-terms",
    "{lab}`03_lab:gap`": "notebooks/03_lab.ipynb does not exist",
    "{lab}`gap`": "'gap' is not of the form STEM:key",
    "{lab}`02_lab:two-terms`": "is a figure, not a note",
    "{result}`q.json:a`": "results/q.json does not exist",
    "{result}`r.json:vae.nats`": "results/r.json has nothing at 'vae.nats' (stopped at 'nats')",
    "{result}`r.json:vae.bits.9`": "(stopped at '9')",
    "{result}`r.json:vae.bits`": "holds a list at 'vae.bits', not a number or text",
    "```{results} r.json:vae.bits\nbits | {bits}\n```": "holds no list of objects at 'vae.bits'",
    "```{results} r.json:rows\nbits | {nats}\n```": "does not fill its columns: KeyError('nats')",
    "```{results} r.json:rows\nbits\n```": 'each column must be a line "heading | format"',
    "{result}`r.json:vae.name:.2f`": "'VAE' at 'vae.name' does not take the format '.2f'",
    "{lecture}`1:36`": "lecture minutes must look like 01:36-05:16, got '1:36'",
    "```{labfigure} 02_lab:none\n\nCaption.\n```": "records no 'none'",
    "```{labfigure} 02_lab:two-terms\n```": "needs a caption",
    "```{labfigure} 02_lab:gap\n\nCaption.\n```": "02_lab:gap holds no image; use the lab role for a note",
    "```{derivation} nonsense\n```": "lowerbound.proofs has no derivation 'nonsense'",
}


def test_each_mistake_is_a_warning_with_its_line(fresh: Book) -> None:
    page, places = "# Page\n", {}
    for mistake, message in MISTAKES.items():
        places[message] = page.count("\n") + 2
        page += f"\n{mistake}\n"
    fresh.write("book/page.md", page)
    warnings = fresh.build().splitlines()
    for message, line in places.items():
        found = [warning for warning in warnings if message in warning]
        assert len(found) == 1, message
        assert f"book/page.md:{line}: WARNING" in found[0]
    assert len(warnings) == len(MISTAKES)


def without_state(notebook: dict[str, Any]) -> None:
    del notebook["metadata"]["widgets"]


def without_a_frame(notebook: dict[str, Any]) -> None:
    del notebook["metadata"]["widgets"][extension.STATE]["state"]["second"]


def with_another_frame(notebook: dict[str, Any]) -> None:
    notebook["metadata"]["widgets"][extension.STATE]["state"]["second"]["state"]["value"] = "<b>9</b>"


def with_a_broken_frame(notebook: dict[str, Any]) -> None:
    models = notebook["metadata"]["widgets"][extension.STATE]["state"]
    models["first"]["state"]["value"] = models["first"]["state"]["value"].replace("base64,", "base64,?")


@pytest.mark.parametrize("spoil", [without_state, without_a_frame, with_another_frame, with_a_broken_frame])
def test_a_slider_without_its_frames_is_a_warning(fresh: Book, spoil: Callable[[Any], None]) -> None:
    notebook = lab()
    spoil(notebook)
    fresh.write("notebooks/02_lab.ipynb", json.dumps(notebook))
    assert "stores no frames of its slider 'chain'; execute it again" in fresh.build()


def test_a_page_is_rebuilt_when_its_lab_or_result_changes(fresh: Book) -> None:
    assert fresh.build() == ""
    fresh.write("notebooks/02_lab.ipynb", json.dumps(lab()).replace("0.35 nats", "0.36 nats"))
    assert fresh.build() == ""
    assert "0.36 nats" in fresh.html()
    fresh.write("results/r.json", json.dumps({"vae": {**VAE, "bits": [3.0, 2.71]}, "rows": [VAE]}))
    assert fresh.build() == ""
    assert "2.71" in fresh.html()
