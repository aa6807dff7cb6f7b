// A click on a formula, or Enter, opens a panel with the meaning of its symbols, from the page Notation. What the
// letter means in this chapter comes before what it means elsewhere. Where there is nothing to say, nothing says help.

(function () {
  // A text in the language of the page: see book.js.
  function word(text) {
    return (window.lowerboundWords || {})[text] || text;
  }

  var SAME = [
    [/\\text\{[^}]*\}/g, " "],
    [/\\(?:mathrm|operatorname)\{(KL|ELBO|Var)\}/g, "\\$1 "],
    [/\\mathbb\{E\}/g, "\\E "],
    [/\\mathbb\{R\}/g, "\\R "],
    [/\\mathcal(\{N\}| N)/g, "\\N "],
    [/\\mathbf(\{I\}| I)/g, "\\I "],
    [/\\mathrm\{SNR\}/g, "\\operatorname{SNR}"],
    [/\\epsilon/g, "\\varepsilon"],
    [/\\mid\b/g, "\\given"],
    [/\\(?:left|right|bigg?|Bigg?)(?![a-zA-Z])|\\[,;:!]/g, " "],
  ];
  var INDEX = /^[tsTi0-9]$/;

  function tokens(tex) {
    SAME.forEach(function (rule) {
      tex = tex.replace(rule[0], rule[1]);
    });
    return tex.match(/\\[a-zA-Z]+|\\.|[^\s{}&\\]/g) || [];
  }

  // KL(q || p) and the like stand for any arguments, so only their name is looked for.
  function pattern(tex) {
    var all = tokens(tex);
    if (!/^\\(KL|ELBO|E|N|operatorname)$/.test(all[0])) return all;
    return all.slice(0, all[0] === "\\operatorname" ? 4 : 1);
  }

  // How well a symbol fits where a formula goes on: 0 not at all, else the more the longer it is; then the better where
  // its index is the same, and not another number of a step; then where it is of this chapter.
  function fit(all, at, entry) {
    var same = true;
    var fits = entry.pattern.every(function (token, i) {
      var found = all[at + i];
      var index = i > 0 && entry.pattern[i - 1] === "_" && token === "t" && INDEX.test(found || "");
      same = same && found === token;
      return found === token || index;
    });
    return fits ? 4 * entry.pattern.length + (same ? 2 : 0) + (/\[0A\]/.test(entry.page) ? 1 : 0) : 0;
  }

  // The symbols of a formula, in the order of their first appearance.
  function symbolsIn(tex, known) {
    var all = tokens(tex);
    var found = [];
    for (var at = 0; at < all.length; ) {
      var best = null;
      var most = 0;
      known.forEach(function (entry) {
        var well = fit(all, at, entry);
        if (well > most) {
          best = entry;
          most = well;
        }
      });
      if (best && found.indexOf(best) < 0) found.push(best);
      at += best && best.pattern.indexOf("(") < 0 ? best.pattern.length : 1;
    }
    return found;
  }

  // What the notation page knows of this page's letters.
  var known = null;

  function knownHere() {
    known =
      known ||
      (window.notationSymbols || [])
        .filter(function (entry) {
          return new RegExp(entry.page).test(location.pathname);
        })
        .map(function (entry) {
          return Object.assign({ pattern: pattern(entry.tex) }, entry);
        });
    return known;
  }

  function texOf(formula) {
    return MathJax.startup.document
      .getMathItemsWithin(formula)
      .map(function (item) {
        return item.math;
      })
      .join(" ");
  }

  var panel = null;
  var owner = null;

  function close() {
    if (!panel) return;
    panel.remove();
    panel = null;
    unlight();
    if (owner.tabIndex === 0) owner.focus();
    owner = null;
  }

  function open(formula) {
    var again = owner === formula;
    close();
    if (again) return;
    var found = symbolsIn(texOf(formula), knownHere());
    if (!found.length) return;
    owner = formula;
    panel = document.createElement("div");
    panel.className = "symbols";
    panel.setAttribute("role", "dialog");
    panel.setAttribute("aria-label", word("Symbols of this formula"));
    panel.tabIndex = -1;
    var notation = document.documentElement.dataset.content_root + "book/notation.html#";
    var rows = found.filter(function (entry, i) {
      return found.findIndex((other) => other.anchor === entry.anchor) === i; // one row for each entry
    });
    panel.innerHTML =
      "<dl>" +
      rows
        .map(function (row) {
          var names = found.filter((entry) => entry.anchor === row.anchor).map((entry) => "\\(" + entry.tex.replace(/</g, "&lt;") + "\\)");
          return "<dt><a href='" + notation + row.anchor + "'>" + names.join(", ") + "</a></dt><dd>" + row.meaning + "</dd>";
        })
        .join("") +
      "</dl>";
    var block = formula.closest("div.math, p, li, dd, td, figcaption, h1, h2, h3") || formula;
    block.insertAdjacentElement("afterend", panel);
    MathJax.typesetPromise([panel]).then(function () {
      if (panel && formula.tabIndex === 0 && !panel.contains(document.activeElement)) panel.focus({ preventScroll: true });
    });
  }

  document.addEventListener("click", function (event) {
    var formula = event.target.closest("main .math");
    if (formula && !event.target.closest("a, .symbols") && String(getSelection()) === "") {
      open(formula);
      if (panel) light(event.target.closest("mjx-mi"));
    } else if (panel && !event.target.closest(".symbols")) close();
  });
  document.addEventListener("keydown", function (event) {
    if (event.key === "Escape") close();
    if (event.key === "Enter" && event.target.matches("main div.math")) open(event.target);
  });

  // The pointer says help, and the keyboard stops, where a formula has symbols that are known.
  addEventListener("load", function () {
    if (!window.formulasFound) return;
    window.formulasFound.then(function () {
      document.querySelectorAll("main .math").forEach(function (formula) {
        if (!symbolsIn(texOf(formula), knownHere()).length) return;
        formula.classList.add("known");
        if (formula.matches("div")) {
          formula.tabIndex = 0;
          formula.setAttribute("role", "group");
          formula.setAttribute("aria-label", word("Formula"));
        }
      });
    });
  });

  // A letter under the pointer, or in the panel under the keyboard, is lit wherever it is drawn the same, with its index,
  // bar or hat. Not where the reader wants things to be still.
  var STILL = matchMedia("(prefers-reduced-motion: reduce)");
  var MARKED = "mjx-msub, mjx-msubsup, mjx-mover";
  var soon = null;

  // The symbol that a letter is of: itself, or what it is the base or the index of, if that is one letter with its marks.
  function symbolOf(letter) {
    var symbol = letter;
    for (var around = letter.parentElement; around && !around.matches("mjx-container"); around = around.parentElement) {
      if (!around.matches(MARKED)) continue;
      var scripts = Array.from(around.querySelectorAll("mjx-script"));
      var bases = Array.from(around.querySelectorAll("mjx-mi")).filter(function (each) {
        return !scripts.some((script) => script.contains(each));
      });
      if (bases.length === 1 && around.querySelectorAll("mjx-script mjx-c").length <= 4) symbol = around;
    }
    return symbol;
  }

  function look(symbol) {
    return [symbol]
      .concat(Array.from(symbol.querySelectorAll("*")))
      .map(function (part) {
        return part.matches("mjx-c") ? part.className : part.localName;
      })
      .join(" ");
  }

  function unlight() {
    clearTimeout(soon);
    document.querySelectorAll(".lit").forEach(function (symbol) {
      symbol.classList.remove("lit");
    });
  }

  function light(letter) {
    unlight();
    if (!letter || STILL.matches) return;
    var symbol = symbolOf(letter);
    var wanted = look(symbol);
    document.querySelectorAll("main mjx-container " + symbol.localName).forEach(function (other) {
      var one = other.matches("mjx-mi") ? other : other.querySelector("mjx-mi");
      if (one && look(other) === wanted && symbolOf(one) === other) other.classList.add("lit");
    });
  }

  document.addEventListener("pointerover", function (event) {
    var letter = event.target.closest("main .math.known mjx-mi");
    if (panel || event.pointerType !== "mouse" || !letter) return;
    clearTimeout(soon);
    soon = setTimeout(light, 150, letter);
  });
  document.addEventListener("pointerout", function (event) {
    if (!panel && event.target.closest("main mjx-container")) unlight();
  });
  document.addEventListener("focusin", function (event) {
    if (panel && event.target.matches(".symbols dt a")) lightFocused(event.target, 30);
  });

  // Its letters are drawn when they come into view.
  function lightFocused(link, tries) {
    if (document.activeElement !== link) return;
    var letter = link.querySelector("mjx-mi");
    if (letter) light(letter);
    else if (tries) setTimeout(lightFocused, 100, link, tries - 1);
  }

  window.symbolsIn = function (tex) {
    return symbolsIn(tex, knownHere());
  };
})();
