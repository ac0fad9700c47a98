/** Contracts that fit are read; what does not fit is named. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { ContractError, digest, readContract, toInput } from "../core/index.js";

const BYTES = new TextEncoder().encode("a model");
const SHIPPED = new URL("../../../keras_pose/shipped/", import.meta.url);
const SHIPPED_FILES = JSON.parse(readFileSync(new URL("shipped.json", SHIPPED), "utf-8"));

function contractFile() {
  const names = ["nose", "left_wrist", "right_wrist"];
  return {
    schema_version: 1,
    models: {
      "pose_model.tflite": {
        file: { bytes: BYTES.length, sha256: createHash("sha256").update(BYTES).digest("hex") },
        task: "top_down",
        model: "pose_slim",
        quantization: "int8",
        input: {
          name: "image", shape: [1, 64, 48, 3], dtype: "uint8", scale: null, zero_point: null,
          channel_order: "RGB", normalization: /** @type {any} */ (null),
        },
        output: { name: "heatmaps", shape: [1, 16, 12, 3], dtype: "int8", scale: 0.004, zero_point: -128 },
        crop: { box_padding: 1.25 },
        codec: /** @type {any} */ ({ kind: "gaussian", input_hw: [64, 48], stride: 4, sigma: 2 }),
        skeleton: { name: "arms", names, limb_pairs: [[0, 1]], mirror_pairs: [[1, 2]], oks_sigmas: [] },
      },
    },
  }; // prettier-ignore
}

/**
 * @param {(file: any, entry: any) => void} change
 * @param {RegExp} message
 */
async function assertRefused(change, message) {
  const file = contractFile();
  change(file, file.models["pose_model.tflite"]);
  await assert.rejects(readContract(file, "pose_model.tflite", BYTES), (error) => {
    assert.ok(error instanceof ContractError);
    assert.match(error.message, message);
    return true;
  });
}

test("a contract that fits is read", async () => {
  const contract = await readContract(contractFile(), "pose_model.tflite", BYTES);
  assert.equal(contract.task, "top_down");
  assert.deepEqual(contract.inputHw, [64, 48]);
});

test("another file than the contract's is refused", async () => {
  await assertRefused((file, entry) => (entry.file.sha256 = "0".repeat(64)), /not the file its contract/);
});

test("a contract without the file, of another version or another task is refused", async () => {
  await assertRefused((file) => (file.schema_version = 99), /schema version 99/);
  await assertRefused((file) => (file.models = { "other.tflite": {} }), /describes other.tflite/);
  await assertRefused((file, entry) => (entry.task = "segmentation"), /not models for segmentation/);
  await assertRefused((file, entry) => (entry.task = "constructor"), /not models for constructor/);
});

/** Fields of a pose model that versions 1.MINOR brought; those between were for other tasks and formats. */
const ADDED = { 4: ["visibility", "score_calibration"], 5: ["compiled_for"], 6: ["operator_audit"] };

/**
 * Returns the contract as version 1.`minor` wrote it.
 * @param {number} minor
 */
function asOf(minor) {
  const file = /** @type {any} */ ({ ...contractFile(), schema_minor: minor });
  const entry = file.models["pose_model.tflite"];
  const visibility = { name: "visibility", shape: [1, 3, 3], dtype: "int8", scale: 0.1, zero_point: 0 };
  Object.assign(entry, {
    visibility: { ...visibility, kinds: ["visible", "hidden", "outside"], temperature: 1.5 },
    score_calibration: { kind: "logistic", slope: 4, intercept: -2 },
    compiled_for: { manufacturer: "Qualcomm", soc_model: "SM8750", source_sha256: "0".repeat(64) },
    operator_audit: { GPU: { operators: 3, taken: 3, partitions: 1, left: [] } },
  });
  for (const [added, fields] of Object.entries(ADDED)) {
    if (minor < Number(added)) fields.forEach((field) => delete entry[field]);
  }
  if (minor === 0) {
    delete file.schema_minor;
    delete entry.task;
  }
  return file;
}

test("contracts of all minor versions are read, also of one that is yet to come", async () => {
  const present = await readContract(asOf(6), "pose_model.tflite", BYTES);
  assert.equal(present.task === "top_down" && present.visibility?.temperature, 1.5);
  for (const minor of [0, 1, 2, 3, 4, 5]) {
    const older = await readContract(asOf(minor), "pose_model.tflite", BYTES);
    const lacking = minor < 4 ? { visibility: null, scoreCalibration: null } : {};
    assert.deepEqual(older, { ...present, ...lacking }, `1.${minor}`);
  }
  const newer = { ...asOf(99), unheard_of: 1 };
  newer.models["pose_model.tflite"].unheard_of = { of: [] };
  assert.deepEqual(await readContract(newer, "pose_model.tflite", BYTES), present);
});

test("a newer major version is refused with what to do, beside the file and inside", async () => {
  const words = /schema version 2; this app reads 1. A newer version of keras_pose wrote it: update this app/;
  await assertRefused((file) => (file.schema_version = 2), words);
  await assertRefused((file) => delete file.schema_version, /schema version none; this app reads 1.$/);
  // The hash of a file leaves the text of its contract out, so it stays right.
  const file = readFileSync(new URL(SHIPPED_FILES.pose.files.int8, SHIPPED));
  const version = file.indexOf('"schema_version":1') + '"schema_version":'.length;
  file[version] = "2".charCodeAt(0);
  await assert.rejects(readContract(null, "a.tflite", new Uint8Array(file)), (error) => {
    assert.ok(error instanceof ContractError);
    assert.match(error.message, words);
    return true;
  });
});

test("what these apps cannot do is refused by name", async () => {
  await assertRefused((file, entry) => (entry.codec.kind = "offsets"), /not offsets/);
  await assertRefused((file, entry) => (entry.input.channel_order = "BGR"), /wants BGR images/);
  await assertRefused((file, entry) => (entry.output.shape = [1, 17, 12, 3]), /output 17x12x3, expected 16x12x3/);
  await assertRefused((file, entry) => delete entry.crop, /cannot be read/);
});

for (const name of Object.values(SHIPPED_FILES).flatMap((model) => Object.values(model.files))) {
  test(`${name} travels alone: its contract is inside`, async () => {
    const bytes = new Uint8Array(readFileSync(new URL(name, SHIPPED)));
    const beside = JSON.parse(readFileSync(new URL("pose_model.json", SHIPPED), "utf-8"));
    const expected = await readContract(beside, name, bytes);
    assert.deepEqual(await readContract(null, "renamed.tflite", bytes), expected);
    assert.deepEqual(await readContract({ schema_version: 1, models: {} }, "renamed.tflite", bytes), expected);
    const changed = bytes.slice();
    changed[bytes.length >> 1] ^= 1;
    await assert.rejects(readContract(null, name, changed), /not the file that the contract inside/);
  });
}

test("files without a contract, and damaged ones, are refused in words", async () => {
  await assert.rejects(readContract(null, "a.tflite", BYTES), /no pose_model.json, and there is no contract inside a.tflite/);
  const bytes = new Uint8Array(readFileSync(new URL(SHIPPED_FILES.pose.files.int8, SHIPPED)));
  // Cut off anywhere, or with the way to its root bent, it is never read beyond its end.
  for (const length of [6, 9, 40, 200, 1000, 5000]) {
    await assert.rejects(readContract(null, "a.tflite", bytes.subarray(0, length)), ContractError);
  }
  for (let at = 0; at < 400; at += 19) {
    const bent = bytes.slice();
    bent[at] ^= 0xff;
    await assert.rejects(readContract(null, "a.tflite", bent), ContractError);
  }
});

test("hashes are those of the standard, at every length around a block's", () => {
  for (const length of [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000]) {
    const bytes = Uint8Array.from({ length }, (_, i) => i % 251);
    const expected = createHash("sha256").update(bytes).digest("hex");
    assert.equal(Buffer.from(digest(bytes)).toString("hex"), expected);
  }
});

test("pixels go in as the input's numbers", () => {
  const pixels = Uint8Array.of(0, 1, 128, 255);
  const spec = { name: "image", shape: [1, 4], scale: 1, zeroPoint: -128 };
  assert.deepEqual(toInput(pixels, { ...spec, dtype: "uint8", scale: null, zeroPoint: null }), pixels);
  assert.deepEqual([...toInput(pixels, { ...spec, dtype: "int8" })], [-128, -127, 0, 127]);
  assert.deepEqual([...toInput(pixels, { ...spec, dtype: "float32" })], [0, 1, 128, 255]);
});
