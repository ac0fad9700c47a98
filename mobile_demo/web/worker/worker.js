/**
 * The networks and all that is computed, away from the page, which stays responsive.
 *
 * A classic worker, since LiteRT.js loads its WASM by `importScripts`. Requests are
 * {id, task, ...}, answers {id, result} or {id, error}; one at a time, in order.
 *
 * @import { Person, Picture, Skeleton } from "../core/types.js"
 * @import { PoseContract, DetectorContract } from "../core/contract.js"
 * @import { Run } from "../core/estimator.js"
 *
 * @typedef {object} OpenRequest
 * @property {string} pose path of a model file in the site.
 * @property {string | null} detector likewise; null: the whole image is one person.
 * @property {"wasm" | "webgpu"} accelerator
 * @property {number} [boxThreshold] see PoseEstimator.
 *
 * @typedef {object} Opened
 * @property {string} runtime what the networks run on, for people to read.
 * @property {Skeleton} skeleton
 * @property {string[]} notes what the user should know.
 *
 * @typedef {object} FrameRequest
 * @property {Picture} image RGBA; its pixels move to the worker and come back.
 * @property {number | null} seconds time of a video's frame; null for a single picture.
 * @property {number} detectEvery
 * @property {boolean} isSmoothed
 *
 * @typedef {object} Analysed
 * @property {Person[]} people
 * @property {Record<string, number>} stages milliseconds.
 * @property {boolean} isDetected whether the detector was asked.
 * @property {Picture} image
 */

const SITE = new URL("../", self.location.href).href;
const MAX_THREADS = 4;

/** @type {Promise<typeof import("../core/index.js")>} */
const loadingCore = import(`${SITE}core/index.js`);
/** @type {Promise<{litert: any, threads: number}> | null} */
let loadingRuntime = null;
/** @type {Session | null} */
let session = null;
/** @type {any[]} */
let openModels = [];

/** @type {Record<string, (request: any) => Promise<[any, Transferable[]]>>} */
const TASKS = { check, open, analyse, restart };

let queue = Promise.resolve();
self.addEventListener("message", (event) => {
  const { id, task, ...request } = /** @type {MessageEvent} */ (event).data;
  queue = queue.then(() => answer(id, TASKS[task], request));
});

/**
 * @param {number} id
 * @param {(request: any) => Promise<[any, Transferable[]]>} work
 * @param {any} request
 */
async function answer(id, work, request) {
  try {
    const [result, moved] = await work(request);
    self.postMessage({ id, result }, { transfer: moved });
  } catch (error) {
    self.postMessage({ id, error: error instanceof Error ? error.message : String(error) });
  }
}

/** A pose model and a detector that are ready, and the people seen so far. */
class Session {
  /**
   * @param {typeof import("../core/index.js")} core
   * @param {{contract: PoseContract, run: Run}} pose
   * @param {{contract: DetectorContract, run: Run} | null} detector
   * @param {number} [boxThreshold]
   */
  constructor(core, pose, detector, boxThreshold) {
    this.core = core;
    /** @type {Record<string, number>} */
    this.stages = {};
    const stopwatch = {
      add: (/** @type {string} */ stage, /** @type {number} */ milliseconds) => {
        this.stages[stage] = (this.stages[stage] ?? 0) + milliseconds;
      },
    };
    this.estimator = new core.PoseEstimator(pose.contract, pose.run, detector, { boxThreshold, stopwatch });
    this.detectEvery = 1;
    this.seconds = -Infinity;
    this.follower = new core.RegionFollower(this.estimator, { detectEvery: 1 });
    this.tracker = new core.OksTracker(pose.contract.skeleton);
    this.smoother = new core.OneEuroSmoother();
  }

  /**
   * Forgets all people, as for a new video.
   * @param {number} detectEvery
   */
  begin(detectEvery) {
    this.follower = new this.core.RegionFollower(this.estimator, { detectEvery });
    this.tracker = new this.core.OksTracker(this.estimator.contract.skeleton);
    this.smoother = new this.core.OneEuroSmoother();
    this.detectEvery = detectEvery;
    this.seconds = -Infinity;
  }

  /**
   * @param {FrameRequest} request
   * @returns {Promise<Analysed>}
   */
  async analyse({ image, seconds, detectEvery, isSmoothed }) {
    this.stages = {};
    // A video that was wound back is another video.
    if (seconds === null || seconds <= this.seconds || detectEvery !== this.detectEvery) this.begin(detectEvery);
    const { follower, tracker, smoother } = this;
    const found = await follower.next(image);
    const isDetected = follower.age === 1;
    if (seconds === null) return { people: found, stages: this.stages, isDetected, image };
    this.seconds = seconds;
    const tracked = tracker.update(found);
    const people = isSmoothed ? smoother.next(tracked, seconds) : tracked;
    return { people, stages: this.stages, isDetected, image };
  }
}

/**
 * Holds the files of a bundle against its manifest.
 * @param {{manifest: string}} request path in the site.
 * @returns {Promise<[null, Transferable[]]>}
 */
async function check({ manifest }) {
  const core = await loadingCore;
  const url = new URL(manifest, SITE);
  const bundle = core.readManifest(await (await fetchWhole(url)).json());
  // Parity packs are for tests; the page does without.
  const paths = Object.keys(bundle.files).filter((path) => !path.startsWith("parity/"));
  for (const path of paths) await core.checkBundled(bundle, path, await fetchIfThere(new URL(path, url)));
  return [null, []];
}

/**
 * Loads the models that a page has chosen.
 * @param {OpenRequest} request
 * @returns {Promise<[Opened, Transferable[]]>}
 */
async function open({ pose, detector, accelerator, boxThreshold }) {
  session = null;
  openModels.splice(0).forEach((model) => model.delete());
  const core = await loadingCore;
  loadingRuntime ??= loadRuntime();
  const { threads } = await loadingRuntime;
  const poseModel = await openModel(pose, "top_down", accelerator);
  const detectorModel = detector === null ? null : await openModel(detector, "detection", accelerator);
  session = new Session(core, poseModel, detectorModel, boxThreshold);
  const used = new Set([poseModel, ...(detectorModel ? [detectorModel] : [])].map((model) => model.runsOn));
  const cpu = `WebAssembly, ${threads} thread${threads > 1 ? "s" : ""}`;
  const runtime = [...used].map((name) => (name === "webgpu" ? "WebGPU" : cpu)).join(" and ");
  const hasFallenBack = accelerator === "webgpu" && used.has("wasm");
  const notes = hasFallenBack ? ["The GPU does not take this model; it runs on the processor."] : [];
  return [{ runtime, skeleton: poseModel.contract.skeleton, notes }, []];
}

/** Loads LiteRT.js: with threads where the page is isolated, else without. */
async function loadRuntime() {
  const litert = await import(`${SITE}litert/index.js`);
  const wasm = `${SITE}litert/wasm/`;
  const cores = Math.min(MAX_THREADS, navigator.hardwareConcurrency ?? 1);
  const mayThread = self.crossOriginIsolated && cores > 1;
  for (const threads of mayThread ? [cores, 1] : [1]) {
    // Within a worker the runtime cannot find out by itself where it came from.
    Object.assign(self, {
      Module: {
        locateFile: (/** @type {string} */ name) => wasm + name,
        mainScriptUrlOrBlob: `${wasm}litert_wasm_threaded_internal.js`,
      },
    });
    try {
      await litert.loadLiteRt(wasm, { threads: threads > 1 });
      return { litert, threads };
    } catch (error) {
      if (threads === 1) throw error;
      console.warn("LiteRT.js without threads:", error);
    }
  }
  throw new Error("LiteRT.js cannot be loaded.");
}

/**
 * Fetches a model and its contract, holds one against the other, and compiles it.
 * @template {"top_down" | "detection"} T
 * @param {string} path
 * @param {T} task
 * @param {"wasm" | "webgpu"} accelerator
 */
async function openModel(path, task, accelerator) {
  const core = await loadingCore;
  const url = new URL(path, SITE);
  const [file, beside] = await Promise.all([fetchWhole(url), fetchIfThere(new URL("pose_model.json", url))]);
  const bytes = new Uint8Array(await file.arrayBuffer());
  const name = decodeURIComponent(url.pathname.split("/").pop() ?? "");
  const json = beside && JSON.parse(new TextDecoder().decode(beside));
  const read = await core.readContract(json, name, bytes);
  if (read.task !== task) throw new Error(`${name} is a model for ${read.task}, not for ${task}.`);
  const contract = /** @type {T extends "top_down" ? PoseContract : DetectorContract} */ (read);
  const outputs = outputsOf(contract);
  for (const { dtype } of [read.input, ...outputs]) checkType(name, dtype);
  const { model, runsOn } = await compile(bytes, accelerator);
  openModels.push(model);
  return { contract, run: runner(model, read.input), runsOn };
}

/** @param {PoseContract | DetectorContract} contract */
function outputsOf(contract) {
  return contract.task === "top_down"
    ? [contract.output, ...(contract.visibility ? [contract.visibility.output] : [])]
    : contract.levels.flatMap((level) => [level.scores, level.distances]);
}

/** @param {URL} url */
async function fetchWhole(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url.pathname} cannot be fetched: ${response.status}.`);
  return response;
}

/**
 * @param {URL} url
 * @returns {Promise<Uint8Array | null>} null where there is no such file.
 */
async function fetchIfThere(url) {
  const response = await fetch(url);
  if (response.status === 404) return null;
  if (!response.ok) throw new Error(`${url.pathname} cannot be fetched: ${response.status}.`);
  return new Uint8Array(await response.arrayBuffer());
}

/**
 * @param {string} name
 * @param {string} dtype
 */
function checkType(name, dtype) {
  if (["float32", "int32", "uint8", "int8", "int16"].includes(dtype)) return;
  throw new Error(`${name} has ${dtype} tensors, which this page cannot run. Export it as --int8 or --float16.`);
}

/**
 * @param {Uint8Array} bytes
 * @param {"wasm" | "webgpu"} accelerator
 * @returns {Promise<{model: any, runsOn: "wasm" | "webgpu"}>}
 */
async function compile(bytes, accelerator) {
  const { litert, threads } = await /** @type {NonNullable<typeof loadingRuntime>} */ (loadingRuntime);
  if (accelerator === "webgpu") {
    try {
      const model = await litert.loadAndCompile(bytes, { accelerator });
      if (model.isFullyAccelerated) return { model, runsOn: "webgpu" };
      model.delete();
    } catch (error) {
      console.warn("Not on the GPU:", error);
    }
  }
  const options = { accelerator: "wasm", cpuOptions: { numThreads: threads } };
  return { model: await litert.loadAndCompile(bytes, options), runsOn: "wasm" };
}

/**
 * Returns a function that runs a compiled model on one image.
 * @param {any} model
 * @param {import("../core/tensors.js").TensorSpec} input
 * @returns {Run}
 */
function runner(model, input) {
  return async (values) => {
    const { litert } = await /** @type {NonNullable<typeof loadingRuntime>} */ (loadingRuntime);
    const tensor = new litert.Tensor(values, input.shape);
    const outputs = await model.run({ [input.name]: tensor });
    tensor.delete();
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
 * Finds the people of a frame.
 * @param {FrameRequest} request
 * @returns {Promise<[Analysed, Transferable[]]>}
 */
async function analyse(request) {
  if (!session) throw new Error("No model is open.");
  const analysed = await session.analyse(request);
  return [analysed, [/** @type {Uint8ClampedArray} */ (analysed.image.data).buffer]];
}

/**
 * Forgets the people of the last video.
 * @returns {Promise<[null, Transferable[]]>}
 */
async function restart() {
  session?.begin(session.detectEvery);
  return [null, []];
}
