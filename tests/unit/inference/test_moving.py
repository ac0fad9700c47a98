"""Frames come at the times, and from the places, that real videos have."""

import http.server
import io
import itertools
import json
import re
import struct
import threading

import cv2
import numpy as np
import pytest
from light_model import make_model
from PIL import Image

from keras_pose.inference import PoseEstimator, frame_sources
from keras_pose.inference.detectors import WHOLE_IMAGE
from keras_pose.inference.frame_sources import Pictures, open_source, without_password
from keras_pose.inference.video import VideoSettings, annotate
from keras_pose.inference.writers import open_video
from keras_pose.pictures.images import ImageError, is_animated

# Slow, then quick; the last frame stands for 0.2 seconds.
STEPS = [0.2] * 6 + [0.04] * 10 + [0.1, 0.3] * 2 + [0.2]
TIMES = list(itertools.accumulate(STEPS[:-1], initial=0.0))


def grey(level, image_hw=(48, 64)):
    return np.full((*image_hw, 3), level, np.uint8)


def write_steady(path, count, fps=25):
    """Writes frames that rise by 11 grey levels."""
    with open_video(path, fps) as writer:
        for i in range(count):
            writer.write(grey(10 + 11 * i))
    return path


def _boxes(data, start, end):
    """Yields name, start and end of the boxes of an MP4 file."""
    while start < end:
        size, name = struct.unpack_from(">I4s", data, start)
        yield name, start, start + size
        start += size


def write_changing(path, steps):
    """Writes an MP4 whose frames stand for so many seconds each.

    OpenCV writes a steady one; its table of durations, which is one entry at the end of
    the file, is replaced.
    """
    write_steady(path, len(steps), fps=100)
    data = bytearray(path.read_bytes())
    parents, start, end = [], 0, len(data)
    for wanted in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stts"):
        start, end = next((a, b) for n, a, b in _boxes(data, start, end) if n == wanted)
        parents.append(start)
        if wanted == b"mdia":
            header = next(a for n, a, _ in _boxes(data, start + 8, end) if n == b"mdhd")
        start += 8
    (scale,) = struct.unpack_from(">I", data, header + 20)
    table = b"".join(struct.pack(">II", 1, round(step * scale)) for step in steps)
    content = struct.pack(">II", 0, len(steps)) + table
    old = end - start
    data[start:end] = content
    for parent in parents:
        (size,) = struct.unpack_from(">I", data, parent)
        struct.pack_into(">I", data, parent, size + len(content) - old)
    struct.pack_into(">I", data, header + 24, round(sum(steps) * scale))
    edit = data.index(b"elst") + 12  # how long of it is shown, in milliseconds
    struct.pack_into(">I", data, edit, round(sum(steps) * 1000))
    path.write_bytes(data)
    return path


def run(source, folder, **settings):
    """Returns the summary, the JSON and the frames of the written video, with times."""
    estimator = PoseEstimator(make_model(), WHOLE_IMAGE)
    paths = folder / "out.mp4", folder / "out.json"
    summary = annotate(source, estimator, *paths, settings=VideoSettings(**settings))
    written = [(frame.seconds, frame.image) for frame in open_source(paths[0])]
    return summary, json.loads(paths[1].read_text()), written


def test_frames_have_the_times_that_the_file_gives_them(tmp_path):
    source = open_source(write_changing(tmp_path / "a.mp4", STEPS))
    summary, values, written = run(source, tmp_path)

    seconds = [frame["seconds"] for frame in values["frames"]]
    np.testing.assert_allclose(seconds, TIMES, atol=0.002)
    assert not any("cut off" in note for note in summary.notes)
    # The written video shows each frame at its time, to half a frame of its own.
    given = [int(frame.image[44, 60, 0]) for frame in open_source(source.path)]
    first_shown = {}
    for time, image in written:
        nearest = int(np.abs(np.array(given) - image[44, 60, 0]).argmin())
        first_shown.setdefault(nearest, time)
    np.testing.assert_allclose(
        [first_shown[i] for i in range(len(TIMES))], TIMES, atol=0.021
    )


def test_a_rate_that_is_given_goes_before_the_files_times(tmp_path):
    source = open_source(write_changing(tmp_path / "a.mp4", STEPS), fps=10)
    _, values, _ = run(source, tmp_path)
    seconds = [frame["seconds"] for frame in values["frames"]]
    np.testing.assert_allclose(seconds, np.arange(len(STEPS)) / 10)


def test_a_steady_video_stays_as_it_is(tmp_path):
    summary, values, written = run(
        open_source(write_steady(tmp_path / "a.mkv", 20)), tmp_path
    )
    assert values["fps"] == 25
    assert len(written) == summary.num_frames == 20
    seconds = [frame["seconds"] for frame in values["frames"]]
    np.testing.assert_allclose(seconds, np.arange(20) / 25, atol=1e-3)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_damaged_place_costs_its_frames_and_no_others(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    with open_video(path, 25) as writer:
        for i in range(40):
            image = grey(3 * i, (120, 160))
            image[20:60, 3 * i : 3 * i + 20] = 250
            writer.write(image)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 600] = bytes(600)
    path.write_bytes(data)

    summary, values, written = run(open_source(path), tmp_path)

    seconds = np.array([frame["seconds"] for frame in values["frames"]])
    num_lost = 40 - len(seconds)
    assert 0 < num_lost < 20
    assert seconds[-1] == pytest.approx(39 / 25, abs=0.002)  # to the end of the file
    np.testing.assert_allclose(seconds * 25, np.rint(seconds * 25), atol=0.05)
    (note,) = (note for note in summary.notes if "sound" not in note)
    assert note.startswith(f"{num_lost} ")
    assert "the times of the others are right" in note
    assert len(written) == 40  # the picture before the gap stands through it


@pytest.mark.parametrize("num_bytes", [400, 2500])
def test_frames_of_an_avi_keep_their_places_behind_a_chunk_that_is_lost(
    tmp_path, num_bytes
):
    path = tmp_path / "a.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (160, 120))
    for i in range(20):
        writer.write(grey(10 + 12 * i, (120, 160)))
    writer.release()
    data = bytearray(path.read_bytes())
    head = [at.start() for at in re.finditer(b"00dc", bytes(data))][8]
    data[head - 40 : head - 40 + num_bytes] = b"U" * num_bytes
    path.write_bytes(data)

    source = open_source(path)
    frames = [(frame.seconds, int(frame.image[60, 80, 0])) for frame in source]

    assert 10 < len(frames) < 20
    expected = [10 + 12 * round(10 * seconds) for seconds, _ in frames]
    grey_levels = [level for _, level in frames]
    # The frame before the lost one may be broken, too.
    is_right = np.isclose(grey_levels, expected, atol=4)
    assert is_right[-6:].all()
    assert (~is_right).sum() <= 1
    assert source.note.startswith(f"{20 - len(frames)} of the 20 frames")


def turned_by_metadata(path):
    """Makes a phone's upright video of an MP4: its track says to turn it by 90 degrees."""
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4 + 40  # behind version, times, id, duration, layer
    struct.pack_into(">9i", data, start, 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def test_a_phones_video_is_turned_upright(tmp_path):
    path = tmp_path / "a.mp4"
    with open_video(path, 25) as writer:
        for _ in range(3):
            image = grey(20)
            image[:, :16] = 220  # on the left as stored: on top once it is turned
            writer.write(image)
    turned_by_metadata(path)
    (first, *_) = (frame.image for frame in open_source(path))
    assert first.shape == (64, 48, 3)
    assert first[:12].min() > 180 > 60 > first[24:].max()


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_an_animated_picture_is_a_video(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    first, *others = (Image.fromarray(grey(40 * i)) for i in range(5))
    durations = [200, 40, 40, 300, 100]
    first.save(path, save_all=True, append_images=others, duration=durations, lossless=True)
    assert is_animated(path)

    summary, values, written = run(open_source(path), tmp_path)

    assert summary.num_frames == 5
    seconds = [frame["seconds"] for frame in values["frames"]]
    np.testing.assert_allclose(seconds, [0, 0.2, 0.24, 0.28, 0.58], atol=1e-6)
    for time, level in zip(seconds, range(0, 200, 40), strict=True):
        shown = [t for t, image in written if abs(int(image[44, 60, 0]) - level) <= 5]
        assert min(shown) == pytest.approx(time, abs=0.021)


def test_frames_without_a_duration_are_shown_as_browsers_do(tmp_path):
    first, *others = (Image.fromarray(grey(40 * i)) for i in range(3))
    first.save(tmp_path / "a.gif", save_all=True, append_images=others)
    frames = list(open_source(tmp_path / "a.gif"))
    np.testing.assert_allclose([frame.seconds for frame in frames], [0, 0.1, 0.2])


def test_an_animation_that_breaks_off_keeps_what_came(tmp_path):
    rng = np.random.default_rng(seed=0)
    noise = [Image.fromarray(rng.integers(0, 255, (48, 64, 3), np.uint8)) for _ in range(4)]
    path = tmp_path / "a.png"
    noise[0].save(path, save_all=True, append_images=noise[1:], duration=100)
    path.write_bytes(path.read_bytes()[: int(0.6 * path.stat().st_size)])
    source = open_source(path)
    assert 1 <= len(list(source)) < 4
    assert "ended after" in source.note


def test_pages_and_views_are_no_animation(tmp_path):
    pages = [Image.fromarray(grey(9)), Image.fromarray(grey(99))]
    for suffix in ("tiff", "mpo"):
        pages[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=pages[1:])
        assert not is_animated(tmp_path / f"a.{suffix}")
    pages[0].save(tmp_path / "still.gif")
    assert not is_animated(tmp_path / "still.gif")
    assert not is_animated(tmp_path / "none.gif")


def test_pictures_that_cannot_be_read_are_left_out_of_a_sequence(tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(4)]
    for path in paths:
        Image.fromarray(grey(50)).save(path)
    paths[1].write_text("no picture")
    source = Pictures(paths, fps=10)
    assert [(frame.index, frame.seconds) for frame in source] == [
        (0, 0.0),
        (2, 0.2),
        (3, 0.3),
    ]
    assert "1 of the pictures were left out" in source.note
    assert "1.png cannot be read" in source.note
    with pytest.raises(ImageError, match=r"1\.png"):
        list(Pictures(paths[1:2]))


class Server:
    """A web server on this machine, which answers each request in its own way."""

    def __init__(self, answers):
        left = iter(answers)

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                answer = next(left, None)
                if answer is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                for name, value in answer[0].items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer[1])

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()


def camera_answer(levels):
    """What a network camera sends: one JPEG after the other, without an end."""
    body = b""
    for level in levels:
        buffer = io.BytesIO()
        Image.fromarray(grey(level)).save(buffer, "JPEG", quality=95)
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {buffer.tell()}"
        body += f"{head}\r\n\r\n".encode() + buffer.getvalue() + b"\r\n"
    return {"Content-Type": "multipart/x-mixed-replace; boundary=frame"}, body


def test_a_stream_that_breaks_is_taken_up_again(monkeypatch):
    pauses = []
    monkeypatch.setattr(frame_sources, "sleep", pauses.append)
    answers = [camera_answer([10, 20, 30]), None, camera_answer([110, 120, 130, 140])]
    # FFmpeg opens a stream once to look at it; a 404 in between is tried again.
    with Server(answers) as server:
        source = open_source(f"{server.address}/live")
        assert source.is_live
        frames = list(source)
    levels = [int(frame.image[24, 32, 0]) for frame in frames]
    assert levels[0] < 40 < 100 < levels[-1]
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert len(frames) >= 5
    assert "made again, 1 times" in source.note
    assert source.note.endswith(f"gave no more frames after {len(frames)}.")
    assert pauses[:2] == [0.5, 1.0]
    assert pauses[2:] == list(frame_sources.RECONNECT_SECONDS)


def test_a_file_on_a_server_ends_with_its_last_frame(tmp_path, monkeypatch):
    monkeypatch.setattr(frame_sources, "sleep", None)  # nothing is tried again
    data = write_steady(tmp_path / "a.avi", 12).read_bytes()
    answer = {"Content-Type": "video/avi", "Content-Length": str(len(data))}, data
    with Server([answer] * 4) as server:
        source = open_source(f"{server.address}/a.avi")
        assert (source.is_live, source.num_frames, source.fps) == (False, 12, 25)
        seconds = [frame.seconds for frame in source]
    np.testing.assert_allclose(seconds, np.arange(12) / 25, atol=1e-6)
    assert source.note is None


def test_an_address_without_a_video_is_refused_without_its_password():
    with (
        Server([]) as server,
        pytest.raises(ValueError, match=r"http://127.*cannot be opened") as caught,
    ):
        open_source(server.address.replace("http://", "http://me:secret@"))
    assert "secret" not in str(caught.value)
    assert without_password("rtsp://a:b@c@host:5/x@y") == "rtsp://host:5/x@y"


def test_opencv_gives_times_in_milliseconds_of_the_frame_that_was_read(tmp_path):
    # The rule that all this stands on; OpenCV's versions differed in it.
    capture = cv2.VideoCapture(str(write_changing(tmp_path / "a.mp4", STEPS)))
    times = []
    while capture.read()[0]:
        times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    np.testing.assert_allclose(times, TIMES, atol=0.002)
