/**
 * A file that finds poses, and the people seen so far in the frames of a video.
 *
 * A top-down network sees one person at a time, where a detector or the last frame says.
 * Bottom-up and one-stage networks see the whole picture and find everybody in it: they
 * take no detector, and there are no regions to follow.
 *
 * @import { Person, Picture } from "../core/types.js"
 * @import { BottomUpContract, DetectorContract, OneStageContract, PoseContract } from "../core/contract.js"
 * @import { Run, Stopwatch } from "../core/estimator.js"
 * @import { FrameRequest, Analysed } from "./worker.js"
 *
 * @typedef {PoseContract | OneStageContract | BottomUpContract} PeopleContract
 * @typedef {{contract: PeopleContract, run: Run}} PoseModel
 * @typedef {{contract: DetectorContract, run: Run}} DetectorModel
 *
 * @typedef {object} Finder the people of a video's frames, frame after frame.
 * @property {(image: Picture) => Promise<Person[]>} next
 * @property {() => boolean} isDetected whether the whole of the last frame was looked at.
 */

import {
  BottomUpEstimator,
  OksTracker,
  OneEuroSmoother,
  OneStageEstimator,
  PoseEstimator,
  RegionFollower,
} from "../core/index.js";

/** Tasks of files that find poses. */
export const POSE_TASKS = /** @type {const} */ (["top_down", "bottom_up", "one_stage"]);

/**
 * Whether files of a task find everybody by themselves.
 * @param {string} task
 */
export function seesWholePictures(task) {
  return task === "bottom_up" || task === "one_stage";
}

/** Models that are ready, and the people seen so far. */
export class Session {
  /**
   * @param {PoseModel} pose
   * @param {DetectorModel | null} detector null: the whole picture is one person, or the
   * pose model finds everybody.
   * @param {number} [boxThreshold] score that people must exceed; without it, what suits
   * the kind of model.
   */
  constructor(pose, detector, boxThreshold) {
    /** @type {Record<string, number>} */
    this.stages = {};
    const stopwatch = {
      add: (/** @type {string} */ stage, /** @type {number} */ milliseconds) => {
        this.stages[stage] = (this.stages[stage] ?? 0) + milliseconds;
      },
    };
    this.skeleton = pose.contract.skeleton;
    this.newFinder = finders(pose, detector, { boxThreshold, stopwatch });
    this.video = this.newVideo(1);
  }

  /** @param {number} detectEvery */
  newVideo(detectEvery) {
    return {
      detectEvery,
      finder: this.newFinder(detectEvery),
      tracker: new OksTracker(this.skeleton),
      smoother: new OneEuroSmoother(),
      seconds: -Infinity,
    };
  }

  /**
   * Forgets all people, as for a new video.
   * @param {number} detectEvery
   */
  begin(detectEvery) {
    this.video = this.newVideo(detectEvery);
  }

  /** Forgets all people; the detector is asked as often as before. */
  restart() {
    this.begin(this.video.detectEvery);
  }

  /**
   * @param {FrameRequest} request
   * @returns {Promise<Analysed>}
   */
  async analyse({ image, seconds, detectEvery, isSmoothed }) {
    this.stages = {};
    // A video that was wound back is another video.
    const isNew = seconds === null || seconds <= this.video.seconds || detectEvery !== this.video.detectEvery;
    if (isNew) this.begin(detectEvery);
    const { video } = this;
    const found = await video.finder.next(image);
    const isDetected = video.finder.isDetected();
    if (seconds === null) return { people: found, stages: this.stages, isDetected, image };
    video.seconds = seconds;
    const tracked = video.tracker.update(found);
    const people = isSmoothed ? video.smoother.next(tracked, seconds) : tracked;
    return { people, stages: this.stages, isDetected, image };
  }
}

/**
 * Returns a function that makes finders, one for each video.
 * @param {PoseModel} pose
 * @param {DetectorModel | null} detector
 * @param {{boxThreshold?: number, stopwatch: Stopwatch}} options
 * @returns {(detectEvery: number) => Finder}
 */
function finders({ contract, run }, detector, options) {
  if (contract.task === "top_down") {
    const estimator = new PoseEstimator(contract, run, detector, options);
    return (detectEvery) => {
      const follower = new RegionFollower(estimator, { detectEvery });
      return { next: (image) => follower.next(image), isDetected: () => follower.age === 1 };
    };
  }
  if (detector) throw new Error(`${contract.model} finds the people itself: leave the detector out.`);
  const estimator =
    contract.task === "one_stage"
      ? new OneStageEstimator(contract, run, options)
      : new BottomUpEstimator(contract, run, options);
  return () => ({ next: (image) => estimator.estimate(image), isDetected: () => true });
}
