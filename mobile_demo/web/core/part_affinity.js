/**
 * Heatmaps and part affinity fields to people; contract.md and SPEC.md, "Bottom-up networks".
 * What is rounded to float32, and which of two equals goes first, is as written there.
 *
 * @import { Size } from "./types.js"
 *
 * @typedef {object} PartAffinityCodec as it stands in contracts, as far as it matters here.
 * @property {Size} inputHw
 * @property {number} stride input pixels per cell.
 * @property {number} sigma width of the peaks, cells.
 * @property {number} minPeak lowest height of a candidate.
 * @property {number} maxPeaks candidates per keypoint, the highest ones.
 * @property {number} numPoints points of a line at which fields are read.
 * @property {number} minField product of field and line that speaks for a limb.
 * @property {number} minShare share of the points that must speak for it.
 * @property {number} maxGap over which parts of a person are joined, in extents.
 * @property {number} minKeypoints people with fewer go.
 * @property {number} minScore people whose peaks are lower on average go.
 *
 * @typedef {object} Maps real outputs for one image, and what their channels are.
 * @property {number} height cells.
 * @property {number} width cells.
 * @property {number} numKeypoints K.
 * @property {readonly (readonly [number, number])[]} limbPairs L pairs of keypoints.
 * @property {Float32Array} heatmaps (height * width * (K + 1)), the background last.
 * @property {Float32Array} fields (height * width * 2 L)
 *
 * @typedef {object} Candidate a peak of a heatmap.
 * @property {number} keypoint
 * @property {number} x cells.
 * @property {number} y cells.
 * @property {number} score its height.
 *
 * @typedef {object} Limb two candidates that may be a limb's ends.
 * @property {number} kind
 * @property {number} first
 * @property {number} last
 * @property {number} score
 *
 * @typedef {object} FoundPerson
 * @property {Float32Array} xy (K * 2) cells; 0 where a keypoint was not found.
 * @property {Float32Array} scores (K) heights of the peaks; 0 where it was not found.
 * @property {number} score their mean over all K.
 */

const { fround } = Math;

// Limbs that are shorter, in cells, need not be in their field.
const NEAR = 1;
// People of fewer keypoints do not share those of others.
const LEAST_OWN = 3;
// A neighbour counts as no lower than this share of its peak.
const LOWEST_SHARE = 1e-3;

/**
 * Reads the entry "codec" of a bottom-up network's contract.
 * @param {Record<string, any>} values
 * @returns {PartAffinityCodec}
 */
export function readPartAffinity(values) {
  const { kind, matching, input_hw: inputHw, stride } = values;
  if (kind !== "part_affinity") throw new Error(`this app reads the codec part_affinity of bottom-up networks, not ${kind}.`);
  const rule = (/** @type {boolean} */ holds, /** @type {string} */ words) => {
    if (!holds) throw new Error(`a part_affinity codec needs ${words}.`);
  };
  const number = (/** @type {string} */ name) => {
    rule(Number.isFinite(values[name]), `a number for ${name}, got ${values[name]}`);
    return /** @type {number} */ (values[name]);
  };
  for (const name of ["stride", "sigma", "limb_width", "min_peak", "max_peaks"]) {
    rule(number(name) > 0, `${name} above 0, got ${values[name]}`);
  }
  for (const name of ["stride", "max_peaks", "num_points", "min_keypoints"]) {
    rule(Number.isInteger(number(name)), `a whole ${name}, got ${values[name]}`);
  }
  const { num_points: numPoints, min_keypoints: minKeypoints } = values;
  rule(numPoints >= 1 && numPoints <= 255, `num_points of 1 to 255, got ${numPoints}`);
  rule(minKeypoints >= 1, `min_keypoints of at least 1, got ${minKeypoints}`);
  rule(number("max_gap") >= 0, `max_gap of at least 0, got ${values.max_gap}`);
  rule(number("min_share") > 0 && values.min_share <= 1, `0 < min_share <= 1, got ${values.min_share}`);
  rule(matching === "greedy", `the matching greedy in this app, got ${matching}`);
  const isInput = Array.isArray(inputHw) && inputHw.length === 2;
  rule(
    isInput && inputHw.every((size) => size >= stride && size % stride === 0),
    `an input_hw of multiples of its stride ${stride}, got ${inputHw}`,
  );
  return {
    inputHw: /** @type {[number, number]} */ ([...inputHw]),
    stride,
    sigma: values.sigma,
    minPeak: values.min_peak,
    maxPeaks: values.max_peaks,
    numPoints,
    minField: number("min_field"),
    minShare: values.min_share,
    maxGap: values.max_gap,
    minKeypoints,
    minScore: number("min_score"),
  };
}

/**
 * Finds the people in the maps of one picture.
 * @param {Maps} maps
 * @param {PartAffinityCodec} codec
 * @returns {FoundPerson[]} by falling score.
 */
export function assemblePeople(maps, codec) {
  const candidates = findCandidates(maps, codec);
  const limbs = measureLimbs(candidates, maps, codec);
  const people = joinLimbs(candidates, matchLimbs(limbs));
  sharePeaks(people, candidates, limbs);
  return gather(bridgeGaps(people, candidates, codec), candidates, maps.numKeypoints, codec);
}

/**
 * Finds the peaks of heatmaps, by keypoint, then y, then x.
 * @param {Maps} maps
 * @param {PartAffinityCodec} codec
 * @returns {Candidate[]}
 */
export function findCandidates({ height, width, numKeypoints, heatmaps }, { minPeak, maxPeaks, sigma }) {
  const channels = numKeypoints + 1;
  const lowest = fround(minPeak);
  const curvature = -1 / sigma ** 2;
  /** @type {Candidate[][]} */
  const found = Array.from({ length: numKeypoints }, () => []);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let k = 0; k < numKeypoints; k++) {
        const score = heatmaps[(y * width + x) * channels + k];
        if (!(score >= lowest)) continue;
        // null: beyond the border.
        const at = (/** @type {number} */ dx, /** @type {number} */ dy) =>
          x + dx < 0 || x + dx >= width || y + dy < 0 || y + dy >= height
            ? null
            : heatmaps[((y + dy) * width + x + dx) * channels + k];
        if (!isPeak(score, at)) continue;
        const stepX = topOf(at(-1, 0), score, at(1, 0), curvature);
        const stepY = topOf(at(0, -1), score, at(0, 1), curvature);
        found[k].push({ keypoint: k, x: fround(x + stepX), y: fround(y + stepY), score });
      }
    }
  }
  const highest = found.map((ofOne) =>
    ofOne.length <= maxPeaks ? ofOne : ofOne.sort((a, b) => b.score - a.score).slice(0, maxPeaks),
  );
  return highest.flatMap((ofOne) => ofOne.sort((a, b) => a.y - b.y || a.x - b.x));
}

/**
 * @param {number} score
 * @param {(dx: number, dy: number) => number | null} at
 */
function isPeak(score, at) {
  const isAbove = (/** @type {number | null} */ before) => before === null || score > before;
  const isNotBelow = (/** @type {number | null} */ after) => after === null || score >= after;
  return (
    isAbove(at(-1, 0)) && isAbove(at(0, -1)) && isAbove(at(-1, -1)) && isAbove(at(1, -1)) &&
    isNotBelow(at(1, 0)) && isNotBelow(at(0, 1)) && isNotBelow(at(-1, 1)) && isNotBelow(at(1, 1))
  ); // prettier-ignore
}

/**
 * Returns where the parabola through three logarithms has its top, -0.5 to 0.5.
 * @param {number | null} before
 * @param {number} center
 * @param {number | null} after
 * @param {number} curvature beyond the border.
 */
function topOf(before, center, after, curvature) {
  const logShare = (/** @type {number | null} */ value) =>
    value === null ? null : Math.log(Math.max(value / center, LOWEST_SHARE));
  const [ofBefore, ofAfter] = [logShare(before), logShare(after)];
  if (ofBefore === null && ofAfter === null) return 0;
  const left = ofBefore ?? curvature - /** @type {number} */ (ofAfter);
  const right = ofAfter ?? curvature - left;
  const bend = left + right;
  return bend < 0 ? Math.min(0.5, Math.max(-0.5, (left - right) / (2 * bend))) : 0;
}

/**
 * Finds the pairs of candidates that may be limbs, by falling score.
 * @param {Candidate[]} candidates
 * @param {Maps} maps
 * @param {PartAffinityCodec} codec
 * @returns {Limb[]}
 */
function measureLimbs(candidates, maps, codec) {
  const measure = limbMeter(candidates, maps, codec);
  const indices = Array.from({ length: maps.numKeypoints }, () => /** @type {number[]} */ ([]));
  for (const [i, { keypoint }] of candidates.entries()) indices[keypoint].push(i);
  /** @type {Limb[]} */
  const limbs = [];
  for (const [kind, [from, to]] of maps.limbPairs.entries()) {
    for (const first of indices[from]) {
      for (const last of indices[to]) {
        const score = measure(kind, first, last);
        if (score !== null) limbs.push({ kind, first, last, score });
      }
    }
  }
  return limbs.sort((a, b) => b.score - a.score || a.kind - b.kind || a.first - b.first || a.last - b.last);
}

/**
 * Returns a function that rates a pair; null: it is no limb.
 * @param {Candidate[]} candidates
 * @param {Maps} maps
 * @param {PartAffinityCodec} codec
 * @returns {(kind: number, first: number, last: number) => number | null}
 */
function limbMeter(candidates, { height, width, limbPairs, fields }, { numPoints, minField, minShare }) {
  // Counted from the first cell of a frame around the map, which repeats the outermost ones.
  const xs = Float32Array.from(candidates, ({ x }) => x + 1);
  const ys = Float32Array.from(candidates, ({ y }) => y + 1);
  const shares = Float32Array.from({ length: numPoints }, (_, i) => (i + 0.5) / numPoints);
  const mostMissed = numPoints - Math.ceil(minShare * numPoints - 1e-9);
  const channels = 2 * limbPairs.length;
  const cellOf = (/** @type {number} */ framed, /** @type {number} */ size) => Math.min(Math.max(framed - 1, 0), size - 1);
  return (kind, first, last) => {
    const dx = fround(xs[last] - xs[first]);
    const dy = fround(ys[last] - ys[first]);
    const square = fround(fround(dx * dx) + fround(dy * dy));
    const isNear = square < NEAR ** 2;
    const length = Math.max(fround(Math.sqrt(square)), fround(1e-6));
    let sum = 0;
    let missed = 0;
    for (const share of shares) {
      const x = fround(xs[first] + fround(share * dx));
      const y = fround(ys[first] + fround(share * dy));
      const [column, row] = [Math.trunc(x), Math.trunc(y)];
      const [right, below] = [x - column, y - row];
      const [x0, x1] = [cellOf(column, width), cellOf(column + 1, width)];
      const [above, under] = [cellOf(row, height) * width, cellOf(row + 1, height) * width];
      const read = (/** @type {number} */ channel) => {
        const near = fields[(above + x0) * channels + channel] * (1 - right) + fields[(above + x1) * channels + channel] * right;
        const far = fields[(under + x0) * channels + channel] * (1 - right) + fields[(under + x1) * channels + channel] * right;
        return near * (1 - below) + far * below;
      };
      const along = (read(2 * kind) * dx + read(2 * kind + 1) * dy) / length;
      sum += along;
      if (!(along > minField) && ++missed > mostMissed && !isNear) return null;
    }
    const score = sum / numPoints;
    if (!isNear) return score;
    const byNearness = fround(fround(minField) * fround(2 - length));
    return score >= byNearness ? score : byNearness;
  };
}

/**
 * Takes limbs by falling score, none with an end that one of its kind has already.
 * @param {Limb[]} limbs
 */
function matchLimbs(limbs) {
  const [begun, ended] = [new Set(), new Set()];
  return limbs.filter(({ kind, first, last }) => {
    const [begin, end] = [`${kind} ${first}`, `${kind} ${last}`];
    if (begun.has(begin) || ended.has(end)) return false;
    begun.add(begin);
    ended.add(end);
    return true;
  });
}

/**
 * Joins candidates to people, strongest limb first.
 * @param {Candidate[]} candidates
 * @param {Limb[]} limbs
 * @returns {number[][]} candidates of each, in the order of their first ones.
 */
function joinLimbs(candidates, limbs) {
  const group = [...candidates.keys()];
  const members = group.map((i) => [i]);
  const keypoints = candidates.map(({ keypoint }) => new Set([keypoint]));
  for (const { first, last } of limbs) {
    const [one, other] = [group[first], group[last]];
    if (one === other || haveCommon(keypoints[one], keypoints[other])) continue;
    for (const i of members[other]) {
      group[i] = one;
      keypoints[one].add(candidates[i].keypoint);
    }
    members[one].push(...members[other]);
    members[other] = [];
  }
  const firsts = (/** @type {number[]} */ person) => Math.min(...person);
  return members.filter((person) => person.length).sort((a, b) => firsts(a) - firsts(b));
}

/**
 * @param {Set<number>} some
 * @param {Set<number>} others
 */
function haveCommon(some, others) {
  for (const one of others) if (some.has(one)) return true;
  return false;
}

/**
 * Lets people use keypoints of others that their own limbs lead to, in place.
 * @param {number[][]} people
 * @param {Candidate[]} candidates
 * @param {Limb[]} limbs by falling score.
 */
function sharePeaks(people, candidates, limbs) {
  const keypoints = people.map((person) => new Set(person.map((i) => candidates[i].keypoint)));
  const counts = people.map((person) => person.length);
  /** @type {number[]} */
  const owner = new Array(candidates.length);
  for (const [n, person] of people.entries()) for (const i of person) owner[i] = n;
  const give = (/** @type {number} */ end, /** @type {number} */ person) => {
    const { keypoint } = candidates[end];
    if (counts[person] < LEAST_OWN || keypoints[person].has(keypoint)) return;
    people[person].push(end);
    keypoints[person].add(keypoint);
  };
  for (const { first, last } of limbs) {
    give(last, owner[first]);
    give(first, owner[last]);
  }
}

/**
 * Joins people who are parts of one: near each other, with no keypoint in common.
 * @param {number[][]} people
 * @param {Candidate[]} candidates
 * @param {PartAffinityCodec} codec
 * @returns {number[][]}
 */
function bridgeGaps(people, candidates, codec) {
  const parts = people.map((person) => partOf(person, candidates));
  const maxGap = fround(codec.maxGap);
  /** @type {{gap: number, one: number, other: number}[]} */
  const gaps = [];
  for (let one = 0; one < parts.length; one++) {
    for (let other = one + 1; other < parts.length; other++) {
      if (haveCommon(parts[one].keypoints, parts[other].keypoints)) continue;
      const gap = gapBetween(parts[one], parts[other]);
      if (gap < maxGap) gaps.push({ gap, one, other });
    }
  }
  gaps.sort((a, b) => a.gap - b.gap || a.one - b.one || a.other - b.other);
  const group = [...people.keys()];
  const joined = people.map((person) => [...person]);
  for (const { one, other } of gaps) {
    const [a, b] = [Math.min(group[one], group[other]), Math.max(group[one], group[other])];
    if (a === b || haveCommon(parts[a].keypoints, parts[b].keypoints)) continue;
    for (const keypoint of parts[b].keypoints) parts[a].keypoints.add(keypoint);
    for (const [i, of] of group.entries()) if (of === b) group[i] = a;
    joined[a].push(...joined[b]);
    joined[b] = [];
  }
  return joined.filter((person) => person.length);
}

/**
 * @typedef {object} Part of a person.
 * @property {Set<number>} keypoints
 * @property {Candidate[]} candidates
 * @property {number} extent diagonal of their box.
 *
 * @param {number[]} person
 * @param {Candidate[]} candidates
 * @returns {Part}
 */
function partOf(person, candidates) {
  const own = person.map((i) => candidates[i]);
  const side = (/** @type {number[]} */ values) => fround(Math.max(...values) - Math.min(...values));
  const [width, height] = [side(own.map(({ x }) => x)), side(own.map(({ y }) => y))];
  return { keypoints: new Set(own.map(({ keypoint }) => keypoint)), candidates: own, extent: lengthOf(width, height) };
}

/**
 * @param {number} dx float32.
 * @param {number} dy float32.
 */
function lengthOf(dx, dy) {
  return fround(Math.sqrt(fround(fround(dx * dx) + fround(dy * dy))));
}

/**
 * Returns the distance of the nearest candidates, in extents of the larger part.
 * @param {Part} one
 * @param {Part} other
 */
function gapBetween(one, other) {
  let nearest = Infinity;
  for (const a of one.candidates) {
    for (const b of other.candidates) {
      const distance = lengthOf(fround(a.x - b.x), fround(a.y - b.y));
      if (distance < nearest) nearest = distance;
    }
  }
  return fround(nearest / Math.max(one.extent, other.extent, fround(1e-3)));
}

/**
 * Makes arrays of people; those of too little go.
 * @param {number[][]} people
 * @param {Candidate[]} candidates
 * @param {number} numKeypoints
 * @param {PartAffinityCodec} codec
 * @returns {FoundPerson[]}
 */
function gather(people, candidates, numKeypoints, { minKeypoints, minScore }) {
  /** @type {FoundPerson[]} */
  const found = [];
  for (const person of people) {
    const [xy, scores] = [new Float32Array(2 * numKeypoints), new Float32Array(numKeypoints)];
    for (const i of person) {
      const { keypoint, x, y, score } = candidates[i];
      xy.set([x, y], 2 * keypoint);
      scores[keypoint] = score;
    }
    // In double precision such a sum is exact, whatever the order.
    const total = scores.reduce((sum, score) => sum + score, 0);
    if (person.length < minKeypoints || !(total >= fround(minScore) * person.length)) continue;
    found.push({ xy, scores, score: fround(total / numKeypoints) });
  }
  return found.sort((a, b) => b.score - a.score);
}
