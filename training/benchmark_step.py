"""Measures a training step: images a second, and what the first step costs.

    python training/benchmark_step.py --model pose_lite --input-hw 128 96
    python training/benchmark_step.py --model hrnet_w32 --batch-size 8 --threads 1
    python training/benchmark_step.py --model hrnet_w32 --batch-size 8 \
        --variants "all (ours)" PyTorch

The step as Keras and TensorFlow come, beside ours: batch norms and Adam's updates in one
operator each (keras_pose/trainer/fused_norms.py, fused_updates.py) and oneDNN's
convolutions. PyTorch, where it is installed, runs the same graph with Adam of its own, in
channels_last, too. Each is a process of its own; they take turns, so that all see the same
machine. Images are noise: input is not measured here.
"""

import argparse
import importlib.util
import json
import multiprocessing
import os
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from a clone

from keras_pose.commandline import plain_errors, positive_int

NORMS, UPDATES, ONEDNN = "norms", "updates", "oneDNN"
PYTORCH, CHANNELS_LAST = "PyTorch", "channels_last"
# What the figures hang on.
CODE = ("keras_pose/trainer/fused_norms.py", "keras_pose/trainer/fused_updates.py",
        "keras_pose/trainer/optimization.py", "training/benchmark_step.py")  # fmt: skip
# Name -> what of it is ours.
VARIANTS = {
    "as they come": (),
    "fused batch norms": (NORMS,),
    "fused updates": (UPDATES,),
    "oneDNN": (ONEDNN,),
    "all (ours)": (NORMS, UPDATES, ONEDNN),
}
# Of a graph that `trainer/torch_twin.py` knows, for those who ask.
OTHERS = {
    PYTORCH: (PYTORCH,),
    f"{PYTORCH}, {CHANNELS_LAST}": (PYTORCH, CHANNELS_LAST),
}


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="pose_lite", help="name in the zoo")
    parser.add_argument(
        "--input-hw", nargs=2, type=positive_int, metavar=("H", "W"), help="pixels"
    )
    parser.add_argument("--batch-size", type=positive_int, default=32)
    parser.add_argument("--steps", type=positive_int, default=5, help="of a turn")
    parser.add_argument("--rounds", type=positive_int, default=3, help="turns of each")
    parser.add_argument("--threads", type=positive_int, default=os.cpu_count())
    parser.add_argument("--variants", nargs="+", choices=[*VARIANTS, *OTHERS],
        default=list(VARIANTS), metavar="NAME", help="of "
        f"{', '.join([*VARIANTS, *OTHERS])} (default: all but {PYTORCH})")  # fmt: skip
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--results", type=Path, metavar="FILE",
        help="also write the table as data, for docs/results")  # fmt: skip
    return parser.parse_args(argv)


def serve_turns(connection, args, ours):
    """Builds the step, then times it once for each message."""
    step, first = (torch_step if PYTORCH in ours else keras_step)(args, ours)
    connection.send(first)
    step()
    while connection.recv():
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(args.steps):
            step()
        connection.send((time.perf_counter() - wall, time.process_time() - cpu))


def keras_step(args, ours):
    """Returns a step of a Keras network, and what the first cost: CPU seconds, bytes."""
    from keras_pose.commandline.quiet import import_tensorflow

    import_tensorflow()
    import tensorflow as tf

    from keras_pose.trainer import optimization
    from keras_pose.trainer.fused_norms import fuse_norms
    from keras_pose.trainer.recipes import get_recipe

    tf.config.threading.set_intra_op_parallelism_threads(args.threads)
    tf.config.threading.set_inter_op_parallelism_threads(args.threads)
    started = time.process_time()
    network = build_network(args)
    if NORMS in ours:
        fuse_norms(network)
    if UPDATES not in ours:
        optimization.fuse_updates = lambda optimizer: optimizer
    optimizer = optimization.make_optimizer(get_recipe(args.model), 1000)
    network.compile(optimizer, "mse", jit_compile=False)
    # As `fit` does: variables that are made within the step would have it traced twice.
    optimizer.build(network.trainable_variables)
    images, targets = batch_of(args, network)

    def step():
        network.train_on_batch(images, targets)

    step()
    return step, cost_since(started)


def torch_step(args, ours):
    """Does the same of a network's twin in PyTorch."""
    from keras_pose.commandline.quiet import import_tensorflow

    import_tensorflow()
    import torch

    from keras_pose.trainer.torch_twin import Twin

    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)  # as TensorFlow does
    network = build_network(args)
    images, (target,) = batch_of(args, network)
    layout = torch.channels_last if CHANNELS_LAST in ours else torch.contiguous_format
    started = time.process_time()
    twin = Twin(network).to(memory_format=layout)
    images, target = (
        torch.tensor(each).permute(0, 3, 1, 2).contiguous(memory_format=layout)
        for each in (images, target)
    )
    optimizer = torch.optim.Adam(twin.parameters(), 1e-3)

    def step():
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(twin(images), target).backward()
        optimizer.step()

    step()
    return step, cost_since(started)


def build_network(args):
    """Builds the network with weights of one seed."""
    import keras

    from keras_pose.zoo import build_model, get_spec

    keras.utils.set_random_seed(0)
    input_hw = tuple(args.input_hw or get_spec(args.model).input_hw)
    return build_model(args.model, input_hw=input_hw)


def batch_of(args, network):
    """Returns images of noise, and a target of zeros for each output."""
    import numpy as np

    shape = (args.batch_size, *network.input_shape[1:])
    images = np.random.default_rng(0).random(shape, "float32")
    shapes = [(args.batch_size, *x.shape[1:]) for x in network.outputs]
    return images, [np.zeros(shape, "float32") for shape in shapes]


def cost_since(started):
    """Returns CPU seconds since then, and the process' largest memory, bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return time.process_time() - started, peak


def measure(args):
    """Returns a variant's name -> its figures: seconds a step at best, and of the first."""
    context = multiprocessing.get_context("spawn")
    servers = {}
    known = VARIANTS | OTHERS
    for name in args.variants:
        os.environ["TF_ENABLE_ONEDNN_OPTS"] = str(int(ONEDNN in known[name]))
        connection, end = context.Pipe()
        process = context.Process(
            target=serve_turns, args=(end, args, known[name]), daemon=True
        )
        process.start()
        end.close()  # or a process that dies would be waited for
        servers[name] = connection
        print(f"{name}: waits for the first step", flush=True)
        first = connection.recv()
        servers[name] = (connection, first)
    turns = {name: [] for name in args.variants}
    for _ in range(args.rounds):
        for name, (connection, _) in servers.items():
            connection.send(True)
            turns[name].append(connection.recv())
    for connection, _ in servers.values():
        connection.send(False)
    return {
        name: {
            "images_per_second": args.steps
            * args.batch_size
            / min(wall for wall, _ in done),
            "images_per_cpu_second": args.steps
            * args.batch_size
            / min(cpu for _, cpu in done),
            "first_step_cpu_seconds": servers[name][1][0],
            "first_step_peak_bytes": servers[name][1][1],
        }
        for name, done in turns.items()
    }


def main(argv=None):
    args = parse_args(argv)
    if OTHERS.keys() & set(args.variants) and not importlib.util.find_spec("torch"):
        raise ImportError(f"{PYTORCH} is not installed: pip install torch==2.13.0")
    from keras_pose.runtime.instructions import machine_line

    figures = measure(args)
    first = args.variants[0]
    print(machine_line())
    print(f"{args.model}, batch {args.batch_size}, {args.threads} threads, best of turns")
    columns = f"{'images/s':>10}{'ratio':>8}{'per CPU s':>11}"
    print(f"{'':20}{columns}{'first step, CPU s':>20}{'MB':>7}")
    for name, values in figures.items():
        ratio = values["images_per_second"] / figures[first]["images_per_second"]
        print(
            f"{name:20}{values['images_per_second']:10.1f}{ratio:8.2f}"
            f"{values['images_per_cpu_second']:11.1f}{values['first_step_cpu_seconds']:20.1f}"
            f"{values['first_step_peak_bytes'] / 1e6:7.0f}"
        )
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2))
    if args.results:
        keep(args, figures)


def keep(args, figures):
    """Writes the table as data."""
    from keras_pose.metrics.result_files import write_results

    base = figures[args.variants[0]]["images_per_second"]
    rows = [
        [name, each["images_per_second"], each["images_per_second"] / base,
         each["first_step_cpu_seconds"], each["first_step_peak_bytes"] / 1e6]
        for name, each in figures.items()
    ]  # fmt: skip
    columns = {args.model: "", "images a second": ".1f", "times as fast": ".2f",
               "first step, CPU s": ".1f", "MB": ",.0f"}  # fmt: skip
    protocol = f"batches of {args.batch_size}, {args.threads} threads, best of turns"
    write_results(args.results, columns, rows, CODE, protocol)


if __name__ == "__main__":
    with plain_errors():
        main()
