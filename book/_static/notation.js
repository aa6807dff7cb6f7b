// A click on a formula, or Enter, opens a panel with the meaning of its symbols, from the page Notation.

(function () {
  var SAME = [
    [/\\text\{[^}]*\}/g, " "],
    [/\\(?:mathrm|operatorname)\{(KL|ELBO|Var)\}/g, "\\$1 "],
    [/\\mathbb\{E\}/g, "\\E "],
    [/\\mathbb\{R\}/g, "\\R "],
    [/\\mathcal\{N\}/g, "\\N "],
    [/\\mathbf\{I\}/g, "\\I "],
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
    if (!/^\\(KL|ELBO|E|operatorname)$/.test(all[0])) return all;
    return all.slice(0, all[0] === "\\operatorname" ? 4 : 1);
  }

  function startsWith(all, at, wanted) {
    return wanted.every(function (token, i) {
      var found = all[at + i];
      return found === token || (i > 0 && wanted[i - 1] === "_" && token === "t" && INDEX.test(found || ""));
    });
  }

  // The symbols of a formula, in the order of their first appearance.
  function symbolsIn(tex, known) {
    var all = tokens(tex);
    var found = [];
    for (var at = 0; at < all.length; ) {
      var best = null;
      known.forEach(function (entry) {
        if (startsWith(all, at, entry.pattern) && (!best || entry.pattern.length > best.pattern.length)) best = entry;
      });
      if (best && found.indexOf(best) < 0) found.push(best);
      at += best && best.pattern.indexOf("(") < 0 ? best.pattern.length : 1;
    }
    return found;
  }

  function knownAt(formula) {
    return (window.notationSymbols || [])
      .filter(function (entry) {
        return new RegExp(entry.page).test(location.pathname) && formula.closest(entry.part);
      })
      .map(function (entry) {
        return Object.assign({ pattern: pattern(entry.tex) }, entry);
      });
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
    if (owner.tabIndex === 0) owner.focus();
    owner = null;
  }

  function open(formula) {
    var again = owner === formula;
    close();
    if (again) return;
    var found = symbolsIn(texOf(formula), knownAt(formula));
    if (!found.length) return;
    owner = formula;
    panel = document.createElement("div");
    panel.className = "symbols";
    panel.setAttribute("role", "dialog");
    panel.setAttribute("aria-label", "Symbols of this formula");
    panel.tabIndex = -1;
    var notation = document.documentElement.dataset.content_root + "book/notation.html#";
    panel.innerHTML =
      "<dl>" +
      found
        .map(function (entry) {
          return "<dt><a href='" + notation + entry.anchor + "'>\\(" + entry.tex.replace(/</g, "&lt;") + "\\)</a></dt><dd>" + entry.meaning + "</dd>";
        })
        .join("") +
      "</dl>";
    var block = formula.closest("div.math, p, li, dd, td, figcaption, h1, h2, h3") || formula;
    block.insertAdjacentElement("afterend", panel);
    MathJax.typesetPromise([panel]).then(function () {
      if (panel && formula.tabIndex === 0) panel.focus({ preventScroll: true });
    });
  }

  document.addEventListener("click", function (event) {
    var formula = event.target.closest("main .math");
    if (formula && !event.target.closest("a, .symbols") && String(getSelection()) === "") open(formula);
    else if (panel && !event.target.closest(".symbols")) close();
  });
  document.addEventListener("keydown", function (event) {
    if (event.key === "Escape") close();
    if (event.key === "Enter" && event.target.matches("main div.math")) open(event.target);
  });
  window.symbolsIn = function (tex, formula) {
    return symbolsIn(tex, knownAt(formula));
  };
})();
