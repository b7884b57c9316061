// What a reader can take along: numbers, a picture, a file.

// The state as rows: panel, series, x, value.
export function asTable(state) {
  const rows = ["panel,series,x,value"], { range, exact, learned, stairs, history, masses, flow } = state;
  const put = (panel, series, x, y) => x.forEach((at, i) => rows.push([panel, series, +at.toPrecision(6), +y[i].toPrecision(6)].join(",")));
  const centres = (p) => Array.from(p, (_, i) => range[0] + ((i + 0.5) * (range[1] - range[0])) / p.length);
  if (exact) put("density", "exact", centres(exact.p), exact.p);
  if (learned) put("density", "learned", centres(learned.p), learned.p);
  if (stairs) for (const name of ["exact", "learned"]) put(`staircase at t = ${stairs.t}`, name, Array.from(stairs.x), stairs[name]);
  for (const name of ["loss", "floor", "excess"]) put("training", name, Array.from(history.step), history[name]);
  put("mass between the modes", "learned", masses.map((m) => m.step), masses.map((m) => m.mass));
  if (exact) put("mass between the modes", "exact", [state.step], [exact.mass]);
  if (flow) put("chain ends", flow.who, Array.from(flow.columns[flow.columns.length - 1].x), Array.from(flow.between));
  return rows.join("\n") + "\n";
}

// All panels on one sheet: canvases as they stand, with a title and a last line.
export function asPicture(canvases, title, below, style) {
  const ratio = window.devicePixelRatio || 1, gap = 16, edge = 16;
  const sheet = document.createElement("canvas"), g = sheet.getContext("2d");
  const wide = Math.max(...canvases.map(({ canvas }) => canvas.clientWidth));
  const high = canvases.reduce((sum, { canvas }) => sum + canvas.clientHeight + 24 + gap, 64);
  sheet.width = (wide + 2 * edge) * ratio;
  sheet.height = high * ratio;
  g.scale(ratio, ratio);
  g.fillStyle = style.paper;
  g.fillRect(0, 0, wide + 2 * edge, high);
  g.fillStyle = style.ink;
  let top = 26;
  const write = (text, font) => { g.font = `${font} ${style.family}`; g.fillText(text, edge, top, wide); };
  write(title, "600 15px");
  for (const { canvas, name } of canvases) {
    top += 26;
    write(name, "600 13px");
    top += 8;
    g.drawImage(canvas, edge, top, canvas.clientWidth, canvas.clientHeight);
    top += canvas.clientHeight + 4;
  }
  top += 14;
  write(below, "11px");
  return sheet;
}

export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// Puts text on the clipboard; false where the browser refuses.
export async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = document.createElement("textarea");
    field.value = text;
    document.body.append(field);
    field.select();
    const ok = document.execCommand("copy");
    field.remove();
    return ok;
  }
}
