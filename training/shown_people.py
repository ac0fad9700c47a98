"""Counts what an app shows: people found, missed, wrong and double, by its two thresholds.

    python training/shown_people.py --dataset coco --data-dir ~/coco
    python training/shown_people.py --pose pose.tflite --detector person.tflite \\
        --dataset coco --data-dir ~/coco --box-thresholds 0.2 0.3 0.4 --nms-thresholds 0.5

Without --pose and --detector it is the models that come with the package. AP ranks all
proposals and has no thresholds; an app has two: boxes above
`PoseEstimator(box_threshold=...)` are people, and of two poses whose OKS is above
`nms_threshold` one stays.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from a clone

from keras_pose.commandline import plain_errors, positive_int


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--pose", metavar="FILE", help="pose model file")
    add("--detector", metavar="FILE", help="detector file, or its description")
    add("--dataset", default="coco", help="name of the data set (default: coco); "
        "mine=FOLDER for a set of your own in COCO's format")  # fmt: skip
    add("--data-dir", help="its folder (default: data/<data set>)")
    add("--category", metavar="NAME", help="of files in COCO's format with several "
        "categories that have keypoints: the one to read")  # fmt: skip
    add("--rescale-labels", action="store_true", help="scale labels to pictures that were "
        "made smaller or larger after they were labelled")  # fmt: skip
    add("--split", default="val")
    add("--limit", type=positive_int, metavar="N", help="the first N images")
    add("--box-thresholds", type=float, nargs="+", metavar="SCORE",
        help="default: that of the app")  # fmt: skip
    add("--nms-thresholds", type=float, nargs="+", metavar="OKS",
        default=[1.0, 0.9, 0.7, 0.6, 0.5, 0.4, 0.3])  # fmt: skip
    return parser.parse_args(argv)


def print_table(seen, box_thresholds, nms_thresholds):
    from keras_pose.measuring.shown import count_shown

    print("box score >  OKS >  labelled  found  doubles  wrong  right")
    for box_threshold in box_thresholds:
        for nms_threshold in nms_thresholds:
            counts = count_shown(seen, box_threshold, nms_threshold)
            print(
                f"{box_threshold:11.2f} {nms_threshold:6.2f} {counts.labelled:9d} "
                f"{counts.found:6d} {counts.doubles:8d} {counts.wrong:6d} "
                f"{counts.right_share:6.0%}"
            )


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    from keras_pose.data.mixing import one_set
    from keras_pose.data.readers.coco import Reading
    from keras_pose.inference import PoseEstimator
    from keras_pose.measuring import MeasureSettings
    from keras_pose.measuring.shown import find_people

    estimator = PoseEstimator(args.pose, args.detector)
    box_thresholds = args.box_thresholds or [estimator.box_threshold]
    estimator.box_threshold = min(box_thresholds)
    settings = MeasureSettings(
        *one_set(args.dataset, args.data_dir),
        split=args.split,
        limit=args.limit,
        reading=Reading(args.category, args.rescale_labels),
    )
    seen = list(find_people(estimator, settings))
    print(
        f"{args.dataset} {args.split}: {len(seen)} images in which keypoints are labelled, "
        f"pose {estimator.pose_model.contract.model}"
    )
    print_table(seen, box_thresholds, args.nms_thresholds)


if __name__ == "__main__":
    main()
