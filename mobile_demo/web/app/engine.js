/**
 * The worker, as functions that return promises.
 *
 * @typedef {import("../worker/worker.js").OpenRequest} OpenRequest
 */

const worker = new Worker(new URL("./worker/worker.js", import.meta.url));
/** @type {Map<number, {resolve: (result: any) => void, reject: (error: Error) => void}>} */
const waiting = new Map();
let lastId = 0;

worker.addEventListener("message", ({ data: { id, result, error } }) => {
  const promise = waiting.get(id);
  waiting.delete(id);
  if (error === undefined) promise?.resolve(result);
  else promise?.reject(new Error(error));
});
worker.addEventListener("error", (event) => {
  const error = new Error(event.message || "The worker cannot be loaded.");
  for (const { reject } of waiting.values()) reject(error);
  waiting.clear();
});

/**
 * @param {string} task
 * @param {object} request
 * @param {Transferable[]} [moved]
 * @returns {Promise<any>}
 */
function ask(task, request, moved = []) {
  return new Promise((resolve, reject) => {
    waiting.set(++lastId, { resolve, reject });
    worker.postMessage({ id: lastId, task, ...request }, moved);
  });
}

/**
 * Holds the files of a bundle against its manifest.
 * @param {string} manifest path in the site.
 * @returns {Promise<null>} rejected with words for the user.
 */
export function check(manifest) {
  return ask("check", { manifest });
}

/**
 * Loads models.
 * @param {OpenRequest} request
 * @returns {Promise<import("../worker/worker.js").Opened>}
 */
export function open(request) {
  return ask("open", request);
}

/**
 * Finds the people of a frame. The image's pixels come back with the answer.
 * @param {import("../worker/worker.js").FrameRequest & {image: {data: Uint8ClampedArray}}} request
 * @returns {Promise<import("../worker/worker.js").Analysed>}
 */
export function analyse(request) {
  return ask("analyse", request, [request.image.data.buffer]);
}

/** Forgets the people of the last video. */
export function restart() {
  return ask("restart", {});
}
