// The engine in a worker: Python, sympy and the book's own checks. It answers one sheet, or one function, after
// another.

import { loadPyodide } from "./engine/pyodide.mjs";

const folder = new URL("./engine/", import.meta.url).href;
const PYTHON = `
import json, sys
sys.path.insert(0, "/lib/book")
from lowerbound.proofs import derivations
from lowerbound.symbolic.sheet import answer

def answered(text, check):
    if not check:
        return json.dumps(answer(text, derivations()))
    from lowerbound.checks.practice import judge
    return json.dumps(judge(check, text))
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
    postMessage({ number: event.data.number, answer: JSON.parse(answered(event.data.text, event.data.check ?? "")) });
  } catch (error) {
    postMessage({ number: event.data.number, failed: String(error).trim().split("\n").pop() });
  }
};
