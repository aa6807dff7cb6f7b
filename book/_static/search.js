// The page with what a search finds: sections and terms, the best first. SECTIONS is written by book/_ext/search.py.

(function () {
  var SHOWN = 30;
  var FEW = 3;
  var AROUND = 110; // characters before and after a word that was found
  // What people type, and what the book calls it.
  var SYNONYMS = {
    fid: "Fréchet distance",
    cfg: "classifier-free guidance",
    ema: "averaged weights",
    vlb: "evidence lower bound",
    nll: "negative log-likelihood bits",
    kl: "Kullback–Leibler divergence",
    sde: "score continuous time",
    ode: "probability flow",
    iwae: "importance weights",
    ae: "autoencoder",
    x0: "guess of the image",
    reparametrization: "reparameterisation",
    "score matching": "score",
  };
  var SYNONYMS_IN_VIETNAMESE = {
    "phan phoi": "phân bố",
    "chan duoi": "cận dưới",
    "dieu chuan": "chính quy hoá",
    "tiem an": "ẩn",
    "ham kha nang": "hàm hợp lý",
    "kha nang cuc dai": "hợp lý cực đại",
    "so sanh": "so với",
  };
  // Words that are typed in English in the middle of a question in Vietnamese.
  var ENGLISH_WORDS = {
    diffusion: "khuếch tán",
    encoder: "mã hoá",
    decoder: "giải mã",
    prior: "tiên nghiệm",
    posterior: "hậu nghiệm",
    noise: "nhiễu",
    loss: "mất mát",
    sampling: "lấy mẫu",
    sample: "mẫu",
    schedule: "lịch trình",
    guidance: "dẫn hướng",
    forward: "thuận",
    reverse: "ngược",
    lab: "thực hành",
    homework: "bài tập",
  };
  // What makes a question of words, and is in none of the titles that answer it.
  var ASKING = ["vi sao", "tai sao", "nhu the nao", "the nao", "ra sao", "la gi", "cach", "va", "bi", "cua", "la", "giua", "tinh"];
  var VIETNAMESE = document.documentElement.lang === "vi";
  var WEIGHT = { chapter: 1.6, page: 1, term: 1.5, lab: 0.7 };

  // A text in the language of the page: see book.js.
  function word(text) {
    return (window.lowerboundWords || {})[text] || text;
  }

  // Letters without accents and capitals.
  function bare(text) {
    return text
      .normalize("NFD")
      .replace(/\p{M}/gu, "")
      .replace(/[đĐ]/g, "d")
      .toLowerCase();
  }

  // A word without accents, capitals, plural and American spelling.
  function stem(word) {
    return bare(word)
      .replace(/iz(ation|e|ed|er|es|ing)$/, "is$1")
      .replace(/([^s])s$/, "$1");
  }

  function index() {
    var engine = new MiniSearch({
      fields: ["title", "words", "page", "text"],
      processTerm: function (term) {
        return stem(term) || null;
      },
    });
    engine.addAll(
      SECTIONS.map(function (section, i) {
        return Object.assign({ id: i }, section);
      })
    );
    return engine;
  }

  function atMinute(text) {
    var parts = /^(\d{1,2}):(\d{2})$/.exec(text);
    if (!parts) return null;
    var wanted = 60 * parts[1] + Number(parts[2]);
    return SECTIONS.filter(function (section) {
      return section.minutes && section.minutes[0] <= wanted && wanted <= section.minutes[1];
    }).sort(function (a, b) {
      return a.minutes[1] - a.minutes[0] - (b.minutes[1] - b.minutes[0]);
    });
  }

  // The words of a question that are looked for: in Vietnamese without those that only ask, and English
  // words by what the book calls them, too.
  function every(text) {
    if (!VIETNAMESE) return { combineWith: "AND", queries: [text] };
    var words = text.split(/[^\p{L}\p{N}_]+/u).filter(Boolean);
    var asked = " " + words.map(bare).join(" ") + " ";
    ASKING.forEach(function (said) {
      asked = asked.replaceAll(" " + said + " ", " " + said.replace(/\S+/g, "-") + " ");
    });
    var kept = asked.trim().split(" ");
    var left = words.filter(function (word, i) {
      return kept[i] !== "-";
    });
    return {
      combineWith: "AND",
      queries: (left.length ? left : words).map(function (word) {
        var own = ENGLISH_WORDS[stem(word)];
        return own ? { combineWith: "OR", queries: [word, { combineWith: "AND", queries: [own] }] } : word;
      }),
    };
  }

  var engine = null;

  function find(text) {
    engine = engine || index();
    // What is typed with its accents is found first where it stands with the same.
    var accented = /\P{ASCII}/u.test(text) ? text.normalize("NFC").toLowerCase() : "";
    var options = {
      boost: { title: 5, words: 4, page: 1.5 },
      prefix: function (term) {
        return term.length > 3;
      },
      fuzzy: function (term) {
        return term.length > 5 ? 0.15 : false;
      },
      boostDocument: function (id) {
        var section = SECTIONS[id];
        var exact = accented && (section.title + " " + section.text).toLowerCase().includes(accented);
        return WEIGHT[section.kind] * (exact ? 2 : 1);
      },
    };
    var also = Object.keys(SYNONYMS).filter(function (word) {
      return (" " + bare(text).replace(/[^a-z0-9]+/g, " ") + " ").includes(" " + word + " ");
    });
    var asked = every(text);
    var ways = [asked].concat(also.map(function (word) {
      return { combineWith: "AND", queries: [SYNONYMS[word]] };
    }));
    if (VIETNAMESE) {
      var plain = " " + bare(text) + " ";
      Object.keys(SYNONYMS_IN_VIETNAMESE).forEach(function (said) {
        plain = plain.replace(" " + said + " ", " " + SYNONYMS_IN_VIETNAMESE[said] + " ");
      });
      if (plain !== " " + bare(text) + " ") ways.push(every(plain));
    }
    var wanted = ways.length > 1 ? { combineWith: "OR", queries: ways } : asked;
    var found = engine.search(wanted, options);
    if (found.length < FEW) {
      // Few have all the words: those that have some of them follow.
      var some = engine.search(
        Object.assign({}, asked, { combineWith: "OR" }), Object.assign({}, options, { fuzzy: false })
      );
      var ids = new Set(found.map(function (hit) { return hit.id; }));
      found = found.concat(some.filter(function (hit) { return !ids.has(hit.id); }));
    }
    return found.map(function (hit) {
      return SECTIONS[hit.id];
    });
  }

  window.findSections = find;

  // Some words around the first that was looked for, and these marked.
  function excerpt(text, words) {
    var stems = words.map(stem);
    var pieces = text.split(/([\p{L}\p{N}]+)/u);
    var hits = pieces.map(function (piece) {
      var own = stem(piece);
      return own.length > 1 && stems.some(function (word) {
        return own === word || (word.length > 3 && own.startsWith(word));
      });
    });
    var first = Math.max(hits.indexOf(true), 0);
    var from = first;
    for (var before = 0; from > 0 && before < AROUND; from -= 1) before += pieces[from - 1].length;
    var line = document.createElement("p");
    line.className = "context";
    if (from > 0) line.append("… ");
    for (var i = from, length = 0; i < pieces.length && length < 2 * AROUND; i += 1) {
      length += pieces[i].length;
      if (!hits[i]) line.append(pieces[i]);
      else {
        var mark = document.createElement("mark");
        mark.textContent = pieces[i];
        line.append(mark);
      }
    }
    if (i < pieces.length) line.append(" …");
    return line;
  }

  function show(text) {
    var box = document.getElementById("search-results");
    var minute = atMinute(text);
    var found = minute || find(text);
    var words = text.split(/[^\p{L}\p{N}]+/u).filter(Boolean);
    var count = document.createElement("p");
    count.setAttribute("role", "status");
    count.textContent = found.length
      ? found.length + word(found.length === 1 ? " place" : " places") + (minute ? word(" speak of this minute") : "")
      : minute
        ? word("No section speaks of this minute of the lecture.")
        : word("Nothing found. Try one word, or its name in the glossary.");
    var list = document.createElement("ol");
    list.className = "search";
    found.slice(0, SHOWN).forEach(function (section) {
      var item = document.createElement("li");
      var link = document.createElement("a");
      link.href = section.uri;
      link.textContent = section.title;
      item.append(link);
      if (section.page !== section.title && !section.page.endsWith(". " + section.title)) {
        var page = document.createElement("span");
        page.className = "where";
        page.textContent = section.page;
        item.append(" ", page);
      }
      if (section.text) item.append(excerpt(section.text, words));
      list.append(item);
    });
    box.replaceChildren(count, list);
  }

  document.addEventListener("DOMContentLoaded", function () {
    var text = (new URLSearchParams(location.search).get("q") || "").trim();
    if (!text) return;
    document.querySelectorAll("form.bd-search input").forEach(function (input) {
      input.value = text;
    });
    show(text);
  });
})();
