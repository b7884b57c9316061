// The game of chapter 3: which images were never possible? Judge by tapping, then see the verdicts.

import { element } from "./controls.mjs";
import { followTheme, uniqueId, watch } from "./explorer.mjs";
import { copyLink, menu } from "./menu.mjs";
import { paintOf } from "./stage.mjs";
import { formatHash, parseHash } from "./state.mjs";

// How a reader did: marked: which images they called impossible; truth: which are.
export function score(marked, truth) {
  const count = (test) => truth.filter((bad, i) => test(bad, marked[i])).length;
  return { found: count((bad, mark) => bad && mark), impossible: count((bad) => bad),
    accused: count((bad, mark) => !bad && mark), right: count((bad, mark) => bad === mark), n: truth.length };
}

// The score in words.
export function verdict({ found, impossible, accused, right, n }) {
  const wrongly = accused ? `, and called ${accused} possible one${accused > 1 ? "s" : ""} impossible` : "";
  return `${right} of ${n} right: you found ${found} of the ${impossible} impossible images${wrongly}.`;
}

const EDGE = 14;  // pixels of the picture for each of the image, in the drawing of a card

// One image, and after the check what is wrong with it: boxes around the parts, lines between columns.
function drawCard(canvas, card, sheet, checked, paint) {
  const { size, left, columns } = card, g = canvas.getContext("2d"), k = EDGE / 2;
  [canvas.width, canvas.height] = [size * k, size * k];
  g.imageSmoothingEnabled = false;
  if (sheet.naturalWidth) g.drawImage(sheet, left, 0, size, size, 0, 0, size * k, size * k);
  if (!checked) return;
  g.lineWidth = 6;
  g.setLineDash([12, 12]);
  g.strokeStyle = "#9a9a9a";
  g.beginPath();
  for (let c = 1; c < columns; c++) {
    const x = c * Math.floor(size / columns) * k;
    g.moveTo(x, 0);
    g.lineTo(x, size * k);
  }
  g.stroke();
  g.setLineDash([]);
  g.lineWidth = 10;
  g.strokeStyle = paint.colour("on-image");
  for (const [top, start, height, width] of card.boxes) g.strokeRect((start - 1.5) * k, (top - 1.5) * k, (width + 3) * k, (height + 3) * k);
}

function cardsOf(spec, judge) {
  return spec.cards.map((card, i) => {
    const canvas = element("canvas", { "aria-hidden": "true" });
    const said = element("span", { className: "mih-verdict" });
    const button = element("button", { type: "button", className: "mih-tile", "data-lm-suppress-shortcuts": "true" }, canvas, said);
    button.addEventListener("click", () => judge(i));
    return { ...card, size: spec.size, columns: spec.columns, left: i * spec.size, canvas, said, button };
  });
}

export function startGame(root) {
  const spec = JSON.parse(root.querySelector("script[type='application/json']").textContent);
  const id = uniqueId(root, spec.id), truth = spec.cards.map((card) => card.impossible);
  const marked = truth.map(() => false), sheet = element("img", { src: "data:image/png;base64," + spec.sheet });
  let checked = false;
  const cards = cardsOf(spec, (i) => { if (!checked) { marked[i] = !marked[i]; draw(); } });
  const readout = element("p", { className: "mih-readout", "aria-live": "polite" });
  const check = element("button", { type: "button", className: "mih-check" });
  check.addEventListener("click", () => {
    if (checked) marked.fill(false);
    checked = !checked;
    draw();
  });
  // the state as controls, for addresses: every image, and whether the verdicts are shown
  const controls = [...truth.map((_, i) => ({ name: String(i + 1), size: 2 })), { name: "verdicts", size: 2 }];
  const link = () => copyLink(formatHash(id, controls, [...marked, checked].map(Number)));
  function draw() {
    followTheme(root);
    const paint = paintOf(root);
    cards.forEach((card, i) => showCard(card, i, marked[i], checked, sheet, paint));
    check.textContent = checked ? "Play again" : "Show the verdicts";
    const count = marked.filter(Boolean).length;
    readout.textContent = checked ? verdict(score(marked, truth)) : `${spec.task} Marked so far: ${count} of ${truth.length}.`;
  }
  const head = element("div", { className: "mih-head" }, element("div", { className: "mih-title" }, spec.title), menu([["Copy link", link]]));
  const grid = element("div", { className: "mih-tiles", role: "group", "aria-label": spec.title }, ...cards.map((card) => card.button));
  root.append(head, element("div", { className: "mih-turn" }, readout, check), grid);
  sheet.onload = draw;
  const obey = () => {
    const asked = parseHash(location.hash, id, controls);
    if (!asked) return;
    marked.forEach((_, i) => { marked[i] = asked.at[String(i + 1)] === 1; });
    checked = asked.at.verdicts === 1;
    draw();
  };
  addEventListener("hashchange", obey);
  obey();
  watch(root, draw);
  draw();
  root.querySelector(".mih-fallback").remove();
}

function showCard(card, i, mark, checked, sheet, paint) {
  const { button, said } = card;
  drawCard(card.canvas, card, sheet, checked, paint);
  button.setAttribute("aria-pressed", String(mark));
  button.classList.toggle("mih-marked", mark);
  button.classList.toggle("mih-bad", checked && card.impossible);
  button.classList.toggle("mih-wrong", checked && mark !== card.impossible);
  said.textContent = checked ? card.verdict : mark ? "impossible" : "";
  const judged = checked ? `${card.verdict}, you said ${mark ? "impossible" : "possible"}` : mark ? "marked impossible" : "not marked";
  button.setAttribute("aria-label", `Image ${i + 1}, ${card.alt}: ${judged}`);
}
