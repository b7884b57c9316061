// One explorer: what it shows now, and everything that changes it.

import { MAKERS, element, player } from "./controls.mjs";
import { decode, sentence } from "./data.mjs";
import { download, settingsOf, toCanvas, toCsv } from "./export.mjs";
import { legend } from "./legend.mjs";
import { copyLink, menu } from "./menu.mjs";
import { drawView, heightOf, paintOf, point, stage } from "./stage.mjs";
import { formatHash, parseHash } from "./state.mjs";

// The name of an explorer in addresses; the second of a name on a page is called name-2.
export function uniqueId(root, wanted) {
  let id = wanted;
  for (let i = 2; document.getElementById(`mih-${id}`); i++) id = `${wanted}-${i}`;
  root.id = `mih-${id}`;
  return id;
}

// Light ink means a dark page, whatever the page's way to say so.
export function followTheme(root) {
  const [red, green, blue] = getComputedStyle(root).color.match(/[\d.]+/g).map(Number);
  root.classList.toggle("mih-dark", 0.3 * red + 0.6 * green + 0.1 * blue > 140);
}

// Calls `draw` when the page's theme or the element's width changes.
export function watch(root, draw) {
  new ResizeObserver(draw).observe(root);
  const themes = new MutationObserver(draw);
  for (const page of [document.documentElement, document.body]) {
    themes.observe(page, { attributes: true, attributeFilter: ["class", "style", "data-theme", "data-mode",
      "data-jp-theme-light", "data-vscode-theme-kind"] });
  }
}

function loadSheets(arrays, draw) {
  for (const array of Object.values(arrays)) {
    if (!array.png) continue;
    array.sheet = element("img", { onload: draw, src: "data:image/png;base64," + array.png });
    delete array.png;
  }
}

function chipsOf(spec, at, set) {
  const made = spec.chips.map((chip) => {
    const button = element("button", { type: "button" }, chip.label);
    button.addEventListener("click", () => set(Object.entries(chip.at)));
    return button;
  });
  const show = () => made.forEach((button, i) => {
    const on = Object.entries(spec.chips[i].at).every(([control, position]) => at[control] === position);
    button.setAttribute("aria-pressed", String(on));
  });
  return { row: element("div", { className: "mih-chips", hidden: !made.length }, ...made), show };
}

// Rows of controls, each with a button to play it if it has one.
function controlsOf(spec, arrays, at, id, move, show, silence) {
  const players = [], rows = [];
  const made = spec.controls.map((control, index) => {
    const maker = MAKERS[control.kind](control, (position) => move(index, position), `mih-${id}-${control.name}`, arrays);
    const row = element("div", { className: "mih-control" });
    row.dataset.name = control.name;
    if (control.play) {
      const played = player(control, index, at, { show, silence });
      players.push(played);
      row.append(played.button);
      maker.inputs.push(played.button);
    }
    row.append(maker.row);
    rows.push(row);
    return { ...maker, row };
  });
  const longest = Math.max(...spec.controls.filter((c) => c.kind === "slider").flatMap((c) => c.ticks.map((t) => t.length)), 4);
  const root = element("div", { className: "mih-controls" }, ...rows);
  root.style.setProperty("--mih-longest", longest + "ch");  // no slider moves under the finger
  return { root, made, stop: () => players.forEach((p) => p.stop()) };
}

export function start(root) {
  const spec = JSON.parse(root.querySelector("script[type='application/json']").textContent);
  const arrays = Object.fromEntries(Object.entries(spec.arrays).map(([name, packed]) => [name, decode(packed)]));
  const at = spec.controls.map((control) => control.start), id = uniqueId(root, spec.id);
  const readout = element("p", { className: "mih-readout", "aria-live": "polite" });
  const silence = (yes) => readout.setAttribute("aria-live", yes ? "off" : "polite");
  const controls = controlsOf(spec, arrays, at, id, (control, position) => set([[control, position]]), draw, silence);
  const chips = chipsOf(spec, at, set), scene = stage(spec), sizes = spec.controls.map((c) => c.size);
  const said = () => sentence(spec.said, sizes, at);

  // what a reader does by hand stops what is playing
  function set(changes) {
    controls.stop();
    for (const [control, position] of changes) at[control] = position;
    draw();
  }
  function draw() {
    followTheme(root);
    root.classList.toggle("mih-narrow", root.clientWidth < 600 || screen.height < 620);
    const paint = paintOf(root);
    controls.made.forEach((control, i) => control.show(at, i));
    chips.show();
    scene.views.forEach((view) => drawView(view, arrays, at, paint));
    if (readout.textContent !== said()) readout.textContent = said();
  }
  const actions = menuActions({ root, spec, arrays, at, id, scene, said });
  const head = element("div", { className: "mih-head" }, element("div", { className: "mih-title" }, spec.title), menu(actions));
  root.append(head, chips.row, controls.root, readout, scene.bar, scene.root, legend(spec));
  for (const view of scene.views) {
    if (view.panel.kind !== "picture") view.canvas.style.setProperty("--mih-height", heightOf(view.panel) + "px");
    if (view.panel.kind === "panel") point(view, arrays, at, { values: spec.controls[0].values, move: (c, p) => set([[c, p]]) });
  }
  scene.bar.addEventListener("click", draw);
  scene.bar.addEventListener("keyup", draw);
  loadSheets(arrays, draw);
  obeyAddress(root, id, spec, controls, set);
  watch(root, draw);
  draw();
  root.querySelector(".mih-fallback").remove();
}

// The state that the address names; what it hides or locks.
function obeyAddress(root, id, spec, controls, set) {
  const parts = { chips: ".mih-chips", menu: ".mih-menu", legend: ".mih-legend", readout: ".mih-readout", title: ".mih-title" };
  function obey() {
    const asked = parseHash(location.hash, id, spec.controls);
    if (!asked) return;
    for (const [name, selector] of Object.entries(parts)) root.querySelector(selector).classList.toggle("mih-removed", asked.hide.has(name));
    spec.controls.forEach(({ name }, i) => {
      controls.made[i].row.classList.toggle("mih-removed", asked.hide.has(name));
      for (const input of controls.made[i].inputs) input.disabled = asked.lock.has(name);
    });
    root.dataset.locked = [...asked.lock, ...asked.hide].join(" ");
    set(Object.entries(asked.at).map(([name, position]) => [spec.controls.findIndex((c) => c.name === name), position]));
    root.scrollIntoView({ block: "start" });
  }
  addEventListener("hashchange", obey);
  obey();
}

function menuActions({ root, spec, arrays, at, id, scene, said }) {
  const png = () => {
    const origin = scene.root.getBoundingClientRect();
    const views = scene.views.filter(({ canvas }) => canvas.clientWidth).map(({ panel, canvas }) => {
      const { left, top, width, height } = canvas.getBoundingClientRect();
      return { canvas, title: panel.title, left: left - origin.left, top: top - origin.top, width, height };
    });
    const picture = toCanvas({ title: spec.title, settings: settingsOf(spec.controls, at), views, said: said(),
      width: root.clientWidth, ...paintOf(root) });
    picture.toBlob((blob) => download(`${id}.png`, blob));
  };
  const csv = () => download(`${id}.csv`, new Blob([toCsv(spec, arrays, at)], { type: "text/csv" }));
  const full = () => { if (document.fullscreenElement) document.exitFullscreen(); else root.requestFullscreen(); };
  return [["Copy link", () => copyLink(formatHash(id, spec.controls, at))], ["Picture (PNG)", png], ["Numbers (CSV)", csv],
    ...(document.fullscreenEnabled ? [["Full screen", full]] : [])];
}
