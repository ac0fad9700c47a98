"""Draws a contact sheet of a model's predictions on a data set's people.

    python training/browse.py --weights runs/NAME/best.keras --dataset coco
    python training/browse.py --weights pose_model.tflite --dataset synthetic --images 24

People are found by their ground-truth boxes; what is drawn is the model's own.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from a clone

from keras_pose.commandline import plain_errors


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--weights", required=True, metavar="FILE",
        help=".keras, .tflite, .onnx, or with --model a word: coco")  # fmt: skip
    add("--model", help="zoo name, for weights that do not say it")
    add("--dataset", default="coco", help="coco or synthetic (default: coco)")
    add("--data-dir", help="folder of the data set (default: data/<data set>)")
    add("--split", default="val", help="train or val (default: val)")
    add("--images", type=int, default=15, help="how many to draw (default: 15)")
    add("--columns", type=int, default=5, help="per row (default: 5)")
    add("--seed", type=int, default=0, help="which images (default: 0)")
    add("--threshold", type=float, default=0.2, help="of keypoint scores (default: 0.2)")
    add("--output", type=Path, default=Path("predictions.png"), metavar="FILE")
    return parser.parse_args(argv)


def choose_images(records, count, seed):
    """Returns up to `count` groups of records, one group an image."""
    import numpy as np

    groups = {}
    for record in records:
        groups.setdefault(record.image_path, []).append(record)
    paths = sorted(groups)
    chosen = np.random.default_rng(seed).permutation(len(paths))[:count]
    return [groups[paths[i]] for i in chosen]


def draw_people(records, estimator, threshold):
    """Returns one image with the predicted poses of its people."""
    import numpy as np

    from keras_pose.drawing import draw_poses
    from keras_pose.images import read_image

    image = read_image(records[0].image_path, honour_exif=False)
    boxes = np.stack([record.box_xywh for record in records])
    boxes_xyxy = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    return draw_poses(image, estimator(image, boxes_xyxy), threshold=threshold)


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    # Imported after parsing: TensorFlow takes seconds, `--help` must not.
    from keras_pose.data import open_dataset
    from keras_pose.drawing import contact_sheet
    from keras_pose.files import check_writable
    from keras_pose.images import write_image
    from keras_pose.inference import PoseEstimator
    from keras_pose.runtime import load_model

    check_writable(args.output.parent)
    estimator = PoseEstimator(load_model(args.weights, args.model))
    records = open_dataset(args.dataset, args.data_dir, args.split).records
    groups = choose_images(records, args.images, args.seed)
    drawings = [draw_people(group, estimator, args.threshold) for group in groups]
    sheet = contact_sheet(drawings, args.columns)
    print(f"written     {write_image(args.output, sheet)}")


if __name__ == "__main__":
    main()
