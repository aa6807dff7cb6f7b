"""The built book, served from localhost as GitHub Pages serves it, and a Chromium to open it in."""

from __future__ import annotations

import functools
import gzip
import http.server
import os
import re
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Error, Page, Playwright

from tools.publish import ROOT

SITE = ROOT / "_build" / "html"
PAGES = re.findall(r"^\s*(?:- file|root): (\S+)", (ROOT / "_toc.yml").read_text(), re.M)
CHAPTERS = [page for page in PAGES if re.match(r"book/0\d", page)]
WIDTHS = {"desk": (1280, 900), "phone": (390, 844)}
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ALONE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"  # no other host is reached

# MathJax says that all formulas are set while some wait that were seen a moment before: these are waited for.
EVERY_FORMULA = """() => window.formulasFound ? formulasFound.then(
  () => MathJax.startup.document.lazyTypesetAll()
).then(() => new Promise((done, failed) => {
  const began = performance.now();
  const wait = () => {
    const left = document.querySelector("mjx-container:not(:has(mjx-math))");
    if (!left) requestAnimationFrame(() => requestAnimationFrame(done));
    else if (performance.now() - began < 30_000) setTimeout(wait, 50);
    else failed(new Error("a formula is not drawn: " + left.parentElement.outerHTML.slice(0, 300)));
  };
  wait();
})) : true"""

# Of the theme that is shown; the others are not displayed, so they would not be fetched either.
EVERY_PICTURE = """all => Promise.all(
  all.filter(image => getComputedStyle(image).display !== "none").map(image => {
    image.loading = "eager";
    return image.decode().then(() => null, () => image.src);
  })
).then(found => found.filter(Boolean))"""


# How far a page moves by itself, as browsers count it: the sum of its shifts in the worst five seconds. What
# a click or a key moves does not count.
NOTE_SHIFTS = """window.shifts = [];
new PerformanceObserver(list => shifts.push(...list.getEntries().filter(shift => !shift.hadRecentInput)))
  .observe({type: "layout-shift", buffered: true});"""
SHIFTED = """() => {
  let worst = 0, sum = 0, first = 0, last = -Infinity;
  for (const {value, startTime} of shifts) {
    if (startTime - last > 1000 || startTime - first > 5000) [sum, first] = [0, startTime];
    sum += value;
    last = startTime;
    worst = Math.max(worst, sum);
  }
  return worst;
}"""
# The formulas in the window are set, and what they move has moved.
SETTLED = """() => Promise.resolve(window.formulasFound).then(() => new Promise(done => {
  const seen = box => box.top < innerHeight && box.bottom > 0 && box.right > 0 && box.width + box.height > 0;
  const wait = () => {
    const formulas = [...document.querySelectorAll("main mjx-lazy")].map(one => one.closest(".math"));
    if (formulas.some(one => one && one.checkVisibility() && seen(one.getBoundingClientRect())))
      setTimeout(wait, 50);
    else requestAnimationFrame(() => setTimeout(done, 50));
  };
  wait();
}))"""

WITH_FORMULAS = "book/03_forward"  # axe looks into formulas here; elsewhere they are made by the same code

# How a word looks: its colour and letters, and the colours and classes of what stands behind it.
LOOK = """
  const behind = new Map(), seen = new Set();
  const background = element => {
    if (!element) return "";
    if (!behind.has(element)) {
      const style = getComputedStyle(element), colour = style.backgroundColor;
      const plain = style.backgroundImage === "none" && style.opacity === "1";
      const clear = colour === "rgba(0, 0, 0, 0)" && plain && style.position === "static";
      const own = clear ? "" : `${colour} ${style.opacity} ${element.className} `;
      const hidden = plain && colour.startsWith("rgb(");
      behind.set(element, own + (hidden ? "" : background(element.parentElement)));
    }
    return behind.get(element);
  };
  const repeated = (word, ...more) => {
    const style = getComputedStyle(word);
    const look = [...more, style.color, style.fontSize, style.fontWeight, background(word)].join();
    return seen.size === seen.add(look).size;
  };"""

# Formulas are most of a page's elements, and the words of programs most of the rest; axe looks at each of
# them, several times. So, once the page is measured, each formula becomes an empty box of its size (or all
# but the first in each kind of place, and with each kind of part), buttons that copy have no picture, and
# of the words that look alike and have one class all but the first take the look of the text around them.
LIGHTENED = f"""first => {{{LOOK}
  const kinds = new Set(), known = kind => kinds.size === kinds.add(kind).size;
  const place = box => box ? `${{box.tagName}}.${{box.className}} ${{place(box.parentElement)}}` : "";
  const formulas = [...document.querySelectorAll("mjx-container")].filter(formula => {{
    const parts = Array.from(formula.querySelectorAll("*"), part => part.tagName);
    return !first || [place(formula), ...parts].map(known).every(Boolean);
  }});
  document.querySelectorAll(".copybtn > svg > :not(title)").forEach(line => line.remove());
  const styles = formulas.map(formula => {{
    const drawn = formula.querySelector("mjx-math");
    const box = drawn.getBoundingClientRect(), style = getComputedStyle(drawn);
    return `display: inline-block; width: ${{box.width}}px; height: ${{box.height}}px;`
      + `vertical-align: ${{style.verticalAlign}}; margin: ${{style.margin}}`;
  }});
  formulas.forEach((formula, i) => {{
    const box = document.createElement("span");
    box.style.cssText = styles[i];
    formula.replaceChildren(box);
  }});
  for (let words = [0]; words.length;) {{
    words = [...document.querySelectorAll("main :is(pre, .sig, code) :is(span, em):not(:has(*))")];
    words = words.filter(word => repeated(word, word.className));
    for (const word of words) word.replaceWith(...word.childNodes);
    seen.clear();
  }}
  document.body.normalize();
}}"""


@functools.cache
def compressed(path: Path) -> bytes:
    """A file as a server sends it, compressed once."""
    return gzip.compress(path.read_bytes(), 5)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serve the site below /lower-bound/, text compressed, and log nothing."""

    protocol_version = "HTTP/1.1"

    def translate_path(self, path: str) -> str:
        """Where a path below /lower-bound/ lies."""
        return super().translate_path(path.removeprefix("/lower-bound"))

    def do_GET(self) -> None:
        """Answer with a file, compressed where it is text."""
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            super().do_GET()
            return
        kind = self.guess_type(path)
        text = any(word in kind for word in ("text", "javascript", "json", "svg"))
        data = compressed(path) if text else path.read_bytes()
        self.send_response(200)
        if text:
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Type", f"{kind}; charset=utf-8" if kind.startswith("text/") else kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "max-age=600")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet."""


class Server(http.server.ThreadingHTTPServer):
    """A server that does not mind a browser that leaves early."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report what goes wrong, unless the browser has closed the connection."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class NoBookError(RuntimeError):
    """There is no built book, or no browser to open it in."""


@contextmanager
def served() -> Iterator[str]:
    """Serve the built book while the context lasts. Yields its address."""
    if not (SITE / "index.html").is_file():
        raise NoBookError(f"{SITE} holds no book; run `make book` first")
    handler = functools.partial(Quiet, directory=str(SITE))
    with Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/lower-bound"
        server.shutdown()


def chromium() -> str | None:
    """The browser to drive: $CHROMIUM, one on the PATH, else None for playwright's own."""
    named = os.environ.get("CHROMIUM")
    if named:
        return named
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def launch(playwright: Playwright) -> Browser:
    """Start the browser."""
    try:
        return playwright.chromium.launch(executable_path=chromium(), args=[*FLAGS, ALONE])
    except Error as error:
        remedy = "apt-get install chromium, or playwright install chromium, or set CHROMIUM to its path"
        raise NoBookError(f"no Chromium could be started: {remedy}\n{error}") from error


class Visit:
    """A page, with everything that went wrong on it and the bytes that it transferred."""

    def __init__(self, browser: Browser, size: tuple[int, int], dark: bool = False) -> None:
        scheme = "dark" if dark else "light"
        self.context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=scheme
        )
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.faults: list[str] = []
        self.transferred = 0
        self.page.add_init_script(NOTE_SHIFTS)
        self.page.on("request", self._request)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("response", self._response)
        wire = self.context.new_cdp_session(self.page)
        wire.send("Network.enable")
        wire.on("Network.loadingFinished", self._finished)

    def _request(self, request: Any) -> None:
        if not re.match(r"(http://127\.0\.0\.1|data:|blob:)", request.url):
            self.faults.append(f"request to another host: {request.url}")

    def _console(self, message: Any) -> None:
        if message.type == "error":
            self.faults.append(f"console: {message.text}")

    def _response(self, response: Any) -> None:
        if response.status >= 400:
            self.faults.append(f"{response.status}: {response.url}")

    def _finished(self, event: Any) -> None:
        self.transferred += round(event["encodedDataLength"])

    def open(self, url: str, typeset: bool = True) -> Page:
        """Go to a page, and typeset all its formulas, or only find them: each is typeset once it is seen."""
        self.page.goto(url, wait_until="load")
        self.page.evaluate(EVERY_FORMULA if typeset else "window.formulasFound")
        return self.page

    def shift(self) -> float:
        """How far the page has moved by itself since it was opened, when its first window is complete."""
        self.page.evaluate(SETTLED)
        shifted: float = self.page.evaluate(SHIFTED)
        return round(shifted, 4)


if __name__ == "__main__":  # whether there is a Chromium
    sys.exit(chromium() is None)
