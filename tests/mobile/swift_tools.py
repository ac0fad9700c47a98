"""Swift: installed, or fetched by toolchain.sh."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

IOS = Path(__file__).resolve().parents[2] / "mobile_demo" / "ios"
TOOLCHAIN = Path(os.environ.get("KERAS_POSE_SWIFT", IOS / ".toolchain"))


def run_swift(*arguments, **variables):
    """Runs swift.sh; returns what `subprocess.run` does."""
    command = ["bash", str(IOS / "swift.sh"), *map(str, arguments)]
    return subprocess.run(
        command, env=os.environ | variables, capture_output=True, text=True, timeout=3000
    )


def require_swift():
    """Returns `run_swift`; skips where there is no Swift, or where it may not be run."""
    if not (TOOLCHAIN / "root").is_dir() and shutil.which("swift") is None:
        pytest.skip("needs Swift 5.9 or later: run mobile_demo/ios/toolchain.sh")
    result = run_swift("--version")
    if result.returncode:
        pytest.skip(f"needs a Swift that runs here: {result.stderr.strip()[-300:]}")
    return run_swift


def seen_as(pack: Path) -> Path:
    """Returns where Swift finds the folder that KERAS_POSE_PACK names.

    Skips where the fetched Swift comes without git.
    """
    if not (TOOLCHAIN / "root").is_dir():
        return pack
    if not (TOOLCHAIN / "root" / "usr" / "bin" / "git").exists():
        pytest.skip(
            "needs git beside Swift: remove the folder "
            f"{TOOLCHAIN}, and run mobile_demo/ios/toolchain.sh"
        )
    return Path("/pack")
