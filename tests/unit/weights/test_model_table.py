"""The table of models shows what the zoo, the catalogue and the measurements say."""

import json
import subprocess
import sys

import pytest

from keras_pose.__main__ import main
from keras_pose.weights import model_table
from keras_pose.weights.model_table import (
    COLUMNS,
    as_markdown,
    read_sizes,
    table_rows,
    update_readme,
    write_size,
)
from keras_pose.zoo import ZOO, get_spec


@pytest.fixture
def sizes_path(tmp_path, monkeypatch):
    monkeypatch.setattr(model_table, "SIZES_PATH", tmp_path / "sizes.json")
    return tmp_path / "sizes.json"


def cells_of(name):
    row = next(row for row in table_rows() if row.cells[0] == name)
    return dict(zip(COLUMNS, row.cells, strict=True)), row.source


def test_every_network_has_its_row():
    assert [row.cells[0] for row in table_rows()] == list(ZOO)


def test_row_of_a_network_with_official_weights(sizes_path):
    write_size(get_spec("hrnet_w32"), 57_100_000)
    cells, source = cells_of("hrnet_w32")

    assert cells["input"] == "256x192"
    assert cells["parameters"] == "28.54 M"
    assert cells["GMACs"] == "7.65"
    assert cells["float16 .tflite"] == "57.1 MB"
    assert cells["weights"].startswith("coco, mpii, imagenet +")
    assert cells["reported"] == "AP 74.9 (coco)"
    assert "COCO val2017" in cells["protocol"]
    assert "flip test" in cells["protocol"]
    assert source.startswith("open-mmlab/mmpose")


def test_nothing_is_reported_of_our_own_networks():
    cells, source = cells_of("pose_slim")
    assert (cells["weights"], cells["reported"], cells["protocol"]) == ("-", "-", "-")
    assert source == ""


def test_sizes_of_changed_networks_are_not_shown(sizes_path):
    spec = get_spec("pose_slim")
    write_size(spec, 3_700_000)
    assert read_sizes() == {"pose_slim": 3_700_000}
    sizes_path.write_text(
        json.dumps({"pose_slim": {"bytes": 3_700_000, "params": spec.params + 1}})
    )
    assert read_sizes() == {}


def test_stored_sizes_are_those_of_half_precision_weights():
    for name, size in read_sizes().items():
        # Two bytes a weight and running statistics folded in; the graph is small.
        assert 0.9 < size / (2 * ZOO[name].params) < 1.6, name


def test_readme_is_updated_between_its_markers(tmp_path):
    path = tmp_path / "README.md"
    path.write_text("before\n<!-- zoo -->\nold\n<!-- /zoo -->\nafter\n")
    update_readme(path)
    text = path.read_text()
    assert text.startswith("before\n<!-- zoo -->\n| model |")
    assert text.endswith("<!-- /zoo -->\nafter\n")
    assert as_markdown(table_rows()) in text
    update_readme(path)
    assert path.read_text() == text


def test_readme_without_markers_is_left_alone(tmp_path):
    path = tmp_path / "README.md"
    path.write_text("nothing here\n")
    with pytest.raises(ValueError, match="must have the markers"):
        update_readme(path)
    assert path.read_text() == "nothing here\n"


def test_command_lists_the_networks_of_a_task(capsys):
    main(["models", "--task", "top_down"])
    shown = capsys.readouterr().out
    assert "hrnet_w32" in shown
    assert "classification" not in shown


def test_unknown_task_is_told():
    with pytest.raises(SystemExit, match="Tasks: top_down, bottom_up"):
        main(["models", "--task", "segmentaton"])


def test_listing_needs_no_framework():
    code = (
        "import sys, runpy\n"
        "for name in ('tensorflow', 'keras'):\n    sys.modules[name] = None\n"
        "sys.argv = ['keras_pose', 'models', '--markdown']\n"
        "runpy.run_module('keras_pose', run_name='__main__')"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "| `hrnet_w32` | hrnet |" in result.stdout
