// The engine in a worker: Python, sympy and the book's own checks. It answers one sheet, or one function, after
// another.

import { loadPyodide } from "./engine/pyodide.mjs";

const folder = new URL("./engine/", import.meta.url).href;
const PYTHON = `
import json, sys
sys.path.insert(0, "/lib/book")
from lowerbound.language import say
from lowerbound.proofs import derivations
from lowerbound.symbolic.sheet import answer

def answered(text, check, language):
    if not check:
        said = answer(text, derivations())
    else:
        from lowerbound.checks.practice import judge
        said = judge(check, text)
    for row in said.get("rows", []):
        if (shown := say(row["how"], language)) != row["how"]:
            row["shown"] = shown
    return json.dumps(said | {"message": say(said["message"], language)})
`;

async function start() {
  const [python, response] = await Promise.all([loadPyodide({ indexURL: folder }), fetch(folder + "python.zip")]);
  if (!response.ok) throw new Error("python.zip: " + response.status);
  postMessage({ stage: "Reading computer algebra …" });
  python.unpackArchive(await response.arrayBuffer(), "zip", { extractDir: "/lib/book" });
  python.runPython(PYTHON);
  return python.globals.get("answered");
}

const ready = start();
ready.then(
  () => postMessage({ ready: true }),
  (error) => postMessage({ failed: String(error) })
);

onmessage = async (event) => {
  const answered = await ready;
  try {
    const { number, text, check, language } = event.data;
    postMessage({ number, answer: JSON.parse(answered(text, check ?? "", language)) });
  } catch (error) {
    postMessage({ number: event.data.number, failed: String(error).trim().split("\n").pop() });
  }
};
