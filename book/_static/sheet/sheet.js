// A sheet on which a derivation is written and checked, in the page. Loaded when a reader asks for one.

const base = new URL(".", import.meta.url);
const LIMITS = { sheet: 180, function: 90 }; // seconds that an answer may take
const LETTERS = 20000; // of a sheet: no more is checked, or carried by a link
const TEX = { "": "", "=": "=", ":=": ":=", ">=": "\\ge", "<=": "\\le", "->": "\\to", "~": "\\sim" };
const VERDICTS = {
  false: "This does not follow.",
  unchecked: "This could not be checked.",
  undefined: "This is not defined for all values.",
  unsound: "This cannot be taken.",
  unread: "This cannot be read.",
};
const WRONG = {
  false: "does not follow",
  unchecked: "could not be checked",
  undefined: "is not defined for all values",
  unsound: "cannot be taken",
};
// The commands of TeX that a reason is typeset with. Others may change what stands elsewhere on the page.
const COMMANDS =
  "alpha|beta|gamma|delta|epsilon|varepsilon|zeta|eta|theta|kappa|lambda|mu|nu|xi|pi|rho|sigma|varsigma|tau|phi|varphi|chi|psi|omega|" +
  "Delta|Sigma|bar|hat|tilde|log|exp|sqrt|frac|tfrac|int|sum|prod|partial|infty|le|ge|ne|to|cdot|mid|mathbb|mathcal|E|KL|N|d|given";
const PLAIN = new RegExp(`\\$(?!\\s)((?:\\\\(?:${COMMANDS})(?![A-Za-z])|\\\\[,;!|{}]|[\\w\\s{}^+=<>|,.()[\\]'-])*)\\$`);
// A text in the language of the page (see book.js), its fields filled.
function word(text, fields = {}) {
  const words = window.lowerboundWords || {};
  const said = Object.hasOwn(words, text) ? words[text] : text;
  return said.replace(/\{(\w+)\}/g, (field, name) => fields[name] ?? field);
}

let worker = null;
let loaded = null; // settles when the engine is ready, or will not be
let refuse = null; // ends the wait for it
let waiting = null; // {number, resolve, reject} of the text that is being checked
let turn = Promise.resolve(); // of the text before
let number = 0;

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function megabytes() {
  const names = ["pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip", "python.zip"];
  return Promise.all(
    names.map((name) => fetch(new URL("engine/" + name, base), { method: "HEAD" }).then((r) => Number(r.headers.get("content-length"))))
  ).then((sizes) => sizes.reduce((a, b) => a + b, 0) / 1e6);
}

// The engine, started once for the page. tell: is given what happens, in words.
function engine(tell) {
  if (loaded) return loaded;
  worker = new Worker(new URL("worker.js", base), { type: "module" });
  loaded = new Promise((resolve, reject) => {
    refuse = reject;
    worker.onerror = (event) => stop(event.message || word("the engine cannot be loaded"));
    worker.onmessage = ({ data }) => {
      if (data.stage) tell(data.stage);
      else if (data.ready) resolve();
      else if (data.answer) answerWith(data);
      else stop(data.failed); // what has failed may be broken: the next text has a new engine
    };
  });
  loaded.catch(() => {});
  return loaded;
}

function answerWith({ number, answer }) {
  if (!waiting || waiting.number !== number) return;
  waiting.resolve(answer);
  waiting = null;
}

function stop(why) {
  const error = new Error(why);
  if (worker) worker.terminate();
  if (refuse) refuse(error);
  if (waiting) waiting.reject(error);
  worker = loaded = refuse = waiting = null;
}

// check: the name of a check for which the text is a function; without it, the text is a sheet.
function ask(text, check) {
  return new Promise((resolve, reject) => {
    waiting = { number: ++number, resolve, reject };
    worker.postMessage({ number, text, check, language: document.documentElement.lang || "en" });
    const mine = number;
    const limit = check ? LIMITS.function : LIMITS.sheet;
    const late = check ? "no answer within {limit} seconds: does a loop end?" : "no answer within {limit} seconds: write smaller steps";
    setTimeout(() => waiting && waiting.number === mine && stop(word(late, { limit })), 1000 * limit);
  });
}

// One text after another. job: {halt} is made of it, which ends it, in its turn or before.
function inTurn(job, work) {
  const halted = new Promise((_, reject) => {
    job.halt = () => {
      job.halted = true;
      reject(new Error(word("stopped")));
      if (job.begun) stop(word("stopped"));
    };
  });
  const mine = turn.then(() => {
    job.begun = true;
    return job.halted ? null : work();
  });
  turn = mine.catch(() => {});
  return Promise.race([mine, halted]);
}

// What the engine says of a text.
export function answerOf(text, check) {
  return inTurn({}, async () => {
    await engine(() => {});
    return ask(text, check);
  });
}

// Start the engine where it is not yet started, and have a text answered. Gives the answer and its seconds.
function answered(text, check, { status, job }) {
  const began = performance.now();
  status.textContent = word("Waiting for the other answer …");
  return inTurn(job, async () => {
    if (!loaded) {
      const size = await megabytes().catch(() => 0);
      if (job.halted) return null;
      status.textContent = size
        ? word("Fetching the engine, {size} MB, once: up to half a minute …", { size: size.toFixed(0) })
        : word("Fetching the engine: up to half a minute …");
    }
    await engine((words) => (status.textContent = word(words)));
    status.textContent = word("Checking …");
    const said = await ask(text, check);
    return [said, ((performance.now() - began) / 1000).toFixed(1)];
  });
}

// Text for a link and back: deflated, in letters that an address may hold.
async function through(stream, bytes, most = Infinity) {
  const reader = new Blob([bytes]).stream().pipeThrough(stream).getReader();
  const parts = [];
  for (let size = 0; ; ) {
    const { done, value } = await reader.read();
    if (done) return new Uint8Array(await new Blob(parts).arrayBuffer());
    parts.push(value);
    if ((size += value.length) > most) throw new RangeError("too long");
  }
}

async function toAddress(text) {
  const bytes = await through(new CompressionStream("deflate-raw"), new TextEncoder().encode(text));
  const letters = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return btoa(letters).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

// The address of a sheet, which holds all of it.
export async function addressOf(text) {
  const address = new URL(document.documentElement.dataset.content_root + "book/sheet.html", location.href);
  address.hash = "s=" + (await toAddress(text));
  return address.href;
}

async function fromAddress(code) {
  if (!/^[\w-]+$/.test(code)) throw new Error("not of our letters");
  const bytes = Uint8Array.from(atob(code.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = await through(new DecompressionStream("deflate-raw"), bytes, 4 * LETTERS);
  return new TextDecoder("utf-8", { fatal: true }).decode(text);
}

// The engine's message, in which what differs is marked as a terminal marks it.
function marked(message) {
  const box = element("pre", { className: "sheet-message", tabIndex: 0 });
  message.split(/(\x1b\[3[12]m[\s\S]*?\x1b\[0m)/).forEach((part) => {
    const colour = /^\x1b\[3([12])m([\s\S]*)\x1b\[0m$/.exec(part);
    box.append(colour ? element(colour[1] === "1" ? "del" : "ins", {}, colour[2]) : part);
  });
  return box;
}

// A reason, whose formulas between $ are typeset where they are plain.
function reason(text) {
  return text.split(PLAIN).map((part, i) =>
    i % 2 ? element("span", { className: "math notranslate nohighlight" }, "\\(" + part + "\\)") : part
  );
}

function formula(tex) {
  return element("span", { className: "math notranslate nohighlight" }, "\\(\\displaystyle " + tex + "\\)");
}

function shown(answer) {
  const list = element("ol", { className: "sheet-lines" });
  let past = false;
  answer.rows.forEach((row, i) => {
    const wrong = row.row === answer.failed;
    past = past || wrong;
    const unsure = wrong && answer.verdict === "unchecked";
    const state = unsure ? "unsure" : wrong ? "wrong" : past || (!answer.ok && answer.verdict === "unread") ? "open" : "right";
    const words = { right: row.how === "not checked" ? "an axiom" : i ? "follows" : "the first line", wrong: WRONG[answer.verdict], unsure: WRONG.unchecked, open: "not reached" }[state];
    const line = element("div", { className: "sheet-formula", tabIndex: 0, role: "group", ariaLabel: word("Line {number}", { number: i + 1 }) });
    line.append(formula((TEX[row.arrow] ?? row.arrow) + " " + row.latex));
    const item = element("li", { className: state }, line);
    const how = i && row.how && row.how !== row.reason ? " · " + word(row.how) : "";
    item.append(element("p", { className: "sheet-note" }, word(words), ...(row.reason ? [" · ", ...reason(word(row.reason))] : []), how));
    if (wrong) item.append(...complaint(answer));
    list.append(item);
  });
  return list;
}

function complaint(answer) {
  const parts = [];
  if (answer.left_over) {
    parts.push(element("p", {}, word("Left over, the line before less this one: "), formula(answer.left_over)));
  }
  if (answer.message) parts.push(marked(answer.message));
  return parts;
}

function typeset(box) {
  return window.MathJax && MathJax.typesetPromise ? MathJax.typesetPromise([...box.querySelectorAll(".math")]) : Promise.resolve();
}

// The word before the cursor, and where it begins.
function wordBefore(area) {
  const before = area.value.slice(0, area.selectionStart);
  const found = /[A-Za-z\\][\w\\']*(?:_\{?[\w:<+-]*)?$/.exec(before);
  return found ? [found[0], found.index] : ["", before.length];
}

function insert(area, word) {
  const [typed, start] = wordBefore(area);
  const from = typed && word.startsWith(typed) ? start : area.selectionStart;
  area.setRangeText(word, from, area.selectionEnd, "end");
  area.focus();
}

// What a box to write in is made of. text: what stands in it; rows: how many more there are.
function editor(text, rows) {
  const id = "sheet-" + ++number;
  const area = element("textarea", {
    id, value: text, spellcheck: false, autocapitalize: "off", autocomplete: "off", wrap: "off",
    rows: Math.min(24, text.split("\n").length + rows),
  });
  area.setAttribute("aria-describedby", id + "-help");
  return {
    id, area,
    status: element("p", { className: "sheet-status", role: "status" }),
    check: element("button", { type: "button", className: "sheet-check" }, word("Check")),
    halt: element("button", { type: "button", hidden: true }, word("Stop")),
    again: element("button", { type: "button" }, word("As it was")),
    answer: element("div", { className: "sheet-answer" }),
    help: element("p", { id: id + "-help", className: "sheet-help" }),
  };
}

// While an answer is asked for, it can be stopped; why there is none is said.
async function asking(parts, work) {
  const { check, halt, status, answer } = parts;
  parts.job = {};
  check.disabled = true;
  halt.hidden = false;
  answer.replaceChildren();
  try {
    await work();
  } catch (error) {
    status.textContent = word("No answer: {why}.", { why: error.message });
  } finally {
    check.disabled = false;
    halt.hidden = true;
  }
}

// The sheet itself, in a box. text: what is on it; name: of the derivation, or "".
function build(box, text, name) {
  const parts = editor(text, 1);
  const { id, area, status, check, halt, again, answer, help } = parts;
  const words = element("div", { className: "sheet-words" });
  const link = element("button", { type: "button" }, word("Copy a link to this sheet"));
  help.append(
    word("Change what you like, then check (Ctrl + Enter). A line begins with =, >=, <=, -> or ~, its reason stands behind #. "),
    word("Ctrl + Space completes a word.")
  );
  box.replaceChildren(
    element("label", { htmlFor: id }, name ? word("The lines of “{name}”", { name }) : word("Your sheet")),
    area, words, help, element("div", { className: "sheet-buttons" }, check, halt, again, link), status, answer
  );
  let known = [];

  function offer() {
    const [typed] = wordBefore(area);
    const fitting = typed ? known.filter((word) => word.startsWith(typed) && word !== typed) : [];
    const first = fitting.length ? fitting : known;
    words.replaceChildren(
      ...first.slice(0, 24).map((word) => {
        const choice = element("button", { type: "button" }, word);
        choice.addEventListener("click", () => insert(area, word));
        return choice;
      })
    );
    return fitting;
  }

  function run() {
    return asking(parts, async () => {
      const [said, seconds] = await answered(area.value, "", parts);
      known = said.words;
      offer();
      answer.replaceChildren(shown(said));
      if (!said.ok && !said.rows.some((row) => row.row === said.failed)) answer.append(...complaint(said));
      const row = said.failed ? word(" Row {row}: ", { row: said.failed }) : "";
      const goal = { true: " This is what was asked.", false: " The last line is not yet what was asked.", null: "" }[said.goal];
      status.textContent = said.ok
        ? word("Every line follows ({seconds} s).", { seconds }) + word(goal)
        : `${row}${word(VERDICTS[said.verdict])} (${seconds} s)`;
      if (said.failed) select(said.failed);
      await typeset(answer);
    });
  }

  // Mark the row that does not follow.
  function select(row) {
    const rows = area.value.split("\n");
    const start = rows.slice(0, row - 1).reduce((sum, line) => sum + line.length + 1, 0);
    area.setSelectionRange(start, start + rows[row - 1].length);
  }

  check.addEventListener("click", run);
  halt.addEventListener("click", () => parts.job.halt());
  again.addEventListener("click", () => {
    area.value = text;
    answer.replaceChildren();
    status.textContent = "";
    area.focus();
  });
  link.addEventListener("click", async () => {
    if (area.value.length > LETTERS) {
      status.textContent = word("A link carries at most {letters} letters.", { letters: LETTERS });
      return;
    }
    const address = await addressOf(area.value);
    try {
      await navigator.clipboard.writeText(address);
      status.textContent = word("The link is copied.");
    } catch {
      status.replaceChildren(word("The link: "), element("a", { href: address }, address));
    }
  });
  area.addEventListener("input", offer);
  area.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      if (!check.disabled) run();
    } else if (event.key === " " && event.ctrlKey) {
      event.preventDefault();
      const fitting = offer();
      if (fitting.length) insert(area, fitting[0]);
    }
  });
  // Another text to begin from.
  function put(other) {
    text = area.value = other;
    area.rows = Math.min(24, text.split("\n").length + 3);
    status.textContent = "";
    answer.replaceChildren();
  }

  return { area, status, put };
}

// A function of an assignment, written in Python and judged by its check. name: of the function and its check.
function buildFunction(box, text, name) {
  const parts = editor(text, 2);
  const { id, area, status, check, halt, again, answer, help } = parts;
  help.append(word("Python with "), element("code", {}, "math"), word(". Ctrl + Enter checks; a new row keeps its indentation."));
  box.replaceChildren(
    element("label", { htmlFor: id }, word("Your function "), element("code", {}, name)),
    area, help, element("div", { className: "sheet-buttons" }, check, halt, again), status, answer
  );

  function run() {
    return asking(parts, async () => {
      const [said, seconds] = await answered(area.value, name, parts);
      status.textContent = said.ok ? word("Right ({seconds} s).", { seconds }) : word("Not right yet ({seconds} s)", { seconds });
      answer.replaceChildren(marked(said.message.trim()));
    });
  }

  check.addEventListener("click", run);
  halt.addEventListener("click", () => parts.job.halt());
  again.addEventListener("click", () => {
    area.value = text;
    answer.replaceChildren();
    status.textContent = "";
    area.focus();
  });
  area.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    if (event.ctrlKey || event.metaKey) {
      if (!check.disabled) run();
      return;
    }
    const row = area.value.slice(0, area.selectionStart).split("\n").pop();
    const deeper = row.trimEnd().endsWith(":") ? "    " : "";
    area.setRangeText("\n" + /^ */.exec(row)[0] + deeper, area.selectionStart, area.selectionEnd, "end");
  });
  return { area, status };
}

// Below a function's first rows, a button that opens a box to write it in.
function offerFunctions() {
  document.querySelectorAll(".function pre").forEach((program) => {
    const text = program.textContent.trim() + "\n    ";
    const name = /def (\w+)/.exec(text)[1];
    const button = element("button", { type: "button", className: "put" }, word("Write it here"));
    button.addEventListener("click", () => {
      const box = element("section", { className: "sheet", ariaLabel: word("Write {name}", { name }) });
      button.replaceWith(box);
      const { area } = buildFunction(box, text, name);
      area.focus();
      area.setSelectionRange(text.length, text.length);
    });
    program.closest(".function").after(button);
  });
}

let styled = null;
function style() {
  styled ??= new Promise((resolve) => {
    const sheet = element("link", { rel: "stylesheet", href: new URL("sheet.css", base).href, onload: resolve, onerror: resolve });
    document.head.append(sheet);
  });
  return styled;
}

function here(box) {
  if (location.protocol !== "file:") return true;
  box.replaceChildren(
    element("p", { role: "status" }, word("Pages opened from a folder cannot run Python. Serve them: python -m http.server -d _build/html"))
  );
  return false;
}

// Below a derivation, its lines.
export async function ofProof(button) {
  await style();
  const box = element("section", { className: "sheet", ariaLabel: word("Change a line") });
  button.after(box);
  if (!here(box)) return;
  const name = button.dataset.proof;
  let lines;
  try {
    lines = await (await fetch(new URL("engine/lines.json", base))).json();
  } catch (error) {
    box.remove();
    throw error;
  }
  build(box, lines[name].text, word(lines[name].title) || name).area.focus();
}

// A sheet of its own, with what its address carries.
export async function free(box) {
  await style();
  box.classList.add("sheet");
  if (!here(box)) return;
  const start = box.querySelector("pre");
  let text = start ? start.textContent.trim() : "";
  const carried = location.hash.startsWith("#s=");
  let lost = "";
  if (carried) {
    try {
      text = await fromAddress(location.hash.slice(3));
    } catch {
      lost = word("This link is damaged: its sheet cannot be read.");
    }
  }
  const made = build(box, text, "");
  made.status.textContent = lost;
  addEventListener("hashchange", () => location.hash.startsWith("#s=") && location.reload());
  // A problem of this page, put on the sheet.
  function put(program) {
    made.put(program.textContent.trim() + "\n");
    box.scrollIntoView();
    made.area.focus();
  }
  document.querySelectorAll(".problem pre").forEach((program) => {
    const button = element("button", { type: "button", className: "put" }, word("Put it on the sheet"));
    button.addEventListener("click", () => put(program));
    program.closest(".problem").after(button);
  });
  offerFunctions();
  const asked = !carried && document.getElementById(location.hash.slice(1));
  const around = asked ? asked.closest("section") : null;
  if (!around) return;
  const functions = around.querySelectorAll(".function + button.put");
  const problems = around.querySelectorAll(".problem pre");
  if (functions.length === 1) functions[0].click();
  if (problems.length === 1) put(problems[0]);
}
