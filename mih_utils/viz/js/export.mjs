// What a reader can take along: the numbers that are shown, as CSV, and the picture, as PNG.

import { nested, pick, resolved, series } from "./data.mjs";

const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

// One row for each point that is drawn: panel, line, x and y under the names of the axes.
export function toCsv(spec, arrays, at) {
  const rows = [["panel", "line", "x", "y", "x is", "y is"]];
  const log = (label, is) => (is ? `log10 ${label}` : label);
  for (const given of spec.panels) {
    if (given.kind === "piles") {
      const counts = pick(arrays[given.name], given.by, at);
      given.labels.forEach((label, i) => rows.push([given.title, label.replace("\n", " "), i, counts[i], "pile", "count"]));
    }
    if (given.kind !== "panel") continue;
    const panel = resolved(given, at), names = [log(panel.xlabel, panel.xlog), log(panel.ylabel, panel.ylog)];
    for (const line of series(panel, arrays, at)) {
      const label = line.label || line.role;
      for (let i = 0; i < line.x.length; i++) {
        if (!Number.isNaN(line.x[i] + line.y[i])) rows.push([panel.title, label, line.x[i], line.y[i], ...names]);
      }
    }
  }
  return rows.map((row) => row.map((cell) => quoted(String(cell))).join(",")).join("\n") + "\n";
}

// Text in lines that are at most `width` wide.
export function wrapped(text, width, measure) {
  const lines = [""];
  for (const word of text.split(" ")) {
    const longer = lines.at(-1) ? `${lines.at(-1)} ${word}` : word;
    if (measure(longer) > width && lines.at(-1)) lines.push(word);
    else lines[lines.length - 1] = longer;
  }
  return lines;
}

// Everything a reader sees, on one canvas: title, settings, panels with their titles, the sentence.
export function toCanvas({ title, settings, views, said, width, colour, font }) {
  const canvas = document.createElement("canvas"), g = canvas.getContext("2d"), edge = 16, ratio = 2;
  const blocks = [[title, "600 17px "], [settings, "13px "], [said, "14px "]].map(([text, size]) => {
    g.font = size + font;
    return { size, lines: wrapped(text, width - 2 * edge, (t) => g.measureText(t).width) };
  });
  const high = (block) => 21 * block.lines.length + 8;
  const top = edge + high(blocks[0]) + high(blocks[1]);
  const bottom = Math.max(0, ...views.map((view) => view.top + view.height));
  canvas.width = width * ratio;
  canvas.height = (top + bottom + high(blocks[2]) + edge) * ratio;
  g.scale(ratio, ratio);
  g.fillStyle = colour("paper");
  g.fillRect(0, 0, canvas.width, canvas.height);
  g.fillStyle = colour("ink");
  g.textBaseline = "top";
  const write = (block, y) => {
    g.font = block.size + font;
    block.lines.forEach((line, i) => g.fillText(line, edge, y + 21 * i));
  };
  write(blocks[0], edge);
  write(blocks[1], edge + high(blocks[0]));
  write(blocks[2], top + bottom + 8);
  g.font = "600 14px " + font;
  g.imageSmoothingEnabled = false;
  for (const view of views) {
    g.fillText(view.title, view.left, top + view.top - 20);
    g.drawImage(view.canvas, view.left, top + view.top, view.width, view.height);
  }
  return canvas;
}

// Gives a file to the reader.
export function download(name, blob) {
  const link = document.createElement("a");
  link.download = name;
  link.href = URL.createObjectURL(blob);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// What each control is set to, in words.
export const settingsOf = (controls, at) =>
  controls.map((control, i) => `${control.label}: ${nested(control.ticks, [i], at)}`).join(" · ");
