// What Python stored for an explorer: arrays, and which part of them the controls' positions mean.

// Numbers of 16 bits with one scale for all (-32768 is a gap), of 32 bits each, or a sheet of
// pictures, whose image the page loads by itself.
export function decode(packed) {
  if (packed.png) return { shape: packed.shape, png: packed.png };
  const bytes = Uint8Array.from(atob(packed.data), (c) => c.charCodeAt(0));
  if (packed.bits === 32) return { shape: packed.shape, values: new Float32Array(bytes.buffer) };
  const known = (q) => (q === -32768 ? NaN : packed.offset + packed.scale * q);
  return { shape: packed.shape, values: Float32Array.from(new Int16Array(bytes.buffer), known) };
}

// Which row of an array the positions mean: `by` says which control each axis follows.
export function rowAt(array, by, at, shift) {
  return by.reduce((row, control, axis) => {
    const moved = at[control] + (axis === 0 ? shift : 0);
    return row * array.shape[axis] + Math.min(Math.max(moved, 0), array.shape[axis] - 1);
  }, 0);
}

// The last axis of an array at the positions.
export function pick(array, by, at, shift = 0) {
  const length = array.shape[array.shape.length - 1], row = rowAt(array, by, at, shift);
  return array.values.subarray(row * length, (row + 1) * length);
}

// Nested lists at the positions of the controls in `by`.
export const nested = (lists, by, at) => by.reduce((list, control) => list[at[control]], lists);

// The curves of normal densities, one after the other, with a gap after each.
export function bells(means, stds) {
  const x = [], y = [];
  means.forEach((mean, i) => {
    for (let j = -50; j <= 50; j++) {
      x.push(mean + (j / 10) * stds[i]);
      y.push(Math.exp((-j * j) / 200) / (Math.sqrt(2 * Math.PI) * stds[i]));
    }
    x.push(NaN);
    y.push(NaN);
  });
  return [x, y];
}

// A panel with the range and the name of its y axis that the positions choose.
export function resolved(panel, at) {
  const y = nested(panel.y, panel.y_by, at), ylabel = nested(panel.ylabel, panel.ylabel_by, at);
  return { ...panel, y, ylabel };
}

// The points (x, y) of one line of a panel, `shift` rows from its position.
function points(line, arrays, at, shift) {
  let x = pick(arrays[line.x], line.xby, at, shift), y = pick(arrays[line.y], line.by, at, shift);
  if (line.span) {
    const [from, to] = Array.from(pick(arrays[line.span], line.span_by, at), Math.round);
    x = x.subarray(from, to);
    y = y.subarray(from, to);
  }
  return line.bells ? bells(x, y) : [x, y];
}

// All lines that a panel draws now: what was specified, its points, and in which role.
export function series(panel, arrays, at) {
  return panel.lines.flatMap((line) => line.rows.map((shift) => {
    const [x, y] = points(line, arrays, at, shift);
    const flagged = Boolean(line.flag) && pick(arrays[line.flag], [line.by[0]], at, shift)[0] > 0.5;
    const trails = line.trail === null || !at[line.trail] ? [] : trailsOf(line, arrays, at);
    return { ...line, x, y, flagged, trails, role: flagged ? "hallucination" : line.role };
  }));
}

// Where each of the dots came from: its points at the positions before this one, as a line each.
function trailsOf(line, arrays, at) {
  const [from, to] = line.span ? Array.from(pick(arrays[line.span], line.span_by, at), Math.round)
    : [0, arrays[line.x].shape.at(-1)];
  const control = line.by[0], steps = Array.from({ length: at[control] + 1 }, (_, step) => step);
  const earlier = (name, by, step, i) => pick(arrays[name], by, { ...at, [control]: step })[i];
  return Array.from({ length: to - from }, (_, i) => [
    steps.map((step) => earlier(line.x, line.xby, step, from + i)),
    steps.map((step) => earlier(line.y, line.by, step, from + i)),
  ]);
}

// The sentences for the positions, one after the other.
export function sentence(said, sizes, at) {
  const place = (by) => by.reduce((sum, control) => sum * sizes[control] + at[control], 0);
  return said.map(({ by, words }) => words[place(by)]).filter(Boolean).join(" ");
}
