"""Text in `.tflite` files: an entry of the model's metadata, put before the old buffer.

The file gets a new root, a new list of metadata and a new list of buffers, which refer to
what was there; of the old file not a byte is changed. Numbers of fields are those of the
schema of TFLite (`schema.fbs`, version 3) and of its metadata (`metadata_schema.fbs`, 1.0).
Other tools find names, normalisation and labels under the official name, and label files
in a zip archive at the end, as TensorFlow Lite Support's writer has them.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, field
from typing import Any

from keras_pose.modelfiles.embedded.flat import (
    DamagedError,
    Floats,
    Kept,
    Number,
    Reader,
    Value,
    write,
)

NAME = "KERAS_POSE_CONTRACT"
OFFICIAL_NAME = "TFLITE_METADATA"
_IDENTIFIER, _METADATA_IDENTIFIER = b"TFL3", b"M001"
# Fields of Model, which has ten.
_NUM_FIELDS, _VERSION, _BUFFERS, _METADATA = 10, 0, 4, 6
# Fields of Metadata; Buffer's data, and where it lies if not in the flatbuffer.
_META_NAME, _META_BUFFER = 0, 1
_DATA, _OFFSET = 0, 1
_MIN_PARSER_VERSION = "1.0.0"
_RGB, _IMAGE, _FEATURE, _NORMALIZATION, _AXIS_LABELS = 1, 2, 1, 1, 2
# The same file in, the same file out: no dates.
_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class TensorNote:
    """Metadata of a tensor.

    Attributes:
        name: name of the tensor.
        text: description of it, for people.
        mean: numbers to subtract from RGB pixels of 0 to 255, for an image tensor,
        std: numbers to divide them by afterwards.
        labels: names along the last axis.
    """

    name: str
    text: str
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Description:
    """Metadata of a file, in the official form.

    Attributes:
        name: name of the model.
        text: description of it, for people.
        version: version of the model.
        image: its input.
        outputs: notes on the outputs by name; the file's own order is looked up.
    """

    name: str
    text: str
    version: str
    image: TensorNote
    outputs: tuple[TensorNote, ...] = field(default_factory=tuple)


def find_text(content: memoryview) -> tuple[int, int] | None:
    """Returns where the text begins and how long it is; None for a file without.

    Raises:
        DamagedError: if offsets of the file lead outside.
    """
    if bytes(content[4:8]) != _IDENTIFIER:
        return None
    reader = Reader(content)
    root = reader.follow(0)
    for table in reader.tables(root, _METADATA):
        if reader.text(table, _META_NAME) == NAME.encode():
            position = reader.field(table, _META_BUFFER)
            number = 0 if position is None else reader.unpack("I", position)
            return reader.data(reader.table(root, _BUFFERS, number), _DATA)
    return None


def with_text(original: bytes, text: bytes, description: Description | None):
    """Puts text into a file.

    Returns:
        The new file's bytes, and where in them the text begins.

    Raises:
        DamagedError: for a file that is no `.tflite`, is damaged, or has its weights
            outside the flatbuffer.
    """
    view = memoryview(original)
    if bytes(view[4:8]) != _IDENTIFIER:
        raise DamagedError("it does not begin as a .tflite file does")
    reader = Reader(view)
    root = reader.follow(0)
    old_buffers = list(reader.tables(root, _BUFFERS))
    if any(reader.field(position, _OFFSET) is not None for position in old_buffers):
        raise DamagedError("its weights lie outside the flatbuffer, which cannot move")
    buffers: list[Value] = [Kept(position) for position in old_buffers]
    ours = (NAME.encode(), OFFICIAL_NAME.encode())
    entries: list[Value] = [
        Kept(position)
        for position in reader.tables(root, _METADATA)
        if reader.text(position, _META_NAME) not in ours
    ]
    added = {NAME: text}
    if description is not None:
        added[OFFICIAL_NAME] = _official(description, _output_names(reader, root))
    for name, data in added.items():
        entries.append({_META_NAME: name, _META_BUFFER: Number(len(buffers))})
        buffers.append({_DATA: data})
    fields = _fields(reader, root) | {_BUFFERS: buffers, _METADATA: entries}
    prefix, places = write(fields, _IDENTIFIER)
    labels = b"" if description is None else _archive(description, len(prefix) + len(view))
    return prefix + original + labels, places[id(text)]


def _fields(reader: Reader, root: int) -> dict[int, Any]:
    """Returns what the old root holds."""
    fields: dict[int, Any] = {}
    for index in range(_NUM_FIELDS):
        position = reader.field(root, index)
        if position is None:
            continue
        if index == _VERSION:
            fields[index] = Number(reader.unpack("I", position))
        else:
            fields[index] = Kept(reader.follow(position))
    return fields


def _output_names(reader: Reader, root: int) -> list[str]:
    """Returns the outputs' names in the first signature, in the order of the graph."""
    signatures = list(reader.tables(root, 7))
    position = reader.field(reader.table(root, 2, 0), 2)
    if position is None or not signatures:
        return []
    start, length = reader.vector(position, item_size=4)
    indices = [reader.unpack("i", start + 4 * i) for i in range(length)]
    names = {}
    for entry in reader.tables(signatures[0], 1):
        number = reader.field(entry, 1)
        index = 0 if number is None else reader.unpack("I", number)
        names[index] = reader.text(entry, 0).decode(errors="replace")
    return [names.get(index, "") for index in indices]


def _official(description: Description, output_names: list[str]) -> bytes:
    """Writes `ModelMetadata`, the root of the official schema."""
    notes = {note.name: note for note in description.outputs}
    in_order = [notes[name] for name in output_names if name in notes]
    graph = {
        2: [_tensor(description.image)],
        3: [_tensor(note) for note in in_order or description.outputs],
    }
    model = {
        0: description.name,
        1: description.text,
        2: description.version,
        3: [graph],
        7: _MIN_PARSER_VERSION,
    }
    return write(model, _METADATA_IDENTIFIER)[0]


def _tensor(note: TensorNote) -> dict[int, Any]:
    """Writes `TensorMetadata`."""
    fields: dict[int, Any] = {0: note.name, 1: note.text}
    if note.mean:
        fields[3] = {0: Number(_IMAGE), 1: {0: Number(_RGB)}}
        options = {0: Floats(note.mean), 1: Floats(note.std)}
        fields[4] = [{0: Number(_NORMALIZATION), 1: options}]
        fields[5] = {0: Floats([255.0]), 1: Floats([0.0])}
    else:
        fields[3] = {0: Number(_FEATURE), 1: {}}
    if note.labels:
        fields[6] = [{0: label_file(note), 1: "names, one a line", 2: Number(_AXIS_LABELS)}]
    return fields


def label_file(note: TensorNote) -> str:
    """Returns what the file with a tensor's labels is called in the archive."""
    return f"{note.name}_labels.txt"


def _archive(description: Description, offset: int) -> bytes:
    """Returns a zip archive to be appended to a file of `offset` bytes."""
    if not any(note.labels for note in description.outputs):
        return b""
    buffer = io.BytesIO()
    # So that offsets in the archive count from the beginning of the whole file.
    buffer.seek(offset)
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for note in description.outputs:
            if note.labels:
                info = zipfile.ZipInfo(label_file(note), _DATE)
                archive.writestr(info, "\n".join(note.labels) + "\n")
    return buffer.getvalue()[offset:]
