// What the laboratory shows, drawn from one `state`; nothing here computes anything.
//   state = {mixture, data, range, gaps, step, exact: {p, mass}, learned: {p, mass, step},
//            stairs: {t, x, exact, learned}, flow: {who, columns, between}, history, masses}
import { frame, line, say, scientific } from "./axes.js";
import { isBetween } from "./mixture.js";
import { AXIS } from "./settings.js";

const LOWEST = 1e-7, HIGHEST = 30;  // of the shown density

// "16.7%", or "1 in 62,000" where percents would need many zeros.
export function share(p) {
  if (!(p > 1e-12)) return "practically none";
  if (p >= 0.1) return `${(100 * p).toFixed(0)}%`;
  if (p >= 0.001) return `${+(100 * p).toPrecision(2)}%`;
  return `1 in ${(+(1 / p).toPrecision(2)).toLocaleString("en")}`;
}

export const whole = (n) => Math.round(n).toLocaleString("en");

const boxOf = ({ width, height }, { left = 46, right = 10, top = 8, bottom = 40 } = {}) =>
  ({ left, top, w: width - left - right, h: height - top - bottom });

// The reader's data on the axis where modes are dragged.
export const dataBox = (pen) => boxOf(pen, { left: 16, right: 16, top: 26, bottom: 20 });
export function drawData(pen, state) {
  const box = dataBox(pen), bins = Math.round(box.w / 4), { g } = pen;
  const counts = new Float64Array(bins), size = (AXIS.high - AXIS.low) / bins;
  for (const x of state.data) counts[Math.floor((x - AXIS.low) / size)] += 1;
  const { X, Y } = frame(pen, box, { x: [AXIS.low, AXIS.high], y: [0, 1.02 * Math.max(...counts)], yticks: false });
  g.fillStyle = pen.colour("data");
  counts.forEach((count, i) => {
    if (count) g.fillRect(X(AXIS.low + i * size), Y(count), box.w / bins - 0.5, Math.max(1.5, Y(0) - Y(count)));
  });
}
export function drawGap(pen, state) {
  const box = boxOf(pen), { g } = pen, { range, gaps, mixture, exact, learned } = state;
  const axes = frame(pen, box, { x: range, y: [LOWEST, HIGHEST], log: true, xlabel: "x", ylabel: "density (log)" });
  const { X, Y } = axes;
  const centres = (p) => Float64Array.from(p, (_, i) => range[0] + ((i + 0.5) * (range[1] - range[0])) / p.length);
  const bottom = box.top + box.h;
  g.save();
  g.beginPath(); g.rect(box.left, box.top, box.w, box.h); g.clip();
  for (const [low, high] of gaps) {  // where no data is
    g.fillStyle = pen.colour("hallucination");
    g.globalAlpha = 0.08;
    g.fillRect(X(low), box.top, X(high) - X(low), box.h);
  }
  g.globalAlpha = 0.28;
  g.fillStyle = pen.colour("data");
  fillUnder(g, axes, bottom, spread(range, 400), (x) => mixture.density(x));
  if (learned) {
    const x = centres(learned.p);
    g.fillStyle = pen.colour("hallucination");
    g.globalAlpha = 0.5;
    for (const [low, high] of gaps) {
      const inside = Array.from(x.keys()).filter((i) => low <= x[i] && x[i] <= high);
      fillUnder(g, axes, bottom, inside.map((i) => x[i]), (_, i) => learned.p[inside[i]]);
    }
  }
  g.restore();
  if (exact) line(pen, box, axes, centres(exact.p), exact.p, "exact", { ok: (p) => p > LOWEST / 100 });
  if (learned) line(pen, box, axes, centres(learned.p), learned.p, "learned", { width: 2.4, ok: (p) => p > LOWEST / 100 });
  for (const [low, high] of gaps) {
    const words = X(high) - X(low) > 84 ? ["no data here"] : ["no data", "here"];
    words.forEach((text, i) => say(pen, text, X((low + high) / 2), box.top + 13 + 14 * i, { role: "hallucination", align: "center", bold: true, halo: true }));
  }
}

const spread = ([low, high], n) => Array.from({ length: n }, (_, i) => low + ((high - low) * i) / (n - 1));

function fillUnder(g, { X, Y }, bottom, x, f) {
  if (x.length < 2) return;
  g.beginPath();
  g.moveTo(X(x[0]), bottom);
  x.forEach((at, i) => g.lineTo(X(at), Math.min(bottom, Y(f(at, i)))));
  g.lineTo(X(x[x.length - 1]), bottom);
  g.fill();
}

export function drawStaircase(pen, state) {
  const box = boxOf(pen), { range, stairs, mixture } = state;
  const axes = frame(pen, box, { x: range, y: range, xlabel: "noised point, rescaled", ylabel: "guess of the clean one" });
  for (const mean of mixture.means) line(pen, box, axes, range, [mean, mean], "data", { width: 1, dash: [2, 3] });
  if (!stairs) return;
  line(pen, box, axes, stairs.x, stairs.exact, "exact");
  line(pen, box, axes, stairs.x, stairs.learned, "learned", { width: 2.4 });
}

// Chains flow from noise, left, to data, right, where their ends pile up. `now` is how far they
// have come: a number from 0 to 1, to which each chain adds its own lag; null: all are there.
export const flowBox = (pen) => boxOf(pen, { right: 10 + Math.round(0.2 * pen.width), left: 34 });
export const flowRange = ({ range }) => [Math.min(-2.7, range[0]), Math.max(2.7, range[1])];
export function drawFlow(pen, state, { now = null, mark = null } = {}) {
  const box = flowBox(pen), { g } = pen, { gaps, flow, mixture } = state, y = flowRange(state);
  const axes = frame(pen, box, { x: [1, 0], y, xticks: false }), { X, Y } = axes;
  const right = box.left + box.w, room = pen.width - right - 6;
  g.fillStyle = pen.colour("hallucination");
  g.globalAlpha = 0.1;
  for (const [low, high] of gaps) g.fillRect(right - 14, Y(high), room + 14, Y(low) - Y(high));
  g.fillStyle = pen.colour("data");
  g.globalAlpha = 0.35;
  for (const mean of mixture.means) g.fillRect(right - 14, Y(mean + 2 * mixture.std), 14, Math.max(2, Y(mean - 2 * mixture.std) - Y(mean + 2 * mixture.std)));
  g.globalAlpha = 1;
  say(pen, "noise", box.left, box.top + box.h + 16, { bold: true });
  say(pen, "→ time →", box.left + box.w / 2, box.top + box.h + 16, { align: "center" });
  say(pen, "data", right, box.top + box.h + 16, { align: "right", bold: true });
  say(pen, "ends", right + 8, box.top + box.h + 16, { bold: true });
  if (mark !== null) {
    g.fillStyle = pen.colour("ink");
    g.beginPath(); g.moveTo(box.left + 2, Y(mark)); g.lineTo(box.left - 8, Y(mark) - 6); g.lineTo(box.left - 8, Y(mark) + 6); g.fill();
  }
  if (!flow || !flow.columns.length) return;
  const n = flow.between.length, last = flow.columns.length - 1, alpha = Math.max(0.16, Math.min(0.7, 14 / n));
  const arrived = new Uint8Array(n);
  g.save();
  g.beginPath(); g.rect(box.left, box.top, box.w + 4, box.h); g.clip();
  const order = [0, 1].flatMap((kind) => Array.from(flow.between.keys()).filter((i) => flow.between[i] === kind));
  for (const i of order) {
    const come = now === null || i < (flow.old ?? 0) ? last : Math.max(0, Math.min(last, (now * 1.6 - 0.6 * lag(i)) * last));
    const full = Math.floor(come), part = come - full, at = (k) => flow.columns[k].x[i];
    arrived[i] = come >= last;
    g.strokeStyle = g.fillStyle = pen.colour(flow.between[i] && arrived[i] ? "hallucination" : flow.who);
    g.globalAlpha = flow.between[i] && arrived[i] ? Math.min(1, 2.5 * alpha) : alpha;
    g.lineWidth = 1.3;
    g.beginPath();
    g.moveTo(X(flow.columns[0].noise), Y(at(0)));
    for (let k = 1; k <= full; k++) g.lineTo(X(flow.columns[k].noise), Y(at(k)));
    let [x, v] = [X(flow.columns[full].noise), Y(at(full))];
    if (part) {
      x += part * (X(flow.columns[full + 1].noise) - x);
      v += part * (Y(at(full + 1)) - v);
      g.lineTo(x, v);
    }
    g.stroke();
    if (!arrived[i] && come > 0) { g.globalAlpha = 0.9; g.beginPath(); g.arc(x, v, 2.2, 0, 7); g.fill(); }
  }
  g.restore();
  heaps(pen, state, { X, Y }, right + 6, room - 4, y, arrived);
}

// A chain's own lag, spread evenly over the chains.
const lag = (i) => (i * 0.618034) % 1;

function heaps(pen, { flow, gaps }, { Y }, left, room, [low, high], arrived) {
  const bins = 60, counts = new Float64Array(bins), size = (high - low) / bins;
  const ends = flow.columns[flow.columns.length - 1].x;
  let between = 0, here = 0;
  for (let i = 0; i < ends.length; i++) {
    if (!arrived[i]) continue;
    here += 1;
    between += flow.between[i];
    const bin = Math.floor((ends[i] - low) / size);
    if (bin >= 0 && bin < bins) counts[bin] += 1;
  }
  const most = Math.max(ends.length / 12, ...counts), { g } = pen;
  counts.forEach((count, i) => {
    if (!count) return;
    const middle = low + (i + 0.5) * size;
    g.fillStyle = pen.colour(isBetween(middle, gaps) ? "hallucination" : flow.who);
    g.fillRect(left, Y(middle + size / 2) + 0.5, Math.max(3, (count / most) * room), Math.max(1.5, Y(low) - Y(low + size) - 1));
  });
  if (here) say(pen, `${whole(between)} of ${whole(here)}`, left - 2, Y(high) + 12, { role: "hallucination", bold: true, halo: true });
}

// Loss, excess loss and mass between the modes over the steps, one above the other.
export function drawHistory(pen, state) {
  const { history, masses, exact, step } = state, n = history.loss.length;
  const gapless = !state.gaps.length, rows = gapless ? 2 : 3, most = Math.max(50, n ? history.step[n - 1] : 0, step);
  const height = (pen.height - 34) / rows, latest = (values) => (n ? values[n - 1] : null);
  const number = (v) => (v === null ? "–" : v >= 0.01 ? v.toFixed(3) : scientific(v));
  const row = (i) => ({ left: 46, top: i * height + 20, w: pen.width - 64, h: height - 28 });
  const plot = (i, y, options = {}) => frame(pen, row(i), { x: [0, most], y, xticks: i === rows - 1, xlabel: i === rows - 1 ? "training steps" : "", ...options });
  const title = (i, name, learned, best) => {
    const edge = pen.width - 10, wide = (text) => pen.g.measureText(text).width;
    const width = wide(best), full = 46 + 1.15 * wide(name) + 20 + wide(learned) + width <= edge;
    say(pen, full ? name : "In the gaps", 46, i * height + 13, { bold: true });
    say(pen, best, edge, i * height + 13, { align: "right", role: "exact" });
    say(pen, learned, edge - width - 10, i * height + 13, { align: "right", role: "learned" });
  };
  const extent = (values, low, high) => values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [low, high]);
  const losses = Array.from(history.loss).slice(Math.min(3, n >> 1)), floors = Array.from(history.floor);
  const [bottom, top] = n ? extent([...losses, ...floors], Infinity, -Infinity) : [0, 1];
  let axes = plot(0, [0.9 * bottom, 1.05 * top]);
  line(pen, row(0), axes, history.step, history.loss, "learned");
  line(pen, row(0), axes, history.step, history.floor, "exact", { dash: [5, 3] });
  title(0, "Loss", number(latest(history.loss)), `exact ${number(latest(history.floor))}`);
  axes = plot(1, extent(history.excess.map((v) => Math.max(v, 1e-6)), 1e-3, 1), { log: true });
  line(pen, row(1), axes, history.step, history.excess, "learned", { ok: (v) => v > 0 });
  title(1, "Excess loss", number(latest(history.excess)), "exact 0");
  if (gapless) return;
  const floor = exact ? Math.max(1e-9, exact.mass) : 1e-5;
  axes = plot(2, [Math.min(1e-3, floor / 3), 1], { log: true });
  if (exact) line(pen, row(2), axes, [0, most], [floor, floor], "exact", { dash: [5, 3] });
  line(pen, row(2), axes, masses.map((m) => m.step), masses.map((m) => m.mass), "hallucination", { width: 2.4, ok: (v) => v > 0 });
  const now = masses.length ? share(masses[masses.length - 1].mass) : "–";
  title(2, "Between the modes", now, exact ? `exact ${share(exact.mass)}` : "");
}
