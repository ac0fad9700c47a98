"""Trains the stages that refine a DeepPose, on top of a first stage from train.py.

    python training/train.py --model deep_pose_resnet18 --run-dir runs/first
    python training/train_cascade.py --first runs/first/best.keras
    python training/train_cascade.py --first runs/first/best.keras --dataset coco \\
        --data-dir ~/coco --num-stages 3 --steps 20000

Without --dataset people are drawn, as train.py draws them. At the end the cascade is read
back from its folder and measured on the validation split, stage by stage.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from a clone

from keras_pose.commandline import plain_errors, positive_int
from keras_pose.commandline.quiet import import_tensorflow


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--first", type=Path, required=True, help=".keras file of the first stage")
    add("--model", default="deep_pose_resnet18", help="network of the other stages")
    add("--dataset", default="synthetic", help="name (default: people drawn now)")
    add("--data-dir", help="folder of the data set")
    add("--run-dir", type=Path, help="where the cascade goes (default: beside --first)")
    add("--input-hw", type=int, nargs=2, metavar=("H", "W"), help="sub-image, pixels")
    add("--num-stages", type=positive_int, help="the first included (default: 3)")
    add("--crop-scale", type=float, help="width of a sub-image, in diameters")
    add("--steps", type=positive_int, help="batches for each stage (default: 2000)")
    add("--people-per-batch", type=positive_int)
    add("--joints-per-person", type=positive_int)
    add("--learning-rate", type=float)
    add("--synthetic-images", type=positive_int, default=2000, help="scenes to draw")
    add("--seed", type=int)
    return parser.parse_args(argv)


def open_sources(args):
    """Returns the people to train on and those to measure by."""
    from keras_pose.data import open_dataset
    from keras_pose.data.sources import records_source, synthetic_source

    if args.dataset == "synthetic" and args.data_dir is None:
        counts = {
            "train": args.synthetic_images,
            "val": max(1, args.synthetic_images // 10),
        }
        return [synthetic_source(count, split=split) for split, count in counts.items()]
    datasets = [open_dataset(args.dataset, args.data_dir, s) for s in ("train", "val")]
    return [
        records_source(dataset.records, dataset.skeleton).without_broken_images()
        for dataset in datasets
    ]


def make_recipe(args):
    """Returns the recipe with what the command line says otherwise."""
    from keras_pose.trainer.cascade_fit import CascadeRecipe

    names = "model num_stages crop_scale steps people_per_batch joints_per_person"
    names += " learning_rate seed"
    given = {name: getattr(args, name) for name in names.split()}
    given["input_hw"] = args.input_hw and tuple(args.input_hw)
    return CascadeRecipe(
        **{key: value for key, value in given.items() if value is not None}
    )


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    # Imported after parsing: TensorFlow takes seconds, `--help` must not.
    import_tensorflow(for_training=True)
    from keras_pose.runtime.cascade import load_cascade
    from keras_pose.trainer.cascade_fit import fit_cascade, measure_cascade

    recipe = make_recipe(args)
    train, val = open_sources(args)
    run_dir = fit_cascade(recipe, args.first, train, args.run_dir or args.first.parent)
    errors = measure_cascade(load_cascade(run_dir), val)
    print(f"cascade     {run_dir}")
    for number, error in enumerate(errors, 1):
        print(f"val stage {number} off by {error:.4f} diameters")


if __name__ == "__main__":
    main()
