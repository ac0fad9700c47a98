"""HRNet trained as PyTorch trains it: equal weights and batches, 30 steps of Adam.

PyTorch runs the graph of the Keras network, layer by layer, with its own convolutions,
batch norms, gradients and optimizer (trainer/torch_twin.py). In float64 both do the same.
In float32 they part, as PyTorch's own runs in float32 and float64 do: the steps multiply
rounding. So there ours may be no further from float64's losses than twice PyTorch's are.
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
STEPS, BATCH, INPUT_HW = 30, 8, (64, 64)
# Powers of two, so that float32, in which Keras keeps them, has them exactly. In float32
# more than the lower one would multiply rounding until nothing could be compared.
RATES = {"float64": 2.0**-10, "float32": 2.0**-16}
torch.set_num_threads(1)  # threads that wait for each other would burn a busy machine
torch.set_flush_denormal(True)  # as TensorFlow does

BATCH_PARTS = ("images", "targets", "weights")

# Devices and dtypes are set once a process, so each run of Keras has its own.
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
dtype = settings["dtype"]
keras.config.set_floatx(dtype)
strategy = make_strategy(settings["devices"])
keras.utils.set_random_seed(0)
input_hw, steps = tuple(settings["input_hw"]), settings["steps"]
recipe = get_recipe("hrnet_w32").override(
    schedule="cosine", learning_rate=settings["rate"], optimizer="adam"
)
codec = CODECS["gaussian"].for_input(input_hw)

def retyped(layer):
    return type(layer).from_config({**layer.get_config(), "dtype": dtype})

with strategy.scope():
    network = build_model(settings["model"], 17, input_hw)
    if dtype != "float32":  # which inputs and heads are, whatever the rest is
        image = keras.Input(network.input_shape[1:], dtype=dtype)
        network = keras.models.clone_model(network, image, retyped)
    # The usual start, of 0.001, has variances far below what batch norms add to them, and
    # multiplies rounding a hundred thousand times on its way through the network.
    random = np.random.default_rng(0)
    convolutions = [x for x in network.layers if isinstance(x, keras.layers.Conv2D)]
    for layer in convolutions:
        deviation = np.sqrt(2 / np.prod(layer.kernel.shape[:3]))
        deviation = 1e-3 if layer is convolutions[-1] else deviation
        kernel = random.normal(0, deviation, layer.kernel.shape)
        layer.kernel.assign(kernel.astype("float32"))
    synchronize_batch_norm(network)
    fuse_norms(network)
    # So long a schedule that the rate stays what it is.
    network.compile(make_optimizer(recipe, 10**9), make_loss(recipe, codec, 17))
batches = training_dataset(
    synthetic_source(40, 0), codec, IMAGENET, NO_AUGMENTATION, settings["batch"]
).take(steps)
seen = [[part.numpy().astype(dtype) for part in batch] for batch in batches]
start = [value.copy() for value in network.get_weights()]
retyped_batches = batches.map(lambda *parts: tuple(keras.ops.cast(x, dtype) for x in parts))
history = network.fit(
    retyped_batches.repeat(), epochs=steps, steps_per_epoch=1, verbose=0, shuffle=False
)
arrays = {f"start{i}": value for i, value in enumerate(start)}
arrays |= {f"end{i}": value for i, value in enumerate(network.get_weights())}
arrays |= {
    name: np.stack(values)
    for name, values in zip(("images", "targets", "weights"), zip(*seen), strict=True)
}
np.savez(folder / "keras.npz", losses=history.history["loss"], **arrays)
"""


def _keras_run(folder, model, devices, dtype, **changed):
    """Trains in a process of its own; returns losses, batches, first and last weights."""
    settings = {"model": model, "devices": devices, "dtype": dtype, "batch": BATCH,
                "steps": STEPS, "input_hw": INPUT_HW, "rate": RATES[dtype]}  # fmt: skip
    command = [sys.executable, "-c", KERAS_RUN, str(folder), json.dumps(settings | changed)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]
    with np.load(folder / "keras.npz") as arrays:
        values = dict(arrays)
    (folder / "keras.npz").unlink()  # hundreds of megabytes
    return values


def _torch_run(model, ours, dtype):
    """Trains PyTorch's twin from the same start on the same batches."""
    network = build_model(model, 17, INPUT_HW)
    network.set_weights([ours[f"start{i}"] for i in range(len(network.weights))])
    twin, start = (Twin(network).to(getattr(torch, dtype)) for _ in range(2))
    losses = _train(twin, *(ours[name] for name in BATCH_PARTS), RATES[dtype])
    last = (ours[name][-1:] for name in BATCH_PARTS)
    (untrained,) = _train(start, *last, RATES[dtype])
    assert abs(losses[-1] / untrained - 1) > 1e-2  # training has an effect to compare
    return losses, network, twin


def _train(twin, images, targets, weights, rate):
    """Trains as the HRNet code does; returns the losses."""
    optimizer = torch.optim.Adam(twin.parameters(), rate)
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
    ("model", "devices", "steps", "batch"),
    [
        ("testing_hrnet", "cpu:1", STEPS, BATCH),
        ("testing_hrnet", "cpu:2", STEPS, BATCH),
        # PyTorch's convolutions in float64 take minutes.
        ("hrnet_w32", "cpu:1", 5, 2),
    ],
)
def test_in_float64_losses_and_statistics_are_pytorchs(
    model, devices, steps, batch, tmp_path, capsys
):
    ours = _keras_run(tmp_path, model, devices, "float64", steps=steps, batch=batch)
    losses, network, twin = _torch_run(model, ours, "float64")
    difference = np.abs(ours["losses"] / losses - 1).max()
    means, variances = (each.max() for each in _statistics(network, ours, twin))
    with capsys.disabled():
        print(
            f"\n{model} {devices}, float64, {steps} steps of {batch}: losses "
            f"{difference:.1e} apart, moving means {means:.1e} standard deviations, "
            f"variances {variances:.1e}"
        )
    assert difference < 1e-9
    assert max(means, variances) < 1e-8  # of all channels, some of eight values a batch


@pytest.mark.very_slow
@pytest.mark.parametrize(
    ("model", "devices"),
    [("testing_hrnet", "cpu:1"), ("testing_hrnet", "cpu:2"), ("hrnet_w32", "cpu:1")],
)
def test_float32_is_as_near_to_float64_as_pytorchs(model, devices, tmp_path, capsys):
    exact = _keras_run(tmp_path, model, devices, "float64", rate=RATES["float32"])["losses"]
    ours = _keras_run(tmp_path, model, devices, "float32")
    losses, network, twin = _torch_run(model, ours, "float32")
    apart, our_rounding, their_rounding = (
        _spread(one / other - 1)
        for one, other in (
            (ours["losses"], losses), (ours["losses"], exact), (losses, exact)
        )
    )  # fmt: skip
    means, variances = (np.median(each) for each in _statistics(network, ours, twin))
    with capsys.disabled():
        print(
            f"\n{model} {devices}, float32: losses {apart:.1e} from PyTorch's; from those "
            f"of float64 {our_rounding:.1e}, PyTorch's {their_rounding:.1e}; moving means "
            f"{means:.1e} standard deviations apart, variances {variances:.1e}"
        )
    assert our_rounding < 1e-3
    assert our_rounding < 2 * their_rounding


def _spread(differences):
    """Returns their root mean square: the largest of 30 is a matter of luck."""
    return np.sqrt(np.mean(np.square(differences)))


def _statistics(network, ours, twin):
    """Returns how far moving means and variances are apart, relative, a value a channel."""
    end = {each.path: ours[f"end{i}"] for i, each in enumerate(network.weights)}
    steps, batch = ours["images"].shape[:2]
    means, variances = [], []
    for layer in network.layers:
        if not isinstance(layer, keras.layers.BatchNormalization):
            continue
        module = twin.modules_by_name[layer.name]
        mean, variance = end[layer.moving_mean.path], end[layer.moving_variance.path]
        rows, columns = layer.output.shape[1:3]
        # PyTorch averages the variance of the population: n / (n - 1) of the batch's.
        number = batch * rows * columns
        start = BATCH_NORM_MOMENTUM**steps
        theirs = (module.running_var.numpy() - start) * (number - 1) / number + start
        spread = np.sqrt(theirs)
        means.append(np.abs(mean - module.running_mean.numpy()) / spread)
        variances.append(np.abs(variance / theirs - 1))
    return [np.concatenate(each) for each in (means, variances)]
