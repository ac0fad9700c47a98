"""HRNet trained as PyTorch trains it: equal weights and batches, 30 steps of Adam.

PyTorch runs the graph of the Keras network, layer by layer, with its own convolutions,
batch norms, gradients and optimizer (trainer/torch_twin.py).
"""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from keras_pose.models.layers import BATCH_NORM_MOMENTUM  # noqa: E402
from keras_pose.trainer.torch_twin import Twin  # noqa: E402
from keras_pose.zoo import build_model  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
# A rate at which 30 steps do not multiply rounding beyond the bounds: at 1e-4 losses were
# 3e-3 apart at most, at 1e-3 2e-2, without a trend.
STEPS, BATCH, INPUT_HW, RATE = 30, 8, (64, 64), 2e-5
torch.set_num_threads(1)  # threads that wait for each other would burn a busy machine
torch.set_flush_denormal(True)  # as TensorFlow does

BATCH_PARTS = ("images", "targets", "weights")

# Devices are set once a process, so each run of Keras has its own.
KERAS_RUN = """
import json, sys
from pathlib import Path
import keras
import numpy as np
from keras_pose.codecs import CODECS
from keras_pose.data.pipeline import training_dataset
from keras_pose.data.sources import synthetic_source
from keras_pose.data.transforms import NO_AUGMENTATION
from keras_pose.pictures.normalization import IMAGENET
from keras_pose.trainer.devices import make_strategy
from keras_pose.trainer.preparation import synchronize_batch_norm
from keras_pose.trainer.fused_norms import fuse_norms
from keras_pose.trainer.optimization import make_loss, make_optimizer
from keras_pose.trainer.recipes import get_recipe
from keras_pose.zoo import build_model

folder, settings = Path(sys.argv[1]), json.loads(sys.argv[2])
strategy = make_strategy(settings["devices"])
keras.utils.set_random_seed(0)
input_hw, steps = tuple(settings["input_hw"]), settings["steps"]
recipe = get_recipe("hrnet_w32").override(
    schedule="cosine", learning_rate=settings["rate"], optimizer="adam"
)
codec = CODECS["gaussian"].for_input(input_hw)
with strategy.scope():
    network = build_model(settings["model"], 17, input_hw)
    # The usual start, of 0.001, has variances far below what batch norms add to them, and
    # multiplies rounding a hundred thousand times on its way through the network.
    random = np.random.default_rng(0)
    for layer in network.layers[:-1]:
        if isinstance(layer, keras.layers.Conv2D):
            deviation = np.sqrt(2 / np.prod(layer.kernel.shape[:3]))
            layer.kernel.assign(random.normal(0, deviation, layer.kernel.shape))
    synchronize_batch_norm(network)
    fuse_norms(network)
    # So long a schedule that the rate stays what it is.
    network.compile(make_optimizer(recipe, 10**9), make_loss(recipe, codec, 17))
batches = training_dataset(
    synthetic_source(40, 0), codec, IMAGENET, NO_AUGMENTATION, settings["batch"]
).take(steps)
seen = [[part.numpy() for part in batch] for batch in batches]
start = [value.copy() for value in network.get_weights()]
history = network.fit(
    batches.repeat(), epochs=steps, steps_per_epoch=1, verbose=0, shuffle=False
)
arrays = {f"start{i}": value for i, value in enumerate(start)}
arrays |= {f"end{i}": value for i, value in enumerate(network.get_weights())}
arrays |= {
    name: np.stack(values)
    for name, values in zip(("images", "targets", "weights"), zip(*seen), strict=True)
}
np.savez(folder / "keras.npz", losses=history.history["loss"], **arrays)
"""


def _train(twin, images, targets, weights):
    """Trains as the HRNet code does; returns the losses and the values in each map."""
    optimizer = torch.optim.Adam(twin.parameters(), RATE)
    losses = []
    batches = zip(images, targets, weights, strict=True)
    for step, (image, target, weight) in enumerate(batches, start=1):
        # Keras adds epsilon to the root before that is corrected for its start at 0, as
        # Kingma & Ba do for speed (sec. 2); PyTorch adds it afterwards.
        optimizer.param_groups[0]["eps"] = 1e-8 / np.sqrt(1 - 0.999**step)
        maps = twin(torch.tensor(image).permute(0, 3, 1, 2))
        target = torch.tensor(target).permute(0, 3, 1, 2)
        weight = torch.tensor(weight)[..., None, None]
        # `JointsMSELoss` of lib/core/loss.py, all joints at once.
        loss = 0.5 * torch.nn.functional.mse_loss(maps * weight, target * weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses)


@pytest.mark.very_slow
@pytest.mark.parametrize(
    ("model", "devices"),
    [
        ("testing_hrnet", "cpu:1"),
        ("testing_hrnet", "cpu:2"),
        pytest.param(
            "hrnet_w32",
            "cpu:1",
            marks=pytest.mark.xfail(
                strict=True, raises=AssertionError, reason="2.2e-3 apart, not 1e-3"
            ),
        ),
    ],
)
def test_the_loss_and_the_statistics_follow_pytorch(model, devices, tmp_path, capsys):
    settings = {"model": model, "devices": devices, "batch": BATCH, "steps": STEPS}
    settings |= {"input_hw": INPUT_HW, "rate": RATE}
    command = [sys.executable, "-c", KERAS_RUN, str(tmp_path), json.dumps(settings)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]
    ours = np.load(tmp_path / "keras.npz")
    network = build_model(model, 17, INPUT_HW)
    count = len(network.weights)
    network.set_weights([ours[f"start{i}"] for i in range(count)])
    twin, start = Twin(network), Twin(network)
    losses = _train(twin, *(ours[name] for name in BATCH_PARTS))

    difference = np.abs(ours["losses"] / losses - 1).max()
    (untrained,) = _train(start, *(ours[name][-1:] for name in BATCH_PARTS))
    assert abs(losses[-1] / untrained - 1) > 1e-2  # training has an effect to compare
    mean_apart, variance_apart = _statistics(network, ours, twin)
    with capsys.disabled():
        print(
            f"\n{model} {devices}: losses {difference:.1e} apart, moving means "
            f"{mean_apart:.1e} standard deviations, variances {variance_apart:.1e}"
        )
    assert difference < 1e-3
    assert max(mean_apart, variance_apart) < 2e-3


def _statistics(network, ours, twin):
    """Returns how far moving means and variances are apart, relative, median of layers."""
    network.set_weights([ours[f"end{i}"] for i in range(len(network.weights))])
    means, variances = [], []
    for layer in network.layers:
        if not isinstance(layer, keras.layers.BatchNormalization):
            continue
        module = twin.modules_by_name[layer.name]
        _, _, mean, variance = layer.get_weights()
        rows, columns = layer.output.shape[1:3]
        # PyTorch averages the variance of the population: n / (n - 1) of the batch's.
        number = BATCH * rows * columns
        start = BATCH_NORM_MOMENTUM**STEPS
        theirs = (module.running_var.numpy() - start) * (number - 1) / number + start
        spread = np.sqrt(theirs)
        means.append(np.abs(mean - module.running_mean.numpy()) / spread)
        variances.append(np.abs(variance / theirs - 1))
    return [float(np.median(np.concatenate(each))) for each in (means, variances)]
