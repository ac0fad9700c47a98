"""What the tests themselves stand on: shared work, and kinds that the docs explain."""

import re
from pathlib import Path

import pytest
from kinds import KINDS, kind_of
from shared_work import shared_folder

ROOT = Path(__file__).resolve().parents[2]


def test_work_is_done_once(tmp_path_factory):
    with shared_folder(tmp_path_factory, "once") as (folder, is_new):
        assert is_new
        (folder / "result").touch()
    with shared_folder(tmp_path_factory, "once") as (again, is_new):
        assert not is_new
        assert (again / "result").exists()


def test_work_that_failed_is_done_again(tmp_path_factory):
    with (
        pytest.raises(ValueError, match="half way"),
        shared_folder(tmp_path_factory, "failed"),
    ):
        raise ValueError("half way")
    with shared_folder(tmp_path_factory, "failed") as (_, is_new):
        assert is_new


def test_every_kind_of_test_is_explained():
    text = (ROOT / "docs" / "testing.md").read_text()
    explained = re.findall(r"^\| (\w+) \|", text, re.MULTILINE)
    assert sorted(explained) == sorted(["kind", *(kind for kind, _ in KINDS)])


@pytest.mark.parametrize(
    ("nodeid", "kind"),
    [
        ("tests/mobile/test_arm.py::test_what_is_emulated_is_arm", "apps"),
        ("tests/unit/trainer/test_fit.py::test_an_interrupted_run_resumed", "kill"),
        ("tests/unit/trainer/test_fit.py::test_a_run_leaves_all_its_files", "training"),
        ("tests/unit/models/test_zoo_models.py::test_model[hrnet_w32]", "zoo"),
        ("tests/unit/test_boxes.py::test_boxes", "unit"),
    ],
)
def test_tests_are_of_a_kind(nodeid, kind):
    assert kind_of(nodeid) == kind
