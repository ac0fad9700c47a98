"""`PoseModel`: crops in, what the codec decodes out, whatever the file."""

from __future__ import annotations

import numpy as np

from keras_pose.contracts.fields import TensorSpec
from keras_pose.contracts.pose import Contract
from keras_pose.runtime.backend import Backend, FileBackend

# Images at a time for networks that take any number: bounds memory.
MAX_BATCH = 32


class PoseModel:
    """A model that is ready to run, with all that must be known of it.

    Attributes:
        contract: input, output, and their meaning.
        file_type: ".keras", ".weights.h5", ".tflite" or ".onnx".

    Raises:
        ValueError: if the network is not what the contract says.
    """

    def __init__(
        self, contract: Contract, file_type: str, backend: Backend | FileBackend, path=None
    ):
        check_fits(contract, backend, path or f"The {file_type} model")
        self.contract = contract
        self.file_type = file_type
        self._backend = backend

    @classmethod
    def from_keras(cls, model, contract: Contract) -> PoseModel:
        """Wraps a model in memory; later changes of its weights are seen."""
        from keras_pose.runtime.keras_backend import KerasBackend

        names = [spec.name for spec in contract.outputs]
        return cls(contract, ".keras", KerasBackend(model, *names))

    @property
    def num_keypoints(self) -> int:
        return self.contract.skeleton.num_keypoints

    def predict(self, crops) -> np.ndarray:
        """Runs the network on crops.

        Args:
            crops: (N, H, W, 3) uint8 RGB, of the contract's `input_hw`; N may be 0.

        Returns:
            (N, *codec.output_shape(K)) float32, such as heatmaps; real values, also of
            a quantized network.

        Raises:
            ValueError: for crops of another shape or type.
        """
        return self._predict(crops, [self.contract.output])[0]

    def predict_all(self, crops) -> tuple[np.ndarray, np.ndarray | None]:
        """Does what `predict` does, and returns the logits of visibility as well.

        Returns:
            outputs: array of `predict`.
            logits: (N, K, 3) float32, in the order of `certainty.KINDS`; None for a
                network without the head.
        """
        found = self._predict(crops, self.contract.outputs)
        return found[0], found[1] if len(found) > 1 else None

    __call__ = predict

    def _predict(self, crops, specs) -> list[np.ndarray]:
        """Returns an array of real values, of all crops, for each of some outputs."""
        crops = self._checked(crops)
        predicted = [np.empty((len(crops), *spec.shape[1:]), np.float32) for spec in specs]
        fixed_batch = self._backend.input.shape[0]
        batch_size = fixed_batch or MAX_BATCH
        for start in range(0, len(crops), batch_size):
            images = crops[start : start + batch_size]
            if fixed_batch:
                images = _pad_batch(images, fixed_batch)
            raw = self._run(self._to_input(images), len(specs))
            for values, spec in zip(predicted, specs, strict=True):
                real = spec.to_real(raw[spec.name])
                values[start : start + batch_size] = real[: len(crops) - start]
        return predicted

    def _run(self, images, num_outputs: int) -> dict[str, np.ndarray]:
        """Returns raw outputs by name; where one is wanted, and first, only that."""
        own = self.contract.output.name
        if self.contract.visibility is None:
            return {own: self._backend.run(images)}
        if num_outputs == 1 and self._backend.output.name == own:
            return {own: self._backend.run(images)}
        return self._backend.run_all(images)  # type: ignore[union-attr]

    def _checked(self, crops) -> np.ndarray:
        crops = np.asarray(crops)
        expected = (*self.contract.input_hw, 3)
        if crops.shape[1:] != expected or crops.dtype != np.uint8:
            raise ValueError(
                f"{self.contract.model} takes crops of shape (N, {expected[0]}, "
                f"{expected[1]}, 3) and type uint8, got {crops.shape} {crops.dtype}."
            )
        return crops

    def _to_input(self, images) -> np.ndarray:
        if self.contract.normalization is not None:
            images = self.contract.normalization(images)
        return np.ascontiguousarray(images, self._backend.input.dtype)


def _pad_batch(images, batch_size):
    """Fills a batch up with black images."""
    missing = batch_size - len(images)
    return np.pad(images, ((0, missing), (0, 0), (0, 0), (0, 0)))


def check_fits(contract: Contract, backend: Backend | FileBackend, path) -> None:
    """Raises ValueError unless the network is what the contract says.

    The contract's batch is not compared: Keras models take any. Outputs are found by name
    where there are several.
    """
    _check_alike("input", contract.input, backend.input, path)
    if contract.visibility is None:
        _check_alike("output", contract.output, backend.output, path)
        return
    found = {spec.name: spec for spec in getattr(backend, "outputs", ())}
    promised = {spec.name: spec for spec in contract.outputs}
    if set(found) != set(promised):
        raise ValueError(
            f"{path} does not fit its contract: the contract's outputs are "
            f"{sorted(promised)}, the file's are {sorted(found)}."
        )
    for name, spec in promised.items():
        _check_alike(f"output {name!r}", spec, found[name], path)


def _check_alike(side: str, promised: TensorSpec, actual: TensorSpec, path) -> None:
    if _essence(promised) != _essence(actual):
        raise ValueError(
            f"{path} does not fit its contract: the contract's {side} is "
            f"{_essence(promised)}, the file's is {_essence(actual)}."
        )


def _essence(spec: TensorSpec) -> dict:
    """Returns what must agree; pixels at scale 1 are as good as not quantized."""
    essence: dict = {"shape": ("N", *spec.shape[1:]), "dtype": spec.dtype}
    if spec.scale is not None and (spec.scale, spec.zero_point) != (1.0, 0):
        essence |= {"scale": np.float32(spec.scale), "zero_point": spec.zero_point}
    return essence
