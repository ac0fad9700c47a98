/**
 * What LiteRT.js runs models on, and what to tell people about it: what takes the file as a
 * whole and computes what Python did. What is not used is named, with the reason.
 *
 * It has several builds. Threads are in one; WebNN needs another, in which WebAssembly waits
 * for promises (JSPI), and so do int8 files on WebGPU: LiteRT.js 2.5.3 compiles them in the
 * others, too, and fails when they run ("Asyncify is not defined"). Where an accelerator takes only a part of a model, LiteRT.js puts the
 * rest, or all of it, on the processor; here it is all, so that what the page says is true.
 *
 * @import { Contract } from "../core/contract.js"
 * @import { Run } from "../core/estimator.js"
 * @import { TensorSpec } from "../core/tensors.js"
 * @import { RecordedRun } from "./checks.js"
 *
 * @typedef {"wasm" | "webgpu" | "webnn"} Accelerator
 *
 * @typedef {object} Runtime
 * @property {any} litert LiteRT.js, loaded.
 * @property {number} threads of the processor.
 * @property {boolean} hasJspi
 *
 * @typedef {object} ModelFile
 * @property {string} name
 * @property {Uint8Array} bytes
 * @property {Contract} contract
 * @property {RecordedRun[]} recorded what it answered in Python; none: what the processor
 * answers to noise is the measure.
 *
 * @typedef {object} Compiled
 * @property {any} model
 * @property {Run} run
 * @property {Accelerator} runsOn
 * @property {string | null} whyNot why it is not on the accelerator that was chosen.
 */

import { difference, noise, outputsOf } from "./checks.js";

/** @type {Record<Accelerator, string>} */
const NAMES = { wasm: "WebAssembly", webgpu: "WebGPU", webnn: "WebNN" };
/** NPUs are why there is WebNN; GPUs have an accelerator of their own. */
const WEBNN_DEVICE = "npu";

/**
 * Returns the builds to try for an accelerator, the best one first.
 * @param {Accelerator} accelerator
 * @param {number} cores
 * @param {boolean} mayThread
 * @returns {{threads: number, jspi: boolean}[]}
 */
export function builds(accelerator, cores, mayThread) {
  const plain = { threads: 1, jspi: false };
  const threaded = mayThread && cores > 1 ? [{ threads: cores, jspi: false }] : [];
  // Without JSPI the model still runs: float files on WebGPU, others on the processor.
  const waiting = accelerator === "wasm" ? [] : [{ threads: 1, jspi: true }];
  return [...waiting, ...threaded, plain];
}

/**
 * Asks the browser for WebNN. LiteRT.js 2.5.3 waits for ever where a browser that has it
 * refuses it (Chromium 150 on Linux), so the browser is asked first.
 * @param {any} ml `navigator.ml`.
 * @returns {Promise<string | null>} why it cannot be used; null if it can.
 */
export async function webNnRefusal(ml) {
  if (!ml) return "this browser does not have it";
  try {
    const context = await ml.createContext({ deviceType: WEBNN_DEVICE });
    context.destroy?.();
    return null;
  } catch (error) {
    return messageOf(error);
  }
}

/** @param {unknown} error */
function messageOf(error) {
  return (error instanceof Error ? error.message : String(error)).replace(/\.$/, "");
}

/**
 * Compiles a model for an accelerator, or for the processor where that does not take it, or
 * computes something else than it should.
 * @param {Runtime} runtime
 * @param {ModelFile} file
 * @param {Accelerator} accelerator
 * @param {string | null} [refusal] why the accelerator is not even asked.
 * @returns {Promise<Compiled>}
 * @throws {Error} where nothing runs it, with all reasons.
 */
export async function compile(runtime, file, accelerator, refusal = null) {
  let whyNot = refusal;
  if (whyNot === null && accelerator === "webnn" && !runtime.hasJspi) whyNot = "this browser lacks JSPI, which WebNN needs";
  if (whyNot === null && accelerator !== "wasm") {
    const measure = file.recorded.length ? file.recorded : await answerToNoise(runtime, file);
    const tried = await attempt(runtime, file, accelerator, measure);
    if (typeof tried !== "string") return { ...tried, runsOn: accelerator, whyNot };
    whyNot = tried;
  }
  const tried = await attempt(runtime, file, "wasm", file.recorded);
  if (typeof tried !== "string") return { ...tried, runsOn: "wasm", whyNot };
  const first = whyNot === null ? "" : `Not on ${NAMES[accelerator]}: ${whyNot}. `;
  throw new Error(`${file.name} cannot be run. ${first}Not on ${NAMES.wasm}: ${tried}.`);
}

/**
 * Compiles a model for one accelerator, and looks at what it computes.
 * @param {Runtime} runtime
 * @param {ModelFile} file
 * @param {Accelerator} accelerator
 * @param {RecordedRun[]} measure
 * @returns {Promise<{model: any, run: Run} | string>} a string: why not; then nothing is left of it.
 */
async function attempt({ litert, threads }, { bytes, contract }, accelerator, measure) {
  let model = null;
  try {
    model = await litert.loadAndCompile(bytes, optionsOf(accelerator, threads));
    const run = runner(litert, model, contract.input);
    // It falls back by itself, too, and then returns a model of the processor.
    const isThere = accelerator === "wasm" || (model.options.accelerator === accelerator && model.isFullyAccelerated);
    const wrong = isThere ? await whatIsWrong(run, accelerator, contract, measure) : "it does not take all operators of this model";
    if (wrong === null) return { model, run };
    model.delete();
    return wrong;
  } catch (error) {
    model?.delete();
    return messageOf(error);
  }
}

/**
 * @param {Accelerator} accelerator
 * @param {number} threads
 */
function optionsOf(accelerator, threads) {
  if (accelerator === "wasm") return { accelerator, cpuOptions: { numThreads: threads } };
  return { accelerator, webNNOptions: { devicePreference: WEBNN_DEVICE } };
}

/**
 * What the processor says, as a measure for the others; none where it does not run the file.
 * @param {Runtime} runtime
 * @param {ModelFile} file
 * @returns {Promise<RecordedRun[]>}
 */
async function answerToNoise(runtime, file) {
  const tried = await attempt(runtime, file, "wasm", []);
  if (typeof tried === "string") return []; // which is said when its turn comes
  try {
    const input = noise(file.contract);
    return [{ input, outputs: await tried.run(input) }];
  } finally {
    tried.model.delete();
  }
}

/**
 * @param {Run} run
 * @param {Accelerator} accelerator
 * @param {Contract} contract
 * @param {RecordedRun[]} measure
 * @returns {Promise<string | null>}
 */
async function whatIsWrong(run, accelerator, contract, measure) {
  const specs = outputsOf(contract);
  for (const { input, outputs } of measure) {
    const words = difference(specs, await run(input), outputs);
    if (words !== null) return words;
  }
  if (measure.length) return null;
  const found = await run(noise(contract));
  // A processor that nothing measures may well find the same everywhere in noise.
  return difference(specs, found, accelerator === "wasm" ? found : {});
}

/**
 * Returns a function that runs a compiled model on one image.
 * @param {any} litert
 * @param {any} model
 * @param {TensorSpec} input
 * @returns {Run}
 */
function runner(litert, model, input) {
  return async (values) => {
    const tensor = new litert.Tensor(values, input.shape);
    /** @type {Record<string, any>} */
    let outputs;
    try {
      outputs = await model.run({ [input.name]: tensor });
    } finally {
      tensor.delete();
    }
    /** @type {Record<string, any>} */
    const arrays = {};
    for (const [name, output] of Object.entries(outputs)) {
      const local = output.accelerator === "wasm" ? output : await output.moveTo("wasm");
      arrays[name] = local.toTypedArray();
      local.delete();
    }
    return arrays;
  };
}

/**
 * Says what models run on, and why not on what was chosen.
 * @param {Runtime} runtime
 * @param {Accelerator} accelerator the one that was chosen.
 * @param {{name: string, compiled: Compiled}[]} models
 * @returns {{runtime: string, notes: string[]}}
 */
export function describe(runtime, accelerator, models) {
  const kinds = new Set(models.map(({ compiled }) => compiled.runsOn));
  const words = (/** @type {Accelerator} */ kind) => wordsOf(runtime, kind);
  const only = kinds.size === 1 ? words([...kinds][0]) : null;
  const each = models.map(({ name, compiled }) => `${name}: ${words(compiled.runsOn)}`).join("; ");
  const notes = models
    .filter(({ compiled }) => compiled.whyNot !== null)
    .map(({ name, compiled }) => `${name} is not on ${NAMES[accelerator]}: ${compiled.whyNot}. It runs on the processor.`);
  return { runtime: only ?? each, notes };
}

/**
 * @param {Runtime} runtime
 * @param {Accelerator} kind
 */
function wordsOf({ litert, threads }, kind) {
  if (kind === "wasm") return `WebAssembly, ${threads} thread${threads > 1 ? "s" : ""}`;
  // Which device computes, the browser keeps to itself.
  if (kind === "webnn") return `WebNN, asked for the ${WEBNN_DEVICE.toUpperCase()}`;
  const info = litert.getWebGpuDevice()?.adapterInfo;
  const device = info?.description || [info?.vendor, info?.architecture].filter(Boolean).join(" ");
  // Such an adapter is the processor in disguise.
  const isSoftware = info?.isFallbackAdapter || /swiftshader|llvmpipe|basic render/i.test(device);
  return `WebGPU${device ? ` (${device})` : ""}${isSoftware ? ", computed by the processor" : ""}`;
}
