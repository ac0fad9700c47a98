"""Draws the skeletons of the people in photos and videos.

    python -m keras_pose photo.jpg --output out.png
    python -m keras_pose photo.jpg --box 40,12,140,380 --weights pose_model.tflite
    python -m keras_pose portrait.jpg --whole-image
    python -m keras_pose photo.jpg --quality best           # downloads once, says what
    python -m keras_pose photo.jpg --weights float32.tflite --beside int8.tflite --heatmaps
    python -m keras_pose photos/ --output drawn/ --json poses.json
    python -m keras_pose clip.mp4 --detector person.tflite --output out.mp4 --json out.json
    python -m keras_pose "frames/*.png" --output out.mp4    # or a folder: a video of them
    python -m keras_pose 0 --output out.mp4                 # camera 0, until Ctrl-C
    python -m keras_pose rtsp://192.168.0.9/stream          # or http://: until Ctrl-C
    python -m keras_pose pictures/ --engine ray --output labels/   # millions, by a cluster

People are found, and their keypoints, by the models that come with the package unless
--detector and --weights name others. People of a video keep their numbers. Where int8
files gain little on this machine, one line of advice names the faster kind of file
(`python -W ignore -m keras_pose` leaves it out).

    python -m keras_pose models            # what there is: `models --help`

Where the package is installed, `keras-pose` is short for `python -m keras_pose`, and
`predict` may stand before the inputs. Other subcommands, each with its own --help:

{subcommands}
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from keras_pose.commandline import plain_errors, positive_int
from keras_pose.commandline.subcommands import SUBCOMMANDS, list_subcommands, run


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        prog="python -m keras_pose",
        description=str(__doc__).replace("{subcommands}", list_subcommands()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("inputs", nargs="+", type=named_input, metavar="INPUT",
        help="photo, video, folder, pattern in quotes, number of a camera, address of a "
        "stream")  # fmt: skip
    add("--output", type=Path, metavar="PATH",
        help="image, video or folder (default: INPUT_pose.png or .mp4, here)")  # fmt: skip
    which = parser.add_mutually_exclusive_group().add_argument
    which("--weights", metavar="FILE",
          help=".keras, .tflite, .onnx; with --model .weights.h5 or: coco")  # fmt: skip
    which("--runs-dir", metavar="FOLDER", help="the best of the newest run in there")
    which("--quality", choices=("fast", "good", "best"),
          help="fast: the models that come with the package; good: RTMPose-s and "
          "RTMDet-nano; best: RTMPose-l and RTMDet-m, downloaded on first use")  # fmt: skip
    add("--model", help="zoo name, for weights that do not say it")
    add("--skeleton", metavar="NAME|FILE", help="what the keypoints are, for such: built "
        "in (coco_17), or your own (docs/skeletons.md)")  # fmt: skip
    who = parser.add_mutually_exclusive_group()
    who.add_argument("--detector", metavar="FILE", help="finds people: .tflite, .onnx, "
        ".keras; .json: a description (docs/detectors.md), COCO results")  # fmt: skip
    who.add_argument("--whole-image", action="store_true", help="it is one person")
    add("--box-threshold", type=float, metavar="SCORE",
        help="people are found from this score (default: what is best for the detector "
        "that comes with the package, else 0.3)")  # fmt: skip
    add("--box", dest="boxes", action="append", type=box, metavar="X,Y,W,H",
        help="a person, in pixels of the upright photo; once per person")  # fmt: skip
    add("--flip-test", action="store_true", help="average with the mirrored photo")
    add("--threshold", type=float, default=0.2, help="of keypoint scores (default: 0.2)")
    add("--draw-boxes", action="store_true", help="outline the person boxes too")
    add("--heatmaps", action="store_true", help="under the skeletons (photos only)")
    add("--beside", metavar="FILE",
        help="another model's poses in the same boxes, on the right")  # fmt: skip
    add("--json", type=Path, metavar="FILE", help="also write the keypoints there")
    many = parser.add_argument_group("millions of pictures").add_argument
    many("--engine", choices=("ray",), help="label a folder, with those below it, or "
         "Parquet files on a Ray cluster; --output is a folder of shards")  # fmt: skip
    many("--format", choices=("json", "parquet"), default="json",
         help="of the shards (default: json, a line a picture)")  # fmt: skip
    many("--shard-size", type=positive_int, default=1000, metavar="N",
         help="pictures a shard; those that are there stay (default: 1000)")  # fmt: skip
    video = parser.add_argument_group("videos").add_argument
    video("--detect-every", type=positive_int, default=10, metavar="N",
          help="detect on every N-th frame, follow between (default: 10)")  # fmt: skip
    video("--matching", default="greedy", choices=("greedy", "hungarian"),
          help="of people between frames (default: greedy)")  # fmt: skip
    video("--no-smooth", action="store_true", help="leave the keypoints' jitter in")
    video("--fps", type=float, help="frames per second, if the input does not know")
    video("--max-frames", type=positive_int, metavar="N", help="stop after these")
    args = parser.parse_args(argv)
    if args.quality and args.model:
        parser.error(f"--quality {args.quality} names its networks: leave --model out")
    drawn = ("boxes", "beside", "heatmaps", "json", "draw_boxes")
    option = next((name for name in drawn if getattr(args, name)), None)
    if args.engine and option:
        parser.error(f"--engine {args.engine} draws nothing: leave {option} out")
    if args.engine and (args.output is None or len(args.inputs) > 1):
        parser.error(f"--engine {args.engine} takes one input and --output FOLDER")
    return args


def parse_models_args(argv):
    parser = argparse.ArgumentParser(
        prog="python -m keras_pose models",
        description="Lists the networks: sizes, official weights, and what is reported "
        "of them.",
    )
    add = parser.add_argument
    add("--task", help="only those for top_down, bottom_up, detection, ...")
    add("--markdown", action="store_true", help="as a Markdown table")
    add(
        "--update-readme",
        type=Path,
        metavar="FILE",
        help="write it between the markers of a page (docs/models.md)",
    )
    args = parser.parse_args(argv)
    if args.update_readme and (args.task or args.markdown):
        parser.error("--update-readme writes the whole table: no --task, no --markdown")
    return args


def list_networks(args):
    from keras_pose.weights.model_table import (
        as_markdown,
        as_text,
        table_rows,
        update_readme,
    )

    if args.update_readme:
        print(f"written     {update_readme(args.update_readme)}")
        return
    rows = table_rows(args.task)
    print(as_markdown(rows) if args.markdown else as_text(rows))


def named_input(text):
    """Returns a path, or the address of a stream as it is."""
    from keras_pose.inference.frame_sources import is_stream

    return text if is_stream(text) else Path(text)


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


def is_video(inputs, output):
    """Returns True if there is one video to work on, rather than photos.

    Raises:
        ValueError: for a video among other things.
    """
    from keras_pose.inference.frame_sources import VIDEO_SUFFIXES, is_camera

    moving = [
        path
        for path in inputs
        if isinstance(path, str)
        or path.suffix.lower() in VIDEO_SUFFIXES
        or is_camera(str(path))
    ]
    if moving and len(inputs) > 1:
        raise ValueError(f"One video at a time: {moving[0]} came with other inputs.")
    if len(inputs) == 1 and not moving and shows_animation(inputs[0], output):
        return True
    wants_video = output is not None and output.suffix.lower() in VIDEO_SUFFIXES
    if wants_video and len(inputs) > 1:
        raise ValueError(
            f"{len(inputs)} inputs cannot become one video: name their folder, or a "
            "pattern in quotes."
        )
    return bool(moving) or (wants_video and not is_single_photo(inputs[0]))


def shows_animation(path, output):
    """Returns True if an animated picture is to become a video, as it is unless a picture
    is asked for.
    """
    from keras_pose.pictures.images import PICTURE_SUFFIXES, is_animated

    wants_picture = output is not None and output.suffix.lower() in PICTURE_SUFFIXES
    return is_single_photo(path) and not wants_picture and is_animated(path)


def is_single_photo(path):
    """Returns True if a path is an image file, which cannot become a video."""
    from keras_pose.pictures.images import PICTURE_SUFFIXES

    return path.is_file() and path.suffix.lower() in PICTURE_SUFFIXES


def find_photos(paths):
    """Returns image files; a folder or a pattern stands for the images it holds.

    Raises:
        FileNotFoundError: names what is missing, or the folder without an image.
    """
    from keras_pose.inference.frame_sources import is_pattern, matching, pictures_in

    photos: list[Path] = []
    for path in paths:
        if path.is_dir():
            photos += pictures_in(path)
        else:
            photos += matching(str(path)) if is_pattern(str(path)) else [path]
        if not photos:
            raise FileNotFoundError(f"There are no images in the folder {path}.")
        if not path.exists() and not is_pattern(str(path)):
            raise FileNotFoundError(f"Photo {path} does not exist.")
    return photos


def output_paths(photos, output):
    """Returns where each drawn photo goes; `output` is a folder unless it has a suffix.

    The drawings of photos a.jpg and a.png are a_jpg_pose.png and a_png_pose.png; those
    of photos that share even that, from different folders, are numbered.

    Raises:
        ValueError: when many photos would go to one file, or a photo onto itself.
    """
    if output is not None and output.suffix and not output.is_dir():
        paths = [output] * len(photos)
        if len(photos) > 1:
            raise ValueError(
                f"{len(photos)} photos cannot all go to {output}: give a folder as "
                "--output."
            )
    else:
        paths = [(output or Path()) / f"{name}_pose.png" for name in drawing_names(photos)]
    for photo, path in zip(photos, paths, strict=True):
        if path.resolve() == photo.resolve():
            raise ValueError(f"The drawing would replace the photo {photo} itself.")
    return paths


def drawing_names(photos):
    """Returns a name of its own for each photo: its stem, where no other has that."""
    stems = [photo.stem for photo in photos]
    names = [
        stem if stems.count(stem) == 1 else f"{stem}_{photo.suffix[1:]}"
        for stem, photo in zip(stems, photos, strict=True)
    ]
    taken: set[str] = set()
    for i, name in enumerate(names):
        number = 1
        while names[i] in taken:
            number += 1
            names[i] = f"{name}_{number}"
        taken.add(names[i])
    return names


def chosen_models(args):
    """Returns the file of the pose network, the detector, and the skeleton if named."""
    from keras_pose.inference.detectors import WHOLE_IMAGE
    from keras_pose.shipped import POSE, shipped_file

    weights = args.weights
    if weights is None and args.runs_dir is not None:
        from keras_pose.files.runs import newest_checkpoint

        weights = newest_checkpoint(args.runs_dir)
        print(f"using       {weights}, of the newest run in {args.runs_dir}")
    detector = WHOLE_IMAGE if args.whole_image else args.detector
    if args.quality is not None:
        from keras_pose.tasks.quality import files_of_quality

        finds_people = detector is None and not args.boxes
        weights, found = files_of_quality(args.quality, finds_people)
        detector = detector or found
    skeleton = None
    if args.skeleton is not None:
        from keras_pose.data.mixing import load_skeleton

        skeleton = load_skeleton(args.skeleton)
    return weights or shipped_file(POSE), detector, skeleton


def open_estimator(args, num_threads=None):
    from keras_pose.inference import PoseEstimator
    from keras_pose.runtime.crowd_model import load_pose
    from keras_pose.runtime.loading import check_keypoints

    path, detector, skeleton = chosen_models(args)
    pose_model = load_pose(path, args.model, num_threads=num_threads, skeleton=skeleton)
    check_keypoints(pose_model.contract, skeleton, path)
    return PoseEstimator(
        pose_model,
        detector,
        flip_test=args.flip_test,
        num_threads=num_threads,
        box_threshold=args.box_threshold,
    )


def open_beside(args):
    """Opens the model that is shown on the right; None where there is none."""
    if args.beside is None:
        return None
    from keras_pose.inference import PoseEstimator
    from keras_pose.runtime import load_model

    return PoseEstimator(load_model(args.beside, args.model), flip_test=args.flip_test)


def draw_view(image, poses, estimator, args):
    from keras_pose.pictures.drawing import draw_poses

    seen = estimator.show_heatmaps(image, poses) if args.heatmaps else image
    return draw_poses(seen, poses, threshold=args.threshold, draw_boxes=args.draw_boxes)


def draw_beside(image, poses, estimators, args):
    """Draws two models' poses in the same boxes, and prints how far they are apart."""
    import numpy as np

    from keras_pose.pictures.drawing import side_by_side

    other = estimators[1](image, poses.boxes_xyxy)
    views = [
        draw_view(image, each, estimator, args)
        for each, estimator in zip((poses, other), estimators, strict=True)
    ]
    contracts = [estimator.pose_model.contract for estimator in estimators]
    names = [f"{contract.model} {contract.quantization}" for contract in contracts]
    if poses.skeleton.names == other.skeleton.names:
        is_sure = (poses.keypoint_scores > args.threshold).ravel()
        gaps = np.linalg.norm(poses.keypoints_xy - other.keypoints_xy, axis=-1).ravel()
        gaps = gaps[is_sure]
        if len(gaps):
            print(
                f"beside      {names[1]}: {len(gaps)} keypoints, {np.median(gaps):.2f} "
                f"pixels apart (median), {gaps.max():.2f} at most"
            )
    return side_by_side(views, names, height=len(image))


def draw_photo(photo, output, estimator, args, beside=None):
    """Estimates, draws and prints the people of one photo; returns them for --json."""
    from keras_pose.pictures.images import read_image, write_image

    image = read_image(photo)
    poses = estimator(image, args.boxes, image_id=photo)
    if beside is None:
        drawing = draw_view(image, poses, estimator, args)
    else:
        drawing = draw_beside(image, poses, (estimator, beside), args)
    write_image(output, drawing)
    if not len(poses):
        threshold = estimator.box_threshold
        print(f"nobody      was found in {photo} (--box-threshold {threshold:.2g})")
    for i, score in enumerate(poses.scores):
        num_shown = int((poses.keypoint_scores[i] > args.threshold).sum())
        print(
            f"person {i + 1:<4} score {score:.2f}, {num_shown} of "
            f"{poses.skeleton.num_keypoints} keypoints above {args.threshold:g}"
        )
    print(f"written     {output}")
    height, width = image.shape[:2]
    people = poses.to_dicts()
    return {"photo": str(photo), "height": height, "width": width, "people": people}


def draw_video(args):
    """Follows the people of one video, and prints what was done."""
    from keras_pose.inference.frame_sources import open_source
    from keras_pose.inference.overlap import network_threads
    from keras_pose.inference.video import VideoSettings, annotate
    from keras_pose.inference.writers import check_video_name
    from keras_pose.runtime.instructions import machine_line

    of_photos = {"--box": args.boxes, "--heatmaps": args.heatmaps, "--beside": args.beside}
    option = next((name for name, value in of_photos.items() if value), None)
    if option:
        raise ValueError(
            f"{option} speaks of photos. (People of a video are found by --detector.)"
        )
    name = args.inputs[0]
    output = args.output or Path(f"{video_stem(name)}_pose.mp4")
    check_video_name(output)
    if isinstance(name, Path) and output.resolve() == name.resolve():
        raise ValueError(f"The drawing would replace the video {name} itself.")
    settings = VideoSettings(
        detect_every=args.detect_every,
        matching=args.matching,
        is_smoothed=not args.no_smooth,
        threshold=args.threshold,
        draws_boxes=args.draw_boxes,
        max_frames=args.max_frames,
        shows_progress=True,
    )
    source = open_source(name, args.fps)
    estimator = open_estimator(args, network_threads())
    summary = annotate(source, estimator, output, args.json, settings)
    print(f"done        {summary.text()}")
    print(machine_line())
    for note in summary.notes:
        print(f"note        {note}")
    for path in filter(None, [output, args.json]):
        print(f"written     {path}")


def video_stem(name):
    """Returns a file name's beginning for what is a file, a folder, or a camera."""
    if isinstance(name, str):
        return "stream"
    return (
        f"camera_{name}" if str(name).isdecimal() else name.stem.strip("*?[]") or "frames"
    )


def label_many(args):
    """Labels pictures shard by shard, and prints what became of them."""
    from tqdm import tqdm

    from keras_pose.inference.detectors import WHOLE_IMAGE
    from keras_pose.inference.shards import (
        EstimatorOptions,
        label_by_ray,
        make_shards,
        open_output,
    )

    weights, detector, skeleton = chosen_models(args)
    options = EstimatorOptions(
        str(Path(weights).absolute()) if Path(weights).exists() else str(weights),
        str(Path(detector).absolute()) if detector not in (None, WHOLE_IMAGE) else detector,
        args.model,
        skeleton,
        args.flip_test,
        args.box_threshold,
    )
    shards = make_shards(args.inputs[0], args.shard_size)
    left = open_output(args.output, shards, options.facts(), args.format)
    print(f"shards      {len(shards)}, of which {len(left)} are left to do", flush=True)
    totals = {"pictures": 0, "people": 0, "bad": 0}
    with tqdm(total=len(left), unit="shard", disable=None) as bar:

        def add(counts):
            for name in totals:
                totals[name] += int(counts[name])
            bar.update()

        if left:
            label_by_ray(left, options, args.output, args.format, add)
    print(
        f"done        {totals['pictures']} pictures, {totals['people']} people, "
        f"{totals['bad']} pictures that could not be read"
    )
    print(f"written     {args.output}")


def draw_photos(args):
    """Draws photos; returns an error if some, but not a single one, cannot be read."""
    from keras_pose.files import check_writable, write_json
    from keras_pose.pictures.images import ImageError

    photos = find_photos(args.inputs)
    if args.boxes and len(photos) > 1:
        raise ValueError(f"--box speaks of one photo, but there are {len(photos)}.")
    outputs = output_paths(photos, args.output)
    for path in {*outputs, *filter(None, [args.json])}:
        check_writable(path.parent)
    estimator, beside = open_estimator(args), open_beside(args)
    drawn, failed = [], []
    for photo, output in zip(photos, outputs, strict=True):
        try:
            drawn.append(draw_photo(photo, output, estimator, args, beside))
        except ImageError as error:
            if len(photos) == 1:
                raise
            print(f"failed      {error}")
            failed.append({"photo": str(photo), "error": str(error)})
    if args.json:
        values = {"model": estimator.pose_model.contract.model, "photos": drawn}
        values |= {"failed": failed} if failed else {}
        print(f"written     {write_json(args.json, values)}")
    if failed:
        return f"{len(failed)} of {len(photos)} photos could not be read: " + ", ".join(
            entry["photo"] for entry in failed
        )
    return None


@plain_errors()
def main(argv=None):
    argv = sys.argv[1:] if argv is None else list(argv)
    if argv[:1] == ["models"]:
        return list_networks(parse_models_args(argv[1:]))
    if argv and argv[0] in SUBCOMMANDS:
        return run(argv[0], argv[1:])
    args = parse_args(argv[1:] if argv[:1] == ["predict"] else argv)
    # What they need is imported after parsing: `--help` must not wait for OpenCV, nor
    # for TensorFlow.
    from keras_pose.runtime.integer_speed import advice_in_a_line

    if args.engine:
        return label_many(args)
    draw = draw_video if is_video(args.inputs, args.output) else draw_photos
    try:
        with advice_in_a_line():
            return draw(args)
    except KeyboardInterrupt:
        sys.exit("stopped; what is not finished is not written")


if __name__ == "__main__":
    sys.exit(main())
