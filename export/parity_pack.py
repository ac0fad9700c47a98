"""Writes a parity pack: golden cases by which a phone shows what Python shows.

    python export/parity_pack.py --output mobile_demo/parity
    python export/parity_pack.py --weights pose.tflite --detector detector.tflite \\
        --images synthetic --output parity
    python export/parity_pack.py --check mobile_demo/parity

Without --weights and --detector, the cases are pure mathematics. docs/parity_pack.md is
the format. --check replays a pack instead of writing one.
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
    add("--weights", metavar="FILE", help="pose model, .tflite or .onnx with its contract")
    add("--detector", metavar="FILE", help="detector, .tflite or .onnx with its contract")
    add("--images", metavar="DIR", default="synthetic",
        help='of people; or "synthetic" (default)')  # fmt: skip
    add("--cases", type=positive_int, default=3, metavar="N",
        help="people to cut out for the model's cases (default: 3)")  # fmt: skip
    task = parser.add_mutually_exclusive_group(required=True)
    task.add_argument("--output", metavar="DIR", help="folder to write the pack into")
    task.add_argument("--check", metavar="DIR", help="pack to replay")
    return parser.parse_args(argv)


def make_pack(args):
    """Returns the cases, what is said of the models, and pictures to look at."""
    from keras_pose.parity.maths import maths_cases, maths_images
    from keras_pose.parity.model_cases import model_cases
    from keras_pose.parity.model_file import ModelFile
    from keras_pose.parity.model_pictures import drawn_people, finder_of, people_in

    paths = {"pose": args.weights, "detector": args.detector}
    models = {name: ModelFile(path) for name, path in paths.items() if path}
    if not models:
        return maths_cases(), {}, maths_images()
    if args.images == "synthetic":
        people = drawn_people(args.cases)
    else:
        people = people_in(args.images, args.cases, finder_of(models))
    images = {f"person_{i}": person.image for i, person in enumerate(people)}
    described = {name: file.to_dict() for name, file in models.items()}
    return model_cases(models, people), described, images


def check_pack(folder, args):
    """Replays a pack; returns its results."""
    from keras_pose.parity import read_pack, replay
    from keras_pose.parity.model_file import ModelFile

    paths = {"pose": args.weights, "detector": args.detector}
    models = {name: ModelFile(path) for name, path in paths.items() if path}
    return replay(read_pack(folder), models)


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    # Imported after parsing: `--help` must be quick.
    from keras_pose.parity import write_pack
    from keras_pose.parity.report import describe_pack, describe_results

    if args.output:
        write_pack(args.output, *make_pack(args))
        print(describe_pack(args.output))
    results = check_pack(args.output or args.check, args)
    print(describe_results(results))
    return int(not all(result.is_within for result in results))


if __name__ == "__main__":
    sys.exit(main())
