/**
 * The page: sources of frames, the engine, the picture with skeletons, and the controls.
 *
 * One frame at a time: the next one is taken when the last is drawn, so none ever waits.
 * Each is told to the document as the event "poses", for tests and for pages that embed.
 *
 * @import { Source } from "./sources.js"
 * @import { Analysed } from "../worker/worker.js"
 * @import { Skeleton } from "../core/types.js"
 *
 * @typedef {object} ModelIndex content of models/index.json.
 * @property {string | null} manifest path of the bundle's, where the models are one.
 * @property {ModelRow[]} models
 *
 * @typedef {object} ModelRow
 * @property {string} path
 * @property {"top_down" | "bottom_up" | "one_stage" | "detection"} task
 * @property {string} model
 * @property {string} quantization
 * @property {[number, number]} input_hw
 * @property {number} bytes
 * @property {number | null} box_threshold of detectors: what was measured to be best.
 */

import { draw } from "./drawing.js";
import { analyse, check, open, restart } from "./engine.js";
import { openCamera, openFile } from "./sources.js";
import { RateMeter, StageTable } from "./timing.js";
import { seesWholePictures } from "./worker/session.js";

/** The longer side of frames, pixels: what networks see is smaller still. */
const VIDEO_SIDE = 640;
const PICTURE_SIDE = 1280;
/** What the page waits for its service worker before it goes on without, milliseconds. */
const PATIENCE = 3000;

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @returns {T}
 */
function element(id) {
  return /** @type {T} */ (document.getElementById(id));
}

const view = /** @type {HTMLCanvasElement} */ (element("view"));
const cameraButton = /** @type {HTMLButtonElement} */ (element("camera"));
const turnButton = /** @type {HTMLButtonElement} */ (element("turn"));
const fileInput = /** @type {HTMLInputElement} */ (element("file"));
const poseSelect = /** @type {HTMLSelectElement} */ (element("pose"));
const detectorSelect = /** @type {HTMLSelectElement} */ (element("detector"));
const acceleratorSelect = /** @type {HTMLSelectElement} */ (element("accelerator"));
const everySelect = /** @type {HTMLSelectElement} */ (element("detect-every"));
const smoothBox = /** @type {HTMLInputElement} */ (element("smooth"));
const boxesBox = /** @type {HTMLInputElement} */ (element("boxes"));

const frame = document.createElement("canvas");
const frameContext = canvasContext(frame, { willReadFrequently: true });
const viewContext = canvasContext(view);
const stageTable = new StageTable(element("stages"));
const rateMeter = new RateMeter();

/** @type {Skeleton} */
let skeleton;
/** @type {ModelRow[]} */
let rows = [];
/** @type {Source | null} */
let source = null;
/** Counts what the user has opened. */
let lastTurn = 0;
/** @type {"user" | "environment"} */
let facing = "environment";
/** The last result, to be drawn again when settings of drawing change. @type {Analysed | null} */
let shown = null;

/**
 * @param {HTMLCanvasElement} canvas
 * @param {CanvasRenderingContext2DSettings} [settings]
 */
function canvasContext(canvas, settings) {
  return /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", settings));
}

/**
 * Says something to the user; nothing takes the last words away.
 * @param {string} [text]
 * @param {boolean} [isProblem]
 */
function say(text = "", isProblem = false) {
  const message = element("message");
  message.textContent = text;
  message.classList.toggle("problem", isProblem);
}

/** @param {unknown} error */
function complain(error) {
  say(error instanceof Error ? error.message : String(error), true);
}

/** Names what a browser lacks that the page cannot do without. */
function missingFeature() {
  if (typeof WebAssembly !== "object") return "WebAssembly";
  if (typeof createImageBitmap !== "function") return "createImageBitmap";
  return null;
}

/** Lets the service worker keep what is loaded, so that the page works offline. */
async function keepOffline() {
  if (!("serviceWorker" in navigator)) return;
  const isControlled = new Promise((resolve) => {
    if (navigator.serviceWorker.controller) resolve(null);
    navigator.serviceWorker.addEventListener("controllerchange", resolve, { once: true });
    setTimeout(resolve, PATIENCE);
  });
  try {
    await navigator.serviceWorker.register("service_worker.js");
    await isControlled;
  } catch (error) {
    // Browsers refuse over a certificate that the user had to accept. All else works.
    console.warn("Not kept for offline use:", error);
  }
}

/** @returns {Promise<ModelIndex>} */
async function listModels() {
  const response = await fetch("models/index.json");
  if (!response.ok) throw new Error("The list of models, models/index.json, cannot be fetched.");
  return response.json();
}

function fillSelects() {
  for (const row of rows) {
    const [height, width] = row.input_hw;
    const option = new Option(`${row.model} ${height}×${width}, ${row.quantization}, ${size(row.bytes)}`, row.path);
    (row.task === "detection" ? detectorSelect : poseSelect).add(option);
  }
  detectorSelect.add(new Option("None: the whole picture is one person", ""));
  for (const [accelerator, isThere] of /** @type {const} */ ([["webgpu", "gpu" in navigator], ["webnn", hasWebNn()]])) {
    const option = [...acceleratorSelect.options].find(({ value }) => value === accelerator);
    if (isThere || !option) continue;
    option.disabled = true;
    option.text += ": not in this browser";
  }
}

/** WebNN answers by promises; LiteRT.js' WebAssembly waits for them where JSPI is. */
function hasWebNn() {
  return "ml" in navigator && "Suspending" in WebAssembly;
}

/** Whether the pose model that is chosen finds everybody by itself. */
function isAlone() {
  return seesWholePictures(rows.find(({ path }) => path === poseSelect.value)?.task ?? "");
}

/** @param {number} bytes */
function size(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** Opens the models that are chosen. */
async function openModels() {
  setEnabled(false);
  say("Loading the model…");
  try {
    const opened = await open({
      pose: poseSelect.value,
      detector: isAlone() ? null : detectorSelect.value || null,
      boxThreshold: rows.find(({ path }) => path === detectorSelect.value)?.box_threshold ?? undefined,
      accelerator: /** @type {"wasm" | "webgpu" | "webnn"} */ (acceleratorSelect.value),
    });
    ({ skeleton } = opened);
    element("runtime").textContent = opened.runtime;
    say(opened.notes.join(" ") || (source ? "" : "Start the camera, or choose a picture or a video."));
    document.body.dataset.state = "ready";
  } catch (error) {
    stop();
    document.body.dataset.state = "failed";
    complain(error);
  }
  setEnabled(true);
}

/** @param {boolean} isEnabled */
function setEnabled(isEnabled) {
  const canEstimate = isEnabled && document.body.dataset.state === "ready";
  for (const control of [cameraButton, fileInput]) control.disabled = !canEstimate;
  for (const control of [poseSelect, acceleratorSelect]) control.disabled = !isEnabled;
  // Who sees the whole picture on every frame needs neither.
  detectorSelect.disabled = !isEnabled || isAlone();
  everySelect.disabled = isAlone();
}

/**
 * Begins to show a source.
 * @param {() => Promise<Source>} openSource
 */
async function begin(openSource) {
  stop();
  say("Opening…");
  const turn = ++lastTurn;
  try {
    const opened = await openSource();
    if (turn !== lastTurn) {
      opened.close(); // the user was faster, and has chosen another one
      return;
    }
    await restart();
    source = opened;
    rateMeter.reset();
    stageTable.reset();
    cameraButton.textContent = "Stop";
    element("hud").hidden = false;
    say();
    await run(opened);
  } catch (error) {
    stop();
    complain(error);
  }
}

function stop() {
  source?.close();
  source = null;
  cameraButton.textContent = "Camera";
  turnButton.disabled = true;
}

/**
 * Takes frames, one after the other, until the source ends or another one begins.
 * @param {Source} current
 */
async function run(current) {
  let lastSeconds = -1;
  while (source === current) {
    const seconds = current.seconds();
    if (seconds === null || seconds !== lastSeconds) {
      await showFrame(current, seconds);
      lastSeconds = seconds ?? -1;
    }
    if (current.isOver()) break;
    await new Promise((resolve) => current.onNextFrame(() => resolve(null)));
  }
  if (source === current) stop();
}

/**
 * Finds and draws the people of the frame that a source shows now.
 * @param {Source} current
 * @param {number | null} seconds
 */
async function showFrame(current, seconds) {
  const started = performance.now();
  const image = grab(current, seconds === null ? PICTURE_SIDE : VIDEO_SIDE);
  const grabbed = performance.now();
  const analysed = await analyse({
    image: { width: image.width, height: image.height, channels: 4, data: image.data },
    seconds,
    detectEvery: Number(everySelect.value),
    isSmoothed: smoothBox.checked,
  });
  if (source !== current) return; // stopped, or another one, in the meantime
  const answered = performance.now();
  shown = analysed;
  redraw(current.isMirrored);
  const drawn = performance.now();
  stageTable.add({ frame: grabbed - started, ...analysed.stages, draw: drawn - answered });
  const count = analysed.people.length;
  element("count").textContent = `${count} ${count === 1 ? "person" : "people"}`;
  element("rate").textContent = seconds === null ? `${Math.round(drawn - started)} ms` : rateMeter.add(drawn);
  document.dispatchEvent(new CustomEvent("poses", { detail: { ...analysed, seconds, isMirrored: current.isMirrored } }));
}

/**
 * Copies the frame that a source shows now.
 * @param {Source} current
 * @param {number} longestSide pixels.
 * @returns {ImageData}
 */
function grab(current, longestSide) {
  const { width, height } = current.size();
  const scale = Math.min(1, longestSide / Math.max(width, height));
  const [frameWidth, frameHeight] = [width, height].map((side) => Math.max(1, Math.round(side * scale)));
  if (frame.width !== frameWidth || frame.height !== frameHeight) {
    [frame.width, frame.height] = [frameWidth, frameHeight];
    [view.width, view.height] = [frameWidth, frameHeight];
  }
  // Transparent parts of pictures are black to networks.
  frameContext.fillStyle = "black";
  frameContext.fillRect(0, 0, frameWidth, frameHeight);
  frameContext.drawImage(current.element, 0, 0, frameWidth, frameHeight);
  return frameContext.getImageData(0, 0, frameWidth, frameHeight);
}

/** @param {boolean} isMirrored */
function redraw(isMirrored) {
  if (!shown) return;
  const { width, height } = frame;
  draw(viewContext, frame, { width, height, isMirrored }, shown.people, skeleton, boxesBox.checked);
  view.dataset.isMirrored = String(isMirrored);
}

/** @param {"user" | "environment"} wish */
async function startCamera(wish) {
  facing = wish;
  const starting = begin(() => openCamera(wish));
  turnButton.disabled = false;
  await starting;
}

cameraButton.addEventListener("click", () => (source ? stop() : startCamera(facing)));
turnButton.addEventListener("click", () => startCamera(facing === "user" ? "environment" : "user"));
fileInput.addEventListener("change", () => {
  const [file] = fileInput.files ?? [];
  if (file) begin(() => openFile(file));
  fileInput.value = ""; // the same file may be chosen again
});
for (const select of [poseSelect, detectorSelect, acceleratorSelect]) {
  select.addEventListener("change", openModels);
}
boxesBox.addEventListener("change", () => redraw(view.dataset.isMirrored === "true"));
// A camera that nobody looks at should not run.
document.addEventListener("visibilitychange", () => {
  if (document.hidden && source && source.seconds() !== null) {
    stop();
    say("Paused while the page was away.");
  }
});

async function start() {
  const missing = missingFeature();
  if (missing) throw new Error(`This browser is too old for this page: it lacks ${missing}.`);
  await keepOffline();
  const index = await listModels();
  if (index.manifest) await check(index.manifest);
  rows = index.models;
  fillSelects();
  await openModels();
}

start().catch((error) => {
  document.body.dataset.state = "failed";
  complain(error);
});
