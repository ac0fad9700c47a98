"""Kinds of weight files, recognized by content: names lie, and endings mean several things.

`.ckpt` and `.bin` are PyTorch's zip archives by another name; `.pth` may be any of the
kinds below.
"""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

# Files of other frameworks that are converted.
CHECKPOINT_ENDINGS = (
    ".pth", ".pth.tar", ".pt", ".ckpt", ".bin", ".npz", ".safetensors",
    ".pdparams",
)  # fmt: skip
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
TORCH, NPZ, SAFETENSORS, ONNX = "PyTorch", "NumPy", "safetensors", "ONNX"
KERAS, KERAS_WEIGHTS, TFLITE = "Keras", "Keras weights", "TFLite"
# Kinds that hold tensors under the names of another framework.
CHECKPOINT_KINDS = (TORCH, NPZ, SAFETENSORS)
# ONNX is a protobuf message, which has no magic: field 1, the version, comes first.
ONNX_FIELD, MAX_ONNX_VERSION = 0x08, 0x20
NUM_BYTES = 16


def kind_of(path) -> str | None:
    """Returns the kind of an existing file; None for what is not known.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Checkpoint {path} does not exist.")
    with path.open("rb") as file:
        start = file.read(NUM_BYTES)
    if start.startswith(b"PK"):
        return _kind_of_zip(path)
    if start.startswith(HDF5_MAGIC):
        return KERAS_WEIGHTS
    if start[4:8] == b"TFL3":
        return TFLITE
    if _is_safetensors(start, path.stat().st_size):
        return SAFETENSORS
    if start[:1] == b"\x80":  # pickle protocol 2 and later: PyTorch before 1.6
        return TORCH
    if len(start) > 1 and start[0] == ONNX_FIELD and start[1] < MAX_ONNX_VERSION:
        return ONNX
    return None


def split_table(source) -> tuple[Path, str | None]:
    """Parts "FILE#NAME", for a dict of tensors in a PyTorch file, into path and name."""
    path = Path(source)
    if path.is_file() or "#" not in path.name:
        return path, None
    name, _, table = str(path).rpartition("#")
    return Path(name), table


def is_checkpoint(source) -> bool:
    """Returns True for another framework's file, by its ending or else its content."""
    path, _ = split_table(source)
    if path.name.endswith(CHECKPOINT_ENDINGS):
        return True
    is_ours = path.name.endswith((".keras", ".h5", ".tflite", ".onnx", ".json", ".xml"))
    return not is_ours and path.is_file() and kind_of(path) in CHECKPOINT_KINDS


def _is_safetensors(start: bytes, size: int) -> bool:
    if len(start) < 9 or start[8:9] != b"{":
        return False
    (length,) = struct.unpack_from("<Q", start)
    return 8 + length <= size


def _kind_of_zip(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return None
    if any(name.endswith("/data.pkl") for name in names):
        return TORCH
    if "model.weights.h5" in names:
        return KERAS
    is_npz = names and all(name.endswith(".npy") for name in names)
    return NPZ if is_npz else None
