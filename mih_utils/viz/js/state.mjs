// What an explorer shows, as the end of an address: #id=name:3,other:0&hide=menu&lock=other

const WHOLE = /^\d{1,5}$/;

// Positions by name, and the names of what is to be removed or locked; null if the address says
// nothing of this explorer. What is unknown or damaged is left out.
export function parseHash(hash, id, controls) {
  const parts = new Map();
  for (const part of String(hash).replace(/^#/, "").split("&")) {
    const cut = part.indexOf("=");
    if (cut > 0) parts.set(part.slice(0, cut), decoded(part.slice(cut + 1)));
  }
  if (!parts.has(id)) return null;
  const at = {};
  for (const part of parts.get(id).split(",")) {
    const [name, position] = part.split(":"), control = controls.find((c) => c.name === name);
    if (control && WHOLE.test(position) && +position < control.size) at[name] = +position;
  }
  const names = (key) => new Set((parts.get(key) || "").split(",").filter(Boolean));
  return { at, hide: names("hide"), lock: names("lock") };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

// The same, the other way round.
export function formatHash(id, controls, at) {
  return `#${id}=` + controls.map((control, i) => `${control.name}:${at[i]}`).join(",");
}
