"""States of a run on disk: what is found after an end at a bad moment."""

import keras
import numpy as np
import pytest

from keras_pose.files.runs import BEFORE_LAST_NAME, LAST_NAME, read_progress
from keras_pose.trainer.run_state import (
    NETWORK_CONTRACT_NAME,
    Progress,
    find_state,
    forget_rows_from,
    save_state,
)


class _Contract:
    def to_dict(self):
        return {"model": "tiny"}


def _save(run_dir, value, progress):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.full((1, 1), value)])
    save_state(model, run_dir, _Contract(), progress, "val_pck", NETWORK_CONTRACT_NAME)


def _kernel(state):
    return float(keras.models.load_model(state.path).get_weights()[0][0, 0])


@pytest.fixture
def run_dir(tmp_path):
    _save(tmp_path, 1.0, Progress(1, 0, 0.25))
    _save(tmp_path, 2.0, Progress(1, 7, 0.25, (0.1, [1.5, 2.0])))
    return tmp_path


def test_the_newest_state_is_found_with_all_it_says(run_dir):
    state = find_state(run_dir, "val_pck")
    assert _kernel(state) == 2.0
    assert state.progress == Progress(1, 7, 0.25, [0.1, [1.5, 2.0]])
    assert state.network_contract()["model"] == "tiny"
    progress = read_progress(run_dir)
    assert progress == {"epochs_done": 1, "best_val_pck": 0.25, "steps_done": 7}


@pytest.mark.parametrize("fault", ["cut short", "changed", "gone"])
def test_a_damaged_newest_falls_back_to_the_one_before(run_dir, fault):
    last = run_dir / LAST_NAME
    content = bytearray(last.read_bytes())
    if fault == "gone":  # between the two renamings
        last.unlink()
        assert _kernel(find_state(run_dir, "val_pck")) == 1.0
        return
    if fault == "changed":
        content[len(content) // 2] ^= 255
    else:
        content = content[:-40]
    last.write_bytes(content)
    with pytest.warns(UserWarning, match=r"last.keras is damaged .*before_last.keras"):
        state = find_state(run_dir, "val_pck")
    assert _kernel(state) == 1.0
    assert state.progress == Progress(1, 0, 0.25, [])


def test_when_all_are_damaged_the_run_says_so(run_dir):
    for name in (LAST_NAME, BEFORE_LAST_NAME):
        (run_dir / name).write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"last.keras is damaged .*before_last.keras is"):
        find_state(run_dir, "val_pck")


def test_a_new_run_has_no_state(tmp_path):
    assert find_state(tmp_path, "val_pck") is None


def test_rows_that_will_be_written_again_are_forgotten(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("epoch,loss\n0,0.5\n1,0.4\n")
    forget_rows_from(tmp_path, 1)
    assert log.read_text().split() == ["epoch,loss", "0,0.5"]
    forget_rows_from(tmp_path, 1)
    assert log.read_text().split() == ["epoch,loss", "0,0.5"]
