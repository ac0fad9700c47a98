import os

import pytest

from keras_pose.commandline.quiet import quiet_stderr


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
