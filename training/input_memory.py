"""Measures the memory that training input takes as a data set grows.

    python training/input_memory.py --data-dir ~/coco --people 100000 1000000

The people of a data set are repeated until there are so many, each time in further
pictures: file names and labels take the memory that so many would take. Each number is a
process of its own, which makes batches as a training does. Peaks are of the whole process,
TensorFlow included.
"""

import argparse
import dataclasses
import multiprocessing
import resource
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run from a clone

from keras_pose.commandline import plain_errors, positive_int

# What the figures hang on.
CODE = (
    "keras_pose/data/pipeline.py",
    "keras_pose/data/sources.py",
    "training/input_memory.py",
)
KIBIBYTES_A_MEGABYTE = 1e6 / 1024
COLUMNS = {"people": ",", "labels, MB": ",.0f", "peak, MB": ",.0f"}


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--dataset", default="coco", help="one of prepare_data.py --list (coco)")
    add("--data-dir", required=True, metavar="FOLDER", help="of the data set")
    add("--split", default="train", choices=("train", "val"))
    add("--people", type=positive_int, nargs="+", default=(100_000, 1_000_000), metavar="N")
    add("--batch-size", type=positive_int, default=32)
    add("--batches", type=positive_int, default=20, help="made of each (20)")
    add("--results", type=Path, metavar="FILE",
        help="also write the table as data, for docs/results")  # fmt: skip
    return parser.parse_args(argv)


def repeated(source, count):
    """Returns a source of `count` people, those of another again and again.

    Args:
        source: `PersonSource` of N people in M images.
        count: number of people.
    """
    turns = -(-count // len(source))
    shift = np.repeat(np.arange(turns, dtype=np.int32) * len(source.images), len(source))

    def again(values):
        return np.concatenate([values] * turns)[:count]

    return dataclasses.replace(
        source,
        # Objects of their own: a training has as many as there are files.
        images=[Path(str(image)) for _ in range(turns) for image in source.images],
        image_index=again(source.image_index) + shift[:count],
        boxes_xywh=again(source.boxes_xywh),
        keypoints_xy=again(source.keypoints_xy),
        visibility=again(source.visibility),
        image_hw=None,
    )


def open_source(args):
    from keras_pose.data.datasets import open_dataset
    from keras_pose.data.sources import records_source

    dataset = open_dataset(args.dataset, args.data_dir, args.split)
    return records_source(dataset.records, dataset.skeleton).trainable()


def row_of(args, count):
    """Returns the row of a data set of `count` people; for a process of its own."""
    from keras_pose.codecs import CODECS
    from keras_pose.data.pipeline import training_dataset
    from keras_pose.data.transforms import Augmentation
    from keras_pose.zoo import get_spec

    spec = get_spec("hrnet_w32")
    codec = CODECS["gaussian"].for_input(spec.input_hw)
    source = repeated(open_source(args), count)
    labels = (
        source.boxes_xywh,
        source.keypoints_xy,
        source.visibility,
        source.image_index,
    )
    batches = training_dataset(
        source, codec, spec.normalization, Augmentation(), args.batch_size
    )
    for _ in batches.take(args.batches):
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIBIBYTES_A_MEGABYTE
    return [count, sum(array.nbytes for array in labels) / 1e6, peak]


def main(argv=None):
    args = parse_args(argv)
    context = multiprocessing.get_context("spawn")
    rows = []
    print("".join(f"{name:>12}" for name in COLUMNS))
    for count in args.people:
        with context.Pool(1) as pool:
            rows.append(pool.apply(row_of, (args, count)))
        values = zip(rows[-1], COLUMNS.values(), strict=True)
        print("".join(f"{format(value, form):>12}" for value, form in values), flush=True)
    if args.results:
        from keras_pose.metrics.result_files import write_results

        protocol = f"{args.batches} batches of {args.batch_size}, crops of 256x192"
        write_results(args.results, COLUMNS, rows, CODE, protocol)


if __name__ == "__main__":
    with plain_errors():
        main()
