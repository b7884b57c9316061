// The controls of an explorer: sliders, buttons, thumbnails, lists, and the chips that set several.

import { drawPicture } from "./draw.mjs";

// An element with properties, attributes (names with a dash, or role) and children.
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role" || name === "for") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

const KEYS = { "data-lm-suppress-shortcuts": "true" };  // or JupyterLab takes the arrow keys

// Milliseconds between two positions when they are played: about ten seconds in all, a second at most.
export const pace = (positions) => Math.min(1000, Math.max(1000 / 12, 10_000 / positions));

// Where positions are marked along a slider, as a gradient in one colour.
export function trackOf(marks, size) {
  const stops = [], share = (p) => `${((100 * Math.min(size - 1, Math.max(0, p))) / (size - 1 || 1)).toFixed(2)}%`;
  for (const p of marks) {
    const [from, to] = [share(p - 0.5), share(p + 0.5)];
    stops.push(`transparent ${from}`, `currentColor ${from} ${to}`, `transparent ${to}`);
  }
  return stops.length ? `linear-gradient(to right, ${stops.join(", ")})` : "none";
}

export function slider(control, move) {
  const input = element("input", {
    type: "range", min: 0, max: control.size - 1, step: 1, ...KEYS, "aria-label": control.label,
  });
  const value = element("output", { "aria-hidden": "true" });  // said by aria-valuetext
  const marks = element("i", { className: "mih-happens", "aria-hidden": "true" });
  marks.dataset.role = control.marks_role;
  input.addEventListener("input", () => move(+input.value));
  const name = element("span", { className: "mih-name" }, control.label);
  const track = element("span", { className: "mih-track" }, input, marks);
  const row = element("label", { className: "mih-slider" }, name, track, value);
  return { row, inputs: [input], show: (at, index) => {
    input.value = at[index];
    value.textContent = control.ticks[at[index]];
    input.setAttribute("aria-valuetext", value.textContent);
    const marked = control.marks_by === null ? control.marks : control.marks[at[control.marks_by]];
    if (marks.dataset.shown !== String(marked)) marks.style.backgroundImage = trackOf(marked, control.size);
    marks.dataset.shown = marked;
  } };
}

// One of several: a button each, or a thumbnail.
function choice(control, move, group, face) {
  const inputs = control.ticks.map((tick, position) => {
    const input = element("input", { type: "radio", name: group, ...KEYS, "aria-label": tick });
    input.addEventListener("change", () => move(position));
    return input;
  });
  const faces = inputs.map((input, i) => element("label", { title: face ? control.ticks[i] : "" }, input,
    face ? face(i) : element("span", {}, control.ticks[i])));
  const row = element("div", { className: face ? "mih-thumbs" : "mih-buttons", role: "radiogroup",
    "aria-label": control.label }, element("span", { className: "mih-name" }, control.label),
  element("div", {}, ...faces));
  return { row, inputs, show: (at, index) => inputs.forEach((input, i) => { input.checked = i === at[index]; }) };
}

export const buttons = (control, move, group) => choice(control, move, group, null);

export function thumbnails(control, move, group, arrays) {
  const [h, w] = arrays[control.array].shape.slice(-2);
  const canvases = control.ticks.map(() => element("canvas", { width: w, height: h, "aria-hidden": "true" }));
  const made = choice(control, move, group, (i) => canvases[i]);
  const show = (at, index) => {
    made.show(at, index);
    const picture = { name: control.array, by: [0] };
    canvases.forEach((canvas, i) => drawPicture(canvas.getContext("2d"), picture, arrays, [i]));
  };
  return { ...made, show };
}

export function list(control, move) {
  const options = control.ticks.map((tick, i) => element("option", { value: i }, tick));
  const input = element("select", { ...KEYS, "aria-label": control.label }, ...options);
  input.addEventListener("change", () => move(+input.value));
  const row = element("label", { className: "mih-list" }, element("span", { className: "mih-name" }, control.label), input);
  return { row, inputs: [input], show: (at, index) => { input.value = at[index]; } };
}

export const MAKERS = { slider, buttons, thumbnails, list };

// A button that steps through a slider's positions; where motion is not wanted, one at a press.
export function player(control, index, at, { show, silence }) {
  const still = matchMedia("(prefers-reduced-motion: reduce)"), last = control.size - 1;
  const button = element("button", { type: "button", className: "mih-play", ...KEYS });
  let timer = null;
  const label = () => button.setAttribute("aria-label", timer ? "Pause" : still.matches ? "Next step" : "Play");
  function stop() {
    if (timer) clearInterval(timer);
    timer = null;
    silence(false);
    label();
  }
  function step() {
    at[index] = Math.min(last, at[index] + 1);
    if (at[index] >= last) stop();
    show();
  }
  button.addEventListener("click", () => {
    if (timer) return stop();
    if (at[index] === last) at[index] = control.play_from;
    else if (still.matches) return step();
    if (still.matches) return show();
    silence(true);  // not twelve sentences a second
    timer = setInterval(step, pace(control.size));
    label();
    show();
  });
  still.addEventListener("change", label);
  label();
  return { button, stop };
}
