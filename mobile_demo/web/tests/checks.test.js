/** What models answered in Python is read from parity packs, and what is off is seen. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { fromEntry } from "../core/index.js";
import { difference, noise, outputsOf, recordedRuns } from "../worker/checks.js";

/** @param {string} name @param {number[]} shape @param {string} dtype */
function tensor(name, shape, dtype = "float32") {
  return { name, shape, dtype, scale: dtype === "int8" ? 0.5 : null, zero_point: dtype === "int8" ? 3 : null };
}

/** A detector of two levels. */
const DETECTOR = {
  task: "detection",
  model: "tiny",
  quantization: "int8",
  input: { ...tensor("image", [1, 32, 32, 3], "uint8"), channel_order: "RGB", normalization: null },
  class_names: ["person"],
  strides: [16, 32],
  scores: [tensor("s16", [1, 2, 2, 1]), tensor("s32", [1, 1, 1, 1])],
  distances: [tensor("d16", [1, 2, 2, 4]), tensor("d32", [1, 1, 1, 4])],
  settings: { score_threshold: 0.05, iou_threshold: 0.6, max_per_level: 100, max_detections: 10 },
};

test("the recorded runs of a file are found by its hash; other kinds of cases are none", () => {
  const floats = Float32Array.of(9, 1, 2, 3, 4);
  const bytes = new Uint8Array(floats.buffer, 4); // as a part of something larger
  const index = {
    models: { detector: { sha256: "abc", contract: DETECTOR } },
    cases: [
      { kind: "crop", given: {}, expected: {} },
      {
        kind: "model",
        given: { model: "detector", input: { dtype: "uint8", shape: [1, 2], values: [7, 8] } },
        expected: {
          // Scores level by level, then distances.
          raw: [
            { dtype: "float32", shape: [1, 4], offset: 0 },
            { dtype: "float32", shape: [1], values: [null] },
            { dtype: "float32", shape: [1, 2], offset: 8 },
            { dtype: "float32", shape: [1], values: [5] },
          ],
        },
      },
    ],
  };

  const runs = recordedRuns(index, bytes);

  assert.deepEqual([...runs.keys()], ["abc"]);
  const [{ input, outputs }] = runs.get("abc") ?? [];
  assert.deepEqual(input, Uint8Array.of(7, 8));
  assert.deepEqual(outputs, {
    s16: Float32Array.of(1, 2, 3, 4),
    s32: Float32Array.of(NaN),
    d16: Float32Array.of(3, 4),
    d32: Float32Array.of(5),
  });
});

test("integers may be a step off, whatever their spread", () => {
  const [spec] = [{ ...tensor("maps", [1, 4], "int8"), zeroPoint: 3 }];
  const wanted = { maps: Int8Array.of(3, 3, 4, 3) };
  assert.equal(difference([spec], { maps: Int8Array.of(4, 4, 5, 4) }, wanted), null);
  assert.match(String(difference([spec], { maps: Int8Array.of(5, 5, 6, 5) }, wanted)), /something else.*maps is off by 4.62 of/);
  assert.equal(difference([spec], {}, wanted), "it returns no maps");
});

test("noise is the same every time, and of the input's type", () => {
  const contract = fromEntry(DETECTOR);
  const values = noise(contract);
  assert.ok(values instanceof Uint8Array && values.length === 32 * 32 * 3);
  assert.deepEqual(values, noise(contract));
  // 1664525 + 1013904223 = 0x3c88596c, of which the first byte counts.
  assert.equal(values[0], 0x3c);
  assert.ok(new Set(values).size > 200);
  assert.deepEqual(outputsOf(contract).map(({ name }) => name), ["s16", "s32", "d16", "d32"]);
});
