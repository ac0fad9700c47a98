"""Kernels rounded so that their layer gives what it gave, not each weight by itself.

Rounded to the nearest step, each weight is off by a quarter of a step on average, and what
a layer gives is off by the sum. Where inputs are alike (taps of a depthwise kernel, maps
behind a ReLU, whose mean is not 0) errors add up, and what is left of a layer whose
weights nearly cancel out is mostly that: PP-TinyPose loses a quarter of its outputs'
deviation in this way, before a single activation is rounded.

So the weights of an output are rounded one after the other, and the error of each is made
up for by those that are still to come, as far as their inputs go together on the pictures
that files are calibrated on. Of what remains, the mean goes into the bias.

All that is done to the float file (`tflite_rounding.py`, `onnx_rounding.py`): its kernels
then hold nothing but steps of the scale that quantizers choose (the largest weight of a
channel is the largest integer, and stays), so that every quantizer writes just these
integers. Here are the arrays.

Sources: Frantar et al. 2022 (arXiv:2210.17323), sec. 3, with the order of Frantar and
Alistarh 2022; for the bias Nagel et al. 2019 (arXiv:1906.04721), sec. 4.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from keras_pose.exporting.quantization.kernels import nearest
from keras_pose.exporting.quantization.measured_ranges import Activations, RangeCollector

# Pictures to look at, and places of a picture for each layer.
NUM_CROPS = 32
_PLACES = 128
# Inputs of an output from which on only the bias is changed: the errors of so many weights
# average out, and the time grows with the cube.
MAX_INPUTS = 640
# See `MomentCollector`.
Kernel = tuple[str, str, Callable[[np.ndarray, np.random.Generator], np.ndarray | None]]
# Weights whose errors are made up for by one product, in all weights behind them.
_TOGETHER = 32
# Of the mean square of the inputs, added to each: what 4,096 places leave open.
_DAMPING = 0.01


@dataclass
class InputMoments:
    """What an operator's kernel meets: sums over places of a layer's input.

    Attributes:
        count: number of places.
        total: (G, n) sum of the n inputs of an output; G is the number of channels of a
            depthwise convolution, and 1 of others.
        products: (G, n, n) sum of products of two inputs; None for more than `MAX_INPUTS`.
    """

    count: int
    total: np.ndarray
    products: np.ndarray | None

    @property
    def mean(self) -> np.ndarray:
        """(G, n) mean of the inputs."""
        return self.total / self.count

    def add(self, inputs: np.ndarray) -> None:
        """Adds places: (G, P, n)."""
        self.count += inputs.shape[1]
        self.total += inputs.sum(axis=1, dtype=np.float64)
        if self.products is not None:
            inputs = np.ascontiguousarray(inputs)  # or NumPy multiplies without BLAS
            self.products += inputs.transpose(0, 2, 1) @ inputs


class MomentCollector:
    """What the kernels of a float file meet, picture after picture.

    Args:
        kernels: of each its name, the name of the tensor that it reads, and what makes
            (G, P, n) inputs of one picture of that tensor (None: it is not rounded).

    Attributes:
        moments: name of a kernel -> what it met.
    """

    def __init__(self, kernels: Iterable[Kernel]):
        self.moments: dict[str, InputMoments] = {}
        # Each draws its own places: the same ones, however many pictures run at a time.
        self._kernels = [(*kernel, np.random.default_rng(0)) for kernel in kernels]

    def add(self, values: Mapping[str, np.ndarray], count: int) -> None:
        """Notes a run.

        Args:
            values: name of a tensor -> (B, ...) float32.
            count: pictures of the run that are noted, the first ones.
        """
        for name, tensor, inputs_of, rng in self._kernels:
            read = values.get(tensor)
            for picture in () if read is None else read[:count]:
                inputs = inputs_of(picture[None], rng)
                if inputs is None:
                    continue
                if name not in self.moments:
                    self.moments[name] = nothing_met(*inputs.shape[::2])
                self.moments[name].add(inputs)


def collect_both(
    run: Activations, num_crops: int, kernels: Iterable[Kernel]
) -> tuple[RangeCollector, dict[str, InputMoments]]:
    """Runs a float file once, for the ranges of its tensors and what its kernels meet.

    Args:
        run: what runs it on all crops.
        num_crops: number of crops.
        kernels: see `MomentCollector`.
    """
    noted = MomentCollector(kernels)
    num_left = min(num_crops, NUM_CROPS)

    def noting() -> Iterable[Mapping[str, np.ndarray]]:
        # Ranges may ask for the runs again, for histograms: by then nothing is left.
        nonlocal num_left
        for values in run():
            if num_left > 0:
                noted.add(values, num_left)
                num_left -= len(next(iter(values.values())))
            yield values

    return RangeCollector(noting), noted.moments


def nothing_met(groups: int, count: int) -> InputMoments:
    """Returns the moments of no place.

    Args:
        groups: groups of outputs that read inputs of their own.
        count: inputs of an output.
    """
    products = np.zeros((groups, count, count), np.float32)
    has_room = count <= MAX_INPUTS
    return InputMoments(0, np.zeros((groups, count)), products if has_room else None)


def some_places(count: int, rng: np.random.Generator) -> np.ndarray:
    """Returns indices of a few places of so many, in order."""
    return np.sort(rng.choice(count, min(_PLACES, count), replace=False))


def taps(
    values: np.ndarray, window_hw, strides, dilations, margins, rng: np.random.Generator
) -> np.ndarray:
    """Returns what a convolution's window sees at some of its places.

    Args:
        values: (B, H, W, C) input.
        window_hw: height and width of the kernel.
        strides: steps of the window, rows and columns.
        dilations: distances of its taps, rows and columns.
        margins: ((top, bottom), (left, right)) rows and columns of 0 around the input.
        rng: generator that draws the places.

    Returns:
        (P, C, h * w) float32.
    """
    values = np.pad(values, ((0, 0), *margins, (0, 0)))
    reach = [(size - 1) * gap + 1 for size, gap in zip(window_hw, dilations, strict=True)]
    windows = np.lib.stride_tricks.sliding_window_view(values, reach, axis=(1, 2))
    windows = windows[:, :: strides[0], :: strides[1], :, :: dilations[0], :: dilations[1]]
    num_places = int(np.prod(windows.shape[:3]))
    # Only now anything is copied.
    seen = windows[np.unravel_index(some_places(num_places, rng), windows.shape[:3])]
    return seen.reshape(*seen.shape[:2], -1).astype(np.float32)


def rounded_rows(
    rows: np.ndarray,
    steps: np.ndarray,
    met: Sequence[InputMoments],
    num_bits: int,
    max_sum: int | None = None,
) -> np.ndarray:
    """Rounds the weights of outputs.

    Args:
        rows: (G, R, n) weights; the R outputs of a group meet the same inputs.
        steps: (G, R, n) step of each.
        met: what the kernel meets wherever it is used.
        num_bits: bits of a weight.
        max_sum: largest sum of two neighbouring integers of a row; None for any. The rows
            given keep it when they are rounded to the nearest step.

    Returns:
        (G, R, n) multiples of `steps`: the nearest ones for more than `MAX_INPUTS`.
    """
    products = [each.products for each in met if each.products is not None]
    if not products:
        return nearest(rows, steps)
    largest = 2 ** (num_bits - 1) - 1
    return _round_rows(rows, steps, np.sum(products, axis=0), largest, max_sum)


def _round_rows(
    rows: np.ndarray,
    steps: np.ndarray,
    products: np.ndarray,
    largest: int,
    max_sum: int | None = None,
) -> np.ndarray:
    """Rounds weights, those first whose inputs are strongest.

    Args:
        rows: (G, R, n) weights; a group's rows meet the same inputs.
        steps: (G, R, n) step of each.
        products: (G, n, n) sums of products of two inputs.
        largest: largest integer of a weight.
        max_sum: see `rounded_rows`.

    Returns:
        (G, R, n) multiples of `steps`. The largest weight of each row stays.
    """
    count = rows.shape[2]
    limits = _NeighbourLimits(rows / steps, largest, max_sum)
    products = products.astype(np.float64)
    order = np.argsort(-np.einsum("gii->gi", products), axis=1, kind="stable")
    products = np.take_along_axis(products, order[:, :, None], 1)
    products = np.take_along_axis(products, order[:, None, :], 2)
    rows = np.take_along_axis(rows, order[:, None, :], 2)
    steps = np.take_along_axis(steps, order[:, None, :], 2)
    mean = np.einsum("gii->g", products)[:, None, None] / count
    mean[mean == 0] = 1.0  # inputs that were always 0
    inverse = np.linalg.inv(products + _DAMPING * mean * np.eye(count))
    upper = np.linalg.cholesky((inverse + inverse.transpose(0, 2, 1)) / 2)
    upper = upper.transpose(0, 2, 1)
    # These the scale was made for, so they must be met.
    is_largest = np.abs(rows) >= steps * (largest - 1e-4)
    still, rounded, errors = rows.copy(), np.empty_like(rows), np.empty_like(rows)
    for start in range(0, count, _TOGETHER):
        stop = min(start + _TOGETHER, count)
        for i in range(start, stop):
            step = steps[:, :, i]
            low, high = limits.at(order[:, i])
            integers = np.clip(np.rint(still[:, :, i] / step), low, high)
            limits.set(order[:, i], integers)
            rounded[:, :, i] = np.where(is_largest[:, :, i], rows[:, :, i], integers * step)
            error = (still[:, :, i] - rounded[:, :, i]) / upper[:, None, i, i]
            still[:, :, i + 1 : stop] -= error[:, :, None] * upper[:, None, i, i + 1 : stop]
            errors[:, :, i] = error
        still[:, :, stop:] -= errors[:, :, start:stop] @ upper[:, start:stop, stop:]
    back = np.argsort(order, axis=1)
    return np.take_along_axis(rounded, back[:, None, :], 2)


class _NeighbourLimits:
    """Limits of integers, given those of their neighbours that are chosen already.

    Args:
        exact: (G, R, n) weights in steps.
        largest: largest integer of a weight.
        max_sum: largest sum of two neighbours; None for any.
    """

    def __init__(self, exact: np.ndarray, largest: int, max_sum: int | None):
        self._largest, self._max_sum = largest, max_sum
        if max_sum is None:
            return
        # One more at either end, where there is no neighbour. NaN is not chosen yet; the
        # largest weights are, since they stay.
        padded = np.pad(exact, ((0, 0), (0, 0), (1, 1)))
        is_chosen = np.abs(padded) >= largest - 1e-4
        is_chosen[:, :, [0, -1]] = True
        self._chosen = np.where(is_chosen, np.rint(padded), np.nan)
        self._groups = np.arange(len(exact))

    def at(self, places: np.ndarray):
        """Returns the lowest and highest integer at a place of each group, (G, R)."""
        low, high = -self._largest, self._largest
        if self._max_sum is None:
            return low, high
        for side in (0, 2):
            chosen = self._chosen[self._groups, :, places + side]
            neighbour = np.where(np.isnan(chosen), 0.0, chosen)
            low = np.maximum(low, -self._max_sum - neighbour)
            high = np.minimum(high, self._max_sum - neighbour)
        return low, high

    def set(self, places: np.ndarray, integers: np.ndarray) -> None:
        """Notes the integers of a place of each group, (G, R); the largest ones stay."""
        if self._max_sum is not None:
            before = self._chosen[self._groups, :, places + 1]
            chosen = np.where(np.isnan(before), integers, before)
            self._chosen[self._groups, :, places + 1] = chosen
