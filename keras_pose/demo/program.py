"""Shows what keras_pose does, within minutes, with no data set and no download.

    make demo
    python training/demo.py --output demo
    python training/demo.py me.jpg friends.jpg     # your own photos, first of all
    python training/demo.py --only-photographs     # seconds; needs no TensorFlow

First skeletons on photographs, by the models that come with the package; then a small
network learns drawn people, is quantized to int8, and is measured beside its int8 file.
"""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

from keras_pose.commandline import plain_errors
from keras_pose.demo.steps import Steps

SEEING = "skeletons on photographs and in a film, by the models that come with the package"
LEARNING = (
    "drawing people to learn from, with exact labels",
    "training a small network on them, from random weights",
    "quantizing it to int8, for phones",
    "measuring float beside int8, on people that neither has seen",
)


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("photos", nargs="*", type=Path, metavar="PHOTO", help="your own, to be drawn first")
    add("--output", type=Path, default=Path("demo"), metavar="FOLDER",
        help="where everything goes (default: demo)")  # fmt: skip
    add("--only-photographs", action="store_true", help="stop after the photographs")
    add("--epochs", type=int, help="train longer or shorter")
    return parser.parse_args(argv)


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    # Before anything takes its time.
    if not args.only_photographs and importlib.util.find_spec("tensorflow") is None:
        raise ImportError(
            "Training needs TensorFlow: pip install 'keras-pose[train]', or give "
            "--only-photographs."
        )
    # Imported after parsing: `--help` must not wait for OpenCV, nor for TensorFlow.
    from keras_pose.demo.seeing import draw_photographs
    from keras_pose.runtime.instructions import machine_line
    from keras_pose.runtime.integer_speed import advice_in_a_line

    titles = [SEEING] if args.only_photographs else [SEEING, *LEARNING]
    print(f"This is what happens; everything goes into {args.output}:")
    steps = Steps(titles)
    steps.announce()
    with steps.step(), advice_in_a_line():
        sheet = draw_photographs(args.output / "photographs", args.photos)
        print(f"look at          {sheet}")
    results = [f"{sheet}: photographs"]
    if not args.only_photographs:
        results += learn(args, steps)
    print(f"\n{steps.table()}\n{machine_line()}\n\nNow look at")
    print("\n".join(f"  {line}" for line in results))


def learn(args, steps: Steps) -> list[str]:
    """Runs the steps that need TensorFlow; returns what to look at."""
    import dataclasses

    from keras_pose.commandline.quiet import import_tensorflow

    import_tensorflow(for_training=True)
    from keras_pose.demo import learning
    from keras_pose.files import write_json

    size = learning.Size()
    if args.epochs is not None:
        size = dataclasses.replace(size, epochs=args.epochs)
    data, run = args.output / "data", args.output / "run"
    with steps.step():
        learning.draw_people(data, size)
    with steps.step():
        weights = learning.train(learning.make_recipe(data, size), run)
    with steps.step():
        exported = learning.quantize(weights, learning.open_people(data, "train"), size)
    with steps.step():
        people = learning.open_people(data, "val")
        measured = learning.measure([weights, exported], people)
        print(learning.describe(measured))
        numbers = args.output / "numbers.json"
        write_json(numbers, [each.to_dict() for each in measured])
        drawn = learning.draw_learned(exported, people, args.output / "people.png")
    return [
        f"{drawn}: drawn people, seen by the int8 file of the network just trained",
        f"{numbers}: the figures above, with what they were measured under",
        f"{exported}: the file for a phone",
    ]
