#!/usr/bin/env bash
# ai-edge-litert-sdk-qualcomm 2.3.0: where the vendor's server cannot be reached, pip says
# "Successfully installed" and exits with 0, but nothing of the SDK is there. The build prints
# "ERROR: Failed to download SDK" (which pip hides) and goes on; the empty wheel is kept in
# pip's cache, so a later installation is empty, too, with the server in reach. Its sibling
# ai-edge-litert-sdk-google-tensor 2.3.0 stops the installation in that case.
# The server is put out of reach by a proxy for the build alone; the package is from PyPI.
# Seen: pip exits with 0 and path_to_sdk_libs() is None for Qualcomm; pip fails for Google.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip=("$folder/venv/bin/pip" --disable-pip-version-check)
"${pip[@]}" install --quiet setuptools==80.9.0 wheel==0.45.1 2>/dev/null
SKIP_SDK_DOWNLOAD=1 "${pip[@]}" download --quiet --no-deps --no-build-isolation \
  --dest "$folder" ai-edge-litert-sdk-qualcomm==2.3.0 \
  ai-edge-litert-sdk-google-tensor==2.3.0 2>/dev/null

install() { # $1: the package's file; the build finds no server
  https_proxy=http://127.0.0.1:9 HTTPS_PROXY=http://127.0.0.1:9 \
    "${pip[@]}" install --no-cache-dir --no-index --no-deps --no-build-isolation "$1"
}

install "$folder"/ai_edge_litert_sdk_qualcomm-2.3.0.tar.gz > "$folder/log" 2>&1
grep "Successfully installed" "$folder/log"
! grep "Failed to download" "$folder/log"
"$folder/venv/bin/python" - <<'PYTHON'
import ai_edge_litert_sdk_qualcomm

found = ai_edge_litert_sdk_qualcomm.path_to_sdk_libs()
print(f"path_to_sdk_libs(): {found}")
if found is not None:
    raise SystemExit("the SDK is there: the server was reached, or this is out of date")
PYTHON
if install "$folder"/ai_edge_litert_sdk_google_tensor-2.3.0.tar.gz > "$folder/log" 2>&1; then
  echo "ai-edge-litert-sdk-google-tensor: installed empty, too: out of date"
  exit 1
fi
grep -m 1 "Aborting installation" "$folder/log"
