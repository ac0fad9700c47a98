import dataclasses
import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from says import Says

from keras_pose import __main__ as command
from keras_pose import runtime
from keras_pose.codecs import GaussianHeatmapCodec
from keras_pose.contracts.fields import TensorSpec
from keras_pose.contracts.pose import Contract
from keras_pose.runtime import PoseModel, crowd_model, integer_speed
from keras_pose.runtime.instructions import machine_line
from keras_pose.skeleton import COCO_17

ROOT = Path(__file__).resolve().parents[2]
NOWHERE = "/proc/nowhere/out.png"
ORIENTATION_TAG, TURN_RIGHT = 0x0112, 6


class CenterBackend:
    """A network that finds every keypoint in the middle of the crop."""

    input = TensorSpec("image", (None, 64, 48, 3), "uint8")
    output = TensorSpec("heatmaps", (None, 16, 12, 17), "float32")

    def run(self, images):
        heatmaps = np.zeros((len(images), 16, 12, 17), np.float32)
        heatmaps[:, 8, 6] = 0.75
        return heatmaps


@pytest.fixture(autouse=True)
def threads_asked_for(monkeypatch):
    """The model of all tests; returns the threads that it was opened with, each time."""
    contract = Contract(
        model="center",
        input=TensorSpec("image", (1, 64, 48, 3), "uint8"),
        output=TensorSpec("heatmaps", (1, 16, 12, 17), "float32"),
        codec=GaussianHeatmapCodec((64, 48)),
        skeleton=COCO_17,
    )
    model = PoseModel(contract, ".onnx", CenterBackend())
    asked: list[int | None] = []

    def load_model(*_, num_threads=None, **__):
        asked.append(num_threads)
        return model

    monkeypatch.setattr(runtime, "load_model", load_model)
    monkeypatch.setattr(crowd_model, "load_pose", load_model)
    return asked


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.jpg"
    Image.fromarray(np.full((120, 200, 3), 90, np.uint8)).save(path)
    return path


def run(*arguments):
    """Runs the program; the whole image is one person unless a detector is named."""
    arguments = [*map(str, arguments), "--weights", "model.onnx"]
    if "--detector" not in arguments:
        arguments.append("--whole-image")
    return command.main(arguments)


def test_a_photo_is_drawn_and_its_people_are_printed(photo, tmp_path, capsys):
    output = tmp_path / "out.png"

    run(photo, "--output", output)

    assert np.ptp(np.asarray(Image.open(output))) > 0
    assert np.asarray(Image.open(output)).shape == (120, 200, 3)
    printed = capsys.readouterr().out
    assert "person 1    score 0.75, 17 of 17 keypoints above 0.2" in printed
    assert f"written     {output}" in printed


@pytest.mark.parametrize(
    ("found", "count"), [("AVX2, no dot product of bytes", 1), ("AVX2, AVX-VNNI", 0)]
)
def test_advice_on_int8_is_one_line(photo, tmp_path, monkeypatch, capsys, found, count):
    model = runtime.load_model()
    contract = dataclasses.replace(model.contract, quantization="int8")
    model = PoseModel(contract, ".tflite", CenterBackend())
    monkeypatch.setattr(runtime, "load_model", lambda *_, **__: model)
    monkeypatch.setattr(crowd_model, "load_pose", lambda *_, **__: model)
    monkeypatch.setattr(integer_speed, "instructions", lambda: found)
    monkeypatch.setattr(integer_speed, "_GIVEN", set())
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        run(photo, photo, "--output", tmp_path, "--beside", "b.tflite")
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert sum(line.startswith("advice      int8") for line in lines) == count
    assert "gain little" not in printed.err


def test_each_box_is_a_person_in_the_json(photo, tmp_path):
    path = tmp_path / "poses.json"

    run(photo, "--box", "10,20,30,40", "--box=100,20,60,80", "--json", path,
        "--output", tmp_path / "out.png")  # fmt: skip

    people = json.loads(path.read_text())["photos"][0]["people"]
    assert [person["box_xywh"] for person in people] == [
        [10, 20, 30, 40],
        [100, 20, 60, 80],
    ]
    nose = people[0]["keypoints"]["nose"]
    assert (nose["x"], nose["y"], nose["score"]) == (25, 40, 0.75)


def test_exif_orientation_is_honoured(photo, tmp_path):
    turned = Image.open(photo)
    exif = turned.getexif()
    exif[ORIENTATION_TAG] = TURN_RIGHT
    turned.save(photo, exif=exif)

    run(photo, "--output", tmp_path / "out.png")

    assert np.asarray(Image.open(tmp_path / "out.png")).shape == (200, 120, 3)


def test_a_folder_of_photos_becomes_a_folder_of_drawings(photo, tmp_path):
    photo.rename(photo.with_name("a.jpg"))
    Image.new("L", (50, 40)).save(tmp_path / "b.png")

    run(tmp_path, "--output", tmp_path / "drawn")

    drawn = sorted(path.name for path in (tmp_path / "drawn").iterdir())
    assert drawn == ["a_pose.png", "b_pose.png"]


def truncate(path):
    path.write_bytes(path.read_bytes()[:400])


@pytest.mark.parametrize(
    ("prepare", "arguments", "message"),
    [
        pytest.param(Path.unlink, [], r"photo\.jpg does not exist", id="missing"),
        pytest.param(truncate, [], r"photo\.jpg cannot be read", id="truncated"),
        pytest.param(Path.touch, ["--box", "300,0,10,10"], "outside the image", id="box"),
        pytest.param(Path.touch, ["--output", NOWHERE], "Cannot write", id="no_folder"),
        pytest.param(Path.touch, ["--output", "out.xyz"], "image format", id="format"),
    ],
)
def test_errors_are_one_line_that_names_the_cause(
    photo, tmp_path, monkeypatch, prepare, arguments, message
):
    monkeypatch.chdir(tmp_path)
    prepare(photo)

    with pytest.raises(SystemExit, match=message) as caught:
        run(photo, *arguments)

    assert str(caught.value).startswith("error: ")


@pytest.mark.parametrize("box", ["1,2,3", "a,b,c,d", "0,0,0,10", "0,0,10,-1"])
def test_a_box_needs_four_numbers_and_an_area(photo, box, capsys):
    with pytest.raises(SystemExit):
        run(photo, "--box", box)
    assert repr(box) in capsys.readouterr().err


def test_a_drawing_never_replaces_its_photo(photo):
    with Says("replace the photo", do="Name another --output.").refuses():
        run(photo, "--output", photo)


def test_two_photos_do_not_share_a_drawing(photo, tmp_path):
    with Says(
        "give a folder", do="Name a folder as --output for several photos."
    ).refuses():
        run(photo, photo, "--output", tmp_path / "out.png")


def write_clip(path, num_frames=6):
    from keras_pose.inference.writers import open_video

    with open_video(path, 25) as writer:
        for _ in range(num_frames):
            writer.write(np.full((120, 200, 3), 90, np.uint8))
    return path


@pytest.fixture
def detections(tmp_path):
    """A person on the left, in the photo and in every frame of a clip."""
    path = tmp_path / "found.json"
    names = ["photo.jpg", *range(6)]
    entry = {"category_id": 1, "bbox": [10, 20, 30, 40], "score": 0.5}
    path.write_text(json.dumps([entry | {"image_id": name} for name in names]))
    return path


def test_a_detector_finds_the_people_of_a_photo(photo, detections, tmp_path):
    run(photo, "--detector", detections, "--json", tmp_path / "p.json",
        "--output", tmp_path / "out.png")  # fmt: skip

    (person,) = json.loads((tmp_path / "p.json").read_text())["photos"][0]["people"]
    assert person["box_xywh"] == [10, 20, 30, 40]
    assert person["score"] == pytest.approx(0.5 * 0.75)


def test_nobody_is_no_error_and_is_said(photo, detections, tmp_path, capsys):
    run(
        photo,
        "--detector",
        detections,
        "--box-threshold",
        0.6,
        "--output",
        tmp_path / "o.png",
    )
    assert "nobody      was found in" in capsys.readouterr().out
    assert (tmp_path / "o.png").exists()


def test_without_a_name_the_shipped_models_are_meant(photo, monkeypatch, tmp_path):
    from keras_pose import shipped

    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    with Says(
        "comes without models: name one, as --weights",
        do="Bring a model file: this build was made without the package's own.",
    ).refuses():
        command.main([str(photo)])
    with pytest.raises(SystemExit, match="comes without models: name a detector"):
        command.main([str(photo), "--weights", "model.onnx"])


def test_two_models_are_drawn_side_by_side(photo, tmp_path, capsys):
    out = tmp_path / "out.png"
    run(photo, "--beside", "other.onnx", "--heatmaps", "--output", out)
    drawn = np.asarray(Image.open(out))
    assert drawn.shape[1] > 2 * 200
    assert drawn.shape[0] > 120
    printed = capsys.readouterr().out
    assert "beside      center float32: 17 keypoints, 0.00 pixels apart (median)" in printed


def test_heatmaps_lie_under_the_skeletons(photo, tmp_path):
    for name, options in (("plain", []), ("seen", ["--heatmaps"])):
        run(photo, "--threshold", 0.9, *options, "--output", tmp_path / f"{name}.png")

    plain, seen = (np.asarray(Image.open(tmp_path / f"{n}.png")) for n in ("plain", "seen"))
    # The network sees everything in the middle, and hides below the threshold.
    assert np.ptp(plain) == 0
    rows, columns = np.nonzero((plain != seen).any(axis=-1))
    np.testing.assert_allclose((columns.mean(), rows.mean()), (99.5, 59.5), atol=1)


def test_the_network_of_a_video_leaves_a_core_to_the_other_stages(
    tmp_path, detections, threads_asked_for, photo, monkeypatch
):
    monkeypatch.setattr("os.cpu_count", lambda: 6)
    clip = write_clip(tmp_path / "clip.mp4")
    run(clip, "--output", tmp_path / "out.mp4", "--detector", detections)
    run(photo, "--output", tmp_path / "out.png", "--whole-image")
    assert threads_asked_for == [5, None]


def test_a_video_is_drawn_and_summed_up_in_a_line(tmp_path, detections, capsys):
    clip, output = write_clip(tmp_path / "clip.mp4"), tmp_path / "out.mp4"

    run(clip, "--output", output, "--json", tmp_path / "p.json", "--detector", detections,
        "--detect-every", 3, "--no-smooth", "--matching", "hungarian")  # fmt: skip

    frames = json.loads((tmp_path / "p.json").read_text())["frames"]
    assert [person["track_id"] for frame in frames for person in frame["people"]] == [0] * 6
    printed = capsys.readouterr().out
    assert "done        6 frames in " in printed
    assert "detector on 2, 1 people; ms per frame: decode " in printed
    assert f"\n{machine_line()}\n" in printed
    assert f"written     {output}" in printed


def test_ctrl_c_is_one_line_and_leaves_no_video(tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    clip = write_clip(tmp_path / "clip.mp4")
    monkeypatch.setattr("keras_pose.inference.writers.fit_into", stop)

    with pytest.raises(SystemExit, match="stopped"):
        run(clip, "--output", tmp_path / "out.mp4")

    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


@pytest.mark.parametrize("name", ["", "*.png"], ids=["folder", "pattern"])
def test_a_folder_becomes_a_video_when_its_output_is_one(tmp_path, name):
    frames = tmp_path / "frames"
    frames.mkdir()
    for t in range(3):
        Image.new("RGB", (64, 48), (40 * t, 0, 0)).save(frames / f"{t}.png")

    run(frames / name, "--output", tmp_path / "out.mp4", "--fps", 10)

    from keras_pose.inference.frame_sources import open_source

    source = open_source(tmp_path / "out.mp4")
    assert (source.fps, len(list(source))) == (10, 3)


def test_a_pattern_stands_for_photos_too(photo, tmp_path):
    run(tmp_path / "*.jpg", "--output", tmp_path / "drawn")
    assert [path.name for path in (tmp_path / "drawn").iterdir()] == ["photo_pose.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["clip.mp4", "photo.jpg"],
            Says("One video at a time", do="Run the program once for each video."),
        ),
        (["none.mp4"], Says("none.mp4 does not exist", do="Look at the name.")),
        (
            ["clip.mp4", "--output", "clip.mp4"],
            Says("replace the video", do="Name another --output."),
        ),
        (
            ["clip.mp4", "--output", "out.png"],
            Says("must end in one of .mp4", do="Name a video as --output of a video."),
        ),
        (
            ["clip.mp4", "--box", "1,2,3,4"],
            Says("--box speaks of photos", do="Leave it out: people of a video are found."),
        ),
        (
            ["clip.mp4", "--heatmaps"],
            Says("--heatmaps speaks of photos", do="Leave it out, or give single frames."),
        ),
        (
            ["clip.mp4", "--beside", "b.onnx"],
            Says("--beside speaks of photos", do="Leave it out, or give single frames."),
        ),
        (
            ["clip.mp4", "--fps", "0"],
            Says("Frames per second", do="Give a number above 0, or leave --fps out."),
        ),
        (
            ["a.png", "b.png", "--output", "out.mp4"],
            Says(
                "cannot become one video", do="Give their folder, or a pattern in quotes."
            ),
        ),
        (
            ["*.xyz", "--output", "out.mp4"],
            Says("No file fits", do="Look at the pattern's folder and ending."),
        ),
        (
            ["photo.jpg", "--output", "out.mp4"],
            Says("image format", do="Name a picture as --output of a photo."),
        ),
        (
            ["empty.mp4"],
            Says("cannot be read as a video", do="Fetch the file again: it is damaged."),
        ),
    ],
)
def test_errors_of_videos_are_one_line(photo, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / "clip.mp4")
    (tmp_path / "empty.mp4").touch()
    before = sorted(path.name for path in tmp_path.iterdir())

    with message.refuses():
        run(*arguments)

    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from keras_pose.__main__ import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'tensorflow', 'keras', 'numpy', 'cv2'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=ROOT)


def test_one_bad_file_of_a_folder_is_named_and_the_others_are_drawn(tmp_path, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.png", "a.jpg"):
        Image.fromarray(np.full((120, 200, 3), 90, np.uint8)).save(folder / name)
    (folder / "no_photo.jpg").write_bytes(b"no photo")
    (folder / "notes.txt").touch()

    ending = run(folder, "--output", tmp_path / "drawn", "--json", tmp_path / "poses.json")

    # What `sys.exit` prints, and makes the exit code 1 of.
    assert ending.startswith("1 of 3 photos could not be read: ")
    assert ending.endswith("no_photo.jpg")
    drawn = sorted(path.name for path in (tmp_path / "drawn").iterdir())
    assert drawn == ["a_jpg_pose.png", "a_png_pose.png"]
    values = json.loads((tmp_path / "poses.json").read_text())
    assert [Path(entry["photo"]).name for entry in values["photos"]] == ["a.jpg", "a.png"]
    (failed,) = values["failed"]
    assert "no_photo.jpg cannot be read" in failed["error"]
    assert "failed      Image" in capsys.readouterr().out


def test_photos_of_one_name_from_many_folders_get_drawings_of_their_own(tmp_path):
    photos = [tmp_path / folder / "a.png" for folder in ("one", "two", "three")]
    for path in photos:
        path.parent.mkdir()
        Image.new("RGB", (50, 40)).save(path)

    assert run(*photos, "--output", tmp_path / "drawn") is None

    drawn = sorted(path.name for path in (tmp_path / "drawn").iterdir())
    assert drawn == ["a_png_2_pose.png", "a_png_3_pose.png", "a_png_pose.png"]


def test_heic_in_a_folder_is_named_where_its_plugin_is_not_installed(
    photo, tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    head = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
    (tmp_path / "b.HEIC").write_bytes(head)
    assert "b.HEIC" in run(tmp_path, "--output", tmp_path / "drawn")
    assert "keras-pose[heic]" in capsys.readouterr().out


@pytest.mark.parametrize("as_picture", [False, True])
def test_an_animated_photo_becomes_a_video_unless_a_picture_is_asked_for(
    tmp_path, as_picture
):
    frames = [Image.new("L", (48, 40), 60 * i) for i in range(3)]
    path = tmp_path / "wave.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=80)
    output = tmp_path / ("out.png" if as_picture else "out.mp4")

    run(path, "--output", output, "--json", tmp_path / "poses.json")

    values = json.loads((tmp_path / "poses.json").read_text())
    if as_picture:
        assert len(values["photos"]) == 1
    else:
        assert [frame["seconds"] for frame in values["frames"]] == [0, 0.08, 0.16]
    assert output.stat().st_size


def test_the_address_of_a_stream_stays_as_it_is():
    address = "rtsp://camera.local:554//live"
    (given,) = command.parse_args([address]).inputs
    assert given == address
    assert command.is_video([given], None)
    assert command.video_stem(given) == "stream"
