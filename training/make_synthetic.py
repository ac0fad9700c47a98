"""Draws synthetic people and writes them as a COCO keypoint data set.

    python training/make_synthetic.py --output data/synthetic --images 4000 --val-images 300
    python training/make_synthetic.py --output wide --images 500 --height 288 --width 384

Stop it at any time: the same command continues where it stopped, and ends with the
same files. The ordinary COCO reader opens the folder.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from a clone

from keras_pose.commandline import plain_errors


def parse_args(argv=None):
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True, help="folder to write into")
    parser.add_argument("--images", type=int, required=True, help="pictures in the split")
    parser.add_argument("--seed", type=int, default=0, help="another one gives others (0)")
    parser.add_argument("--split", choices=("train", "val"), default="train")
    parser.add_argument("--height", type=int, default=256, help="pixels (256)")
    parser.add_argument("--width", type=int, default=256, help="pixels (256)")
    parser.add_argument(
        "--val-images",
        type=int,
        default=0,
        help="pictures of a val split to draw as well; never those of train (0)",
    )
    args = parser.parse_args(argv)
    if args.val_images < 0:
        parser.error(f"--val-images must be 0 or more, got {args.val_images}.")
    if args.val_images and args.split == "val":
        parser.error("--val-images adds to --split train; with --split val use --images.")
    return args


@plain_errors()
def main(argv=None):
    """Writes the splits that were asked for, and says where they lie."""
    args = parse_args(argv)
    # Imported after parsing: `--help` must not wait for OpenCV.
    from tqdm import tqdm

    from keras_pose.data.synthetic import write_coco_dataset

    counts = {args.split: args.images}
    if args.val_images:
        counts["val"] = args.val_images
    image_hw = (args.height, args.width)
    for split, num_images in counts.items():
        print(f"{split}: {num_images} pictures of {image_hw} pixels, seed {args.seed}")
        progress = partial(tqdm, desc=split, unit="picture", disable=None)
        path = write_coco_dataset(
            args.output, num_images, args.seed, split, image_hw, progress
        )
        print(f"Annotations: {path}\nPictures: {args.output / f'{split}2017'}")


if __name__ == "__main__":
    main()
