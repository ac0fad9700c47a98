"""Measures what a codec alone costs: the AP of labels that were encoded and decoded.

    python training/codec_ceiling.py --dataset synthetic --input-hw 128 96
    python training/codec_ceiling.py --dataset coco --data-dir ~/coco --input-hw 256 192

No model that is trained on such targets can be expected to score higher.
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
    add("--dataset", default="coco", help="coco or synthetic (default: coco)")
    add("--data-dir", help="folder of the data set (default: data/<data set>)")
    add("--split", default="val", help="train or val (default: val)")
    add("--input-hw", type=positive_int, nargs=2, default=(256, 192), metavar=("H", "W"))
    return parser.parse_args(argv)


def encode_and_decode(record, codec):
    """Returns a COCO result of one person's labels; keypoints score what they decode to."""
    import numpy as np

    from keras_pose import geometry

    center_xy, size_wh = geometry.box_to_crop(record.box_xywh, codec.input_hw)
    matrix = geometry.crop_matrix(
        center_xy, size_wh[0], codec.input_hw, is_unbiased=codec.is_unbiased
    )
    points_xy = geometry.transform_points(matrix, record.keypoints_xy)
    targets, _ = codec.encode(points_xy, record.visibility)
    points_xy, scores = codec.decode(targets)
    points_xy = geometry.transform_points(geometry.invert_matrix(matrix), points_xy)
    return {
        "image_id": record.image_id,
        "category_id": 1,
        "keypoints": np.column_stack([points_xy, scores]).ravel().tolist(),
        "score": float(scores.mean()),
    }


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    # Imported after parsing: `--help` must not wait for NumPy.
    from keras_pose.codecs import CODECS
    from keras_pose.data import open_dataset
    from keras_pose.metrics.coco_ap import evaluate_coco

    dataset = open_dataset(args.dataset, args.data_dir, args.split)
    for name, codec_class in CODECS.items():
        codec = codec_class.for_input(tuple(args.input_hw))
        results = [encode_and_decode(record, codec) for record in dataset.records]
        stats = evaluate_coco(dataset.annotation_path, results, dataset.skeleton.oks_sigmas)
        height, width = args.input_hw
        print(
            f"AP {stats['AP']:.3f} | {args.dataset} {args.split}, {len(results)} people | "
            f"GT boxes | labels, no model | {name} codec | "
            f"{height}x{width}"
        )


if __name__ == "__main__":
    main()
