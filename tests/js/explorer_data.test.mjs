// What an explorer's script makes of what Python stored.
import assert from "node:assert/strict";
import { test } from "node:test";

import { bells, decode, pick, rowAt, sentence, series } from "../../mih_utils/viz/js/data.mjs";

const base64 = (typed) => Buffer.from(typed.buffer).toString("base64");
const packed = (shape, numbers) => decode({ shape, bits: 32, data: base64(Float32Array.from(numbers)) });

test("16 bits have one scale, and -32768 is a gap", () => {
  const data = base64(Int16Array.from([-32768, -1, 0, 32767]));
  const { values, shape } = decode({ shape: [2, 2], offset: 10, scale: 0.5, data });
  assert.deepEqual(shape, [2, 2]);
  assert.ok(Number.isNaN(values[0]));
  assert.deepEqual([...values.slice(1)], [9.5, 10, 10 + 0.5 * 32767]);
});

test("32 bits keep the small beside the large", () => {
  const { values } = packed([2, 2], [1600, 1400, 0.043, 0.051]);
  assert.ok(Math.abs(values[2] - 0.043) < 1e-8);
  assert.ok(Math.abs(values[0] - 1600) < 1e-3);
});

test("each axis of an array follows its control, and neighbours stop at the ends", () => {
  const array = packed([3, 2, 2], [...Array(12).keys()]);
  assert.equal(rowAt(array, [1, 0], [1, 1], 0), 3);
  assert.deepEqual([...pick(array, [0, 1], [2, 1], 0)], [10, 11]);
  assert.deepEqual([...pick(array, [0, 1], [1, 1], 9)], [10, 11]);
  assert.deepEqual([...pick(array, [0, 1], [1, 1], -9)], [2, 3]);
});

const line = (more) => ({ x: "x", y: "y", role: "learned", by: [0], xby: [], rows: [0], flag: null,
  span: null, span_by: [0], trail: null, bells: false, ...more });
const arrays = { x: packed([3], [0, 1, 2]), y: packed([2, 3], [1, 2, 3, 4, 5, 6]),
  lost: packed([2, 1], [0, 1]), part: packed([2, 2], [0, 1, 1, 3]) };

test("a row that is flagged is a hallucination, the others keep their role", () => {
  const [first, second] = series({ lines: [line({ rows: [0, 1], flag: "lost" })] }, arrays, [0]);
  assert.equal(first.role, "learned");
  assert.equal(second.role, "hallucination");
  assert.deepEqual([...second.y], [4, 5, 6]);
});

test("a span draws the part that its control chooses", () => {
  const [found] = series({ lines: [line({ span: "part" })] }, arrays, [1]);
  assert.deepEqual([[...found.x], [...found.y]], [[1, 2], [5, 6]]);
});

test("dots show where they came from only beyond the first position of the trail's control", () => {
  const dots = line({ x: "y", xby: [0], trail: 1 });
  assert.deepEqual(series({ lines: [dots] }, arrays, [1, 0])[0].trails, []);
  const [{ trails }] = series({ lines: [dots] }, arrays, [1, 1]);
  assert.deepEqual(trails, [[[1, 4], [1, 4]], [[2, 5], [2, 5]], [[3, 6], [3, 6]]]);
});

test("bells are normal densities", () => {
  const [x, y] = bells([2, -1], [0.5, 0.1]);
  assert.ok(Number.isNaN(x[101]) && Number.isNaN(y[203]));
  const mass = y.slice(0, 101).reduce((sum, v) => sum + v * (x[1] - x[0]), 0);
  assert.ok(Math.abs(mass - 1) < 1e-4);
  assert.ok(Math.abs(Math.max(...y.slice(102, 203)) - 0.3989423 / 0.1) < 1e-5);
});

test("sentences follow their own controls, and empty ones leave no space", () => {
  const said = [{ by: [], words: ["Always."] }, { by: [1], words: ["", "Sometimes."] },
    { by: [0, 1], words: ["a", "b", "c", "d", "e", "f"] }];
  assert.equal(sentence(said, [3, 2], [2, 0]), "Always. e");
  assert.equal(sentence(said, [3, 2], [1, 1]), "Always. Sometimes. d");
});
