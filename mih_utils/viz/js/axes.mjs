// Axes: where their ticks are, how numbers are written, where in its canvas a panel is drawn.

export const MARGIN = { left: 64, right: 14, top: 8, bottom: 42 };

// Round numbers between start and stop, about as many as wanted.
export function ticks(start, stop, wanted) {
  const low = Math.min(start, stop), high = Math.max(start, stop);
  const raw = (high - low) / wanted, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw * (1 - 1e-9));
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) {
    found.push(+(i * step).toPrecision(6));
  }
  return found;
}

// Ticks of an axis whose positions are logarithms: decades, or round numbers where it is short.
export function logTicks(start, stop, wanted) {
  const low = Math.min(start, stop), high = Math.max(start, stop);
  if (high - low < 1.2) return ticks(10 ** low, 10 ** high, wanted).filter((v) => v > 0).map(Math.log10);
  const step = Math.max(1, Math.ceil((high - low) / (1.5 * wanted))), found = [];
  for (let v = Math.ceil(low / step - 1e-9) * step; v <= high + 1e-9; v += step) found.push(v + 0);  // not -0
  return found;
}

const raised = (v) => [...String(v)].map((c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"["0123456789".indexOf(c)] || "⁻").join("");
const minus = (text) => text.replace("-", "\u2212");

// A number as a reader writes it: 0.25, 1,500, 3 × 10⁻⁷.
export function short(value, digits = 3) {
  if (Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size && (size < 1e-3 || size >= 1e6)) {
    const [mantissa, power] = value.toExponential(digits - 1).split("e");
    const front = +mantissa === 1 ? "" : `${minus(String(+mantissa))} × `;
    return `${front}10${raised(+power)}`;
  }
  const rounded = size >= 1000 ? Math.round(value) : +value.toPrecision(digits);
  return minus(rounded.toLocaleString("en-US", { maximumFractionDigits: 9 }));
}

// What a position on an axis means, in words.
export const reading = (value, log, digits) => short(log ? 10 ** value : value, digits);

// Where in a canvas of width × height a panel is drawn; a square one is as large as fits, centred.
export function box(width, height, panel) {
  const w = width - MARGIN.left - MARGIN.right, h = height - MARGIN.top - MARGIN.bottom;
  if (!panel.square) return { left: MARGIN.left, top: MARGIN.top, w, h };
  const side = Math.min(w, h);
  return { left: MARGIN.left + (w - side) / 2, top: MARGIN.top, w: side, h: side };
}

// From numbers to pixels.
export function scales(panel, { left, top, w, h }) {
  const [x0, x1] = panel.x, [y0, y1] = panel.y;
  return { X: (v) => left + ((v - x0) / (x1 - x0)) * w, Y: (v) => top + ((y1 - v) / (y1 - y0)) * h };
}
