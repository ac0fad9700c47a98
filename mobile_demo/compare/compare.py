"""One table: how far the apps' cores are from Python, on the same frames.

    python mobile_demo/compare/compare.py --images coco/val2017
    python mobile_demo/compare/compare.py --images DIR --annotations val.json
    python mobile_demo/compare/compare.py --images DIR --pose P.tflite --detector D.tflite

A camera wanders over the photos of the folder, or those of a COCO file in it (the first
with one to three people). The browser, if there is Chromium, sees it first, with its own
runtime; its frames are what all others get. Kotlin, Swift and JavaScript (Node.js) have no
runtime here: each sends the tensors that it has made over a pipe, Python runs the file on
just these, and the core goes on with the raw outputs. What cannot be run is named.

What goes over the pipe: lines of words, and after each the numbers that it announces,
little-endian. To a core: `open BYTES POSE DETECTOR BOX_THRESHOLD DETECT_EVERY` and the
JSON of the contracts; `frame WIDTH HEIGHT SECONDS` and RGB bytes; `outputs COUNT`, then
for each `NAME LENGTH` and float32. From it: `run pose|detector LENGTH` and the input as
float32; at the end of a frame `people COUNT LENGTH` and float32: box, score, track and
keypoints (x, y) of each.
"""

import argparse
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
MOBILE = HERE.parent
sys.path[:0] = [str(MOBILE.parent), str(MOBILE / "web")]  # run from a clone

import numpy as np
from browser import AbsentError, browse, load_serve

from keras_pose.commandline import plain_errors, positive_int

FRAME_HW = (480, 640)
FRAMES_PER_SECOND = 25.0
# Of a camera over a photo: how much larger it is shown, and pixels a frame.
ZOOM, STEP = 1.2, 1.5
# Box, score and number of a person come before the keypoints.
NUM_FIELDS = 6


@dataclass
class Seen:
    """Results of a program on the frames.

    Attributes:
        inputs: tensors that it gave to the networks, "pose" and "detector", in order.
        people: (N, 6 + 2 K) float32 of each frame: box, score, track, keypoints.
    """

    inputs: dict[str, list[np.ndarray]] = field(
        default_factory=lambda: {"pose": [], "detector": []}
    )
    people: list[np.ndarray] = field(default_factory=list)


@dataclass(frozen=True)
class Shot:
    """A frame: (H, W, 3) uint8 RGB, and its time."""

    image: np.ndarray
    seconds: float


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--images", metavar="DIR", required=True, help="photos of people")
    add("--annotations", metavar="JSON", help="COCO file: only its photos")
    add("--pose", metavar="FILE", help=".tflite (default: the shipped one, int8)")
    add("--detector", metavar="FILE", help=".tflite (default: the shipped one, int8)")
    add("--photos", type=positive_int, default=8, metavar="N", help="default: 8")
    add("--frames", type=positive_int, default=40, metavar="N", help="default: 40")
    add("--detect-every", type=positive_int, default=10, metavar="N", help="default: 10")
    add("--without", nargs="+", default=[], choices=list(PROGRAMS), help="leave out")
    return parser.parse_args(argv)


class Setting:
    """The files and settings that all programs get."""

    def __init__(self, args):
        from keras_pose.parity.model_file import ModelFile
        from keras_pose.shipped import shipped_box_threshold, shipped_file

        self.files = {
            kind: ModelFile(getattr(args, kind) or shipped_file(kind, "int8"))
            for kind in ("pose", "detector")
        }
        # Only the detector that comes with the package has a measured one.
        measured = None if args.detector else shipped_box_threshold()
        self.box_threshold = 0.3 if measured is None else measured
        self.detect_every = args.detect_every

    def contracts(self) -> bytes:
        """Returns both contracts as a `pose_model.json` has them."""
        models = {
            f"{kind}.tflite": file.contract.to_dict() for kind, file in self.files.items()
        }
        return json.dumps({"schema_version": 1, "models": models}).encode()


def photos(args, setting: Setting) -> list[np.ndarray]:
    """Reads the first photos on which the detector finds one to three people."""
    from keras_pose.files import read_json
    from keras_pose.inference.frame_sources import pictures_in
    from keras_pose.pictures.images import read_image

    folder, count = Path(args.images), args.photos
    if args.annotations:
        names = sorted(
            image["file_name"] for image in read_json(args.annotations)["images"]
        )
        paths = [folder / name for name in names]
    else:
        paths = pictures_in(folder)
    chosen: list[np.ndarray] = []
    for path in paths:
        image = read_image(path)
        found = setting.files["detector"].detector(image)
        if 1 <= np.sum(found.scores > setting.box_threshold) <= 3:
            chosen.append(image)
        if len(chosen) == count:
            break
    if not chosen:
        raise ValueError(f"There must be photos of people in {folder}, got none.")
    return chosen


def camera(images, num_frames: int) -> list[Shot]:
    """Wanders over photos, as long over each."""
    import cv2

    shots = []
    for index in range(num_frames):
        image = images[index * len(images) // num_frames]
        step = index % (-(-num_frames // len(images)))
        shift = np.array([[ZOOM, 0, -40 + STEP * step], [0, ZOOM, -30]])
        frame = cv2.warpAffine(image, shift, FRAME_HW[::-1])
        shots.append(Shot(frame, index / FRAMES_PER_SECOND))
    return shots


class _Watched:
    """A file that keeps what it was given."""

    def __init__(self, backend, inputs: list[np.ndarray]):
        self._backend, self._inputs = backend, inputs
        self.input = backend.input

    def __getattr__(self, name):
        return getattr(self._backend, name)

    def run(self, images):
        self._inputs.append(images.astype(np.float32).ravel())
        return self._backend.run(images)

    def run_all(self, images):
        self._inputs.append(images.astype(np.float32).ravel())
        return self._backend.run_all(images)


def by_python(setting: Setting, shots: list[Shot]) -> Seen:
    """The package itself: what the others are held against."""
    from keras_pose.inference import PoseEstimator
    from keras_pose.inference.frame_sources import Frame
    from keras_pose.inference.video import VideoEstimator, VideoSettings
    from keras_pose.runtime import PoseModel
    from keras_pose.runtime.detector_model import Detector

    seen = Seen()
    pose, detector = setting.files["pose"], setting.files["detector"]
    networks = {
        kind: _Watched(file.backend, seen.inputs[kind])
        for kind, file in setting.files.items()
    }
    estimator = PoseEstimator(
        PoseModel(pose.contract, ".tflite", networks["pose"]),
        Detector(detector.contract, ".tflite", networks["detector"]),
        box_threshold=setting.box_threshold,
    )
    video = VideoEstimator(estimator, VideoSettings(detect_every=setting.detect_every))
    for index, shot in enumerate(shots):
        poses = video(Frame(index, shot.seconds, shot.image, index))
        rows = [
            poses.boxes_xyxy,
            poses.scores[:, None],
            poses.track_ids[:, None],
            poses.keypoints_xy.reshape(len(poses), 2 * poses.skeleton.num_keypoints),
        ]
        seen.people.append(np.concatenate(rows, axis=1).astype(np.float32))
    return seen


def _people(values: np.ndarray, count: int) -> np.ndarray:
    """Returns the people of a frame, (N, numbers of each); there may be none."""
    return values.reshape(count, values.size // max(count, 1))


class Pipe:
    """A core in a program of its own."""

    def __init__(self, command: list[str], setting: Setting):
        self._setting = setting
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=HERE
        )
        contracts = setting.contracts()
        names = (
            f"pose.tflite detector.tflite {setting.box_threshold} {setting.detect_every}"
        )
        self._send(f"open {len(contracts)} {names}", contracts)

    def _send(self, line: str, content: bytes) -> None:
        self._process.stdin.write(f"{line}\n".encode() + content)
        self._process.stdin.flush()

    def _receive(self) -> tuple[list[str], np.ndarray]:
        words = self._process.stdout.readline().decode().split()
        if not words:
            raise ChildProcessError(f"The core ended with {self._process.wait()}.")
        content = self._process.stdout.read(4 * int(words[-1]))
        return words, np.frombuffer(content, np.float32)

    def show(self, shot: Shot, seen: Seen) -> None:
        """Sends a frame to the core, and runs the networks for it."""
        height, width = shot.image.shape[:2]
        self._send(f"frame {width} {height} {shot.seconds}", shot.image.tobytes())
        while True:
            words, values = self._receive()
            if words[0] == "people":
                count = int(words[1])
                seen.people.append(_people(values, count))
                return
            seen.inputs[words[1]].append(values)
            self._answer(self._setting.files[words[1]], values)

    def _answer(self, file, values: np.ndarray) -> None:
        image = file.contract.input
        outputs = file.run(values.reshape(image.shape).astype(image.dtype))
        self._send(f"outputs {len(outputs)}", b"")
        for spec, output in zip(file.contract.outputs, outputs, strict=True):
            self._send(f"{spec.name} {output.size}", output.astype("<f4").tobytes())

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()


def by_core(command: list[str], setting: Setting, shots: list[Shot]) -> Seen:
    """A core that has no runtime: see the pipe in the module's docstring."""
    seen = Seen()
    with contextlib.closing(Pipe(command, setting)) as pipe:
        for shot in shots:
            pipe.show(shot, seen)
    return seen


def _needs(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            raise AbsentError(f"the program {program}")


@contextlib.contextmanager
def node_command() -> Iterator[list[str]]:
    _needs("node")
    yield ["node", str(MOBILE / "web" / "tests" / "host.js")]


@contextlib.contextmanager
def kotlin_command() -> Iterator[list[str]]:
    _needs("kotlinc", "java")
    with tempfile.TemporaryDirectory() as folder:
        jar = str(Path(folder) / "host.jar")
        sources = [str(MOBILE / "kotlin" / "src"), str(HERE / "Host.kt")]
        _compile(["kotlinc", *sources, "-include-runtime", "-d", jar])
        # Debian's compiler includes no runtime, and keeps it here.
        library = sorted(Path("/usr/share/java").glob("kotlin-stdlib-[0-9]*.jar"))[:1]
        library = library or [MOBILE / "android/build/toolchain/kotlin-stdlib.jar"]
        classpath = ":".join([jar, *map(str, library)])
        yield ["java", "-cp", classpath, "keraspose.HostKt"]


@contextlib.contextmanager
def swift_command() -> Iterator[list[str]]:
    swift = MOBILE / "ios" / "swift.sh"
    if (
        not swift.exists()
        or subprocess.run([swift, "--version"], capture_output=True).returncode
    ):
        raise AbsentError("Swift: mobile_demo/ios/toolchain.sh")
    place = ["--package-path", "../compare/swift", "--scratch-path", "/tmp/host"]
    yield [str(swift), "run", *place, "Host"]


def _compile(command: list[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        output = (result.stderr or result.stdout)[-2000:]
        raise ChildProcessError(f"{command[0]} failed:\n{output}")


def by_browser(setting: Setting, images, num_frames: int) -> tuple[Seen, list[Shot]]:
    """The page in headless Chromium; also returns the frames that it saw."""
    import cv2

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # The camera goes on while the page works: a longer way over each photo.
        frames = [shot.image for shot in camera(images, 20 * len(images))]
        jpegs = [cv2.imencode(".jpg", frame[..., ::-1])[1].tobytes() for frame in frames]
        (folder / "clip.mjpeg").write_bytes(b"".join(jpegs))
        report = browse(
            _site(setting, folder),
            folder,
            clip=str(folder / "clip.mjpeg"),
            frames=num_frames,
            selects={"detect-every": str(setting.detect_every)},
        )
        return _from_report(report, folder)


def _site(setting: Setting, folder: Path):
    """Returns the page with the two files."""
    models = folder / "models"
    models.mkdir()
    for kind, file in setting.files.items():
        shutil.copyfile(file.path, models / f"{kind}.tflite")  # contracts are inside
    site = load_serve().build_site(models)
    index = json.loads(site.texts["models/index.json"])
    for model in index["models"]:
        model["box_threshold"] = setting.box_threshold
    site.texts["models/index.json"] = json.dumps(index)
    return site


def _from_report(report: dict, folder: Path) -> tuple[Seen, list[Shot]]:
    seen, shots = Seen(), []
    for index, frame in enumerate(report["frames"]):
        pixels = np.fromfile(folder / f"frame_{index}.rgba", np.uint8)
        image = pixels.reshape(frame["height"], frame["width"], 4)[..., :3].copy()
        shots.append(Shot(image, frame["seconds"]))
        rows = [
            [*person["box"], person["score"], person["trackId"], *person["keypointsXy"]]
            for person in frame["people"]
        ]
        seen.people.append(_people(np.array(rows, np.float32), len(rows)))
    return seen, shots


def row(name: str, seen: Seen, expected: Seen) -> str:
    """Compares a program with Python; returns a line of the table."""
    pairs = list(zip(seen.people, expected.people, strict=True))
    alike = [(a, b) for a, b in pairs if len(a) == len(b) and len(a)]
    others = sum(len(a) != len(b) for a, b in pairs)
    columns = {
        "boxes": [np.abs(a[:, :4] - b[:, :4]) for a, b in alike],
        "keypoints": [np.abs(a[:, NUM_FIELDS:] - b[:, NUM_FIELDS:]) for a, b in alike],
    }
    tracks = sum(int(np.sum(a[:, 5] != b[:, 5])) for a, b in alike)
    crops = [
        np.abs(a - b)
        for kind in expected.inputs
        for a, b in zip(seen.inputs[kind], expected.inputs[kind], strict=False)
    ]
    people = sum(len(b) for _, b in pairs)
    return (
        f"| {name} | {len(pairs)} | {people} | {_spread(crops, 0)} | "
        f"{_spread(columns['boxes'], 4)} | {_spread(columns['keypoints'], 4)} | {tracks} | "
        f"{others} |"
    )


def _spread(differences: list[np.ndarray], digits: int) -> str:
    if not differences:
        return "not seen"
    values = np.concatenate([part.ravel() for part in differences])
    return f"{values.max():.{digits}f} / {np.median(values):.{digits}f}"


COLUMNS = (
    "against Python",
    "frames",
    "people",
    "networks' inputs, levels of 255",
    "boxes, pixels",
    "keypoints, pixels",
    "track ids that differ",
    "frames with more or fewer people",
)

COMMANDS: dict[str, Callable] = {
    "Kotlin": kotlin_command,
    "Swift": swift_command,
    "JavaScript": node_command,
}
PROGRAMS = ("browser", *COMMANDS)


def rows(args, setting: Setting) -> Iterator[str]:
    """Yields the lines of the table as they become known."""
    images = photos(args, setting)
    shots = camera(images, args.frames)
    browser = None
    absent = ""
    try:
        if "browser" in args.without:
            raise AbsentError("left out")
        browser, shots = by_browser(setting, images, args.frames)
    except AbsentError as error:
        absent = f"| browser | not run: {error} |"
    expected = by_python(setting, shots)
    yield row("browser", browser, expected) if browser else absent
    for name, make_command in COMMANDS.items():
        if name in args.without:
            continue
        try:
            with make_command() as command:
                yield row(name, by_core(command, setting, shots), expected)
        except AbsentError as error:
            yield f"| {name} | not run: needs {error} |"


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    setting = Setting(args)
    print("Differences: largest / median.\n")
    print(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|", flush=True)
    for line in rows(args, setting):
        print(line, flush=True)


if __name__ == "__main__":
    main()
