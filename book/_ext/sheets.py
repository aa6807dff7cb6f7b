"""The engine beside the pages, so that a reader can change a line of a proof and be answered there.

It is Pyodide, from its npm package, with sympy and the library's own `symbolic`, `proofs` and `checks` packed
from what is installed. A page asks for none of it before a reader writes on a sheet or checks one. Where npm
or the package cannot be had, the book has no such button, and the build says so.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import checked
import ledger
from docutils import nodes
from editions import CODE
from measurements import result_text
from sources import TextRole
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from words import translated

PACKAGE, VERSION = "pyodide", "314.0.7"
SHA512 = "0YvXxEhfEdpLfb/XkM2BFAeMROq0iMUX2bzzH9pOttyMcWkwq+HbE5uyuGD82LN7y2q+SNvi/6V5JEsOlD2R1A=="
STDLIB = "python_stdlib.zip"
RUNS = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", STDLIB, "pyodide-lock.json")
PACKED = ("python.zip", STDLIB)
COMPILER = Path(__file__).with_suffix(".mjs")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lowerbound"
LEFT_OUT = ("tests", "benchmarks", "testing", "__pycache__")  # folders of sympy that no proof asks for
SECONDS = 120  # that npm may take
COMPILING = 600  # seconds that Pyodide may take to compile what it loads
PLACES = "assets/places.json"  # where in the book the checks' messages point
MESSAGES = "assets/messages.*.po"  # what they say in other languages
FOLDER = "_static/sheet"
META = "lowerbound-sheet"
log = logging.getLogger(__name__)


def button(name: str) -> nodes.Node:
    """Below a derivation; book.js shows it where the engine is there."""
    return nodes.raw(
        "",
        f'<button type="button" class="change-proof" data-proof="{name}" hidden>'
        f"{translated('Change a line')}</button>",
        format="html",
    )  # fmt: skip


def package() -> Path:
    """The npm package, downloaded once and verified. Raises OSError where it cannot be had."""
    file = CACHE / f"{PACKAGE}-{VERSION}.tgz"
    if not file.is_file():
        npm = shutil.which("npm")
        if npm is None:
            raise OSError("npm is not installed")
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            command = [npm, "pack", "--silent", f"{PACKAGE}@{VERSION}", "--pack-destination", folder]
            try:
                subprocess.run(command, check=True, capture_output=True, timeout=SECONDS)
            except subprocess.SubprocessError as error:
                raise OSError(f"npm cannot fetch {PACKAGE} {VERSION} ({type(error).__name__})") from None
            os.replace(Path(folder, file.name), file)
    if base64.b64encode(hashlib.sha512(file.read_bytes()).digest()).decode() != SHA512:
        file.unlink()
        raise OSError(f"{PACKAGE} {VERSION} is not the file that this book was made with")
    return file


def sources() -> Iterator[tuple[str, Path]]:
    """What the engine runs: names in the archive, and the files."""
    for name in ("sympy", "mpmath"):
        spec = importlib.util.find_spec(name)
        assert spec is not None  # the proofs need both
        assert spec.origin is not None
        yield from _under(Path(spec.origin).parent, name)
    library = Path(ledger.proofs().__file__).parents[1]
    for name in ("__init__.py", "language.py"):
        yield f"lowerbound/{name}", library / name
    for name in ("symbolic", "proofs", "checks"):
        yield from _under(library / name, f"lowerbound/{name}")
    for file in (library / PLACES, *sorted(library.glob(MESSAGES))):
        yield f"lowerbound/assets/{file.name}", file


def _under(folder: Path, name: str) -> Iterator[tuple[str, Path]]:
    for file in sorted(folder.rglob("*.py")):
        inside = file.relative_to(folder)
        if not set(inside.parts) & set(LEFT_OUT):
            yield f"{name}/{inside.as_posix()}", file


def fingerprint() -> str:
    """Of the engine's own files, and of the packages that it runs on: another one may answer otherwise."""
    own = [file.read_bytes() for name, file in sources() if re.fullmatch(r"lowerbound/.*\.py", name)]
    versions = f"{VERSION} {version('sympy')} {version('mpmath')}"
    return hashlib.sha256(b"".join([*own, versions.encode()])).hexdigest()[:16]


def since(env: BuildEnvironment, name: str) -> str:
    """Whether a results file was made with the engine as it is now, in a sentence."""
    for inside, file in sources():
        if inside.startswith("lowerbound/"):
            env.note_dependency(str(file))
    if result_text(env, f"{name}:how.engine") == fingerprint():
        return translated("The engine is still the same.")
    return translated("The engine has changed since, and has not been compared again.")


def pack(kept: Path, engine: Path) -> tuple[Path, Path]:
    """Two archives, of the files that the engine runs and of Python's own library, in the folder `kept`.

    Where node can run the engine, its own Python compiles what it loads at its start.
    """
    files = dict(sources())
    ours = hashlib.sha256(
        b"".join(files[name].read_bytes() for name in files if name.startswith("lowerbound"))
    )
    node = shutil.which("node")
    how = hashlib.sha256(COMPILER.read_bytes()).hexdigest() if node else ""
    versions = f"{version('sympy')} {version('mpmath')} {VERSION} {how}"
    key = hashlib.sha256(f"{ours.hexdigest()} {versions}".encode()).hexdigest()[:16]
    packed = kept / f"python-{key}.zip", kept / f"stdlib-{key}.zip"
    if not all(archive.is_file() for archive in packed):
        kept.mkdir(parents=True, exist_ok=True)
        new = [archive.with_suffix(".new") for archive in packed]
        with zipfile.ZipFile(new[0], "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            for name, file in files.items():
                archive.writestr(zipfile.ZipInfo(name), file.read_bytes(), zipfile.ZIP_DEFLATED)
        shutil.copyfile(engine / STDLIB, new[1])
        if node is not None:
            compiling = [node, str(COMPILER), str(engine), *map(str, new)]
            try:
                subprocess.run(compiling, check=True, capture_output=True, timeout=COMPILING)
            except subprocess.SubprocessError as error:
                log.info("the engine beside the pages starts slowly: not compiled (%s)", type(error).__name__)
        for made, archive in zip(new, packed, strict=True):
            os.replace(made, archive)
    return packed


def find(app: Sphinx) -> None:
    """Say whether the pages have the engine beside them."""
    app.lowerbound_engine = None  # type: ignore[attr-defined]
    if app.builder.format != "html" or not (Path(app.srcdir) / "_toc.yml").is_file():
        return
    try:
        app.lowerbound_engine = package()  # type: ignore[attr-defined]
    except OSError as error:
        log.info("proofs cannot be changed in these pages: %s; the rest of the book is whole", error)


def place(app: Sphinx, error: Exception | None) -> None:
    """Write the engine, and the lines of all derivations, beside the pages."""
    if error or app.lowerbound_engine is None or app.config.language == CODE:  # type: ignore[attr-defined]
        return  # another edition asks the English one's engine
    folder = Path(app.outdir, FOLDER, "engine")
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(app.lowerbound_engine) as packed:  # type: ignore[attr-defined]
        for name in RUNS:
            member = packed.extractfile(f"package/{name}")
            assert member is not None  # the file was verified
            (folder / name).write_bytes(member.read())
    for archive, name in zip(pack(Path(app.outdir).with_name("engine"), folder), PACKED, strict=True):
        shutil.copyfile(archive, folder / name)
    lines = {
        name: {"title": proof.title, "text": proof.sheet}
        for name, proof in ((name, checked.checked(name)) for name in ledger.proofs().derivations())
    }
    size = sum((folder / name).stat().st_size for name in {*RUNS, *PACKED}) / 1e6
    told = {"megabytes": round(size, 1), "fingerprint": fingerprint()}
    (folder / "engine.json").write_text(json.dumps(told), encoding="utf-8")
    (folder / "lines.json").write_text(json.dumps(lines, ensure_ascii=False), encoding="utf-8")


def announce(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Tell the page where the engine is."""
    if app.lowerbound_engine is not None:  # type: ignore[attr-defined]
        up = "../" * (page.count("/") + 1) if app.config.language == CODE else ""
        told = f'<meta name="{META}" content="{up + FOLDER if up else context["pathto"](FOLDER, 1)}" />\n'
        context["metatags"] = context.get("metatags", "") + told


def setup(app: Sphinx) -> None:
    app.add_role("engine-since", TextRole(since))
    app.connect("builder-inited", find)
    app.connect("html-page-context", announce)
    app.connect("build-finished", place)
