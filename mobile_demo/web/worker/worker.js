/**
 * The networks and all that is computed, away from the page, which stays responsive.
 *
 * A classic worker, since LiteRT.js loads its WASM by `importScripts`. Requests are
 * {id, task, ...}, answers {id, result} or {id, error}; one at a time, in order.
 *
 * @import { Person, Picture, Skeleton } from "../core/types.js"
 * @import { Contract, DetectorContract } from "../core/contract.js"
 * @import { Accelerator, Compiled, ModelFile, Runtime } from "./accelerators.js"
 * @import { RecordedRun } from "./checks.js"
 * @import { PeopleContract, Session } from "./session.js"
 *
 * @typedef {object} OpenRequest
 * @property {string} pose path of a model file in the site.
 * @property {string | null} detector likewise; null: the whole image is one person, or the
 * pose model finds everybody.
 * @property {Accelerator} accelerator
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
 * @property {boolean} isDetected whether the whole picture was looked at.
 * @property {Picture} image
 */

const SITE = new URL("../", self.location.href).href;
const MAX_THREADS = 4;

/** @type {Promise<typeof import("../core/index.js")>} */
const loadingCore = import(`${SITE}core/index.js`);
/** @type {Promise<typeof import("./session.js")>} */
const loadingSession = import(`${SITE}worker/session.js`);
/** @type {Promise<typeof import("./accelerators.js")>} */
const loadingAccelerators = import(`${SITE}worker/accelerators.js`);
/** @type {Promise<typeof import("./checks.js")>} */
const loadingChecks = import(`${SITE}worker/checks.js`);
/** What files answered in Python, by their SHA-256. @type {Map<string, RecordedRun[]>} */
let recorded = new Map();
/** The runtime as it is loaded now, and for which build. @type {Runtime | null} */
let runtime = null;
let wantedBuild = "";
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

/**
 * Holds the files of a bundle against its manifest, and reads what its models answered in Python.
 * @param {{manifest: string}} request path in the site.
 * @returns {Promise<[null, Transferable[]]>}
 */
async function check({ manifest }) {
  const core = await loadingCore;
  const url = new URL(manifest, SITE);
  const bundle = core.readManifest(await (await fetchWhole(url)).json());
  // Of the parity packs, which are for tests, the page takes what accelerators are held against.
  const paths = Object.keys(bundle.files).filter((path) => !path.startsWith("parity/"));
  for (const path of paths) await fetchBundled(bundle, path, url);
  recorded = new Map();
  if (bundle.modelPack !== null) {
    const index = await fetchBundled(bundle, `${bundle.modelPack}/index.json`, url);
    const arrays = await fetchBundled(bundle, `${bundle.modelPack}/arrays.bin`, url);
    recorded = (await loadingChecks).recordedRuns(JSON.parse(new TextDecoder().decode(index)), arrays);
  }
  const { contract } = await fetchModel(new URL(bundle.models.pose, url));
  core.checkTask(bundle, contract);
  return [null, []];
}

/**
 * Loads the models that a page has chosen.
 * @param {OpenRequest} request
 * @returns {Promise<[Opened, Transferable[]]>}
 */
async function open({ pose, detector, accelerator, boxThreshold }) {
  session = null;
  closeModels();
  const { Session, POSE_TASKS, seesWholePictures } = await loadingSession;
  const { describe, webNnRefusal } = await loadingAccelerators;
  const files = [await openFile(pose, POSE_TASKS)];
  const contract = /** @type {PeopleContract} */ (files[0].contract);
  if (detector !== null && !seesWholePictures(contract.task)) files.push(await openFile(detector, ["detection"]));
  const refusal = accelerator === "webnn" ? await webNnRefusal(/** @type {any} */ (navigator).ml) : null;
  let { loaded, models } = await compileAll(files, accelerator, files.map(() => refusal));
  const refusals = models.map(({ compiled }) => compiled.whyNot);
  if (accelerator !== "wasm" && refusal === null && !refusals.includes(null)) {
    // The processor does it all, and has more threads in a build of its own.
    closeModels();
    ({ loaded, models } = await compileAll(files, accelerator, refusals));
  }
  const [{ run }, found] = models.map(({ compiled }) => compiled);
  const detectorModel = found ? { contract: /** @type {DetectorContract} */ (files[1].contract), run: found.run } : null;
  // What was found to suit a detector says nothing of another network.
  session = new Session({ contract, run }, detectorModel, detectorModel ? boxThreshold : undefined);
  return [{ ...describe(loaded, accelerator, models), skeleton: contract.skeleton }, []];
}

function closeModels() {
  openModels.splice(0).forEach((model) => model.delete());
}

/**
 * @param {ModelFile[]} files
 * @param {Accelerator} accelerator
 * @param {(string | null)[]} refusals for each file why the accelerator is not even asked.
 * @returns {Promise<{loaded: Runtime, models: {name: string, compiled: Compiled}[]}>}
 */
async function compileAll(files, accelerator, refusals) {
  const { compile } = await loadingAccelerators;
  const loaded = await runtimeFor(refusals.includes(null) ? accelerator : "wasm");
  const models = [];
  for (const [i, file] of files.entries()) {
    const compiled = await compile(loaded, file, accelerator, refusals[i]);
    openModels.push(compiled.model);
    models.push({ name: file.name, compiled });
  }
  return { loaded, models };
}

/**
 * Loads LiteRT.js as an accelerator needs it; another build takes the place of the last.
 * @param {Accelerator} accelerator
 * @returns {Promise<Runtime>}
 */
async function runtimeFor(accelerator) {
  const { builds } = await loadingAccelerators;
  const cores = Math.min(MAX_THREADS, navigator.hardwareConcurrency ?? 1);
  const wanted = builds(accelerator, cores, self.crossOriginIsolated);
  if (runtime && JSON.stringify(wanted) === wantedBuild) return runtime;
  const litert = await import(`${SITE}litert/index.js`);
  if (runtime) litert.unloadLiteRt();
  runtime = null;
  for (const build of wanted) {
    try {
      runtime = await load(litert, build);
      wantedBuild = JSON.stringify(wanted);
      return runtime;
    } catch (error) {
      if (build === wanted.at(-1)) throw error;
      console.warn("LiteRT.js does not load so:", build, error);
    }
  }
  throw new Error("LiteRT.js cannot be loaded.");
}

/**
 * @param {any} litert
 * @param {{threads: number, jspi: boolean}} build
 * @returns {Promise<Runtime>}
 */
async function load(litert, { threads, jspi }) {
  const wasm = `${SITE}litert/wasm/`;
  // Within a worker the runtime cannot find out by itself where it came from.
  Object.assign(self, {
    Module: {
      locateFile: (/** @type {string} */ name) => wasm + name,
      mainScriptUrlOrBlob: `${wasm}litert_wasm_threaded_internal.js`,
    },
  });
  await litert.loadLiteRt(wasm, { threads: threads > 1, jspi });
  return { litert, threads, hasJspi: jspi };
}

/**
 * Fetches a model that the page has chosen, with what it answered in Python.
 * @param {string} path
 * @param {readonly string[]} tasks those that will do.
 * @returns {Promise<ModelFile>}
 */
async function openFile(path, tasks) {
  const { outputsOf } = await loadingChecks;
  const { sha256 } = await loadingCore;
  const { name, bytes, contract } = await fetchModel(new URL(path, SITE));
  if (!tasks.includes(contract.task)) {
    throw new Error(`${name} is a model for ${contract.task}, not for ${tasks.join(" or ")}.`);
  }
  for (const { dtype } of [contract.input, ...outputsOf(contract)]) checkType(name, dtype);
  return { name, bytes, contract, recorded: recorded.get(await sha256(bytes)) ?? [] };
}

/**
 * Fetches a model and its contract, and holds one against the other.
 * @param {URL} url
 * @returns {Promise<{name: string, bytes: Uint8Array<ArrayBuffer>, contract: Contract}>}
 */
async function fetchModel(url) {
  const core = await loadingCore;
  const [file, beside] = await Promise.all([fetchWhole(url), fetchIfThere(new URL("pose_model.json", url))]);
  const bytes = new Uint8Array(await file.arrayBuffer());
  const name = decodeURIComponent(url.pathname.split("/").pop() ?? "");
  const json = beside && JSON.parse(new TextDecoder().decode(beside));
  return { name, bytes, contract: await core.readContract(json, name, bytes) };
}

/**
 * Fetches a file of a bundle, and holds it against the manifest.
 * @param {import("../core/bundle.js").Bundle} bundle
 * @param {string} path
 * @param {URL} manifest
 */
async function fetchBundled(bundle, path, manifest) {
  const bytes = await fetchIfThere(new URL(path, manifest));
  await (await loadingCore).checkBundled(bundle, path, bytes);
  return /** @type {Uint8Array} */ (bytes); // or it was refused
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
  session?.restart();
  return [null, []];
}
