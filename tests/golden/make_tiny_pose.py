#!/usr/bin/env python3
"""Writes tiny_pose_128x96.json and .npz: what PaddleDetection's PP-TinyPose computes.

    pip install paddlepaddle==3.3.1; pip download --no-deps paddledet==2.6.0
    python make_tiny_pose.py paddledet-2.6.0-py3-none-any.whl

Runs the package's own `ppdet/modeling/backbones/lite_hrnet.py` ("wider_naive") and the
1x1 convolution of `TopDownHRNet`, with the seeded weights of `make_weights.py`. The file
is run by itself: what it imports of its package (a registry, a shuffle, a convolution
with other initial weights) stands here.
"""

import json
import re
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import paddle
from make_weights import RULE, make_input, make_weights, sample_indices
from paddle import nn

NAME, INPUT_HW, NUM_KEYPOINTS, FLAT_STEP = "tiny_pose_128x96", (128, 96), 17, 7
MEMBER = "ppdet/modeling/backbones/lite_hrnet.py"
KINDS = {"weight": "bn_weight", "_mean": "bn_mean", "_variance": "bn_var"}


def channel_shuffle(x, groups):
    """`channel_shuffle` of ppdet/modeling/ops.py."""
    batch, channels, height, width = x.shape
    x = x.reshape([batch, groups, channels // groups, height, width])
    return x.transpose([0, 2, 1, 3, 4]).reshape([batch, channels, height, width])


def conv2d(channels, filters, kernel_size, stride=1, padding=0, groups=1, bias=True):
    """`Conv2d` of ppdet/modeling/layers.py, but for its initial weights."""
    return nn.Conv2D(
        channels, filters, kernel_size, stride, padding, groups=groups,
        bias_attr=None if bias else False,
    )  # fmt: skip


def load_backbone(wheel):
    with zipfile.ZipFile(wheel) as archive:
        source = archive.read(MEMBER).decode()
    source = re.sub(r"from (ppdet|\.\.).*", "", source)
    space = {
        "register": lambda kind: kind,
        "channel_shuffle": channel_shuffle,
        "L": types.SimpleNamespace(Conv2d=conv2d),
    }
    exec(compile(source, MEMBER, "exec"), space)
    return space["LiteHRNet"]


class TopDownHRNet(nn.Layer):
    """The parts of ppdet/modeling/architectures/keypoint_hrnet.py that compute."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone
        self.final_conv = nn.Conv2D(40, NUM_KEYPOINTS, 1)

    def forward(self, image):
        return self.final_conv(self.backbone({"image": image})[0])


def describe(key, shape):
    """Returns the row of a tensor. Sums of all branches would grow without end: those
    kernels are made smaller."""
    if len(shape) == 4:
        return [key, shape, "float32", "conv", 0.5 if "fuse_layers" in key else 1.0]
    last = key.rpartition(".")[2]
    if last == "bias":
        return [key, shape, "float32", "bias" if "final" in key else "bn_bias", 1.0]
    return [key, shape, "float32", KINDS[last], 1.0]


def count_macs(network, image):
    """Counts at every call: a layer may be called twice."""
    total = 0

    def count(layer, _inputs, output):
        nonlocal total
        height, width = output.shape[2:]
        total += int(np.prod(layer.weight.shape)) * height * width

    hooks = [
        layer.register_forward_post_hook(count)
        for layer in network.sublayers()
        if isinstance(layer, nn.Conv2D)
    ]
    output = network(image)
    for hook in hooks:
        hook.remove()
    return total, output


def main():
    network = TopDownHRNet(
        load_backbone(sys.argv[1])("wider_naive", freeze_norm=False, return_idx=[0])
    )
    network.eval()
    state = network.state_dict()
    spec = {
        "name": NAME,
        "rule": RULE,
        "gain": 1.0,
        "source": {
            "repo": "PaddlePaddle/PaddleDetection",
            "commit": "package paddledet 2.6.0",
            "file": MEMBER,
            "how": "final_conv(backbone(x)) -> heatmaps",
        },
        "input": {"seed": 0, "nchw_shape": [1, 3, *INPUT_HW], "layout": "NCHW"},
        "params": [describe(key, list(tensor.shape)) for key, tensor in state.items()],
    }
    network.set_state_dict(make_weights(spec))
    macs, output = count_macs(network, paddle.to_tensor(make_input(spec)))
    output = output.numpy()
    entry = {"name": "heatmap", "shape": list(output.shape), "stored": "flat_stride"}
    entry |= {"flat_step": FLAT_STEP, "mean": float(output.mean())}
    entry |= {"std": float(output.std())}
    trained = [p.size for p in network.parameters() if not p.stop_gradient]
    spec |= {
        "outputs": [entry],
        "param_count": int(sum(trained)),
        "macs": {"total": macs, "input": [1, 3, *INPUT_HW]},
        "paddle": paddle.__version__,
    }
    folder = Path(__file__).parent
    rows = ",\n  ".join(json.dumps(row) for row in spec.pop("params"))
    text = json.dumps(spec, indent=1).removesuffix("\n}")
    (folder / f"{NAME}.json").write_text(f'{text},\n "params": [\n  {rows}\n ]\n}}\n')
    np.savez_compressed(
        folder / f"{NAME}.npz", heatmap=output.reshape(-1)[sample_indices(entry)]
    )
    print(f"{NAME}: std {entry['std']}, {spec['param_count']} parameters, {macs} MACs")


if __name__ == "__main__":
    main()
