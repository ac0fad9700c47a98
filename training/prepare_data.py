"""Says what to download for a data set, and whether what is there is whole.

    python training/prepare_data.py --list
    python training/prepare_data.py coco
    python training/prepare_data.py mpii --data-dir ~/mpii

Writes nothing. Ends with 0 when a split could be read and no count differs from the
official one, with 1 otherwise.
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
    parser.add_argument("name", nargs="?", help="data set")
    parser.add_argument("--data-dir", type=Path, help="its folder (default: data/NAME)")
    parser.add_argument("--list", action="store_true", help="name all data sets")
    args = parser.parse_args(argv)
    if args.list == bool(args.name):
        parser.error("name a data set, or --list them all")
    return args


def list_datasets(specs):
    for spec in specs.values():
        keypoints = f"{spec.skeleton.num_keypoints} keypoints"
        metrics = ", ".join(spec.metrics)
        print(f"{spec.name:13} {keypoints:13} {', '.join(spec.splits):27} {metrics}")


def print_downloads(spec):
    print(f"from        {spec.url or '-'}")
    for file in spec.files:
        print(f"download    {file}")
    print(f"terms       {spec.terms}")
    if spec.note:
        print(f"note        {spec.note}")


def check_split(spec, data_dir, split):
    """Reads a split and prints its counts; returns whether it is there and whole."""
    from keras_pose.data.datasets import find_files

    # Files with images first: of several forms, that is what training would read.
    found = find_files(spec, data_dir, split) or find_files(
        spec, data_dir, split, requires_images=False
    )
    if found is None:
        print(f"{split:11} is not in {data_dir}")
        return None
    paths, folder = found
    try:
        records = spec.read(paths, None, split, spec.skeleton)
        named = {record.image_path for record in records}
        num_missing = count_missing(spec, paths, folder, split, named)
    except (OSError, ValueError) as error:
        print(f"{split:11} cannot be read: {error}")
        return False
    official = spec.people.get(split)
    verdict = "" if official is None else f", officially {official:,}"
    problems = ["NOT WHOLE"] * (official not in (None, len(records)))
    problems += [f"{num_missing:,} IMAGES MISSING in {folder}"] * bool(num_missing)
    print(f"{split:11} {len(named):,} images, {len(records):,} people{verdict}"
          f"{': ' if problems else ''}{', '.join(problems)}")  # fmt: skip
    return not problems


def count_missing(spec, paths, folder, split, named):
    """Counts the images that annotations name and the folder has not."""
    import warnings

    if not folder.is_dir():
        return len(named)
    with warnings.catch_warnings():  # the report says it in a number
        warnings.simplefilter("ignore")
        try:
            there = spec.read(paths, folder, split, spec.skeleton)
        except ValueError:  # readers refuse a folder that leaves nobody
            if any((folder / name).is_file() for name in named):
                raise
            return len(named)
    return len(named) - len({record.image_path for record in there})


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    from keras_pose.data.datasets import check_dataset_name
    from keras_pose.data.specs import SPECS

    if args.list:
        list_datasets(SPECS)
        return 0
    spec = SPECS[check_dataset_name(args.name)]
    data_dir = args.data_dir or spec.default_dir
    print_downloads(spec)
    outcomes = [check_split(spec, data_dir, split) for split in spec.splits]
    there = [outcome for outcome in outcomes if outcome is not None]
    return 0 if there and all(there) else 1


if __name__ == "__main__":
    sys.exit(main())
