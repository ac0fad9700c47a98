import importlib.util

import pytest

from training import benchmark_step


def test_pytorch_is_missed_before_anything_is_built(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="PyTorch is not installed: pip install torch"):
        benchmark_step.main(["--variants", "all (ours)", "PyTorch, channels_last"])
