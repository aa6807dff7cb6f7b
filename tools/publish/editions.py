"""`python -m tools.publish.editions build`: the Vietnamese edition, in _build/html/vi.

Translated pages lie in book/vi and notebooks/vi. To build them, _build/vi is staged: there the translation of
a page has the name of the English one, so that every label, path and number works as it does in English. What
is not translated is the English page, and says so; all else is linked. Needs what `make book` installs, and
the English edition, built.

check   says what parts between a translation and its English page: see parity.py
cells   copies the code cells and outputs of the English notebooks
record  writes down from which English text each page was made. Where that has changed since, a test fails,
        until the translation was looked through and recorded again
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from tools.publish import ROOT
from tools.publish.parity import differences, faults

CODE = "vi"
STRINGS = Path("book", CODE, "strings.po")
MESSAGES = Path("lib", "lowerbound", "assets", f"messages.{CODE}.po")  # of the library: see language.py there
PROOFS = "lib/lowerbound/proofs"  # what these say stands on pages, too
CHANGES = Path("CHANGELOG.md")  # the Vietnamese has a line for each of its lines, without the headings
STATE = Path("book", CODE, "state.json")
OWN = Path("book", CODE, "_config.yml")
STAGE, SITE = Path("_build", CODE), Path("_build", "html")
DOMAINS = ("lowerbound", "sphinx", "booktheme", "proof", "exercise", "togglebutton")  # see book/_ext/words.py
KEPT = ("proofs.json", "places.json")  # of the English build


def english(root: Path = ROOT) -> list[Path]:
    """Every page of the English edition, below the root: chapters, labs, assignments with their solutions."""
    folders = ("book/*.md", "notebooks/*.ipynb", "notebooks/assignments/*.ipynb")
    return sorted(path.relative_to(root) for pattern in folders for path in root.glob(pattern))


def pages(root: Path = ROOT) -> list[Path]:
    """The pages of the built book: of the assignments the student versions, which are generated."""
    students = (path.relative_to(root) for path in root.glob("notebooks/assignments/student/*.ipynb"))
    return [*(page for page in english(root) if "assignments" not in page.parts), *sorted(students)]


def translation(page: Path) -> Path:
    """Where the translation of an English page lies: book/index.md at book/vi/index.md."""
    if page == CHANGES:
        return Path("book", CODE, "changelog.txt")
    return Path(page.parts[0], CODE, *page.parts[1:])


def strings(root: Path = ROOT) -> Catalog:
    """The table of words that stand in no page."""
    words, messages = (_catalogue(root / path) for path in (STRINGS, MESSAGES))
    for entry in messages:
        if any(place == PROOFS for place, _ in entry.locations):
            words[entry.id] = entry
    return words


def _catalogue(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale=CODE, abort_invalid=True)


# What a translation was made from


def fingerprint(page: Path, root: Path = ROOT) -> str:
    """A hash of what is translated of a page: its text, of a notebook that of its cells of text."""
    text = (root / page).read_text(encoding="utf-8")
    if page == CHANGES:
        text = "\n".join(_told(text))
    if page.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        text = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _told(text: str) -> list[str]:
    """The lines of the changelog that are translated: all but its headings, which have version and date."""
    return [line for line in text.split("\n") if line and not line.startswith("#")]


def changes(root: Path = ROOT) -> str:
    """The changelog in Vietnamese, under the headings of the English one."""
    text, own = ((root / place).read_text(encoding="utf-8") for place in (CHANGES, translation(CHANGES)))
    lines = dict(zip(_told(text), _told(own), strict=True))
    shown = (lines.get(line, line.replace("(unreleased)", "(chưa phát hành)")) for line in text.split("\n"))
    return "\n".join(shown)


def stale(root: Path = ROOT) -> list[str]:
    """Translations that were made from another English text, or of which it is not recorded."""
    known = json.loads((root / STATE).read_text(encoding="utf-8"))
    why = {True: "has changed since it was translated", False: "is not recorded"}
    return [
        f"{page} {why[str(page) in known]}"
        for page in [*english(root), CHANGES]
        if (root / translation(page)).is_file() and known.get(str(page)) != fingerprint(page, root)
    ]


def record(pages: list[Path], root: Path = ROOT) -> None:
    """Write down that the translations of these pages were made from the English text as it is now."""
    known = json.loads((root / STATE).read_text(encoding="utf-8")) if (root / STATE).is_file() else {}
    known |= {str(page): fingerprint(page, root) for page in pages if (root / translation(page)).is_file()}
    (root / STATE).write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n", encoding="utf-8")


def copy_cells(page: Path, root: Path = ROOT) -> bool:
    """Give a translated notebook the code cells, outputs and metadata of the English one.

    Returns whether they had parted. Raises ValueError where the two have other cells of text.
    """
    place = root / translation(page)
    told, own = (json.loads(path.read_text(encoding="utf-8")) for path in (root / page, place))
    texts = [cell["source"] for cell in own["cells"] if cell["cell_type"] == "markdown"]
    wanted = [cell for cell in told["cells"] if cell["cell_type"] == "markdown"]
    if len(texts) != len(wanted):
        raise ValueError(f"{translation(page)} has {len(texts)} cells of text, and {page} {len(wanted)}")
    for cell, text in zip(wanted, texts, strict=True):
        cell["source"] = text
    if told == own:
        return False
    place.write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return True


def check(pages: list[Path], root: Path = ROOT) -> dict[Path, list[str]]:
    """What parts between each translation and its English page, and what is wrong with its letters."""
    found = {}
    for page in pages:
        place = root / translation(page)
        if place.is_file():
            parted = _parted(root) if page == CHANGES else differences(root / page, place)
            found[page] = [*parted, *faults(place)]
    return found


def _parted(root: Path) -> list[str]:
    """What parts between the lines of the changelog: their number, and what they name in code."""
    places = (root / CHANGES, root / translation(CHANGES))
    told, own = (_told(place.read_text(encoding="utf-8")) for place in places)
    if len(told) != len(own):
        return [f"{len(own)} lines, in English {len(told)}"]
    names = re.compile(r"`[^`]*`|\]\([^)]*\)")
    return [
        f"line {number} names other code"
        for number, pair in enumerate(zip(told, own, strict=True), 1)
        if len({tuple(sorted(names.findall(line))) for line in pair}) > 1
    ]


# The staged folder


def settings(root: Path = ROOT) -> dict[str, Any]:
    """/_config.yml, and in it what book/vi/_config.yml says."""
    base, own = (yaml.safe_load((root / name).read_text(encoding="utf-8")) for name in ("_config.yml", OWN))
    told: dict[str, Any] = _joined(base, own)
    done = {
        str(page.with_suffix("")): str(translation(page))
        for page in pages(root)
        if (root / translation(page)).is_file()
    }
    told["sphinx"]["config"]["lowerbound_translated"] = done
    if told["html"]["baseurl"]:
        told["html"]["baseurl"] = told["html"]["baseurl"].rstrip("/") + f"/{CODE}/"
    return told


def _joined(base: Any, own: Any) -> Any:
    """A mapping with the entries of another in it."""
    if not (isinstance(base, dict) and isinstance(own, dict)):
        return copy.deepcopy(own)
    return base | {key: _joined(base.get(key), value) for key, value in own.items()}


def contents(root: Path = ROOT) -> dict[str, Any]:
    """The table of contents, its captions translated."""
    toc: dict[str, Any] = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    words = strings(root)
    for part in toc["parts"]:
        part["caption"] = words[part["caption"]].string
    return toc


def stage(root: Path = ROOT) -> Path:
    """Write the folder from which the edition is built; returns it. What is as it was stays untouched."""
    folder, wanted = root / STAGE, set()

    def put(place: Path, text: str | bytes) -> None:
        data = text.encode() if isinstance(text, str) else text
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink() or not path.is_file() or path.read_bytes() != data:
            path.unlink(missing_ok=True)
            path.write_bytes(data)
        wanted.add(path)

    def link(place: Path) -> None:
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        target = os.path.relpath(root / place, path.parent)
        if not path.is_symlink() or os.readlink(path) != target:
            path.unlink(missing_ok=True)
            path.symlink_to(target)
        wanted.add(path)

    for page in pages(root):
        source = translation(page) if (root / translation(page)).is_file() else page
        put(page, (root / source).read_bytes())
    for name in ("lib", "results", "tests", "tools", "CITATION.cff"):
        link(Path(name))
    put(CHANGES, changes(root))
    for path in (root / "book").iterdir():
        if path.suffix != ".md" and path.name != CODE:
            link(Path("book", path.name))
    put(Path("_config.yml"), yaml.safe_dump(settings(root), allow_unicode=True, sort_keys=False))
    put(Path("_toc.yml"), yaml.safe_dump(contents(root), allow_unicode=True, sort_keys=False))
    words = strings(root)
    for domain in DOMAINS:
        place = folder / "locale" / CODE / "LC_MESSAGES" / f"{domain}.mo"
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("wb") as file:
            write_mo(file, words)
        wanted.add(place)
    scripts = {
        entry.id: entry.string
        for entry in words
        if entry.id and entry.string and any(file.endswith(".js") for file, _ in entry.locations)
    }
    put(Path("locale", "scripts.json"), json.dumps(scripts, ensure_ascii=False, indent=0))
    for name in KEPT:
        if not (root / "_build" / name).is_file():
            raise SystemExit(
                f"_build/{name} is not there: build the English edition first, as `make book` does"
            )
    put(Path("places.json"), (root / "_build" / "places.json").read_bytes())
    put(Path("_build", "proofs.json"), (root / "_build" / "proofs.json").read_bytes())
    for path in [*folder.glob("book/*"), *folder.glob("notebooks/**/*.ipynb")]:
        if path not in wanted:
            path.unlink()  # of a page that is no more
    return folder


def build(root: Path = ROOT, quiet: bool = False) -> None:
    """Stage the edition, build it, and put it below the English one. Raises SystemExit if that fails."""
    start = time.time()
    folder = stage(root)
    jupyter_book = str(Path(sys.executable).with_name("jupyter-book"))
    options = ["-n", "-W", "--keep-going", *(["-q"] if quiet else [])]
    done = subprocess.run([jupyter_book, "build", str(folder), *options])
    if done.returncode:
        raise SystemExit(done.returncode)
    place = root / SITE / CODE
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(folder / "_build" / "html", place, copy_function=os.link)
    address = place / "index.html"
    print(f"The Vietnamese edition is ready ({time.time() - start:.0f} s): file://{address}")


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.publish.editions", description=__doc__)
    parser.add_argument("command", choices=("build", "check", "cells", "record"))
    parser.add_argument("pages", nargs="*", type=Path, help="English pages, as book/index.md; without, all")
    parser.add_argument("-q", "--quiet", action="store_true")
    args = parser.parse_args(argv)
    named = args.pages or [*english(), CHANGES]
    if args.command == "build":
        build(quiet=args.quiet)
    elif args.command == "record":
        record(named)
    elif args.command == "cells":
        notebooks = [
            page for page in named if page.suffix == ".ipynb" and (ROOT / translation(page)).is_file()
        ]
        mended = [str(translation(page)) for page in notebooks if copy_cells(page)]
        print(*(mended or ["All code cells are the English ones."]), sep="\n")
    else:
        found = check(named)
        for page, lines in found.items():
            for line in lines:
                print(f"{translation(page)}: {line}")
        parted = sum(map(bool, found.values()))
        print(f"{len(found)} of {len(named)} pages are translated, {parted} of them part.")
        return int(parted > 0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
