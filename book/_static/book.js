// Small mends that the theme and the widget manager need. Loaded in the head.

// Font Awesome replaces <i> by <svg>. Left to watch the page, it also replaces the icons inside the
// play button, and the widget's links break.
window.FontAwesomeConfig = Object.assign(window.FontAwesomeConfig || {}, { observeMutations: false });

(function () {
  // The theme hides the contents list while a margin note is beside it, and fails where there is none.
  function standInForContents() {
    if (document.querySelector("div.bd-sidebar-secondary")) return;
    var nothing = document.createElement("div");
    nothing.className = "bd-sidebar-secondary";
    nothing.hidden = true;
    nothing.style.display = "none";
    document.body.appendChild(nothing);
  }

  // The widget manager typesets labels through the interface of MathJax 2; ours is MathJax 3.
  function answerForMathJax2() {
    if (!window.MathJax || MathJax.Hub) return;
    MathJax.Hub = {
      Queue: function (call) {
        MathJax.startup.promise.then(function () {
          return MathJax.typesetPromise([call[2]]);
        });
      },
    };
  }

  // Give controls that show only a sign the names that a screen reader announces.
  var SIGNS = { "fa-play": "Play or pause", "fa-pause": "Play or pause", "fa-stop": "Stop", "fa-retweet": "Repeat" };

  function nameOnce(element, name) {
    if (element && !element.hasAttribute("aria-label")) element.setAttribute("aria-label", name);
  }

  function nameControls(root) {
    root.querySelectorAll(".widget-hslider").forEach(function (slider) {
      var label = slider.querySelector(".widget-label");
      nameOnce(slider.querySelector(".noUi-handle"), (label && label.textContent.trim()) || "frame");
    });
    Object.keys(SIGNS).forEach(function (sign) {
      root.querySelectorAll(".widget-play ." + sign).forEach(function (icon) {
        nameOnce(icon.closest("button"), SIGNS[sign]);
      });
    });
  }

  document.addEventListener("readystatechange", function () {
    if (document.readyState === "interactive") standInForContents();
  });
  document.addEventListener("DOMContentLoaded", function () {
    answerForMathJax2();
    document.querySelectorAll(".bd-sidebar-primary summary").forEach(function (summary) {
      nameOnce(summary, "Show or hide the pages below");
    });
    var main = document.querySelector("main");
    if (!document.querySelector('script[type="application/vnd.jupyter.widget-view+json"]')) return;
    nameControls(main);
    new MutationObserver(function () {
      nameControls(main);
    }).observe(main, { childList: true, subtree: true });
  });
})();
