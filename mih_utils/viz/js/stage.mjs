// The stage of an explorer: its panels, as tabs where there is little room; pointing at them.

import { box, scales } from "./axes.mjs";
import { element } from "./controls.mjs";
import { resolved, series } from "./data.mjs";
import { drawPanel, drawPicture, drawPiles } from "./draw.mjs";
import { nearest, segmentAt, told } from "./hover.mjs";

const HEIGHTS = { panel: 290, piles: 220, wide: 200 };
const glyphs = (picture) => picture.columns.map((marker) => {
  const glyph = element("span", { className: "mih-glyph" });
  glyph.dataset.marker = marker;
  return glyph;
});

// A panel or picture in its frame, with its title above it.
function framed(panel) {
  const canvas = element("canvas", { role: "img", "aria-label": panel.alt });
  const tip = element("div", { className: "mih-tip", hidden: true });
  const frame = element("div", { className: `mih-view mih-${panel.kind}` }, element("strong", {}, panel.title),
    element("div", { className: "mih-canvas" }, canvas, tip));
  if (panel.wide) frame.classList.add("mih-wide");
  if (panel.square) frame.classList.add("mih-square");
  if (panel.columns && panel.columns.length) frame.append(element("div", { className: "mih-columns" }, ...glyphs(panel)));
  return { panel, canvas, frame, tip };
}

// Which views are one tab: pictures side by side share one.
export function grouped(panels) {
  const groups = [];
  panels.forEach((panel, i) => {
    if (i && panel.kind === "picture" && panels[i - 1].kind === "picture") groups.at(-1).push(i);
    else groups.push([i]);
  });
  return groups;
}

export function stage(spec) {
  const views = spec.panels.map(framed), groups = grouped(spec.panels);
  const root = element("div", { className: "mih-stage" }, ...views.map((view) => view.frame));
  root.style.setProperty("--mih-across", Math.min(4, Math.max(...groups.map((group) => group.length))));
  const tabs = groups.map((group) => {
    const title = group.length > 1 ? "Images" : spec.panels[group[0]].title;
    return element("button", { type: "button", role: "tab" }, title);
  });
  const bar = element("div", { className: "mih-tabs", role: "tablist", "aria-label": "Panels" }, ...tabs);
  bar.hidden = tabs.length < 2;
  function choose(wanted) {
    tabs.forEach((tab, i) => {
      tab.setAttribute("aria-selected", String(i === wanted));
      tab.tabIndex = i === wanted ? 0 : -1;
    });
    groups.forEach((group, i) => group.forEach((j) => views[j].frame.classList.toggle("mih-current", i === wanted)));
  }
  tabs.forEach((tab, i) => {
    tab.addEventListener("click", () => choose(i));
    tab.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!by) return;
      const next = (i + by + tabs.length) % tabs.length;
      choose(next);
      tabs[next].focus();
    });
  });
  choose(0);
  return { root, bar, views, choose };
}

// Colours and font as the page has them.
export function paintOf(root) {
  const style = getComputedStyle(root);
  return { colour: (role) => style.getPropertyValue("--mih-" + role).trim() || style.color, font: style.fontFamily };
}

// Each pixel of a picture is a whole number of the screen's; one too large for three of them is smooth.
function fitPicture({ canvas, frame }, [h, w]) {
  const ratio = devicePixelRatio || 1, fit = (frame.clientWidth * ratio) / w;
  const scale = fit < 3 ? fit : Math.floor(fit);
  canvas.style.imageRendering = fit < 3 ? "auto" : "pixelated";
  frame.style.setProperty("--mih-side", (w * scale) / ratio + "px");
  [canvas.width, canvas.height] = [w, h];
}

// On the screen, unless the view is a tab that is not shown.
export function drawView(view, arrays, at, paint) {
  const { panel, canvas } = view, width = canvas.clientWidth, height = canvas.clientHeight;
  if (!width || !height) return;
  const g = canvas.getContext("2d");
  if (panel.kind === "picture") {
    fitPicture(view, arrays[panel.name].shape.slice(-2));
    return drawPicture(g, panel, arrays, at);
  }
  const ratio = devicePixelRatio || 1;
  [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
  g.scale(ratio, ratio);
  (panel.kind === "piles" ? drawPiles : drawPanel)(g, width, height, panel, arrays, at, paint);
}

export const heightOf = (panel) => HEIGHTS[panel.wide ? "wide" : panel.kind];

// The pointer over a panel: reads values, drags the first control (never with a finger, which
// scrolls the page), chooses segments. A touch captures its pointer by itself, so look at its type.
export function point(view, arrays, at, { values, move }) {
  const { panel, canvas, tip } = view;
  const where = (event) => {
    const outer = canvas.getBoundingClientRect(), x = event.clientX - outer.left, y = event.clientY - outer.top;
    const now = resolved(panel, at), inner = box(canvas.clientWidth, canvas.clientHeight, panel);
    return { x, y, now, inner, reach: event.pointerType === "touch" ? 30 : 16, ...scales(now, inner) };
  };
  function read(event) {
    const { x, y, now, X, Y, reach } = where(event), found = nearest(series(panel, arrays, at), X, Y, x, y, reach);
    tip.hidden = !found;
    if (!found) return;
    tip.textContent = told(found, now);
    tip.style.left = `${found.x}px`;
    tip.style.top = `${found.y}px`;
    tip.classList.toggle("mih-left", found.x > canvas.clientWidth / 2);
  }
  function follow(event) {
    const { x, y, now, inner } = where(event);
    const share = panel.drag === "x" ? (x - inner.left) / inner.w : 1 - (y - inner.top) / inner.h;
    const [low, high] = now[panel.drag], wanted = low + share * (high - low);
    move(0, closest(values, wanted));
  }
  function choose(event) {
    const { x, y, X, Y, reach } = where(event), { control, segments } = panel.picks;
    const found = segmentAt(segments, X, Y, x, y, reach);
    if (found >= 0) move(control, at[control] === found + 1 ? 0 : found + 1);
  }
  listen(canvas, panel, { read, follow, choose, hide: () => { tip.hidden = true; } });
}

// The position whose value is nearest.
export function closest(values, wanted) {
  let best = 0;
  values.forEach((v, i) => { if (Math.abs(v - wanted) < Math.abs(values[best] - wanted)) best = i; });
  return best;
}

function listen(canvas, panel, { read, follow, choose, hide }) {
  const hand = (event) => event.pointerType !== "touch";
  if (panel.drag) canvas.style.cursor = panel.drag === "x" ? "ew-resize" : "ns-resize";
  if (panel.picks) canvas.style.cursor = "pointer";
  canvas.addEventListener("pointerdown", (event) => {
    if (!panel.drag || !hand(event) || event.button) return;
    canvas.setPointerCapture(event.pointerId);
    follow(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!hand(event)) return;
    if (panel.drag && event.buttons & 1 && canvas.hasPointerCapture(event.pointerId)) follow(event);
    read(event);
  });
  canvas.addEventListener("pointerleave", (event) => { if (hand(event)) hide(); });
  canvas.addEventListener("click", (event) => {  // a tap too, but not the end of a scroll
    if (panel.picks) choose(event);
    read(event);
  });
}
