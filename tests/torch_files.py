"""Writes small PyTorch zip files without PyTorch, byte by byte."""

import pickle
import zipfile

import numpy as np


def write_torch_zip(path, tensors):
    """Writes name -> float32 array as `torch.save` writes a state dict."""
    items = b"".join(
        literal(name) + tensor(str(key), array.shape)
        for key, (name, array) in enumerate(tensors.items())
    )
    storages = [array.astype("<f4").tobytes() for array in tensors.values()]
    write_archive(path, b"\x80\x02}(" + items + b"u.", storages)


def write_archive(path, program, storages=(), compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", program)
        for key, content in enumerate(storages):
            archive.writestr(f"archive/data/{key}", content)


def tensor(key, shape, strides=None, num_elements=None, offset=0):
    """The instructions that build one float32 tensor."""
    size = int(np.prod(shape))
    if strides is None:
        strides = tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))
    storage = (
        b"("
        + literal("storage")
        + name("torch", "FloatStorage")
        + literal(key)
        + literal("cpu")
        + literal(size if num_elements is None else num_elements)
        + b"tQ"
    )
    place = literal(offset) + literal(tuple(shape)) + literal(strides)
    hooks = b"\x89" + name("collections", "OrderedDict") + b")R"
    return (
        name("torch._utils", "_rebuild_tensor_v2") + b"(" + storage + place + hooks + b"tR"
    )


def literal(value):
    """The instructions that push a plain value: its pickle, less head and end."""
    return pickle.dumps(value, protocol=2)[2:-1]


def name(module, qualified_name):
    return f"c{module}\n{qualified_name}\n".encode()
