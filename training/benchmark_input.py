"""Measures what training input costs: processor time a sample, beside plain code.

    python training/benchmark_input.py --data-dir ~/coco
    python training/benchmark_input.py --data-dir ~/coco --repository ../older_build
    python training/benchmark_input.py --data-dir ~/coco --input-hw 128 96 --color 0.3

The plain code is the HRNet code's data set, step by step, in OpenCV and NumPy
(`PlainSamples` below). Each is a process of its own; they take turns at the same people, so
that all see the same machine. --repository measures the pipeline of another checkout, too.
The steps of ours are measured as what the pipeline takes more with each than without.
"""

import argparse
import copy
import json
import multiprocessing
import os
import random
import statistics
import sys
import time
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run from a clone

from keras_pose.commandline import plain_errors, positive_int

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
PIXEL_STD = 200
STRIDE = 4

# What the figures hang on.
CODE = ("keras_pose/data/pipeline.py", "keras_pose/data/warping.py",
        "keras_pose/data/image_decoding.py", "training/benchmark_input.py")  # fmt: skip
PLAIN, OURS, OTHER = "OpenCV and NumPy", "this build", "the other build"


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--dataset", default="coco", help="one of prepare_data.py --list (coco)")
    add("--data-dir", required=True, metavar="FOLDER", help="of the data set")
    add("--split", default="train", choices=("train", "val"))
    add("--input-hw", type=positive_int, nargs=2, default=(256, 192), metavar=("H", "W"))
    add("--batch-size", type=positive_int, default=32)
    add("--batches", type=positive_int, default=8, help="of a turn (8)")
    add("--rounds", type=positive_int, default=5, help="turns of each (5)")
    add("--threads", type=positive_int, default=1, help="of each process (1)")
    add("--color", type=float, default=0.0,
        help="strength of colour changes; the plain code has none (0)")  # fmt: skip
    add("--repository", type=Path, help="another checkout, to be compared with")
    add("--json", type=Path, help="file for the figures")
    add("--results", type=Path, metavar="FILE",
        help="also write the table as data, for docs/results")  # fmt: skip
    return parser.parse_args(argv)


def open_source(args):
    from keras_pose.data.datasets import open_dataset
    from keras_pose.data.sources import records_source

    dataset = open_dataset(args.dataset, args.data_dir, args.split)
    return records_source(dataset.records, dataset.skeleton).trainable()


def ours(args):
    """Returns step -> endless data set that goes as far as the step; the last is whole."""
    import tensorflow as tf

    from keras_pose.data import pipeline, warping
    from keras_pose.data.image_decoding import decode_window

    source, hw, size = open_source(args), tuple(args.input_hw), args.batch_size
    codec, normalization, augmentation = settings(args)
    draw = pipeline.sample_drawer(source, codec, augmentation, 1.25, 0)
    read, auto = pipeline.image_reader(source), tf.data.AUTOTUNE

    def decode(sample):
        reach, encoded = sample["reach"], read(sample["image_index"])
        return decode_window(encoded, lambda hw: warping.window_of(reach, hw))

    def warp(sample):
        return warping.warp_window(decode(sample), sample["inverse"], hw)

    def color(sample):
        changes, inverse = sample.get("color_changes"), sample["inverse"]
        return warping.warp_window(decode(sample), inverse, hw, changes=changes)

    def normalize(sample):
        encoded = read(sample["image_index"])
        return warping.cut_crop(encoded, sample, hw, normalization)

    batches = tf.data.Dataset.counter().map(lambda i: draw(i * size, size), auto)
    samples = batches.unbatch()
    # Each with as many samples as a batch has, so that all count alike.
    steps = {
        "order, labels, changes": samples.batch(size),
        "read": samples.map(lambda s: read(s["image_index"]), auto).batch(size),
        "decode": samples.map(lambda s: decode(s)[0, 0], auto).batch(size),
        "warp": samples.map(lambda s: warp(s)[0, 0], auto).batch(size),
        "colour": samples.map(lambda s: color(s)[0, 0], auto).batch(size),
        "normalise": samples.map(lambda s: normalize(s)[0, 0], auto).batch(size),
        "batch": samples.map(normalize, auto).batch(size),
    }
    if not args.color:
        del steps["colour"]
    steps = {name: dataset.prefetch(2) for name, dataset in steps.items()}
    return steps | {"heatmaps": whole(args, source)}


def whole(args, source):
    """Returns the data set that a training reads; the same in builds of any age."""
    from keras_pose.data.pipeline import training_dataset

    codec, normalization, augmentation = settings(args)
    return training_dataset(source, codec, normalization, augmentation, args.batch_size)


def settings(args):
    """Returns HRNet's codec, normalization and augmentation."""
    from keras_pose.codecs import CODECS
    from keras_pose.data.transforms import Augmentation
    from keras_pose.zoo import get_spec

    codec = CODECS["gaussian"].for_input(tuple(args.input_hw))
    normalization = get_spec("hrnet_w32").normalization
    return codec, normalization, Augmentation(color=args.color)


class PlainSamples:
    """The data set of the HRNet code, on COCO's settings for training.

    The steps of `JointsDataset.__getitem__` (lib/dataset/JointsDataset.py) and of what it
    calls (lib/utils/transforms.py), written anew. ToTensor and Normalize are what
    torchvision computes, in NumPy.

    Args:
        source: `PersonSource` whose images are files.
        input_hw: (height, width) of the crops, pixels.
        sigma: standard deviation of a heatmap's Gaussian, heatmap pixels.
        box_padding: factor from a person's box to its crop.
        seed: seed of the random changes.
    """

    scale_factor, rotation_factor = 0.35, 45
    flip_probability, half_body_probability, num_half_body = 0.5, 0.3, 8

    def __init__(self, source, input_hw, sigma, box_padding, seed=0):
        self.image_size = np.array(input_hw[::-1])
        self.heatmap_size = self.image_size // STRIDE
        self.sigma = sigma
        self.random = random.Random(seed)
        self.draw = np.random.RandomState(seed)
        skeleton = source.skeleton
        self.num_joints = skeleton.num_keypoints
        index = skeleton.names.index
        self.flip_pairs = [[index(a), index(b)] for a, b in skeleton.mirrored]
        self.upper_body_ids = np.flatnonzero(skeleton.upper_body_mask).tolist()
        self.rows = [
            self._row(source, number, box_padding) for number in range(len(source))
        ]

    def _row(self, source, number, box_padding):
        x, y, width, height = source.boxes_xywh[number]
        aspect = self.image_size[0] / self.image_size[1]
        width, height = max(width, height * aspect), max(height, width / aspect)
        scale = np.array([width, height], np.float32) / PIXEL_STD * box_padding
        center = np.array([x, y]) + source.boxes_xywh[number, 2:] / 2
        joints = np.zeros((self.num_joints, 3))
        joints[:, :2] = source.keypoints_xy[number]
        visible = np.zeros((self.num_joints, 3))
        visible[:, :2] = (source.visibility[number] > 0)[:, None]
        return {
            "image": str(source.images[source.image_index[number]]),
            "center": center.astype(np.float32),
            "scale": scale,
            "joints_3d": joints,
            "joints_3d_vis": visible,
        }

    def sample(self, number):
        """Makes the training sample of a person.

        Returns:
            (3, H, W) float32 normalised, (K, H / 4, W / 4) float32, (K, 1) float32, and a
            dict of facts.
        """
        row = copy.deepcopy(self.rows[number])
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        image = cv2.cvtColor(cv2.imread(row["image"], flags), cv2.COLOR_BGR2RGB)
        joints, visible = row["joints_3d"], row["joints_3d_vis"]
        center, scale, rotation = row["center"], row["scale"], 0
        if (
            np.sum(visible[:, 0]) > self.num_half_body
            and self.draw.rand() < self.half_body_probability
        ):
            half = self._half_body(joints, visible)
            if half[0] is not None:
                center, scale = half
        factor = self.scale_factor
        scale = scale * np.clip(self.draw.randn() * factor + 1, 1 - factor, 1 + factor)
        factor = self.rotation_factor
        if self.random.random() <= 0.6:
            rotation = np.clip(self.draw.randn() * factor, -factor * 2, factor * 2)
        if self.flip_pairs and self.random.random() <= self.flip_probability:
            image = image[:, ::-1, :]
            joints, visible = self._flip(joints, visible, image.shape[1])
            center[0] = image.shape[1] - center[0] - 1
        matrix = affine_transform_of(center, scale, rotation, self.image_size)
        size = (int(self.image_size[0]), int(self.image_size[1]))
        crop = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR)
        crop = normalize(crop)
        for joint in range(self.num_joints):
            if visible[joint, 0] > 0:
                joints[joint, :2] = transform_point(joints[joint, :2], matrix)
        target, weight = self._target(joints, visible)
        facts = {"joints": joints, "center": center, "scale": scale, "angle": rotation}
        return crop, target, weight, facts

    def batch(self, numbers):
        """Makes the samples of people, stacked as a loader does."""
        samples = [self.sample(number) for number in numbers]
        return [np.stack(part) for part in list(zip(*samples, strict=True))[:3]]

    def _half_body(self, joints, visible):
        upper, lower = [], []
        for joint in range(self.num_joints):
            if visible[joint, 0] > 0:
                side = upper if joint in self.upper_body_ids else lower
                side.append(joints[joint])
        if self.draw.randn() < 0.5 and len(upper) > 2:
            selected = upper
        else:
            selected = lower if len(lower) > 2 else upper
        if len(selected) < 2:
            return None, None
        selected = np.array(selected, np.float32)
        center = selected.mean(axis=0)[:2]
        width, height = np.amax(selected, axis=0)[:2] - np.amin(selected, axis=0)[:2]
        aspect = self.image_size[0] / self.image_size[1]
        width, height = max(width, height * aspect), max(height, width / aspect)
        return center, np.array([width, height], np.float32) / PIXEL_STD * 1.5

    def _flip(self, joints, visible, width):
        joints[:, 0] = width - joints[:, 0] - 1
        for left, right in self.flip_pairs:
            joints[left], joints[right] = joints[right], joints[left].copy()
            visible[left], visible[right] = visible[right], visible[left].copy()
        return joints * visible, visible

    def _target(self, joints, visible):
        """Draws the Gaussians (`generate_target`)."""
        weight = np.ones((self.num_joints, 1), np.float32)
        weight[:, 0] = visible[:, 0]
        width, height = self.heatmap_size
        target = np.zeros((self.num_joints, height, width), np.float32)
        reach = self.sigma * 3
        for joint in range(self.num_joints):
            x = int(joints[joint][0] / STRIDE + 0.5)
            y = int(joints[joint][1] / STRIDE + 0.5)
            left, top = int(x - reach), int(y - reach)
            right, bottom = int(x + reach + 1), int(y + reach + 1)
            if left >= width or top >= height or right < 0 or bottom < 0:
                weight[joint] = 0
                continue
            grid = np.arange(0, 2 * reach + 1, 1, np.float32)
            middle = grid[-1] // 2
            square = (grid - middle) ** 2 + (grid[:, np.newaxis] - middle) ** 2
            gaussian = np.exp(-square / (2 * self.sigma**2))
            own_x = max(0, -left), min(right, width) - left
            own_y = max(0, -top), min(bottom, height) - top
            if weight[joint] > 0.5:
                target[
                    joint,
                    max(0, top) : min(bottom, height),
                    max(0, left) : min(right, width),
                ] = gaussian[own_y[0] : own_y[1], own_x[0] : own_x[1]]
        return target, weight


def affine_transform_of(center, scale, rotation, output_size):
    """Returns the (2, 3) map of a crop, from three points (`get_affine_transform`)."""
    source_width = (scale * PIXEL_STD)[0]
    angle = np.pi * rotation / 180
    direction = np.array([0, source_width * -0.5])
    sine, cosine = np.sin(angle), np.cos(angle)
    source_direction = [
        direction[0] * cosine - direction[1] * sine,
        direction[0] * sine + direction[1] * cosine,
    ]
    source, target = np.zeros((3, 2), np.float32), np.zeros((3, 2), np.float32)
    source[0], source[1] = center, center + source_direction
    target[0] = output_size * 0.5
    target[1] = target[0] + np.array([0, output_size[0] * -0.5], np.float32)
    for points in (source, target):
        side = points[0] - points[1]
        points[2] = points[1] + np.array([-side[1], side[0]], np.float32)
    return cv2.getAffineTransform(source, target)


def transform_point(point_xy, matrix):
    return np.dot(matrix, np.array([point_xy[0], point_xy[1], 1.0]).T)[:2]


def normalize(crop):
    """Makes (3, H, W) float32 of a (H, W, 3) uint8 crop (ToTensor, Normalize)."""
    planes = np.ascontiguousarray(crop.transpose(2, 0, 1)).astype(np.float32)
    planes /= 255
    planes -= MEAN[:, None, None]
    planes /= STD[:, None, None]
    return planes


def start_threads(args, repository):
    """Imports keras_pose of a checkout, and TensorFlow with so many threads."""
    # What this program imported itself is of its own checkout.
    for name in [name for name in sys.modules if name.split(".")[0] == "keras_pose"]:
        del sys.modules[name]
    sys.path.insert(0, str(repository))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(args.threads)
    tf.config.threading.set_inter_op_parallelism_threads(args.threads)
    cv2.setNumThreads(args.threads)


def rest():
    """Waits until the process stands still: pipelines have filled their buffers."""
    used = -1.0
    while time.process_time() - used > 1e-3:
        used = time.process_time()
        time.sleep(0.05)


def plain_turns(args):
    """Returns what a turn of the plain code does: the people that the others have."""
    from keras_pose.data.pipeline import indices_of_batch, person_order
    from keras_pose.pictures.geometry import BOX_PADDING

    source = open_source(args)
    codec, _, _ = settings(args)
    samples = PlainSamples(source, codec.input_hw, codec.sigma, BOX_PADDING)
    order, number = person_order(source, 0), iter(range(10**9))

    def turn():
        chosen = [
            indices_of_batch(order, next(number), args.batch_size)
            for _ in range(args.batches)
        ]
        started = time.process_time()
        for indices in np.array(chosen):
            samples.batch(indices)
        return time.process_time() - started

    return {PLAIN: turn}


def pipeline_turns(args, name):
    """Returns what turns of a build do, of each step where it is this one."""
    datasets = ours(args) if name == OURS else {"": whole(args, open_source(args))}
    streams = {step: iter(dataset) for step, dataset in datasets.items()}

    def turn(stream):
        rest()
        started = time.process_time()
        for _ in range(args.batches):
            next(stream)
        rest()  # buffers are as full as they were
        return time.process_time() - started

    return {step: lambda s=stream: turn(s) for step, stream in streams.items()}


def serve_turns(connection, args, name, repository):
    """Makes the samples of a turn whenever asked, and sends what it took."""
    start_threads(args, repository)
    turns = plain_turns(args) if name == PLAIN else pipeline_turns(args, name)
    for turn in turns.values():
        turn()  # what is compiled, is compiled now
    connection.send(True)
    while connection.recv():
        connection.send({step: turn() for step, turn in turns.items()})


def measure(args):
    """Returns name -> step -> milliseconds of processor time a sample, the median turn."""
    builds = {PLAIN: ROOT, OURS: ROOT}
    if args.repository:
        builds[OTHER] = args.repository.resolve()
    context = multiprocessing.get_context("spawn")
    connections, processes = {}, []
    for name, repository in builds.items():
        connections[name], end = context.Pipe()
        process = context.Process(
            target=serve_turns, args=(end, args, name, repository), daemon=True
        )
        process.start()
        processes.append(process)
        end.close()  # or a process that dies would be waited for
    for connection in connections.values():
        connection.recv()
    turns = {name: [] for name in builds}
    for _ in range(args.rounds):
        for name, connection in connections.items():
            connection.send(True)
            turns[name].append(connection.recv())
    for connection, process in zip(connections.values(), processes, strict=True):
        connection.send(False)
        process.join()
    count = args.batches * args.batch_size / 1000
    return {
        name: {
            step: statistics.median(turn[step] for turn in done) / count for step in done[0]
        }
        for name, done in turns.items()
    }


def main(argv=None):
    args = parse_args(argv)
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")  # input is the processor's work
    from keras_pose.runtime.instructions import machine_line

    figures = measure(args)
    totals = {name: list(steps.values())[-1] for name, steps in figures.items()}
    height, width = args.input_hw
    print(machine_line())
    print(f"{height}x{width}, {args.threads} threads, ms of processor time a sample")
    print(f"{'':24}{'ms':>8}{'ratio':>8}")
    for name, value in totals.items():
        print(f"{name:24}{value:8.3f}{value / totals[PLAIN]:8.2f}")
    print(f"{'steps of this build':24}{'ms':>8}{'share':>8}")
    before = 0.0
    for step, value in figures[OURS].items():
        share = (value - before) / totals[OURS]
        print(f"  {step:22}{value - before:8.3f}{share:8.0%}")
        before = value
    if args.json:
        args.json.write_text(json.dumps({"totals": totals, "steps": figures}, indent=2))
    if args.results:
        from keras_pose.metrics.result_files import write_results

        rows = [[name, value, value / totals[PLAIN]] for name, value in totals.items()]
        columns = {"": "", "ms a sample": ".3f", "ratio": ".2f"}
        protocol = f"processor time, {height}x{width}, {args.threads} threads"
        write_results(args.results, columns, rows, CODE, protocol)


if __name__ == "__main__":
    with plain_errors():
        main()
