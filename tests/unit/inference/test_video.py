"""Videos in, videos out, and whatever may be wrong with them."""

import itertools
import json
import os
import stat
import threading

import cv2
import light_model
import numpy as np
import pytest
from light_model import make_model
from PIL import Image
from says import Says

from keras_pose.inference import PoseEstimator, frame_sources, writers
from keras_pose.inference.frame_sources import Pictures, open_source
from keras_pose.inference.video import VideoSettings, annotate
from keras_pose.inference.writers import fit_into, open_json_list, open_video
from keras_pose.pictures.structures import Detections

IMAGE_HW = (120, 160)
BOTH = pytest.mark.parametrize("is_overlapped", [True, False])


def light_at(x, y, image_hw=IMAGE_HW):
    return light_model.light_at(x, y, image_hw, sigma=8)


def write_clip(path, num_frames=20, fps=20, image_hw=IMAGE_HW):
    """Writes a light that goes from left to right, 5 pixels a frame."""
    with open_video(path, fps) as writer:
        for t in range(num_frames):
            writer.write(light_at(30 + 5 * t, 60, image_hw))
    return path


def find_light(image):
    """A detector: a box around what is bright."""
    rows, columns = np.nonzero(image[..., 0] > 100)
    if not len(rows):
        return Detections.none()
    x, y = columns.mean(), rows.mean()
    return Detections(np.array([[x - 20, y - 25, x + 20, y + 25]]), np.ones(1), np.zeros(1))


def make_estimator():
    return PoseEstimator(make_model(), find_light)


def frames_of(path):
    return [frame.image for frame in open_source(path)]


@BOTH
def test_a_video_is_drawn_and_its_people_are_followed(tmp_path, is_overlapped):
    clip = write_clip(tmp_path / "clip.mp4")
    settings = VideoSettings(detect_every=5, is_overlapped=is_overlapped, is_smoothed=False)

    summary = annotate(
        open_source(clip),
        make_estimator(),
        tmp_path / "out.mp4",
        tmp_path / "out.json",
        settings,
    )

    assert (summary.num_frames, summary.num_detected, summary.num_tracks) == (20, 4, 1)
    written = json.loads((tmp_path / "out.json").read_text())
    assert (written["model"], written["fps"]) == ("brightness", 20)
    assert [frame["frame"] for frame in written["frames"]] == list(range(20))
    for t, frame in enumerate(written["frames"]):
        (person,) = frame["people"]
        assert person["track_id"] == 0
        # One heatmap pixel is 4 * 1.25 * 50 / 128 = 2 pixels of the image.
        assert person["keypoints"]["nose"]["x"] == pytest.approx(30 + 5 * t, abs=4)
    drawn = frames_of(tmp_path / "out.mp4")
    assert len(drawn) == 20
    assert drawn[0].shape == (*IMAGE_HW, 3)
    # The number's label is the only colour: the clip is grey.
    assert np.ptp(drawn[10].astype(int), axis=-1).max() > 60
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip.mp4", "out.json", "out.mp4"]
    assert f"{summary.num_frames} frames in" in summary.text()


def test_stages_that_overlap_find_the_same(tmp_path):
    clip = write_clip(tmp_path / "clip.mp4")
    results = []
    for is_overlapped in (True, False):
        path = tmp_path / "out.json"
        settings = VideoSettings(is_overlapped=is_overlapped)
        annotate(open_source(clip), make_estimator(), json=path, settings=settings)
        results.append(path.read_text())
    assert results[0] == results[1]


def test_only_some_frames_can_be_asked_for(tmp_path):
    clip = write_clip(tmp_path / "clip.mp4")
    seen = []
    summary = annotate(
        open_source(clip),
        make_estimator(),
        settings=VideoSettings(max_frames=7),
        on_frame=lambda frame, poses: seen.append((frame.index, len(poses))),
    )
    assert seen == [(t, 1) for t in range(7)]
    assert summary.notes == []


def test_a_video_without_people_stays_as_it_is(tmp_path):
    with open_video(tmp_path / "dark.mp4", 25) as writer:
        for _ in range(5):
            writer.write(np.zeros((*IMAGE_HW, 3), np.uint8))
    annotate(open_source(tmp_path / "dark.mp4"), make_estimator(), tmp_path / "out.mp4",
             tmp_path / "out.json")  # fmt: skip
    written = json.loads((tmp_path / "out.json").read_text())
    assert [frame["people"] for frame in written["frames"]] == [[]] * 5
    assert max(frame.max() for frame in frames_of(tmp_path / "out.mp4")) < 5


@BOTH
@pytest.mark.parametrize("failing", ["detector", "writer", "reader"])
def test_when_a_stage_fails_nothing_half_written_is_left(
    tmp_path, monkeypatch, is_overlapped, failing
):
    clip = write_clip(tmp_path / "clip.mp4")
    calls = []

    def fail(*arguments):
        calls.append(arguments)
        if len(calls) > 3:
            raise RuntimeError("out of order")
        return Detections.none() if failing == "detector" else real(*arguments)

    real, estimator = None, make_estimator()
    if failing == "detector":
        estimator.detector = fail
    if failing == "reader":
        real = frame_sources._read_rgb
        monkeypatch.setattr(frame_sources, "_read_rgb", fail)
    if failing == "writer":
        real = writers.fit_into
        monkeypatch.setattr(writers, "fit_into", fail)
    num_threads = threading.active_count()

    with pytest.raises(RuntimeError, match="out of order"):
        annotate(open_source(clip), estimator, tmp_path / "out.mp4", tmp_path / "out.json",
                 VideoSettings(is_overlapped=is_overlapped))  # fmt: skip

    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]
    assert threading.active_count() == num_threads


def test_a_video_that_is_cut_off_gives_what_there_is_and_a_note(tmp_path):
    # AVI keeps its index at the end and can be read without.
    clip = write_clip(tmp_path / "clip.avi", num_frames=40)
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])

    summary = annotate(open_source(clip), make_estimator(), tmp_path / "out.mp4")

    assert 10 <= summary.num_frames < 30
    assert len(frames_of(tmp_path / "out.mp4")) == summary.num_frames


def test_an_mp4_that_lost_its_index_is_refused(tmp_path):
    clip = write_clip(tmp_path / "clip.mp4")
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    with Says(
        "clip.mp4 cannot be read as a video ... cut off",
        do="Fetch the file again, or let a repair tool rebuild its index.",
    ).refuses():
        open_source(clip)


@pytest.mark.parametrize("content", [b"", b"no video at all" * 100])
def test_what_is_no_video_is_refused(tmp_path, content):
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="cannot be read as a video"):
        open_source(path)


def test_a_missing_video_is_named(tmp_path):
    with Says(
        "none.mp4 does not exist",
        do="Look at the name, and at the folder that it is relative to.",
    ).refuses():
        open_source(tmp_path / "none.mp4")


class FakeCapture:
    """A camera or a video with a header of its own."""

    images: tuple = ()
    count, fps, is_open = 0.0, 30.0, True

    def __init__(self, source, *options):
        self._left = list(self.images)

    def isOpened(self):  # noqa: N802
        return self.is_open

    def get(self, key):
        values = {cv2.CAP_PROP_FRAME_COUNT: self.count, cv2.CAP_PROP_FPS: self.fps}
        return values.get(key, 0.0)

    def grab(self):
        return False

    def read(self):
        return (True, self._left.pop(0)) if self._left else (False, None)

    def release(self):
        self._left = []


@pytest.fixture
def capture(monkeypatch):
    class Capture(FakeCapture):
        pass

    monkeypatch.setattr(frame_sources.cv2, "VideoCapture", Capture)
    return Capture


@pytest.fixture
def clock(monkeypatch):
    """Lets so many seconds pass between two frames of a camera."""

    def tick(seconds):
        times = itertools.count()
        monkeypatch.setattr(frame_sources, "monotonic", lambda: seconds * next(times))

    return tick


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.mp4"
    path.touch()
    return path


def test_a_video_without_frames_is_an_error(capture, clip, tmp_path):
    capture.count = 100.0
    with Says(
        "has no frames", do="Fetch the file again: it holds a header alone."
    ).refuses():
        annotate(open_source(clip), make_estimator(), tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("count", [-1.0, 0.0, 2.0, 3.0, 9e18, float("nan")])
def test_a_wrong_frame_count_changes_nothing(capture, clip, count):
    capture.count, capture.images = count, (light_at(30, 60),) * 3
    summary = annotate(open_source(clip), make_estimator())
    assert summary.num_frames == 3
    assert not summary.notes


def test_a_promise_of_more_frames_is_told(capture, clip):
    capture.count, capture.images = 50.0, (light_at(30, 60),) * 3
    summary = annotate(open_source(clip), make_estimator())
    assert "ended after 3 frames, but promises 50" in summary.notes[0]


@pytest.mark.parametrize("fps", [0.0, -5.0, float("nan"), 90000.0])
def test_a_nonsensical_frame_rate_becomes_the_usual_one(capture, clip, fps):
    capture.fps = fps
    assert open_source(clip).fps == 25
    assert open_source(clip, fps=12).fps == 12


def test_frames_that_change_size_are_fitted_into_the_first(
    capture, clip, tmp_path, monkeypatch
):
    capture.images = (light_at(30, 60), light_at(60, 30, (240, 80)), light_at(30, 60))
    source = open_source(clip)
    monkeypatch.undo()  # the writer's file is read by the real one

    annotate(source, make_estimator(), tmp_path / "out.mp4", tmp_path / "out.json")

    assert [frame.shape for frame in frames_of(tmp_path / "out.mp4")] == [
        (*IMAGE_HW, 3)
    ] * 3
    written = json.loads((tmp_path / "out.json").read_text())["frames"]
    assert [(f["height"], f["width"]) for f in written] == [
        (120, 160),
        (240, 80),
        (120, 160),
    ]


@pytest.mark.parametrize(("fps", "num_written"), [(10, 4), (30, 10), (5, 2)])
def test_a_cameras_video_lasts_as_long_as_what_it_shows(
    capture, clock, tmp_path, monkeypatch, fps, num_written
):
    capture.images, capture.fps = (light_at(30, 60),) * 4, float(fps)
    source = open_source("0")
    monkeypatch.undo()
    clock(0.1)  # four frames, 0.3 seconds from the first to the last

    annotate(source, make_estimator(), tmp_path / "out.mp4", tmp_path / "out.json")

    assert abs(len(frames_of(tmp_path / "out.mp4")) - num_written) <= (fps == 5)
    frames = json.loads((tmp_path / "out.json").read_text())["frames"]
    assert [frame["seconds"] for frame in frames] == [0, 0.1, 0.2, 0.3]


def test_a_camera_that_vanishes_keeps_what_was_recorded(
    capture, clock, tmp_path, monkeypatch
):
    capture.images = (light_at(30, 60),) * 4
    source = open_source("0")
    monkeypatch.undo()
    clock(1 / 30)

    summary = annotate(source, make_estimator(), tmp_path / "out.mp4")

    assert summary.notes[0].startswith("camera 0 gave no more frames after 4")
    assert len(frames_of(tmp_path / "out.mp4")) == 4


def test_a_camera_that_is_not_there_is_an_error(capture):
    capture.is_open = False
    with Says(
        "Camera 3 cannot be opened",
        do="Cameras count from 0. Another program may have it, or the system forbids it.",
    ).refuses():
        open_source("3")


def test_a_camera_that_gives_nothing_is_an_error(capture):
    with Says(
        "Camera 0 is open, but gives no frames",
        do="Close the program that has the camera, or plug it in anew.",
    ).refuses():
        annotate(open_source(0), make_estimator())


def test_ctrl_c_ends_a_camera_and_keeps_its_video(capture, clock, tmp_path, monkeypatch):
    capture.images = (light_at(30, 60),) * 500
    source = open_source(0)
    monkeypatch.undo()
    clock(1 / 30)

    def stop(frame, poses):
        if frame.index == 5:
            raise KeyboardInterrupt

    annotate(source, make_estimator(), tmp_path / "out.mp4", on_frame=stop)

    assert len(frames_of(tmp_path / "out.mp4")) == 6


def test_ctrl_c_ends_a_file_without_a_video(tmp_path):
    def stop(frame, poses):
        raise KeyboardInterrupt

    clip = write_clip(tmp_path / "clip.mp4")
    with pytest.raises(KeyboardInterrupt):
        annotate(open_source(clip), make_estimator(), tmp_path / "out.mp4", on_frame=stop)
    assert not (tmp_path / "out.mp4").exists()


def test_pictures_are_frames_in_the_order_of_their_numbers(tmp_path):
    for t in (10, 2, 1):
        Image.fromarray(np.full((4, 6, 3), t, np.uint8)).save(tmp_path / f"f{t}.png")
    (tmp_path / "notes.txt").touch()
    for source in (tmp_path, f"{tmp_path}/f*.png"):
        frames = list(open_source(source, fps=10))
        assert [int(frame.image[0, 0, 0]) for frame in frames] == [1, 2, 10]
        assert [frame.seconds for frame in frames] == [0, 0.1, 0.2]


def test_places_without_pictures_are_named(tmp_path):
    with Says(
        "no pictures in the folder", do="Name the folder that holds the frames."
    ).refuses():
        open_source(tmp_path)
    with Says(
        "No file fits the pattern",
        do="Put the pattern into quotes, and look at its folder and ending.",
    ).refuses():
        open_source(f"{tmp_path}/*.png")


def test_a_broken_picture_stops_the_video_and_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"a\.png cannot be read"):
        annotate(Pictures([tmp_path / "a.png"]), make_estimator(), tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("suffix", writers.FOURCC)
@pytest.mark.parametrize("image_hw", [(48, 64), (49, 65), (1, 1)])
def test_every_file_type_takes_every_size(tmp_path, suffix, image_hw):
    path = tmp_path / f"out{suffix}"
    with open_video(path, 29.97) as writer:
        for value in (50, 200):
            writer.write(np.full((*image_hw, 3), value, np.uint8))
    first, second = frames_of(path)
    # Sizes are made even; colours survive the compression roughly.
    assert first.shape[:2] == tuple(size + size % 2 for size in image_hw)
    assert abs(int(first[0, 0, 0]) - 50) < 12
    assert abs(int(second[0, 0, 0]) - 200) < 12


def test_other_file_types_are_refused(tmp_path):
    with Says(
        "must end in one of .mp4, ... got 'out.xyz'",
        do="Name the output .mp4, or another ending that it lists.",
    ).refuses():
        open_video(tmp_path / "out.xyz", 25).__enter__()


def test_fitting_keeps_proportions():
    fitted = fit_into(np.full((100, 50, 3), 255, np.uint8), (60, 60))
    assert (fitted[:, 15:45] == 255).all()
    assert (fitted[:, :15] == 0).all()


def fake_ffmpeg(folder, monkeypatch, script):
    """Puts a program of that name onto the path, which is all there is on it."""
    program = folder / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}/bin{os.pathsep}/usr/bin")


def test_the_sound_is_copied_by_ffmpeg(tmp_path, monkeypatch):
    # The fake writes down how it was called, and that into the output: its last argument.
    fake_ffmpeg(tmp_path, monkeypatch, 'for last; do :; done; echo "$@" > "$last"')
    clip = write_clip(tmp_path / "clip.mp4", num_frames=2)

    annotate(open_source(clip), make_estimator(), tmp_path / "out.mp4")

    called = (tmp_path / "out.mp4").read_text()
    assert f"-i {clip}" in called
    assert "-map 0:v:0 -map 1:a? -c:v copy -c:a copy -shortest" in called
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bin", "clip.mp4", "out.mp4"]


@pytest.mark.parametrize(
    ("script", "note"),
    [
        ("echo no such codec >&2; exit 1", "ffmpeg says: no such codec"),
        (None, "not installed"),
    ],
)
def test_without_sound_the_video_is_kept_and_a_note_tells(
    tmp_path, monkeypatch, script, note
):
    if script:
        fake_ffmpeg(tmp_path, monkeypatch, script)
    else:
        monkeypatch.setenv("PATH", str(tmp_path))
    clip = write_clip(tmp_path / "clip.mp4", num_frames=2)

    summary = annotate(open_source(clip), make_estimator(), tmp_path / "out.mp4")

    assert note in summary.notes[0]
    assert len(frames_of(tmp_path / "out.mp4")) == 2


def test_json_is_written_entry_by_entry(tmp_path):
    for head in ({}, {"a": 1, "b": {"c": [2]}}):
        for entries in ([], [{"x": 1}], [{"x": 1}, {"x": 2}]):
            with open_json_list(tmp_path / "out.json", head, "frames") as write:
                for entry in entries:
                    write(entry)
            assert json.loads((tmp_path / "out.json").read_text()) == head | {
                "frames": entries
            }


@pytest.mark.parametrize(
    "settings", [{"matching": "lucky"}, {"detect_every": 0}, {"max_frames": 0}]
)
def test_settings_without_sense_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        VideoSettings(**settings)
