/** What models run on is what the page says, with a pretended LiteRT.js. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { builds, compile, describe, webNnRefusal } from "../worker/accelerators.js";

const BYTES = Uint8Array.from([1, 2, 3]);

/**
 * Returns a runtime of which an accelerator takes a share of every model.
 * @param {{takes?: boolean, fallsBack?: boolean, error?: string, adapterInfo?: object, threads?: number, hasJspi?: boolean}} kind
 */
function pretended({ takes = true, fallsBack = false, error, adapterInfo, threads = 4, hasJspi = true }) {
  /** @type {any[]} */
  const asked = [];
  let numAlive = 0;
  const litert = {
    async loadAndCompile(/** @type {Uint8Array} */ bytes, /** @type {any} */ options) {
      asked.push(options);
      const isWasm = options.accelerator === "wasm";
      if (!isWasm && error) throw new Error(error);
      numAlive++;
      return {
        bytes,
        // LiteRT.js without JSPI compiles for the processor what the accelerator does not take whole.
        options: { accelerator: fallsBack ? "wasm" : options.accelerator },
        isFullyAccelerated: isWasm || fallsBack || takes,
        delete: () => numAlive--,
      };
    },
    getWebGpuDevice: () => ({ adapterInfo }),
  };
  return { runtime: { litert, threads, hasJspi }, asked, numAlive: () => numAlive };
}

test("threads and JSPI are in builds of their own, and every list ends with the plain one", () => {
  assert.deepEqual(builds("wasm", 4, true), [{ threads: 4, jspi: false }, { threads: 1, jspi: false }]);
  assert.deepEqual(builds("webgpu", 4, false), [{ threads: 1, jspi: false }]);
  assert.deepEqual(builds("wasm", 1, true), [{ threads: 1, jspi: false }]);
  assert.deepEqual(builds("webnn", 2, true)[0], { threads: 1, jspi: true });
  assert.deepEqual(builds("webnn", 2, true).at(-1), { threads: 1, jspi: false });
});

test("a model that the accelerator takes whole runs there", async () => {
  for (const accelerator of /** @type {const} */ (["webgpu", "webnn"])) {
    const { runtime, asked } = pretended({});
    const compiled = await compile(runtime, BYTES, accelerator);
    assert.deepEqual([compiled.runsOn, compiled.whyNot], [accelerator, null]);
    assert.deepEqual(asked.map((options) => options.accelerator), [accelerator]);
  }
});

test("a part of a model on the accelerator is none: all of it is on the processor, and the page says why", async () => {
  for (const kind of [{ takes: false }, { fallsBack: true }]) {
    const { runtime, asked, numAlive } = pretended(kind);
    const compiled = await compile(runtime, BYTES, "webgpu");
    assert.equal(compiled.runsOn, "wasm");
    assert.match(String(compiled.whyNot), /does not take all operators/);
    assert.deepEqual(asked.at(-1), { accelerator: "wasm", cpuOptions: { numThreads: 4 } });
    assert.equal(numAlive(), 1); // the other is given back
  }
});

test("what an accelerator throws is the reason; WebNN without JSPI is not even asked", async () => {
  const lost = await compile(pretended({ error: "device lost" }).runtime, BYTES, "webgpu");
  assert.deepEqual([lost.runsOn, lost.whyNot], ["wasm", "device lost"]);
  const { runtime, asked } = pretended({ hasJspi: false });
  const waiting = await compile(runtime, BYTES, "webnn");
  assert.match(String(waiting.whyNot), /lacks JSPI/);
  assert.deepEqual(asked.map((options) => options.accelerator), ["wasm"]);
});

test("the browser is asked for WebNN first, and what it says is the reason", async () => {
  const refusing = { createContext: async () => Promise.reject(new Error("WebNN is not supported on this platform.")) };
  const refusal = await webNnRefusal(refusing);
  assert.equal(refusal, "WebNN is not supported on this platform");
  const { runtime, asked } = pretended({});
  const compiled = await compile(runtime, BYTES, "webnn", refusal);
  assert.deepEqual([compiled.runsOn, compiled.whyNot], ["wasm", refusal]);
  assert.deepEqual(asked.map((options) => options.accelerator), ["wasm"]); // which would wait for ever
  assert.match(String(await webNnRefusal(undefined)), /does not have it/);
  let isGivenBack = false;
  const willing = { createContext: async () => ({ destroy: () => (isGivenBack = true) }) };
  assert.deepEqual([await webNnRefusal(willing), isGivenBack], [null, true]);
});

test("each model is named with what runs it where they differ", async () => {
  const { runtime } = pretended({ adapterInfo: { description: "Mali-G78" } });
  const onGpu = { name: "pose.tflite", compiled: await compile(runtime, BYTES, "webgpu") };
  const whyNot = "it does not take all operators of this model";
  const onCpu = { name: "detector.tflite", compiled: { model: {}, runsOn: /** @type {const} */ ("wasm"), whyNot } };
  const both = describe(runtime, "webgpu", [onGpu, onCpu]);
  assert.equal(both.runtime, "pose.tflite: WebGPU (Mali-G78); detector.tflite: WebAssembly, 4 threads");
  assert.equal(both.notes.length, 1);
  assert.match(both.notes[0], /detector.tflite is not on WebGPU: it does not take all.*runs on the processor/);
  assert.deepEqual(describe(runtime, "webgpu", [onGpu]), { runtime: "WebGPU (Mali-G78)", notes: [] });
});

test("a GPU that the processor plays is called so; of WebNN only what was asked for is known", async () => {
  const played = pretended({ adapterInfo: { description: "", vendor: "google", architecture: "swiftshader" } }).runtime;
  const model = { name: "pose.tflite", compiled: await compile(played, BYTES, "webgpu") };
  assert.equal(describe(played, "webgpu", [model]).runtime, "WebGPU (google swiftshader), computed by the processor");
  const unknown = pretended({}).runtime;
  const other = { name: "pose.tflite", compiled: await compile(unknown, BYTES, "webgpu") };
  assert.equal(describe(unknown, "webgpu", [other]).runtime, "WebGPU");
  const onNpu = { name: "pose.tflite", compiled: await compile(unknown, BYTES, "webnn") };
  assert.equal(describe(unknown, "webnn", [onNpu]).runtime, "WebNN, asked for the NPU");
});
