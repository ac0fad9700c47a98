"""The Android app: compiled against a real android.jar, packed, signed and looked into.

Nothing runs on a device here. What is not Android's own (`logic/`) runs on the JVM.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ElementTree
import zipfile
from pathlib import Path

import numpy as np
import pytest
from mobile.colour_models import crowd_bundle, export_pose
from mobile.kotlin_tools import (
    ANDROID,
    APP,
    FLAVOURS,
    require_toolchain,
    run_java,
    runtime_of,
)

from keras_pose.contracts.pose import read_contract
from keras_pose.parity.model_pictures import drawn_people
from keras_pose.pictures.drawing import keypoint_colors, limb_colors, track_color
from keras_pose.runtime.loading import load_model
from keras_pose.runtime.top_down_steps import crop_people
from keras_pose.shipped import shipped_file, shipped_network
from keras_pose.skeleton import COCO_17

ROOT = ANDROID.parents[1]
NAMESPACE = "{http://schemas.android.com/apk/res/android}"


def read_catalog() -> dict:
    return tomllib.loads((ANDROID / "gradle" / "libs.versions.toml").read_text())


def kotlin_files() -> list[Path]:
    """Returns the app's own sources, those of its flavours among them."""
    return sorted(APP.parent.glob("*/kotlin/*.kt"))


def kotlin_sources() -> str:
    return "\n".join(path.read_text() for path in kotlin_files())


@pytest.mark.parametrize(
    "path", [path.relative_to(ANDROID) for path in sorted(APP.rglob("*.xml"))], ids=str
)
def test_resources_are_well_formed(path):
    ElementTree.parse(ANDROID / path)


def test_every_string_and_view_that_the_app_asks_for_is_there():
    strings = ElementTree.parse(APP / "res" / "values" / "strings.xml").getroot()
    named = {child.get("name") for child in strings}
    layout = ElementTree.parse(APP / "res" / "layout" / "main.xml")
    ids = {node.get(f"{NAMESPACE}id", "").split("/")[-1] for node in layout.iter()}
    markup = "\n".join(path.read_text() for path in APP.rglob("*.xml"))
    sources = kotlin_sources()

    used = set(re.findall(r"R\.(?:string|plurals)\.(\w+)", sources))
    used |= set(re.findall(r"@string/(\w+)", markup))

    assert used == named  # nothing is missing, nothing is left over
    assert set(re.findall(r"R\.id\.(\w+)", sources)) <= ids


def test_strings_take_as_many_values_as_they_are_given():
    strings = ElementTree.parse(APP / "res" / "values" / "strings.xml").getroot()
    wanted = {
        node.get("name"): len(set(re.findall(r"%(\d)\$", node.text or "")))
        for node in strings
    }
    given = re.findall(
        r"getString\(R\.string\.(\w+)((?:, [\w.]+(?:\([^()]*\))?)*)\)", kotlin_sources()
    )

    assert len(given) >= 8
    for name, values in given:
        assert wanted[name] == values.count(", "), name


def test_the_manifest_asks_for_the_camera_and_for_no_internet():
    manifest = ElementTree.parse(APP / "AndroidManifest.xml").getroot()
    asked = manifest.findall("uses-permission")
    is_removed = "{http://schemas.android.com/tools}node"
    permissions = [
        node.get(f"{NAMESPACE}name") for node in asked if node.get(is_removed) is None
    ]
    # What the manifest in LiteRT's AAR asks for.
    removed = [node.get(f"{NAMESPACE}name") for node in asked if node.get(is_removed)]
    features = {
        node.get(f"{NAMESPACE}name"): node.get(f"{NAMESPACE}required")
        for node in manifest.iter("uses-feature")
    }

    assert permissions == ["android.permission.CAMERA"]
    assert {name.rpartition(".")[2] for name in removed} == {
        "FOREGROUND_SERVICE",
        "FOREGROUND_SERVICE_DATA_SYNC",
    }
    # Pictures need none. The permission alone would imply `camera` as required.
    assert set(features) == {"android.hardware.camera.any", "android.hardware.camera"}
    assert set(features.values()) == {"false"}
    # Gradle takes it from build.gradle.kts and refuses it here; build_apk.sh adds it.
    assert manifest.get("package") is None


def test_the_gradle_project_names_what_is_there():
    build = (ANDROID / "app" / "build.gradle.kts").read_text()
    folders = re.search(r"kotlin\.srcDirs\(([^)]*)\)", build)[1]
    for folder in re.findall(r'"([^"]+)"', folders):
        assert list((ANDROID / "app" / folder).glob("*.kt")), folder
    for name in re.findall(r'"(\.\./\w+\.pro)"', build):
        assert (ANDROID / "app" / name).is_file()
    activity = ElementTree.parse(APP / "AndroidManifest.xml").find("application/activity")
    namespace = re.search(r'namespace = "([\w.]+)"', build)[1]
    assert activity.get(f"{NAMESPACE}name") == f"{namespace}.MainActivity"
    assert f'package="{namespace}"' in (ANDROID / "build_apk.sh").read_text()
    assert f"package {namespace}\n" in kotlin_sources()


def test_the_gradle_files_take_from_the_catalog_what_it_has():
    catalog = read_catalog()
    builds = [ANDROID / "build.gradle.kts", ANDROID / "app" / "build.gradle.kts"]
    taken = set(
        re.findall(
            r"libs\.([\w.]+?)(?:\)|\.get\(\))", "".join(p.read_text() for p in builds)
        )
    )
    offered = {f"versions.{name}" for name in catalog["versions"]}
    offered |= {name.replace("-", ".") for name in catalog["libraries"]}
    offered |= {f"plugins.{name.replace('-', '.')}" for name in catalog["plugins"]}

    assert len(taken) >= 8
    assert taken <= offered, taken - offered
    for entry in (*catalog["libraries"].values(), *catalog["plugins"].values()):
        assert entry["version"]["ref"] in catalog["versions"]


def test_the_gradle_projects_versions_go_together():
    catalog = read_catalog()["versions"]
    wrapper = (ANDROID / "gradle" / "wrapper" / "gradle-wrapper.properties").read_text()

    # What the release notes of the Android Gradle plugin 8.13 ask for.
    assert catalog["agp"].startswith("8.13.")
    assert "gradle-8.13-bin.zip" in wrapper
    assert int(catalog["compileSdk"]) <= 36
    assert int(catalog["minSdk"]) <= int(catalog["targetSdk"]) <= int(catalog["compileSdk"])
    # The sources are checked against the API of the oldest Android that the app runs on.
    assert catalog["minSdk"] == "23"


def test_every_flavour_has_its_runtime_and_what_it_depends_on():
    build = (ANDROID / "app" / "build.gradle.kts").read_text()
    script = (ANDROID / "build_apk.sh").read_text()
    depends = re.findall(r'"?(\w*mplementation)"?\(libs\.([\w.]+)\)', build)
    modules = {
        name.replace("-", "."): entry["module"]
        for name, entry in read_catalog()["libraries"].items()
    }

    assert tuple(re.findall(r'create\("(\w+)"\)', build)) == FLAVOURS
    assert f"flavours=({' '.join(FLAVOURS)})" in script
    for flavour in FLAVOURS:
        assert (
            "internal fun startRuntime(context: Context)" in runtime_of(flavour).read_text()
        )
    # What all flavours depended on would bring the runtime into `play`, too.
    assert sorted((to, modules[name]) for to, name in depends) == [
        ("bundledImplementation", "com.google.ai.edge.litert:litert"),
        ("bundledImplementation", "com.google.ai.edge.litert:litert-gpu"),
        ("playImplementation", "com.google.android.gms:play-services-litert"),
    ]


def test_only_the_adapter_and_the_flavours_runtimes_know_litert():
    folders = (ANDROID / "logic", ANDROID.parent / "kotlin")
    others = [path for folder in folders for path in folder.rglob("*.kt")]
    uses = re.compile(r"com\.google\.|org\.tensorflow")
    users = {path for path in (*kotlin_files(), *others) if uses.search(path.read_text())}

    assert users == {APP / "kotlin" / "LiteRt.kt", *map(runtime_of, FLAVOURS)}
    # What all flavours share has neither Play services nor a library of NPUs.
    play = {path for path in users if "com.google.android.gms" in path.read_text()}
    npu = {path for path in users if "NpuAcceleratorProvider" in path.read_text()}
    assert (play, npu) == ({runtime_of("play")}, {runtime_of("bundled")})


def test_what_is_found_by_name_keeps_its_name():
    # `initializeWithGpu` looks for methods, which R8 would leave out or rename.
    assert "initializeWithGpu(LiteRt::class.java" in runtime_of("play").read_text()
    rules = (ANDROID / "proguard.pro").read_text().splitlines()
    assert "-keep class com.google.android.gms.litert.** { *; }" in rules


def test_no_flavour_that_is_not_there_is_built():
    command = [ANDROID / "build_apk.sh", "--flavour", "nano"]
    result = subprocess.run(command, capture_output=True, text=True)

    assert result.returncode == 2
    assert result.stderr == "build_apk.sh knows the flavours bundled play, not nano.\n"


def stub() -> str:
    return "\n".join(path.read_text() for path in sorted((ANDROID / "stub").rglob("*.kt")))


def adapter() -> str:
    """Returns all sources of the app that know LiteRT."""
    paths = (APP / "kotlin" / "LiteRt.kt", *map(runtime_of, FLAVOURS))
    return "\n".join(path.read_text() for path in paths)


def test_the_stub_declares_what_the_app_uses_and_little_more():
    imported = set(re.findall(r"^import com\.google\.[\w.]+\.(\w+)", adapter(), re.M))

    assert {"CompiledModel", "LiteRt"} < imported
    assert imported <= set(re.findall(r"(?:class|object) (\w+)", stub()))
    methods = set(re.findall(r" fun (?:<\w+> )?(\w+)\(", stub()))
    # What their interfaces and base class have besides.
    inherited = {"destroy", "isLibraryReady", "downloadLibrary", "getLibraryDir"}
    assert {method for method in methods if f"{method}(" not in adapter()} == inherited


def test_the_stub_has_the_signatures_that_google_publishes():
    published = Path(__file__).with_name("litert_signatures.txt").read_text()
    signatures = [line for line in published.splitlines() if not line.startswith("#")]
    declared = re.sub(r"\s+", " ", stub())

    assert len(signatures) > 17
    for signature in signatures:
        assert signature in declared, signature


def types_of(list_name: str) -> set[str]:
    source = (ANDROID / "logic" / "src" / "Tensors.kt").read_text()
    return set(
        re.findall(r'"(\w+)"', re.search(rf"{list_name} = listOf\((.*)\)", source)[1])
    )


@pytest.mark.slow
@pytest.mark.parametrize("with_decode", [False, True])
def test_int16x8_files_run_with_keypoints_decoded_in_the_graph(tmp_path, with_decode):
    # The app's refusal of int16 outputs says so.
    contract = read_contract(export_pose(tmp_path / "a.tflite", "int16x8", with_decode))

    assert contract.input.dtype in types_of("INPUT_TYPES")
    assert (contract.output.dtype in types_of("OUTPUT_TYPES")) == with_decode


def test_an_npu_is_never_alone():
    # CompiledModel.create adds the CPU to a lone NPU without a word, and the file may
    # then run on the CPU as a whole (google-ai-edge/LiteRT, issues 7891 and 9246).
    assert "Options(setOf(kindOf(placement.accelerator), kindOf(placement)))" in adapter()
    assert "LiteRtAccelerator.NONE else LiteRtAccelerator.CPU" in adapter()
    assert "NNAPI" not in kotlin_sources()


def test_what_litert_throws_ends_no_app():
    # LiteRtException is no RuntimeException; on the networks' thread it would end the app.
    assert "class LiteRtException(message: String) : Exception(message)" in stub()
    engine = (APP / "kotlin" / "Engine.kt").read_text()
    assert "catch (error: Exception) {\n            fail(" in engine


def test_nothing_of_the_core_and_the_logic_is_androids():
    for folder in (ANDROID / "logic", ANDROID.parent / "kotlin"):
        for path in folder.rglob("*.kt"):
            assert "import android" not in path.read_text(), path


def test_scripts_are_valid_and_can_be_started():
    for name in ("toolchain.sh", "build_apk.sh"):
        assert (ANDROID / name).stat().st_mode & 0o111
        subprocess.run(["bash", "-n", ANDROID / name], check=True)


def test_the_toolchain_names_what_is_missing(tmp_path):
    for program in ("bash", "dirname", "mkdir"):
        (tmp_path / program).symlink_to(shutil.which(program))
    environment = {
        "PATH": str(tmp_path),
        "KERAS_POSE_ANDROID_TOOLCHAIN": str(tmp_path / "t"),
    }

    result = subprocess.run(
        ["bash", ANDROID / "toolchain.sh"], env=environment, capture_output=True, text=True
    )

    assert result.returncode == 1
    assert "the program `apt-get` is missing" in result.stderr


# --- with Android's tools


@pytest.fixture
def bundle(tmp_path):
    """What export/bundle_mobile.py gives an app."""
    folder = tmp_path / "models"
    command = [sys.executable, ROOT / "export" / "bundle_mobile.py", "--output", folder]
    subprocess.run(
        list(map(str, [*command, "--cases", 1])), check=True, capture_output=True
    )
    return folder


@pytest.mark.very_slow
def test_the_apps_logic_does_what_it_says_in_pythons_colours(kotlin_classes, bundle):
    result = run_java(kotlin_classes, "keraspose.phone.TestsKt", bundle)
    colours = run_java(kotlin_classes, "keraspose.phone.TestsKt", "colours", bundle)

    assert result.returncode == 0, result.stdout + result.stderr
    assert int(re.search(r"(\d+) passed", result.stdout)[1]) >= 30
    expected = map(track_color, range(20)), keypoint_colors(COCO_17), limb_colors(COCO_17)
    assert colours.stdout.splitlines() == [written(colors) for colors in expected]


@pytest.mark.very_slow
@pytest.mark.parametrize(("task", "num_people"), [("one_stage", 2), ("bottom_up", 6)])
def test_the_app_opens_bundles_of_networks_that_find_everybody(
    kotlin_classes, tmp_path, task, num_people
):
    folder = crowd_bundle(tmp_path, task)
    arguments = ("keraspose.phone.TestsKt", "crowd", folder, task, num_people)
    result = run_java(kotlin_classes, *arguments)

    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout == f"opened a bundle for {task}\n"


def written(colors) -> str:
    return " ".join("{:02x}{:02x}{:02x}".format(*color) for color in colors)


def run_tool(name: str, *arguments) -> str:
    program = require_toolchain() / "bin" / name
    return subprocess.run(
        [program, *arguments], check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.very_slow
def test_all_flavours_compile(tmp_path):
    require_toolchain()
    command = [ANDROID / "build_apk.sh", "--check", "--output", tmp_path]
    result = subprocess.run(command, capture_output=True, text=True)

    assert result.returncode == 0, result.stdout + result.stderr
    assert [line.split()[0] for line in result.stdout.splitlines()] == list(FLAVOURS)
    assert "warning:" not in result.stderr.replace("VM warning:", ""), result.stderr


@pytest.mark.very_slow
@pytest.mark.parametrize(
    ("flavour", "name"), [("bundled", "keras_pose.apk"), ("play", "keras_pose-play.apk")]
)
def test_the_apk_is_built_signed_and_whole(tmp_path, flavour, name):
    require_toolchain()
    result = subprocess.run(
        [ANDROID / "build_apk.sh", "--flavour", flavour, "--output", tmp_path],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHON": sys.executable},
    )

    assert result.returncode == 0, result.stdout + result.stderr
    assert "warning:" not in result.stderr.replace("VM warning:", ""), result.stderr
    assert f"{name} suits pages of 16 KB: 0 native libraries" in result.stdout
    apk = tmp_path / name
    check_signature_and_manifest(apk)
    check_classes(apk, tmp_path, flavour)
    check_models(apk)


def check_signature_and_manifest(apk):
    verified = run_tool("apksigner", "verify", "--verbose", apk)
    badging = run_tool("aapt", "dump", "badging", apk)
    run_tool("zipalign", "-c", "4", apk)
    catalog = read_catalog()["versions"]

    assert "Verified using v2 scheme (APK Signature Scheme v2): true" in verified
    assert "package: name='keraspose.app'" in badging
    assert f"sdkVersion:'{catalog['minSdk']}'" in badging
    assert f"targetSdkVersion:'{catalog['targetSdk']}'" in badging
    assert "launchable-activity: name='keraspose.app.MainActivity'" in badging
    permissions = re.findall(r"uses-permission: name='([\w.]+)'", badging)
    assert permissions == ["android.permission.CAMERA"]


def check_classes(apk, folder, flavour):
    with zipfile.ZipFile(apk) as archive:
        archive.extract("classes.dex", folder)
    dump = run_tool("dexdump", folder / "classes.dex")
    classes = re.findall(r"Class descriptor\s+: 'L([^;]+);'", dump)

    core = ("PoseEstimator", "RegionFollower", "OksTracker", "OneEuroSmoother")
    app = (
        "phone/Session",
        "app/MainActivity",
        "app/Camera",
        "app/PoseView",
        "app/LiteRtAccelerators",
    )
    assert {f"keraspose/{name}" for name in core + app} <= set(classes)
    # What only one flavour calls is in that one.
    assert ("keraspose/phone/StartedFromPlay" in classes) == (flavour == "play")
    # Of LiteRT there are only signatures to compile against: a half one must not be packed.
    assert not [name for name in classes if name.startswith(("com/google", "org/tens"))]


def check_models(apk):
    models = APP / "assets" / "models"
    with zipfile.ZipFile(apk) as archive:
        entries = {info.filename: info for info in archive.infolist()}
        for name in ("pose.tflite", "detector.tflite"):
            # Not compressed, so that it can be mapped into memory.
            assert entries[f"assets/models/{name}"].compress_type == zipfile.ZIP_STORED
            assert archive.read(f"assets/models/{name}") == (models / name).read_bytes()
    assert "assets/models/manifest.json" in entries
    packed = sum(
        entries[name].compress_size for name in entries if name.startswith("assets/")
    )
    # Code that nothing calls is left out: Kotlin's library alone would be more than this.
    assert apk.stat().st_size < packed + 600_000


def test_all_apps_hold_accelerators_to_one_bound():
    demo = ANDROID.parent
    sources = {
        demo / "android/logic/src/Accelerators.kt": r"(MOST_OFF|MOST_STEPS_OFF) = ([\d.]+)",
        demo / "web/worker/checks.js": r"(MOST_OFF|MOST_STEPS_OFF) = ([\d.]+)",
        demo / "ios/KerasPoseCore/Sources/KerasPoseDemo/Checks.swift": (
            r"(mostOff|mostStepsOff) = ([\d.]+)"
        ),
    }
    bounds = [
        [float(bound) for _, bound in re.findall(pattern, path.read_text())]
        for path, pattern in sources.items()
    ]

    assert bounds == [bounds[0]] * 3
    assert len(bounds[0]) == 2


def test_both_apps_time_accelerators_alike():
    names = ["NUM_TIMED", "NUM_WARM_UPS", "MOST_OF_CPU_TIME", "NUM_NAMED"]
    swift_names = ["numTimed", "numWarmUps", "mostOfCPUTime", "numNamed"]
    swift = "ios/KerasPoseCore/Sources/KerasPoseDemo/Accelerators.swift"
    kotlin_source = (ANDROID / "logic" / "src" / "Accelerators.kt").read_text()
    swift_source = (ANDROID.parent / swift).read_text()

    numbers = [
        [re.findall(rf"\b{name} = ([\d.]+)", source) for name in each]
        for each, source in ((names, kotlin_source), (swift_names, swift_source))
    ]

    assert numbers[0] == numbers[1]
    assert all(len(found) == 1 for found in numbers[0])


def test_accelerators_may_round_as_coarsely_as_int8_and_not_compute_something_else():
    source = (ANDROID / "logic" / "src" / "Accelerators.kt").read_text()
    share = float(re.search(r"MOST_OFF = ([\d.]+)", source)[1])
    steps = int(re.search(r"MOST_STEPS_OFF = (\d+)", source)[1])
    person = drawn_people(1)[0]
    models = map(load_model, (shipped_file("pose", "int8"), shipped_network("pose")))
    contract = read_contract(shipped_file("pose", "int8"))
    crops, _ = crop_people(person.image, [person.box_xywh], contract)
    int8, real = (model.predict(crops)[0] for model in models)
    bound = share * real.std() + steps * contract.output.scale

    def distance(outputs):
        return np.sqrt(np.mean((outputs - real) ** 2))

    # 0.07 and 0.33 of the standard deviation, as the source says.
    assert distance(int8) < 0.08 * real.std() < bound / 2
    assert distance(np.roll(real, 1, axis=1)) > 0.3 * real.std() > bound
    assert distance(real[:, ::-1]) > bound
    assert distance(real / 2) > bound
