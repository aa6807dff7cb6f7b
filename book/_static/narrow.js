// On a phone a displayed formula is set anew, so that nothing has to be pushed aside to be read: each line of a
// derivation may break at a sum, a relation or inside its brackets, and its reason stands below it. What cannot be
// broken, such as a long fraction, scrolls in its own box. On a wider screen the same is done to derivations, also to
// those that a lab shows, so that they are as large as the formulas in a line: a reason stands at the right, or below
// where there is no room. Widths are in letters, as in lowerbound.symbolic.printing.

(function () {
  var PHONE = matchMedia("screen and (max-width: 600px)");
  var LETTER = PHONE.matches ? 10 : 12.5; // pixels
  var INDENT = 30; // of a line that goes on, in pixels
  var WIDTHS = { " ": 0, "{": 0, "}": 0, "\\,": 0.4, "\\quad": 2, "\\qquad": 4, "+": 2.2, "-": 2, "=": 2.2, "\\mid": 1.6 };
  var NOTHING = /^\\(text|mathrm|mathbb|mathcal|operatorname|displaystyle|left|right|bar|hat|tilde|phantom|big[lr]|tfrac)$/;
  var RELATION = /^(=|:|\\(ge|le|approx|sim|to|propto|xrightarrow|overset|Rightarrow))$/;
  var SIGN = /^[+-]$/;
  var OPENS = /^([{(\[]|\\\{)$/;
  var CLOSES = /^([})\]]|\\\})$/;

  function tokens(tex) {
    return tex.match(/\\[A-Za-z]+|\\[^]|[^]/g) || [];
  }

  function count(all, token) {
    return all.filter(function (each) {
      return each === token;
    }).length;
  }

  // The place behind the group in braces that begins at a token.
  function behind(all, at) {
    var depth = 0;
    do {
      depth += all[at] === "{" ? 1 : all[at] === "}" ? -1 : 0;
      at += 1;
    } while (depth && at < all.length);
    return at;
  }

  // Roughly how many letters wide a formula is: a fraction counts its longer half, a script 0.7.
  function width(all) {
    var total = 0;
    for (var at = 0; at < all.length; ) {
      var token = all[at];
      var end = behind(all, at + 1);
      if (/^\\t?frac$/.test(token)) {
        var last = behind(all, end);
        total += 0.5 + Math.max(width(all.slice(at + 1, end)), width(all.slice(end, last)));
        at = last;
      } else if (/^[_^]$/.test(token)) {
        total += 0.7 * width(all.slice(at + 1, end));
        at = end;
      } else {
        total += NOTHING.test(token) ? 0 : /^\\(log|exp)$/.test(token) ? 3 : token in WIDTHS ? WIDTHS[token] : 1;
        at += 1;
      }
    }
    return total;
  }

  // Where a line may break outside of all brackets: before a relation, a sign between two terms, the two bars of a
  // divergence; or else (factors) between two factors.
  function breaks(all, factors) {
    var found = [];
    var open = []; // of each open bracket, whether it is a script's
    var before = "";
    var script = false;
    all.forEach(function (token, at) {
      if (CLOSES.test(token)) script = open.pop();
      var sign = SIGN.test(token) && before && !SIGN.test(before) && !RELATION.test(before) && before !== "\\cdot";
      var relation = RELATION.test(token) && !(token === "=" && before === ":");
      var density = /^[pq]$/.test(token) && /^[(_]$/.test(all[at + 1]);
      var factor = (density || /^\\(frac|mathcal|mathbb)$/.test(token)) && CLOSES.test(before) && !script;
      var here = factors ? factor : sign || relation || token === "\\|";
      if (!open.length && at && here) found.push(at);
      if (OPENS.test(token)) open.push(/^[_^]$/.test(before));
      if (!/^(\s|\\,|\\;)$/.test(token)) before = token;
    });
    return found;
  }

  // A formula in pieces that fit: at its sums and relations, else within its brackets, else between its factors.
  function pieces(all, most) {
    if (width(all) <= most) return [all];
    var ends = breaks(all, false);
    if (!ends.length) {
      var made = opened(all, most);
      if (made) return made;
      ends = breaks(all, true);
      if (!ends.length) return [all];
      ends.reverse().forEach(function (end) {
        all.splice(end, 0, "\\cdot", " ");
      });
      ends = ends.reverse().map(function (end, i) {
        return end + 2 * i;
      });
    }
    return [0].concat(ends).reduce(function (made, start, i, starts) {
      return made.concat(pieces(all.slice(start, starts[i + 1]), most));
    }, []);
  }

  // A formula broken inside the first \left … \right that can be broken, if there is one.
  function opened(all, most) {
    for (var start = all.indexOf("\\left"); start >= 0; start = all.indexOf("\\left", start + 1)) {
      var depth = 1;
      var end = start + 1;
      while (end < all.length && depth) {
        depth += all[end] === "\\left" ? 1 : all[end] === "\\right" ? -1 : 0;
        end += 1;
      }
      var before = all.slice(0, start);
      var inner = all.slice(start + 2, end - 1);
      var rest = all.slice(end + 1);
      var grouped = count(before, "{") > count(before, "}"); // within a fraction, a root or a script
      var made = !depth && !grouped && pieces(inner, Math.min(most, width(inner) - 1));
      if (!made || made.length === 1) continue;
      var size = inner.indexOf("\\frac") < 0 ? "\\big" : "\\bigg";
      var last = made.length - 1;
      made[0] = before.concat(size + "l", all[start + 1], made[0]);
      made[last] = made[last].concat(size + "r", all[end]);
      if (!rest.join("").trim()) return made;
      rest = pieces(rest, most);
      made[last] = made[last].concat(rest[0]);
      return made.concat(rest.slice(1));
    }
    return null;
  }

  function part(parent, tag, name) {
    var made = document.createElement(tag);
    made.className = name;
    parent.appendChild(made);
    return made;
  }

  // A formula as pieces between which the browser may break the line.
  function write(line, tex, most) {
    pieces(tokens(tex.trim()), most).forEach(function (piece) {
      var text = piece.join("").trim();
      if (!text) return;
      if (line.childNodes.length) line.appendChild(document.createTextNode(" "));
      part(line, "span", "piece").textContent = "\\(\\displaystyle {}" + text + "\\)";
    });
  }

  // A reason: words as words, with the formulas in them.
  function say(row, tex) {
    part(row, "div", "why").textContent = tex
      .replace(/^\\text\{([^]*)\}$/, "$1")
      .split("$")
      .map(function (text, i) {
        return i % 2 ? "\\(" + text + "\\)" : text;
      })
      .join("");
  }

  // \[…\] as lines.
  function linesOf(tex, most) {
    var body = tex.replace(/\\(begin|end)\{(split|aligned)\}/g, "");
    var lines = document.createElement("div");
    var row = null;
    var line = null;
    lines.className = "lines";
    body.split(/\\\\(?:\[[^\]]*\])?/).forEach(function (written) {
      var given = /^\s*&\s*\\(?:phantom\{\\text\{[^}]*\}\}|text\{([^}]*)\})\s*\\quad/.exec(written);
      var why = /^\s*&\s*\\qquad\s*\\qquad\s*(\\text\{[^]*\})\s*$/.exec(written);
      if (why) return say(row, why[1]);
      if (given) {
        written.slice(given[0].length).split(/,\s*\\quad/).forEach(function (fact) {
          line = part(lines, "div", "line fact");
          line.textContent = given[1] && lines.querySelector(".fact") === line ? given[1] + " " : "";
          write(line, fact, most);
        });
        return;
      }
      var columns = written.split("&&");
      var formula = columns[0].replace(/^\s*&?\s*(\\quad|\\qquad)*/, "").replace(/&/g, " ");
      if (!formula.trim()) return;
      row = part(lines, "div", "step");
      line = part(row, "div", "line");
      write(line, formula, most);
      if (columns[1]) say(row, columns[1].trim());
    });
    return lines;
  }

  // A routine derivation: its statement stands for its lines, which a button opens, a link to it, or a search of the
  // browser's own. What is folded is laid out, so that its formulas are set in their size, and is printed.
  function fold(formula, lines, most) {
    var derivation = formula.closest(".derivation.routine");
    var button = derivation && derivation.querySelector("button.unfold");
    if (!button) return;
    var all = document.createElement("div");
    var statement = document.createElement("div");
    var first = lines.querySelector(".step");
    all.className = "all";
    statement.className = "step statement";
    write(part(statement, "div", "line"), button.dataset.tex, most);
    first.before(statement, all);
    all.append.apply(all, lines.querySelectorAll(".step:not(.statement)"));

    function show(open) {
      statement.hidden = open;
      if (open) all.removeAttribute("hidden");
      else all.setAttribute("hidden", "until-found");
      derivation.classList.toggle("folded", !open);
      button.setAttribute("aria-expanded", open);
    }

    function follow() {
      var target = document.getElementById(location.hash.slice(1));
      if (target && derivation.contains(target)) show(true);
    }

    button.hidden = false;
    button.addEventListener("click", function () {
      show(statement.hidden === false);
    });
    all.addEventListener("beforematch", function () {
      show(true);
    });
    addEventListener("hashchange", follow);
    show(false);
    follow();
  }

  // The width of a formula that is folded away, from the nearest box around it that is not.
  function roomOf(formula) {
    var box = formula.parentElement;
    while (box && !box.clientWidth) box = box.parentElement;
    return box ? box.clientWidth - 4 * INDENT : 0;
  }

  function reflow(formula) {
    var texts = Array.from(formula.childNodes).filter(function (node) {
      return node.nodeType === Node.TEXT_NODE && /\\\[/.test(node.textContent);
    });
    var tex = texts.length === 1 && /^\s*\\\[([^]*)\\\]\s*$/.exec(texts[0].textContent);
    var room = formula.clientWidth || roomOf(formula) || 300;
    if (!tex) return;
    var lines = linesOf(tex[1], (room - INDENT) / LETTER);
    texts[0].replaceWith(lines);
    fold(formula, lines, (room - INDENT) / LETTER);
    formula.dataset.tex = tex[1]; // by which the room kept for it is known: see tools/publish/formula_sizes.py
    formula.classList.add("narrow");
    var shown = Array.from(lines.querySelectorAll(".piece, .why")).filter(function (box) {
      return !box.closest("[hidden]");
    }).length;
    var high = PHONE.matches ? "--high-on-a-phone" : "--high";
    if (!formula.style.getPropertyValue(high)) formula.style.setProperty(high, 2.4 * shown + "rem");
  }

  document.addEventListener("DOMContentLoaded", function () {
    var which = PHONE.matches ? "main div.math" : "main .derivation div.math, main .cell_output div.math";
    document.querySelectorAll(which).forEach(reflow);
  });
})();
