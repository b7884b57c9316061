// What a word means, or which paper a link leads to, in a small card: on hover, on focus, on tap.
(function () {
  "use strict";

  const store = document.getElementById("mih-cards");
  if (!store) return;
  const card = document.createElement("div");
  card.className = "mih-card";
  card.id = "mih-card";
  card.setAttribute("role", "tooltip");
  card.hidden = true;
  document.body.append(card);
  let link = null, waiting = 0;

  function show(to) {
    const found = store.content.querySelector(`[data-name="${CSS.escape(to.dataset.card)}"]`);
    if (!found) return;
    clearTimeout(waiting);
    if (link && link !== to) link.removeAttribute("aria-describedby");
    link = to;
    card.replaceChildren(...found.cloneNode(true).childNodes);
    card.hidden = false;
    link.setAttribute("aria-describedby", card.id);
    const typeset = window.MathJax?.typesetPromise;
    if (card.querySelector(".math")) {
      if (typeset) typeset([card]).then(put);
      else card.querySelectorAll(".math").forEach((m) => { m.textContent = window.mihPlainMaths(m.textContent); });
    }
    put();
  }
  function put() {
    if (!link) return;
    const at = link.getClientRects()[0] || link.getBoundingClientRect(), width = card.offsetWidth;
    const left = Math.min(Math.max(at.left, 8), document.documentElement.clientWidth - width - 8);
    const below = at.bottom + card.offsetHeight + 12 < innerHeight;
    card.style.left = `${left + scrollX}px`;
    card.style.top = `${(below ? at.bottom + 6 : at.top - card.offsetHeight - 6) + scrollY}px`;
  }
  function hide() {
    clearTimeout(waiting);
    link?.removeAttribute("aria-describedby");
    link = null;
    card.hidden = true;
  }
  const soon = (act, after) => { clearTimeout(waiting); waiting = setTimeout(act, after); };

  for (const a of document.querySelectorAll("a[data-card]")) {
    a.addEventListener("pointerenter", (e) => e.pointerType === "mouse" && soon(() => show(a), 150));
    a.addEventListener("pointerleave", (e) => e.pointerType === "mouse" && soon(hide, 250));
    a.addEventListener("focus", () => a.matches(":focus-visible") && show(a));
    a.addEventListener("blur", () => soon(hide, 100));
    let touched = false;
    a.addEventListener("pointerdown", (e) => { touched = e.pointerType !== "mouse"; });
    a.addEventListener("click", (e) => {
      if (!touched || link === a) return; // the second tap follows the link
      e.preventDefault();
      show(a);
    });
  }
  card.addEventListener("pointerenter", () => clearTimeout(waiting));
  card.addEventListener("pointerleave", (e) => e.pointerType === "mouse" && soon(hide, 250));
  document.addEventListener("keydown", (e) => e.key === "Escape" && hide());
  document.addEventListener("pointerdown", (e) => link && !e.target.closest(".mih-card, a[data-card]") && hide());
})();
