/**
 * Opens the page in headless Chromium as a user would, and writes down what it showed.
 *
 *     node tests/browse.js '{"url": "http://localhost:8000/", "output": "DIR", ...}'
 *
 * browser.py runs it, for tests/mobile/test_web_page.py and measure.py. Options: see `Plan`.
 *
 * @typedef {object} Plan
 * @property {string} url
 * @property {string} output folder for report.json, frames and screenshots.
 * @property {string} chromium path of the browser.
 * @property {string} [clip] .mjpeg or .y4m that the camera plays; without it there is none.
 * @property {boolean} [isRefused] whether the user refuses the camera.
 * @property {boolean} [hasGpu] whether to offer WebGPU, computed by the processor.
 * @property {boolean} [hasWebNn] whether to offer WebNN, computed by the processor.
 * @property {boolean} [isFront] whether to turn to the front camera, and to keep its frames
 * only, each with what the page shows.
 * @property {{detectEvery: string, seconds: number}[]} [rates] how often to detect, one
 * after the other, and for how long; the report has frames per second and stage times.
 * @property {string} [file] picture or video to open instead of the camera.
 * @property {number} [frames] how many to write down.
 * @property {Record<string, string>} [selects] values of select elements, by id.
 * @property {[number, number]} [viewport] width and height, CSS pixels.
 * @property {boolean} [isOffline] whether to load the page once more without a network.
 */

import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { chromium } from "playwright-core";

/** @type {Plan} */
const plan = JSON.parse(process.argv[2]);

/** @type {string[]} */
const flags = [];
if (plan.hasGpu) {
  flags.push("--enable-features=Vulkan", "--use-vulkan=swiftshader");
  flags.push("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-unsafe-swiftshader");
}
// Two of these flags would not add up, but here it is one or the other.
if (plan.hasWebNn) flags.push("--enable-features=WebMachineLearningNeuralNetwork");
if (plan.clip) {
  flags.push("--use-fake-device-for-media-stream", `--use-file-for-fake-video-capture=${plan.clip}`);
}
if (!plan.isRefused) flags.push("--use-fake-ui-for-media-stream");
const browser = await chromium.launch({ executablePath: plan.chromium, args: ["--no-sandbox", ...flags] });
const [width, height] = plan.viewport ?? [390, 844];
const context = await browser.newContext({ viewport: { width, height }, deviceScaleFactor: 1 });
const page = await context.newPage();
/** @type {string[]} */
const log = [];
page.on("console", (message) => log.push(`${message.type()}: ${message.text()}`));
page.on("pageerror", (error) => log.push(`error: ${error.message}`));

/** Waits until the page can work, or has said why not. */
async function loaded() {
  await page.waitForFunction(() => document.body.dataset.state, undefined, { timeout: 120_000 });
}

/** Returns what the page tells its user. */
async function words() {
  return page.evaluate(() => ({
    state: document.body.dataset.state,
    message: document.getElementById("message")?.textContent,
    runtime: document.getElementById("runtime")?.textContent,
    rate: document.getElementById("rate")?.textContent,
    stages: [...document.querySelectorAll("#stages tr")].map((row) => [...row.children].map((cell) => cell.textContent)),
    isIsolated: window.crossOriginIsolated,
    takesDetector: !(/** @type {HTMLSelectElement} */ (document.getElementById("detector")).disabled),
  }));
}

/**
 * Has the page keep the next frames, with the people found in each.
 * @param {number} count
 */
async function keepFrames(count) {
  await page.evaluate(([wanted, isFront]) => {
    /** @type {any[]} */
    const kept = [];
    Object.assign(window, { kept });
    document.addEventListener("poses", (event) => {
      const { image, people, ...rest } = /** @type {CustomEvent} */ (event).detail;
      if (kept.length >= wanted || (isFront && !rest.isMirrored)) return;
      const view = /** @type {HTMLCanvasElement} */ (document.getElementById("view"));
      const shown = isFront && view.getContext("2d")?.getImageData(0, 0, view.width, view.height).data;
      const plain = people.map((/** @type {any} */ person) => ({
        ...person,
        keypointsXy: [...person.keypointsXy],
        keypointScores: [...person.keypointScores],
      }));
      const { width, height } = image;
      kept.push({ ...rest, people: plain, width, height, pixels: { frame: image.data.slice(), view: shown } });
    });
  }, /** @type {const} */ ([count, plan.isFront]));
}

/** @param {number} index */
async function writeFrame(index) {
  const { base64, ...rest } = await page.evaluate((i) => {
    const { pixels, ...others } = /** @type {any} */ (window).kept[i];
    /** @type {Record<string, string>} */
    const base64 = {};
    for (const [name, data] of Object.entries(pixels)) {
      let text = "";
      for (let start = 0; data && start < data.length; start += 8192) {
        text += String.fromCharCode(...data.subarray(start, start + 8192));
      }
      base64[name] = btoa(text);
    }
    return { ...others, base64 };
  }, index);
  for (const [name, text] of Object.entries(base64)) {
    if (text) writeFileSync(join(plan.output, `${name}_${index}.rgba`), Buffer.from(text, "base64"));
  }
  return rest;
}

/**
 * Counts the frames of some seconds.
 * @param {{detectEvery: string, seconds: number}} wish
 */
async function measureRate({ detectEvery, seconds }) {
  await page.evaluate((every) => {
    const select = /** @type {HTMLSelectElement} */ (document.getElementById("detect-every"));
    select.value = every;
    /** @type {{frames: any[], started: number}} */
    const rate = { frames: [], started: performance.now() };
    Object.assign(window, { rate });
    document.addEventListener("poses", (event) => {
      const { stages, people, isDetected } = /** @type {CustomEvent} */ (event).detail;
      rate.frames.push({ stages, isDetected, count: people.length });
    });
  }, detectEvery);
  await page.waitForTimeout(1000 * seconds);
  return page.evaluate((every) => {
    const { frames, started } = /** @type {any} */ (window).rate;
    return { detectEvery: every, seconds: (performance.now() - started) / 1000, frames };
  }, detectEvery);
}

/** @type {Record<string, any>} */
const report = {};
try {
  await page.goto(plan.url);
  await loaded();
  for (const [id, value] of Object.entries(plan.selects ?? {})) {
    const isModel = id !== "detect-every"; // which is loaded anew
    if (isModel) await page.evaluate(() => delete document.body.dataset.state);
    await page.locator("#settings").evaluate((details) => details.setAttribute("open", ""));
    await page.locator(`#${id}`).selectOption(value);
    if (isModel) await loaded();
  }
  await page.locator("#settings").evaluate((details) => details.removeAttribute("open"));
  report.opened = await words();
  const count = plan.frames ?? 0;
  await keepFrames(count);
  if (plan.file) await page.locator("#file").setInputFiles(plan.file);
  else if (report.opened.state === "ready") await page.locator("#camera").click();
  if (plan.isFront) await page.locator("#turn").click();
  report.rates = [];
  for (const wish of plan.rates ?? []) report.rates.push(await measureRate(wish));
  if (count) {
    await page.waitForFunction((wanted) => /** @type {any} */ (window).kept.length >= wanted, count, { timeout: 300_000 });
  } else {
    await page.waitForTimeout(1500);
  }
  report.running = await words();
  await page.screenshot({ path: join(plan.output, "page.png") });
  report.frames = [];
  for (let i = 0; i < count; i++) report.frames.push(await writeFrame(i));
  if (plan.isOffline) {
    await context.setOffline(true);
    await page.reload();
    await loaded();
    report.offline = await words();
  }
} catch (error) {
  report.error = String(error);
  await page.screenshot({ path: join(plan.output, "failed.png") });
} finally {
  report.log = log;
  writeFileSync(join(plan.output, "report.json"), JSON.stringify(report));
  await browser.close();
}
