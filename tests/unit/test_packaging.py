"""Files that build and document the project agree with what is there."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_dockerfile_copies_what_is_there_and_what_the_wheel_is_made_of():
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    copied = [
        name
        for line in re.findall(r"^COPY (.+)$", text, re.M)
        for name in line.split()[:-1]
    ]
    for name in copied:
        assert (ROOT / name).exists(), name
        assert name.removeprefix("./") not in ignored, name
    needed = {"pyproject.toml", "setup.py", "README.md", "keras_pose", "training", "export"}
    assert needed <= {name.removeprefix("./") for name in copied}
    # The line that asks for CUDA takes its version from there.
    requirements = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert len(re.findall("^tensorflow==", requirements, re.M)) == 1


def test_command_is_a_function_that_is_there():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    module, _, function = project["project"]["scripts"]["keras-pose"].partition(":")
    assert hasattr(__import__(module, fromlist=[function]), function)


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_links_lead_to_files(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)", text):
        assert (ROOT / link).exists(), link


def test_readme_fits_one_screen():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 70


def test_site_names_pages_that_are_there_and_the_front_page_all_ways_on():
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    named = set(re.findall(r"(\w+\.md)$", text, re.M))
    assert named <= {path.name for path in (ROOT / "docs").glob("*.md")}
    assert {"index.md", "train.md", "export.md", "see.md", "models.md", "api.md"} <= named


def test_the_lowest_versions_that_are_allowed_are_those_that_ci_tries():
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = data["project"]
    allowed = [*project["dependencies"], *project["optional-dependencies"]["train"]]
    pins = dict(
        line.split("==")
        for line in (ROOT / "requirements-lowest.txt").read_text().splitlines()
        if line and not line.startswith("#")
    )
    for requirement in allowed:
        name, lowest = re.match(r"([\w-]+)>=([\d.]+)", requirement).groups()
        # Of 2.20, any 2.20.x.
        assert f"{pins[name]}.".startswith(f"{lowest}."), requirement
