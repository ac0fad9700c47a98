#!/usr/bin/env bash
# Fetches what it takes to run LiteRT for 64-bit ARM on this machine.
#
#   mobile_demo/arm/toolchain.sh                      # 60 MB to fetch, 190 MB unpacked
#   KERAS_POSE_ARM=DIR mobile_demo/arm/toolchain.sh   # elsewhere than in .toolchain
#
# That is an emulator (Debian 13's static qemu-user 10; Debian 12's crashes), Python 3.11
# for arm64 (Debian 12's), and the aarch64 wheels of ai-edge-litert and NumPy, in the versions
# of requirements.txt. All is unpacked into a folder of its own, by a private configuration of
# apt: nothing is installed, and nothing of this machine changes. A second run finds the
# work done. KERAS_POSE_DEBIAN names another mirror, PYTHON another Python with pip.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
folder=${KERAS_POSE_ARM:-$here/.toolchain}
mirror=${KERAS_POSE_DEBIAN:-http://deb.debian.org/debian}
python=${PYTHON:-python3}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
versions=$(grep -E '^(ai-edge-litert|numpy)==' "$here/../../requirements.txt")
packages=(libc6 libgcc-s1 libstdc++6 zlib1g libbz2-1.0 liblzma5 libffi8 libssl3 libcrypt1
  libexpat1 libuuid1 python3.11-minimal libpython3.11-minimal libpython3.11-stdlib)

fail() {
  echo "No ARM toolchain: $1" >&2
  exit 1
}

check_machine() {
  [ "$(uname -sm)" = "Linux x86_64" ] || fail "this is $(uname -sm), and the emulator is of Linux x86_64."
  for program in apt-get dpkg-deb tar; do
    command -v "$program" > /dev/null || fail "it needs the program $program."
  done
  [ -r "$keyring" ] || fail "it needs Debian's keys, $keyring (package debian-archive-keyring)."
  "$python" -m pip --version > /dev/null 2>&1 || fail "it needs pip for $python."
}

# Downloads packages of one suite and architecture into $work/SUITE, by an apt that knows
# nothing of this machine's sources and packages. Usage: fetch SUITE ARCHITECTURE PACKAGE...
fetch() {
  local suite=$1 architecture=$2 apt="$work/apt-$1"
  shift 2
  mkdir -p "$apt"/{lists/partial,archives/partial,state,parts} "$work/$suite"
  : > "$apt/state/status"
  echo "deb [signed-by=$keyring] $mirror $suite main" > "$apt/sources.list"
  cat > "$apt/apt.conf" << CONF
Dir::State "$apt/state";
Dir::State::Lists "$apt/lists";
Dir::State::status "$apt/state/status";
Dir::Cache "$apt";
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "$apt/parts";
Dir::Etc::preferencesparts "$apt/parts";
APT::Architecture "$architecture";
APT::Architectures { "$architecture"; };
APT::Sandbox::User "";
Acquire::Languages "none";
CONF
  APT_CONFIG="$apt/apt.conf" apt-get -qq update
  (cd "$work/$suite" && APT_CONFIG="$apt/apt.conf" apt-get -qq download "$@")
}

unpack() {
  rm -rf "$folder"
  mkdir -p "$folder"/{emulator,arm64,packages}
  dpkg-deb --fsys-tarfile "$work"/trixie/*.deb |
    tar -x -C "$folder/emulator" --strip-components=3 ./usr/bin/qemu-aarch64
  for package in "$work"/bookworm/*.deb; do dpkg-deb -x "$package" "$folder/arm64"; done
  # shellcheck disable=SC2086  # each version is an argument
  "$python" -m pip install --quiet --target "$folder/packages" --no-deps \
    --only-binary=:all: --python-version 3.11 --implementation cp --abi cp311 \
    --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 \
    --platform manylinux2014_aarch64 $versions
  # Last: what was broken off is begun anew.
  echo "$versions" > "$folder/complete"
}

if [ "$(cat "$folder/complete" 2> /dev/null)" != "$versions" ]; then
  check_machine
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  fetch trixie amd64 qemu-user
  fetch bookworm arm64 "${packages[@]}"
  unpack
fi
echo "$folder"
