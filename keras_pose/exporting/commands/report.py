"""What a program says of the file it wrote."""

from __future__ import annotations

from pathlib import Path

from keras_pose.contract import CONTRACT_NAME, TensorSpec
from keras_pose.exporting.formats.writing import Export

MEGABYTE = 1e6
BYTES_PER_FLOAT = 4


def describe_export(export: Export, source_path, model) -> str:
    """Tells sizes, tensors and where the outputs lie, in a few lines."""
    size = export.path.stat().st_size
    float_size = model.count_params() * BYTES_PER_FLOAT
    contract = export.contract
    lines = [
        f"model    {contract.model}, {contract.quantization}",
        f"size     {size / MEGABYTE:.2f} MB; {size / float_size:.0%} of its "
        f"{float_size / MEGABYTE:.2f} MB of float32 weights; "
        f"from {_describe_parent(Path(source_path))}",
        f"input    {_describe(contract.input)}: RGB pixels 0 to 255, normalised inside",
        *(f"output   {_describe(output)}" for output in contract.outputs),
        f"checked  against Keras: RMS difference {export.error:.2g} of the outputs' "
        "standard deviation",
        f"written  {export.path}",
        f"         {export.path.with_name(CONTRACT_NAME)}",
    ]
    return "\n".join(lines)


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
