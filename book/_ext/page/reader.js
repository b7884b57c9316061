// Reader | Coder, how far one has read, copying a citation, and excerpts without raw TeX.
(function () {
  "use strict";

  const root = document.documentElement, article = document.querySelector(".bd-article");
  const keep = (key, value) => { try { localStorage.setItem(key, value); } catch { /* private window */ } };
  const make = (name, attributes = {}, ...inside) => {
    const e = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
    e.append(...inside);
    return e;
  };

  // One switch for all code of the book.
  function codeSwitch() {
    if (!article?.querySelector(".cell_input, .mih-coder")) return;
    const buttons = { hidden: "Reader", shown: "Coder" };
    const group = make("div", { class: "mih-switch", role: "group", "aria-label": "Code on the pages" });
    const show = (state) => {
      root.dataset.code = state;
      for (const b of group.children) b.setAttribute("aria-pressed", b.dataset.state === state);
    };
    for (const [state, name] of Object.entries(buttons)) {
      const what = state === "shown" ? "Show the code" : "Hide the code";
      const b = make("button", { type: "button", "data-state": state, title: what }, name);
      b.addEventListener("click", () => {
        const anchor = topmost(), before = anchor?.getBoundingClientRect().top;
        show(state);
        keep("mih-code", state);
        if (anchor) scrollBy(0, anchor.getBoundingClientRect().top - before);
      });
      group.append(b);
    }
    show(root.dataset.code || "hidden");
    document.querySelector(".article-header-buttons")?.prepend(group);
  }
  // The paragraph at the top of the window, which must not move when code comes or goes.
  const topmost = () => [...article.querySelectorAll("p, h2, h3, figure, table")]
    .find((e) => e.getBoundingClientRect().top > 60 && e.offsetParent && !e.closest(".cell_input, .mih-coder"));

  // A bar along the top, with a tick where each section begins.
  function progress() {
    const headings = [...(article?.querySelectorAll("h2") || [])];
    if (headings.length < 3) return;
    const done = make("div", { class: "mih-progress-done" });
    const bar = make("div", { class: "mih-progress", "aria-hidden": "true" }, done);
    document.body.append(bar);
    const place = () => {
      const top = article.getBoundingClientRect().top + scrollY, length = article.scrollHeight;
      bar.querySelectorAll("i").forEach((tick) => tick.remove());
      for (const h of headings) {
        if (!h.offsetParent) continue;
        const tick = make("i");
        tick.style.left = `${((h.getBoundingClientRect().top + scrollY - top) / length) * 100}%`;
        bar.append(tick);
      }
      move();
    };
    const move = () => {
      const { top, height } = article.getBoundingClientRect();
      const read = (innerHeight * 0.6 - top) / height;
      done.style.width = scrollY < 40 ? "0" : `${Math.min(Math.max(read, 0), 1) * 100}%`;
    };
    addEventListener("scroll", move, { passive: true });
    new ResizeObserver(place).observe(article);
  }

  function copying() {
    for (const button of document.querySelectorAll("[data-copy]")) {
      button.addEventListener("click", async () => {
        const text = button.parentElement.querySelector(button.dataset.copy).textContent;
        try { await navigator.clipboard.writeText(text); button.textContent = "Copied"; } catch { button.textContent = "Select and copy it above"; }
      });
    }
  }

  // Search excerpts are cut from the text of pages, where formulas are still TeX.
  const SIGNS = { alpha: "α", beta: "β", epsilon: "ε", varepsilon: "ε", sigma: "σ", theta: "θ", mu: "μ", pi: "π",
    Delta: "Δ", Phi: "Φ", varphi: "φ", nabla: "∇", infty: "∞", le: "≤", ge: "≥", gg: "≫", ll: "≪", approx: "≈",
    sim: "~", mid: "|", times: "×", cdot: "·", pm: "±", sum: "∑", prod: "∏", int: "∫", to: "→", in: "∈", sqrt: "√",
    dots: "…", ldots: "…", qquad: " ", quad: " " };
  const plainMaths = (tex) => tex
    .replace(/\\bar\s*\\?(\w+)/g, (_, name) => `${SIGNS[name] || name}\u0304`)
    .replace(/\\hat\s*\{?\\?(\w+)\}?/g, (_, name) => `${SIGNS[name] || name}\u0302`)
    .replace(/\\frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}/g, "$1/$2")
    .replace(/\\(?:mathcal|mathbb|mathrm|operatorname|text|mathbf|left|right|big|Big)\s*/g, "")
    .replace(/\\([A-Za-z]+)/g, (_, name) => SIGNS[name] ?? name)
    .replace(/\\[,;!> ]|[{}]/g, "");
  window.mihPlainMaths = (text) => text.replace(/\\\((.+?)\\\)|\\\[([^]+?)\\\]/g, (_, a, b) => plainMaths(a || b));
  function searchWithoutTex() {
    if (typeof Search === "undefined" || !Search.htmlToText) return;
    const before = Search.htmlToText;
    Search.htmlToText = (...given) => window.mihPlainMaths(before.apply(Search, given));
  }

  // Paper is light, and what is folded on the screen is open on it.
  function printing() {
    let folded = [], theme;
    addEventListener("beforeprint", () => {
      theme = root.dataset.theme;
      root.dataset.theme = "light";
      folded = [...document.querySelectorAll(".bd-article details:not([open], .above-input, .lab-menu)")];
      folded.forEach((fold) => { fold.open = true; });
    });
    addEventListener("afterprint", () => {
      folded.forEach((fold) => { fold.open = false; });
      root.dataset.theme = theme;
    });
  }

  // What scrolls in its own box, code or a formula or a table, must be in reach of the keyboard, too.
  function scrollable() {
    const boxes = () => article.querySelectorAll("mjx-container[display], div.math, pre, .cell_output .output, .pst-scrollable-table-container");
    const look = (box) => {
      const scrolls = box.scrollWidth > box.clientWidth + 1 && /auto|scroll/.test(getComputedStyle(box).overflowX);
      if (scrolls) box.tabIndex = 0;
      else if (box.tabIndex === 0 && box.dataset.scrolls) box.removeAttribute("tabindex");
      box.dataset.scrolls = scrolls ? "sideways" : "";
    };
    const watch = new ResizeObserver((entries) => entries.forEach(({ target }) => look(target)));
    const start = () => boxes().forEach((box) => watch.observe(box));
    start();
    addEventListener("load", () => window.MathJax?.startup?.promise?.then(start));
  }

  codeSwitch();
  if (article) scrollable();
  printing();
  progress();
  copying();
  searchWithoutTex();
})();
