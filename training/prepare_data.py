"""Lists what to download for a data set, and checks that what is there is sound.

    python training/prepare_data.py --list
    python training/prepare_data.py coco
    python training/prepare_data.py mpii --data-dir ~/mpii
    python training/prepare_data.py --check FOLDER

--check looks at a set of your own, in any format of docs/data.md, and says all that is
suspicious: boxes in other units, left and right exchanged, labels outside boxes, people
and pictures that are there twice, rare keypoints, EXIF, broken pictures. It writes
check.json and a sheet of pictures for each kind into a folder (--output).

Else it writes nothing. Ends with 0 when a split could be read and no count differs from
the official one (--check: when nothing is suspicious), with 1 otherwise.
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
    parser.add_argument("--check", type=Path, metavar="FOLDER", help="a set of your own")
    parser.add_argument("--category", metavar="NAME", help="of several, the one to check")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="for what --check "
                        "writes (default: results/check_NAME)")  # fmt: skip
    args = parser.parse_args(argv)
    if args.list + bool(args.name) + bool(args.check) != 1:
        parser.error("name a data set, --list them all, or --check FOLDER")
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
        except ValueError:  # readers refuse a folder without usable people
            if any((folder / name).is_file() for name in named):
                raise
            return len(named)
    return len(named) - len({record.image_path for record in there})


def check_own(folder, category, output):
    """Prints and writes what is suspicious about a folder; returns whether nothing is."""
    from keras_pose.data.check import check_folder
    from keras_pose.data.readers.coco import Reading
    from keras_pose.files import write_json
    from keras_pose.pictures.images import write_image

    report = check_folder(folder, Reading(category))
    output = output or Path("results") / f"check_{folder.resolve().name}"
    print(f"format      {report.format}, {report.skeleton.num_keypoints} keypoints")
    for split in report.splits:
        people = int(split.people.is_labelled.sum())
        print(
            f"{split.name:11} {len(split.names):,} pictures with people, {people:,} people"
        )
    for finding in report.findings:
        print(finding)
    if not report.findings:
        print("nothing is suspicious")
    print(f"written     {write_json(output / 'check.json', report.as_json())}")
    for finding in report.findings:
        sheet = draw_sheet(report, finding)
        if sheet is not None:
            name = finding.kind.replace(",", "").replace(" ", "_")
            print(f"written     {write_image(output / f'{name}.jpg', sheet)}")
    return not report.findings


def draw_sheet(report, finding, most=12):
    """Returns pictures of the first places of a finding; None if none can be drawn."""
    from keras_pose.pictures.drawing import contact_sheet
    from keras_pose.pictures.images import ImageError

    splits = {split.name: split for split in report.splits}
    drawn = {}
    for spot in finding.spots[: 4 * most]:
        if len(drawn) < most:
            try:
                drawn.setdefault(caption_of(spot), draw_spot(splits[spot.split], spot))
            except (ImageError, OSError):  # those are reported as broken
                continue
    if not drawn:
        return None
    return contact_sheet(list(drawn.values()), min(4, len(drawn)), list(drawn))


def caption_of(spot):
    """Returns the words below a picture: its name, and the person's id."""
    name = f"{spot.split} {spot.path.name}"
    return name if spot.person is None else f"{name}: {spot.annotation_id}"[-44:]


def draw_spot(split, spot):
    """Returns the picture of a place, around its person where it has one."""
    import numpy as np

    from keras_pose.pictures.drawing import draw_poses
    from keras_pose.pictures.images import read_image, read_labelled
    from keras_pose.pictures.structures import Poses

    if spot.person is None:
        return read_image(spot.path)
    people, i = split.people, spot.person
    size_hw = tuple(people.images.sizes_hw[people.image_index[i]].astype(int).tolist())
    try:
        image = read_labelled(spot.path, size_hw if all(size_hw) else None)
    except ValueError:  # of another size than its labels: that is what is to be seen
        image = read_image(spot.path)
    labelled = people.visibility[i] > 0
    corners = people.boxes_xywh[i].reshape(2, 2).cumsum(axis=0)
    box, points, scores = (
        corners.reshape(1, 4),
        people.keypoints_xy[i][None],
        labelled[None],
    )
    poses = Poses(box, points, scores.astype(np.float32), np.ones(1), split.skeleton)
    drawn = draw_poses(image, poses, draw_boxes=True)
    extent = np.concatenate([corners, people.keypoints_xy[i][labelled]])
    low, high = extent.min(axis=0), extent.max(axis=0)
    margin = (high - low).max() / 4 + 8
    (left, top), (right, bottom) = (low - margin).astype(int), (high + margin).astype(int)
    cut = drawn[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
    return cut if cut.size else drawn


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    if args.check:
        return 0 if check_own(args.check, args.category, args.output) else 1
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
