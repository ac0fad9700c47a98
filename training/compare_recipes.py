r"""Trains one model by several recipes for equally many steps, and compares them.

    python training/compare_recipes.py --model pose_slim --dataset coco --data-dir ~/coco \
        --losses joints_mse focused_mse --steps 2000 --output compared
    python training/compare_recipes.py --model pose_lite --dataset coco --data-dir ~/coco \
        --variants variants.json --steps 2000 --output compared

variants.json names recipes, and what each has otherwise than the model's own, as in

    {"all of it": {"weights": "imagenet"},
     "no ImageNet": {"weights": null},
     "no averaging": {"weights": "imagenet", "ema_momentum": 0}}

Seed, order of the data, steps and schedule are the same for all; differences are those to
the first. Each has a run folder in --output, and the command goes on where it stopped. The
best weights of each are measured on the val split (AP in ground-truth boxes, or the data
set's own metric); curves.png has the learning curves over each other.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from a clone

from keras_pose.commandline import plain_errors, positive_int
from keras_pose.commandline.quiet import import_tensorflow

# What the figures hang on.
CODE = ("keras_pose/trainer", "keras_pose/data")


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--model", required=True, help="zoo name, such as pose_slim")
    add("--dataset", default="coco", metavar="NAME[,NAME...]",
        help="as of train.py (default: coco)")  # fmt: skip
    add("--data-dir", metavar="FOLDER", help="as of train.py")
    add("--recipe", metavar="FILE", help="entries that all share, in place of the model's")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--losses", nargs="+", metavar="LOSS", help="a variant for each")
    what.add_argument("--variants", metavar="FILE", help="JSON, see above")
    add("--steps", type=positive_int, default=1000, help="of each (default: 1000)")
    add("--input-hw", type=positive_int, nargs=2, metavar=("H", "W"), help="pixels")
    add("--batch-size", type=positive_int)
    add("--seed", type=int, default=0)
    add("--devices", default="auto", help="as of train.py")
    add("--limit", type=positive_int, metavar="N", help="measure on the first N images")
    add("--output", type=Path, default=Path("compared"), metavar="FOLDER")
    add("--results", type=Path, metavar="FILE",
        help="also write the table as data, for docs/results")  # fmt: skip
    return parser.parse_args(argv)


def base_recipe(args):
    """Returns what all variants share."""
    from keras_pose.trainer.run_dirs import recipe_for, with_entries_of

    recipe = recipe_for(args.model, args.dataset).override(
        dataset=args.dataset, data_dir=args.data_dir
    )
    if args.recipe:
        recipe = with_entries_of(recipe, args.recipe)
    # Epochs enough, whatever data a variant has: steps end the run.
    return recipe.override(
        max_steps=args.steps,
        epochs=args.steps,
        input_hw=args.input_hw and tuple(args.input_hw),
        batch_size=args.batch_size,
        seed=args.seed,
    )


def settings_of(args):
    """Returns how all variants are measured."""
    from keras_pose.data.mixing import parse_mix, validating_set
    from keras_pose.measuring import MeasureSettings

    name, folder, reading = validating_set(parse_mix(args.dataset, args.data_dir))
    return MeasureSettings(name, folder, "val", args.limit, reading, only_main=True)


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    # Imported after parsing: TensorFlow takes seconds, `--help` must not.
    import_tensorflow(for_training=True)
    from keras_pose.files import check_writable, write_json
    from keras_pose.pictures.images import write_image
    from keras_pose.pictures.plots import plot_runs
    from keras_pose.trainer.variants import (
        compare_variants,
        comparison_table,
        make_variants,
        read_variants,
    )

    entries = {loss: {"loss": loss} for loss in args.losses or ()}
    entries = entries or read_variants(args.variants)
    variants = make_variants(base_recipe(args), entries)
    settings = settings_of(args)
    args.output.mkdir(parents=True, exist_ok=True)
    check_writable(args.output)
    comparison = compare_variants(variants, settings, args.output, args.devices)
    print(f"\n{comparison_table(comparison)}\n")
    for line in comparison.accuracy.remarks:
        print(line)
    table = write_json(args.output / "comparison.json", comparison.to_dict())
    curves = write_image(args.output / "curves.png", plot_runs(comparison.run_dirs))
    print(f"written     {table}, {curves}")
    if args.results:
        keep(args, comparison)


def keep(args, comparison):
    """Writes the table as data."""
    from keras_pose.metrics.result_files import write_results

    accuracy = comparison.accuracy
    first = next(iter(accuracy.values.values()))
    rows = [[name, value, value - first] for name, value in accuracy.values.items()]
    columns = {args.model: "", accuracy.name: ".3f", "difference": "+.3f"}
    protocol = f"{comparison.steps} steps each; {'; '.join(accuracy.remarks)}"
    print(f"written     {write_results(args.results, columns, rows, CODE, protocol)}")


if __name__ == "__main__":
    main()
