"""Shows where the time of a training step goes, kernel by kernel, on one thread.

    python training/profile_step.py --model hrnet_w32 --batch-size 8

Times are those of TensorFlow's profiler in some steps; of each kernel the least counts.
Convolutions are set beside what the machine does in a product of two large matrices, by
oneDNN too, measured between the steps. It wants a machine to itself: kernels that waited
for others look slow, and where the step had less than 0.9 of a processor nothing is kept.
"""

import argparse
import re
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from a clone

from keras_pose.commandline import plain_errors, positive_int
from training import benchmark_step

CODE = ("training/profile_step.py", *benchmark_step.CODE)
MATRIX = 1024  # rows and columns
QUIET = 0.9  # seconds of the processor a second of a step, from where on figures are kept


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="pose_lite", help="name in the zoo")
    parser.add_argument(
        "--input-hw", nargs=2, type=positive_int, metavar=("H", "W"), help="pixels"
    )
    parser.add_argument("--batch-size", type=positive_int, default=32)
    parser.add_argument("--steps", type=positive_int, default=5)
    parser.add_argument("--slowest", type=positive_int, help="also list so many kernels")
    parser.add_argument("--results", type=Path, metavar="FILE",
        help="also write the table as data, for docs/results")  # fmt: skip
    args = parser.parse_args(argv)
    args.threads = 1
    return args


def record(step, num_steps):
    """Returns each kernel's (name, operator) -> least microseconds, the least of a step,
    the share of its time that it had a processor, and the most operations a second of
    matrix products between the steps.
    """
    times = defaultdict(list)
    walls, peaks = [], []
    for _ in range(num_steps):
        peaks.append(matrix_product_speed())
        started, cpu = time.perf_counter(), time.process_time()
        step()
        wall = time.perf_counter() - started
        walls.append((1e6 * wall, (time.process_time() - cpu) / wall))
        for key, micros in kernels_of(step).items():
            times[key].append(micros)
    least = {key: min(each) for key, each in times.items()}
    return least, *min(walls), max(peaks)


def kernels_of(step):
    """Returns each kernel's (name, operator) -> microseconds in one step."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    options = tf.profiler.experimental.ProfilerOptions(python_tracer_level=0)
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder, options):
            step()
        (file,) = Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(file.read_bytes())
    times = defaultdict(float)
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                name, _, operator = plane.event_metadata[event.metadata_id].name.rpartition(
                    ":"
                )
                if name and ":" not in name and re.fullmatch(r"\w+", operator):
                    times[name, operator] += event.duration_ps / 1e6
    return times


def matrix_product_speed():
    """Returns floating point operations a second in a product of large matrices."""
    import tensorflow as tf

    matrix = tf.ones((MATRIX, MATRIX))
    matrix @ matrix
    started = time.perf_counter()
    for _ in range(5):
        product = matrix @ matrix
    product.numpy()
    return 5 * 2 * MATRIX**3 / (time.perf_counter() - started)


def kind_of(name, operator, convolutions):
    """Returns what a kernel is of, and its floating point operations (0: not counted)."""
    # A layer's second call is of its name and a number.
    parts = [
        each for part in name.split("/") for each in (part, re.sub(r"_\d+$", "", part))
    ]
    layer = next((part for part in parts if part in convolutions), None)
    if layer and "Conv2D" in operator:
        shape, operations = convolutions[layer]
        direction = "forward"
        if "BackpropInput" in operator:
            direction = "gradient of its input"
        elif "BackpropFilter" in operator:
            direction = "gradient of its kernel"
        return f"convolution {shape}, {direction}", operations
    for pattern, kind in (
        ("FusedBatchNormGrad", "batch norms, gradient"), ("FusedBatchNorm", "batch norms"),
        ("ReluGrad", "ReLU, gradient"), ("Relu", "ReLU"),
        ("ResizeNearestNeighborGrad", "upsampling, gradient"),
        ("ResizeNearestNeighbor", "upsampling"), ("Add", "sums"), ("Adam", "updates"),
    ):  # fmt: skip
        if pattern in operator:
            return kind, 0
    return "all else", 0


def convolutions_of(network, batch_size):
    """Returns a convolution's name -> (its shape in words, its operations of one pass)."""
    import keras
    import numpy as np

    found = {}
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D):
            rows, columns = layer.kernel.shape[:2]
            stride = layer.strides[0]
            words = f"{rows}x{columns}" + (f" stride {stride}" if stride > 1 else "")
            pixels = batch_size * np.prod(layer.output.shape[1:3])
            found[layer.name] = words, int(2 * pixels * np.prod(layer.kernel.shape))
    return found


def table_of(kernels, convolutions, whole, peak):
    """Returns rows of a kind's kernels, milliseconds, share of the step and of the peak."""
    sums = defaultdict(lambda: [0, 0.0, 0])
    for (name, operator), micros in kernels.items():
        kind, operations = kind_of(name, operator, convolutions)
        for index, value in enumerate((1, micros, operations)):
            sums[kind][index] += value
    rows = [
        [kind, count, micros / 1e3, micros / whole,
         operations / micros / 1e3 if operations else None,
         operations / micros * 1e6 / peak if operations else None]
        for kind, (count, micros, operations) in sums.items()
    ]  # fmt: skip
    rows.sort(key=lambda row: -row[2])
    known = sum(micros for micros in kernels.values())
    return [*rows, ["the whole step", None, whole / 1e3, known / whole, None, None]]


def main(argv=None):
    args = parse_args(argv)
    from keras_pose.runtime.instructions import machine_line

    networks = []
    build = benchmark_step.build_network
    benchmark_step.build_network = lambda args: networks.append(build(args)) or networks[0]
    step, _ = benchmark_step.keras_step(args, benchmark_step.VARIANTS["all (ours)"])
    step()
    kernels, whole, share_of_cpu, peak = record(step, args.steps)
    convolutions = convolutions_of(networks[0], args.batch_size)
    rows = table_of(kernels, convolutions, whole, peak)
    print(machine_line())
    print(
        f"{args.model}, batch {args.batch_size}; matrices {peak / 1e9:.0f} GFLOP/s; the "
        f"step had {share_of_cpu:.2f} of a processor"
    )
    for kind, count, millis, share, speed, of_peak in rows:
        counted = f"{speed:8.1f}{of_peak:7.2f}" if speed else ""
        print(f"{kind:44}{count or '':>6}{millis:10.1f}{share:7.3f}{counted}")
    slowest = sorted(kernels.items(), key=lambda item: -item[1])[: args.slowest or 0]
    for (name, operator), micros in slowest:
        _, operations = kind_of(name, operator, convolutions)
        speed = operations / micros / 1e3
        print(f"{micros / 1e3:8.2f} ms {speed:7.1f} GFLOP/s  {operator}  {name}")
    if args.results:
        if share_of_cpu < QUIET:
            raise ValueError(
                f"The step had {share_of_cpu:.2f} of a processor, and figures are kept "
                f"from {QUIET} on: {args.results} was not written. Stop what runs beside."
            )
        keep(args, rows, peak)


def keep(args, rows, peak):
    """Writes the table as data."""
    from keras_pose.metrics.result_files import write_results

    columns = {args.model: "", "kernels": ",.0f", "ms": ",.1f", "of the step": ".1%",
               "GFLOP/s": ".0f", "of the machine's": ".2f"}  # fmt: skip
    protocol = (
        f"batches of {args.batch_size}, 1 thread, least of {args.steps} steps; products of "
        f"large matrices run at {peak / 1e9:.0f} GFLOP/s"
    )
    write_results(args.results, columns, rows, CODE, protocol)


if __name__ == "__main__":
    with plain_errors():
        main()
