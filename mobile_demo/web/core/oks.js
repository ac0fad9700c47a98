/**
 * Object keypoint similarity, the IoU of poses; SPEC.md, section 8.
 */

const TINY = Number.EPSILON;

/**
 * Returns the mean over keypoints of exp(-distance^2 / ((2 sigma)^2 * 2 area)).
 *
 * @param {ArrayLike<number>} poseXy (K * 2)
 * @param {ArrayLike<number>} otherXy (K * 2)
 * @param {number} area pixels^2; the mean of both people's.
 * @param {readonly number[]} sigmas (K)
 * @param {(k: number) => boolean} [isCounted] which keypoints count; all by default.
 * @returns {number} in [0, 1]; 0 where none counts.
 */
export function oks(poseXy, otherXy, area, sigmas, isCounted = () => true) {
  let sum = 0;
  let count = 0;
  for (let k = 0; k < sigmas.length; k++) {
    if (!isCounted(k)) continue;
    const dx = poseXy[2 * k] - otherXy[2 * k];
    const dy = poseXy[2 * k + 1] - otherXy[2 * k + 1];
    sum += Math.exp(-(dx * dx + dy * dy) / (2 * sigmas[k]) ** 2 / (area + TINY) / 2);
    count++;
  }
  return sum / Math.max(1, count);
}

/**
 * Drops poses that are too similar to one of higher score.
 *
 * @param {readonly {keypointsXy: ArrayLike<number>, score: number, area: number}[]} poses
 * @param {readonly number[]} sigmas
 * @param {number} threshold a pose goes when its OKS with a kept one is above.
 * @returns {number[]} indices of those that stay, best score first.
 */
export function oksNms(poses, sigmas, threshold) {
  let order = poses.map((_, i) => i).sort((i, j) => poses[j].score - poses[i].score);
  const kept = [];
  while (order.length) {
    const [best, ...others] = order;
    kept.push(best);
    order = others.filter((other) => {
      const area = (poses[best].area + poses[other].area) / 2;
      return !(oks(poses[best].keypointsXy, poses[other].keypointsXy, area, sigmas) > threshold);
    });
  }
  return kept;
}
