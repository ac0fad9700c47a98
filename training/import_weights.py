"""Converts a reference checkpoint to Keras.

    python training/import_weights.py --model hrnet_w32 \
        --source pose_hrnet_w32_256x192.pth --output hrnet_w32.keras

    python training/import_weights.py --model hrnet_w32 --source horses.ckpt \
        --skeleton horse_17.json --normalization mmpose.json --output horses.keras

The source is a PyTorch file (`.pth`, `.pt`, `.ckpt`, `.bin`: read without PyTorch; nothing
in it is executed), `.safetensors`, `.npz` of the same names, `.pdparams` of Paddle, or a
network as `.onnx` or OpenVINO `.xml`. FILE#NAME reads one of several dicts of tensors. No
checkpoint says what its keypoints are: --skeleton does, or else they are numbered.
`--output x.weights.h5` writes the bare weights; a `.keras` file also carries what the
network must be fed. Says at the end how long it took, and the memory at its peak.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from a clone

from keras_pose.commandline import plain_errors
from keras_pose.commandline.quiet import import_tensorflow
from keras_pose.zoo import list_models


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True, help=f"one of {', '.join(list_models())}")
    parser.add_argument("--source", required=True, type=Path, help="checkpoint")
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
    parser.add_argument("--skeleton", metavar="NAME|FILE", help="what the keypoints are: "
        "built in (coco_17), or your own (docs/skeletons.md)")  # fmt: skip
    parser.add_argument("--codec", help="what the outputs are, if not the model's usual: "
        "gaussian, dark, udp, udp_offset; simcc; regression")  # fmt: skip
    parser.add_argument("--normalization", type=Path, metavar="JSON",
        help="what the network was trained with: mean and std of images in [0, 1], "
        "channel_order (rgb or bgr)")  # fmt: skip
    return parser.parse_args(argv)


def say_meaning(model, args):
    """Notes on a model what the options say of its keypoints, outputs and images.

    Returns:
        How many keypoints (or classes) it has, and words for them.
    """
    import dataclasses

    from keras_pose.codecs import codec_class
    from keras_pose.data.mixing import load_skeleton
    from keras_pose.files import read_json
    from keras_pose.pictures.normalization import Normalization
    from keras_pose.skeleton import plain_skeleton
    from keras_pose.weights.heads import num_predicted
    from keras_pose.weights.provenance import contract_of, provenance_of, set_provenance
    from keras_pose.zoo import get_spec

    is_pose = get_spec(args.model).task == "top_down"
    if not is_pose and (args.skeleton or args.codec):
        raise ValueError(f"{args.model} finds no single person's keypoints: leave "
                         "--skeleton and --codec out.")  # fmt: skip
    said = {}
    if args.normalization:
        said["normalization"] = Normalization.from_dict(read_json(args.normalization))
    if args.codec:
        codec_class(args.codec)  # refuses unknown ones
        said["codec"] = args.codec
    set_provenance(model, dataclasses.replace(provenance_of(model), **said))
    if not is_pose:
        return num_predicted(model), get_spec(args.model).counts.removeprefix("num_")
    count = contract_of(model).skeleton.num_keypoints
    skeleton = load_skeleton(args.skeleton) if args.skeleton else plain_skeleton(count)
    if skeleton.num_keypoints != count:
        raise ValueError(
            f"{args.source} predicts {count} keypoints, the skeleton {skeleton.name!r} has "
            f"{skeleton.num_keypoints}."
        )
    set_provenance(model, dataclasses.replace(provenance_of(model), skeleton=skeleton))
    words = f"keypoints of {skeleton.name}"
    if args.skeleton is None:
        words = "keypoints, numbered: the file does not say which (--skeleton does)"
    return count, words


def peak_memory():
    """Returns the peak memory of this process in words, where the system says it."""
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
    from keras_pose.weights.provenance import normalization_of

    check_writable(importer.check_output(args.output).parent)
    model = importer.import_weights(
        args.model, args.source, args.num_keypoints, args.input_hw
    )
    count, words = say_meaning(model, args)
    importer.save(model, args.output)

    height, width = model.inputs[0].shape[1:3]
    print(f"{args.model}: {count_params(model) / 1e6:.2f} M weights from {args.source}")
    print(f"input {height}x{width}, {count} {words}")
    print(f"normalization {normalization_of(model).to_dict()}")
    print(f"took {time.perf_counter() - start:.1f} s{peak_memory()}")
    print(f"written: {args.output}")


if __name__ == "__main__":
    main()
