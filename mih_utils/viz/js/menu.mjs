// The small menu of an explorer: link, picture, numbers, full screen.

import { element } from "./controls.mjs";

// actions: [[label, function that may return what happened, in words]]
export function menu(actions) {
  const panel = element("div", { className: "mih-menu-items", hidden: true });
  const opener = element("button", { type: "button", "aria-expanded": "false", "aria-label": "Menu: link, picture, numbers" });
  opener.append("⋯");
  const open = (yes) => {
    panel.hidden = !yes;
    opener.setAttribute("aria-expanded", String(yes));
  };
  opener.addEventListener("click", () => open(panel.hidden));
  for (const [label, action] of actions) {
    const item = element("button", { type: "button" }, label);
    item.addEventListener("click", async () => {
      const happened = await action();
      if (happened instanceof Element) panel.append(happened);
      else if (happened) item.textContent = happened;
      if (!happened) open(false);
      setTimeout(() => { item.textContent = label; }, 2500);
    });
    panel.append(item);
  }
  const root = element("div", { className: "mih-menu" }, opener, panel);
  root.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || panel.hidden) return;
    open(false);
    opener.focus();
  });
  document.addEventListener("pointerdown", (event) => { if (!root.contains(event.target)) open(false); });
  return root;
}

// To the clipboard; where that is refused, the link in a field, to be copied by hand.
export async function copyLink(hash) {
  const link = location.href.split("#")[0] + hash;
  try {
    await navigator.clipboard.writeText(link);
    return "Link copied";
  } catch {
    const field = element("input", { className: "mih-address", readOnly: true, value: link, "aria-label": "The link" });
    setTimeout(() => field.select());
    return field;
  }
}
