/** What models run on is what the page says, with a pretended LiteRT.js. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { builds, compile, describe, webNnRefusal } from "../worker/accelerators.js";

/** @typedef {import("../worker/accelerators.js").Accelerator} Accelerator */

const SPEC = { name: "image", shape: [1, 2, 2, 3], dtype: "uint8", scale: null, zeroPoint: null };
const CONTRACT = /** @type {any} */ ({
  task: "top_down",
  input: SPEC,
  normalization: null,
  output: { name: "heatmaps", shape: [1, 2, 2, 2], dtype: "float32", scale: null, zeroPoint: null },
  visibility: null,
});
/** What the file of these tests answers. */
const RIGHT = [0, 1, 2, 3, 4, 5, 6, 7];
const RECORDED = [{ input: new Uint8Array(12), outputs: { heatmaps: Float32Array.from(RIGHT) } }];
const ALONE = { name: "pose.tflite", bytes: Uint8Array.from([1, 2, 3]), contract: CONTRACT, recorded: [] };
const FILE = { ...ALONE, recorded: RECORDED };

/**
 * Returns a runtime of which an accelerator takes a share of every model, and computes something.
 * @param {{takes?: boolean, fallsBack?: boolean, error?: string, adapterInfo?: object, threads?: number, hasJspi?: boolean,
 * answer?: () => number[], cpuAnswer?: () => number[]}} kind
 */
function pretended({ takes = true, fallsBack = false, error, adapterInfo, threads = 4, hasJspi = true, ...answers }) {
  /** @type {any[]} */
  const asked = [];
  let numAlive = 0;
  const litert = {
    Tensor: class {
      constructor(/** @type {any} */ values, /** @type {number[]} */ shape) {
        assert.ok(values instanceof Uint8Array && values.length === 12 && shape === SPEC.shape);
        numAlive++;
      }
      delete() {
        numAlive--;
      }
    },
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
        async run() {
          const answer = isWasm ? answers.cpuAnswer : answers.answer;
          const values = Float32Array.from(answer ? answer() : RIGHT);
          numAlive++;
          const local = { accelerator: "wasm", toTypedArray: () => values, delete: () => numAlive-- };
          return { heatmaps: isWasm ? local : { accelerator: options.accelerator, moveTo: async () => local } };
        },
        delete: () => numAlive--,
      };
    },
    getWebGpuDevice: () => ({ adapterInfo }),
  };
  return { runtime: { litert, threads, hasJspi }, asked, numAlive: () => numAlive };
}

test("threads and JSPI are in builds of their own, and every list ends with the plain one", () => {
  assert.deepEqual(builds("wasm", 4, true), [{ threads: 4, jspi: false }, { threads: 1, jspi: false }]);
  assert.deepEqual(builds("webgpu", 4, false), [{ threads: 1, jspi: true }, { threads: 1, jspi: false }]);
  assert.deepEqual(builds("wasm", 1, true), [{ threads: 1, jspi: false }]);
  assert.deepEqual(builds("webnn", 2, true)[0], { threads: 1, jspi: true });
  assert.deepEqual(builds("webnn", 2, true).at(-1), { threads: 1, jspi: false });
});

test("a model that the accelerator takes whole runs there", async () => {
  for (const accelerator of /** @type {const} */ (["webgpu", "webnn"])) {
    const { runtime, asked } = pretended({});
    const compiled = await compile(runtime, FILE, accelerator);
    assert.deepEqual([compiled.runsOn, compiled.whyNot], [accelerator, null]);
    assert.deepEqual(asked.map((options) => options.accelerator), [accelerator]);
  }
});

test("a part of a model on the accelerator is none: all of it is on the processor, and the page says why", async () => {
  for (const kind of [{ takes: false }, { fallsBack: true }]) {
    const { runtime, asked, numAlive } = pretended(kind);
    const compiled = await compile(runtime, FILE, "webgpu");
    assert.equal(compiled.runsOn, "wasm");
    assert.match(String(compiled.whyNot), /does not take all operators/);
    assert.deepEqual(asked.at(-1), { accelerator: "wasm", cpuOptions: { numThreads: 4 } });
    assert.equal(numAlive(), 1); // the other is given back, and what ran them
  }
});

test("what an accelerator throws is the reason; WebNN without JSPI is not even asked", async () => {
  const lost = await compile(pretended({ error: "device lost" }).runtime, FILE, "webgpu");
  assert.deepEqual([lost.runsOn, lost.whyNot], ["wasm", "device lost"]);
  const { runtime, asked } = pretended({ hasJspi: false });
  const waiting = await compile(runtime, FILE, "webnn");
  assert.match(String(waiting.whyNot), /lacks JSPI/);
  assert.deepEqual(asked.map((options) => options.accelerator), ["wasm"]);
});

test("the browser is asked for WebNN first, and what it says is the reason", async () => {
  const refusing = { createContext: async () => Promise.reject(new Error("WebNN is not supported on this platform.")) };
  const refusal = await webNnRefusal(refusing);
  assert.equal(refusal, "WebNN is not supported on this platform");
  const { runtime, asked } = pretended({});
  const compiled = await compile(runtime, FILE, "webnn", refusal);
  assert.deepEqual([compiled.runsOn, compiled.whyNot], ["wasm", refusal]);
  assert.deepEqual(asked.map((options) => options.accelerator), ["wasm"]); // which would wait for ever
  assert.match(String(await webNnRefusal(undefined)), /does not have it/);
  let isGivenBack = false;
  const willing = { createContext: async () => ({ destroy: () => (isGivenBack = true) }) };
  assert.deepEqual([await webNnRefusal(willing), isGivenBack], [null, true]);
});

test("each model is named with what runs it where they differ", async () => {
  const { runtime } = pretended({ adapterInfo: { description: "Mali-G78" } });
  const onGpu = { name: "pose.tflite", compiled: await compile(runtime, FILE, "webgpu") };
  const whyNot = "it does not take all operators of this model";
  const onCpu = { name: "detector.tflite", compiled: { ...onGpu.compiled, runsOn: /** @type {const} */ ("wasm"), whyNot } };
  const both = describe(runtime, "webgpu", [onGpu, onCpu]);
  assert.equal(both.runtime, "pose.tflite: WebGPU (Mali-G78); detector.tflite: WebAssembly, 4 threads");
  assert.equal(both.notes.length, 1);
  assert.match(both.notes[0], /detector.tflite is not on WebGPU: it does not take all.*runs on the processor/);
  assert.deepEqual(describe(runtime, "webgpu", [onGpu]), { runtime: "WebGPU (Mali-G78)", notes: [] });
});

test("a GPU that the processor plays is called so; of WebNN only what was asked for is known", async () => {
  const played = pretended({ adapterInfo: { description: "", vendor: "google", architecture: "swiftshader" } }).runtime;
  const model = { name: "pose.tflite", compiled: await compile(played, FILE, "webgpu") };
  assert.equal(describe(played, "webgpu", [model]).runtime, "WebGPU (google swiftshader), computed by the processor");
  const unknown = pretended({}).runtime;
  const other = { name: "pose.tflite", compiled: await compile(unknown, FILE, "webgpu") };
  assert.equal(describe(unknown, "webgpu", [other]).runtime, "WebGPU");
  const onNpu = { name: "pose.tflite", compiled: await compile(unknown, FILE, "webnn") };
  assert.equal(describe(unknown, "webnn", [onNpu]).runtime, "WebNN, asked for the NPU");
});

/** By what an accelerator answers, what the page says of it. @type {[() => number[], string][]} */
const LIES = [
  [() => [0, 1, 2, NaN, 4, 5, 6, 7], "it returns NaN or infinity: 1 of 8 numbers of heatmaps"],
  [() => [0, 1, 2, -Infinity, NaN, 5, 6, 7], "it returns NaN or infinity: 2 of 8 numbers of heatmaps"],
  [() => Array(8).fill(3), "it returns the same number everywhere in heatmaps"],
  // Seven places off by 1, one by 7; the root of the mean square is that of 7, the standard deviation that of 5.25.
  [() => [1, 2, 3, 4, 5, 6, 7, 0], "it computes something else than it should: heatmaps is off by 1.15 of its standard deviation"],
  [() => RIGHT.slice(1), "it returns 7 numbers of heatmaps, not 8"],
  [
    () => {
      throw new Error("device lost.");
    },
    "device lost",
  ],
];

test("an accelerator that lies is found out, with a parity pack and without, and the processor takes its place", async () => {
  for (const [answer, words] of LIES) {
    for (const file of [FILE, ALONE]) {
      for (const accelerator of /** @type {const} */ (["webgpu", "webnn"])) {
        const { runtime, numAlive } = pretended({ answer });
        const compiled = await compile(runtime, file, accelerator);
        assert.deepEqual([compiled.runsOn, compiled.whyNot], ["wasm", words]);
        assert.equal(numAlive(), 1);
        assert.deepEqual(await compiled.run(new Uint8Array(12)), { heatmaps: Float32Array.from(RIGHT) });
        const { notes } = describe(runtime, accelerator, [{ name: "pose.tflite", compiled }]);
        const title = accelerator === "webgpu" ? "WebGPU" : "WebNN";
        assert.deepEqual(notes, [`pose.tflite is not on ${title}: ${words}. It runs on the processor.`]);
      }
    }
  }
});

test("every recorded run is held against the file, and rounding is no lie", async () => {
  let numRuns = 0;
  const later = pretended({ answer: () => (++numRuns === 2 ? Array(8).fill(0) : RIGHT) }).runtime;
  const compiled = await compile(later, { ...FILE, recorded: [...RECORDED, ...RECORDED] }, "webgpu");
  assert.deepEqual([compiled.runsOn, numRuns], ["wasm", 2]);
  // A tenth of the standard deviation, 2.29, is the most.
  const rounded = pretended({ answer: () => RIGHT.map((value, i) => value + (i % 2 ? 0.2 : -0.2)) }).runtime;
  assert.equal((await compile(rounded, FILE, "webgpu")).runsOn, "webgpu");
});

test("without a pack the processor is the measure, even where all is the same to it", async () => {
  const same = () => Array(8).fill(3);
  const { runtime, asked, numAlive } = pretended({ answer: same, cpuAnswer: same });
  assert.equal((await compile(runtime, ALONE, "webgpu")).runsOn, "webgpu");
  assert.deepEqual(asked.map(({ accelerator }) => accelerator), ["wasm", "webgpu"]);
  assert.equal(numAlive(), 1);
  assert.equal((await compile(pretended({ cpuAnswer: same }).runtime, ALONE, "wasm")).whyNot, null);
});

test("a file that runs nowhere is refused with all reasons", async () => {
  const { runtime, numAlive } = pretended({ error: "device lost", cpuAnswer: () => Array(8).fill(NaN) });
  const words = "pose.tflite cannot be run. Not on WebGPU: device lost. Not on WebAssembly: it returns NaN or infinity: 8 of 8 numbers of heatmaps.";
  for (const file of [FILE, ALONE]) await assert.rejects(compile(runtime, file, "webgpu"), { message: words });
  await assert.rejects(compile(runtime, FILE, "wasm"), { message: words.replace("Not on WebGPU: device lost. ", "") });
  assert.equal(numAlive(), 0);
});
