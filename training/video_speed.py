"""Measures what overlapping stages and following regions gain on a video.

    python training/video_speed.py --images photos/ --pose pose.tflite --detector det.tflite

The clip is made here: a camera that pans over the photos of a folder. Each way of working
sees the same clip, in one process, one after the other:

- all stages one after another, networks on all cores, against stages that overlap, which
  leaves a core to the others (as `python -m keras_pose` does), with the drawing written;
- the detector on every frame against following for N frames. How near the poses stay is
  their OKS with those of the people found on every frame (0 for who was not found).
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from a clone

from keras_pose.commandline import plain_errors, positive_int


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--images", type=Path, required=True, help="folder of photos with people")
    add("--pose", required=True, help="pose model file")
    add("--detector", required=True, help="detector file")
    add("--num-photos", type=positive_int, default=6)
    add("--frames-per-photo", type=positive_int, default=40)
    add("--detect-every", type=positive_int, nargs="+", default=[3, 5, 10], metavar="N")
    add("--num-threads", type=positive_int,
        help="of each network where stages are one by one (default: all)")  # fmt: skip
    return parser.parse_args(argv)


def pan(image, num_frames, output_hw):
    """Yields views of an image: a window of 4/5 of its size goes from corner to corner."""
    import cv2
    import numpy as np

    height, width = image.shape[:2]
    zoom = 0.8 * min(height / output_hw[0], width / output_hw[1])
    view_wh = zoom * np.array(output_hw[::-1])
    way_xy = np.array([width, height]) - view_wh
    for t in np.linspace(0, 1, num_frames):
        left, top = t * way_xy
        matrix = np.array([[1 / zoom, 0, -left / zoom], [0, 1 / zoom, -top / zoom]])
        yield cv2.warpAffine(image, matrix, output_hw[::-1], flags=cv2.INTER_AREA)


def make_clip(path, photos, frames_per_photo, output_hw=(360, 480), fps=25):
    """Writes the clip; each photo begins with a cut."""
    from keras_pose.inference.writers import open_video
    from keras_pose.pictures.images import read_image

    with open_video(path, fps) as writer:
        for photo in photos:
            for view in pan(read_image(photo), frames_per_photo, output_hw):
                writer.write(view)


def watch(clip, estimator, output=None, **settings):
    """Returns the summary of one way of working, and the people of each frame."""
    from keras_pose.inference.frame_sources import open_source
    from keras_pose.inference.video import VideoSettings, annotate

    people = []
    summary = annotate(
        open_source(clip),
        estimator,
        output,
        settings=VideoSettings(is_smoothed=False, **settings),
        on_frame=lambda frame, poses: people.append(poses),
    )
    return summary, people


def mean_oks(references, others):
    """Returns the mean over people of their best OKS in the same frame, and how many."""
    import numpy as np

    from keras_pose.pictures.oks import object_keypoint_similarity, sigmas_of

    best = []
    for reference, other in zip(references, others, strict=True):
        sides = reference.boxes_xyxy[:, 2:] - reference.boxes_xyxy[:, :2]
        similarity = object_keypoint_similarity(
            other.keypoints_xy,
            reference.keypoints_xy,
            sides.prod(axis=1),
            sigmas_of(reference.skeleton),
        )
        best += similarity.max(axis=0, initial=0.0).tolist()
    return (float(np.mean(best)) if best else float("nan")), len(best)


def measure_overlap(clip, alone, beside, folder):
    """Prints frames per second with stages one by one, and side by side.

    `alone`, `beside`: the estimators of either.
    """
    for estimator in (alone, beside):
        watch(clip, estimator, is_overlapped=True, max_frames=10)  # warm up
    alone, _ = watch(clip, alone, folder / "a.mp4", is_overlapped=False)
    together, _ = watch(clip, beside, folder / "b.mp4", is_overlapped=True)
    print(f"one by one  {alone.text()}")
    print(f"overlapping {together.text()}")
    print(f"overlap     {together.fps / alone.fps:.2f} times the frames per second")


def measure_following(clip, estimator, every):
    """Prints speed and likeness of following, against detecting on every frame."""
    usual, references = watch(clip, estimator, detect_every=1)
    print(f"every frame {usual.text()}")
    for n in every:
        summary, people = watch(clip, estimator, detect_every=n)
        oks, count = mean_oks(references, people)
        print(
            f"every {n:<5} {summary.fps:.1f} frames/s, {summary.fps / usual.fps:.2f} times "
            f"as many; detector on {summary.num_detected} of {summary.num_frames} frames; "
            f"mean OKS {oks:.3f} with the {count} people found on every frame"
        )


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    from keras_pose.inference import PoseEstimator
    from keras_pose.inference.frame_sources import pictures_in
    from keras_pose.inference.overlap import network_threads
    from keras_pose.runtime.instructions import machine_line

    photos = pictures_in(args.images)[: args.num_photos]
    if not photos:
        raise ValueError(f"There are no pictures in the folder {args.images}.")
    estimator = PoseEstimator(args.pose, args.detector, num_threads=args.num_threads)
    beside = PoseEstimator(args.pose, args.detector, num_threads=network_threads())
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        make_clip(clip, photos, args.frames_per_photo)
        print(f"clip        {len(photos)} photos x {args.frames_per_photo} frames")
        print(f"{machine_line()}; load {os.getloadavg()[0]:.1f}")
        measure_overlap(clip, estimator, beside, Path(folder))
        measure_following(clip, estimator, args.detect_every)


if __name__ == "__main__":
    main()
