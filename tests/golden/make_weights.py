#!/usr/bin/env python3
"""Re-create the golden weights and inputs from a fixture's json.  Needs numpy only.

    from make_weights import load_spec, make_weights, make_input
    spec    = load_spec("hrnet_w32_256x192.json")
    weights = make_weights(spec)        # ordered dict: state-dict key -> ndarray
    x       = make_input(spec)          # float32, the layout named in the json

    python make_weights.py hrnet_w32_256x192.json [weights.npz]

Rule "crc32-normal-v1" (one generator per tensor, seeded by the tensor's name):

    rng = numpy.random.default_rng(zlib.crc32(key.encode("utf-8")))

    kind      value (float64 arithmetic, cast to float32 at the very end)
    --------  --------------------------------------------------------------
    conv      rng.standard_normal(shape) * sqrt(gain / prod(shape[1:]))
    linear    the same
    deconv    rng.standard_normal(shape) * sqrt(gain / (shape[0] * prod(shape[2:])))
              (a transposed convolution's weight is (in, out/groups, kh, kw))
    bias      0.1 * rng.standard_normal(shape)      conv and linear biases
    bn_weight 1 + 0.1 * rng.standard_normal(shape)
    bn_bias   0.1 * rng.standard_normal(shape)
    bn_mean   0.1 * rng.standard_normal(shape)
    bn_var    1 + 0.5 * rng.random(shape)
    prelu     0.25 + 0.05 * rng.standard_normal(shape)
    counter   int64 zeros (num_batches_tracked); no random number is drawn

then, for a tensor whose scale is not 1, the float64 value is multiplied by that
scale before the cast (this keeps deep residual nets from blowing up).

"gain" stands at the top of the json; every row of its "params" is
[key, shape, dtype, kind, scale].
"""

import json
import math
import sys
import zlib
from collections import OrderedDict

import numpy as np

RULE = "crc32-normal-v1"


def make_tensor(key, shape, kind, gain, scale=1.0):
    shape = tuple(int(n) for n in shape)
    if kind == "counter":
        return np.zeros(shape, np.int64)
    rng = np.random.default_rng(zlib.crc32(key.encode("utf-8")))
    if kind in ("conv", "linear"):
        value = rng.standard_normal(shape) * math.sqrt(gain / math.prod(shape[1:]))
    elif kind == "deconv":
        value = rng.standard_normal(shape) * math.sqrt(
            gain / (shape[0] * math.prod(shape[2:]))
        )
    elif kind in ("bias", "bn_bias", "bn_mean"):
        value = 0.1 * rng.standard_normal(shape)
    elif kind == "bn_weight":
        value = 1.0 + 0.1 * rng.standard_normal(shape)
    elif kind == "bn_var":
        value = 1.0 + 0.5 * rng.random(shape)
    elif kind == "prelu":
        value = 0.25 + 0.05 * rng.standard_normal(shape)
    else:
        raise ValueError("unknown kind %r of %r" % (kind, key))
    return np.asarray(scale * value, np.float32)


def load_spec(path):
    with open(path, encoding="utf-8") as f:
        spec = json.load(f)
    if spec["rule"] != RULE:
        raise ValueError("this file is for the rule %s, not %s" % (RULE, spec["rule"]))
    return spec


def make_weights(spec):
    return OrderedDict(
        (key, make_tensor(key, shape, kind, spec["gain"], scale))
        for key, shape, _dtype, kind, scale in spec["params"]
    )


def make_input(spec):
    """The input as the model takes it: drawn NCHW, then moved to the json's layout."""
    x = (
        np.random.default_rng(spec["input"]["seed"])
        .standard_normal(tuple(spec["input"]["nchw_shape"]))
        .astype(np.float32)
    )
    if spec["input"]["layout"] == "NHWC":
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    return x


def checksum(arrays):
    """Running crc32 over the little-endian float32 bytes, in order; integers are skipped."""
    crc = 0
    for a in arrays:
        if a.dtype.kind == "f":
            crc = zlib.crc32(np.ascontiguousarray(a, "<f4").tobytes(), crc)
    return crc


def sample_indices(output):
    """Flat (C-order) indices of the stored values of one output's entry."""
    n = math.prod(output["shape"])
    return np.arange(0, n, output["flat_step"])


if __name__ == "__main__":
    spec = load_spec(sys.argv[1])
    weights = make_weights(spec)
    print(
        spec["name"],
        len(weights),
        "tensors,",
        sum(w.size for w in weights.values()),
        "numbers",
        "weights ok"
        if checksum(weights.values()) == spec["weights_crc32"]
        else "WEIGHTS DIFFER: another numpy's random stream?",
        "input ok"
        if checksum([make_input(spec)]) == spec["input"]["crc32"]
        else "INPUT DIFFERS",
    )
    if len(sys.argv) > 2:
        np.savez(sys.argv[2], **weights)
