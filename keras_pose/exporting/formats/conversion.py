"""One model on its way to files: what `.tflite` and `.onnx` have in common.

A model is converted to float32 once, and once more with equalized channels where a format
has integers and channels change; all files are made of these two. Between the steps, a file
is an object (`Content`), not bytes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from keras_pose.contracts.activation_ranges import ranges_of, set_ranges
from keras_pose.contracts.detector import ModelContract
from keras_pose.contracts.one_stage import OneStageContract
from keras_pose.exporting.float_graph.decoding import decoded_contract
from keras_pose.exporting.float_graph.reweighting import parts_of, reweighted
from keras_pose.exporting.float_graph.serving import MAP_OUTPUTS, in_float32
from keras_pose.exporting.formats.writing import Draft, Export, Reference, write_export
from keras_pose.exporting.quantization.calibration import NUM_CHECK_CROPS
from keras_pose.exporting.quantization.integer_network import (
    equalized,
    equalized_weights,
    holding,
)
from keras_pose.exporting.quantization.measured_ranges import EXTREMES, RangeRule
from keras_pose.exporting.subprocesses import give_back_memory
from keras_pose.models.rescaled_silu import silu_before_depthwise

# A `TFLiteModel` or an `onnx.ModelProto`.
Content = Any


@dataclass
class Conversion(ABC):
    """One model on its way to files of one type.

    Attributes:
        model: Keras model of normalised images.
        contract: contract of the model, with its normalisation.
        crops: (N, H, W, 3) uint8; all calibrate integer files, the first few check any.
        batch: images the files take at a time.
        with_decode: return keypoints instead of what the codec decodes.
        equalizes: bring the channels of integer files' tensors to like ranges first, see
            `quantization.integer_network`.
        rescales_silu: let factors pass SiLU before depthwise convolutions, too; not in all
            formats, see `of_format`.
    """

    model: Any
    contract: ModelContract
    crops: Any
    batch: int = 1
    with_decode: bool = False
    equalizes: bool = True
    rescales_silu: bool = True

    suffix: ClassVar[str]
    quantizations: ClassVar[tuple[str, ...]]

    @abstractmethod
    def convert(self, model) -> Content:
        """Converts the model, or a copy with other weights and layers, to float32.

        Raises:
            ExportError: if it cannot be converted; names ops and layers.
        """

    @staticmethod
    @abstractmethod
    def layout(layer, kernel: np.ndarray) -> np.ndarray:
        """Returns a layer's kernel in the order of a file's numbers."""

    @abstractmethod
    def float_constants(self, content: Content) -> dict[Any, np.ndarray]:
        """Returns the float32 constants of a file, by any key."""

    @abstractmethod
    def with_constants(self, content: Content, changed: dict[Any, np.ndarray]) -> Content:
        """Returns a copy of a file with some other constants, by the same keys."""

    @abstractmethod
    def quantized_model(
        self,
        quantization: str,
        float_ops: Collection[str] = (),
        range_rule: RangeRule = EXTREMES,
    ) -> Content:
        """Returns a file in one of `quantizations`, not yet checked.

        Args:
            quantization: number format.
            float_ops: names of operators that an int8 file leaves in float.
            range_rule: range rule of integer activations.
        """

    @abstractmethod
    def pack(self, content: Content) -> bytes:
        """Returns the bytes of a file."""

    @abstractmethod
    def without_outputs(self, content: Content, names: Collection[str]) -> Content:
        """Returns a file without some outputs, by name."""

    @abstractmethod
    def describe(
        self, path, content: Content, quantization: str, float_ops: Collection[str] = ()
    ) -> ModelContract:
        """Checks what can be seen without running a file; returns its contract.

        Args:
            path: the file.
            content: what stands in it.
            quantization: its number format.
            float_ops: operators that were to stay in float.
        """

    @cached_property
    def reference(self) -> Reference:
        """The Keras model, as all files are compared with it."""
        # What only copies with other layers show is not measured on the model.
        crops = self.crops if self._keeps_layers else self.crops[:NUM_CHECK_CROPS]
        return Reference(self._plain, self.contract, crops)

    @cached_property
    def _plain(self) -> Any:
        """The model, computing in float32, with the ranges that it has from training."""
        plain = in_float32(self.model)
        if plain is not self.model:
            set_ranges(plain, ranges_of(self.model))
        return plain

    @cached_property
    def _keeps_layers(self) -> bool:
        """True if channels are equalized, if at all, by weights alone."""
        return not (self.rescales_silu and silu_before_depthwise(self.model))

    def _converted(self, model) -> Content:
        converted = self.convert(model)
        give_back_memory()
        return converted

    @cached_property
    def float_model(self) -> Content:
        """The float32 file."""
        return self._converted(self._plain)

    @cached_property
    def calibrated_model(self) -> Content:
        """The float32 file that integer files are made of."""
        if not self.equalizes:
            return self.float_model
        if not self._keeps_layers:
            network = equalized(self.model, self.contract, self.crops)
            return self.float_model if network is self.model else self._converted(network)
        weights = equalized_weights(
            self._plain, self.contract, self.crops, lambda: self.reference.peaks
        )
        return self.float_model if weights is None else self._with_weights(weights)

    def _with_weights(self, weights) -> Content:
        """Returns the float32 file of other weights; made of the first, if possible."""
        found = None
        if "float_model" in vars(self):  # else one of the two is converted all the same
            before = parts_of(self._plain, self.layout)
            with holding(self._plain, weights):
                after = parts_of(self._plain, self.layout)
            found = reweighted(self.float_constants(self.float_model), before, after)
        if found is not None:
            return self.with_constants(self.float_model, found)
        with holding(self._plain, weights):
            return self._converted(self._plain)

    def of_format(self, quantization: str) -> Conversion:
        """Returns the conversion that makes files of a format; mostly this one."""
        return self

    @property
    def file_contract(self) -> ModelContract:
        """The contract, of keypoints where the files decode."""
        return decoded_contract(self.contract) if self.with_decode else self.contract

    @property
    def inner_outputs(self) -> set[str]:
        """Outputs of the network that its files do not give: what they decode in float."""
        if isinstance(self.contract, OneStageContract):
            return set(MAP_OUTPUTS)
        return {self.contract.outputs[0].name} if self.with_decode else set()

    def quantized(self, quantization: str, float_ops=(), **options) -> bytes:
        """Returns the bytes of a file; see `quantized_model`."""
        return self.pack(self.quantized_model(quantization, float_ops, **options))

    def draft(
        self, path, quantization: str, float_ops=(), is_measured=False, **options
    ) -> Draft:
        """Writes one file as it comes: not yet checked, with no contract beside it."""
        content = self.quantized_model(quantization, float_ops, **options)
        with_outputs = None
        if self.inner_outputs:
            with_outputs = self.pack(content)
            content = self.without_outputs(content, self.inner_outputs)
        Path(path).write_bytes(self.pack(content))
        contract = self.describe(path, content, quantization, float_ops)
        rounding = 0.0 if is_measured else self.weight_error(quantization)
        return Draft(contract, with_outputs, rounding, is_measured)

    def weight_error(self, quantization: str) -> float:
        """Returns what a format's weights lose, where formats of few bits have a limit."""
        return 0.0

    def write(
        self, path, quantization="float32", float_ops=(), is_measured=False, **options
    ) -> Export:
        """Writes one file and its contract; see `table.export_formats`."""
        if quantization not in self.quantizations:
            raise ValueError(
                f"quantization must be one of {self.quantizations}, got {quantization!r}."
            )

        def write(temporary: Path) -> Draft:
            return self.draft(temporary, quantization, float_ops, is_measured, **options)

        return write_export(path, write, self.reference)
