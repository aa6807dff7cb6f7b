// node sheets.mjs PYODIDE ARCHIVE: in the archive of Python's files, replace those that the engine loads at its
// start by what Pyodide's own Python compiles them to. What it may load later stays as it is.

import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [folder, archive] = process.argv.slice(2).map((name) => path.resolve(name));
const { loadPyodide } = await import(pathToFileURL(path.join(folder, "pyodide.mjs")));
const python = await loadPyodide({ indexURL: folder + path.sep });
const bytes = fs.readFileSync(archive);
python.unpackArchive(new Uint8Array(bytes), "zip", { extractDir: "/lib/book" });
python.runPython(`
import os, py_compile, sys, zipfile
from pathlib import Path

sys.path.insert(0, "/lib/book")
sys.dont_write_bytecode = True
from lowerbound.checks import practice
from lowerbound.proofs import derivations
from lowerbound.symbolic import sheet

derivations()
book = Path("/lib/book")
for module in list(sys.modules.values()):
    file = Path(getattr(module, "__file__", None) or "/")
    if file.is_relative_to(book):
        way = py_compile.PycInvalidationMode.UNCHECKED_HASH
        py_compile.compile(str(file), str(file.with_suffix(".pyc")), doraise=True, invalidation_mode=way)
        file.unlink()
with zipfile.ZipFile("/python.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=6) as packed:
    for file in sorted(path for path in book.rglob("*") if path.is_file()):
        packed.writestr(zipfile.ZipInfo(str(file.relative_to(book))), file.read_bytes(), zipfile.ZIP_DEFLATED)
`);
fs.writeFileSync(archive, python.FS.readFile("/python.zip"));
