"""Measures time and peak memory of opening a COCO file of many people.

    python training/benchmark_reading.py --people 200000
    python training/benchmark_reading.py --people 1000000 --repository ../older_build

It draws a file like COCO's (17 keypoints, outlines, three people an image) into a
temporary folder, with empty files for images, and opens it in a process of its own.
--repository opens the same file with another checkout too, to be compared with.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run from a clone

from keras_pose.commandline import plain_errors, positive_int

# What the figures hang on.
CODE = ("keras_pose/data/readers", "keras_pose/data/sources.py")
NUM_KEYPOINTS = 17
PEOPLE_PER_IMAGE = 3
# Runs in a process of its own: peak memory is a process's.
OPEN = """
import json, resource, sys, time
sys.path.insert(0, sys.argv[1])
from keras_pose.data.datasets import open_dataset
from keras_pose.data.sources import records_source
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before, start, used = peak(), time.perf_counter(), time.process_time()
dataset = open_dataset("coco", sys.argv[2], "val")
source = records_source(dataset.records, dataset.skeleton)
print(json.dumps({"people": len(source), "seconds": time.perf_counter() - start,
    "cpu_seconds": time.process_time() - used, "peak_mb": peak(), "before_mb": before}))
"""


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--people", type=positive_int, default=200_000, metavar="N")
    add("--repository", type=Path, help="another checkout, to be compared with")
    add("--results", type=Path, metavar="FILE",
        help="also write the table as data, for docs/results")  # fmt: skip
    return parser.parse_args(argv)


def write_file(folder, num_people):
    """Writes a COCO file person by person; returns its size in megabytes."""
    from keras_pose.skeleton import COCO_17

    draw = random.Random(0)
    images = folder / "images"
    images.mkdir()
    num_images = -(-num_people // PEOPLE_PER_IMAGE)
    path = folder / "person_keypoints_val.json"
    with open(path, "w", encoding="utf-8") as file:
        file.write('{"images": [')
        for i in range(num_images):
            (images / f"{i:012d}.jpg").touch()
            image = {"id": i + 1, "file_name": f"{i:012d}.jpg", "width": 640,
                     "height": 480, "license": 1}  # fmt: skip
            file.write(", " * bool(i) + json.dumps(image))
        file.write('], "annotations": [')
        for i in range(num_people):
            row = draw_person(draw, i + 1, i // PEOPLE_PER_IMAGE + 1)
            file.write(", " * bool(i) + json.dumps(row))
        category = {"id": 1, "name": "person", "keypoints": list(COCO_17.names)}
        file.write(f'], "categories": [{json.dumps(category)}]}}')
    return path.stat().st_size / 1e6


def draw_person(draw, number, image_id):
    x, y = draw.randint(0, 500), draw.randint(0, 300)
    width, height = draw.randint(40, 120), draw.randint(80, 160)
    points = [(x + draw.randint(0, width), y + draw.randint(0, height))
              for _ in range(NUM_KEYPOINTS)]  # fmt: skip
    outline = [round(draw.uniform(0, 480), 2) for _ in range(20)]
    return {
        "segmentation": [outline],
        "num_keypoints": NUM_KEYPOINTS,
        "area": 0.5 * width * height,
        "iscrowd": 0,
        "keypoints": [value for point in points for value in (*point, 2)],
        "image_id": image_id,
        "bbox": [x, y, width + 0.5, height + 0.5],
        "category_id": 1,
        "id": number,
    }


def measure(repository, folder):
    """Opens the file with a checkout; returns what it took."""
    command = [sys.executable, "-c", OPEN, str(repository), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"{repository} cannot open the file: {done.stderr[-500:]}")
    return json.loads(done.stdout.splitlines()[-1])


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    from keras_pose.runtime.instructions import machine_line

    print(machine_line())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        megabytes = write_file(folder, args.people)
        print(f"file        {args.people:,} people, {megabytes:.0f} MB")
        found = measure(ROOT, folder)
        builds = {"this build": found}
        print(f"this build  {describe(found)}")
        if args.repository:
            other = builds["the other"] = measure(args.repository.resolve(), folder)
            print(f"the other   {describe(other)}")
            ratios = {name: found[name] / other[name] for name in ("seconds", "cpu_seconds",
                                                                   "peak_mb")}  # fmt: skip
            print("ratio       " + ", ".join(f"{k} {v:.2f}" for k, v in ratios.items()))
        if args.results:
            from keras_pose.metrics.result_files import write_results

            columns = {"people": ",d", "MB": ".0f", "build": "", "s": ".1f", "CPU s": ".1f",
                       "peak MB": ",.0f"}  # fmt: skip
            rows = [
                [args.people, megabytes, name, each["seconds"], each["cpu_seconds"],
                 each["peak_mb"]] for name, each in builds.items()
            ]  # fmt: skip
            write_results(args.results, columns, rows, CODE)


def describe(found):
    return (
        f"{found['people']:,} people, {found['seconds']:.1f} s, "
        f"{found['cpu_seconds']:.1f} s of CPU, peak {found['peak_mb']:.0f} MB "
        f"({found['before_mb']:.0f} MB before)"
    )


if __name__ == "__main__":
    main()
