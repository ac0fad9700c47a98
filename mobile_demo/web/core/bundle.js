/**
 * A bundle: models and what belongs to them, each with its hash, as
 * export/bundle_mobile.py writes it; docs/contract.md, "A bundle for apps".
 *
 * @typedef {object} Bundle
 * @property {Record<string, {bytes: number, sha256: string}>} files by path.
 * @property {string} task of the pose model: "top_down", behind a detector, or that of a
 * network which finds everybody by itself.
 * @property {{pose: string, detector?: string}} models paths; top-down ones have both.
 * @property {string | null} modelPack folder of the parity pack of these very files; null: there is none.
 * @property {number | null} boxThreshold null: what the core takes for any network.
 */

import { sha256 } from "./sha256.js";

const FORMAT = "keras_pose mobile bundle";
/** The major version of bundles that is read here. */
export const BUNDLE_VERSION = 1;
const REMEDY = "Write the bundle anew: python export/bundle_mobile.py.";

/** What is said of a bundle that cannot be used; to be shown as it is. */
export class BundleError extends Error {}

/**
 * Reads `manifest.json`.
 * @param {any} json
 * @returns {Bundle}
 * @throws {BundleError} for what is no bundle, or of another version.
 */
export function readManifest(json) {
  if (json?.format !== FORMAT) throw new BundleError(`manifest.json is not of a bundle of models. ${REMEDY}`);
  const version = String(json.format_version);
  if (version.split(".")[0] !== String(BUNDLE_VERSION)) {
    throw new BundleError(`The bundle has version ${version}; this app reads ${BUNDLE_VERSION}. ${REMEDY}`);
  }
  // Bundles of the first versions are all of a pair, and do not say it.
  const { task = "top_down" } = json;
  const needed = task === "top_down" ? ["pose", "detector"] : ["pose"];
  for (const kind of needed) {
    const model = json.models?.[kind];
    if (json.files?.[model]) continue;
    throw new BundleError(`The bundle's manifest.json does not list ${model ?? `a model "${kind}"`}. ${REMEDY}`);
  }
  const modelPack = json.parity?.models ?? null;
  return { task, files: json.files, models: json.models, modelPack, boxThreshold: json.settings?.box_threshold ?? null };
}

/**
 * Holds the pose model's contract against what the manifest says that it is for.
 * @param {Bundle} bundle
 * @param {{task: string}} contract
 * @throws {BundleError}
 */
export function checkTask({ task, models }, contract) {
  if (contract.task === task) return;
  throw new BundleError(`manifest.json is of a model for ${task}, and ${models.pose} is one for ${contract.task}. ${REMEDY}`);
}

/**
 * Holds a file against the manifest.
 * @param {Bundle} bundle
 * @param {string} path one of its files.
 * @param {Uint8Array | null} bytes null: there is no such file.
 * @throws {BundleError}
 */
export async function checkBundled({ files }, path, bytes) {
  const said = files[path];
  if (!said) throw new BundleError(`The bundle's manifest.json does not list ${path}. ${REMEDY}`);
  if (!bytes) throw new BundleError(`The bundle lacks ${path}. ${REMEDY}`);
  if (bytes.length !== said.bytes) {
    throw new BundleError(`${path} has ${bytes.length} bytes, ${said.bytes} in the bundle. ${REMEDY}`);
  }
  const actual = await sha256(bytes);
  if (actual !== said.sha256) {
    const [found, expected] = [actual, String(said.sha256)].map((hash) => hash.slice(0, 12));
    throw new BundleError(
      `${path} is not the file of its bundle: its SHA-256 begins ${found}, ${expected} in the bundle. ${REMEDY}`,
    );
  }
}
