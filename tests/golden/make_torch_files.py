"""Writes torch_zip.pth and torch_legacy.pth, and torch_tensors.npz with their tensors.

python tests/golden/make_torch_files.py        (wants PyTorch; the tests do not)
"""

from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).resolve().parent


def make_state_dict():
    """A small network's state, and tensors that lie oddly in their storages."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    state = network.state_dict()
    row = torch.arange(24, dtype=torch.float32)
    state["shared.upper"] = row[12:].reshape(3, 4)
    state["shared.transposed"] = row.reshape(4, 6).t()
    state["half"] = torch.linspace(-2, 2, 5).half()
    state["bfloat16"] = torch.linspace(-2, 2, 5).bfloat16()
    state["double"] = torch.linspace(-2, 2, 5).double()
    state["bool"] = torch.tensor([True, False])
    state["scalar"] = torch.tensor(7)
    state["empty"] = torch.zeros(0, 3)
    state["parameter"] = torch.nn.Parameter(torch.ones(2))
    return state


def main():
    state = make_state_dict()
    wrapped = {"epoch": 3, "best": 0.5, "arch": "tiny", "state_dict": state}
    torch.save(state, HERE / "torch_zip.pth")
    torch.save(wrapped, HERE / "torch_legacy.pth", _use_new_zipfile_serialization=False)
    arrays = {name: tensor.detach().double().numpy() for name, tensor in state.items()}
    np.savez_compressed(HERE / "torch_tensors.npz", **arrays)


if __name__ == "__main__":
    main()
