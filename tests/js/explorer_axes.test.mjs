// Axes, numbers in words, and reading values off a panel.
import assert from "node:assert/strict";
import { test } from "node:test";

import { box, logTicks, scales, short, ticks } from "../../mih_utils/viz/js/axes.mjs";
import { unitOf } from "../../mih_utils/viz/js/draw.mjs";
import { nearest, segmentAt, told } from "../../mih_utils/viz/js/hover.mjs";

test("ticks are round numbers inside of the axis, whichever way it runs", () => {
  assert.deepEqual(ticks(0, 1, 5), [0, 0.2, 0.4, 0.6, 0.8, 1]);
  assert.deepEqual(ticks(1, -0.02, 3), [0, 0.5, 1]);
  assert.deepEqual(ticks(-1500, 1500, 4), [-1000, 0, 1000]);
  for (const [low, high] of [[0.0312, 0.0518], [-7e-5, 3e4], [1e5, 1.0001e5]]) {
    const found = ticks(low, high, 5);
    assert.ok(found.length >= 2 && found.length <= 7);
    assert.ok(found.every((v) => v >= low && v <= high));
  }
});

test("a logarithmic axis has decades, and round numbers where it is short", () => {
  assert.deepEqual(logTicks(-0.3, 5.2, 6), [0, 1, 2, 3, 4, 5]);
  const close = logTicks(Math.log10(0.68), Math.log10(1.02), 4).map((v) => +(10 ** v).toFixed(6));
  assert.deepEqual(close, [0.7, 0.8, 0.9, 1]);
  assert.ok(logTicks(-10, 2, 4).length <= 7);
});

test("numbers in words", () => {
  const said = [0, 0.25, -3, 1469, 99866, 0.001, 2.5e-7, 1e-5, 40084312112340752].map((v) => short(v));
  assert.deepEqual(said, ["0", "0.25", "\u22123", "1,469", "99,866", "0.001", "2.5 × 10⁻⁷", "10⁻⁵", "4.01 × 10¹⁶"]);
  assert.equal(short(NaN), "–");
});

test("a square panel is as large as fits, and centred", () => {
  const { left, w, h } = box(500, 300, { square: true }), free = box(500, 300, {});
  assert.equal(w, h);
  assert.equal(w, free.h);
  assert.ok(Math.abs(left - free.left - (free.w - w) / 2) < 1e-9);
});

const panel = { x: [0, 10], y: [0, 1], xlabel: "x_t, divided", ylabel: "density" };
const { X, Y } = scales(panel, { left: 100, top: 0, w: 100, h: 50 });

test("the nearest drawn point is read, and none if all are far", () => {
  const lines = [{ label: "exact", x: [0, 5, 10], y: [0, NaN, 1] }, { label: "network", x: [5], y: [0.5] }];
  const found = nearest(lines, X, Y, 153, 22, 16);
  assert.equal(told(found, panel), "network: x_t 5, density 0.5");
  assert.deepEqual([found.x, found.y], [150, 25]);
  assert.equal(nearest(lines, X, Y, 125, 25, 16), null);
});

test("logarithms are read as numbers", () => {
  const lines = [{ label: "", x: [3], y: [-2] }], logs = { ...panel, xlog: true, ylog: true };
  assert.equal(told(nearest(lines, (v) => v, (v) => v, 3, -2, 1), logs), "x_t 1,000, density 0.01");
});

test("the segment under the pointer is chosen", () => {
  const segments = [[0, 0, 10, 0], [0, 0, 0, 1]];
  assert.equal(segmentAt(segments, X, Y, 150, 46, 10), 0);
  assert.equal(segmentAt(segments, X, Y, 104, 20, 10), 1);
  assert.equal(segmentAt(segments, X, Y, 150, 20, 10), -1);
  assert.equal(segmentAt([], X, Y, 150, 20, 10), -1);
});

test("a square of a pile stands for as many as make the tallest pile fit", () => {
  assert.equal(unitOf([1469, 128, 6], 200), 10);
  assert.equal(unitOf([0, 128, 6], 200), 1);
  assert.equal(unitOf([99866, 134, 0], 200), 1000);
  assert.equal(unitOf([0, 0, 0], 200), 1);
});
