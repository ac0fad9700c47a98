"""Converts a reference checkpoint to Keras.

    python training/import_weights.py --model hrnet_w32 \
        --source pose_hrnet_w32_256x192.pth --output hrnet_w32.keras

The source is a `.pth` file (read without PyTorch; nothing in it is executed) or an
`.npz` of the same names. `--output x.weights.h5` writes the bare weights; a `.keras`
file also carries what the network must be fed, so nobody has to remember it. Says at
the end how long it took, and the memory at its peak.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from a clone

from keras_pose.commandline import plain_errors
from keras_pose.quiet import import_tensorflow
from keras_pose.zoo import list_models


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True, help=f"one of {', '.join(list_models())}")
    parser.add_argument("--source", required=True, type=Path, help=".pth or .npz file")
    parser.add_argument("--output", required=True, type=Path, help=".keras or .weights.h5")
    parser.add_argument(
        "--num-keypoints", type=int, help="refuse a checkpoint with another number"
    )
    parser.add_argument(
        "--input-hw",
        type=int,
        nargs=2,
        metavar=("H", "W"),
        help="model input, pixels; default: the model's own",
    )
    return parser.parse_args(argv)


def peak_memory():
    """Tells how much memory this process took at most, where the system says."""
    try:
        import resource
    except ImportError:  # Windows
        return ""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    kibibytes = peak / 1024 if sys.platform == "darwin" else peak
    return f", {kibibytes / 2**20:.2f} GiB of memory at its peak (TensorFlow included)"


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    start = time.perf_counter()
    # Imported after parsing: TensorFlow takes seconds, `--help` must not.
    import_tensorflow()
    from keras_pose.files import check_writable
    from keras_pose.models.complexity import count_params
    from keras_pose.weights import importer
    from keras_pose.weights.carried import normalization_of

    check_writable(importer.check_output(args.output).parent)
    model = importer.import_weights(
        args.model, args.source, args.num_keypoints, args.input_hw
    )
    importer.save(model, args.output)

    height, width = model.inputs[0].shape[1:3]
    print(f"{args.model}: {count_params(model) / 1e6:.2f} M weights from {args.source}")
    print(f"input {height}x{width}, {model.outputs[-1].shape[-1]} keypoints")
    print(f"normalization {normalization_of(model).to_dict()}")
    print(f"took {time.perf_counter() - start:.1f} s{peak_memory()}")
    print(f"written: {args.output}")


if __name__ == "__main__":
    main()
