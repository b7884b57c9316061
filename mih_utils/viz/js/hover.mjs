// Reading values: which drawn point, or which segment, is under the pointer.

import { reading } from "./axes.mjs";

// The nearest of all points that are drawn, if it is within `reach` pixels: { line, i, x, y }.
export function nearest(lines, X, Y, x, y, reach) {
  let best = null, least = reach * reach;
  for (const line of lines) {
    for (let i = 0; i < line.x.length; i++) {
      const away = (X(line.x[i]) - x) ** 2 + (Y(line.y[i]) - y) ** 2;
      if (away <= least) {
        least = away;
        best = { line, i, x: X(line.x[i]), y: Y(line.y[i]) };
      }
    }
  }
  return best;
}

// The nearest of segments [x0, y0, x1, y1], in pixels, if it is within `reach`; -1 for none.
export function segmentAt(segments, X, Y, x, y, reach) {
  let best = -1, least = reach;
  segments.forEach(([x0, y0, x1, y1], i) => {
    const a = X(x0), b = Y(y0), dx = X(x1) - a, dy = Y(y1) - b;
    const along = Math.min(1, Math.max(0, ((x - a) * dx + (y - b) * dy) / (dx * dx + dy * dy || 1)));
    const away = Math.hypot(x - a - along * dx, y - b - along * dy);
    if (away <= least) [best, least] = [i, away];
  });
  return best;
}

// "network: x_t 0.52, x̂0 1.98"
export function told(found, panel) {
  const { line, i } = found, name = (label) => label.split(",")[0];
  const at = `${name(panel.xlabel)} ${reading(line.x[i], panel.xlog)}, ${name(panel.ylabel)} ${reading(line.y[i], panel.ylog)}`;
  return line.label ? `${line.label}: ${at}` : at;
}
