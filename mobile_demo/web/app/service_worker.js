/**
 * Keeps what the page has loaded, for when there is no network: asks the network first,
 * so that a new page or model is seen at once.
 */

const CACHE = "keras-pose";
const worker = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (self));

worker.addEventListener("install", (event) => {
  worker.skipWaiting();
  event.waitUntil(keepShell());
});

worker.addEventListener("activate", (event) => event.waitUntil(worker.clients.claim()));

worker.addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  if (method === "GET" && url.startsWith(worker.registration.scope)) {
    event.respondWith(fetchOrRemember(event.request));
  }
});

async function keepShell() {
  const cache = await caches.open(CACHE);
  /** @type {string[]} */
  const files = await (await fetch("files.json")).json();
  await cache.addAll([".", "models/index.json", ...files]);
}

/**
 * @param {Request} request
 * @returns {Promise<Response>}
 */
async function fetchOrRemember(request) {
  const cache = await caches.open(CACHE);
  try {
    const response = await fetch(request);
    // A full disk is no reason to withhold what has come.
    if (response.status === 200) cache.put(request, response.clone()).catch(console.warn);
    return response;
  } catch (error) {
    const remembered = await cache.match(request, { ignoreSearch: true });
    if (remembered) return remembered;
    throw error;
  }
}
