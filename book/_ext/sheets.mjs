// node sheets.mjs PYODIDE ARCHIVE STDLIB: in the archive of Python's files, and in that of Python's own library,
// replace what the engine loads at its start by what Pyodide's own Python compiles it to. What it may load later
// stays as it is.

import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [folder, archive, stdlib] = process.argv.slice(2).map((name) => path.resolve(name));
const { loadPyodide } = await import(pathToFileURL(path.join(folder, "pyodide.mjs")));
const python = await loadPyodide({ indexURL: folder + path.sep });
const bytes = fs.readFileSync(archive);
python.unpackArchive(new Uint8Array(bytes), "zip", { extractDir: "/lib/book" });
python.FS.writeFile("/stdlib.zip", fs.readFileSync(stdlib));
python.runPython(`
import os, py_compile, sys, zipfile
from pathlib import Path

sys.path.insert(0, "/lib/book")
sys.dont_write_bytecode = True
from lowerbound.checks import practice
from lowerbound.proofs import derivations
from lowerbound.symbolic import sheet

derivations()
loaded = {Path(getattr(module, "__file__", None) or "/") for module in list(sys.modules.values())}


def compiled(file, name):
    way = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(str(file), "/compiled", dfile=name, doraise=True, invalidation_mode=way)
    return Path("/compiled").read_bytes()


def pack(name, folder, runs_as):
    with zipfile.ZipFile(name, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as packed:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            inside = file.relative_to(folder)
            run = runs_as / inside
            new, content = (f"{inside}c", compiled(file, str(run))) if run in loaded else (str(inside), file.read_bytes())
            packed.writestr(zipfile.ZipInfo(new), content, zipfile.ZIP_DEFLATED)


with zipfile.ZipFile("/stdlib.zip") as packed:
    packed.extractall("/stdlib")
own = next(Path(name) for name in sys.path if name.endswith(".zip"))
pack("/python.zip", Path("/lib/book"), Path("/lib/book"))
pack("/stdlib.zip", Path("/stdlib"), own)
`);
fs.writeFileSync(archive, python.FS.readFile("/python.zip"));
fs.writeFileSync(stdlib, python.FS.readFile("/stdlib.zip"));
