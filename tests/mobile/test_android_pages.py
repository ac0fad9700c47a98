"""Libraries of an app on phones with pages of 16 KB, looked at before a phone does."""

import importlib.util
import struct
import zipfile

import pytest
from mobile.kotlin_tools import ANDROID

ARM = "lib/arm64-v8a/libLiteRt.so"


@pytest.fixture(scope="module")
def check_pages():
    """The module mobile_demo/android/check_pages.py."""
    spec = importlib.util.spec_from_file_location("check_pages", ANDROID / "check_pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def library(*segments) -> bytes:
    """Returns a 64-bit ELF file's head; segments are (type, offset, address, align)."""
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack(
        "<HHIQQQIHHHHHH", 3, 183, 1, 0, 64, 0, 0, 64, 56, len(segments), 0, 0, 0
    )
    for kind, offset, address, align in segments:
        head += struct.pack("<IIQQQQQQ", kind, 5, offset, address, address, 64, 64, align)
    return head


GOOD = library((1, 0, 0, 0x4000), (1, 0x4000, 0x8000, 0x4000), (6, 64, 64, 8))


def write(path, name: str, content: bytes, begins_at: int | None = None):
    """Writes an archive with one library; stored from a place on, or compressed."""
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo(name)
        info.compress_type = (
            zipfile.ZIP_DEFLATED if begins_at is None else zipfile.ZIP_STORED
        )
        if begins_at is not None:
            room = begins_at - 30 - len(name)
            info.extra = struct.pack("<HH", 0xD935, room - 4) + bytes(room - 4)
        archive.writestr(info, content)
    return path


@pytest.mark.parametrize(
    ("name", "content", "begins_at", "problem"),
    [
        pytest.param(ARM, GOOD, None, None, id="compressed"),
        pytest.param(ARM, GOOD, 0x4000, None, id="stored_at_a_page"),
        pytest.param(ARM, GOOD, 0x3000, "it begins at 12288 of the APK", id="stored_off"),
        pytest.param(
            ARM, library((1, 0, 0, 0x1000)), None, "aligned to 4096 bytes, not to 16384",
            id="pages_of_4_kb",
        ),
        pytest.param(
            ARM, library((1, 0x27e6a0, 0x2826a4, 0x4000)), None,
            "a segment at 2614944 of the file is for 2631332", id="elsewhere_in_memory",
        ),
        pytest.param(ARM, b"no library", None, "it is no 64-bit library", id="no_library"),
        pytest.param(ARM, GOOD[:100], None, "its header is damaged", id="cut_off"),
        pytest.param("lib/armeabi-v7a/libLiteRt.so", b"32 bits", None, None, id="32_bits"),
    ],
)  # fmt: skip
def test_libraries(check_pages, tmp_path, capsys, name, content, begins_at, problem):
    apk = write(tmp_path / "app.apk", name, content, begins_at)

    code = check_pages.main([str(apk)])

    captured = capsys.readouterr()
    if problem is None:
        assert code == 0
        assert captured.out.startswith("app.apk suits pages of 16 KB")
    else:
        assert code == 1
        assert f"app.apk: {name}: " in captured.err
        assert problem in captured.err


def test_libraries_of_an_aar_are_unpacked_by_the_build(check_pages, tmp_path):
    aar = write(tmp_path / "litert.aar", ARM.replace("lib", "jni", 1), GOOD, 0x3000)

    assert check_pages.problems_of(aar) == (1, [])
