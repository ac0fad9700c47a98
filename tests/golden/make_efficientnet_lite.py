#!/usr/bin/env python3
"""Writes the goldens of EfficientNet-Lite from the PyTorch port's own code.

    pip install torch==2.13.0 numpy efficientnet-lite-pytorch==0.1.0
    python tests/golden/make_efficientnet_lite.py

The weights are those of `make_weights.py`. Lite2 sees an input whose sides are odd after
some strides, where TensorFlow's padding differs from that of most PyTorch networks.
"""

import json
import math
from pathlib import Path

import make_weights as golden
import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet

FOLDER = Path(__file__).resolve().parent
CASES = (("efficientnet_lite0", (224, 224)), ("efficientnet_lite2", (100, 76)))
NORM_KINDS = {
    "weight": "bn_weight",
    "bias": "bn_bias",
    "running_mean": "bn_mean",
    "running_var": "bn_var",
    "num_batches_tracked": "counter",
}


def kind_of(name):
    """Returns the kind of a tensor, as `make_weights.py` knows it, by its name."""
    module, _, leaf = name.rpartition(".")
    if "_bn" in module:
        return NORM_KINDS[leaf]
    if leaf == "bias":
        return "bias"
    return "linear" if module == "_fc" else "conv"


def count_macs(network, image):
    """Returns the multiply-accumulates of convolutions and dense layers for one image."""
    total = 0

    def count(module, _, output):
        nonlocal total
        places = math.prod(output.shape[2:])
        total += places * module.weight.numel()

    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            module.register_forward_hook(count)
    network(image)
    return total


def write(name, input_hw):
    network = EfficientNet.from_name(name.replace("_", "-"), image_size=list(input_hw))
    state = network.state_dict()
    spec = {
        "name": f"{name}_{input_hw[0]}x{input_hw[1]}",
        "rule": golden.RULE,
        "gain": 2.0,
        "source": {
            "repo": "efficientnet-lite-pytorch (PyPI)",
            "commit": "0.1.0",
            "file": "efficientnet_lite_pytorch/model.py",
            "how": f"EfficientNet.from_name('{name.replace('_', '-')}')",
        },
        "input": {
            "seed": 0,
            "nchw_shape": [1, 3, *input_hw],
            "layout": "NCHW",
            "rule": "default_rng(seed).standard_normal(nchw_shape).astype(float32)",
        },
        "params": [
            [key, list(t.shape), str(t.dtype).removeprefix("torch."), kind_of(key), 1.0]
            for key, t in state.items()
        ],
        "param_count": sum(p.numel() for p in network.parameters()),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }
    weights = golden.make_weights(spec)
    spec["weights_crc32"] = golden.checksum(weights.values())
    network.load_state_dict({key: torch.from_numpy(w) for key, w in weights.items()})
    network.eval()
    image = golden.make_input(spec)
    spec["input"]["crc32"] = golden.checksum([image])
    with torch.no_grad():
        logits = network(torch.from_numpy(image)).numpy()
        spec["macs"] = {"total": count_macs(network, torch.from_numpy(image))}
    spec["outputs"] = [
        {
            "name": "logits",
            "shape": list(logits.shape),
            "stored": "full",
            "flat_step": 1,
            "mean": float(logits.mean()),
            "std": float(logits.std()),
        }
    ]
    path = FOLDER / spec["name"]
    path.with_suffix(".json").write_text(json.dumps(spec) + "\n", encoding="utf-8")
    np.savez_compressed(path.with_suffix(".npz"), logits=logits)
    print(spec["name"], spec["param_count"], spec["macs"], logits.std())


if __name__ == "__main__":
    for case in CASES:
        write(*case)
