#!/usr/bin/env bash
# ai-edge-litert 2.3.0 for Linux (x86-64): nothing can be compiled for Samsung's NPUs. The
# package lists the target (aot.vendors.samsung, E9965) and brings a compiler plugin for it,
# but its own tool cannot load the plugin: a symbol of flatbuffers is missing, whatever SDK
# is installed. MediaTek's plugin, beside it, loads without an SDK. The nightly build
# 2.4.0.dev20261026 has the same fault.
# Seen: "Loaded 1 plugins" for MediaTek, "Loaded 0 plugins" for Samsung, with
# "undefined symbol: _ZN11flatbuffers13ClassicLocale9instance_E".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  ai-edge-litert==2.3.0 2>/dev/null
"$folder/venv/bin/python" - <<'PYTHON'
import importlib.metadata
import os
import re
import subprocess
from importlib import resources

from ai_edge_litert.aot.vendors.samsung import target

package = resources.files("ai_edge_litert")
print(f"ai-edge-litert {importlib.metadata.version('ai-edge-litert')}")
print(f"targets of Samsung: {[str(each) for each in target.SocModel]}")


def load(vendor):
    """Asks the package's tool to load a vendor's plugin; returns how many it loaded."""
    told = subprocess.run(
        [
            package / "tools" / "apply_plugin_main",
            "--cmd=info",
            "--err=--",
            f"--libs={package / 'vendors' / vendor / 'compiler'}",
        ],
        env={**os.environ, "LD_LIBRARY_PATH": str(package)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    ).stdout.decode(errors="replace")
    count = int(re.search(r"Loaded (\d+) plugins", told)[1])
    missing = re.search(r"undefined symbol: \S+", told)
    print(f"{vendor}: loaded {count} plugins{', ' + missing[0] if missing else ''}")
    return count, missing


assert load("mediatek") == (1, None)
count, missing = load("samsung")
if count or not missing:
    raise SystemExit("Samsung's plugin loads now, or fails otherwise: out of date")
PYTHON
