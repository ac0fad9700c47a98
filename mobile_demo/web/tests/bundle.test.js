/** A bundle whose files are those of its manifest is taken; any other is named. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";

import { BundleError, checkBundled, checkTask, readManifest } from "../core/index.js";

const BYTES = new TextEncoder().encode("a model");

function manifest() {
  const said = { bytes: BYTES.length, sha256: createHash("sha256").update(BYTES).digest("hex") };
  return {
    format: "keras_pose mobile bundle",
    format_version: "1.1",
    models: { pose: "pose.tflite", detector: "detector.tflite" },
    settings: /** @type {any} */ ({ box_threshold: 0.24 }),
    files: /** @type {any} */ ({ "pose.tflite": said, "detector.tflite": said }),
  };
}

test("a manifest is read, also one of the first version", () => {
  assert.equal(readManifest(manifest()).boxThreshold, 0.24);
  assert.equal(readManifest({ ...manifest(), format_version: "1.0", settings: undefined }).boxThreshold, null);
});

test("a manifest says where the pack of its models is, if it has one", () => {
  assert.equal(readManifest(manifest()).modelPack, null);
  const parity = { maths: "parity/maths", models: "parity/models" };
  assert.equal(readManifest({ ...manifest(), parity }).modelPack, "parity/models");
});

test("a manifest says which kind of model it is of; one that finds everybody is alone", () => {
  assert.equal(readManifest(manifest()).task, "top_down");
  const alone = { ...manifest(), format_version: "1.2", models: { pose: "pose.tflite" } };
  for (const task of ["one_stage", "bottom_up"]) {
    const bundle = readManifest({ ...alone, task });
    assert.deepEqual([bundle.task, bundle.models], [task, { pose: "pose.tflite" }]);
    checkTask(bundle, { task });
    assert.throws(
      () => checkTask(bundle, { task: "top_down" }),
      new RegExp(`is of a model for ${task}, and pose.tflite is one for top_down.*bundle_mobile.py`),
    );
  }
  assert.throws(() => readManifest({ ...alone, task: "top_down" }), /does not list a model "detector"/);
});

test("what is no bundle, of another version, or without its models is refused", () => {
  assert.throws(() => readManifest({}), /not of a bundle/);
  assert.throws(() => readManifest({ ...manifest(), format_version: "2.0" }), /has version 2.0; this app reads 1/);
  assert.throws(() => readManifest({ ...manifest(), files: {} }), /does not list pose.tflite/);
});

test("a file that is missing, of another length, or another one is named", async () => {
  const bundle = readManifest(manifest());
  await assert.rejects(checkBundled(bundle, "parity/models/index.json", BYTES), /does not list parity\/models\/index.json/);
  await checkBundled(bundle, "pose.tflite", BYTES);
  const other = new TextEncoder().encode("b model");
  for (const [bytes, message] of /** @type {const} */ ([
    [null, /lacks pose.tflite/],
    [BYTES.subarray(1), /pose.tflite has 6 bytes, 7 in the bundle/],
    [other, /pose.tflite is not the file of its bundle/],
  ])) {
    await assert.rejects(checkBundled(bundle, "pose.tflite", bytes), (error) => {
      assert.ok(error instanceof BundleError);
      assert.match(error.message, message);
      assert.match(error.message, /export\/bundle_mobile.py/);
      return true;
    });
  }
});
