r"""Trains one pose model, a bottom-up one that sees whole pictures, or a person detector.

    python training/train.py --model hrnet_w32
    python training/train.py --model pose_slim --dataset coco --data-dir ~/coco
    python training/train.py --model rtmdet_nano --dataset coco --data-dir ~/coco
    python training/train.py --model openpose_light_1 --dataset coco --data-dir ~/coco
    python training/train.py --model hrnet_w32 --max-steps 2 --devices cpu:2
    python training/train.py --model pose_slim --dataset coco,lsp_extended \
        --data-dir coco=~/coco,lsp_extended=~/lspet --mix coco=2,lsp_extended=1
    python training/train.py --model hrnet_w18 --recipe training/short_run.json --epochs 8
    python training/train.py --resume runs/pose_slim_coco_20260101-120000
    python training/train.py --resume runs/pose_slim_coco_20260101-120000 --epochs 300
    python training/train.py --model pose_slim --weights runs/NAME/best.keras \
        --quantization-aware --dataset coco --data-dir ~/coco

Sets of your own go along under any name: --dataset mine=FOLDER,coco trains on the
keypoints of both, matched by name.

Without --dataset it trains on COCO if that lies at --data-dir (default data/coco),
and else on synthetic people, which need no download.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from a clone

from keras_pose.commandline import plain_errors, positive_float, positive_int
from keras_pose.commandline.quiet import import_tensorflow


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--model", help="zoo name, such as hrnet_w32 or pose_slim")
    add("--dataset", metavar="NAME[,NAME...]",
        help="one or several of prepare_data.py --list (default: see above); mine=FOLDER "
        "for a set of your own (docs/data.md)")  # fmt: skip
    add("--data-dir", metavar="FOLDER", help="of the data set (default: data/NAME); of "
        "several: NAME=FOLDER,NAME=FOLDER")  # fmt: skip
    add("--mix", metavar="NAME=SHARE,...", help="of several: how much of each is seen "
        "(default: everybody once an epoch)")  # fmt: skip
    add("--skeleton", metavar="NAME|FILE", help="keypoints to train: built in (coco_17), "
        "'union' of several sets (default), or your own (docs/skeletons.md)")  # fmt: skip
    add("--sigmas", choices=("uniform",), help="give keypoints without OKS sigmas one for "
        "all, so that AP is measured (default: PCK)")  # fmt: skip
    add("--category", metavar="NAME", help="of files in COCO's format with several "
        "categories that have keypoints: the one to read")  # fmt: skip
    add("--rescale-labels", action="store_true", help="scale labels to pictures that were "
        "made smaller or larger after they were labelled")  # fmt: skip
    add("--recipe", metavar="FILE", help="take what it says in place of the model's own "
        "recipe: a run's recipe.json, or some entries; options go first")  # fmt: skip
    add("--output-dir", help="where run folders go (default: runs)")
    add("--run-dir", help="use this run folder; goes on if it holds the same run")
    add("--input-hw", type=int, nargs=2, metavar=("H", "W"), help="model input, pixels")
    add("--box-padding", type=positive_float, metavar="FACTOR", help="from person box to "
        "crop (default: the recipe's; evaluate.py measures others)")  # fmt: skip
    add("--epochs", type=positive_int)
    add("--max-steps", type=positive_int, help="stop after so many steps: a smoke run")
    add("--batch-size", type=positive_int, help="per replica")
    add("--learning-rate", type=float)
    add("--loss", help="joints_mse, focused_mse, ohkm, adaptive_wing; simcc_kl; "
        "smooth_l1, l1, l2")  # fmt: skip
    add("--ohkm-top-k", type=positive_int, metavar="N",
        help="the hardest keypoints, of --loss ohkm (default: 8)")  # fmt: skip
    add("--codec", help="targets: gaussian, dark, udp, udp_offset; simcc; regression")
    add("--weights", help="start from: coco, imagenet, ... (see keras_pose models), "
        "shipped, or a .keras, .weights.h5, .pth, .safetensors, ... file")  # fmt: skip
    add("--teacher", metavar="FILE", help="learn from this network, too; a detector from a "
        ".keras file; the recipe's teacher_share says how much")  # fmt: skip
    add("--quantization-aware", action="store_true",
        help="fine-tune --weights with int8's rounding inside: the last resort, where "
        "export/to_tflite.py --int8 --max-drop does not do")  # fmt: skip
    add("--visibility", nargs="?", const="with", choices=("with", "only"),
        help="add a head that says whether keypoints are visible, hidden or outside the "
        "picture; only: train it alone, on --weights (docs/visibility.md)")  # fmt: skip
    add("--resume", metavar="RUN", help="go on with an interrupted run folder, or with "
        "more --epochs; its recipe decides all else")  # fmt: skip
    add("--save-minutes", type=float, default=10.0, metavar="M", help="time between saves "
        "within an epoch; SIGTERM saves, too, and exits with 75 (default: 10)")  # fmt: skip
    add("--devices", default="auto", help="auto, a GPU count, a list, or cpu:N")
    add("--workers", metavar="HOST:PORT,...", help="processes that train together, "
        "started with the same options (docs/cluster.md; default: TF_CONFIG)")  # fmt: skip
    add("--worker-index", type=int, metavar="I", help="which of --workers this is, from 0")
    add("--data-service", metavar="HOST:PORT,...",
        help="machines that make the input: training/serve_data.py")  # fmt: skip
    add("--mixed-precision", nargs="?", const="float16", metavar="TYPE", help="compute "
        "in float16 (default), or in bfloat16, whose range needs no scaling")  # fmt: skip
    add("--accumulate", type=positive_int, metavar="N", help="change weights every N "
        "steps, by the mean of their gradients: batches that do not fit")  # fmt: skip
    add(
        "--ap-every",
        type=positive_int,
        metavar="N",
        help="measure the data set's own metric (AP of COCO) on val every N epochs",
    )
    add(
        "--overfit",
        type=positive_int,
        metavar="N",
        help="learn the people of the first N images of val by heart, unaugmented, and "
        "validate on them: can this network learn, and does int8 keep it?",
    )
    add(
        "--synthetic-images",
        type=positive_int,
        help="scenes to draw if need be",
    )
    add("--seed", type=int)
    args = parser.parse_args(argv)
    if not args.save_minutes > 0:
        parser.error(f"--save-minutes must be positive, got {args.save_minutes}")
    if not args.model and not args.resume:
        parser.error("--model NAME is needed (or --resume RUN)")
    for name in ("recipe", "output_dir", "run_dir", "sigmas"):
        if args.resume and getattr(args, name):
            option = f"--{name.replace('_', '-')}"
            parser.error(
                f"--resume goes on with the run's own recipe, in its folder: leave "
                f"{option} out"
            )
    return args


def choose_dataset(dataset, data_dir):
    """Returns (name, folder or None), saying why."""
    from keras_pose.data.datasets import DEFAULT_DIRS, find_coco
    from keras_pose.data.mixing import parse_mix

    if dataset is not None:
        mix = parse_mix(dataset, data_dir)
        if mix.is_single and dataset != "synthetic":
            return dataset, mix.data_dirs[0] or str(DEFAULT_DIRS[dataset])
        return dataset, data_dir
    folder = data_dir or DEFAULT_DIRS["coco"]
    if find_coco(folder, "train"):
        print(f"Training on COCO, found in {folder}.")
        return "coco", str(folder)
    print(f"COCO is not in {folder}: training on synthetic people, drawn on the fly.")
    return "synthetic", None


def given_entries(args):
    """Returns the entries of a recipe that options name as they are."""
    given = dict(
        model=args.model,
        dataset=args.dataset,
        data_dir=args.data_dir,
        mix=args.mix,
        skeleton=args.skeleton,
        category=args.category,
        rescale_labels=args.rescale_labels or None,
        input_hw=args.input_hw and tuple(args.input_hw),
        box_padding=args.box_padding,
        epochs=args.epochs,
        max_steps=args.max_steps,
        batch_size=args.batch_size,
        learning_rate=args.learning_rate,
        loss=args.loss,
        ohkm_top_k=args.ohkm_top_k,
        codec=args.codec,
        weights=args.weights,
        teacher=args.teacher,
        mixed_precision=args.mixed_precision,
        accumulate=args.accumulate,
        ap_every=args.ap_every,
        synthetic_images=args.synthetic_images,
        seed=args.seed,
    )
    return {name: value for name, value in given.items() if value is not None}


def choose_skeleton(args, dataset, data_dir):
    """Returns --skeleton, or the contents of one with the sigmas of --sigmas."""
    if args.sigmas is None:
        return args.skeleton
    from keras_pose.data.mixing import parse_mix, target_skeleton
    from keras_pose.skeleton.files import skeleton_to_dict

    mix = parse_mix(dataset, data_dir, args.mix, args.skeleton)
    return skeleton_to_dict(target_skeleton(mix).with_uniform_sigmas())


def make_recipe(args):
    """Returns the model's recipe with what the command line says otherwise."""
    from keras_pose.trainer.recipes import (
        Recipe,
        overfit_settings,
        quantization_aware_settings,
        visibility_settings,
    )
    from keras_pose.trainer.run_dirs import recipe_for, with_entries_of

    recipe_for(args.model)  # an unknown name is the first error to report
    dataset, data_dir = choose_dataset(args.dataset, args.data_dir)
    recipe = recipe_for(args.model, dataset)
    if args.recipe:
        recipe = with_entries_of(recipe, args.recipe)
    settings = quantization_aware_settings(recipe) if args.quantization_aware else {}
    settings |= overfit_settings(args.overfit) if args.overfit else {}
    if args.visibility:
        if not isinstance(recipe, Recipe):
            raise ValueError(
                "--visibility is for networks that see one person at a time; "
                f"{args.model} is none."
            )
        settings |= visibility_settings(recipe, args.visibility)
    skeleton = choose_skeleton(args, dataset, data_dir)
    chosen = {"dataset": dataset, "data_dir": data_dir, "skeleton": skeleton}
    chosen = {name: value for name, value in chosen.items() if value is not None}
    recipe = recipe.override(**settings | given_entries(args) | chosen)
    if args.ohkm_top_k and recipe.loss != "ohkm":
        raise ValueError(
            "--ohkm-top-k is for --loss ohkm; the loss is "
            f"{recipe.loss or 'the usual one'}."
        )
    return recipe


def resumed(args):
    """Returns the recipe of the run to go on with, refusing what cannot be changed."""
    from keras_pose.trainer.run_dirs import recipe_to_resume

    given = given_entries(args)
    if args.overfit:
        given["overfit_images"] = args.overfit
    if args.quantization_aware:
        given["quantization_aware"] = True
    if args.visibility:
        given["visibility"] = args.visibility
    return recipe_to_resume(args.resume, given)


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    # Imported after parsing: TensorFlow takes seconds, `--help` must not.
    import_tensorflow(for_training=True)
    from keras_pose.data.data_service import split_addresses
    from keras_pose.files.runs import new_run_dir
    from keras_pose.trainer.cluster import find_cluster

    args.cluster = find_cluster(args.workers, args.worker_index)
    if args.cluster and not (args.run_dir or args.resume):
        raise ValueError(
            "Workers need --run-dir FOLDER, or --resume: one folder that all of them read."
        )
    args.data_services = split_addresses(args.data_service)
    if args.resume:
        return train(resumed(args), args.resume, args)
    recipe = make_recipe(args)
    output_dir = args.output_dir or "runs"
    run_dir = args.run_dir or new_run_dir(output_dir, recipe.model, recipe.dataset)
    return train(recipe, run_dir, args)


def train(recipe, run_dir, args):
    """Trains what the recipe is for."""
    from keras_pose.trainer.any_fit import fit_any
    from keras_pose.trainer.callbacks import StopRun

    try:
        return fit_any(
            recipe,
            run_dir,
            args.devices,
            save_minutes=args.save_minutes,
            cluster=args.cluster,
            data_services=args.data_services,
        )
    except StopRun as stop:
        print(f"Saved and stopped. To go on: python training/train.py --resume {run_dir}")
        raise stop


if __name__ == "__main__":
    main()
