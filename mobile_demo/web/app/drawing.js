/**
 * Skeletons over pictures.
 *
 * @import { Person, Skeleton } from "../core/types.js"
 *
 * @typedef {object} View how a picture is shown.
 * @property {number} width of the picture, pixels.
 * @property {number} height
 * @property {boolean} isMirrored
 */

import { NO_TRACK, isOutside } from "./core/index.js";

/** Keypoints at or below this score are not drawn. */
export const DRAWN_SCORE = 0.2;

const LEFT = "#ff9f43";
const RIGHT = "#48b6ff";
const MIDDLE = "#f4f6f8";
const TRACK_COLORS = ["#3ddc97", "#ffd166", "#c792ea", "#ff6b8b", "#6be5ff", "#f78c6c"];

/**
 * Shows a picture with its people. Skeletons are mirrored with the picture, words are not.
 *
 * @param {CanvasRenderingContext2D} context of a canvas as large as the picture.
 * @param {CanvasImageSource} picture
 * @param {View} view
 * @param {readonly Person[]} people in the picture's pixels.
 * @param {Skeleton} skeleton
 * @param {boolean} showsBoxes
 */
export function draw(context, picture, view, people, skeleton, showsBoxes) {
  context.save();
  if (view.isMirrored) context.setTransform(-1, 0, 0, 1, view.width, 0);
  context.drawImage(picture, 0, 0, view.width, view.height);
  // A pixel's centre has whole coordinates here; on a canvas, its corner has.
  context.translate(0.5, 0.5);
  for (const person of people) drawPerson(context, view, person, skeleton, showsBoxes);
  context.restore();
  for (const person of people) drawLabel(context, view, person, showsBoxes);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {View} view
 * @param {Person} person
 * @param {Skeleton} skeleton
 * @param {boolean} showsBoxes
 */
function drawPerson(context, view, person, skeleton, showsBoxes) {
  const unit = Math.max(view.width, view.height) / 320;
  const isSure = Array.from(person.keypointScores, (score, k) => score > DRAWN_SCORE && !isOutside(person, k));
  const at = (/** @type {number} */ k) => person.keypointsXy.subarray(2 * k, 2 * k + 2);
  context.lineCap = "round";
  for (const [start, end] of skeleton.limbPairs) {
    if (!isSure[start] || !isSure[end]) continue;
    const [x1, y1] = at(start);
    const [x2, y2] = at(end);
    const side = sideOf(skeleton.names[start]);
    const color = side === sideOf(skeleton.names[end]) ? side : MIDDLE;
    strokeLine(context, x1, y1, x2, y2, "rgb(0 0 0 / 55%)", unit * 3.2);
    strokeLine(context, x1, y1, x2, y2, color, unit * 1.8);
  }
  skeleton.names.forEach((name, k) => {
    if (!isSure[k]) return;
    const [x, y] = at(k);
    context.beginPath();
    context.arc(x, y, unit * 2.1, 0, 2 * Math.PI);
    context.fillStyle = sideOf(name);
    context.fill();
    context.lineWidth = unit * 0.6;
    context.strokeStyle = "rgb(0 0 0 / 65%)";
    context.stroke();
  });
  if (showsBoxes) {
    const [x1, y1, x2, y2] = person.box;
    context.lineWidth = unit;
    context.strokeStyle = trackColor(person.trackId);
    context.strokeRect(x1, y1, x2 - x1, y2 - y1);
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {number} x1
 * @param {number} y1
 * @param {number} x2
 * @param {number} y2
 * @param {string} color
 * @param {number} width
 */
function strokeLine(context, x1, y1, x2, y2, color, width) {
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
  context.strokeStyle = color;
  context.lineWidth = width;
  context.stroke();
}

/**
 * Writes a person's number above them, where they are tracked.
 * @param {CanvasRenderingContext2D} context
 * @param {View} view
 * @param {Person} person
 * @param {boolean} showsBoxes
 */
function drawLabel(context, view, person, showsBoxes) {
  if (person.trackId === NO_TRACK) return;
  const [x1, y1, x2] = person.box;
  const size = Math.max(view.width, view.height) / 26;
  const middle = shownX((x1 + x2) / 2, view);
  const top = Math.max(size * 1.2, y1 - (showsBoxes ? size * 0.3 : 0));
  context.font = `600 ${size}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.lineWidth = size / 5;
  context.strokeStyle = "rgb(0 0 0 / 65%)";
  context.fillStyle = trackColor(person.trackId);
  context.strokeText(String(person.trackId), middle, top);
  context.fillText(String(person.trackId), middle, top);
}

/**
 * Returns the canvas column at which a column of the picture is shown.
 * @param {number} x
 * @param {View} view
 */
export function shownX(x, { width, isMirrored }) {
  return isMirrored ? width - (x + 0.5) : x + 0.5;
}

/**
 * The person's own left and right, as the names say.
 * @param {string} name
 */
function sideOf(name) {
  if (name.startsWith("left_")) return LEFT;
  return name.startsWith("right_") ? RIGHT : MIDDLE;
}

/** @param {number} trackId */
function trackColor(trackId) {
  return trackId === NO_TRACK ? MIDDLE : TRACK_COLORS[trackId % TRACK_COLORS.length];
}
