"""Measures what a codec alone costs: labels that were encoded and decoded are scored.

    python training/codec_ceiling.py --dataset synthetic --input-hw 128 96
    python training/codec_ceiling.py --dataset coco --data-dir ~/coco --input-hw 256 192

By the data set's own metric. No model that is trained on such targets can be expected
to score higher.
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
    add("--dataset", default="coco", help="name of the data set (default: coco)")
    add("--data-dir", help="folder of the data set (default: data/<data set>)")
    add("--split", default="val", help="such as train or val (default: val)")
    add("--input-hw", type=positive_int, nargs=2, default=(256, 192), metavar=("H", "W"))
    return parser.parse_args(argv)


class LabelModel:
    """Stands in for a model: its outputs are the targets of the people themselves."""

    def __init__(self, contract, records):
        self._contract = contract
        # The evaluator predicts in this order.
        self._records = sorted(records, key=lambda record: str(record.image_path))
        self._next = 0

    def predict(self, crops):
        import numpy as np

        chosen = self._records[self._next : self._next + len(crops)]
        self._next += len(crops)
        return np.concatenate([self._targets(record) for record in chosen])

    def _targets(self, record):
        from keras_pose import geometry

        codec = self._contract.codec
        center_xy, size_wh = geometry.box_to_crop(record.box_xywh, codec.input_hw)
        matrix = geometry.crop_matrix(
            center_xy, size_wh[0], codec.input_hw, is_unbiased=codec.is_unbiased
        )
        points_xy = geometry.transform_points(matrix, record.keypoints_xy)
        targets, _ = codec.encode(points_xy[None], record.visibility[None])
        return targets


def make_contract(codec, skeleton):
    """Returns the contract of a model that would be trained on the codec's targets."""
    from keras_pose.contract import Contract, TensorSpec

    shape = codec.output_shape(skeleton.num_keypoints)
    return Contract(
        model="labels",
        input=TensorSpec("image", (1, *codec.input_hw, 3), "uint8"),
        output=TensorSpec(codec.output_name, (1, *shape), "float32"),
        codec=codec,
        skeleton=skeleton,
    )


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    # Imported after parsing: `--help` must not wait for NumPy.
    from keras_pose.codecs import CODECS
    from keras_pose.data import coco_ground_truth, open_dataset
    from keras_pose.metrics import METRICS, evaluate, measurable_metrics

    dataset = open_dataset(args.dataset, args.data_dir, args.split)
    metric, truth = measurable_metrics(dataset)[0], coco_ground_truth(dataset)
    figure = METRICS[metric].columns[0]
    height, width = args.input_hw
    for name, codec_class in CODECS.items():
        contract = make_contract(codec_class.for_input((height, width)), dataset.skeleton)
        model = LabelModel(contract, dataset.records)
        result = evaluate(
            model.predict, contract, dataset.records, truth, metrics=(metric,),
            nms="off",  # everybody is in their own box
        )  # fmt: skip
        print(
            f"{figure} {result.stats[figure]:.3f} | {args.dataset} {args.split}, "
            f"{len(dataset.records)} people | GT boxes | labels, no model | {name} codec "
            f"| {height}x{width}"
        )


if __name__ == "__main__":
    main()
