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
let ready = false;
let telling = () => {}; // is given what happens while it starts, in words
let refuse = null; // ends the wait for it
let waiting = null; // {number, resolve, reject} of the text that is being checked
let turn = Promise.resolve(); // of the text before
let number = 0;

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// What the engine weighs, in MB; 0 where that is not known.
let weight = null;
function megabytes() {
  weight ??= fetch(new URL("engine/engine.json", base))
    .then((response) => response.json())
    .then(({ megabytes }) => megabytes)
    .catch(() => 0);
  return weight;
}

// The engine, started once for the page.
function engine() {
  if (loaded) return loaded;
  worker = new Worker(new URL("worker.js", base), { type: "module" });
  loaded = new Promise((resolve, reject) => {
    refuse = reject;
    worker.onerror = (event) => stop(event.message || word("the engine cannot be loaded"));
    worker.onmessage = ({ data }) => {
      if (data.stage) telling(data.stage);
      else if (data.ready) resolve((ready = true));
      else if (data.answer) answerWith(data);
      else stop(data.failed); // what has failed may be broken: the next text has a new engine
    };
  });
  loaded.catch(() => {});
  return loaded;
}

// While a reader writes, the engine starts; not where the browser was asked to save data. Tried once: Check tries again.
let tried = false;
function early() {
  if (tried) return;
  tried = true;
  if (!navigator.connection?.saveData && !matchMedia("(prefers-reduced-data: reduce)").matches) engine();
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
  ready = false;
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
    await engine();
    return ask(text, check);
  });
}

// Start the engine where it is not yet started, and have a text answered. Gives the answer and its seconds.
function answered(text, check, { status, job }) {
  const began = performance.now();
  status.textContent = word("Waiting for the other answer …");
  return inTurn(job, async () => {
    if (!ready) {
      const size = await megabytes();
      if (job.halted) return null;
      status.textContent = size
        ? word("Fetching the engine, {size} MB, once: up to half a minute …", { size: size.toFixed(0) })
        : word("Fetching the engine: up to half a minute …");
      telling = (words) => (status.textContent = word(words));
      await engine().finally(() => (telling = () => {}));
    }
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

// What a reader has written, on their own device, by page and sheet. What cannot be kept there is kept with the page.
const KEPT = "lowerbound-sheet ";
const DRAFTS = 40; // are kept; then the oldest goes
const unkept = new Map();
const store = {
  key: (name) => KEPT + location.pathname + " " + name,
  read(name) {
    try {
      const { text, at } = unkept.get(name) ?? JSON.parse(localStorage.getItem(store.key(name)));
      return typeof text === "string" && at > 0 ? { text, at } : null;
    } catch {
      return null;
    }
  },
  // Whether it is kept now.
  write(name, text) {
    const draft = { text, at: Date.now() };
    try {
      if (text.length > LETTERS) throw new RangeError("too long");
      localStorage.setItem(store.key(name), JSON.stringify(draft));
      store.bound();
      unkept.delete(name);
      return true;
    } catch {
      unkept.set(name, draft);
      return false;
    }
  },
  drop(name) {
    unkept.delete(name);
    try {
      localStorage.removeItem(store.key(name));
    } catch {
      // there is none
    }
  },
  bound() {
    const age = (key) => {
      try {
        return JSON.parse(localStorage.getItem(key)).at || 0;
      } catch {
        return 0;
      }
    };
    const keys = Object.keys(localStorage).filter((key) => key.startsWith(KEPT));
    if (keys.length <= DRAFTS) return;
    const aged = keys.map((key) => [age(key), key]).sort(([a], [b]) => a - b);
    aged.slice(0, keys.length - DRAFTS).forEach(([, key]) => localStorage.removeItem(key));
  },
};

// Letters that stand for a text: the name of a sheet that came in a link.
function digest(text) {
  let [a, b] = [0xdeadbeef, 0x41c6ce57];
  for (const letter of text) {
    a = Math.imul(a ^ letter.codePointAt(0), 2654435761);
    b = Math.imul(b ^ letter.codePointAt(0), 1597334677);
  }
  return (a >>> 0).toString(36) + (b >>> 0).toString(36);
}

// The engine's message, in which what differs is marked as a terminal marks it. No <pre>: the theme takes those
// that need not scroll out of the order of the keyboard.
function marked(message) {
  const box = element("div", { className: "sheet-message tex2jax_ignore", tabIndex: 0, role: "group", ariaLabel: word("What the engine says") });
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
    const how = i && row.how && row.how !== row.reason ? " · " + (row.shown ?? word(row.how)) : "";
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
  area.dispatchEvent(new Event("input", { bubbles: true }));
}

// What a box to write in is made of. text: what stands in it; rows: how many more there are; name: of its draft;
// leave: closes the box, where it can be closed.
function editor(text, rows, name, leave) {
  const id = "sheet-" + ++number;
  const area = element("textarea", { id, spellcheck: false, autocapitalize: "off", autocomplete: "off", wrap: "off" });
  area.setAttribute("aria-describedby", id + "-help " + id + "-kept");
  const parts = {
    id, area,
    status: element("p", { className: "sheet-status", role: "status" }),
    check: element("button", { type: "button", className: "sheet-check" }, word("Check")),
    halt: element("button", { type: "button", hidden: true }, word("Stop")),
    again: element("button", { type: "button" }, word("As it was")),
    answer: element("div", { className: "sheet-answer" }),
    help: element("p", { id: id + "-help", className: "sheet-help" }),
    kept: element("p", { id: id + "-kept", className: "sheet-help" }),
    close: leave ? element("button", { type: "button" }, word("Close")) : "",
  };
  const { status, halt, again, answer, help, kept, close } = parts;

  // Whether a draft is kept, said where it changes.
  function say(works) {
    const now = works
      ? word("What you write is kept on this device, until “As it was” drops it.")
      : word("No draft can be kept on this device: what you write is lost with the page.");
    if (kept.textContent !== now) kept.textContent = now;
  }

  // A text to begin from, and what was made of it before.
  parts.put = (other, called) => {
    [text, name] = [other, called];
    const draft = store.read(name);
    area.value = draft ? draft.text : text;
    area.rows = Math.min(24, area.value.split("\n").length + rows);
    area.setSelectionRange(0, 0); // so that a phone shows where the lines begin
    answer.replaceChildren();
    say(true);
    const how = { dateStyle: "medium", timeStyle: "short" };
    const day = draft && new Date(draft.at).toLocaleString(document.documentElement.lang || "en", how);
    status.textContent = "";
    const note = draft && word("This is what you wrote: {day}. “As it was” drops it.", { day });
    // A status is read aloud when it changes in its page.
    if (draft) setTimeout(() => name === called && (status.textContent ||= note), 100);
  };
  parts.put(text, name);
  area.addEventListener("input", () => {
    early();
    if (area.value === text) store.drop(name);
    else say(store.write(name, area.value));
  });
  again.addEventListener("click", () => {
    store.drop(name);
    parts.put(text, name);
    area.focus();
  });
  halt.addEventListener("click", () => parts.job.halt());

  function away() {
    if (!halt.hidden) parts.job.halt();
    leave();
  }
  if (leave) close.addEventListener("click", away);
  // Escape goes one step back: it ends a check, else it closes the sheet.
  parts.escape = (event) => {
    if (event.key !== "Escape" || event.isComposing || event.defaultPrevented) return;
    event.preventDefault();
    if (!halt.hidden) parts.job.halt();
    else if (leave) away();
  };
  megabytes().then((size) => {
    const fetched = word("When you begin to write, or check, the engine is fetched: {size} MB, once.", { size: size.toFixed(0) });
    if (size) help.append(" ", fetched);
  });
  return parts;
}

// While an answer is asked for, it can be stopped; why there is none is said.
async function asking(parts, work) {
  const { check, halt, status, answer } = parts;
  const within = (...boxes) => boxes.some((box) => box.contains(document.activeElement));
  parts.job = {};
  halt.hidden = false;
  if (within(check, answer)) halt.focus(); // what is disabled or gone has no focus
  check.disabled = true;
  answer.replaceChildren();
  try {
    await work();
  } catch (error) {
    status.textContent = word("No answer: {why}.", { why: error.message });
  } finally {
    check.disabled = false;
    if (within(halt)) check.focus();
    halt.hidden = true;
  }
}

// The sheet itself, in a box. text: what is on it; name: of its draft; title: of the derivation, or "".
function build(box, text, { name, title, leave }) {
  const parts = editor(text, title ? 1 : 3, name, leave);
  const { id, area, status, check, halt, again, answer, help, kept, close } = parts;
  const words = element("div", { className: "sheet-words", role: "toolbar", ariaLabel: word("Names to insert") });
  const link = element("button", { type: "button" }, word("Copy a link to this sheet"));
  help.append(
    word("Change what you like, then check (Ctrl + Enter). A line begins with =, >=, <=, -> or ~, its reason stands behind #. "),
    word("Ctrl + Space completes a word.")
  );
  box.replaceChildren(
    element("label", { htmlFor: id }, title ? word("The lines of “{name}”", { name: title }) : word("Your sheet")),
    area, words, help, kept, element("div", { className: "sheet-buttons" }, check, halt, again, link, close), status, answer
  );
  box.addEventListener("keydown", parts.escape);
  let known = [];

  function offer() {
    const [typed] = wordBefore(area);
    const fitting = typed ? known.filter((word) => word.startsWith(typed) && word !== typed) : [];
    const first = fitting.length ? fitting : known;
    const chosen = words.contains(document.activeElement);
    words.replaceChildren(
      ...first.slice(0, 24).map((word, i) => {
        const choice = element("button", { type: "button", tabIndex: i ? -1 : 0 }, word);
        choice.addEventListener("click", () => insert(area, word));
        return choice;
      })
    );
    if (chosen) area.focus();
    return fitting;
  }

  // The names are one stop of the Tab key; arrows go from name to name, Escape back to the text.
  words.addEventListener("keydown", (event) => {
    const choices = [...words.children];
    const at = choices.indexOf(document.activeElement);
    const last = choices.length - 1;
    const steps = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: last };
    if (event.key === "Escape") {
      event.preventDefault();
      area.focus();
    } else if (event.key in steps) {
      event.preventDefault();
      const next = choices[(steps[event.key] + choices.length) % choices.length];
      choices.forEach((choice) => (choice.tabIndex = choice === next ? 0 : -1));
      next.focus();
    }
  });

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
    area.scrollLeft = 0;
    area.scrollTop = (area.scrollHeight / rows.length) * Math.max(0, row - 3);
  }

  check.addEventListener("click", run);
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
  return parts;
}

// A function of an assignment, written in Python and judged by its check. name: of the function and its check.
function buildFunction(box, text, name, leave) {
  const parts = editor(text, 2, name, leave);
  const { id, area, status, check, halt, again, answer, help, kept, close } = parts;
  help.append(word("Python with "), element("code", {}, "math"), word(". Ctrl + Enter checks; a new row keeps its indentation."));
  box.replaceChildren(
    element("label", { htmlFor: id }, word("Your function "), element("code", {}, name)),
    area, help, kept, element("div", { className: "sheet-buttons" }, check, halt, again, close), status, answer
  );
  box.addEventListener("keydown", parts.escape);

  function run() {
    return asking(parts, async () => {
      const [said, seconds] = await answered(area.value, name, parts);
      status.textContent = said.ok ? word("Right ({seconds} s).", { seconds }) : word("Not right yet ({seconds} s)", { seconds });
      answer.replaceChildren(marked(said.message.trim()));
    });
  }

  check.addEventListener("click", run);
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
    area.dispatchEvent(new Event("input", { bubbles: true }));
  });
  return parts;
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
      const { area } = buildFunction(box, text, name, () => {
        box.replaceWith(button);
        button.focus();
      });
      area.focus();
      area.setSelectionRange(area.value.length, area.value.length);
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
  const { text, title } = lines[name];
  const leave = () => {
    box.remove();
    button.disabled = false;
    button.focus();
  };
  build(box, text, { name, title: word(title) || name, leave }).area.focus();
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
  const made = build(box, text, { name: carried && !lost ? "link " + digest(text) : "free", title: "" });
  if (lost) made.status.textContent = lost;
  addEventListener("hashchange", () => location.hash.startsWith("#s=") && location.reload());
  // A problem of this page, put on the sheet.
  function put(program) {
    made.put(program.textContent.trim() + "\n", program.closest("section").id);
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
