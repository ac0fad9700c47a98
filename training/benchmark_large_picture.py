"""Measures time and peak memory of one training step on a picture of many pixels.

    python training/benchmark_large_picture.py
    python training/benchmark_large_picture.py --size 12000 9000 --suffix .png

It draws a data set of one picture (108 megapixels, a JPEG) with two people, and trains on
it in a process of its own, which ends with its first step. The same on a picture of
640 x 480 says what TensorFlow takes by itself.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run from a clone

from keras_pose.commandline import plain_errors, positive_int

SMALL_WH = (640, 480)
# Runs in a process of its own: peak memory is a process's. (`ru_maxrss` would begin with
# the memory of the process that started this one.)
TRAIN = """
import json, runpy, sys, time
started = time.perf_counter()
program, sys.argv = sys.argv[1], sys.argv[1:]
runpy.run_path(program, run_name="__main__")
with open("/proc/self/status") as file:
    (peak,) = (line.split()[1] for line in file if line.startswith("VmHWM"))
print(json.dumps({"seconds": time.perf_counter() - started, "peak_mb": int(peak) / 1024}))
"""


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--size", nargs=2, type=positive_int, default=(12000, 9000), metavar=("W", "H"))
    add("--suffix", default=".jpg", help="kind of picture (default: .jpg)")
    add("--model", default="pose_slim", help="name in the zoo (default: pose_slim)")
    add("--input-hw", nargs=2, type=positive_int, default=(64, 64), metavar=("H", "W"))
    add("--json", type=Path, metavar="FILE", help="file for the figures")
    return parser.parse_args(argv)


def draw_set(folder, size_wh, suffix):
    """Draws one picture with two people and labels it, for both splits."""
    from PIL import Image

    from keras_pose.skeleton import COCO_17

    width, height = size_wh
    (folder / "images").mkdir(parents=True)
    # Not of one colour: an encoder would have nothing to do.
    grey = Image.radial_gradient("L").resize(size_wh)
    Image.merge("RGB", (grey, grey, grey)).save(folder / "images" / f"a{suffix}")
    boxes = [[width * left, height * 0.2, width * 0.2, height * 0.6] for left in (0.1, 0.6)]
    people = [draw_person(i, box, COCO_17.num_keypoints) for i, box in enumerate(boxes)]
    labels = {
        "images": [{"id": 1, "file_name": f"a{suffix}", "width": width, "height": height}],
        "annotations": people,
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO_17.names)}],
    }
    for split in ("train", "val"):
        path = folder / f"person_keypoints_{split}.json"
        path.write_text(json.dumps(labels), encoding="utf-8")


def draw_person(number, box, num_keypoints):
    x, y, width, height = box
    shares = [(k + 1) / (num_keypoints + 1) for k in range(num_keypoints)]
    points = [(x + width * share, y + height * share, 2) for share in shares]
    return {
        "id": number + 1,
        "image_id": 1,
        "category_id": 1,
        "bbox": box,
        "area": width * height / 2,
        "iscrowd": 0,
        "keypoints": [value for point in points for value in point],
    }


def measure(folder, size_wh, args):
    """Trains for one step on one picture; returns what it took."""
    import os

    draw_set(folder / "data", size_wh, args.suffix)
    command = [
        *(sys.executable, "-c", TRAIN, str(ROOT / "training" / "train.py")),
        *("--model", args.model, "--input-hw", *map(str, args.input_hw)),
        *("--dataset", "coco", "--data-dir", str(folder / "data")),
        *("--batch-size", "2", "--max-steps", "1", "--run-dir", str(folder / "run")),
    ]
    # What was made smaller once would not be again.
    home = os.environ | {"KERAS_POSE_HOME": str(folder / "home")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=home)
    if done.returncode:
        raise ValueError(f"The training failed: {done.stderr[-500:]}")
    return json.loads(done.stdout.splitlines()[-1])


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    from keras_pose.runtime.instructions import machine_line

    print(machine_line(), flush=True)
    found = {}
    for name, size_wh in (("small", SMALL_WH), ("large", tuple(args.size))):
        with tempfile.TemporaryDirectory() as folder:
            found[name] = measure(Path(folder), size_wh, args)
        print(
            f"{size_wh[0]} x {size_wh[1]} {args.suffix}: {found[name]['seconds']:.1f} s, "
            f"peak {found[name]['peak_mb']:.0f} MB",
            flush=True,
        )
    if args.json:
        args.json.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
