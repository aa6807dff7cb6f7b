// What the pages do by themselves: figures that move, and mends that the theme needs. Deferred.

(function () {
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
      button.setAttribute("aria-label", "Play");
      player.classList.remove("playing");
    }

    function play() {
      fetchAll();
      if (wanted === frames.length - 1) show(0);
      timer = setInterval(function () {
        show(wanted + 1);
        if (wanted === frames.length - 1) stop();
      }, Number(player.dataset.interval));
      button.setAttribute("aria-label", "Pause");
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

  // A click on a formula, or Enter, shows its symbols, so the keyboard must reach it.
  function nameFormulas() {
    document.querySelectorAll("main div.math").forEach(function (formula) {
      formula.tabIndex = 0;
      formula.setAttribute("role", "group");
      formula.setAttribute("aria-label", "Formula");
    });
  }

  // One that is wider than the page scrolls, so the keyboard must reach what scrolls. Formulas come as they are seen;
  // they are measured once a frame, all before any is changed.
  function letScroll() {
    var fresh = new Set();

    function measure() {
      var wide = Array.from(fresh).filter(function (formula) {
        return formula.scrollWidth >= formula.clientWidth + 3;
      });
      fresh.clear();
      wide.forEach(function (formula) {
        formula.tabIndex = 0;
        formula.classList.add("scrolls");
      });
    }

    new MutationObserver(function (changes) {
      if (!fresh.size) requestAnimationFrame(measure);
      changes.forEach(function (change) {
        var around = change.target.closest("mjx-container");
        var formulas = around ? [around] : change.target.querySelectorAll("mjx-container");
        formulas.forEach(function (formula) {
          if (formula.querySelector("mjx-math")) fresh.add(formula);
        });
      });
    }).observe(document.querySelector("main"), { childList: true, subtree: true });
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

    window.formulasFound = MathJax.startup.promise.then(next);
  }

  // Without MathJax, formulas are shown as they are written.
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
      summary.setAttribute("aria-label", "Show or hide the pages below");
    });
    document.querySelectorAll(".bd-sidebar-primary").forEach(function (sidebar) {
      sidebar.setAttribute("role", "navigation");
      sidebar.setAttribute("aria-label", "Book");
    });
    nameFormulas();
    letScroll();
  });
})();
