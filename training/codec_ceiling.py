"""Measures what a codec alone costs: labels that were encoded and decoded are scored.

    python training/codec_ceiling.py --dataset synthetic --input-hw 128 96
    python training/codec_ceiling.py --dataset coco --data-dir ~/coco --input-hw 256 192

    python training/codec_ceiling.py --bottom-up --data-dir ~/coco --input-hw 640 640

By the data set's own metric. No model that is trained on such targets can be expected
to score higher. --bottom-up draws part affinity fields of everybody in a picture, and says
in which people the loss lies.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from a clone

from keras_pose.commandline import plain_errors, positive_int


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--dataset", default="coco", help="name of the data set (default: coco); "
        "mine=FOLDER for a set of your own in COCO's format")  # fmt: skip
    add("--data-dir", help="folder of the data set (default: data/<data set>)")
    add("--split", default="val", help="such as train or val (default: val)")
    add("--category", metavar="NAME", help="of files in COCO's format with several "
        "categories that have keypoints: the one to read")  # fmt: skip
    add("--rescale-labels", action="store_true", help="scale labels to pictures that were "
        "made smaller or larger after they were labelled")  # fmt: skip
    add("--input-hw", type=positive_int, nargs=2, default=(256, 192), metavar=("H", "W"))
    add("--bottom-up", action="store_true", help="of whole pictures: part affinity fields")
    return parser.parse_args(argv)


class LabelModel:
    """Stands in for a model: its outputs are the targets of the people themselves."""

    def __init__(self, contract, records):
        self.contract = contract
        # The evaluator predicts in this order.
        self._records = sorted(records, key=lambda record: str(record.image_path))
        self._next = 0

    def predict(self, crops):
        import numpy as np

        chosen = self._records[self._next : self._next + len(crops)]
        self._next += len(crops)
        return np.concatenate([self._targets(record) for record in chosen])

    def _targets(self, record):
        from keras_pose.pictures import geometry

        codec = self.contract.codec
        center_xy, size_wh = geometry.box_to_crop(record.box_xywh, codec.input_hw)
        matrix = geometry.crop_matrix(
            center_xy, size_wh[0], codec.input_hw, is_unbiased=codec.is_unbiased
        )
        points_xy = geometry.transform_points(matrix, record.keypoints_xy)
        targets, _ = codec.encode(points_xy[None], record.visibility[None])
        return targets


def make_contract(codec, skeleton):
    """Returns the contract of a model that would be trained on the codec's targets."""
    from keras_pose.contracts.fields import TensorSpec
    from keras_pose.contracts.pose import Contract

    shape = codec.output_shape(skeleton.num_keypoints)
    return Contract(
        model="labels",
        input=TensorSpec("image", (1, *codec.input_hw, 3), "uint8"),
        output=TensorSpec(codec.output_name, (1, *shape), "float32"),
        codec=codec,
        skeleton=skeleton,
    )


def decoded_people(codec, skeleton, source):
    """Yields image id, labels and people, both in input pixels, and the scale of each."""
    import numpy as np

    from keras_pose.pictures.boxes import letterbox_hw

    for i, image_id in enumerate(source.image_ids):
        people = slice(source.starts[i], source.starts[i + 1])
        image_hw = source.image_hw[i]
        scale_xy = np.divide(letterbox_hw(image_hw, codec.input_hw), image_hw)[::-1]
        points_xy = (source.keypoints_xy[people] + 0.5) * scale_xy - 0.5
        visibility = source.visibility[people]
        found = codec.decode(*codec.encode(points_xy, visibility, skeleton), skeleton)
        areas = source.boxes_xywh[people, 2:].prod(axis=1) * scale_xy.prod()
        yield image_id, (points_xy, visibility, areas), found, scale_xy


def bottom_up_ceiling(args, skeleton):
    """Prints the AP of labels drawn and parsed, and where it is lost."""
    import numpy as np

    from keras_pose.codecs.part_affinity import PartAffinityCodec
    from keras_pose.data.crowds import open_crowds, read_crowd_truth
    from keras_pose.data.readers.coco import Reading
    from keras_pose.metrics.coco_ap import evaluate_coco, person_category_id
    from keras_pose.skeleton import COCO_17

    reading = Reading(args.category, args.rescale_labels)
    split = open_crowds(args.dataset, args.data_dir, args.split, skeleton, reading)
    source = split.source
    truth = read_crowd_truth(split, reading)
    category_id = person_category_id(truth)
    codec = PartAffinityCodec(tuple(args.input_hw))
    columns = [skeleton.index(name) for name in COCO_17.names]
    entries, causes = [], {}
    for image_id, labels, found, scale_xy in decoded_people(codec, skeleton, source):
        is_found = found.keypoint_scores[..., None] > 0
        xy = np.where(is_found, (found.keypoints_xy + 0.5) / scale_xy - 0.5, 0)
        values = np.concatenate([xy, found.keypoint_scores[..., None]], axis=-1)
        for person, score in zip(values[:, columns], found.scores, strict=True):
            entries.append(
                {
                    "image_id": image_id,
                    "category_id": category_id,
                    "keypoints": person.ravel().tolist(),
                    "score": float(score),
                }
            )
        for cause, oks in losses(codec, skeleton, columns, labels, found):
            causes.setdefault(cause, []).append(oks)
    stats = evaluate_coco(truth, entries)
    print(
        f"AP {stats['AP']:.3f}, AP50 {stats['AP50']:.3f}, APM {stats['APM']:.3f}, APL "
        f"{stats['APL']:.3f} | {args.dataset} {args.split}, {source.num_people} people in "
        f"{len(source)} pictures | labels, no model | {codec.kind} codec, limbs of "
        f"{skeleton.name} | {codec.input_hw[0]}x{codec.input_hw[1]}"
    )
    total = sum(1 - oks for values in causes.values() for oks in values)
    for cause, values in sorted(causes.items()):
        lost = sum(1 - oks for oks in values)
        print(
            f"  {cause}: {len(values)} people, mean best OKS {np.mean(values):.3f}, "
            f"{100 * lost / max(total, 1e-9):.0f} % of the loss"
        )


def losses(codec, skeleton, columns, labels, found):
    """Yields a cause and the best OKS for each labelled person of a picture.

    The first of these that holds: a keypoint is so near to the same of somebody else that
    there is one peak, or the labelled keypoints hang together by no chain of limbs; people
    who are smaller than 32 x 32 pixels of input; all others.
    """
    import numpy as np

    from keras_pose.pictures.oks import object_keypoint_similarity
    from keras_pose.skeleton import COCO_17

    points_xy, visibility, areas = labels
    is_labelled = visibility > 0
    for n, own in enumerate(points_xy):
        both = is_labelled & is_labelled[n]
        # Two Gaussians have one peak among cells within about 1.7 of them.
        is_near = np.abs(points_xy - own).max(axis=-1) < 1.7 * codec.stride
        if (both & is_near).sum() > both[n].sum():
            cause = "on the same keypoint of another"
        elif not hang_together(np.flatnonzero(is_labelled[n]), skeleton.limb_pairs):
            cause = "labelled with gaps"
        else:
            cause = "smaller than 32 x 32" if areas[n] < 32**2 else "all others"
        # COCO's areas are about half of the boxes (0.523 on average).
        oks = object_keypoint_similarity(
            found.keypoints_xy[:, columns],
            own[None, columns],
            0.523 * areas[n],
            COCO_17.oks_sigmas,
            is_labelled[n : n + 1, columns],
        )
        yield cause, float(oks.max(initial=0))


def hang_together(keypoints, limb_pairs):
    """Returns True where limbs lead from any of some keypoints to all the others."""
    reached, waiting = set(), [int(keypoints[0])]
    while waiting:
        keypoint = waiting.pop()
        reached.add(keypoint)
        for first, last in limb_pairs:
            other = {first: last, last: first}.get(keypoint)
            if other in keypoints and other not in reached:
                waiting.append(other)
    return len(reached) == len(keypoints)


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    if args.bottom_up:
        from keras_pose.models.openpose_channels import OPENPOSE_COCO_18
        from keras_pose.skeleton import COCO_17

        for skeleton in (COCO_17, OPENPOSE_COCO_18):
            bottom_up_ceiling(args, skeleton)
        return
    # Imported after parsing: `--help` must not wait for NumPy.
    from keras_pose.codecs import CODECS
    from keras_pose.data.mixing import one_set, open_set
    from keras_pose.data.readers.coco import Reading
    from keras_pose.measuring import MeasureSettings
    from keras_pose.measuring.people_split import PeopleSplit
    from keras_pose.metrics import METRICS, measurable_metrics

    name, folder = one_set(args.dataset, args.data_dir)
    reading = Reading(args.category, args.rescale_labels)
    dataset = open_set(name, folder, args.split, reading=reading)
    metric = measurable_metrics(dataset)[0]
    # Everybody is in their own box, so that none of them is there twice.
    settings = MeasureSettings(name, folder, args.split, metrics=(metric,), nms="off")
    figure = METRICS[metric].columns[0]
    height, width = args.input_hw
    for kind, codec_class in CODECS.items():
        contract = make_contract(codec_class.for_input((height, width)), dataset.skeleton)
        model = LabelModel(contract, dataset.records)
        result = PeopleSplit(dataset, settings, dataset.skeleton).evaluate(model)
        print(
            f"{figure} {result.stats[figure]:.3f} | {dataset.name} {args.split}, "
            f"{len(dataset.records)} people | GT boxes | labels, no model | {kind} codec "
            f"| {height}x{width}"
        )


if __name__ == "__main__":
    main()
