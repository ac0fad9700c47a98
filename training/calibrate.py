r"""Calibrates what a pose model says of its keypoints, and writes it into its contract.

    python training/calibrate.py --weights runs/NAME/best.keras --dataset coco
    python training/calibrate.py --weights pose.tflite --data-dir ~/coco --dry-run
    python training/calibrate.py --weights best.keras --plots charts --pictures 12

Scores become shares: a logistic function of the score is fitted on people with labelled
boxes, a keypoint being right from an OKS of its own of 0.5 on. A head for visibility
(train.py --visibility) gets a temperature, fitted on people as they are and on their
pictures cut off at the middle of their boxes. Both are fitted on every other person and
measured on the rest. PoseEstimator applies what the contract holds; AP stays what it is.
Exports of a calibrated .keras file are calibrated, too.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from a clone

from keras_pose.commandline import plain_errors, positive_int


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--weights", type=Path, required=True, metavar="FILE",
        help=".keras, .tflite or .onnx, with its contract")  # fmt: skip
    add("--dataset", default="coco", help="name of the data set (default: coco); "
        "mine=FOLDER for a set of your own in COCO's format")  # fmt: skip
    add("--data-dir", help="its folder (default: data/<data set>)")
    add("--split", default="val", help="train or val (default: val)")
    add("--category", metavar="NAME", help="of files in COCO's format with several "
        "categories that have keypoints: the one to read")  # fmt: skip
    add("--rescale-labels", action="store_true", help="scale labels to pictures that were "
        "made smaller or larger after they were labelled")  # fmt: skip
    add("--sigmas", choices=("uniform",), help="one OKS sigma for all keypoints that have "
        "none")  # fmt: skip
    add("--limit", type=positive_int, metavar="N", help="only the first N images")
    add("--dry-run", action="store_true", help="measure, and write nothing into the file")
    add("--plots", type=Path, metavar="FOLDER", help="draw the curves into it")
    add("--pictures", type=positive_int, default=0, metavar="N", help="also draw N people "
        "whose pictures are cut, without and with the head, into --plots")  # fmt: skip
    args = parser.parse_args(argv)
    if args.pictures and not args.plots:
        parser.error("--pictures go into the folder of --plots: name one")
    return args


def open_model(path):
    """Returns the model of a file of one person's keypoints."""
    from keras_pose.runtime import load_model

    if path.suffix not in (".keras", ".tflite", ".onnx"):
        raise ValueError(
            f"A file with a contract is calibrated: .keras, .tflite or .onnx, got {path}."
        )
    return load_model(path)


def settings_of(args):
    from keras_pose.data.mixing import one_set
    from keras_pose.data.readers.coco import Reading
    from keras_pose.measuring import MeasureSettings

    return MeasureSettings(
        *one_set(args.dataset, args.data_dir),
        split=args.split,
        limit=args.limit,
        reading=Reading(args.category, args.rescale_labels),
        sigmas=args.sigmas,
    )


def fit_scores(whole, skeleton):
    """Fits and prints the calibration of scores."""
    from keras_pose.contracts.certainty import ScoreCalibration
    from keras_pose.measuring.keypoint_kinds import TOLERANCE, calibrate_scores

    found = calibrate_scores(whole, skeleton)
    slope, intercept = found.values
    print(
        f"scores      {found.accuracy:.1%} of the keypoints are right; expected "
        f"calibration error {found.before.error:.4f}, with 1 / (1 + exp(-({slope:.3f} "
        f"score {intercept:+.3f}))) {found.after.error:.4f}"
    )
    return found, ScoreCalibration(slope, intercept, TOLERANCE)


def fit_visibility(seen, contract):
    """Fits and prints the temperature of a head for visibility."""
    from keras_pose.contracts.certainty import KINDS
    from keras_pose.measuring.keypoint_kinds import calibrate_visibility, confusion

    found = calibrate_visibility(seen)
    (temperature,) = found.values
    print(
        f"visibility  {found.accuracy:.1%} of the kinds are right; expected calibration "
        f"error {found.before.error:.4f}, at the temperature {temperature:.3f} "
        f"{found.after.error:.4f}"
    )
    for kind, row in zip(KINDS, confusion(seen), strict=True):
        said = ", ".join(f"{n} {name}" for name, n in zip(KINDS, row, strict=True))
        print(f"            of {row.sum()} that are {kind}, it calls {said}")
    return found, dataclasses.replace(contract.visibility, temperature=temperature)


def report_drawn(cut, visibility):
    """Prints what is drawn of cut people, without the head and with it."""
    from keras_pose.measuring.keypoint_kinds import count_drawn
    from keras_pose.pictures.drawing import DRAWN_SCORE

    print(
        f"drawn       of {len(cut.scores)} people whose pictures end at the middle of "
        f"their boxes, with a score above {DRAWN_SCORE:g}:"
    )
    for label, field in (("without it", None), ("with it", visibility)):
        count = count_drawn(cut, field)
        print(
            f"            {label}: {count.outside_share:.1%} of what is drawn is outside "
            f"({count.outside} of {count.all_outside} that are), and {count.inside} of "
            f"{count.all_inside} inside are drawn"
        )


def draw(args, model, cut):
    """Draws some people whose pictures are cut, without and with the head."""
    import numpy as np

    from keras_pose.measuring.keypoint_kinds import cut_picture, poses_of
    from keras_pose.pictures.drawing import contact_sheet, draw_poses
    from keras_pose.pictures.images import read_labelled, write_image
    from keras_pose.pictures.structures import OUTSIDE

    # The largest of those who lose keypoints, from the most different pictures.
    lost = (cut.kinds == OUTSIDE).any(axis=1)
    order = [i for i in np.argsort(-cut.areas) if lost[i]]
    first = list({cut.records[i].image_path: i for i in reversed(order)}.values())
    pictures, captions = [], []
    for i in sorted(first, key=order.index)[: args.pictures]:
        record = cut.records[i]
        image = read_labelled(record.image_path, record.image_hw)
        picture, _ = cut_picture(image, np.asarray(record.box_xywh, float))
        for label in ("without", "with it"):
            poses = poses_of(cut, i, model, label == "with it")
            pictures.append(_around(draw_poses(_below(picture), poses), poses))
            captions.append(f"{record.image_path.stem}: {label}")
    sheet = contact_sheet(pictures, 4, captions)
    print(f"written     {write_image(args.plots / 'cut_people.jpg', sheet)}")


def _below(picture):
    """Adds grey below a picture, for what is drawn where it has ended."""
    import numpy as np

    return np.pad(picture, ((0, len(picture)), (0, 0), (0, 0)), constant_values=70)


def _around(image, poses):
    """Cuts out a person's box and as much again below it."""
    x1, y1, x2, y2 = poses.boxes_xyxy[0].round().astype(int).tolist()
    margin = (x2 - x1) // 4
    top, left = max(y1 - margin, 0), max(x1 - margin, 0)
    return image[top : y2 + (y2 - y1) + margin, left : x2 + margin]


def plot(args, fitted, title):
    from keras_pose.files import check_writable
    from keras_pose.pictures.images import write_image
    from keras_pose.pictures.plots import plot_reliability

    curves = {
        panel: {
            f"{label}, ECE {part.error:.3f}": (part.scores, part.shares, part.counts)
            for label, part in (("as it is", each.before), ("calibrated", each.after))
        }
        for panel, each in fitted.items()
    }
    path = check_writable(args.plots) / "reliability.png"
    print(f"written     {write_image(path, plot_reliability(curves, title))}")


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    model = open_model(args.weights)
    from keras_pose.exporting.formats.embedding import replace_contract
    from keras_pose.measuring.keypoint_kinds import look, open_labelled

    contract = model.contract
    people = open_labelled(settings_of(args), contract.skeleton)
    where = f"{len(people.records)} people of {args.dataset} {args.split}"
    print(f"people      {where}")
    whole, fitted = look(model, people), {}
    fitted["score of a keypoint"], scores = fit_scores(whole, people.skeleton)
    values = {"score_calibration": scores}
    cut = None
    if contract.visibility is not None:
        cut = look(model, people, is_cut=True)
        if not people.says_hidden:
            print("            no flag calls a keypoint hidden: only outside is measured")
        found, values["visibility"] = fit_visibility([whole, cut], contract)
        fitted["probability of a keypoint's kind"] = found
        report_drawn(cut, values["visibility"])
    calibrated = dataclasses.replace(contract, **values)
    if args.plots:
        plot(args, fitted, f"{contract.model}, {where}")
    if args.pictures and cut is not None:
        model.contract = calibrated
        draw(args, model, cut)
    if args.dry_run:
        print("not written, as --dry-run says")
        return
    replace_contract(args.weights, calibrated)
    print(f"written     {args.weights}: its contract, no weights")


if __name__ == "__main__":
    main()
