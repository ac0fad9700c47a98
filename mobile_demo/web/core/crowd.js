/**
 * What networks of whole pictures have in common, whatever their outputs; SPEC.md, section 6.
 *
 * @import { Person, Picture } from "./types.js"
 * @import { BottomUpContract, OneStageContract } from "./contract.js"
 * @import { Run, Stopwatch } from "./estimator.js"
 * @import { TensorSpec } from "./tensors.js"
 *
 * @typedef {object} CrowdNetwork a network that is ready, and which of its people count.
 * @property {OneStageContract | BottomUpContract} contract
 * @property {Run} run
 * @property {number} boxThreshold float32; people with no higher score are left out.
 * @property {Stopwatch} stopwatch gets the time of stages.
 *
 * @typedef {{scaleX: number, scaleY: number}} Scale input pixels per image pixel.
 */

import { letterbox } from "./letterbox.js";
import { toInput, toReal } from "./tensors.js";

/**
 * Finds everybody in a picture: letterbox, network, and what its outputs say.
 * @param {CrowdNetwork} network
 * @param {Picture} image
 * @param {(real: (spec: TensorSpec) => Float32Array, scale: Scale) => Person[]} decode real
 * outputs by the contract's entry -> people of the image, by falling score.
 * @returns {Promise<Person[]>} by falling score.
 */
export async function findEverybody({ contract, run, boxThreshold, stopwatch }, image, decode) {
  const started = performance.now();
  const fitted = letterbox(image, contract.inputHw);
  const input = toInput(fitted.pixels, contract.input, contract.normalization);
  const fittedAt = performance.now();
  const raw = await run(input);
  const ranAt = performance.now();
  const found = decode((spec) => toReal(raw[spec.name], spec), fitted);
  const people = found.filter(({ score }) => score > boxThreshold);
  stopwatch.add("letterbox", fittedAt - started);
  stopwatch.add("pose", ranAt - fittedAt);
  stopwatch.add("decode", performance.now() - ranAt);
  return people;
}
