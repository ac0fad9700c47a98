"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest
from hypothesis import settings
from shared_work import shared_folder

pytest_plugins = ["kinds"]

ROOT = Path(__file__).resolve().parents[1]
# Data that may not lie in the project: beside the checkout, or where this says.
SHARED = Path(os.environ.get("KERAS_POSE_SHARED", ROOT.parent / "shared"))

# Quiet and the same on every machine; set before any test imports TensorFlow.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

# Examples of each test of Hypothesis; `.ci/run` takes HYPOTHESIS_PROFILE=thorough.
settings.register_profile("quick", max_examples=100, deadline=None)
settings.register_profile("thorough", max_examples=1000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def pytest_addoption(parser):
    parser.addoption(
        "--record-replays",
        action="store_true",
        help="write down which parity pack the apps' cores replayed, docs/parity_pack.md",
    )


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Keeps converted pictures out of the cache of who runs the tests."""
    given = os.environ.get("KERAS_POSE_HOME")
    if given is None:
        os.environ["KERAS_POSE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if given is None:
        del os.environ["KERAS_POSE_HOME"]


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    """Stored outputs of the reference implementations; see their README."""
    return ROOT / "tests" / "golden"


@pytest.fixture(scope="session")
def shared_data_dir() -> Path:
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"real data is absent: no folder {folder} (set KERAS_POSE_SHARED)")
    return folder


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """A tiny network in every file format; converting takes seconds, so once only."""
    from exported_files import export_all

    with shared_folder(tmp_path_factory, "exported") as (folder, is_new):
        return export_all(folder, is_new)
