import os
import subprocess
import sys
from pathlib import Path

import pytest

from keras_pose.commandline.quiet import quiet_stderr

ROOT = Path(__file__).resolve().parents[3]


def test_stderr_is_withheld_also_below_python(capfd):
    with quiet_stderr():
        os.write(2, b"spam")
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"


def test_stderr_is_shown_when_the_block_fails(capfd):
    @quiet_stderr()
    def fail():
        os.write(2, b"a clue")
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    assert "a clue" in capfd.readouterr().err


def test_programs_start_tensorflow_without_its_lines(tmp_path):
    """What it prints while it starts comes before any setting of its log is read."""
    program = tmp_path / "program.py"
    program.write_text(
        "from keras_pose.commandline import plain_errors\n"
        "with plain_errors():\n"
        "    import keras\n"
        "    import tensorflow\n"
        "    tensorflow.config.list_physical_devices()\n"
    )
    own = {"TF_CPP_MIN_LOG_LEVEL", "KERAS_BACKEND"}
    environment = {k: v for k, v in os.environ.items() if k not in own}
    done = subprocess.run(
        [sys.executable, program],
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
