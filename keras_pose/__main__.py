"""Draws the skeletons of the people in photos.

    python -m keras_pose photo.jpg --output out.png
    python -m keras_pose photo.jpg --box 40,12,140,380 --weights pose_model.tflite
    python -m keras_pose photos/ --output drawn/ --json poses.json

The whole photo is one person unless boxes say where people are. Without --weights
it takes the best checkpoint of the newest run in runs/.

    python -m keras_pose models            # what there is: `models --help`
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from keras_pose.commandline import plain_errors


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        prog="python -m keras_pose",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("photos", nargs="+", type=Path, metavar="PHOTO", help="image file, or a folder")
    add("--output", type=Path, metavar="PATH",
        help="image file, or folder (default: PHOTO_pose.png, here)")  # fmt: skip
    add("--weights", metavar="FILE",
        help=".keras, .tflite, .onnx; with --model .weights.h5 or: coco")  # fmt: skip
    add("--model", help="zoo name, for weights that do not say it")
    add("--runs-dir", default="runs", help="where the newest run is looked for")
    add("--box", dest="boxes", action="append", type=box, metavar="X,Y,W,H",
        help="a person, in pixels of the upright photo; once per person")  # fmt: skip
    add("--flip-test", action="store_true", help="average with the mirrored photo")
    add("--threshold", type=float, default=0.2, help="of keypoint scores (default: 0.2)")
    add("--draw-boxes", action="store_true", help="outline the person boxes too")
    add("--json", type=Path, metavar="FILE", help="also write the keypoints there")
    return parser.parse_args(argv)


def parse_models_args(argv):
    parser = argparse.ArgumentParser(
        prog="python -m keras_pose models",
        description="Lists the networks: sizes, official weights, and what is reported "
        "of them.",
    )
    add = parser.add_argument
    add("--task", help="only those for top_down, bottom_up, detection, ...")
    add("--markdown", action="store_true", help="as a Markdown table")
    add("--update-readme", type=Path, metavar="FILE", help="write it into a README")
    args = parser.parse_args(argv)
    if args.update_readme and (args.task or args.markdown):
        parser.error("--update-readme writes the whole table: no --task, no --markdown")
    return args


def list_networks(args):
    from keras_pose.model_table import as_markdown, as_text, table_rows, update_readme

    if args.update_readme:
        print(f"written     {update_readme(args.update_readme)}")
        return
    rows = table_rows(args.task)
    print(as_markdown(rows) if args.markdown else as_text(rows))


def box(text):
    """Reads X,Y,W,H into (x1, y1, x2, y2)."""
    try:
        x, y, width, height = map(float, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be X,Y,W,H in pixels, got {text!r}"
        ) from None
    if width <= 0 or height <= 0:
        raise argparse.ArgumentTypeError(f"width and height must be positive, got {text!r}")
    return x, y, x + width, y + height


def find_photos(paths):
    """Returns image files; a folder stands for the images in it.

    Raises:
        FileNotFoundError: names what is missing, or the folder without an image.
    """
    photos: list[Path] = []
    for path in paths:
        photos += images_in(path) if path.is_dir() else [path]
        if not photos:
            raise FileNotFoundError(f"There are no images in the folder {path}.")
        if not path.exists():
            raise FileNotFoundError(f"Photo {path} does not exist.")
    return photos


def images_in(folder):
    from PIL import Image

    known = Image.registered_extensions()
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in known)


def output_paths(photos, output):
    """Returns where each drawn photo goes; `output` is a folder unless it has a suffix.

    Raises:
        ValueError: when two photos would go to one file, or a photo onto itself.
    """
    if output is not None and output.suffix and not output.is_dir():
        paths = [output] * len(photos)
    else:
        paths = [(output or Path()) / f"{photo.stem}_pose.png" for photo in photos]
    if len(set(paths)) < len(photos):
        raise ValueError(
            f"{len(photos)} photos cannot all go to {paths[0]}: give a folder as --output, "
            "and photos of different names."
        )
    for photo, path in zip(photos, paths, strict=True):
        if path.resolve() == photo.resolve():
            raise ValueError(f"The drawing would replace the photo {photo} itself.")
    return paths


def open_estimator(args):
    from keras_pose.inference import PoseEstimator
    from keras_pose.runtime import load_model

    weights = args.weights
    if weights is None:
        from keras_pose.runs import newest_checkpoint

        weights = newest_checkpoint(args.runs_dir)
        print(f"using       {weights}, of the newest run in {args.runs_dir}")
    return PoseEstimator(load_model(weights, args.model), flip_test=args.flip_test)


def draw_photo(photo, output, estimator, args):
    """Estimates, draws and prints the people of one photo; returns them for --json."""
    from keras_pose.drawing import draw_poses
    from keras_pose.images import read_image, write_image

    image = read_image(photo)
    poses = estimator(image, args.boxes)
    drawing = draw_poses(image, poses, threshold=args.threshold, draw_boxes=args.draw_boxes)
    write_image(output, drawing)
    for i, score in enumerate(poses.scores):
        num_shown = int((poses.keypoint_scores[i] > args.threshold).sum())
        print(
            f"person {i + 1:<4} score {score:.2f}, {num_shown} of "
            f"{poses.skeleton.num_keypoints} keypoints above {args.threshold:g}"
        )
    print(f"written     {output}")
    height, width = image.shape[:2]
    people = [person_dict(poses, i) for i in range(len(poses))]
    return {"photo": str(photo), "height": height, "width": width, "people": people}


def person_dict(poses, index):
    x1, y1, x2, y2 = poses.boxes_xyxy[index].tolist()
    keypoints = zip(
        poses.skeleton.names,
        poses.keypoints_xy[index].tolist(),
        poses.keypoint_scores[index].tolist(),
        strict=True,
    )
    return {
        "score": round(float(poses.scores[index]), 4),
        "box_xywh": [x1, y1, x2 - x1, y2 - y1],
        "keypoints": {
            name: {"x": round(x, 2), "y": round(y, 2), "score": round(score, 4)}
            for name, (x, y), score in keypoints
        },
    }


@plain_errors()
def main(argv=None):
    argv = sys.argv[1:] if argv is None else list(argv)
    if argv[:1] == ["models"]:
        return list_networks(parse_models_args(argv[1:]))
    args = parse_args(argv)
    # Imported after parsing: `--help` must not wait for OpenCV, nor for TensorFlow.
    from keras_pose.files import check_writable, write_json

    photos = find_photos(args.photos)
    if args.boxes and len(photos) > 1:
        raise ValueError(f"--box speaks of one photo, but there are {len(photos)}.")
    outputs = output_paths(photos, args.output)
    for path in {*outputs, *filter(None, [args.json])}:
        check_writable(path.parent)
    estimator = open_estimator(args)
    drawn = [
        draw_photo(photo, output, estimator, args)
        for photo, output in zip(photos, outputs, strict=True)
    ]
    if args.json:
        model = estimator.pose_model.contract.model
        print(f"written     {write_json(args.json, {'model': model, 'photos': drawn})}")


if __name__ == "__main__":
    sys.exit(main())
