"""Tensors of PyTorch `.pth` files, read without PyTorch and without unpickling.

A `.pth` file is a pickle: a program for a stack machine that may call any function of
Python. Here the program is not run. Its instructions are decoded (`pickletools`), and
`PickleMachine` carries out only those that build dictionaries, lists, tuples, numbers
and strings, plus the three calls by which PyTorch writes a tensor. What frameworks keep
beside the tensors (NumPy's arrays, mmengine's histories, dates) is passed over: it
becomes a token that nothing can be done with. All else is refused by name. Storages are
sliced out of the file's own bytes, so a file cannot claim more memory than it has bytes;
half-width floats take twice theirs.

Two containers exist: a zip archive (PyTorch 1.6 and later) and a row of pickles followed
by raw storages (before).
"""

from __future__ import annotations

import functools
import io
import math
import mmap
import pickletools
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn, cast

import numpy as np

from keras_pose.commandline import some_of

# First object of the older container.
LEGACY_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL_VERSION = 1001
# A large checkpoint with its optimizer takes 300 000.
MAX_INSTRUCTIONS = 3_000_000
MAX_DIMENSIONS = 8
# No tensor counts further; larger numbers would only take long to multiply.
MAX_NUMBER = 2**62
MAX_NAME_SHOWN = 100
NUM_NAMES_SHOWN = 5
# Dictionaries are looked into so deep; a cycle of them ends there, too.
MAX_DEPTH = 3
# A dict with so few tensors beside the largest is no network: random states, weights of a
# loss, centres of a metric.
MIN_SHARE = 0.1

# Name of a storage class -> NumPy type; bfloat16 has none and is widened later.
STORAGE_DTYPES = {
    "DoubleStorage": "f8",
    "FloatStorage": "f4",
    "HalfStorage": "f2",
    "BFloat16Storage": "u2",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}


class UnsafeCheckpointError(ValueError):
    """The pickle asks for something that reading tensors does not need."""


class SeveralTablesError(ValueError):
    """The file holds several dicts of tensors, and it was not said which to read."""


def read_state_dict(path: str | Path, table: str | None = None) -> dict[str, np.ndarray]:
    """Reads the tensors of a PyTorch file (`.pth`, `.pt`, `.ckpt`, `.bin`).

    The file holds a state dict, or one dict of tensors among other things, under any
    name ("state_dict", which comes first, "model", "net", ...). Of several it must be
    said which. Whatever else lies in that dict is left out, with a printed line.

    Args:
        path: the file.
        table: name of the dict to read, such as "ema_state_dict", in a file that holds
            several.

    Returns:
        Name -> tensor, in the file's order. The arrays are read-only and share the
        file's bytes; bfloat16 is widened to float32.

    Raises:
        UnsafeCheckpointError: if the pickle asks for any class or function that is not
            part of a tensor.
        ValueError: if the file is not a PyTorch checkpoint, is damaged, or holds several
            dicts of tensors; names them.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        read = _read_zip if content[:2] == b"PK" else _read_legacy
        saved, elements_of = read(content)
        views = _find_state_dict(saved, table, path)
        # Once a storage: any number of tensors may share one.
        elements_of = functools.cache(elements_of)
        return {
            name: view.resolve(elements_of(view.storage)) for name, view in views.items()
        }
    except (UnsafeCheckpointError, SeveralTablesError) as error:
        raise type(error)(f"{path}: {error}") from error
    except (
        *(ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError),
        *(MemoryError, EOFError, struct.error, zipfile.BadZipFile, NotImplementedError),
    ) as error:
        raise ValueError(
            f"{path} is not a PyTorch checkpoint, or it is damaged: {error}"
        ) from error


@dataclass(frozen=True)
class Global:
    """A class or function by name; never looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"[:MAX_NAME_SHOWN]


@dataclass(frozen=True)
class _Storage:
    """A row of numbers in the file, as the pickle refers to it."""

    kind: str
    key: str
    num_elements: int


class _StorageView:
    """A tensor before its bytes are known: where it lies in a storage."""

    def __init__(self, storage, offset, shape, strides):
        if not isinstance(storage, _Storage):
            raise ValueError("a tensor is not backed by a storage.")
        self.storage = storage
        self.offset = _whole_number(offset, "storage offset")
        self.shape = tuple(_whole_number(size, "size") for size in shape)
        self.strides = tuple(_whole_number(stride, "stride") for stride in strides)
        if len(self.shape) != len(self.strides) or len(self.shape) > MAX_DIMENSIONS:
            raise ValueError(f"a tensor has shape {self.shape} and strides {self.strides}.")
        self._check_bounds()

    def _check_bounds(self) -> None:
        if 0 in self.shape:
            return
        last = self.offset + sum(
            (size - 1) * stride
            for size, stride in zip(self.shape, self.strides, strict=True)
        )
        if last >= self.storage.num_elements:
            raise ValueError(
                f"a tensor of shape {self.shape} reaches element {last} of a storage "
                f"of {self.storage.num_elements}."
            )
        # Strides of 0 would blow a single number up to any size.
        if math.prod(self.shape) > self.storage.num_elements:
            raise ValueError(
                f"a tensor of shape {self.shape} is larger than its storage of "
                f"{self.storage.num_elements} elements."
            )

    def resolve(self, elements: np.ndarray) -> np.ndarray:
        """Returns the tensor as a view of its storage's elements."""
        return np.lib.stride_tricks.as_strided(
            elements[self.offset :],
            self.shape,
            [stride * elements.itemsize for stride in self.strides],
            writeable=False,
        )


def _widened(kind: str, elements: np.ndarray) -> np.ndarray:
    """Turns bfloat16, the upper half of a float32, into that; leaves other kinds alone."""
    if kind == "BFloat16Storage":
        return (elements.astype("<u4") << 16).view("<f4")
    return elements


def _whole_number(value, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"the {what} of a tensor is a {type(value).__name__}.")
    if value < 0:
        raise ValueError(f"the {what} of a tensor is {value}.")
    if value > MAX_NUMBER:
        raise ValueError(f"the {what} of a tensor is beyond all bounds.")
    return value


def _rebuild_tensor(storage, offset, shape, strides, *_gradient_flags):
    return _StorageView(storage, offset, shape, strides)


def _rebuild_parameter(tensor, *_gradient_flags):
    return tensor


def _ordered_dict(pairs=()):
    return _dict_of([key for key, _ in pairs], [value for _, value in pairs])


def _dict_of(keys, values):
    for key in keys:
        # Nested tuples as keys could take exponential time to hash.
        if key is not None and not isinstance(key, str | int | float | bytes):
            raise UnsafeCheckpointError(
                f"a dictionary has a key of type {type(key).__name__}."
            )
    return dict(zip(keys, values, strict=True))


def _default_dict(_factory=None):
    """Builds a plain dictionary, which is filled later; the factory is never called."""
    return {}


class _Unread:
    """Stands for a value that was passed over; what it is filled with is, too."""

    def append(self, item):
        """Ignores an item, as do `extend` and `update`, which pickles also call."""

    def extend(self, items):
        """Ignores items."""

    def update(self, items):
        """Ignores items."""


def _pass_over(*_arguments):
    return _Unread()


# Packages whose things lie beside the state dict: scores, dates, settings, histories.
# They are passed over, never imported; in a state dict itself they are refused.
PASSED_OVER_PACKAGES = (
    "addict", "argparse", "datetime", "easydict", "lightning", "lightning_fabric",
    "lightning_utilities", "mmcls", "mmcv", "mmdet", "mmengine", "mmpose", "mmpretrain",
    "numpy", "omegaconf", "pathlib", "pytorch_lightning", "yacs",
)  # fmt: skip
# Plain values that lie there, too, of packages that also hold what is refused.
PLAIN_BUILTINS = (
    "bytearray", "complex", "dict", "float", "frozenset", "int", "list", "range", "set",
    "slice", "str", "tuple", "xrange",
)  # fmt: skip
TORCH_VALUES = (
    "Size", "device", "bfloat16", "bool", "float16", "float32", "float64", "int16",
    "int32", "int64", "int8", "uint8", "contiguous_format", "channels_last",
)  # fmt: skip
PASSED_OVER = {
    *(
        Global(module, name)
        for module in ("builtins", "__builtin__")
        for name in PLAIN_BUILTINS
    ),
    *(Global("torch", name) for name in TORCH_VALUES),
    Global("collections", "Counter"),
    Global("collections", "deque"),
    Global("torch.torch_version", "TorchVersion"),
    Global("types", "SimpleNamespace"),
}
# All that a pickle may call, and what is done instead.
ALLOWED_CALLS: dict[Global, Callable[..., Any]] = {
    Global("_codecs", "encode"): _pass_over,
    Global("collections", "OrderedDict"): _ordered_dict,
    Global("collections", "defaultdict"): _default_dict,
    Global("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    Global("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    Global("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    Global("torch._utils", "_rebuild_parameter_with_state"): _rebuild_parameter,
}
_MARK = object()


class PickleMachine:
    """Carries out the harmless instructions of one pickle, in plain Python.

    Differs from `pickle.Unpickler` with a restricted `find_class` in that nothing is
    ever imported, called by name, or given attributes. What it builds may still be
    nested so that printing, comparing or hashing it never ends: do none of that.
    """

    calls: Mapping[Global, Callable[..., Any]] = ALLOWED_CALLS

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, _Storage] = {}
        self.work = 0

    def run(self, file: IO[bytes]) -> Any:
        """Decodes one pickle and leaves `file` behind its end.

        `file` lies in memory, and so clips reads at its end: a length written in the
        pickle allocates nothing by itself.
        """
        for opcode, argument, _ in pickletools.genops(file):
            if opcode.name == "STOP":
                return self.stack.pop()
            self._spend(1)
            self._step(opcode.name, argument)
        raise ValueError("a pickle has no end.")

    def _spend(self, work: int) -> None:
        """Counts instructions, and what a single one makes others of."""
        self.work += work
        if self.work > MAX_INSTRUCTIONS:
            raise ValueError(f"a pickle has over {MAX_INSTRUCTIONS} instructions.")

    def _step(self, name: str, argument: Any) -> None:
        stack = self.stack
        match name:
            case "PROTO" | "FRAME":
                pass
            case "MARK":
                stack.append(_MARK)
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(name == "NEWTRUE")
            case (
                "INT" | "BININT" | "BININT1" | "BININT2" | "LONG" | "LONG1" | "LONG4"
                | "FLOAT" | "BINFLOAT" | "STRING" | "BINSTRING" | "SHORT_BINSTRING"
                | "UNICODE" | "BINUNICODE" | "SHORT_BINUNICODE" | "BINUNICODE8"
                | "BINBYTES" | "SHORT_BINBYTES" | "BINBYTES8" | "BYTEARRAY8"
            ):  # fmt: skip
                stack.append(argument)
            case "EMPTY_DICT" | "EMPTY_LIST" | "EMPTY_TUPLE":
                stack.append({"D": dict, "L": list, "T": tuple}[name[6]]())
            case "EMPTY_SET":
                stack.append(_Unread())
            case "FROZENSET":
                self._pop_to_mark()
                stack.append(_Unread())
            case "ADDITEMS":
                self._pop_to_mark()
                self._top(_Unread)
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(name[-1])
                stack[-count:] = [tuple(stack[-count:])]
            case "TUPLE":
                stack.append(tuple(self._pop_to_mark()))
            case "LIST":
                stack.append(self._pop_to_mark())
            case "DICT":
                items = self._pop_to_mark()
                stack.append(_dict_of(items[::2], items[1::2]))
            case "APPEND":
                item = stack.pop()
                self._top((list, _Unread)).append(item)
            case "APPENDS":
                items = self._pop_to_mark()
                self._top((list, _Unread)).extend(items)
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                self._top((dict, _Unread)).update(_dict_of([key], [value]))
            case "SETITEMS":
                items = self._pop_to_mark()
                self._top((dict, _Unread)).update(_dict_of(items[::2], items[1::2]))
            case "BINPUT" | "LONG_BINPUT" | "PUT":
                self.memo[int(argument)] = stack[-1]
            case "MEMOIZE":
                self.memo[len(self.memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET" | "GET":
                stack.append(self.memo[int(argument)])
            case "GLOBAL":
                module, _, qualified_name = argument.partition(" ")
                stack.append(self._allowed(Global(module, qualified_name)))
            case "STACK_GLOBAL":
                qualified_name, module = stack.pop(), stack.pop()
                if not isinstance(module, str) or not isinstance(qualified_name, str):
                    raise ValueError("a pickle names a function by something else.")
                stack.append(self._allowed(Global(module, qualified_name)))
            case "BINPERSID":
                stack.append(self._storage(stack.pop()))
            case "NEWOBJ":
                _arguments, kind = stack.pop(), stack.pop()
                if not isinstance(kind, Global) or not _is_passed_over(kind):
                    raise UnsafeCheckpointError("its pickle makes an object of a class.")
                stack.append(_Unread())
            case "REDUCE":
                arguments, function = stack.pop(), stack.pop()
                stack.append(self._call(function, arguments))
            case "BUILD":
                # An OrderedDict brings attributes (`_metadata`); they hold no tensor.
                stack.pop()
                self._top((dict, _Unread))
            case _:
                raise UnsafeCheckpointError(
                    f"its pickle uses the instruction {name}, which tensors do not need."
                )

    def _top(self, kind: type | tuple[type, ...]) -> Any:
        if not isinstance(self.stack[-1], kind):
            raise ValueError(f"a pickle fills a {type(self.stack[-1]).__name__}.")
        return self.stack[-1]

    def _pop_to_mark(self) -> list[Any]:
        for index in range(len(self.stack) - 1, -1, -1):
            if self.stack[index] is _MARK:
                items = self.stack[index + 1 :]
                del self.stack[index:]
                return items
        raise ValueError("a pickle closes a group it did not open.")

    def _storage(self, reference: Any) -> _Storage:
        """Notes a storage the pickle refers to, by all its references alike."""
        storage = _storage_of(reference)
        if self.storages.setdefault(storage.key, storage) != storage:
            raise ValueError(f"storage {storage.key} is declared twice, and differently.")
        return storage

    def _allowed(self, reference: Global) -> Global:
        is_storage = reference.module == "torch" and reference.name in STORAGE_DTYPES
        if not (reference in self.calls or is_storage or _is_passed_over(reference)):
            _refuse(reference)
        return reference

    def _call(self, function: Any, arguments: Any) -> Any:
        if not isinstance(function, Global):
            raise ValueError(f"a pickle calls a {type(function).__name__}.")
        if not isinstance(arguments, tuple):
            raise ValueError(f"{function} is called without arguments.")
        if function not in self.calls:
            if _is_passed_over(function):
                return _Unread()
            _refuse(function)
        # A list is written once, and may be given to a million calls.
        sizes = [len(part) for part in arguments if isinstance(part, list | dict | tuple)]
        self._spend(len(arguments) + sum(sizes))
        return self.calls[function](*arguments)


def _is_passed_over(reference: Global) -> bool:
    if reference in PASSED_OVER:
        return True
    return reference.module.partition(".")[0] in PASSED_OVER_PACKAGES


def _refuse(what: Global) -> NoReturn:
    if what.module.startswith("torch.nn.modules"):
        raise UnsafeCheckpointError(
            f"it holds a whole model ({what}), which only its own code could rebuild. "
            "With PyTorch at hand, save its tensors: "
            'torch.save(model.state_dict(), "weights.pth").'
        )
    raise UnsafeCheckpointError(
        f"it asks for {what}. Only tensors, dictionaries, lists, numbers and strings are "
        "read; with PyTorch at hand, save the bare state dict: "
        'torch.save(checkpoint["state_dict"], "weights.pth").'
    )


def _storage_of(reference: Any) -> _Storage:
    """Reads ("storage", class, key, device, number of elements[, view])."""
    if not isinstance(reference, tuple) or len(reference) not in (5, 6):
        raise ValueError("a pickle refers to something that is no storage.")
    tag, kind, key, _device, num_elements, *view = reference
    if tag != "storage" or not isinstance(kind, Global):
        raise ValueError("a pickle refers to something that is no storage.")
    if not isinstance(key, str | int):
        raise ValueError(f"the key of a storage is a {type(key).__name__}.")
    if any(part is not None for part in view):
        raise ValueError("a storage is a view of another; PyTorch < 0.4 wrote those.")
    return _Storage(kind.name, str(key), _whole_number(num_elements, "number of elements"))


def _read_zip(content: mmap.mmap):
    """Reads the container of PyTorch 1.6 and later.

    Returns:
        What was saved, and a function from its storages to their elements.
    """
    with zipfile.ZipFile(cast("IO[bytes]", content)) as archive:
        members = {info.filename: info for info in archive.infolist()}
    pickles = [name for name in members if name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise ValueError(f"the zip archive holds {len(pickles)} files data.pkl.")
    root = pickles[0].removesuffix("data.pkl")
    byte_order = "<"
    if f"{root}byteorder" in members:
        order = _member_bytes(content, members[f"{root}byteorder"])
        byte_order = ">" if order == b"big" else "<"

    def elements_of(storage: _Storage) -> np.ndarray:
        stored = _member_bytes(content, members[f"{root}data/{storage.key}"])
        dtype = np.dtype(byte_order + STORAGE_DTYPES[storage.kind])
        if len(stored) != storage.num_elements * dtype.itemsize:
            raise ValueError(
                f"storage {storage.key} has {len(stored)} bytes; {storage.num_elements} "
                f"elements of {storage.kind} were declared."
            )
        return _widened(storage.kind, np.frombuffer(stored, dtype))

    pickle = _member_bytes(content, members[pickles[0]])
    return PickleMachine().run(io.BytesIO(pickle)), elements_of


def _member_bytes(content: mmap.mmap, info: zipfile.ZipInfo) -> memoryview:
    """Returns the bytes of a zip member, without a copy."""
    if info.compress_type != zipfile.ZIP_STORED:
        # Compression would let a small file claim any amount of memory.
        raise ValueError(f"{info.filename} is compressed; PyTorch never does that.")
    # The local header repeats name and extra field, the latter at another length.
    header = info.header_offset
    name_size, extra_size = struct.unpack_from("<HH", content, header + 26)
    start = header + 30 + name_size + extra_size
    stored = memoryview(content)[start : start + info.file_size]
    if len(stored) != info.file_size:
        raise ValueError(f"{info.filename} is cut off.")
    if zlib.crc32(stored) != info.CRC:
        raise ValueError(f"the check sum of {info.filename} is wrong.")
    return stored


def _read_legacy(content: mmap.mmap):
    """Reads the container of PyTorch before 1.6: five pickles, then the storages.

    Returns:
        What was saved, and a function from its storages to their elements.
    """
    file = cast("IO[bytes]", content)
    if PickleMachine().run(file) != LEGACY_MAGIC_NUMBER:
        raise ValueError("it does not begin as PyTorch's files do.")
    if PickleMachine().run(file) != LEGACY_PROTOCOL_VERSION:
        raise ValueError(f"its version is not {LEGACY_PROTOCOL_VERSION}.")
    system = PickleMachine().run(file)
    byte_order = "<" if system.get("little_endian", True) else ">"
    machine = PickleMachine()
    saved = machine.run(file)
    keys = PickleMachine().run(file)

    elements: dict[str, np.ndarray] = {}
    position = content.tell()
    for key in keys:
        if not isinstance(key, str | int):
            raise ValueError(f"the key of a storage is a {type(key).__name__}.")
        storage = machine.storages[str(key)]
        dtype = np.dtype(byte_order + STORAGE_DTYPES[storage.kind])
        (num_elements,) = struct.unpack_from(f"{byte_order}q", content, position)
        if num_elements != storage.num_elements:
            raise ValueError(
                f"storage {key} has {num_elements} elements; {storage.num_elements} "
                "were declared."
            )
        elements[str(key)] = np.frombuffer(content, dtype, num_elements, position + 8)
        position += 8 + num_elements * dtype.itemsize
    return saved, lambda storage: _widened(storage.kind, elements[storage.key])


def _shown(name: Any) -> str:
    """Quotes a name of any length; other things by their type, as they may not end."""
    if isinstance(name, str):
        return repr(name[:MAX_NAME_SHOWN])
    return f"under a {type(name).__name__}"


def _find_state_dict(
    saved: Any, table: str | None = None, path: Path | str = ""
) -> dict[str, _StorageView]:
    """Finds the dict of tensors that is meant, and leaves out what else lies in it."""
    found = _tables(saved)
    if table is not None:
        if table not in found:
            raise ValueError(f"it holds no tensors under {table!r}, but {_some(found)}.")
        return _tensors_of(found[table], path)
    # Only "state_dict" has one meaning everywhere.
    if isinstance(saved, dict) and "state_dict" in found:
        return _tensors_of(found["state_dict"], path)
    if not found:
        _refuse_without_tensors(saved)
    counts = {name: _num_tensors(entries) for name, entries in found.items()}
    largest = max(counts.values())
    large = [name for name in found if counts[name] >= MIN_SHARE * largest]
    if len(large) > 1 and "" in large:
        # Loose tensors beside a state dict, or a dict of a few beside loose ones.
        large = [""] if counts[""] == largest else [name for name in large if name]
    if len(large) > 1:
        raise SeveralTablesError(
            f"it holds several dicts of tensors, {_some({n: found[n] for n in large})}. "
            f"Say which, such as {Path(path).name}#{large[0]}."
        )
    return _tensors_of(found[large[0]], path)


def _tables(saved: Any) -> dict[str, dict[Any, Any]]:
    """Returns path of keys -> dict, of all dicts that hold tensors under names.

    Keys of optimizers' states are numbers, so their tensors are not among them.
    """
    found: dict[str, dict[Any, Any]] = {}
    seen: set[int] = set()  # each once: a pickle may repeat one a million times
    level = [("", saved)]
    for _ in range(MAX_DEPTH + 1):
        below = []
        for name, value in level:
            if not isinstance(value, dict) or id(value) in seen:
                continue
            seen.add(id(value))
            if _num_tensors(value):
                found[name] = value
            below += [
                (f"{name}.{key[:MAX_NAME_SHOWN]}".removeprefix("."), entry)
                for key, entry in value.items()
                if isinstance(key, str) and isinstance(entry, dict)
            ]
        level = below
    return found


def _num_tensors(entries: dict[Any, Any]) -> int:
    return sum(
        isinstance(name, str) and isinstance(view, _StorageView)
        for name, view in entries.items()
    )


def _some(tables: dict[str, dict[Any, Any]]) -> str:
    """Names dicts with their numbers of tensors, the first few of them."""
    if not tables:
        return "none"
    shown = [
        f"{_shown(name)} ({_num_tensors(entries)} tensors)"
        for name, entries in tables.items()
    ]
    return some_of(shown, NUM_NAMES_SHOWN)


def _tensors_of(entries: dict[Any, Any], path) -> dict[str, _StorageView]:
    """Returns the tensors of a dict; a printed line names what else is in it."""
    tensors = {
        name: view
        for name, view in entries.items()
        if isinstance(name, str) and isinstance(view, _StorageView)
    }
    others = [_shown(name) for name in entries if name not in tensors]
    if others:
        print(f"{path}: no tensors, left out: {some_of(others, NUM_NAMES_SHOWN)}")
    return tensors


def _refuse_without_tensors(saved: Any) -> NoReturn:
    if not isinstance(saved, dict) or not saved:
        raise ValueError(f"it holds a {type(saved).__name__}, not a state dict.")
    name, value = next(iter(saved.items()))
    raise ValueError(
        f"its entry {_shown(name)} is a {type(value).__name__}, not a tensor, and no dict "
        "in it holds tensors."
    )
