// node questions.mjs ENGINE FOLDER: in the page's engine, answer the questions that come in, a name in each line.
// ENGINE: the folder of the built book; FOLDER: the files that go beside the engine's. Writes JSON, a line for each.

import fs from "node:fs";
import path from "node:path";
import readline from "node:readline";
import { pathToFileURL } from "node:url";

const [engine, folder] = process.argv.slice(2).map((name) => path.resolve(name));
const { loadPyodide } = await import(pathToFileURL(path.join(engine, "pyodide.mjs")));
const python = await loadPyodide({ indexURL: engine + path.sep });
python.unpackArchive(new Uint8Array(fs.readFileSync(path.join(engine, "python.zip"))), "zip", { extractDir: "/lib/book" });
const files = fs.readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isFile());  // no __pycache__
for (const { name } of files) python.FS.writeFile("/lib/book/" + name, fs.readFileSync(path.join(folder, name)));
python.runPython('import sys; sys.path.insert(0, "/lib/book"); import questions');
const asked = python.runPython("questions.asked");
for await (const name of readline.createInterface({ input: process.stdin })) {
  const began = performance.now();
  let answer;
  try {
    answer = JSON.parse(asked(name));
  } catch (error) {
    answer = { error: String(error) };
  }
  process.stdout.write(JSON.stringify({ answer, seconds: (performance.now() - began) / 1000 }) + "\n");
}
