// A figure that is computed in the page: the guess q = N(m, v) of the linear Gaussian of chapter 1, moved freely in the
// plane of its two parameters. ELBO and KL are in closed form. Where no script runs, the lab's picture is shown.

(function () {
  var SVG = "http://www.w3.org/2000/svg";
  var WIDE = 340;
  var HIGH = 250;
  var LEFT = 42;
  var BOTTOM = 38;
  var LEVELS = [0.1, 0.5, 1, 2, 4]; // nats: KLs along whose lines q may move without a change of the bound
  var MEANS = [-3, 3, 0.05]; // least, most, step
  var VARIANCES = [0.05, 3, 0.01];
  var FLOOR = -8; // nats: where the bar begins

  // A text in the language of the page: see book.js.
  function word(text) {
    return (window.lowerboundWords || {})[text] || text;
  }

  function draw(parent, tag, attributes, text) {
    var made = document.createElementNS(SVG, tag);
    Object.entries(attributes || {}).forEach(function (pair) {
      made.setAttribute(pair[0], pair[1]);
    });
    if (text !== undefined) made.textContent = text;
    parent.appendChild(made);
    return made;
  }

  function add(parent, tag, attributes, text) {
    var made = document.createElement(tag);
    Object.assign(made, attributes);
    if (text) made.textContent = text;
    parent.appendChild(made);
    return made;
  }

  function written(value, digits) {
    return value.toFixed(digits).replace("-", "−");
  }

  // All that is computed: p(z) = N(0, 1), p(x | z) = N(wz, s²), q = N(m, v).
  function model(w, s, x) {
    var all = w * w + s * s;
    var mean = (w * x) / all;
    var variance = (s * s) / all;
    return {
      mean: mean,
      variance: variance,
      logp: -(Math.log(2 * Math.PI * all) + (x * x) / all) / 2,
      kl: function (m, v) {
        return ((v + (m - mean) * (m - mean)) / variance - 1 - Math.log(v / variance)) / 2;
      },
      // The expected log likelihood, less the KL to the prior: without a word of the posterior.
      elbo: function (m, v) {
        var fit = -(Math.log(2 * Math.PI * s * s) + ((x - w * m) * (x - w * m) + w * w * v) / (s * s)) / 2;
        return fit - (m * m + v - 1 - Math.log(v)) / 2;
      },
    };
  }

  // Axes with their names and ticks. Returns where a pair of numbers lies.
  function frame(svg, across, up, names, ticks) {
    var x = function (value) {
      return LEFT + ((value - across[0]) / (across[1] - across[0])) * (WIDE - LEFT - 8);
    };
    var y = function (value) {
      return HIGH - BOTTOM - ((value - up[0]) / (up[1] - up[0])) * (HIGH - BOTTOM - 10);
    };
    draw(svg, "path", { class: "axis", d: "M" + LEFT + " 10V" + (HIGH - BOTTOM) + "H" + (WIDE - 8) });
    ticks[0].forEach(function (tick) {
      draw(svg, "text", { x: x(tick), y: HIGH - BOTTOM + 16, "text-anchor": "middle" }, written(tick, 0));
    });
    ticks[1].forEach(function (tick) {
      draw(svg, "text", { x: LEFT - 7, y: y(tick) + 4, "text-anchor": "end" }, String(tick));
    });
    draw(svg, "text", { x: (LEFT + WIDE) / 2, y: HIGH - 4, "text-anchor": "middle" }, names[0]);
    draw(svg, "text", { x: 12, y: (HIGH - BOTTOM) / 2, "text-anchor": "middle", transform: "rotate(-90 12 " + (HIGH - BOTTOM) / 2 + ")" }, names[1]);
    return { x: x, y: y };
  }

  function path(points) {
    return points
      .map(function (point, i) {
        return (i ? "L" : "M") + point[0].toFixed(1) + " " + point[1].toFixed(1);
      })
      .join("");
  }

  // The line on which the KL is so many nats.
  function level(known, kl, at) {
    var right = [];
    var left = [];
    for (var v = 0.002; v < 12; v *= 1.01) {
      var square = known.variance * (2 * kl + 1 + Math.log(v / known.variance)) - v;
      if (square < 0) continue;
      right.push([at.x(known.mean + Math.sqrt(square)), at.y(v)]);
      left.unshift([at.x(known.mean - Math.sqrt(square)), at.y(v)]);
    }
    return path(right.concat(left)) + "Z";
  }

  function slider(parent, name, range, value) {
    var label = add(parent, "label", {}, name + " ");
    return add(label, "input", { type: "range", min: range[0], max: range[1], step: range[2], value: value });
  }

  function start(place) {
    var known = model(Number(place.dataset.w), Number(place.dataset.s), Number(place.dataset.x));
    var controls = add(place, "div", { className: "plane-controls" });
    var m = slider(controls, word("mean m"), MEANS, 0.2);
    var v = slider(controls, word("variance v"), VARIANCES, 0.9);
    var output = add(controls, "output", {});
    var row = add(place, "div", { className: "plane-row" });
    var box = { viewBox: "0 0 " + WIDE + " " + HIGH, role: "img" };

    var plane = draw(row, "svg", Object.assign({ class: "plane", "aria-label": word("The plane of m and v, with lines of equal KL around the posterior and a point at q.") }, box));
    var at = frame(plane, MEANS, [0, 3], [word("mean m of q"), word("variance v of q")], [[-3, -2, -1, 0, 1, 2, 3], [0, 1, 2, 3]]);
    var clip = draw(draw(plane, "clipPath", { id: "plane-inside" }), "rect", { x: LEFT, y: 10, width: WIDE - LEFT - 8, height: HIGH - BOTTOM - 10 });
    LEVELS.forEach(function (kl) {
      draw(plane, "path", { class: "level", d: level(known, kl, at), "clip-path": "url(#" + clip.parentNode.id + ")" });
      var high = known.variance; // of the line's uppermost point, where m is the posterior's
      while (known.kl(known.mean, high) < kl) high += 0.01;
      var side = known.mean + Math.sqrt(2 * kl * known.variance); // of a point where v is the posterior's
      if (high < 2.8) draw(plane, "text", { class: "level-name", "text-anchor": "middle", x: at.x(known.mean), y: at.y(high) - 3 }, kl);
      else if (side < MEANS[1] - 0.3) draw(plane, "text", { class: "level-name", x: at.x(side) + 3, y: at.y(known.variance) + 4 }, kl);
    });
    draw(plane, "path", { class: "posterior-mark", d: "M-5 0H5M0 -5V5", transform: "translate(" + at.x(known.mean) + " " + at.y(known.variance) + ")" });
    var point = draw(plane, "circle", { class: "guess-mark", r: 7 });

    var bells = draw(row, "svg", Object.assign({ class: "bells", "aria-label": word("The densities of q and of the posterior over z.") }, box));
    var over = frame(bells, [-4, 4], [0, 1.2], ["z", word("density")], [[-4, -2, 0, 2, 4], [0, 0.5, 1]]);
    function bell(mean, variance) {
      var points = [];
      for (var z = -4; z <= 4.001; z += 0.05) {
        var high = Math.exp((-(z - mean) * (z - mean)) / (2 * variance)) / Math.sqrt(2 * Math.PI * variance);
        points.push([over.x(z), over.y(Math.min(high, 1.2))]);
      }
      return path(points);
    }
    draw(bells, "path", { class: "posterior", d: bell(known.mean, known.variance) });
    draw(bells, "text", { class: "posterior-name", x: over.x(2.05), y: over.y(0.42) }, "p(z | x)");
    var guess = draw(bells, "path", { class: "guess" });
    var name = draw(bells, "text", { class: "guess-name", "text-anchor": "middle" }, "q");

    var bar = draw(place, "svg", { class: "plane-bar", viewBox: "0 0 340 46", role: "img", "aria-label": word("ELBO and KL end to end; their end is log p(x).") });
    function along(value) {
      return 8 + ((Math.max(value, FLOOR) - FLOOR) / (known.logp - FLOOR)) * 270;
    }
    var bound = draw(bar, "rect", { class: "bound", x: 8, y: 8, height: 20 });
    var gap = draw(bar, "rect", { class: "gap", y: 8, height: 20 });
    draw(bar, "path", { class: "axis", d: "M" + along(known.logp) + " 2V32" });
    draw(bar, "text", { x: along(known.logp) + 6, y: 23 }, "log p(x)");
    var boundName = draw(bar, "text", { x: 14, y: 42 }, "ELBO");
    draw(bar, "text", { y: 42, "text-anchor": "end", x: along(known.logp) - 4 }, "KL");

    function show() {
      var mean = Number(m.value);
      var variance = Number(v.value);
      var elbo = known.elbo(mean, variance);
      var kl = known.kl(mean, variance);
      point.setAttribute("cx", at.x(mean));
      point.setAttribute("cy", at.y(variance));
      guess.setAttribute("d", bell(mean, variance));
      name.setAttribute("x", over.x(Math.max(-3.8, Math.min(3.8, mean - Math.sqrt(variance)))) - 10);
      name.setAttribute("y", over.y(Math.min(1.1, 0.61 / Math.sqrt(2 * Math.PI * variance))));
      bound.setAttribute("width", along(elbo) - 8);
      gap.setAttribute("x", along(elbo));
      gap.setAttribute("width", along(known.logp) - along(elbo));
      m.setAttribute("aria-valuetext", "m = " + written(mean, 2) + ", KL " + written(kl, 3));
      v.setAttribute("aria-valuetext", "v = " + written(variance, 2) + ", KL " + written(kl, 3));
      output.textContent =
        "q = N(" + written(mean, 2) + ", " + written(variance, 2) + "): ELBO " + written(elbo, 3) + " + KL " + written(kl, 3) + " = " + written(elbo + kl, 3) + ", log p(x)";
      boundName.textContent = elbo < FLOOR ? word("ELBO, below ") + written(FLOOR, 0) : "ELBO";
    }

    // The pointer takes q along, over the plane.
    function follow(event) {
      if (event.type === "pointermove" && !plane.hasPointerCapture(event.pointerId)) return;
      plane.setPointerCapture(event.pointerId);
      var seen = plane.getBoundingClientRect();
      var x = ((event.clientX - seen.left) / seen.width) * WIDE;
      var y = ((event.clientY - seen.top) / seen.height) * HIGH;
      m.value = MEANS[0] + ((x - LEFT) / (WIDE - LEFT - 8)) * (MEANS[1] - MEANS[0]);
      v.value = ((HIGH - BOTTOM - y) / (HIGH - BOTTOM - 10)) * 3;
      show();
      event.preventDefault();
    }

    plane.addEventListener("pointerdown", follow);
    plane.addEventListener("pointermove", follow);
    m.addEventListener("input", show);
    v.addEventListener("input", show);
    place.classList.add("live");
    show();
  }

  document.addEventListener("DOMContentLoaded", function () {
    document.querySelectorAll(".gap-plane").forEach(start);
  });
})();
