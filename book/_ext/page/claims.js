// Filters above the cards of the claims: by verdict and by chapter.
(function () {
  "use strict";

  const board = document.querySelector(".mih-claims"), tally = document.querySelector(".mih-tally");
  if (!board || !tally) return;
  const cards = [...board.querySelectorAll(".mih-claim")], off = new Set();
  const make = (name, attributes = {}, ...inside) => {
    const e = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
    e.append(...inside);
    return e;
  };
  const has = (card, name) => card.classList.contains(name);
  const said = make("p", { role: "status", class: "mih-shown" });

  for (const item of tally.querySelectorAll("li")) {
    const kind = item.dataset.kind, button = make("button", { type: "button", "aria-pressed": "true", title: "Show or hide these" }, ...item.childNodes);
    button.addEventListener("click", () => {
      off.has(kind) ? off.delete(kind) : off.add(kind);
      button.setAttribute("aria-pressed", !off.has(kind));
      show();
    });
    item.append(button);
  }

  const select = make("select", { id: "mih-claims-chapter" }, make("option", { value: "" }, "all chapters"));
  const named = new Map(cards.map((card) => [[...card.classList].find((c) => c.startsWith("mih-chapter-")), card.querySelector("a").textContent]));
  for (const [name, title] of named) select.append(make("option", { value: name }, title));
  select.addEventListener("change", show);
  tally.append(make("p", {}, make("label", { for: select.id }, "From "), select), said);

  function show() {
    let shown = 0;
    for (const card of cards) {
      const kind = [...off].some((k) => has(card, `mih-is-${k}`));
      card.hidden = kind || (select.value && !has(card, select.value));
      shown += !card.hidden;
    }
    said.textContent = shown === cards.length ? "" : `${shown} of ${cards.length} shown`;
  }
})();
