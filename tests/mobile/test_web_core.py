"""The JavaScript core, by its own tests: it must answer the parity pack as Python does."""

import re
import subprocess
from pathlib import Path

import pytest

WEB = Path(__file__).resolve().parents[2] / "mobile_demo" / "web"


def run(*command):
    return subprocess.run(command, cwd=WEB, capture_output=True, text=True, timeout=300)


def test_the_javascript_core_replays_the_parity_pack(node):
    result = run(node, "--test", "--test-reporter=tap")

    assert result.returncode == 0, result.stdout
    # The pack holds some sixty cases: none of them may have been lost on the way.
    assert int(re.search(r"^# pass (\d+)", result.stdout, re.MULTILINE)[1]) > 60


@pytest.mark.parametrize("project", [".", "tests", "app", "worker"])
def test_the_javascript_is_of_the_types_it_says(node, project):
    compiler = WEB / "node_modules" / "typescript" / "bin" / "tsc"
    if not compiler.exists():
        pytest.skip("needs TypeScript: run `npm ci` in mobile_demo/web")

    result = run(node, compiler, "-p", project)

    assert result.returncode == 0, result.stdout
