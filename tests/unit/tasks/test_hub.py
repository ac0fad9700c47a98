"""Presets on hubs: by stand-ins for the clients, and by a real one and a local server."""

import importlib.util
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import keras
import numpy as np
import pytest
from hub_server import serving_hub
from says import Says

from keras_pose import PoseTask
from keras_pose.tasks import hub
from keras_pose.weights.creation import create_model

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def task():
    keras.utils.set_random_seed(0)
    return PoseTask(
        create_model("testing_pose", 17, (64, 64)),
        detector="whole image",
        facts={"licence": "Apache-2.0"},
    )


class FakeHub:
    """What `huggingface_hub` and `kagglehub` do, with a folder for a server."""

    def __init__(self, folder):
        self.folder, self.calls = folder, []

    def hf_hub_download(self, repo_id, filename, revision=None):
        self.calls.append(("get", repo_id, filename, revision))
        return str(self._there(repo_id) / filename)

    def snapshot_download(self, repo_id, revision=None, allow_patterns=None):
        self.calls.append(("snapshot", repo_id, tuple(allow_patterns)))
        return str(self._there(repo_id))

    def model_download(self, handle):
        self.calls.append(("get", handle))
        return str(self._there(handle))

    def model_upload(self, handle, local_model_dir, license_name, version_notes):
        self.calls.append(("put", handle, license_name, version_notes))
        self._put(handle, local_model_dir)

    def create_repo(self, repo_id, exist_ok):
        assert exist_ok
        self.calls.append(("create", repo_id))

    def upload_folder(self, repo_id, folder_path, allow_patterns, commit_message):
        self.calls.append(("put", repo_id, commit_message))
        self._put(repo_id, folder_path)

    def _put(self, name, folder):
        target = self.folder / name
        target.mkdir(parents=True)
        for path in Path(folder).iterdir():
            (target / path.name).write_bytes(path.read_bytes())

    def _there(self, name):
        if not (self.folder / name).is_dir():
            raise RuntimeError(f"401: no such repository {name}")
        return self.folder / name


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Puts a stand-in in the place of both clients."""
    fake = FakeHub(tmp_path / "hub")
    for name in ("huggingface_hub", "kagglehub"):
        module = types.ModuleType(name)
        for each in ("hf_hub_download", "snapshot_download", "model_download"):
            setattr(module, each, getattr(fake, each))
        module.model_upload, module.HfApi = fake.model_upload, lambda: fake
        monkeypatch.setitem(sys.modules, name, module)
    return fake


@pytest.mark.parametrize("address", ["hf://me/pose", "kaggle://me/pose/keras/tiny"])
def test_a_preset_goes_to_a_hub_and_comes_back(task, fake, address):
    assert task.upload_preset(address, "first") == address
    back = PoseTask.from_preset(address, detector="whole image")

    photo = np.random.default_rng(0).integers(0, 256, (80, 60, 3), np.uint8)
    np.testing.assert_array_equal(
        task.predict(photo).keypoints_xy, back.predict(photo).keypoints_xy
    )
    put = next(call for call in fake.calls if call[0] == "put")
    assert put[-1] == "first"
    if address.startswith("kaggle"):
        assert put[2] == "Apache 2.0"


def test_a_revision_is_asked_for(task, fake):
    task.upload_preset("hf://me/pose")
    PoseTask.from_preset("hf://me/pose@v1.0")
    assert ("get", "me/pose", "config.json", "v1.0") in fake.calls


def test_nothing_but_the_files_of_a_preset_is_fetched(task, fake):
    task.upload_preset("hf://me/pose")
    PoseTask.from_preset("hf://me/pose")
    (patterns,) = (call[2] for call in fake.calls if call[0] == "snapshot")
    assert "config.json" in patterns
    assert not [pattern for pattern in patterns if "*" in pattern or "py" in pattern]


@pytest.mark.parametrize("address", ["hf://me/none", "kaggle://me/none/keras/x"])
def test_the_reason_of_the_hub_is_told(fake, address):
    with Says(
        "The preset ... could not be downloaded. ... no such repository",
        do="Look at the name, at your token, and whether the hub can be reached.",
    ).refuses(hub.HubError):
        PoseTask.from_preset(address)


@pytest.mark.parametrize("address", ["hf://me/pose@main", "kaggle://me/pose/keras/tiny/3"])
def test_uploads_number_themselves(task, fake, address):
    with pytest.raises(ValueError, match="The hub numbers uploads itself"):
        task.upload_preset(address)
    assert not fake.calls


@pytest.mark.parametrize(
    "address",
    ["hf://pose", "hf://me/../pose", "hf://me/a/b", "kaggle://me/pose", "s3://me/pose"],
)
def test_addresses_of_another_form_are_refused(task, address):
    for use in (PoseTask.from_preset, task.upload_preset):
        with pytest.raises(ValueError, match=r"address"):
            use(address)


@pytest.mark.parametrize(
    ("address", "package"),
    [("hf://me/pose", "huggingface_hub"), ("kaggle://me/pose/keras/x", "kagglehub")],
)
def test_a_missing_client_says_how_to_get_it(task, monkeypatch, address, package):
    monkeypatch.delitem(sys.modules, package, raising=False)
    monkeypatch.setattr(sys, "meta_path", [Absent(package), *sys.meta_path])
    for use in (PoseTask.from_preset, task.upload_preset):
        with Says(
            "which is not installed: pip install keras_pose[hub]",
            do="`pip install keras_pose[hub]`",
        ).refuses(ImportError) as raised:
            use(address)
        assert package in str(raised.value)


class Absent:
    """Makes a package look as if it were not installed."""

    def __init__(self, package):
        self._package = package

    def find_spec(self, name, path=None, target=None):
        if name == self._package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


# In a process of its own: the client reads HF_ENDPOINT when it is imported.
REAL = """
import sys, json
from pathlib import Path
from keras_pose.tasks import hub
folder, action, address = sys.argv[1:]
where = hub.parse_address(address)
try:
    if action == "upload":
        hub.upload(where, Path(folder), "first")
    else:
        print(json.dumps(str(hub.download(where))))
except hub.HubError as error:
    print("HubError", error)
"""


def ask(server, tmp_path, *arguments):
    variables = {
        "HF_ENDPOINT": server.url,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_TOKEN": "hf_local",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "PYTHONPATH": str(ROOT),
    }
    result = subprocess.run(
        [sys.executable, "-c", REAL, *map(str, arguments)],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip().splitlines()[-1:]


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("huggingface_hub") is None,
    reason="huggingface_hub is not installed (pip install keras_pose[hub])",
)
def test_the_real_client_of_hugging_face_and_a_local_server(task, tmp_path):
    saved = task.save_to_preset(tmp_path / "preset")
    (saved / "notes.py").write_text("no part of a preset")
    with serving_hub() as server:
        ask(server, tmp_path, saved, "upload", "hf://me/pose")
        there = server.repositories["me/pose"]
        assert sorted(there) == sorted(
            path.name for path in saved.iterdir() if path.name != "notes.py"
        )
        there["evil.py"] = b"is not fetched"
        (answer,) = ask(server, tmp_path, saved, "download", "hf://me/pose")
        folder = Path(json.loads(answer))
        assert not (folder / "evil.py").exists()
        back = PoseTask.from_preset(folder, detector="whole image")
        for ours, theirs in zip(
            task.network.get_weights(), back.network.get_weights(), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)
        (answer,) = ask(server, tmp_path, saved, "download", "hf://me/none")
        assert answer.startswith("HubError The preset hf://me/none could not be")
        del there["config.json"]
        server.commit += 1
        (answer,) = ask(server, tmp_path, saved, "download", "hf://me/pose")
        assert "It has no config.json, so it is no preset." in answer
