"""Says whether an app's native libraries suit Android's memory pages of 16 KB.

    python mobile_demo/android/check_pages.py app-bundled-release.apk

Phones with Android 15 or later may have such pages, and Google Play asks for it. Of each
64-bit library in the APK (or .aab, .aar), all segments that are loaded must be aligned to
16 KB, and lie in the file as they lie in memory; one that is stored uncompressed, which is
mapped out of the APK, must begin at a multiple of 16 KB. Needs Python's own library only.
"""

import argparse
import struct
import sys
import zipfile
from pathlib import Path

PAGE = 16 * 1024
LOADED = 1  # PT_LOAD
# Architectures of phones with pages of 16 KB; 32-bit libraries do not run on them.
FOLDERS = ("arm64-v8a/", "x86_64/")


class BrokenLibraryError(ValueError):
    """A file that is no 64-bit ELF library."""


def segment_problems(library: bytes) -> list[str]:
    """Returns what is wrong with a library's loaded segments.

    Raises:
        BrokenLibraryError: for what is no 64-bit, little-endian ELF file.
    """
    if library[:6] != b"\x7fELF\x02\x01":
        raise BrokenLibraryError("it is no 64-bit library")
    try:
        (start,) = struct.unpack_from("<Q", library, 32)
        size, count = struct.unpack_from("<HH", library, 54)
        headers = [
            struct.unpack_from("<IIQQQQQQ", library, start + i * size) for i in range(count)
        ]
    except struct.error as error:
        raise BrokenLibraryError("its header is damaged") from error
    problems = []
    for kind, _, offset, address, _, _, _, align in headers:
        if kind != LOADED:
            continue
        if align % PAGE or align == 0:
            problems.append(f"a segment is aligned to {align} bytes, not to {PAGE}")
        elif offset % align != address % align:
            problems.append(f"a segment at {offset} of the file is for {address}")
    return sorted(set(problems))


def data_offset(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> int:
    """Returns where an entry's bytes begin in the archive's file."""
    archive.fp.seek(info.header_offset)
    name_length, extra_length = struct.unpack_from("<HH", archive.fp.read(30), 26)
    return info.header_offset + 30 + name_length + extra_length


def problems_of(path) -> tuple[int, list[str]]:
    """Returns the number of 64-bit libraries in an archive, and what is wrong with them."""
    problems, count = [], 0
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.filename.endswith(".so"):
                continue
            if not any(folder in info.filename for folder in FOLDERS):
                continue
            count += 1
            found = []
            try:
                found += segment_problems(archive.read(info))
            except BrokenLibraryError as error:
                found.append(str(error))
            start = data_offset(archive, info)
            # An .aar is unpacked by the build; in an APK the library is mapped where it is.
            is_mapped = info.compress_type == zipfile.ZIP_STORED
            if is_mapped and Path(path).suffix == ".apk" and start % PAGE:
                found.append(f"it begins at {start} of the APK, no multiple of {PAGE}")
            problems += [f"{info.filename}: {problem}" for problem in found]
    return count, problems


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("archive", type=Path, help=".apk, .aab or .aar")
    path = parser.parse_args(argv).archive
    count, problems = problems_of(path)
    for problem in problems:
        print(f"{path.name}: {problem}", file=sys.stderr)
    verdict = "does not suit" if problems else "suits"
    print(f"{path.name} {verdict} pages of 16 KB: {count} native libraries")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
