// The keys of a legend: a line as it is dashed, a mark as it is shaped, a bar of a slider's track.

import { element } from "./controls.mjs";

const MARKS = {
  circle: "M10 6a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0z",
  square: "M10.5 2h8v8h-8z",
  triangle: "M14.5 1l5.5 9.5h-11z",
  pentagon: "M14.5 1l5 3.7l-1.9 6h-6.2l-1.9-6z",
  diamond: "M14.5 0.5l5 5.5l-5 5.5l-5-5.5z",
};

export function key(entry) {
  const pen = (extra) => `stroke="currentColor" stroke-width="${Math.min(entry.width || 2, 4)}" ${extra}`;
  const line = `<path d="M1 6H28" ${pen(`stroke-dasharray="${(entry.dash || []).join(" ")}" fill="none"`)}/>`;
  const fill = entry.hollow ? 'fill="none" stroke="currentColor" stroke-width="1.5"' : 'fill="currentColor"';
  const mark = `<path d="${MARKS[entry.marker] || MARKS.circle}" ${fill}/>`;
  const bar = '<path d="M12 1h5v10h-5z" fill="currentColor"/>';
  const inside = entry.bar ? bar : entry.points ? mark : entry.ends ? line + mark : line;
  const made = element("span", { className: "mih-key" });
  made.dataset.role = entry.role;
  made.innerHTML = `<svg viewBox="0 0 29 12" width="29" height="12" aria-hidden="true">${inside}</svg>`;
  return made;
}

// Every label once: of the lines, those given by hand, and of what is marked on sliders.
export function entriesOf(spec) {
  const seen = new Map();
  for (const panel of spec.panels) {
    for (const line of panel.lines || []) if (line.label && !line.unlisted) seen.set(line.label, line);
  }
  for (const entry of spec.legend) seen.set(entry.label, entry);
  for (const { marked, marks_role } of spec.controls) if (marked) seen.set(marked, { role: marks_role, bar: true });
  return [...seen];
}

export function legend(spec) {
  const items = entriesOf(spec).map(([label, entry]) => element("li", {}, key(entry), label));
  return element("ul", { className: "mih-legend" }, ...items);
}
