// Axes on a canvas: a frame with ticks, and where in it a value lies.

// Prepares the canvas for sharp drawing in the page's colours: {g, width, height, colour}.
export function prepared(canvas) {
  const style = getComputedStyle(canvas), ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  const sized = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== sized[0] || canvas.height !== sized[1]) [canvas.width, canvas.height] = sized;
  const g = canvas.getContext("2d");
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.clearRect(0, 0, width, height);
  g.font = `12px ${style.fontFamily}`;
  g.lineJoin = "round";
  const colour = (role) => (role === "ink" ? style.color : style.getPropertyValue("--lab-" + role).trim());
  return { g, width, height, colour };
}

function ticksOf(low, high, wanted) {
  const raw = (high - low) / wanted, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) found.push(+(i * step).toPrecision(6));
  return found;
}

const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹";
const power10 = (k) => "10" + (k < 0 ? "⁻" : "") + [...String(Math.abs(k))].map((d) => RAISED[d]).join("");
export const scientific = (v) => v.toExponential(1).replace(/e([+-]\d+)/, (_, k) => ` × ${power10(+k)}`);
export const minus = (v) => String(v).replace("-", "\u2212");

// Draws a frame in box {left, top, w, h} for x = [low, high] and y = [low, high], and returns {X, Y},
// which say where a value lies. log: y is logarithmic, with the powers of ten as ticks.
export function frame(pen, box, { x, y, log = false, xlabel = "", ylabel = "", xticks = true, yticks = true }) {
  const { g, colour } = pen, { left, top, w, h } = box;
  const lift = log ? (v) => Math.log10(Math.max(v, 1e-300)) : (v) => v;
  const X = (v) => left + ((v - x[0]) / (x[1] - x[0])) * w;
  const Y = (v) => top + ((lift(y[1]) - lift(v)) / (lift(y[1]) - lift(y[0]))) * h;
  g.save();
  g.fillStyle = g.strokeStyle = colour("ink");
  g.lineWidth = 1;
  const grid = (x0, y0, x1, y1) => { g.globalAlpha = 0.13; g.beginPath(); g.moveTo(x0, y0); g.lineTo(x1, y1); g.stroke(); g.globalAlpha = 0.85; };
  g.textAlign = "center";
  g.textBaseline = "top";
  if (xticks) {
    for (const v of ticksOf(...x, Math.max(2, w / 64))) {
      grid(X(v), top, X(v), top + h);
      g.fillText(v >= 10000 ? `${v / 1000}k` : minus(v), X(v), top + h + 4);
    }
  }
  g.textAlign = "right";
  g.textBaseline = "middle";
  for (const v of !yticks ? [] : log ? decades(...y, h / 22) : ticksOf(...y, Math.max(2, h / 40))) {
    grid(left, Y(v), left + w, Y(v));
    g.fillText(log ? power10(Math.round(Math.log10(v))) : minus(v), left - 5, Y(v));
  }
  g.globalAlpha = 0.85;
  g.textAlign = "center";
  g.textBaseline = "alphabetic";
  if (xlabel) g.fillText(xlabel, left + w / 2, top + h + 32);
  if (ylabel) { g.translate(left - 36, top + h / 2); g.rotate(-Math.PI / 2); g.fillText(ylabel, 0, 0); }
  g.restore();
  return { X, Y };
}

function decades(low, high, wanted) {
  const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9);
  const every = Math.ceil((last - first + 1) / Math.max(2, wanted)), found = [];
  for (let k = last; k >= first; k--) if (k % every === 0) found.push(10 ** k);
  return found;
}

// A line through the points (x[i], y[i]); values at which `ok` fails leave a gap.
export function line(pen, box, { X, Y }, x, y, role, { width = 2, dash = [], ok = () => true, alpha = 1 } = {}) {
  const { g } = pen;
  g.save();
  g.beginPath(); g.rect(box.left, box.top - 1, box.w, box.h + 2); g.clip();
  g.strokeStyle = pen.colour(role);
  g.globalAlpha = alpha;
  g.lineWidth = width;
  g.setLineDash(dash);
  g.beginPath();
  let drawing = false;
  for (let i = 0; i < x.length; i++) {
    if (!ok(y[i])) { drawing = false; continue; }
    if (drawing) g.lineTo(X(x[i]), Y(y[i]));
    else g.moveTo(X(x[i]), Y(y[i]));
    drawing = true;
  }
  g.stroke();
  g.restore();
}

// Words on the canvas, with the page's own background behind them where `halo` is set.
export function say(pen, text, x, y, { role = "ink", align = "left", bold = false, halo = false } = {}) {
  const { g } = pen;
  g.save();
  if (bold) g.font = "600 " + g.font;
  g.textAlign = align;
  g.textBaseline = "alphabetic";
  if (halo) {
    g.strokeStyle = pen.colour("paper");
    g.lineWidth = 4;
    g.strokeText(text, x, y);
  }
  g.fillStyle = pen.colour(role);
  g.fillText(text, x, y);
  g.restore();
}
