"""The cores as packages: what is packed is installed elsewhere, and their examples run.

Each README's example stands a network in that sees every keypoint in the middle of the
picture, and prints the keypoints; Python says where these must be.
"""

import json
import os
import re
import shutil
import subprocess
import tarfile
import tomllib
import xml.etree.ElementTree as ElementTree
import zipfile
from pathlib import Path

import numpy as np
import pytest
from mobile.kotlin_tools import ANDROID, KOTLIN, load_build_library, run_java
from mobile.swift_tools import seen_as

import keras_pose
from keras_pose.contracts.pose import read_contract
from keras_pose.pictures.geometry import whole_image_box, xyxy_to_xywh
from keras_pose.runtime.top_down_steps import crop_people, decode_people
from keras_pose.shipped import shipped_file

ROOT = Path(__file__).resolve().parents[2]
MOBILE = ROOT / "mobile_demo"
WEB = MOBILE / "web"


def program_in(readme: Path, language: str) -> str:
    """Returns the program in the README of a core."""
    text = readme.read_text()
    (block,) = re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return block


def check_printed(text: str) -> None:
    """Checks keypoints that an example printed, one a line: name, x, y."""
    contract = read_contract(shipped_file("pose", "int8"))
    image = np.zeros((480, 640, 3), np.uint8)
    box = xyxy_to_xywh(whole_image_box(image.shape[:2]))
    _, to_image = crop_people(image, [box], contract)
    height, width, _ = contract.output.shape[1:]
    raw = np.zeros((1, *contract.output.shape[1:]), np.float32)
    raw[:, height // 2, width // 2] = 127
    outputs = (raw - contract.output.zero_point) * contract.output.scale
    expected_xy, _ = decode_people(outputs, to_image, contract)

    lines = [line.split() for line in text.splitlines()]
    assert [name for name, _, _ in lines] == list(contract.skeleton.names)
    found_xy = np.array([[float(x), float(y)] for _, x, y in lines])
    # The bound of parity packs for keypoints, pixels.
    np.testing.assert_allclose(found_xy, expected_xy[0], atol=1e-3)


@pytest.fixture
def folder(tmp_path):
    """An empty folder, but for a model that carries its contract inside."""
    shutil.copy(shipped_file("pose", "int8"), tmp_path / "pose.tflite")
    return tmp_path


def run(*command, cwd=None, **variables):
    return subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | variables,
    )


def succeeded(result) -> str:
    """Returns what a program printed; fails, showing all of it, if that failed."""
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


# --- JavaScript


def test_the_npm_package_has_the_projects_version_and_no_dependencies():
    package = json.loads((WEB / "core" / "package.json").read_text())

    assert package["version"] == keras_pose.__version__
    assert package["license"] == "Apache-2.0"
    assert not {"dependencies", "peerDependencies", "private"} & set(package)
    sources = {path.name for path in (WEB / "core").glob("*.js")}
    assert package["exports"]["."]["default"].removeprefix("./") in sources


@pytest.fixture(scope="module")
def typescript(node):
    path = WEB / "node_modules" / "typescript" / "bin" / "tsc"
    if shutil.which("npm") is None or not path.exists():
        pytest.skip("needs npm and TypeScript: run `npm ci` in mobile_demo/web")
    return node, path


@pytest.mark.very_slow
def test_the_npm_package_is_installed_typed_and_run(typescript, folder):
    node, tsc = typescript
    tarball = packed(folder)
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    installing = run(
        "npm", "install", "--offline", "--no-audit", "--no-fund", tarball, cwd=folder
    )
    succeeded(installing)
    (folder / "example.js").write_text(program_in(WEB / "core" / "README.md", "js"))

    check_printed(succeeded(run(node, "example.js", cwd=folder)))
    succeeded(type_check(node, tsc, folder, exports_of(node, folder)))


def packed(folder: Path) -> Path:
    """Packs the core; returns the tarball, whose files were looked at."""
    succeeded(run("npm", "pack", "--pack-destination", folder, cwd=WEB / "core"))
    tarball = folder / f"keras-pose-core-{keras_pose.__version__}.tgz"
    with tarfile.open(tarball) as archive:
        names = {name.removeprefix("package/") for name in archive.getnames()}
        licence = archive.extractfile("package/LICENSE").read()
    modules = {path.stem for path in (WEB / "core").glob("*.js")}
    expected = {"LICENSE", "README.md", "package.json"}
    expected |= {f"{module}.js" for module in modules}
    expected |= {f"types/{module}.d.ts" for module in modules}
    assert names == expected
    assert licence == (ROOT / "LICENSE").read_bytes()
    return tarball


def exports_of(node, folder: Path) -> list[str]:
    program = 'console.log(JSON.stringify(Object.keys(await import("keras-pose-core"))))'
    command = (node, "--input-type=module", "--eval", program)
    return json.loads(succeeded(run(*command, cwd=folder)))


def type_check(node, tsc, folder: Path, names: list[str]):
    """Type-checks the example, and that types declare `names`, no less and no more."""
    declared = "\n".join(f"  {name}: true," for name in names)
    (folder / "exports.ts").write_text(f"""
import * as core from "keras-pose-core";
export const declared: Record<keyof typeof core, true> = {{
{declared}
}};
// @ts-expect-error: a tracker takes a skeleton; types that are any would let this pass.
new core.OksTracker(17);
// @ts-expect-error
export const width: string = core.letterboxHw;
""")
    options = {
        **{"strict": True, "noEmit": True, "allowJs": True, "checkJs": True},
        **{"target": "es2022", "lib": ["es2023"], "module": "nodenext"},
        **{"types": ["node"], "typeRoots": [str(WEB / "node_modules" / "@types")]},
    }
    files = ["example.js", "exports.ts"]
    project = {"compilerOptions": options, "files": files}
    (folder / "tsconfig.json").write_text(json.dumps(project))
    return run(node, tsc, "-p", ".", cwd=folder)


# --- Kotlin


def test_the_kotlin_library_has_the_same_coordinates_in_maven_and_gradle():
    group, name, version = load_build_library().coordinates()
    build = (KOTLIN / "build.gradle.kts").read_text()
    settings = (KOTLIN / "settings.gradle.kts").read_text()
    catalog = tomllib.loads((ANDROID / "gradle" / "libs.versions.toml").read_text())

    assert version == keras_pose.__version__
    assert f'group = "{group}"' in build
    assert f'version = "{version}"\n' in build
    assert f'rootProject.name = "{name}"' in settings
    assert f'kotlin("jvm") version "{catalog["versions"]["kotlin"]}"' in build
    assert f'"{group}:{name}:{version}"' in (KOTLIN / "README.md").read_text()


@pytest.mark.very_slow
def test_the_kotlin_library_is_whole_and_its_example_runs(kotlin_classes, folder):
    # All tests of the core run against this very file: the fixture builds it.
    (jar,) = (Path(path) for path in kotlin_classes.split(":") if "library" in path)
    pom = ElementTree.parse(jar.with_suffix(".pom")).getroot()
    with zipfile.ZipFile(jar) as archive, zipfile.ZipFile(sources_of(jar)) as sources:
        classes = set(archive.namelist())
        licences = {part.read("META-INF/LICENSE") for part in (archive, sources)}
        names = set(sources.namelist())
        major = archive.read("keraspose/PoseEstimator.class")[7]

    assert {"keraspose/PoseEstimator.class", "keraspose/OksTracker.class"} <= classes
    assert not [
        name for name in classes if not name.startswith(("keraspose/", "META-INF/"))
    ]
    assert licences == {(ROOT / "LICENSE").read_bytes()}
    assert names - {"META-INF/LICENSE"} == {p.name for p in (KOTLIN / "src").glob("*.kt")}
    assert major == 52  # Java 8's class files, which Android's tools take
    space = "{http://maven.apache.org/POM/4.0.0}"
    (needed,) = pom.iter(f"{space}dependency")
    assert needed.findtext(f"{space}artifactId") == "kotlin-stdlib"
    assert re.fullmatch(r"\d+\.\d+\.\d+", needed.findtext(f"{space}version"))
    java = run_java(kotlin_classes, "ExampleKt", cwd=folder)
    check_printed(succeeded(java))


def sources_of(jar: Path) -> Path:
    return jar.with_name(f"{jar.stem}-sources.jar")


# --- Swift

SWIFT = MOBILE / "ios" / "KerasPoseCore"
CONSUMER = """// swift-tools-version:5.9
import PackageDescription

let package = Package(
    name: "Example",
    {dependencies}
)
"""


def products_of(manifest: Path) -> dict:
    """Returns what a Package.swift says of versions and products, but for tests."""
    text = manifest.read_text()
    return {
        "tools": text.splitlines()[0],
        "platforms": re.search(r"platforms: (.*)", text)[1],
        "products": re.findall(r"\.library\((.*)\)", text),
        "targets": re.findall(
            r'\.target\(name: "(\w+)"(?:, dependencies: (\[[^]]*\]))?', text
        ),
    }


def test_both_swift_manifests_offer_the_same():
    root = ROOT / "Package.swift"

    assert products_of(root) == products_of(SWIFT / "Package.swift")
    assert len(products_of(root)["targets"]) == 3
    folder = re.search(r'let sources = "(.*)"', root.read_text())[1]
    for name in re.findall(r'path: sources \+ "(\w+)"', root.read_text()):
        assert list((ROOT / folder / name).glob("*.swift")), name


def test_swift_users_are_told_the_projects_version():
    readme = (SWIFT / "README.md").read_text()

    assert re.findall(r'exact: "([\d.]+)"', readme) == [keras_pose.__version__]


@pytest.mark.very_slow
def test_the_swift_package_is_taken_by_its_tag_and_its_example_runs(swift, folder):
    if shutil.which("git") is None:
        pytest.skip("needs the program `git`")
    # SwiftPM names a package by the last part of its address.
    repository = folder / "keras_pose"
    repository.mkdir()
    shutil.copy(ROOT / "Package.swift", repository)
    shutil.copytree(
        SWIFT,
        repository / SWIFT.relative_to(ROOT),
        ignore=shutil.ignore_patterns(".build"),
    )
    tag(repository, keras_pose.__version__)
    seen = seen_as(folder)
    (lines,) = re.findall(
        r"^```\n(dependencies: .*?)^```",
        (SWIFT / "README.md").read_text(),
        re.DOTALL | re.MULTILINE,
    )
    package = folder / "example"
    (package / "Sources" / "Example").mkdir(parents=True)
    dependencies = lines.replace("REPOSITORY", f"file://{seen}/keras_pose").strip()
    (package / "Package.swift").write_text(CONSUMER.format(dependencies=dependencies))
    main = package / "Sources" / "Example" / "main.swift"
    main.write_text(program_in(SWIFT / "README.md", "swift"))
    shutil.move(folder / "pose.tflite", package)

    result = swift("example", f"{seen}/example", KERAS_POSE_PACK=str(folder))

    check_printed(succeeded(result))


def tag(repository: Path, version: str) -> None:
    """Makes a folder a git repository whose only commit has a tag."""
    names = {f"GIT_{who}_{what}": "test@example.org" for who in ("AUTHOR", "COMMITTER")
             for what in ("NAME", "EMAIL")}  # fmt: skip
    steps = ["init", "-q"], ["add", "."], ["commit", "-qm", "All"], ["tag", version]
    for arguments in steps:
        succeeded(run("git", *arguments, cwd=repository, **names))
