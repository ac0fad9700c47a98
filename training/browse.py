"""Draws contact sheets: predictions, the worst, median or best, or training data.

    python training/browse.py --weights runs/NAME/best.keras --dataset coco
    python training/browse.py --weights pose_model.tflite --dataset synthetic --images 24
    python training/browse.py --weights runs/NAME/best.keras --worst 12 --output worst.png
    python training/browse.py --training --model hrnet_w32 --dataset coco --images 12

People are found by their ground-truth boxes; what is drawn is the model's own. With
--worst, --median or --best, labels stand on the left, the prediction on the right, and
people are ranked by OKS (by PCK where the skeleton has no OKS sigmas). --training shows
what the recipe of a model trains on: crops after augmentation, with the targets' keypoints.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from a clone

from keras_pose.commandline import plain_errors, positive_int

# Pictures that --training looks through for broken ones before it draws.
FEW_IMAGES = 5000


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--weights", metavar="FILE",
        help=".keras, .tflite, .onnx, or with --model a word: coco")  # fmt: skip
    add("--model", help="zoo name, for weights that do not say it, and for --training")
    add("--dataset", default="coco", help="name of the data set (default: coco); "
        "mine=FOLDER for a set of your own in COCO's format")  # fmt: skip
    add("--skeleton", metavar="NAME|FILE", help="what the keypoints are, of weights that "
        "do not say it (coco_17), or your own, with --training or in place of the model's "
        "(docs/skeletons.md)")  # fmt: skip
    add("--data-dir", help="folder of the data set (default: data/<data set>)")
    add("--category", metavar="NAME", help="of files in COCO's format with several "
        "categories that have keypoints: the one to read")  # fmt: skip
    add("--rescale-labels", action="store_true", help="scale labels to pictures that were "
        "made smaller or larger after they were labelled")  # fmt: skip
    add("--split", help="train or val (default: val; with --training, train)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--training", action="store_true", help="draw what training sees")
    what.add_argument("--worst", type=positive_int, metavar="N",
        help="draw the N people that are predicted worst")  # fmt: skip
    what.add_argument("--median", type=positive_int, metavar="N",
        help="draw the N people in the middle of the ranking")  # fmt: skip
    what.add_argument("--best", type=positive_int, metavar="N",
        help="draw the N people that are predicted best")  # fmt: skip
    add("--flip-test", action="store_true", help="of ranked people: average with "
        "mirrored crops")  # fmt: skip
    add("--input-hw", type=positive_int, nargs=2, metavar=("H", "W"),
        help="of --training, if not the recipe's")  # fmt: skip
    add("--images", type=positive_int, default=15, help="how many to draw (default: 15)")
    add("--columns", type=positive_int, default=5, help="per row (default: 5)")
    add("--seed", type=int, default=0, help="which images (default: 0)")
    add("--threshold", type=float, default=0.2, help="of keypoint scores (default: 0.2)")
    add("--output", type=Path, default=Path("predictions.png"), metavar="FILE")
    args = parser.parse_args(argv)
    if args.training and args.model is None:
        parser.error("--training draws what a model's recipe trains on: add --model NAME")
    if not args.training and args.weights is None:
        parser.error("add --weights FILE, or --training")
    args.split = args.split or ("train" if args.training else "val")
    return args


def choose_images(records, count, seed):
    """Returns up to `count` groups of records, or all (None), one group an image."""
    import numpy as np

    groups = {}
    for record in records:
        groups.setdefault(record.image_path, []).append(record)
    paths = sorted(groups)
    chosen = np.random.default_rng(seed).permutation(len(paths))[:count]
    return [groups[paths[i]] for i in chosen]


def draw_people(records, estimator, threshold):
    """Returns one image with the predicted poses of its people."""

    from keras_pose.pictures.drawing import draw_poses
    from keras_pose.pictures.geometry import xywh_to_xyxy
    from keras_pose.pictures.images import read_labelled

    image = read_labelled(records[0].image_path, records[0].image_hw)
    boxes_xyxy = xywh_to_xyxy([record.box_xywh for record in records])
    return draw_poses(image, estimator(image, boxes_xyxy), threshold=threshold)


def open_people(args, skeleton=None):
    """Opens the data set: with --skeleton, or else with the keypoints of the model."""
    from keras_pose.data.mixing import load_skeleton, one_set, open_set, open_set_for
    from keras_pose.data.readers.coco import Reading

    where = (*one_set(args.dataset, args.data_dir), args.split)
    reading = Reading(args.category, args.rescale_labels)
    if args.skeleton is None and skeleton is not None:
        return open_set_for(*where, skeleton, reading)
    skeleton = load_skeleton(args.skeleton) if args.skeleton else None
    return open_set(*where, skeleton, reading)


def open_model(args):
    """Loads the model file; --skeleton names keypoints that it does not."""
    from keras_pose.data.mixing import load_skeleton
    from keras_pose.runtime import load_model

    said = load_skeleton(args.skeleton) if args.skeleton else None
    return load_model(args.weights, args.model, skeleton=said)


def draw_predictions(args):
    """Returns pictures of whole images, and no captions."""
    from keras_pose.inference import PoseEstimator
    from keras_pose.pictures.images import ImageError

    model = open_model(args)
    dataset = open_people(args, model.contract.skeleton)
    estimator = PoseEstimator(model)
    pictures = []
    for group in choose_images(dataset.records, None, args.seed):
        if len(pictures) == args.images:
            break
        try:
            pictures.append(draw_people(group, estimator, args.threshold))
        except ImageError as error:
            print(f"left out    {error}")
    if not pictures:
        raise ImageError(f"None of the images of {dataset.name} can be read.")
    return pictures, None


def draw_training(args):
    """Returns pictures of training samples, and no captions."""
    from keras_pose.data.sources import records_source
    from keras_pose.trainer.recipes import get_recipe
    from keras_pose.trainer.sample_pictures import training_pictures

    dataset = open_people(args)
    input_hw = args.input_hw and tuple(args.input_hw)
    recipe = get_recipe(args.model, dataset.name).override(
        seed=args.seed, input_hw=input_hw
    )
    source = records_source(dataset.records, dataset.skeleton)
    if len(source.images) <= FEW_IMAGES:  # to decode all of a large set takes minutes
        source = source.without_broken_images()
    return training_pictures(recipe, source, min(args.images, len(source))), None


def draw_ranked(args):
    """Returns pictures and captions of the people at one place of the ranking."""
    from keras_pose.data.mixing import for_model
    from keras_pose.measuring import MeasureSettings
    from keras_pose.measuring.people_split import PeopleSplit
    from keras_pose.trainer.sample_pictures import ranked_pictures

    model = open_model(args)
    skeleton = model.contract.skeleton
    dataset = for_model(open_people(args, skeleton), skeleton)
    metric = "single_ap" if dataset.skeleton.oks_sigmas else "pixel_error"
    settings = MeasureSettings(
        dataset.name, split=args.split, metrics=(metric,), flip_test=args.flip_test
    )
    result = PeopleSplit(dataset, settings, skeleton).evaluate(model)
    place, count = chosen_place(args)
    return ranked_pictures(result, count, place, args.threshold)


def chosen_place(args):
    """Returns the place of the ranking that is drawn, and how many people; or None."""
    counts = {place: getattr(args, place) for place in ("worst", "median", "best")}
    return next(((place, count) for place, count in counts.items() if count), None)


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    # Imported after parsing: TensorFlow takes seconds, `--help` must not.
    from keras_pose.files import check_writable
    from keras_pose.pictures.drawing import contact_sheet
    from keras_pose.pictures.images import write_image

    check_writable(args.output.parent)
    draw = draw_predictions
    if args.training:
        draw = draw_training
    elif chosen_place(args):
        draw = draw_ranked
    pictures, captions = draw(args)
    sheet = contact_sheet(pictures, args.columns, captions)
    print(f"written     {write_image(args.output, sheet)}")


if __name__ == "__main__":
    main()
