"""Measures the page in headless Chromium: frames per second, and what its stages cost.

    python mobile_demo/web/measure.py
    python mobile_demo/web/measure.py --models FOLDER --picture me.jpg --screenshot page.png

The camera wanders over a picture. Detecting on every frame and following regions take
turns, so that both have the same machine: believe the ratio more than the milliseconds.
"""

import argparse
import sys
import tempfile
from pathlib import Path

WEB = Path(__file__).resolve().parent
sys.path[:0] = [str(WEB.parents[1]), str(WEB)]  # run from a clone

import numpy as np
from browser import browse, load_serve

from keras_pose import shipped
from keras_pose.commandline import plain_errors, positive_int

FRAME_HW = (480, 640)
# Of the camera's height; how far it turns to either side, pixels.
PICTURE_SHARE, SWING = 0.75, 60
ALWAYS, FOLLOWING = "1", "10"


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--models", metavar="DIR", type=Path, default=shipped.FOLDER,
        help="as for serve.py (default: those that come with the package)")  # fmt: skip
    add("--picture", metavar="FILE", help="default: the portrait that matplotlib brings")
    add("--seconds", type=positive_int, default=10, metavar="N",
        help="of each turn (default: 10)")  # fmt: skip
    add("--turns", type=positive_int, default=3, metavar="N", help="default: 3")
    add("--screenshot", metavar="FILE", type=Path, help="where to write one")
    return parser.parse_args(argv)


def write_clip(path: Path, picture) -> None:
    """Writes what the camera sees, as Chromium plays it: JPEGs, one after the other."""
    import cv2

    from keras_pose.pictures.images import read_image

    image = read_image(picture)
    height, width = image.shape[:2]
    zoom = PICTURE_SHARE * FRAME_HW[0] / height
    corner = np.array([FRAME_HW[1] - width * zoom, 2 * (FRAME_HW[0] - height * zoom)]) / 2
    with path.open("wb") as file:
        for angle in np.linspace(0, 2 * np.pi, 60, endpoint=False):
            # Back where it began after a round, since the clip is played again.
            shift = corner + np.array([SWING * np.sin(angle), 0])
            matrix = np.column_stack([np.eye(2) * zoom, shift])
            frame = cv2.warpAffine(
                image, matrix, FRAME_HW[::-1], borderMode=cv2.BORDER_REPLICATE
            )
            file.write(cv2.imencode(".jpg", frame[..., ::-1])[1].tobytes())


def usual_picture() -> Path:
    import matplotlib

    return Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


def rate(turns: list[dict]) -> float:
    """Returns frames per second over all turns."""
    return sum(len(turn["frames"]) for turn in turns) / sum(t["seconds"] for t in turns)


def stage_means(turns: list[dict]) -> dict[str, float]:
    """Returns milliseconds per frame; a stage that a frame did without cost it nothing."""
    frames = [frame["stages"] for turn in turns for frame in turn["frames"]]
    names = dict.fromkeys(name for stages in frames for name in stages)
    return {
        name: float(np.mean([stages.get(name, 0.0) for stages in frames])) for name in names
    }


def report_rates(rates: list[dict]) -> None:
    """Prints both ways, and their ratio."""
    found = {}
    for every, words in ((ALWAYS, "every frame"), (FOLLOWING, "every 10th frame")):
        # The first turns warm up.
        turns = [turn for turn in rates if turn["detectEvery"] == every][1:]
        found[every] = rate(turns)
        frames = [frame for turn in turns for frame in turn["frames"]]
        detected = np.mean([frame["isDetected"] for frame in frames])
        stages = ", ".join(f"{k} {v:.1f}" for k, v in stage_means(turns).items())
        print(f"Detecting on {words}: {found[every]:.1f} frames a second")
        print(f"  detector asked on {detected:.0%} of {len(frames)}; ms a frame: {stages}")
    print(f"Following is {found[FOLLOWING] / found[ALWAYS]:.2f} times as fast.")


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    from keras_pose.runtime.instructions import machine_line

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_clip(folder / "clip.mjpeg", args.picture or usual_picture())
        turns = [ALWAYS, FOLLOWING] * (args.turns + 1)
        report = browse(
            load_serve().build_site(args.models),
            folder,
            clip=str(folder / "clip.mjpeg"),
            rates=[{"detectEvery": turn, "seconds": args.seconds} for turn in turns],
        )
        print(report["opened"]["runtime"])
        print(machine_line())
        report_rates(report["rates"])
        if args.screenshot:
            args.screenshot.write_bytes((folder / "page.png").read_bytes())


if __name__ == "__main__":
    main()
