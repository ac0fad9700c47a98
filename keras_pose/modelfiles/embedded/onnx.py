"""Text in `.onnx` files: one of the model's metadata properties.

An `.onnx` file is a protobuf message, `ModelProto`, whose field 14 is repeated: entries of
a key (field 1) and a value (field 2). Repeated fields may stand anywhere, so a new entry
goes to the end. Source: the wire format at protobuf.dev/programming-guides/encoding, and
the field numbers of `onnx.proto` (version 3).
"""

from __future__ import annotations

from collections.abc import Iterator

from keras_pose.modelfiles.embedded.flat import DamagedError

KEY = "keras_pose_contract"
_METADATA_PROPS = 14
_KEY_FIELD, _VALUE_FIELD = 1, 2
_BYTES = 2  # the wire type of strings and messages
_MAX_VARINT_BYTES = 10
# Fields at the top of a model: more than these, and it is none.
_MAX_FIELDS = 100_000


def find_text(content: memoryview) -> tuple[int, int] | None:
    """Returns where the text begins and how long it is; None for a file without.

    Raises:
        DamagedError: if lengths in the file lead outside.
    """
    for field, start, length in _fields(content, 0, len(content)):
        if field == _METADATA_PROPS:
            found = _value(content, start, length)
            if found is not None:
                return found
    return None


def _value(content: memoryview, start: int, length: int) -> tuple[int, int] | None:
    """Returns where the value of a property is; None for another property."""
    parts = {part: place for part, *place in _fields(content, start, length)}
    key_start, key_length = parts.get(_KEY_FIELD, (0, 0))
    if (
        bytes(content[key_start : key_start + min(key_length, 2 * len(KEY))])
        != KEY.encode()
    ):
        return None
    value_start, value_length = parts.get(_VALUE_FIELD, (0, 0))
    return value_start, value_length


def with_text(original: bytes, text: bytes, description=None):
    """Puts text into a file.

    Returns:
        The new file's bytes, and where in them the text begins.

    Raises:
        DamagedError: for a file that is no protobuf message.
    """
    view, kept, end = memoryview(original), [], 0
    # Read to the end, so that what is appended is a field of the model.
    for field, start, length in _fields(view, 0, len(view)):
        is_old = field == _METADATA_PROPS and _value(view, start, length) is not None
        if not is_old:
            kept.append(view[end : start + length])
        end = start + length
    entry = _field(_KEY_FIELD, KEY.encode()) + _field(_VALUE_FIELD, text)
    written = b"".join([*kept, _field(_METADATA_PROPS, entry)])
    return written, len(written) - len(text)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Writes seven bits a byte, the lowest first; all but the last have the high bit."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def _fields(content: memoryview, start: int, length: int) -> Iterator[tuple[int, int, int]]:
    """Yields number, start and length of the fields of a message.

    Raises:
        DamagedError: for fields that end after the message, or of an unknown type.
    """
    position, end = start, start + length
    for _ in range(_MAX_FIELDS):
        if position == end:
            return
        tag, position = _read_varint(content, position, end)
        size, position = _size(content, tag & 7, position, end)
        if position + size > end:
            raise DamagedError(f"a field of {size} bytes at byte {position} of {end}")
        yield tag >> 3, position, size
        position += size
    raise DamagedError(f"more than {_MAX_FIELDS} fields")


def _size(content, wire_type: int, position: int, end: int) -> tuple[int, int]:
    """Returns how long a field is, and where it begins."""
    match wire_type:
        case 0:
            return _read_varint(content, position, end)[1] - position, position
        case 1:
            return 8, position
        case 2:
            return _read_varint(content, position, end)
        case 5:
            return 4, position
    raise DamagedError(f"a field of type {wire_type} at byte {position}")


def _read_varint(content: memoryview, position: int, end: int) -> tuple[int, int]:
    """Reads a whole number; returns it, and where the next thing begins."""
    value = 0
    for i in range(_MAX_VARINT_BYTES):
        if position + i >= end:
            raise DamagedError(f"it ends within a number at byte {position}")
        byte = content[position + i]
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return value, position + i + 1
    raise DamagedError(f"a number without an end at byte {position}")
