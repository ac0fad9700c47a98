#!/usr/bin/env python3
"""Writes the goldens of RTMO from mmpose's own code, on a machine without its operators.

    pip install torch==2.13.0 numpy opencv-python-headless mmcv-lite==2.2.0 mmengine==0.10.7
    pip download --no-deps mmpose==1.3.2 mmdet==3.3.0 && unzip -d mm mm{pose,det}-*.whl
    python tests/golden/make_rtmo.py mm

The weights are those of `make_weights.py`. Besides the maps of the head, there are the
people that `RTMOHead.predict` makes of them.
"""

import importlib.machinery
import json
import math
import sys
import types
from pathlib import Path

import make_weights as golden
import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

FOLDER = Path(__file__).resolve().parent
CASES = (("s", (320, 256)), ("t", (192, 224)))
# Not in mmcv-lite, or not wanted: imported by the package, used by none of these networks.
ABSENT = ("mmcv.ops", "torchvision", "xtcocotools", "munkres", "json_tricks")
NORM_KINDS = {
    "weight": "bn_weight",
    "bias": "bn_bias",
    "running_mean": "bn_mean",
    "running_var": "bn_var",
    "num_batches_tracked": "counter",
}
# So that bins share. Batch norms are scaled so that signals reach the outputs.
SCALES = {
    "x_fc": 0.3,
    "y_fc": 0.3,
    "gau.gamma": 0.3,
    "gau.o": 0.5,
    "pos_enc": 3.0,
}
IOU_THRESHOLD = 0.1
# Cells above the threshold of scores: fewer than our networks keep.
NUM_CELLS = 120


class Stub(types.ModuleType):
    """A module in which every name is a class that does nothing."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {"__init__": lambda self, *_, **__: None})


class Stubs:
    """Finds the modules of `ABSENT`."""

    def find_spec(self, name, path=None, target=None):
        if any(name == each or name.startswith(f"{each}.") for each in ABSENT):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        module = Stub(spec.name)
        module.__path__ = []
        return module

    def exec_module(self, module):
        pass


def build(root, size):
    """Builds the network of a configuration; returns it, and the configuration's path."""
    sys.path.insert(0, str(root))
    sys.meta_path.insert(0, Stubs())
    mmcv.__version__ = "2.1.0"  # the newest that mmdet 3.3.0 knows; lite has no other
    import mmpose.models  # noqa: F401
    from mmpose.registry import MODELS

    init_default_scope("mmpose")
    configs = root / "mmpose/.mim"
    (path,) = configs.glob(f"configs/body_2d_keypoint/rtmo/body7/rtmo-{size}_*.py")
    text = path.read_text().replace("'configs/_base_", f"'{configs}/configs/_base_")
    text = "\n".join(x for x in text.splitlines() if not x.startswith("_base_"))
    model = Config.fromstring(text, ".py").model
    for part in (model, model.backbone):
        part.pop("init_cfg")
    model.pop("data_preprocessor")
    return MODELS.build(model).eval(), path.relative_to(configs)


def kind_of(name):
    """Returns the kind of a tensor, as `make_weights.py` knows it, by its name."""
    module, _, leaf = name.rpartition(".")
    is_norm = module.endswith((".bn", "pose_to_kpts.1", "norms.0", "norms.1"))
    if is_norm or leaf == "num_batches_tracked":
        return NORM_KINDS[leaf]
    if leaf in ("g", "scale", "gamma"):
        return "bn_weight"
    if leaf == "beta":
        return "bn_bias"
    if leaf in ("bias", "in_proj_bias", "pos_enc"):
        return "bias"
    is_dense = "dcc." in name or "encoder." in name
    return "linear" if is_dense else "conv"


def scale_of(name):
    return next((scale for part, scale in SCALES.items() if part in name), 1.0)


def with_scaled_norms(spec, network, image):
    """Returns the description with scales by which all batch norms give 1 deviation."""
    scales = {}
    names = {module: name for name, module in network.named_modules()}

    def scale(module, inputs, output):
        factor = round(1 / float(output.std()), 3)
        scales[f"{names[module]}.weight"] = factor
        module.weight.data *= factor
        return module.forward(*inputs)

    hooks = [
        module.register_forward_hook(scale)
        for module in network.modules()
        if isinstance(module, torch.nn.BatchNorm2d)
    ]
    load(network, spec)
    maps_of(network, image)
    for hook in hooks:
        hook.remove()
    rows = [[*row[:4], scales.get(row[0], row[4])] for row in spec["params"]]
    return spec | {"params": rows}


def load(network, spec):
    """Fills a network with a description's weights; returns these."""
    weights = golden.make_weights(spec)
    tensors = {name: torch.from_numpy(np.array(w)) for name, w in weights.items()}
    network.load_state_dict(tensors, strict=False)
    return weights


def count_macs(network, image):
    """Returns multiply-accumulates of all but the classifier of coordinates."""
    total = 0

    def count(module, inputs, output):
        nonlocal total
        if isinstance(module, torch.nn.MultiheadAttention):
            tokens, _, channels = output[0].shape  # mmcv puts the batch second
            total += 4 * tokens * channels**2 + 2 * tokens**2 * channels
        elif isinstance(module, torch.nn.Conv2d):
            total += math.prod(output.shape[2:]) * module.weight.numel()
        else:
            total += math.prod(output.shape[1:-1]) * module.weight.numel()

    kinds = torch.nn.Conv2d | torch.nn.Linear | torch.nn.MultiheadAttention
    hooks = [
        module.register_forward_hook(count)
        for module in network.modules()
        if isinstance(module, kinds)
    ]
    with torch.no_grad():
        network.head.forward(network.extract_feat(image))
    for hook in hooks:
        hook.remove()
    return total


def write(root, size, input_hw):
    network, path = build(root, size)
    buffers = dict(network.named_buffers())
    state = {
        name: tensor
        for name, tensor in network.state_dict().items()
        if name not in buffers or name.rpartition(".")[2] in NORM_KINDS
    }
    spec = {
        "name": f"rtmo_{size}_{input_hw[0]}x{input_hw[1]}",
        "rule": golden.RULE,
        "gain": 2.0,
        "source": {
            "repo": "open-mmlab/mmpose",
            "commit": "1.3.2 (PyPI)",
            "file": str(path),
            "how": "head(extract_feat(x)), and head.predict; data_preprocessor left out",
        },
        "input": {
            "seed": 0,
            "nchw_shape": [1, 3, *input_hw],
            "layout": "NCHW",
            "rule": "default_rng(seed).standard_normal(nchw_shape).astype(float32)",
        },
        "buffers": {
            name: list(tensor.shape)
            for name, tensor in buffers.items()
            if name not in state
        },
        "param_count": sum(p.numel() for p in network.parameters()),
        "torch": torch.__version__,
        "params": [
            [
                *(name, list(t.shape), str(t.dtype).removeprefix("torch.")),
                *(kind_of(name), scale_of(name)),
            ]
            for name, t in state.items()
        ],
    }
    image = torch.from_numpy(golden.make_input(spec))
    other = torch.from_numpy(
        golden.make_input(spec | {"input": spec["input"] | {"seed": 1}})
    )
    spec = with_scaled_norms(spec, network, image)
    weights = load(network, spec)
    spec["weights_crc32"] = golden.checksum(weights.values())
    spec["input"]["crc32"] = golden.checksum([golden.make_input(spec)])
    spec["macs"] = {"total": count_macs(network, image)}
    outputs, arrays = [], {}
    maps, seen_otherwise = maps_of(network, image), maps_of(network, other)
    exact = maps_of(network.double(), image.double())
    network.float()
    for name, values in maps.items():
        step = 1 if values.size < 20_000 else 41
        arrays[name] = values.reshape(-1)[::step]
        outputs.append(
            {
                "name": name,
                "shape": list(values.shape),
                "stored": "full" if step == 1 else "flat_stride",
                "flat_step": step,
                "mean": float(values.mean()),
                "std": float(values.std()),
                "min": float(values.min()),
                "max": float(values.max()),
                "input_sensitivity": float(
                    (values - seen_otherwise[name]).std() / values.std()
                ),
                "fp32_vs_fp64_max_abs": float(np.abs(values - exact[name]).max()),
            }
        )
    spec["outputs"] = outputs
    spec["post"] = {"score_threshold": threshold_of(maps), "iou_threshold": IOU_THRESHOLD}
    arrays |= people_of(network, image, spec["post"])
    spec["people"] = {name: list(arrays[f"people_{name}"].shape) for name in PEOPLE}
    (FOLDER / f"{spec['name']}.json").write_text(json.dumps(spec) + "\n")
    np.savez_compressed(FOLDER / f"{spec['name']}.npz", **arrays)
    for entry in outputs:
        print(entry["name"], entry["shape"], entry["std"], entry["input_sensitivity"],
              entry["fp32_vs_fp64_max_abs"])  # fmt: skip
    print(spec["people"], spec["macs"], spec["post"])


def maps_of(network, image):
    """Returns the maps of the head by name, level after level."""
    with torch.no_grad():
        kinds = network.head.forward(network.extract_feat(image))
    names = ("score", "box", None, "visibility", "pose")
    return {
        f"{name}_{stride}": values.numpy()
        for level, stride in enumerate(network.head.featmap_strides)
        for name, values in zip(
            names, (x[level] if x else None for x in kinds), strict=True
        )
        if name is not None
    }


PEOPLE = {
    "scores": "scores",
    "boxes": "bboxes",
    "keypoints": "keypoints",
    "visibility": "keypoint_scores",
}


def threshold_of(maps):
    """Returns a score that `NUM_CELLS` cells exceed, half way to the next."""
    logits = np.concatenate([maps[f"score_{stride}"].ravel() for stride in (16, 32)])
    low, high = np.sort(1 / (1 + np.exp(-logits)))[::-1][[NUM_CELLS, NUM_CELLS - 1]]
    return float(low + high) / 2


def people_of(network, image, post):
    """Returns what the reference makes of the maps: input pixels."""
    height, width = image.shape[2:]
    sample = types.SimpleNamespace(metainfo={"input_size": (width, height)})
    settings = {"score_thr": post["score_threshold"], "nms_thr": post["iou_threshold"]}
    with torch.no_grad():
        (found,) = network.head.predict(network.extract_feat(image), [sample], settings)
    return {f"people_{ours}": found[theirs] for ours, theirs in PEOPLE.items()}


if __name__ == "__main__":
    for each in CASES:
        write(Path(sys.argv[1]).resolve(), *each)
