"""What can be said of the iOS app without Xcode: its parts fit together."""

import plistlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from keras_pose.parity.bundle import APP_FOLDERS, FORMAT, FORMAT_VERSION

IOS = Path(__file__).resolve().parents[2] / "mobile_demo" / "ios"
PACKAGE = IOS / "KerasPoseCore" / "Sources"


def imports(folder):
    """Returns the modules that each file of a folder imports."""
    pattern = re.compile(r"^import (\w+)", re.M)
    return {
        path.name: set(pattern.findall(path.read_text())) for path in folder.glob("*.swift")
    }


@pytest.mark.parametrize("module", ["KerasPoseCore", "KerasPoseParity", "KerasPoseDemo"])
def test_the_package_needs_foundation_only(module):
    found = imports(PACKAGE / module)
    order = ["KerasPoseCore", "KerasPoseParity", "KerasPoseDemo"]
    lower = set(order[: order.index(module)])

    assert found
    # Dispatch, like Foundation, comes with Swift on every platform.
    assert set().union(*found.values()) <= {"Foundation", "Dispatch"} | lower


def test_one_file_knows_the_runtime():
    runtimes = {
        name for name, modules in imports(IOS / "App" / "Sources").items()
        if any(module.startswith("TensorFlowLite") for module in modules)
    }  # fmt: skip
    assert runtimes == {"TFLiteNetwork.swift"}


def litert_stub():
    return (IOS / "Stubs" / "LiteRT" / "LiteRT.swift").read_text()


def test_the_stub_of_litert_has_the_signatures_that_it_publishes():
    published = Path(__file__).with_name("litert_swift_signatures.txt").read_text()
    lines = [line for line in published.splitlines() if not line.startswith("#")]
    parts = {part.partition("\n")[0]: part for part in litert_stub().split("\n\n")}

    owner = None
    for line in lines:
        if line.startswith("class: "):
            owner = parts[line.removeprefix("class: ")]
        else:
            signature = line.removesuffix(" {")
            assert signature in re.sub(r"\s+", " ", owner), line
    assert len(lines) > 30
    # And nothing of its own making: what is public there is published.
    declared = re.findall(r"^ +public (?:func|init|let).*", litert_stub(), re.M)
    assert len(declared) == sum(line.startswith("public ") for line in lines)


def test_both_adapters_have_one_face():
    faces = [
        (IOS / "App" / "Sources" / "TFLiteNetwork.swift").read_text(),
        (IOS / "LiteRT" / "LiteRTNetwork.swift").read_text(),
    ]
    for face in faces:
        assert re.search(
            r"init\(file: URL, contract: Contract, accelerator: \S*Accelerator\) throws",
            face,
        )
        assert "func run(_ values: [Float]) throws -> [String: [Float]] {" in face
    assert imports(IOS / "LiteRT") == {
        "LiteRTNetwork.swift": {"Foundation", "KerasPoseCore", "KerasPoseDemo", "LiteRT"}
    }


def test_users_are_told_what_the_camera_is_for():
    info = plistlib.loads((IOS / "App" / "Info.plist").read_bytes())

    # Without these words iOS ends an app that asks for the camera.
    assert len(info["NSCameraUsageDescription"]) > 20
    assert {"UIInterfaceOrientationPortrait", "UIInterfaceOrientationLandscapeLeft"} <= set(
        info["UISupportedInterfaceOrientations"]
    )
    # Models are put into the app's folder by the Files app.
    assert info["UIFileSharingEnabled"]
    assert info["LSSupportsOpeningDocumentsInPlace"]


def test_the_project_names_what_is_there():
    project = (IOS / "project.yml").read_text()
    paths = re.findall(r"path: (\S+)", project) + re.findall(r"_FILE: (\S+)", project)
    models = APP_FOLDERS["ios"].removeprefix("ios/")

    assert models in paths
    for path in set(paths) - {models}:
        assert (IOS / path).exists(), path
    # The bundle is put in place of a folder, so the one around it must be there.
    assert (IOS / models).parent.is_dir()
    for product in ("KerasPoseCore", "KerasPoseDemo", "KerasPoseParity"):
        assert product in project
        assert (PACKAGE / product).is_dir()


def test_the_app_reads_the_bundles_that_are_written():
    source = (PACKAGE / "KerasPoseCore" / "Bundle.swift").read_text()
    major = FORMAT_VERSION.partition(".")[0]

    assert f'format = "{FORMAT}"' in source
    assert f'majorVersion = "{major}"' in source


@pytest.mark.parametrize("script", ["toolchain.sh", "swift.sh"])
def test_scripts_are_programs(script):
    if shutil.which("bash") is None:
        pytest.skip("needs the program `bash`")
    assert (IOS / script).stat().st_mode & 0o100
    subprocess.run(["bash", "-n", str(IOS / script)], check=True)


def test_without_swift_the_runner_says_what_to_do(tmp_path):
    bash, folder = shutil.which("bash"), shutil.which("dirname")
    if bash is None or folder is None:
        pytest.skip("needs the programs `bash` and `dirname`")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "dirname").symlink_to(folder)
    variables = {"KERAS_POSE_SWIFT": str(tmp_path), "PATH": str(tmp_path / "bin")}
    result = subprocess.run(
        [bash, str(IOS / "swift.sh"), "test"], env=variables, capture_output=True, text=True
    )

    assert result.returncode == 1
    assert "run mobile_demo/ios/toolchain.sh first" in result.stderr
