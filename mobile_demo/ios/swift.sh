#!/usr/bin/env bash
# Runs Swift on KerasPoseCore, with this machine's own or with what toolchain.sh fetched.
#
#   mobile_demo/ios/swift.sh test
#   KERAS_POSE_PACK=DIR mobile_demo/ios/swift.sh test    # replays another parity pack as well
#   mobile_demo/ios/swift.sh --version
#   mobile_demo/ios/swift.sh parse App/Sources/*.swift   # syntax alone, of files for iOS
#   mobile_demo/ios/swift.sh example DIR                 # builds the package in DIR and runs it there
#   mobile_demo/ios/swift.sh typecheck                   # of the app what needs no screen, against Stubs/
#
# Paths are counted from this folder. The fetched one runs in a file system of its own, which
# holds this folder's parent, and the pack as /pack; all it writes stays in its folder.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=${KERAS_POSE_SWIFT:-$here/.toolchain}/root
pack=${KERAS_POSE_PACK:-}

# What a build leaves stays in the toolchain's folder, where there is one.
scratch=()
[ ! -d "$root" ] || scratch=(--scratch-path /tmp/build)

case "${1:-}" in
  parse) shift; command=(swiftc -frontend -parse -target arm64-apple-ios17 "$@") ;;
  typecheck) command=(bash Stubs/check.sh) ;;
  test | build) command=(swift "$1" --package-path KerasPoseCore "${scratch[@]}" -j "${KERAS_POSE_JOBS:-1}" "${@:2}") ;;
  example) command=(bash -c 'cd "$1" && exec swift run "${@:2}"' example "$2" "${scratch[@]/%build/example}" -j "${KERAS_POSE_JOBS:-1}") ;;
  *) command=(swift "$@") ;;
esac

if [ ! -x "$root/usr/libexec/swift/bin/swift" ]; then
  command -v swift >/dev/null || { echo "No Swift here: run mobile_demo/ios/toolchain.sh first." >&2; exit 1; }
  cd "$here"
  exec nice -n 10 "${command[@]}"
fi

namespace=(unshare --mount)
[ "$(id -u)" = 0 ] || namespace+=(--map-root-user)
# The mounts are seen by these processes alone, and end with them.
exec nice -n 10 "${namespace[@]}" bash -c '
  set -euo pipefail
  root=$1 parent=$2 pack=$3
  shift 3
  mount --rbind /proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mount --bind "$parent" "$root/mobile_demo"
  [ -z "$pack" ] || mount --bind "$pack" "$root/pack"
  exec chroot "$root" /usr/bin/env -i HOME=/tmp PATH=/usr/libexec/swift/bin:/usr/bin LANG=C.UTF-8 \
    ${pack:+KERAS_POSE_PACK=/pack} /usr/bin/bash -c "cd /mobile_demo/ios && exec \"\$@\"" swift "$@"
' swift "$root" "$(dirname "$here")" "$pack" "${command[@]}"
