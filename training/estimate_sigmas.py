"""Estimates OKS sigmas of keypoints of your own, with their uncertainty.

    python training/estimate_sigmas.py --labels anna ben --output mine.json
    python training/estimate_sigmas.py --labels label_studio_export --output mine.json
    python training/estimate_sigmas.py --models a.tflite b.tflite --data-dir FOLDER

Of labels that several people made of the same pictures (a folder of each, or one export
of Label Studio with several annotations a task), as COCO's sigmas were made. Or of how far
two models are apart on a set's people: an order of magnitude only, as models err by more
than people, and alike if they learned from the same labels. --output writes a skeleton
file for --skeleton, whose name says what the sigmas are from.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from a clone

from keras_pose.commandline import plain_errors, positive_int

LEAST_PAIRS = 10


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--labels", nargs="+", type=Path, metavar="FOLDER",
                        help="labels of the same pictures, a folder each")  # fmt: skip
    source.add_argument("--models", nargs=2, type=Path, metavar="FILE",
                        help="two models of the same keypoints")  # fmt: skip
    add("--data-dir", type=Path, metavar="FOLDER", help="people to run --models on")
    add("--split", default="val", help="of them (default: val)")
    add("--threshold", type=float, default=0.3,
        help="score of both models that a keypoint counts from (default: 0.3)")  # fmt: skip
    add("--category", metavar="NAME", help="of files with several, the one to read")
    add("--least", type=positive_int, default=LEAST_PAIRS, metavar="N",
        help=f"pairs that a sigma must be from (default: {LEAST_PAIRS})")  # fmt: skip
    add("--output", type=Path, metavar="FILE", help="skeleton file to write")
    args = parser.parse_args(argv)
    if bool(args.models) != bool(args.data_dir):
        parser.error("--models and --data-dir go together: people to run the models on")
    return args


def pairs_of_models(args):
    """Returns skeleton and pairs of predictions of two models for a set's people."""
    import numpy as np

    from keras_pose.data.datasets import open_for_skeleton
    from keras_pose.data.readers.coco import Reading
    from keras_pose.data.repeated import LabelledPose, PosePairs, squared_distances
    from keras_pose.inference import PoseEstimator
    from keras_pose.pictures.geometry import xywh_to_xyxy
    from keras_pose.pictures.images import read_labelled

    estimators = [PoseEstimator(path) for path in args.models]
    skeleton, other = (estimator.skeleton for estimator in estimators)
    if skeleton.names != other.names:
        raise ValueError(
            f"Two models of the same keypoints are needed, got {skeleton.names} and "
            f"{other.names}."
        )
    dataset = open_for_skeleton(
        "coco", args.data_dir, args.split, skeleton, Reading(args.category)
    )
    numbers, rows = {}, []
    for record in dataset.records:
        image = read_labelled(record.image_path, record.image_hw)
        box = xywh_to_xyxy(record.box_xywh)[None]
        poses = [estimator(image, box) for estimator in estimators]
        both = [
            LabelledPose(
                pose.keypoints_xy[0],
                pose.keypoint_scores[0] > args.threshold,
                record.area,
            )
            for pose in poses
        ]
        number = numbers.setdefault(record.image_path, len(numbers))
        rows.append((number, squared_distances(*both)))
    pictures, squared = zip(*rows, strict=True)
    return skeleton, PosePairs(np.array(squared), np.array(pictures))


def print_table(estimate, least):
    """Prints each keypoint; returns those that too few pairs are of."""
    print(
        f"{'keypoint':24} {'sigma':>7} {'95 % interval':>17} {'pairs':>7} {'left out':>9}"
    )
    for k, name in enumerate(estimate.skeleton.names):
        interval = f"{estimate.low[k]:.4f} to {estimate.high[k]:.4f}"
        print(f"{name:24} {estimate.sigmas[k]:7.4f} {interval:>17} {estimate.counts[k]:7} "
              f"{estimate.num_gross[k]:9}")  # fmt: skip
    return [
        f"{name} ({count})"
        for name, count in zip(estimate.skeleton.names, estimate.counts, strict=True)
        if count < least
    ]


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    from keras_pose.data.readers.coco import Reading
    from keras_pose.data.repeated import read_repeated
    from keras_pose.metrics.sigmas import estimate_sigmas
    from keras_pose.skeleton.files import write_skeleton

    if args.labels:
        skeleton, pairs = read_repeated(args.labels, Reading(args.category))
        word = "repeated labels"
    else:
        skeleton, pairs = pairs_of_models(args)
        word = "agreement of two models"
    print(f"from        {word}: {len(pairs.squared):,} pairs of poses in "
          f"{len(set(pairs.pictures.tolist())):,} pictures")  # fmt: skip
    estimate = estimate_sigmas(skeleton, pairs.squared, pairs.pictures)
    rare = print_table(estimate, args.least)
    if rare and args.output:
        raise ValueError(
            f"A sigma must be from at least {args.least} pairs of labels, got "
            f"{', '.join(rare)}: label more, or take --least, at your own risk."
        )
    if args.output:
        sigmas = tuple(round(float(sigma), 5) for sigma in estimate.sigmas)
        name = f"{skeleton.name} (sigmas of {word})"
        skeleton = dataclasses.replace(skeleton, name=name, oks_sigmas=sigmas)
        print(f"written     {write_skeleton(args.output, skeleton)}")


if __name__ == "__main__":
    sys.exit(main())
