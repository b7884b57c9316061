// Drawing on a canvas: a panel of lines and dots, a picture out of a sheet, counts as piles.

import { rowAt, series, pick, resolved } from "./data.mjs";
import { box, logTicks, reading, scales, short, ticks } from "./axes.mjs";

const CORNERS = { triangle: 3, square: 4, diamond: 4, pentagon: 5 };

// A mark around (x, y): a circle, or a regular polygon of the same area.
export function trace(g, marker, x, y, r) {
  const n = CORNERS[marker];
  if (!n) {
    g.moveTo(x + r, y);
    return g.arc(x, y, r, 0, 2 * Math.PI);
  }
  const reach = r * Math.sqrt((2 * Math.PI) / (n * Math.sin((2 * Math.PI) / n)));
  const turn = marker === "square" ? Math.PI / 4 : 0;
  for (let i = 0; i <= n; i++) {
    const angle = turn + (2 * Math.PI * i) / n, a = x + reach * Math.sin(angle), b = y - reach * Math.cos(angle);
    if (i) g.lineTo(a, b);
    else g.moveTo(a, b);
  }
}

// paint: { colour(role), font }; the canvas is `width` × `height` pixels of the page.
export function drawPanel(g, width, height, given, arrays, at, paint) {
  const panel = resolved(given, at), place = box(width, height, panel), { left, top, w, h } = place;
  const { X, Y } = scales(panel, place);
  drawAxes(g, panel, place, X, Y, paint);
  g.save();
  g.beginPath();
  g.rect(left, top, w, h);
  g.clip();
  for (const mark of panel.marks) drawMark(g, mark, place, X, Y, paint);
  if (panel.picks) drawPicks(g, panel.picks, at, X, Y, paint);
  if (panel.cursor) drawCursor(g, X(pick(arrays[panel.cursor], panel.cursor_by, at)[0]), place, paint);
  for (const line of series(panel, arrays, at)) {
    g.strokeStyle = g.fillStyle = paint.colour(line.role);
    if (line.points) drawDots(g, line, X, Y);
    else drawLine(g, line, X, Y);
  }
  g.restore();
}

function drawAxes(g, panel, { left, top, w, h }, X, Y, paint) {
  const every = (panel.xlog ? logTicks : ticks)(...panel.x, Math.max(3, w / 75));
  const across = panel.xwhole ? every.filter(Number.isInteger) : every;
  const up = (panel.ylog ? logTicks : ticks)(...panel.y, Math.max(3, h / 45));
  g.font = "13px " + paint.font;
  g.fillStyle = g.strokeStyle = paint.colour("ink");
  g.lineWidth = 1;
  g.globalAlpha = 0.12;
  g.beginPath();
  for (const v of across) { g.moveTo(X(v), top); g.lineTo(X(v), top + h); }
  for (const v of up) { g.moveTo(left, Y(v)); g.lineTo(left + w, Y(v)); }
  g.stroke();
  g.globalAlpha = 0.85;
  g.textAlign = "center";
  g.textBaseline = "top";
  for (const v of across) g.fillText(reading(v, panel.xlog), X(v), top + h + 6);
  g.fillText(panel.xlabel, left + w / 2, top + h + 24);
  g.textAlign = "right";
  g.textBaseline = "middle";
  const labels = up.map((v) => reading(v, panel.ylog)), wide = Math.max(...labels.map((t) => g.measureText(t).width));
  labels.forEach((label, i) => g.fillText(label, left - 6, Y(up[i])));
  g.textAlign = "center";
  g.save();
  g.translate(Math.max(8, left - 16 - wide), top + h / 2);
  g.rotate(-Math.PI / 2);
  g.fillText(panel.ylabel, 0, 0);
  g.restore();
  g.globalAlpha = 1;
}

// Where a mode is: a band across the axes, or a circle large enough to be seen.
function drawMark(g, mark, { left, top, w, h }, X, Y, paint) {
  g.fillStyle = g.strokeStyle = paint.colour("data");
  g.lineWidth = 1;
  if (mark.radius) {
    g.globalAlpha = 0.7;
    g.beginPath();
    g.arc(X(mark.x), Y(mark.y), Math.max(2.5, Math.abs(X(mark.radius) - X(0))), 0, 7);
    g.stroke();
  } else {
    g.globalAlpha = 0.28;
    const [low, high] = mark.axis === "y" ? [Y(mark.high), Y(mark.low)] : [X(mark.low), X(mark.high)];
    if (mark.axis === "y") g.fillRect(left, low, w, Math.max(1.5, high - low));
    else g.fillRect(low, top, Math.max(1.5, high - low), h);
  }
  g.globalAlpha = 1;
}

// Segments that can be chosen, as wide as their weight; the chosen one stands out.
function drawPicks(g, picks, at, X, Y, paint) {
  g.strokeStyle = paint.colour("hallucination");
  g.lineCap = "round";
  picks.segments.forEach(([x0, y0, x1, y1], i) => {
    const chosen = at[picks.control] === i + 1;
    g.globalAlpha = chosen ? 0.45 : 0.2;
    g.lineWidth = chosen ? 10 : picks.widths[i];
    g.beginPath();
    g.moveTo(X(x0), Y(y0));
    g.lineTo(X(x1), Y(y1));
    g.stroke();
  });
  g.lineCap = "butt";
  g.globalAlpha = 1;
}

function drawCursor(g, x, { top, h }, paint) {
  g.strokeStyle = paint.colour("ink");
  g.globalAlpha = 0.6;
  g.lineWidth = 1.5;
  g.setLineDash([6, 4]);
  g.beginPath();
  g.moveTo(x, top);
  g.lineTo(x, top + h);
  g.stroke();
  g.setLineDash([]);
  g.globalAlpha = 1;
}

// A path through points, with a new start after each gap.
function tracePath(g, x, y, X, Y) {
  let pen = false;
  g.beginPath();
  for (let i = 0; i < x.length; i++) {
    const known = !Number.isNaN(x[i] + y[i]);
    if (known && pen) g.lineTo(X(x[i]), Y(y[i]));
    else if (known) g.moveTo(X(x[i]), Y(y[i]));
    pen = known;
  }
}

function drawLine(g, line, X, Y) {
  const { x, y } = line, last = x.length - 1;
  g.lineWidth = line.width;
  tracePath(g, x, y, X, Y);
  if (line.fill) {
    g.lineTo(X(x[last]), Y(line.floor));
    g.lineTo(X(x[0]), Y(line.floor));
    g.globalAlpha = 0.3;
    g.fill();
    g.globalAlpha = 1;
    tracePath(g, x, y, X, Y);
  }
  g.setLineDash(line.dash);
  g.stroke();
  g.setLineDash([]);
  if (!line.ends || last < 0) return;
  g.beginPath();
  trace(g, line.marker, X(x[last]), Y(y[last]), line.flagged ? 5 : 4);
  g.fill();
}

// Dots, or rings: tiny ones as squares, the others as one path, so that thousands take no time.
function drawDots(g, line, X, Y) {
  const { x, y, width: r } = line, tiny = r < 2 && !line.hollow;
  g.lineWidth = 1;
  g.globalAlpha = 0.5;
  for (const trail of line.trails) {
    tracePath(g, ...trail, X, Y);
    g.stroke();
  }
  g.globalAlpha = 0.8;
  g.lineWidth = 1.5;
  g.beginPath();
  for (let i = 0; i < x.length; i++) {
    const a = X(x[i]), b = Y(y[i]);
    if (Number.isNaN(a + b)) continue;
    if (tiny) g.fillRect(a - r, b - r, 2 * r, 2 * r);
    else trace(g, line.marker, a, b, r);
  }
  if (line.hollow) g.stroke();
  else g.fill();
  g.globalAlpha = 1;
}

// One picture out of its sheet, in its own pixels.
export function drawPicture(g, picture, arrays, at) {
  const array = arrays[picture.name], [h, w] = array.shape.slice(-2);
  const left = w * rowAt(array, picture.by, at, 0), across = array.sheet ? array.sheet.naturalWidth : 0;
  if (across) g.drawImage(array.sheet, left % across, h * Math.floor(left / across), w, h, 0, 0, w, h);
}

// How many things one square of a pile stands for, so that the tallest has at most `room` squares.
export const unitOf = (counts, room) => 10 ** Math.max(0, Math.ceil(Math.log10(Math.max(...counts) / room)));

// Counts as piles of small squares; part of a square is drawn as part of one.
export function drawPiles(g, width, height, piles, arrays, at, paint) {
  const counts = Array.from(pick(arrays[piles.name], piles.by, at), Math.round), n = counts.length;
  const foot = 54, head = 44, slot = width / n, cell = 8, across = Math.max(4, Math.floor((slot - 16) / cell));
  const rows = Math.floor((height - foot - head) / cell), unit = unitOf(counts, across * rows);
  g.font = "13px " + paint.font;
  g.textAlign = "center";
  counts.forEach((count, i) => {
    const middle = (i + 0.5) * slot, start = middle - (across * cell) / 2, floor = height - foot;
    const squares = count / unit, whole = Math.ceil(squares - 1e-9);
    g.fillStyle = g.strokeStyle = paint.colour(piles.roles[i]);
    g.lineWidth = 1.5;
    for (let j = 0; j < whole; j++) {
      const size = (cell - 2) * Math.sqrt(Math.min(1, squares - j));
      const left = start + (j % across) * cell, top = floor - cell * Math.floor(j / across) - size;
      if (piles.hollow[i]) g.strokeRect(left + 0.75, top + 0.75, Math.max(0.5, size - 1.5), Math.max(0.5, size - 1.5));
      else g.fillRect(left, top, size, size);
    }
    const high = floor - cell * Math.ceil(whole / across);
    g.fillStyle = paint.colour("ink");
    g.font = "600 15px " + paint.font;
    g.textBaseline = "bottom";
    g.fillText(short(count), middle, high - 4);
    g.font = "13px " + paint.font;
    g.textBaseline = "top";
    piles.labels[i].split("\n").forEach((line, row) => g.fillText(line, middle, floor + 6 + 17 * row));
  });
  g.textAlign = "left";
  g.globalAlpha = 0.85;
  g.fillText(unit === 1 ? "one square: one sample" : `one square: ${short(unit)} samples`, 4, 4);
  g.globalAlpha = 1;
}
