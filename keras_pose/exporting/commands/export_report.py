"""Reports on written files, for the export programs."""

from __future__ import annotations

from pathlib import Path

from keras_pose.commandline import some_of
from keras_pose.contracts.entries import CONTRACT_NAME
from keras_pose.contracts.fields import TensorSpec
from keras_pose.exporting.formats.writing import Export
from keras_pose.files import num_bytes
from keras_pose.modelfiles.batch_norms import batch_norm_names, unfolded_batch_norms
from keras_pose.modelfiles.reading import read_graph

MEGABYTE = 1e6
BYTES_PER_FLOAT = 4
# Batch norms that are named; deep networks have hundreds.
MOST_NAMES = 3


def describe_export(export: Export, source_path, model) -> str:
    """Returns sizes, tensors and places of the outputs, in a few lines."""
    size = num_bytes(export.path)
    float_size = model.count_params() * BYTES_PER_FLOAT
    contract = export.contract
    lines = [
        f"model    {contract.model}, {contract.quantization}",
        f"size     {size / MEGABYTE:.2f} MB; {size / float_size:.0%} of its "
        f"{float_size / MEGABYTE:.2f} MB of float32 weights; "
        f"from {_describe_parent(Path(source_path))}",
        f"input    {_describe(contract.input)}: RGB pixels 0 to 255, normalised inside",
        *(f"output   {_describe(output)}" for output in contract.outputs),
        *_describe_norms(export.path, model),
        f"checked  against Keras: RMS difference {export.error:.2g} of the outputs' "
        "standard deviation",
        f"written  {export.path}",
        f"         {export.path.with_name(CONTRACT_NAME)}",
    ]
    return "\n".join(lines)


def _describe_norms(path: Path, model) -> list[str]:
    """Returns how many batch norms became part of a convolution, and which did not."""
    names = batch_norm_names(model)
    # Core ML's compiler folds them on the device, or does not: a package does not tell.
    if not names or path.is_dir():
        return []
    left = unfolded_batch_norms(read_graph(path), names)
    text = f"folded   {len(names) - len(left)} of {len(names)} batch norms"
    shown = [f"{name} ({', '.join(kinds)})" for name, kinds in left.items()]
    unfolded = f"; still operators: {some_of(shown, MOST_NAMES)}"
    return [text + (unfolded if left else "")]


def _describe_parent(path: Path) -> str:
    if not path.exists():  # official weights have a name only
        return str(path)
    return f"a file of {path.stat().st_size / MEGABYTE:.2f} MB"


def _describe(spec: TensorSpec) -> str:
    shape = " x ".join("any" if size is None else str(size) for size in spec.shape)
    text = f'"{spec.name}" {shape} {spec.dtype}'
    if spec.scale is not None:
        text += f", real = ({spec.dtype} - {spec.zero_point}) * {spec.scale:.6g}"
    return text
