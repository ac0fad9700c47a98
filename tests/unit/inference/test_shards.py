"""Pictures labelled shard by shard: shares, rows, going on; and a real Ray."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from says import Says

from keras_pose import __main__ as command
from keras_pose.inference.shards import (
    EstimatorOptions,
    label_shard,
    make_shards,
    open_output,
    shard_path,
)
from keras_pose.pictures.structures import Poses
from keras_pose.shipped import DETECTOR, POSE, shipped_file
from keras_pose.skeleton import COCO_17

PEOPLE = Path(command.__file__).parent / "demo" / "pictures"


class Estimator:
    """Finds one person in every picture but a black one."""

    skeleton = COCO_17

    def __call__(self, image, image_id=None):
        poses = Poses(
            np.array([[0.0, 0.0, 8.0, 16.0]]),
            np.full((1, 17, 2), 4.0),
            np.full((1, 17), 0.5),
            np.array([0.75]),
            COCO_17,
        )
        return poses[np.array([image.any()])]


@pytest.fixture
def folder(tmp_path):
    """Four pictures, one of nobody and one that is none, in two folders."""
    pictures = tmp_path / "pictures"
    (pictures / "b").mkdir(parents=True)
    for name, value in (("a.png", 90), ("b/1.png", 0), ("b/2.png", 60)):
        Image.fromarray(np.full((20, 30, 3), value, np.uint8)).save(pictures / name)
    (pictures / "c.jpg").write_bytes(b"no picture")
    return pictures


def _rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_picture_has_its_row_and_a_bad_one_its_error(folder, tmp_path):
    (shard,) = make_shards(folder)
    path = shard_path(tmp_path, 0, "json")
    counts = label_shard(Estimator(), shard, path)
    assert counts == {"pictures": 4, "people": 2, "bad": 1}
    rows = _rows(path)
    assert [row["picture"] for row in rows] == ["a.png", "b/1.png", "b/2.png", "c.jpg"]
    assert [len(row["people"]) for row in rows] == [1, 0, 1, 0]
    assert (rows[0]["height"], rows[0]["width"], rows[0]["error"]) == (20, 30, None)
    person = rows[0]["people"][0]
    assert person["box_xywh"] == [0, 0, 8, 16]
    assert person["keypoints"][0] == {"name": "nose", "x": 4.0, "y": 4.0, "score": 0.5}
    assert len(person["keypoints"]) == 17
    assert "c.jpg" in rows[3]["error"]
    assert rows[3]["height"] is None


def test_work_goes_on_by_shard_and_other_work_is_refused(folder, tmp_path):
    output, facts = tmp_path / "out", EstimatorOptions().facts()
    all_shards = make_shards(folder, 3)
    assert [len(shard.names) for shard in all_shards] == [3, 1]
    assert open_output(output, all_shards, facts, "json") == all_shards
    label_shard(Estimator(), all_shards[0], shard_path(output, 0, "json"))
    assert open_output(output, all_shards, facts, "json") == all_shards[1:]
    with Says(
        "holds shards of other work, with another pictures",
        do="Choose another --output, or the options of before.",
    ).refuses():
        open_output(output, make_shards(folder, 2), facts, "json")
    other = dataclasses.replace(EstimatorOptions(), flip_test=True).facts()
    with pytest.raises(ValueError, match="with another flip_test"):
        open_output(output, all_shards, other, "json")
    # The usual models are files, too, and may be others tomorrow.
    named = EstimatorOptions(str(shipped_file(POSE)), str(shipped_file(DETECTOR)))
    assert named.facts() == facts
    swapped = EstimatorOptions(detector=str(shipped_file(POSE))).facts()
    with pytest.raises(ValueError, match="with another detector"):
        open_output(output, all_shards, swapped, "json")


def test_what_holds_no_pictures_is_refused(tmp_path, capsys):
    with Says(
        "There are no pictures in", do="Name a folder of pictures or of .parquet files."
    ).refuses():
        make_shards(tmp_path)
    with pytest.raises(SystemExit):
        command.main(["x", "--engine", "ray"])
    assert "takes one input and --output FOLDER" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        command.main(["x", "--engine", "ray", "--output", "y", "--heatmaps"])
    assert "draws nothing: leave heatmaps out" in capsys.readouterr().err


def test_without_ray_a_line_says_how_to_get_it(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with Says(
        "--engine ray needs the package ray", do="pip install 'keras-pose[ray]'"
    ).refuses():
        command.main([str(folder), "--engine", "ray", "--output", str(tmp_path / "out")])


@pytest.mark.very_slow
@pytest.mark.filterwarnings("ignore")  # of Ray's own
@pytest.mark.parametrize("file_format", ["json", "parquet"])
def test_ray_labels_goes_on_and_reads_tables(tmp_path, capsys, file_format):
    pytest.importorskip("ray", reason="Ray is not installed: pip install ray[data]")
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    pictures = sorted(PEOPLE.glob("*.jpg"))
    images = [{"bytes": each.read_bytes(), "path": each.name} for each in pictures]
    images.append({"bytes": b"no picture", "path": "broken.jpg"})
    source = tmp_path / "pictures.parquet"
    if file_format == "json":
        source = tmp_path / "pictures"
        source.mkdir()
        for image in images:
            (source / image["path"]).write_bytes(image["bytes"])
    else:
        parquet.write_table(pyarrow.table({"image": images}), source)
    output = tmp_path / "labels"
    args = [str(source), "--engine", "ray", "--output", str(output), "--shard-size", "2"]
    args += ["--format", file_format]

    assert command.main(args) is None

    said = capsys.readouterr().out
    assert "shards      2, of which 2 are left to do" in said
    assert f"done        {len(images)} pictures" in said
    assert "1 pictures that could not be read" in said
    written = shard_path(output, 1, file_format)
    before = written.read_bytes()
    if file_format == "json":
        rows = _rows(shard_path(output, 0, "json")) + _rows(written)
    else:
        tables = [parquet.read_table(shard_path(output, i, file_format)) for i in range(2)]
        rows = [row for table in tables for row in table.to_pylist()]
    assert len(rows) == len(images)
    (bad,) = [row for row in rows if row["error"]]
    assert bad["picture"] == "broken.jpg"
    assert all(len(row["people"]) for row in rows if not row["error"])
    written.unlink()
    assert command.main(args) is None
    assert "of which 1 are left" in capsys.readouterr().out
    assert written.read_bytes() == before
    shutil.rmtree(output)
