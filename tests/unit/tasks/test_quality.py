"""`keras-pose predict --quality`: what is downloaded, what is said, what runs."""

import dataclasses
import hashlib
import importlib.util
import io

import numpy as np
import pytest
from file_server import serving
from PIL import Image
from says import Says

from keras_pose import __main__ as command
from keras_pose.shipped import POSE, shipped_file
from keras_pose.tasks import presets, quality
from keras_pose.weights import download
from keras_pose.weights.catalog import all_entries, get_entry
from keras_pose.zoo import ZOO

CONTENTS = {
    "pose.pth": np.random.default_rng(0).bytes(200_000),
    "people.pth": np.random.default_rng(1).bytes(100_000),
}


@pytest.fixture
def server():
    with serving(dict(CONTENTS)) as server:
        yield server


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(download.HOME_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.delenv(download.MIRROR_VARIABLE, raising=False)
    return tmp_path / "cache"


@pytest.fixture
def entries(server, cache):
    """A pose network and a detector, on a server of our own."""
    rows = (("rtmpose_s", "coco_aic", "pose.pth"), ("rtmdet_nano", "person", "people.pth"))
    return [
        dataclasses.replace(
            get_entry(model, word),
            url=f"{server.url}/{name}",
            file_name=name,
            num_bytes=len(CONTENTS[name]),
            sha256=(hashlib.sha256(CONTENTS[name]).hexdigest(),),
        )
        for model, word, name in rows
    ]


def test_qualities_are_official_weights_with_a_licence():
    for each in quality.QUALITIES.values():
        if each.pose:
            assert presets.pose_preset(each.pose).licence
            assert presets.detector_preset(each.detector).licence


def test_the_best_is_reported_better_and_works_less_than_the_other_choice():
    best = presets.pose_preset(quality.QUALITIES["best"].pose)
    other = presets.pose_preset("vitpose_b_coco")
    assert best.protocol.startswith("COCO val2017, person detector of 56.4 AP")
    assert other.protocol.startswith("COCO val2017, person detector of 56.4 AP")
    assert best.value > other.value
    assert 4 * ZOO[best.model].macs < ZOO[other.model].macs


def test_the_fast_ones_are_shipped_and_need_no_download(capsys):
    assert quality.files_of_quality("fast") == (shipped_file(POSE), None)
    assert not capsys.readouterr().out


def test_sizes_and_licences_are_said_before_the_first_request(
    entries, server, monkeypatch, capsys
):
    said = []
    monkeypatch.setattr(
        download, "_download", spied(download._download, lambda: said.append(read(capsys)))
    )

    quality.fetch_all(entries)

    assert [name for name, _ in server.requests] == ["pose.pth", "people.pth"]
    assert said[0].count("licence: Apache-2.0") == 2
    assert "rtmpose_s_coco_aic: 0 MB" in said[0]
    quality.fetch_all(entries)  # all is here: nothing is said or asked
    assert not capsys.readouterr().out
    assert len(server.requests) == 2


def read(capsys):
    return capsys.readouterr().out


def spied(function, note):
    def call(*arguments):
        note()
        return function(*arguments)

    return call


def test_a_bar_shows_the_bytes_of_a_download_on_a_terminal(entries, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(download.sys, "stderr", terminal)
    download.fetch(entries[0])
    assert "pose.pth: 100%" in terminal.getvalue()
    assert "200k/200k" in terminal.getvalue()


def test_offline_says_all_that_is_to_be_fetched_and_where_to_put_it(entries, server, cache):
    server.files.clear()
    with Says(
        "All that is to be fetched: ... pose.pth -> ... people.pth ->",
        do="Fetch the files from the addresses, and put them where the message says.",
    ).refuses(download.DownloadError) as raised:
        quality.fetch_all(entries)
    for entry in entries:
        line = f"  {entry.url} -> {cache / 'downloads' / entry.file_name}"
        assert line in str(raised.value).splitlines()
    # Put there by hand, they are taken.
    for entry in entries:
        path = cache / "downloads" / entry.file_name
        path.write_bytes(CONTENTS[entry.file_name])
    quality.fetch_all(entries)


def test_only_what_is_missing_is_asked_for_by_hand(entries, server, cache):
    download.fetch(entries[0])
    server.files.clear()
    with pytest.raises(download.DownloadError) as raised:
        quality.fetch_all(entries)
    assert "pose.pth" not in str(raised.value)


def test_official_weights_without_tensorflow_are_refused(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name == "tensorflow" else found(name),
    )
    with Says(
        "--quality good runs official weights in TensorFlow, which is not installed",
        do="`pip install 'keras-pose[train]'`, or `--quality fast`.",
    ).refuses(ImportError):
        quality.files_of_quality("good")


@pytest.mark.slow
def test_the_command_downloads_converts_and_draws(
    entries, server, tmp_path, monkeypatch, capsys
):
    import keras

    from keras_pose.weights import weight_files
    from keras_pose.weights.creation import create_model

    # The row of a tiny network, so that a made-up file stands for official weights.
    tiny = dataclasses.replace(
        entries[0], model="testing_pose", codec="dark", input_hw=(64, 64)
    )
    monkeypatch.setattr(quality, "pose_preset", lambda name: tiny)
    keras.utils.set_random_seed(0)
    monkeypatch.setattr(
        weight_files,
        "import_weights",
        lambda *_: create_model("testing_pose", 17, (64, 64)),
    )
    photo = tmp_path / "photo.png"
    Image.fromarray(np.full((90, 70, 3), 90, np.uint8)).save(photo)
    arguments = [str(photo), "--quality", "good", "--whole-image"]
    output = tmp_path / "out.png"

    command.main([*arguments, "--output", str(output)])

    printed = capsys.readouterr().out
    assert printed.index("download    testing_pose") < printed.index("Converting")
    assert "person 1" in printed
    assert output.exists()
    # Without boxes to find, no detector is fetched.
    assert [name for name, _ in server.requests] == ["pose.pth"]


def test_a_quality_with_weights_of_ones_own_is_refused(capsys):
    with pytest.raises(SystemExit):
        command.parse_args(["photo.jpg", "--quality", "good", "--weights", "my.tflite"])
    assert "not allowed with" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        command.parse_args(["photo.jpg", "--quality", "good", "--model", "hrnet_w32"])
    assert "--quality good names its networks" in capsys.readouterr().err


def test_every_row_of_the_catalogue_can_be_described():
    for entry in all_entries():
        assert "licence: " in presets.describe_download(entry)
