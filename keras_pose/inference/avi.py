"""Frames of an AVI file that its index knows, and that readers pass over.

FFmpeg looks for the next chunk where the head of one is damaged, and gives the frames
behind it the times of those that are lost: AVI has no times, frames are counted.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import IO

_ENTRY = struct.Struct("<4s3I")
_VIDEO = (b"dc", b"db")  # ends of the names of chunks of compressed and plain frames
_MAX_CHUNKS = 64  # a file has a handful at its top


def found_places(path: Path) -> list[int] | None:
    """Returns the places, from 0, of the frames whose chunks are where the index says.

    None for a file without a damaged one, and without an index that can be gone by.
    """
    try:
        with open(path, "rb") as file:
            chunks = _top_chunks(file)
            if not {b"movi", b"idx1"} <= chunks.keys():
                return None
            entries = _video_entries(file, *chunks[b"idx1"])
            start = _start_of_offsets(file, entries, chunks[b"movi"][0])
            if start is None:
                return None
            found = [i for i, entry in enumerate(entries) if _is_there(file, start, entry)]
    except (OSError, struct.error):
        return None
    return found if len(found) < len(entries) else None


def _top_chunks(file: IO[bytes]) -> dict[bytes, tuple[int, int]]:
    """Returns start and length of the contents of the first RIFF list, by name."""
    chunks: dict[bytes, tuple[int, int]] = {}
    head = file.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"AVI ":
        return chunks
    place = 12
    while len(chunks) < _MAX_CHUNKS and len(head := file.read(8)) == 8:
        name, size = struct.unpack("<4sI", head)
        if name == b"LIST":
            name = file.read(4)
        chunks[name] = (place + 8, size)
        place += 8 + size + size % 2
        file.seek(place)
    return chunks


def _video_entries(file: IO[bytes], start: int, size: int):
    """Returns (name, offset, length) of the frames of the first video, in their order."""
    file.seek(start)
    table = file.read(size)
    rows = _ENTRY.iter_unpack(table[: len(table) // _ENTRY.size * _ENTRY.size])
    frames = [(name, offset, size) for name, _, offset, size in rows if name[2:] in _VIDEO]
    return [frame for frame in frames if frame[0] == frames[0][0]]


def _start_of_offsets(file: IO[bytes], entries, movi: int) -> int | None:
    """Returns where offsets count from, the list of frames or the file; None if neither."""
    counts = {
        start: sum(_is_there(file, start, entry) for entry in entries)
        for start in (movi, 0)
    }
    start = max(counts, key=lambda each: counts[each])
    return start if 2 * counts[start] > len(entries) else None


def _is_there(file: IO[bytes], start: int, entry) -> bool:
    name, offset, size = entry
    file.seek(start + offset)
    return file.read(8) == struct.pack("<4sI", name, size)
