// What the pages do by themselves: figures that move, and mends that the theme needs. Deferred.

(function () {
  // A text in the language of the page: words.js has the table of another edition than the English.
  function word(text) {
    return (window.lowerboundWords || {})[text] || text;
  }

  // A figure of several frames: a range input and a play button choose the one that is shown.
  function startPlayer(player) {
    var frames = Array.from(player.querySelectorAll(".frame"));
    var controls = player.querySelector(".player-controls");
    var range = controls.querySelector("input");
    var button = controls.querySelector("button");
    var output = controls.querySelector("output");
    var wanted = Number(range.value);
    var timer = null;

    function picturesOf(frame) {
      return Array.from(frame.querySelectorAll("img")).filter(function (image) {
        return getComputedStyle(image).display !== "none";
      });
    }

    // Fetch what this theme shows, before it is asked for.
    function fetchAll() {
      frames.forEach(function (frame) {
        picturesOf(frame).forEach(function (image) {
          image.loading = "eager";
        });
      });
    }

    function name(index) {
      output.textContent = frames[index].querySelector("summary").textContent;
      range.setAttribute("aria-valuetext", output.textContent);
    }

    function show(index) {
      wanted = index;
      range.value = index;
      name(index);
      Promise.all(
        picturesOf(frames[index]).map(function (image) {
          image.loading = "eager";
          return image.decode().catch(function () {});
        })
      ).then(function () {
        if (wanted !== index) return;
        frames.forEach(function (frame, i) {
          frame.open = i === index;
          frame.hidden = !frame.open;
        });
      });
    }

    function stop() {
      clearInterval(timer);
      timer = null;
      button.setAttribute("aria-label", word("Play"));
      player.classList.remove("playing");
    }

    function play() {
      fetchAll();
      if (wanted === frames.length - 1) show(0);
      timer = setInterval(function () {
        show(wanted + 1);
        if (wanted === frames.length - 1) stop();
      }, Number(player.dataset.interval));
      button.setAttribute("aria-label", word("Pause"));
      player.classList.add("playing");
    }

    range.oninput = null; // the output's own, for where there is no script of ours
    range.addEventListener("input", function () {
      if (timer) stop();
      show(Number(range.value));
    });
    button.addEventListener("click", function () {
      if (timer) stop();
      else play();
    });
    ["pointerenter", "focusin", "touchstart"].forEach(function (event) {
      player.addEventListener(event, fetchAll, { once: true, passive: true });
    });
    name(wanted);
    button.hidden = false;
  }

  // The theme hides the contents list while a margin note is beside it, and fails where there is none.
  function standInForContents() {
    if (document.querySelector("div.bd-sidebar-secondary")) return;
    var nothing = document.createElement("div");
    nothing.className = "bd-sidebar-secondary";
    nothing.hidden = true;
    nothing.style.display = "none";
    document.body.appendChild(nothing);
  }

  // A minute of the lecture, typed as 3:21, leads to the section with the fewest minutes around it.
  function findMinutes() {
    var box = document.querySelector(".minute-box");
    if (!box) return;
    var range = /(\d+):(\d+)\D+(\d+):(\d+)/;
    var answer = box.querySelector("output");
    box.hidden = false;
    box.addEventListener("submit", function (event) {
      event.preventDefault();
      var typed = box.querySelector("input").value.split(":");
      var wanted = 60 * typed[0] + Number(typed[1]);
      var near = Array.from(document.querySelectorAll("details.minutes li"))
        .map(function (item) {
          var times = range.exec(item.textContent).slice(1).map(Number);
          var start = 60 * times[0] + times[1];
          var end = 60 * times[2] + times[3];
          return { item: item, long: end - start, away: Math.max(start - wanted, wanted - end, 0) };
        })
        .sort(function (a, b) {
          return a.away - b.away || a.long - b.long;
        });
      answer.replaceChildren(near[0].away ? word("Nothing at this minute; the nearest is ") : "", ...near[0].item.firstElementChild.cloneNode(true).childNodes);
    });
  }

  // Below a figure, the drawing as a file, in the colours of the page.
  function offerDrawings() {
    document.querySelectorAll("figure.lab-figure:not(:has(.gap-plane)) .from-lab").forEach(function (lab) {
      var link = document.createElement("a");
      var saved = document.createElement("span");
      link.textContent = word("Save");
      link.href = "#";
      link.addEventListener("click", function () {
        var shown = Array.from(lab.closest("figure").querySelectorAll("img")).find(function (image) {
          return image.offsetParent;
        });
        link.href = shown.currentSrc || shown.src;
        link.download = link.href.split("/").pop();
      });
      saved.className = "save";
      saved.append(" · ", link);
      lab.append(saved);
    });
  }

  // The page in the other language opens at the same place, and a search with the same words.
  function keepPlace() {
    document.querySelectorAll(".language-switch").forEach(function (link) {
      link.addEventListener("click", function () {
        link.hash = location.hash;
        link.search = location.search;
      });
    });
  }

  // What an address points at is opened, where it lies in a fold.
  function openTarget() {
    var target = document.getElementById(location.hash.slice(1));
    if (!target || !target.closest("main")) return;
    var folds = [];
    for (var fold = target.parentElement.closest("details:not([open]):not(.frame), .toggle-hidden"); fold; ) {
      folds.push(fold);
      fold = fold.parentElement.closest("details:not([open]):not(.frame), .toggle-hidden");
    }
    folds.forEach(function (each) {
      if (each.matches("details")) each.open = true;
      else each.querySelector(":scope > .toggle-button, :scope > .admonition-title .toggle-button").click();
    });
    if (folds.length) target.scrollIntoView();
  }

  // Where the engine is beside the pages, each derivation can be changed. None of it is fetched before a click.
  function offerSheets() {
    var engine = document.querySelector('meta[name="lowerbound-sheet"]');
    var free = document.querySelector(".free-sheet");
    if (!engine) return;
    var came = null;
    var tries = 0;
    // What failed to come is asked for again under another name: a browser may remember that it failed.
    function begin(open) {
      came = came || import(new URL(engine.content + "/sheet.js" + (tries ? "?" + tries : ""), location.href));
      came.catch(function () {
        came = null;
        tries += 1;
      });
      return came.then(open);
    }
    document.querySelectorAll("button.change-proof").forEach(function (button) {
      var failed = document.createElement("p");
      failed.setAttribute("role", "status");
      button.hidden = false;
      button.addEventListener("click", function () {
        button.disabled = true;
        failed.remove();
        begin(function (sheet) {
          return sheet.ofProof(button);
        }).catch(function () {
          button.disabled = false;
          button.after(failed);
          failed.textContent = word("This could not be fetched. Are you online?");
        });
      });
    });
    if (free)
      begin(function (sheet) {
        return sheet.free(free);
      });
  }

  // What is wider than its place scrolls, a formula, a program or a table: the keyboard must reach it, and its edges say that
  // there is more. Formulas come as they are seen, folds are opened, and windows are turned.
  function letScroll() {
    // On which sides there is more to see.
    function tellWhere() {
      this.classList.toggle("more-left", this.scrollLeft > 2);
      this.classList.toggle("more-right", this.scrollLeft + this.clientWidth < this.scrollWidth - 2);
    }

    function isWide(box) {
      var drawn = box.querySelector("mjx-math");
      return box.clientWidth && (drawn ? drawn.getBoundingClientRect().width : box.scrollWidth) >= box.clientWidth + 3;
    }

    var sizes = new ResizeObserver(function (changes) {
      var boxes = changes.map(function (change) {
        return change.target;
      });
      var wide = boxes.map(isWide);
      boxes.forEach(function (box, i) {
        box.classList.toggle("scrolls", wide[i]);
        if (!wide[i]) return box.classList.remove("more-left", "more-right");
        box.tabIndex = 0;
        box.addEventListener("scroll", tellWhere, { passive: true });
        tellWhere.call(box);
      });
    });

    var boxes = "main .highlight pre, main .pst-scrollable-table-container, main .container.wide";
    document.querySelectorAll(boxes).forEach(function (wide) {
      sizes.observe(wide);
    });
    new MutationObserver(function (changes) {
      changes.forEach(function (change) {
        var around = change.target.closest("mjx-container");
        (around ? [around] : change.target.querySelectorAll("mjx-container")).forEach(function (formula) {
          if (formula.querySelector("mjx-math")) sizes.observe(formula);
        });
      });
    }).observe(document.querySelector("main"), { childList: true, subtree: true });
  }

  // The letters that the page needs come before a formula is set in them: others take other room until then.
  function fetchLetters() {
    var text = document.querySelector("main").textContent;
    var families = ["MJXTEX", "MJXTEX-I", "MJXTEX-S1", "MJXTEX-S2"];
    if (!/\\\(|\\\[/.test(text)) return;
    if (/\\mathbb|\\E\b/.test(text)) families.push("MJXTEX-A");
    if (/\\mathcal|\\N\b/.test(text)) families.push("MJXTEX-C");
    document.head.append(MathJax.chtmlStylesheet());
    return Promise.allSettled(
      families.map(function (family) {
        return document.fonts.load("1em " + family);
      })
    );
  }

  // MathJax looks for formulas part by part, so that the page answers in between.
  function findFormulas() {
    var parts = Array.from(document.querySelectorAll("article > section > *, article > :not(section)"));

    function next() {
      var part = parts.shift();
      if (!part) return true;
      var done = part.querySelector(".math, .output") || part.matches(".math") ? MathJax.typesetPromise([part]) : Promise.resolve();
      return done
        .then(function () {
          return new Promise(setTimeout);
        })
        .then(next);
    }

    window.formulasFound = MathJax.startup.promise.then(fetchLetters).then(next);
  }

  // Without MathJax, formulas are shown as they are written.
  addEventListener("load", openTarget);
  addEventListener("hashchange", openTarget);
  addEventListener("load", function () {
    if (window.MathJax && MathJax.startup) findFormulas();
    else document.documentElement.classList.add("no-maths");
  });

  // What is printed has all its pictures.
  addEventListener("beforeprint", function () {
    document.querySelectorAll("main img").forEach(function (image) {
      image.loading = "eager";
    });
  });

  standInForContents();
  document.addEventListener("DOMContentLoaded", function () {
    document.querySelectorAll(".player").forEach(startPlayer);
    document.querySelectorAll(".bd-sidebar-primary summary").forEach(function (summary) {
      summary.setAttribute("aria-label", word("Show or hide the pages below"));
    });
    document.querySelectorAll(".bd-sidebar-primary").forEach(function (sidebar) {
      sidebar.setAttribute("role", "navigation");
      sidebar.setAttribute("aria-label", word("Book"));
    });
    keepPlace();
    findMinutes();
    offerDrawings();
    offerSheets();
    letScroll();
  });
})();
