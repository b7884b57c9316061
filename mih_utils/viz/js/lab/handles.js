// The handles on the data's axis: one for each mode, by mouse, finger or arrow keys.
import { make } from "./page.js";
import { AXIS } from "./settings.js";

const SLOP = 7;  // pixels a finger goes before it drags: less is a tap, or the start of a scroll

const rounded = (value) => +(Math.round(Math.min(Math.max(value, AXIS.low), AXIS.high) / AXIS.step) * AXIS.step).toFixed(4);

// Puts a handle for each of `modes` into `holder`. toPixel(value) says where; toValue(clientX) what
// is there. on.move(index, value) while it is dragged, on.done() after.
export function placeHandles(holder, modes, { toPixel, toValue }, on) {
  while (holder.children.length > modes.length) holder.lastChild.remove();
  while (holder.children.length < modes.length) holder.append(handle(holder.children.length, on, toValue));
  modes.forEach((mode, i) => {
    const element = holder.children[i];
    element.style.left = `${toPixel(mode)}px`;
    element.value = mode;
    element.setAttribute("aria-label", `Mode ${i + 1} of ${modes.length}`);
    element.setAttribute("aria-valuenow", mode);
    element.setAttribute("aria-valuetext", `at ${mode}`);
  });
}

function handle(index, on, toValue) {
  const element = make("span", {
    class: "lab-handle", role: "slider", tabindex: "0", "data-lm-suppress-shortcuts": "true",
    "aria-valuemin": AXIS.low, "aria-valuemax": AXIS.high,
  });
  let held = null;  // {x, value, dragging} between press and release
  element.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    held = { x: event.clientX, value: element.value, dragging: event.pointerType !== "touch" };
    element.setPointerCapture(event.pointerId);
    if (held.dragging) event.preventDefault();
    element.focus({ preventScroll: true });
  });
  element.addEventListener("pointermove", (event) => {
    if (!held) return;
    if (Math.abs(event.clientX - held.x) > SLOP) held.dragging = true;
    if (!held.dragging) return;
    const value = rounded(held.value + toValue(event.clientX) - toValue(held.x));
    if (value !== element.value) on.move(index, value);
  });
  const release = (back) => () => {
    if (!held) return;
    if (back && held.dragging) on.move(index, held.value);  // the browser took the finger to scroll
    const moved = held.dragging && element.value !== held.value;
    held = null;
    if (moved) on.done();
  };
  element.addEventListener("pointerup", release(false));
  element.addEventListener("pointercancel", release(true));
  element.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    on.move(index, rounded(element.value + by * AXIS.step));
    on.done();
  });
  return element;
}
