"""Measures model files on a data set's people, by the data set's official metrics.

    python training/evaluate.py --weights runs/NAME/best.keras --dataset coco
    python training/evaluate.py --weights w.weights.h5 --model hrnet_w32 --data-dir ~/coco
    python training/evaluate.py --weights best.keras int8.tflite --dataset synthetic
    python training/evaluate.py --weights best.keras --boxes detections.json --flip-test
    python training/evaluate.py --weights pose.tflite --detector person.tflite
    python training/evaluate.py --weights runs/openpose_light_1_coco/best.keras
    python training/evaluate.py --weights best.keras --plots charts --output numbers
    python training/evaluate.py --compare numbers/*.json

People are found by their ground-truth boxes, by those that a detector found before
(--boxes, COCO results of all persons), or by a detector itself (--detector), which is then
measured too: box AP, and milliseconds an image with 1, 5 and 20 people. Bottom-up networks
find everybody in a picture by themselves, and are measured by COCO AP. Writes
metrics_<file>_<data set>_<split>.json, with the protocol the number was measured under:
beside files of a training run; of others into `results` in the working folder. Several
files are also printed as one table; numbers of two protocols are not.
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
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--weights", nargs="+", type=Path, metavar="FILE",
        help=".keras, .tflite, .onnx; with --model .weights.h5, .pth or: coco")  # fmt: skip
    what.add_argument("--compare", nargs="+", type=Path, metavar="JSON",
        help="print files of numbers as one table, measuring nothing")  # fmt: skip
    add("--model", help="zoo name, for weights that do not say it")
    add("--num-keypoints", type=int, help="of .weights.h5, if not the zoo's")
    add("--input-hw", type=int, nargs=2, metavar=("H", "W"), help="of .weights.h5, pixels")
    add("--dataset", default="coco", help="name of the data set (default: coco); "
        "mine=FOLDER for a set of your own in COCO's format")  # fmt: skip
    add("--skeleton", metavar="NAME|FILE", help="what the keypoints are, of weights that "
        "do not say it: built in (coco_17), or your own, in place of the model's "
        "(docs/skeletons.md)")  # fmt: skip
    add("--sigmas", choices=("uniform",), help="measure keypoints without OKS sigmas by AP "
        "with one sigma for all (default: PCK)")  # fmt: skip
    add("--data-dir", help="folder of the data set (default: data/<data set>)")
    add("--split", default="val", help="train or val (default: val)")
    add("--category", metavar="NAME", help="of files in COCO's format with several "
        "categories that have keypoints: the one to read")  # fmt: skip
    add("--rescale-labels", action="store_true", help="scale labels to pictures that were "
        "made smaller or larger after they were labelled")  # fmt: skip
    add("--metrics", nargs="+", metavar="NAME",
        help="in place of the data set's own: coco_ap, wholebody_ap, crowdpose_ap, "
        "single_ap, apk, pckh, pck_torso, pck_box, nme_interocular, nme_bone, nme_box, "
        "auc_epe, calibration, pixel_error, posetrack_ap, mota")  # fmt: skip
    people = parser.add_mutually_exclusive_group().add_argument
    people("--boxes", type=Path, metavar="FILE", help="a detector's boxes, as COCO "
           "results; for MOTA a tracker's, with track_id")  # fmt: skip
    people("--detector", type=Path, metavar="FILE",
           help="find people by it: .keras, .tflite, .onnx or a description")  # fmt: skip
    add("--box-threshold", type=float, default=0.0, metavar="SCORE",
        help="leave boxes below this score out (default: 0)")  # fmt: skip
    add("--nms", default="hard", choices=("hard", "soft", "off"),
        help="OKS-NMS of what is ranked by score (default: hard)")  # fmt: skip
    add("--flip-test", action="store_true", help="average with mirrored crops")
    add("--limit", type=positive_int, metavar="N", help="only the first N images")
    add("--batch-size", type=positive_int, default=32, help="people at once (default: 32)")
    add("--output", type=Path, metavar="PATH",
        help="folder, or .json file for a single model file")  # fmt: skip
    add("--predictions", type=Path, metavar="FILE", help="also write COCO results there")
    add("--plots", type=Path, metavar="FOLDER", help="also draw charts into it")
    args = parser.parse_args(argv)
    several = args.weights is not None and len(args.weights) > 1
    if several and (args.predictions or is_file_name(args.output)):
        parser.error("several --weights take a folder as --output, and no --predictions")
    if args.model is None and any(
        path.name.endswith(".weights.h5") for path in args.weights or ()
    ):
        parser.error("a .weights.h5 file holds nothing but weights: add --model NAME")
    return args


def is_file_name(path):
    return path is not None and path.suffix == ".json"


def metrics_path(weights, args):
    """Returns where the numbers of one model file go.

    In a folder for several, the name holds the file's folder and hash: exports of one
    network are all called pose_model.tflite.
    """
    from keras_pose.files import file_sha256
    from keras_pose.runs import lies_in_run, results_folder
    from keras_pose.weights.file_kinds import split_table

    if is_file_name(args.output):
        return args.output
    file, _ = split_table(weights)
    parts = ["metrics", weights.name.replace(".", "_").replace("#", "_")]
    if args.output or not lies_in_run(weights):
        parts[1:1] = [weights.resolve().parent.name]
        parts.append(file_sha256(file)[:8])
    parts += [args.dataset, args.split, *(args.metrics or ())]
    parts += [args.boxes.stem] if args.boxes else []
    if args.detector:
        parts += [f"by-{args.detector.stem}-{file_sha256(args.detector)[:8]}"]
    parts += [f"from{args.box_threshold:g}"] * bool(args.box_threshold)
    parts += [f"nms-{args.nms}"] * (args.nms != "hard")
    parts += [f"sigmas-{args.sigmas}"] * bool(args.sigmas)
    parts += ["flip"] * args.flip_test + [f"first{args.limit}"] * bool(args.limit)
    return (args.output or results_folder(weights)) / ("_".join(parts) + ".json")


def find_official(args):
    """Puts the files of official weights in place of their words."""
    from keras_pose.weights.catalog import get_entry, is_word
    from keras_pose.weights.loading import converted_file

    for i, weights in enumerate(args.weights):
        if is_word(str(weights)):
            if args.model is None:
                raise ValueError(f"The weights {weights} need a model: add --model NAME.")
            args.weights[i] = converted_file(get_entry(args.model, str(weights)))


def open_people_finder(args):
    """Opens the detector; returns a function from an image to its people."""
    from keras_pose.inference.detectors import DetectionFile, open_detector, people_among

    detector = open_detector(args.detector)
    if isinstance(detector, DetectionFile):
        raise ValueError(
            f"{args.detector} holds boxes, and is no detector: --boxes {args.detector}"
        )

    def find(image):
        return people_among(detector(image), image.shape[:2])

    return find, detector.facts.settings


def detect_people(find, dataset, truth, args):
    """Runs a detector on all images that count; returns a `BoxEvaluation`."""
    from keras_pose.data.own import is_own
    from keras_pose.data.whole_pictures import WHOLE_DATASETS
    from keras_pose.metrics.box_ap import evaluate_detector

    folder = image_folder(dataset.records[0], truth)
    images = {image["id"]: folder / image["file_name"] for image in truth["images"]}
    if args.limit is not None:
        images = {i: images[i] for i in dataset.first_images(args.limit)}
    is_scored = dataset.name in WHOLE_DATASETS or is_own(dataset.name)
    return evaluate_detector(
        find, list(images.values()), list(images), truth, is_scored=is_scored
    )


def find_people(dataset, truth, args, found=None):
    """Returns whom to predict, the labelled people, and the images that count.

    `found`: what a detector found, in place of --boxes.
    """
    from keras_pose.metrics.boxes import box_records, read_boxes

    labelled, image_ids = dataset.records, None
    if args.limit is not None:
        image_ids = dataset.first_images(args.limit)
        labelled = dataset.in_first_images(args.limit).records
    if args.boxes is None and found is None:
        return labelled, labelled, image_ids
    settings = (
        truth,
        image_folder(dataset.records[0], truth),
        dataset.skeleton.num_keypoints,
        args.box_threshold,
    )
    if found is not None:
        known = {image["id"] for image in truth["images"]}
        entries = [entry for entry in found.detections if entry["image_id"] in known]
        return box_records(entries, args.detector, *settings), labelled, image_ids
    records = read_boxes(args.boxes, *settings)
    if image_ids is not None:
        records = [record for record in records if record.image_id in set(image_ids)]
    return records, labelled, image_ids


def image_folder(record, truth):
    """Returns the folder that the file names of the annotations start from."""
    for image in truth["images"]:
        if image["id"] == record.image_id:
            name = Path(image["file_name"])
            if name.is_absolute():  # of sets whose ground truth is made of the records
                return Path(name.anchor)
            return record.image_path.parents[len(name.parts) - 1]
    raise ValueError(f"The ground truth lacks the image id {record.image_id}.")


def fit_to_model(dataset, truth, people, contract, args, found=None):
    """Leaves of a data set what the model predicts of it, and says so."""
    from keras_pose.data.datasets import coco_ground_truth
    from keras_pose.data.mixing import for_model

    extra = contract.skeleton.num_keypoints - dataset.skeleton.num_keypoints
    mapped = for_model(dataset, contract.skeleton)
    if mapped is dataset:
        if extra:
            print(f"keypoints   {extra} of the model's are not in {dataset.name}: unused")
        return dataset, truth, people
    print(f"keypoints   measured on {mapped.name}: the model has no others of them")
    truth = coco_ground_truth(mapped)
    return mapped, truth, find_people(mapped, truth, args, found)


def warm_up(model):
    """Runs once, so that building the graph is not counted as the model's time."""
    import numpy as np

    model.predict(np.zeros((1, *model.contract.input_hw, 3), np.uint8))


def time_pipeline(find, model, records, args):
    """Times detector, crop, pose and decoding; returns milliseconds by people."""
    import numpy as np

    from keras_pose.metrics.broken_images import BrokenImages
    from keras_pose.metrics.stages import NUM_IMAGES, time_stages

    people = {}
    for record in sorted(records, key=lambda record: -record.score):
        picture = record.image_path, record.image_hw
        people.setdefault(picture, []).append(record.box_xywh)
    broken = BrokenImages()  # the evaluation has reported them
    images, boxes = [], []
    for picture in sorted(people, key=lambda picture: picture[0]):
        image = broken.read(*picture)
        if image is not None:
            images.append(image)
            boxes.append(np.stack(people[picture]))
        if len(images) == NUM_IMAGES:
            break
    return time_stages(
        find,
        model.predict,
        model.contract,
        images,
        boxes,
        args.flip_test,
    )


def measure_pipeline(find, found, model, records, args):
    """Prints and returns what is measured of a pipeline besides its keypoints."""
    from keras_pose.metrics.stages import describe_stages

    milliseconds = time_pipeline(find, model, records, args)
    if found.stats:
        main = ", ".join(f"{name} {found.stats[name]:.3f}" for name in ("AP", "AP50"))
        print(f"box AP      {main}, AR {found.stats['AR100']:.3f}, of {args.detector}")
    else:
        print(f"box AP      not measured: {args.dataset} does not label everybody")
    print(describe_stages(milliseconds))
    times = {
        f"milliseconds, {count} people": values for count, values in milliseconds.items()
    }
    return {**({"box": found.stats} if found.stats else {}), **times}


def open_data(args, skeleton):
    """Opens the data set: with --skeleton, or else with the keypoints of the model."""
    from keras_pose.data.mixing import load_skeleton, open_set, open_set_for

    where = (args.dataset, args.data_dir, args.split)
    if args.skeleton is None:
        return open_set_for(*where, skeleton, reading_of(args))
    return open_set(*where, load_skeleton(args.skeleton), reading_of(args))


def reading_of(args):
    """Returns what the command line says of a file in COCO's format."""
    from keras_pose.data.readers.coco import Reading

    return Reading(args.category, args.rescale_labels)


def open_people(args, skeleton, detector):
    """Returns data set, ground truth, people, and what the detector found of them."""
    from keras_pose.data.datasets import coco_ground_truth

    dataset = open_data(args, skeleton)
    truth = coco_ground_truth(dataset)
    found = detect_people(detector[0], dataset, truth, args) if detector else None
    return dataset, truth, find_people(dataset, truth, args, found), found


def choose_metrics(dataset, is_whole, args):
    """Returns the metrics that were asked for, or those of the data set."""
    from keras_pose.metrics import default_metrics

    if args.metrics:
        return args.metrics
    # A set as it is must have what its metrics need; of a part, what can be is measured.
    chosen, reason = default_metrics(dataset, is_whole)
    if reason:
        print(f"measure     {reason}")
    return chosen


def evaluate_file(model, weights, data, args, detector=None):
    """Evaluates one model file and writes what it found.

    `data`: data set, ground truth, people, and what the detector found of them.
    """
    from keras_pose.data.mixing import with_uniform_sigmas
    from keras_pose.files import write_json
    from keras_pose.metrics import evaluate
    from keras_pose.metrics import protocol as stamp
    from keras_pose.weights.file_kinds import split_table

    warm_up(model)
    whole, truth, people, found = data
    dataset, truth, people = fit_to_model(whole, truth, people, model.contract, args, found)
    is_whole = dataset is whole
    if args.sigmas:
        dataset = with_uniform_sigmas(dataset)
    records, labelled, image_ids = people
    result = evaluate(
        model.predict,
        model.contract,
        records,
        truth,
        metrics=choose_metrics(dataset, is_whole, args),
        labelled=labelled if args.boxes or detector else None,
        skeleton=dataset.skeleton,
        nms=args.nms,
        flip_test=args.flip_test,
        batch_size=args.batch_size,
        image_ids=image_ids,
    )
    boxes = stamp.Boxes.of_file(args.boxes, args.box_threshold) if args.boxes else None
    if detector:
        find, settings = detector
        boxes = stamp.Boxes.of_detector(args.detector, args.box_threshold, settings)
    is_subset = args.limit is not None
    file, _ = split_table(weights)
    protocol = stamp.build_protocol(dataset, model.contract, file, result, is_subset, boxes)
    if found:  # also of images without a person found
        protocol = dataclasses.replace(protocol, num_images=found.num_images)
    print(stamp.describe(result.stats, protocol))
    for line in (
        stamp.describe_rest(result.stats, protocol),
        stamp.describe_parts(result.tables),
    ):
        if line:
            print(line)
    pipeline = measure_pipeline(find, found, model, records, args) if detector else None
    measurement = stamp.Measurement.of(result, protocol, pipeline)
    path = write_json(metrics_path(weights, args), measurement.to_dict())
    print(f"written     {path}")
    if args.predictions:
        print(f"written     {write_json(args.predictions, result.detections)}")
    return measurement


def are_detectors(args):
    """Returns True for detectors, by contract or description, False for pose networks."""
    from keras_pose.detector_contract import is_detector
    from keras_pose.detector_description import is_description
    from keras_pose.runtime.detector import is_bare, is_detector_name
    from keras_pose.runtime.loading import file_type
    from keras_pose.weights.catalog import is_word

    def finds_people(path):
        if is_word(str(path)) or is_bare(path):  # what they are, --model says
            return is_detector_name(args.model)
        if is_description(path):
            return True
        file_type(path)  # refuses others
        return is_detector(path)

    found = [finds_people(path) for path in args.weights or ()]
    if any(found) and not all(found):
        raise ValueError("Detectors and pose networks are not measured in one table.")
    return any(found)


def evaluate_detectors(args):
    """Measures box AP of detector files, and writes what it found."""
    from keras_pose.detection.people import open_boxes, read_box_truth
    from keras_pose.files import check_writable, write_json
    from keras_pose.metrics import box_protocol as stamp
    from keras_pose.metrics.box_ap import evaluate_detector
    from keras_pose.runtime.detector import load_detector
    from keras_pose.weights.file_kinds import split_table

    find_official(args)
    pose_only = ("flip_test", "boxes", "detector", "metrics", "plots", "skeleton",
                 "num_keypoints", "input_hw")  # fmt: skip
    refused = [name for name in pose_only if getattr(args, name)]
    if refused:
        raise ValueError(f"--{refused[0].replace('_', '-')} is not for detectors.")
    split = open_boxes(args.dataset, args.data_dir, args.split, reading_of(args))
    source = split.source
    is_subset = args.limit is not None
    source = source.take(range(min(len(source), args.limit))) if is_subset else source
    truth = read_box_truth(split, reading_of(args))
    measured = []
    for weights in args.weights:
        check_writable(metrics_path(weights, args).parent)
        detector = load_detector(weights, model=args.model)
        result = evaluate_detector(detector, source.images, source.image_ids, truth)
        data = (args.dataset, args.split)
        protocol = stamp.build_box_protocol(
            data,
            split.annotation_path,
            detector.facts,
            split_table(weights)[0],
            result,
            is_subset,
        )
        measured.append((result, protocol))
        print(stamp.describe_boxes(result, protocol))
        metrics = stamp.box_metrics_dict(result, protocol)
        print(f"written     {write_json(metrics_path(weights, args), metrics)}")
        if args.predictions:
            print(f"written     {write_json(args.predictions, result.detections)}")
    if len(measured) > 1:
        print("\n" + stamp.box_table(*zip(*measured, strict=True)))


def are_bottom_up(args):
    """Returns True for networks that see whole pictures, False for one person at a time."""
    from keras_pose.runtime.bottom_up import is_of_bottom_up
    from keras_pose.weights.catalog import is_word

    found = [
        is_of_bottom_up(str(path) if is_word(str(path)) else path, args.model)
        for path in args.weights or ()
    ]
    if any(found) and not all(found):
        raise ValueError(
            "Bottom-up networks and networks that see one person at a time are not "
            "measured in one table: their protocols differ."
        )
    return any(found)


def measure_bottom_up(args):
    """Measures multi-person AP of bottom-up files, and writes what it found."""
    from keras_pose.data.crowds import open_crowds, read_crowd_truth
    from keras_pose.data.datasets import open_dataset
    from keras_pose.files import check_writable, write_json
    from keras_pose.metrics import protocol as stamp
    from keras_pose.metrics.whole_pictures import evaluate_pictures
    from keras_pose.runtime.bottom_up import load_bottom_up

    no_use = ("flip_test", "boxes", "detector", "metrics", "skeleton", "sigmas")
    refused = [name for name in no_use if getattr(args, name)]
    if refused:
        raise ValueError(
            f"--{refused[0].replace('_', '-')} is not for bottom-up networks, which see "
            "whole pictures and are measured by COCO AP of everybody."
        )
    find_official(args)
    split = open_crowds(args.dataset, args.data_dir, args.split, reading=reading_of(args))
    source = split.source
    where = (args.dataset, args.data_dir, args.split)
    truth = read_crowd_truth(split, reading_of(args))
    dataset = open_dataset(*where, reading=reading_of(args))
    pictures = source.images[: args.limit], source.image_ids[: args.limit]
    input_hw = args.input_hw and tuple(args.input_hw)
    measurements = []
    for weights in args.weights:
        check_writable(metrics_path(weights, args).parent)
        model = load_bottom_up(weights, args.model, args.num_keypoints, input_hw)
        result = evaluate_pictures(model, *pictures, truth)
        protocol = stamp.build_protocol(
            dataset, model.contract, weights, result, bool(args.limit), stamp.NO_BOXES
        )
        print(stamp.describe(result.stats, protocol))
        rest = stamp.describe_rest(result.stats, protocol)
        if rest:
            print(rest)
        measurements.append(stamp.Measurement.of(result, protocol))
        path = metrics_path(weights, args)
        print(f"written     {write_json(path, measurements[-1].to_dict())}")
        if args.predictions:
            print(f"written     {write_json(args.predictions, result.detections)}")
    return measurements


def draw_charts(measurements, folder):
    """Writes one picture per kind of chart, with all measurements in each."""
    from keras_pose.images import write_image
    from keras_pose.metrics.protocol import describe_data, labels
    from keras_pose.plots import plot_tables

    names = labels([measurement.protocol for measurement in measurements])
    tables = [measurement.tables for measurement in measurements]
    title = describe_data(measurements[0].protocol)
    for name, picture in plot_tables(dict(zip(names, tables, strict=True)), title).items():
        file_name = name.replace(" ", "_").replace("@", "_at_") + ".png"
        print(f"written     {write_image(folder / file_name, picture)}")


def print_table(measurements):
    from keras_pose.metrics.protocol import comparison_table

    print("\n" + comparison_table(measurements))


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    # Imported after parsing: TensorFlow takes seconds, `--help` must not.
    from keras_pose.data.mixing import one_set
    from keras_pose.files import check_writable

    args.dataset, args.data_dir = one_set(args.dataset, args.data_dir)
    if are_detectors(args):
        return evaluate_detectors(args)
    if args.compare:
        from keras_pose.metrics.protocol import read_measurement

        measurements = [read_measurement(path) for path in args.compare]
    elif are_bottom_up(args):
        measurements = measure_bottom_up(args)
    else:
        measurements = measure(args)
    if args.compare or len(measurements) > 1:
        print_table(measurements)
    if args.plots:
        draw_charts(measurements, check_writable(args.plots))


def measure(args):
    """Evaluates the model files, one after the other."""
    from keras_pose.data.mixing import load_skeleton
    from keras_pose.files import check_writable
    from keras_pose.runtime import load_model
    from keras_pose.runtime.loading import file_type
    from keras_pose.weights.file_kinds import is_checkpoint

    find_official(args)
    for weights in args.weights:  # all of them, before the first takes its minutes
        if not is_checkpoint(weights):
            file_type(weights)
        elif args.model is None:
            raise ValueError(f"{weights} holds nothing but weights: add --model NAME.")
        check_writable(metrics_path(weights, args).parent)
    detector = open_people_finder(args) if args.detector else None
    input_hw = args.input_hw and tuple(args.input_hw)
    said = load_skeleton(args.skeleton) if args.skeleton else None
    opened, measurements = {}, []
    for weights in args.weights:
        model = load_model(weights, args.model, args.num_keypoints, input_hw, skeleton=said)
        skeleton = model.contract.skeleton
        if skeleton not in opened:  # once for all files of one network
            opened[skeleton] = open_people(args, skeleton, detector)
        measurements.append(evaluate_file(model, weights, opened[skeleton], args, detector))
    return measurements


if __name__ == "__main__":
    main()
