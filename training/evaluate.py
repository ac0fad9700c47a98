"""Measures COCO AP and AR of model files on a data set's people, from their boxes.

    python training/evaluate.py --weights runs/NAME/best.keras --dataset coco
    python training/evaluate.py --weights w.weights.h5 --model hrnet_w32 --data-dir ~/coco
    python training/evaluate.py --weights best.keras int8.tflite --dataset synthetic

Writes metrics_<file>_<data set>_<split>.json beside each file, with the protocol the
number was measured under. Several files are also printed as one table.
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
    add("--weights", nargs="+", required=True, type=Path, metavar="FILE",
        help=".keras, .weights.h5 (with --model), .tflite or .onnx")  # fmt: skip
    add("--model", help="zoo name, needed for .weights.h5")
    add("--num-keypoints", type=int, help="of .weights.h5, if not the zoo's")
    add("--input-hw", type=int, nargs=2, metavar=("H", "W"), help="likewise, pixels")
    add("--dataset", default="coco", help="coco or synthetic (default: coco)")
    add("--data-dir", help="folder of the data set (default: data/<data set>)")
    add("--split", default="val", help="train or val (default: val)")
    add("--flip-test", action="store_true", help="average with mirrored crops")
    add("--limit", type=positive_int, metavar="N", help="only the first N images")
    add("--batch-size", type=positive_int, default=32, help="people at once (default: 32)")
    add("--output", type=Path, metavar="PATH",
        help="folder, or .json file for a single model file")  # fmt: skip
    add("--predictions", type=Path, metavar="FILE", help="also write COCO results there")
    args = parser.parse_args(argv)
    if len(args.weights) > 1 and (args.predictions or is_file_name(args.output)):
        parser.error("several --weights take a folder as --output, and no --predictions")
    if args.model is None and any(
        path.name.endswith(".weights.h5") for path in args.weights
    ):
        parser.error("a .weights.h5 file holds nothing but weights: add --model NAME")
    return args


def is_file_name(path):
    return path is not None and path.suffix == ".json"


def metrics_path(weights, args):
    """Returns where the numbers of one model file go."""
    if is_file_name(args.output):
        return args.output
    parts = ["metrics", weights.name.replace(".", "_"), args.dataset, args.split]
    parts += ["flip"] * args.flip_test + [f"first{args.limit}"] * bool(args.limit)
    return (args.output or weights.parent) / ("_".join(parts) + ".json")


def first_images(dataset, limit):
    """Returns the people of the first `limit` images, and those images' ids."""
    if limit is None:
        return dataset.records, None
    image_ids = list(dict.fromkeys(record.image_id for record in dataset.records))[:limit]
    chosen = set(image_ids)
    return [r for r in dataset.records if r.image_id in chosen], image_ids


def warm_up(model):
    """Runs once, so that building the graph is not counted as the model's time."""
    import numpy as np

    model.predict(np.zeros((1, *model.contract.input_hw, 3), np.uint8))


def evaluate_file(weights, dataset, args):
    """Evaluates one model file and writes what it found."""
    from keras_pose.files import write_json
    from keras_pose.metrics import evaluate
    from keras_pose.metrics.protocol import build_protocol, describe, metrics_dict
    from keras_pose.runtime import load_model

    input_hw = args.input_hw and tuple(args.input_hw)
    model = load_model(weights, args.model, args.num_keypoints, input_hw)
    warm_up(model)
    records, image_ids = first_images(dataset, args.limit)
    result = evaluate(
        model.predict,
        model.contract,
        records,
        dataset.annotation_path,
        flip_test=args.flip_test,
        batch_size=args.batch_size,
        image_ids=image_ids,
    )
    protocol = build_protocol(
        dataset, model.contract, weights, result, is_subset=args.limit is not None
    )
    print(describe(result.stats, protocol))
    path = write_json(metrics_path(weights, args), metrics_dict(result, protocol))
    print(f"written     {path}")
    if args.predictions:
        print(f"written     {write_json(args.predictions, result.detections)}")
    return result, protocol


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    # Imported after parsing: TensorFlow takes seconds, `--help` must not.
    from keras_pose.data import open_dataset
    from keras_pose.files import check_writable
    from keras_pose.metrics.protocol import comparison_table
    from keras_pose.runtime.loading import file_type

    for weights in args.weights:
        file_type(weights)  # all of them, before the first takes its minutes
        check_writable(metrics_path(weights, args).parent)
    dataset = open_dataset(args.dataset, args.data_dir, args.split)
    measured = [evaluate_file(weights, dataset, args) for weights in args.weights]
    if len(measured) > 1:
        print("\n" + comparison_table(*zip(*measured, strict=True)))


if __name__ == "__main__":
    main()
