"""Labels people by a model: what a good pose network sees becomes training data.

    python training/label_people.py --pose teacher.onnx --images photos/ \\
        --detector person.tflite --output labelled
    python training/label_people.py --pose teacher.keras --images coco/train2017 \\
        --labels coco/annotations/person_keypoints_train2017.json --output labelled
    python training/train.py --model pose_lite --dataset mine=labelled,coco
    python training/label_people.py --boxes-only --detector teacher.keras \\
        --images photos/ --output boxes
    python training/train.py --model rtmdet_lite0 --dataset mine=boxes,coco

The first finds the people itself; the second takes the boxes of a file in COCO's format,
and labels those that have no keypoints (--relabel: all). Keypoints below --min-score stay
unlabelled, people with fewer than --min-keypoints are left out. OUTPUT holds
annotations/person_keypoints_SPLIT.json, each new label with the network's name as
"labelled_by" and its scores, and a link to the pictures. --boxes-only is for detectors:
boxes above --box-threshold (default: 0.5) without keypoints, and the rest of each picture
as a crowd, of which a detector learns nothing but what train.py --teacher tells it.

A network that learns from another's labels inherits its errors: look at some
(training/browse.py), and measure on labels that people made.
"""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from a clone

from keras_pose.commandline import plain_errors, positive_int

# Score from which a detector's boxes are labels.
BOX_SCORE = 0.5


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--pose", metavar="FILE", help="pose model file: the teacher")
    add("--boxes-only", action="store_true", help="label boxes by --detector, no keypoints")
    add("--images", required=True, type=Path, metavar="FOLDER", help="pictures")
    add("--labels", type=Path, metavar="FILE", help="boxes, and keypoints if any, in "
        "COCO's format; without it a detector finds the people")  # fmt: skip
    add("--detector", metavar="FILE", help="detector file, or its description (default: "
        "the one that comes with the package)")  # fmt: skip
    add("--box-threshold", type=float, metavar="SCORE", help="of the detector's people")
    add("--output", required=True, type=Path, metavar="FOLDER", help="made if need be")
    add("--split", default="train", choices=("train", "val"))
    add("--min-score", type=float, default=0.4, metavar="S",
        help="keypoints below stay unlabelled (default: 0.4)")  # fmt: skip
    add("--min-keypoints", type=positive_int, default=4, metavar="N",
        help="people with fewer are left out (default: 4)")  # fmt: skip
    add("--relabel", action="store_true", help="label people again who have keypoints")
    add("--flip-test", action="store_true", help="average mirrored crops in")
    args = parser.parse_args(argv)
    if args.boxes_only == bool(args.pose):
        parser.error("either --pose FILE, or --boxes-only with --detector FILE")
    if args.boxes_only and (args.labels or args.flip_test or not args.detector):
        parser.error("--boxes-only takes --detector, and neither --labels nor --flip-test")
    if args.labels and (args.detector or args.box_threshold):
        parser.error("--labels brings the boxes: leave --detector and --box-threshold out")
    if args.relabel and not args.labels:
        parser.error("--relabel is for --labels")
    return args


def read_people(path, keypoint_names):
    """Returns the contents of a file in COCO's format, and the category of its people.

    Raises:
        ValueError: for a file of another form, or with people of other keypoints.
    """
    from keras_pose.files import read_json

    contents = read_json(path)
    for name in ("images", "annotations", "categories"):
        if not isinstance(contents, dict) or not isinstance(contents.get(name), list):
            raise ValueError(f"{path} is not in COCO's format: it has no list {name!r}.")
    people = [entry for entry in contents["categories"] if entry.get("name") == "person"]
    if len(people) != 1:
        found = [entry.get("name") for entry in contents["categories"]]
        raise ValueError(f"{path} must have one category person, its categories: {found}.")
    names = people[0].get("keypoints")
    if names and list(names) != list(keypoint_names):
        raise ValueError(
            f"The people of {path} have the keypoints {', '.join(names)}; the model gives "
            f"{', '.join(keypoint_names)}. Labels of both cannot stand in one file."
        )
    return contents, people[0]["id"]


def found_contents(images):
    """Returns the contents of a file in COCO's format, of pictures without people."""
    from keras_pose.pictures.images import PICTURE_SUFFIXES

    paths = sorted(
        path for path in images.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES
    )
    if not paths:
        raise FileNotFoundError(f"There are no pictures in {images}.")
    names = [path.relative_to(images).as_posix() for path in paths]
    return {
        "images": [{"id": i, "file_name": name} for i, name in enumerate(names, 1)],
        "annotations": [],
        "categories": [],
    }


def label_entries(pose, scores, score, image_hw, args):
    """Returns the entries that a label has of the model, None where too little is seen.

    Args:
        pose: (K, 2) keypoints, image pixels.
        scores: (K,) their scores.
        score: confidence in the person.
        image_hw: (height, width), pixels.
        args: the script's options.
    """
    height, width = image_hw
    x, y = pose.T
    is_seen = (scores >= args.min_score) & (x > -0.5) & (y > -0.5)
    is_seen &= (x < width - 0.5) & (y < height - 0.5)
    if is_seen.sum() < args.min_keypoints:
        return None
    flat = [
        value
        for (a, b), seen in zip(pose.tolist(), is_seen.tolist(), strict=True)
        for value in ((round(a, 2), round(b, 2), 2) if seen else (0, 0, 0))
    ]
    return {
        "keypoints": flat,
        "num_keypoints": int(is_seen.sum()),
        "keypoint_scores": [round(value, 3) for value in scores.tolist()],
        "score": round(float(score), 4),
    }


def label(estimator, contents, category_id, args):
    """Returns (annotations, counts): of all people, and what became of them."""
    import numpy as np
    from tqdm import tqdm

    from keras_pose.metrics.broken_images import BrokenImages
    from keras_pose.pictures.geometry import xywh_to_xyxy, xyxy_to_xywh

    name = estimator.pose_model.contract.model
    people: dict = {}
    for entry in contents["annotations"]:
        people.setdefault(entry["image_id"], []).append(entry)
    broken, kept = BrokenImages(), []
    counts = {"kept as they were": 0, "labelled": 0, "left out": 0}
    known_ids = [entry.get("id") for entry in contents["annotations"]]
    next_id = 1 + max((i for i in known_ids if isinstance(i, int)), default=0)
    for picture in tqdm(contents["images"], unit="image", disable=None):
        known = people.get(picture["id"], [])
        done = [
            e for e in known if e.get("iscrowd") or (has_keypoints(e) and not args.relabel)
        ]
        kept += done
        counts["kept as they were"] += len(done)
        open_entries = [entry for entry in known if entry not in done]
        if args.labels and not open_entries:
            continue
        size_hw = picture.get("height"), picture.get("width")
        path = args.images / picture["file_name"]
        image = broken.read(path, size_hw if all(size_hw) else None)
        if image is None:
            continue
        picture["height"], picture["width"] = image.shape[:2]
        if args.labels:
            boxes_xywh = np.array([entry["bbox"] for entry in open_entries], np.float64)
            boxes, box_scores = xywh_to_xyxy(boxes_xywh), None
        else:
            found = estimator.find_people(image)
            boxes, box_scores = found.boxes_xyxy.astype(np.float64), found.scores
            boxes_xywh = xyxy_to_xywh(boxes)
            open_entries = [{"image_id": picture["id"], "iscrowd": 0} for _ in boxes]
        poses = estimator.estimate(image, boxes, box_scores)
        for i, entry in enumerate(open_entries):
            entries = label_entries(
                poses.keypoints_xy[i],
                poses.keypoint_scores[i],
                poses.scores[i],
                image.shape[:2],
                args,
            )
            if entries is None:
                counts["left out"] += 1
                continue
            counts["labelled"] += 1
            box = [round(value, 2) for value in boxes_xywh[i].tolist()]
            new = {"id": next_id, "bbox": box, "area": round(box[2] * box[3], 2)}
            own = {"category_id": category_id, "labelled_by": name}
            kept.append(new | entry | entries | own)
            next_id += 1
    broken.warn()
    return kept, counts


def label_boxes(detector, contents, category_id, args):
    """Returns (annotations, counts): boxes of all pictures, and the rest as crowds."""
    from tqdm import tqdm

    from keras_pose.metrics.broken_images import BrokenImages
    from keras_pose.pictures.geometry import xyxy_to_xywh

    threshold = BOX_SCORE if args.box_threshold is None else args.box_threshold
    broken, made = BrokenImages(), []
    counts = {"boxes": 0, "pictures without any": 0}
    for picture in tqdm(contents["images"], unit="image", disable=None):
        image = broken.read(args.images / picture["file_name"], None)
        if image is None:
            continue
        height, width = picture["height"], picture["width"] = image.shape[:2]
        found = detector(image, threshold)
        found = found[(found.labels == 0) & (found.scores > threshold)]
        counts["boxes"] += len(found.scores)
        counts["pictures without any"] += not len(found.scores)
        boxes = xyxy_to_xywh(found.boxes_xyxy).tolist()
        entries = [
            {"bbox": [round(value, 2) for value in box], "iscrowd": 0, "score": score}
            for box, score in zip(boxes, found.scores.round(4).tolist(), strict=True)
        ]
        if entries:  # people that were not found are no background
            entries.append({"bbox": [0, 0, width, height], "iscrowd": 1})
        shared = {"image_id": picture["id"], "category_id": category_id}
        for entry in entries:
            area = round(entry["bbox"][2] * entry["bbox"][3], 2)
            own = {"area": area, "labelled_by": detector.contract.model}
            made.append({"id": len(made) + 1} | shared | entry | own)
    broken.warn()
    return made, counts


def has_keypoints(entry):
    """Returns True if a person has a labelled keypoint."""
    return any(entry.get("keypoints", [])[2::3])


def write(contents, args):
    """Writes the labels, with a link to the pictures beside them."""
    from keras_pose.files import check_writable, write_json

    folder = check_writable(args.output / "annotations")
    link = args.output / f"{args.split}2017"
    if link.is_symlink():
        link.unlink()
    if link.exists():
        raise FileExistsError(f"{link} is there and not a link: choose another --output.")
    os.symlink(args.images.resolve(), link, target_is_directory=True)
    return write_json(folder / f"person_keypoints_{args.split}2017.json", contents)


def open_teacher(args):
    """Returns the model that labels: an estimator, or a detector alone."""
    if args.boxes_only:
        from keras_pose.runtime.detector_model import load_detector

        return load_detector(args.detector)
    from keras_pose.inference import PoseEstimator

    return PoseEstimator(
        args.pose,
        args.detector,
        flip_test=args.flip_test,
        box_threshold=args.box_threshold,
    )


def name_keypoints(contents, category_id, skeleton):
    """Writes a skeleton's keypoints into the category of people."""
    (person,) = [entry for entry in contents["categories"] if entry["id"] == category_id]
    person["keypoints"] = list(skeleton.names)
    limbs = [[skeleton.index(end) + 1 for end in limb] for limb in skeleton.limbs]
    person.setdefault("skeleton", limbs)


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    if not args.images.is_dir():
        raise NotADirectoryError(f"--images {args.images} is not a folder.")
    teacher = open_teacher(args)
    if args.labels:
        contents, category_id = read_people(args.labels, teacher.skeleton.names)
    else:
        contents, category_id = found_contents(args.images), 1
    if not any(entry.get("id") == category_id for entry in contents["categories"]):
        contents["categories"].append({"id": category_id, "name": "person"})
    if args.boxes_only:
        contents["annotations"], counts = label_boxes(teacher, contents, category_id, args)
    else:
        name_keypoints(contents, category_id, teacher.skeleton)
        contents["annotations"], counts = label(teacher, contents, category_id, args)
    used = {entry["image_id"] for entry in contents["annotations"]}
    contents["images"] = [entry for entry in contents["images"] if entry["id"] in used]
    path = write(contents, args)
    print(", ".join(f"{count} {what}" for what, count in counts.items()))
    print(f"labels      {path}, {len(used)} pictures")
    model = "NAME_OF_A_DETECTOR" if args.boxes_only else "..."
    print(
        f"train       python training/train.py --dataset mine={args.output} --model {model}"
    )


if __name__ == "__main__":
    main()
