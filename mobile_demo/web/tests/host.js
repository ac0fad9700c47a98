/**
 * The JavaScript core for mobile_demo/compare/compare.py, which says what goes over the pipe. Run by Node.js.
 */

import { readSync, writeSync } from "node:fs";

import { OksTracker, OneEuroSmoother, PoseEstimator, RegionFollower, readContract } from "../core/index.js";

/** @param {number} length bytes. */
function read(length) {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length; ) {
    const count = readSync(0, bytes, done, length - done, null);
    if (count === 0) process.exit(0);
    done += count;
  }
  return bytes;
}

function readWords() {
  let line = "";
  for (;;) {
    const letter = String.fromCharCode(read(1)[0]);
    if (letter === "\n") return line.split(" ");
    line += letter;
  }
}

/** @param {Uint8Array} bytes */
function write(bytes) {
  for (let done = 0; done < bytes.length; ) done += writeSync(1, bytes, done);
}

/**
 * @param {string} line
 * @param {Float32Array} values
 */
function send(line, values) {
  write(new TextEncoder().encode(`${line} ${values.length}\n`));
  write(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
}

/**
 * Returns a network that compare.py runs.
 * @param {string} name
 */
function remote(name) {
  return async (/** @type {ArrayLike<number>} */ input) => {
    send(`run ${name}`, Float32Array.from(input));
    const [, numOutputs] = readWords();
    /** @type {Record<string, Float32Array>} */
    const outputs = {};
    for (let i = 0; i < Number(numOutputs); i++) {
      const [output, length] = readWords();
      outputs[output] = new Float32Array(read(4 * Number(length)).buffer);
    }
    return outputs;
  };
}

const [, contractBytes, poseName, detectorName, boxThreshold, detectEvery] = readWords();
const json = JSON.parse(new TextDecoder().decode(read(Number(contractBytes))));
const contract = /** @type {any} */ (await readContract(json, poseName));
const detector = { contract: /** @type {any} */ (await readContract(json, detectorName)), run: remote("detector") };
const estimator = new PoseEstimator(contract, remote("pose"), detector, { boxThreshold: Number(boxThreshold) });
const follower = new RegionFollower(estimator, { detectEvery: Number(detectEvery) });
const tracker = new OksTracker(contract.skeleton);
const smoother = new OneEuroSmoother();
for (;;) {
  const [, width, height, seconds] = readWords().map(Number);
  const image = { width, height, channels: /** @type {3} */ (3), data: read(width * height * 3) };
  const people = smoother.next(tracker.update(await follower.next(image)), seconds);
  send(
    `people ${people.length}`,
    Float32Array.from(
      people.flatMap(({ box, keypointsXy, score, trackId }) => [...box, score, trackId, ...keypointsXy]),
    ),
  );
}
