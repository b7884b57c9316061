// Questions: folded answers in a notebook become a quiz, or a guess before the answer, on the page.
// What was answered stays in this browser.
(function () {
  "use strict";

  const STORE = "mih-answers", page = typeof DOCUMENTATION_OPTIONS === "undefined" ? location.pathname : DOCUMENTATION_OPTIONS.pagename;
  const make = (name, attributes = {}, ...inside) => {
    const e = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
    e.append(...inside);
    return e;
  };
  const button = (label, name, act) => {
    const b = make("button", { type: "button", class: name });
    b.append(...(Array.isArray(label) ? label : [label]));
    b.addEventListener("click", act);
    return b;
  };

  // {page: {question: answer}}; a private window keeps it as long as the page is open
  let all = {};
  try { all = JSON.parse(localStorage.getItem(STORE)) || {}; } catch { /* not there, or not ours */ }
  const answered = (name) => all[page]?.[name];
  function remember(name, value) {
    (all[page] ||= {})[name] = value;
    try { localStorage.setItem(STORE, JSON.stringify(all)); } catch { /* as above */ }
  }
  const nameOf = (box) => [...box.querySelector("p").textContent].reduce((h, c) => (h * 31 + c.codePointAt(0)) >>> 0, 7).toString(36);

  function quiz(box, number) {
    const folded = [...box.querySelectorAll(":scope > details")], name = nameOf(box);
    const question = box.querySelector("p"), said = make("p", { class: "mih-said", role: "status" });
    question.id ||= `mih-question-${number}`;
    box.setAttribute("role", "group");
    box.setAttribute("aria-labelledby", question.id);
    const options = folded.map((fold, i) => {
      const summary = fold.querySelector("summary"), right = fold.classList.contains("right");
      const feedback = make("div", { class: "mih-feedback" });
      const b = button([make("span", { class: "mih-letter", "aria-hidden": "true" }, "ABCDEF"[i]), make("span", {}, ...summary.childNodes)], "mih-option", () => choose(i, true));
      if (right) b.dataset.right = "";
      summary.remove();
      feedback.append(...fold.childNodes);
      feedback.hidden = true;
      fold.replaceWith(b, feedback);
      return { b, feedback, right };
    });
    box.append(said);
    const heading = document.getElementById(box.dataset.see || "")?.querySelector("h2, h3, h4");
    if (heading) {
      const title = heading.cloneNode(true);
      title.querySelectorAll(".headerlink, .section-number").forEach((e) => e.remove());
      box.append(make("p", { class: "mih-see" }, make("a", { href: `#${box.dataset.see}` }, `Read again: ${title.textContent.trim()}`)));
    }
    function choose(i, now) {
      const { b, feedback, right } = options[i];
      b.dataset.state = right ? "right" : "wrong";
      b.setAttribute("aria-expanded", "true");
      feedback.hidden = false;
      if (!now) return;
      said.textContent = right ? "Right." : "Not this one.";
      if (answered(name) === undefined) remember(name, right ? 1 : 0);
      remember(`${name}.of`, i);
      box.dispatchEvent(new CustomEvent("mih-answered", { bubbles: true }));
    }
    if (answered(`${name}.of`) !== undefined && options[answered(`${name}.of`)]) choose(answered(`${name}.of`), false);
    return name;
  }

  function score(boxes, names) {
    const line = make("span"), last = boxes.at(-1);
    const forget = button("Forget my answers", "mih-link", () => {
      all = {};
      try { localStorage.removeItem(STORE); } catch { /* as above */ }
      location.reload();
    });
    const count = () => {
      const here = names.map(answered).filter((v) => v !== undefined);
      const book = Object.values(all).flatMap((p) => Object.entries(p)).filter(([k, v]) => !/\.|^guess/.test(k) && v !== undefined).map(([, v]) => v);
      const right = (list) => list.reduce((sum, v) => sum + v, 0);
      line.textContent = here.length
        ? `Right at the first try: ${right(here)} of ${here.length} answered here, ${right(book)} of ${book.length} in the book. Kept in this browser only. `
        : `${names.length} question${names.length > 1 ? "s" : ""}. Your score stays in this browser. `;
      forget.hidden = !book.length;
    };
    last.after(make("p", { class: "mih-score" }, line, forget));
    document.addEventListener("mih-answered", count);
    count();
  }

  // The next things after a box: paragraphs, figures, outputs. Cells that show nothing do not count.
  function covered(box, count) {
    const found = [];
    for (let e = box.nextElementSibling; e && found.length < count; e = e.nextElementSibling)
      if (!e.matches("div.cell:not(:has(.cell_output)), script, style")) found.push(e);
    return found;
  }

  function predict(box, number) {
    const name = `guess-${nameOf(box)}`, fold = box.querySelector(":scope > details");
    const hidden = covered(box, +(box.dataset.covers || 0)), question = box.querySelector("p");
    const said = make("p", { class: "mih-said", role: "status" }), tools = make("div", { class: "mih-guess" });
    question.id ||= `mih-prediction-${number}`;
    const numeric = box.dataset.axis;
    const answer = () => {
      const shown = [...hidden, box].map((e) => e.querySelector(".mih-answer")).find(Boolean);
      return shown ? (shown.dataset.value || shown.textContent).replace(/[,\s]/g, "") : box.dataset.answer;
    };
    const cover = (on) => {
      hidden.forEach((e) => e.classList.toggle("mih-covered", on));
      if (fold) { fold.classList.toggle("mih-covered", on); fold.open = !on; }
      box.classList.toggle("mih-open", !on);
    };
    const reveal = (guess, words) => {
      cover(false);
      said.textContent = words;
      if (guess !== undefined) remember(name, guess);
    };
    box.append(tools, said);
    (numeric ? onAxis : byChoice)({ box, tools, answer, reveal, question, before: answered(name) });
    if (fold || hidden.length) {
      cover(answered(name) === undefined);
      const skip = button("Just show me", "mih-link", () => { cover(false); skip.remove(); });
      if (answered(name) === undefined) tools.append(skip);
    }
    if (fold) box.append(fold);
  }

  function byChoice({ box, tools, answer, reveal, question, before }) {
    const choices = (box.dataset.choices || "").split("|").map((c) => c.trim()).filter(Boolean);
    const group = make("div", { role: "group", "aria-labelledby": question.id, class: "mih-choices" });
    const pick = (i) => {
      const right = +answer() - 1;
      [...group.children].forEach((b, j) => {
        b.setAttribute("aria-pressed", j === i);
        if (right >= 0 && (j === i || j === right)) b.dataset.state = j === right ? "right" : "wrong";
      });
      const verdict = right < 0 ? "" : i === right ? " That is right." : ` It is: ${choices[right]}.`;
      reveal(i, `You said: ${choices[i]}.${verdict}`);
    };
    choices.forEach((c, i) => group.append(button(c, "mih-choice", () => pick(i))));
    tools.append(group);
    if (choices[before]) pick(before);
  }

  function onAxis({ box, tools, answer, reveal, question, before }) {
    const [low, high] = box.dataset.axis.split("|").map(Number), log = box.dataset.scale === "log";
    const unit = box.dataset.unit ? ` ${box.dataset.unit}` : "";
    const value = (at) => (log ? low * (high / low) ** at : low + (high - low) * at);
    const place = (v) => Math.min(Math.max(log ? Math.log(v / low) / Math.log(high / low) : (v - low) / (high - low), 0), 1);
    const words = (v) => `${+v.toPrecision(Math.abs(v) >= 100 ? 3 : 2)}${unit}`.replace(/\B(?=(\d{3})+(?!\d))/g, ",");
    const range = make("input", { type: "range", min: 0, max: 200, value: 100, "aria-labelledby": question.id });
    const out = make("output", {}, "");
    const ends = make("div", { class: "mih-ends" }, make("span", {}, words(low)), make("span", {}, words(high)));
    const marks = make("div", { class: "mih-marks" });
    const tell = () => { out.textContent = words(value(range.value / 200)); range.setAttribute("aria-valuetext", out.textContent); };
    const go = button("Place my guess", "mih-button", () => settle(+range.value));
    const mark = (at, label, kind) => {
      const m = make("span", { class: `mih-mark ${kind}` }, label);
      m.style.left = `${at * 100}%`;
      return m;
    };
    function settle(at) {
      range.value = at;
      tell();
      range.disabled = true;
      go.remove();
      const truth = parseFloat(answer());
      if (isFinite(truth)) marks.replaceChildren(mark(at / 200, "you", "mih-yours"), mark(place(truth), "measured", "mih-truth"));
      reveal(at, `You said ${words(value(at / 200))}.${isFinite(truth) ? ` It is ${words(truth)}.` : ""}`);
    }
    range.addEventListener("input", tell);
    tell();
    tools.append(make("div", { class: "mih-axis" }, range, marks, ends), out, go);
    if (before !== undefined) settle(before);
  }

  document.querySelectorAll(".mih-predict").forEach(predict);
  const boxes = [...document.querySelectorAll(".mih-quiz")].filter((box) => box.querySelector("details"));
  if (boxes.length) score(boxes, boxes.map(quiz));
})();
