/**
 * What LiteRT.js runs models on, and what to tell people about it.
 *
 * It has several builds. Threads are in one, WebNN needs another, in which WebAssembly waits
 * for promises (JSPI). Where an accelerator takes only a part of a model, LiteRT.js puts the
 * rest, or all of it, on the processor; here it is all, so that what the page says is true.
 *
 * @typedef {"wasm" | "webgpu" | "webnn"} Accelerator
 *
 * @typedef {object} Runtime
 * @property {any} litert LiteRT.js, loaded.
 * @property {number} threads of the processor.
 * @property {boolean} hasJspi
 *
 * @typedef {object} Compiled
 * @property {any} model
 * @property {Accelerator} runsOn
 * @property {string | null} whyNot why it is not on the accelerator that was chosen.
 */

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
  // Without JSPI the model still runs, on the processor.
  const waiting = accelerator === "webnn" ? [{ threads: 1, jspi: true }] : [];
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
 * Compiles a model for an accelerator, or for the processor where that does not take it.
 * @param {Runtime} runtime
 * @param {Uint8Array} bytes
 * @param {Accelerator} accelerator
 * @param {string | null} [refusal] why the accelerator is not even asked.
 * @returns {Promise<Compiled>}
 */
export async function compile({ litert, threads, hasJspi }, bytes, accelerator, refusal = null) {
  let whyNot = refusal;
  if (whyNot === null && accelerator === "webnn" && !hasJspi) whyNot = "this browser lacks JSPI, which WebNN needs";
  if (whyNot === null && accelerator !== "wasm") {
    try {
      const webNNOptions = { devicePreference: WEBNN_DEVICE };
      const model = await litert.loadAndCompile(bytes, { accelerator, webNNOptions });
      // It falls back by itself, too, and then returns a model of the processor.
      if (model.options.accelerator === accelerator && model.isFullyAccelerated) {
        return { model, runsOn: accelerator, whyNot };
      }
      model.delete();
      whyNot = "it does not take all operators of this model";
    } catch (error) {
      whyNot = messageOf(error);
    }
  }
  const options = { accelerator: "wasm", cpuOptions: { numThreads: threads } };
  return { model: await litert.loadAndCompile(bytes, options), runsOn: "wasm", whyNot };
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
