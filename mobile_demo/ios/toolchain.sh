#!/usr/bin/env bash
# Fetches Swift 6.0 for Linux, with which the core is tested where there is no Xcode.
#
#   mobile_demo/ios/toolchain.sh                          # 573 MB to fetch, 2.6 GB unpacked
#   KERAS_POSE_SWIFT=DIR mobile_demo/ios/toolchain.sh     # elsewhere than in .toolchain
#
# Debian 13's packages are unpacked into a folder of their own, by a private configuration
# of apt: nothing is installed, and nothing of this machine changes. swift.sh runs what is in
# there. A second run finds the work done. KERAS_POSE_DEBIAN names another mirror.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
folder=${KERAS_POSE_SWIFT:-$here/.toolchain}
mirror=${KERAS_POSE_DEBIAN:-http://deb.debian.org/debian}
suite=trixie
packages=(swiftlang git libc6-dev libstdc++-14-dev base-files bash coreutils)
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

fail() {
  echo "No Swift toolchain: $1" >&2
  exit 1
}

check_machine() {
  [ "$(uname -sm)" = "Linux x86_64" ] || fail "this is $(uname -sm), and the packages are of Linux x86_64. On a Mac, Xcode has Swift."
  for program in apt-get dpkg-deb unshare chroot; do
    command -v "$program" >/dev/null || fail "it needs the program $program."
  done
  [ -r "$keyring" ] || fail "it needs Debian's keys, $keyring (package debian-archive-keyring)."
}

# What apt is told: other sources, and no knowledge of what this machine has.
configure_apt() {
  mkdir -p "$folder"/apt/{lists/partial,archives/partial,state}
  : > "$folder/apt/state/status"
  echo "deb [signed-by=$keyring] $mirror $suite main" > "$folder/apt/sources.list"
  cat > "$folder/apt/apt.conf" <<CONF
Dir::State "$folder/apt/state";
Dir::State::Lists "$folder/apt/lists";
Dir::State::status "$folder/apt/state/status";
Dir::Cache "$folder/apt";
Dir::Cache::archives "$folder/apt/archives";
Dir::Etc::sourcelist "$folder/apt/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Architectures { "amd64"; };
APT::Keep-Downloaded-Packages "true";
APT::Install-Recommends "false";
APT::Sandbox::User "";
Debug::NoLocking "true";
Acquire::Retries "3";
CONF
  export APT_CONFIG="$folder/apt/apt.conf"
}

download() {
  nice -n 10 apt-get -q update || fail "apt cannot read $mirror $suite."
  nice -n 10 apt-get -q -y --download-only install "${packages[@]}" ||
    fail "apt cannot fetch ${packages[*]}; run it again to go on."
}

unpack() {
  rm -rf "$folder/root.part"
  mkdir -p "$folder/root.part"
  # First: it makes /bin and /lib links, into which the others unpack.
  for archive in "$folder"/apt/archives/base-files_*.deb "$folder"/apt/archives/*.deb; do
    nice -n 10 dpkg-deb --extract "$archive" "$folder/root.part" || fail "$archive cannot be unpacked."
  done
  mkdir -p "$folder"/root.part/{proc,dev,tmp,mobile_demo,pack}
  # By which git, and with it packages by tag, starts its helpers.
  ln -sf bash "$folder/root.part/usr/bin/sh"
  mv "$folder/root.part" "$folder/root"
  rm -rf "$folder/apt"
}

if [ ! -x "$folder/root/usr/libexec/swift/bin/swift" ]; then
  check_machine
  configure_apt
  download
  unpack
fi
KERAS_POSE_SWIFT=$folder "$here/swift.sh" --version
