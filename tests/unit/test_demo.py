"""The demo's pictures, what it says, and that it draws people (learning: very_slow)."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

from keras_pose.demo import program, stills
from keras_pose.demo.steps import Steps, describe_seconds
from keras_pose.pictures.images import read_image
from keras_pose.runtime.instructions import machine_line


def test_every_photograph_has_a_free_licence():
    text = (stills.FOLDER / "README.md").read_text(encoding="utf-8")
    files = {path.name for path in stills.FOLDER.glob("*.jpg")}
    assert files == {f"{name}.jpg" for name in stills.CREDITS}
    for name in files:
        row = next(line for line in text.splitlines() if f"`{name}`" in line)
        assert re.search("public domain|CC0", row)


def test_crowd_shows_every_photograph():
    photographs = {
        name: np.full((40, 30, 3), 50 * (i + 1), np.uint8)
        for i, name in enumerate(stills.CREDITS)
    }
    crowd = stills.compose_crowd(photographs)
    greys = set(np.unique(crowd).tolist())
    assert {50, 100, 150} <= greys
    assert stills.CROWD_SIZE >= 8


def test_film_goes_from_the_left_edge_to_the_right_edge():
    ramp = np.broadcast_to(np.arange(240, dtype=np.uint8)[None, :, None], (60, 240, 3))
    film = stills.Pan(np.ascontiguousarray(ramp), (60, 80), seconds=1, fps=10)
    frames = list(film)
    assert len(frames) == film.num_frames == 10
    assert [frame.seconds for frame in frames] == pytest.approx(np.arange(10) / 10)
    assert frames[0].image[30, 0, 0] == 0
    assert frames[-1].image[30, -1, 0] == 239


def test_steps_are_announced_timed_and_added_up(capsys):
    steps = Steps(["first", "second"])
    steps.announce()
    for _ in range(2):
        with steps.step():
            pass
    shown = capsys.readouterr().out
    assert "  2. second" in shown
    assert "== 2 of 2: second" in shown
    assert [line.split()[0] for line in steps.table().splitlines()] == [
        "first",
        "second",
        "together",
    ]


def test_seconds_are_said_in_words():
    assert [describe_seconds(x) for x in (0.44, 59.4, 59.6, 125)] == [
        "0.4 s", "59 s", "1 min 0 s", "2 min 5 s",
    ]  # fmt: skip


@pytest.mark.slow
def test_photographs_and_film_are_drawn_without_tensorflow(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(stills.Pan, "__init__", _short_pan(stills.Pan.__init__))
    program.main(["--only-photographs", "--output", str(tmp_path)])
    folder = tmp_path / "photographs"
    names = {path.name for path in folder.iterdir()}
    assert names == {
        *(f"{name}.png" for name in stills.CREDITS),
        "many_people.png", "film.mp4", "photographs.png",
    }  # fmt: skip
    for name, photograph in stills.read_photographs().items():
        drawn = read_image(folder / f"{name}.png")
        assert drawn.shape == photograph.shape
        assert not np.array_equal(drawn, photograph), name
    printed = capsys.readouterr().out
    assert "look at" in printed
    assert machine_line() in printed


def _short_pan(whole):
    def init(self, image):
        whole(self, image, seconds=0.4)

    return init


def test_photo_that_is_not_there_is_told_of(tmp_path):
    with pytest.raises(SystemExit, match=r"no\.jpg"):
        program.main(["no.jpg", "--only-photographs", "--output", str(tmp_path)])


def test_training_without_tensorflow_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(program.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="keras-pose\\[train\\]"):
        program.main(["--output", str(tmp_path)])
    assert not list(tmp_path.iterdir())


def test_table_ends_with_the_drop(monkeypatch):
    from keras_pose.demo import learning

    monkeypatch.setattr(learning, "comparison_table", lambda measured: "table")
    before, after = (
        SimpleNamespace(
            stats={"AP": ap},
            drop=lambda other, ap=ap: ap - other.stats["AP"],
            protocol=SimpleNamespace(file_bytes=size),
        )
        for ap, size in ((0.4, 1000), (0.375, 250))
    )
    assert "int8 loses 0.025 of 0.400 AP" in learning.describe([before, after])
    assert "25% of the size" in learning.describe([before, after])
    assert "loses nothing (+0.025)" in learning.describe([after, before])


@pytest.mark.very_slow
def test_network_learns_is_quantized_and_measured(tmp_path, monkeypatch, capsys):
    from keras_pose.demo import learning

    tiny = learning.Size(24, 6, 1, (64, 64), 8, 8)
    monkeypatch.setattr(learning, "Size", lambda: tiny)
    monkeypatch.setattr(learning, "NUM_STEPS_BEFORE_ESTIMATE", 3)
    monkeypatch.setattr(
        "keras_pose.demo.seeing.draw_photographs", lambda folder, photos: folder
    )
    program.main(["--output", str(tmp_path)])
    shown = capsys.readouterr().out
    assert "a step takes" in shown
    assert "int8 loses" in shown
    numbers = json.loads((tmp_path / "numbers.json").read_text())
    assert [each["protocol"]["quantization"] for each in numbers] == ["float32", "int8"]
    assert (tmp_path / "people.png").exists()
