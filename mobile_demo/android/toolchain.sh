#!/usr/bin/env bash
# Fetches what build_apk.sh needs to check and build the app, where there is no Android SDK.
#
#     mobile_demo/android/toolchain.sh            # into mobile_demo/android/build/toolchain
#     KERAS_POSE_ANDROID_TOOLCHAIN=~/.cache/android-tools mobile_demo/android/toolchain.sh
#
# Kotlin, the API of Android 6 (android.jar) and the tools that pack and sign apps, as Debian
# has them: downloaded by apt with a configuration of its own and unpacked; nothing is
# installed, root is not needed. About 80 MB, unpacked 330 MB. What is there stays.
#
# Needs a machine of Debian's kind (apt-get, dpkg-deb, 64-bit x86 or ARM) and Java 17 (`java`).
# KERAS_POSE_DEBIAN_MIRROR names another mirror.
#
# Prints the folder. In it: bin/ (kotlinc, dx, proguard, aapt, zipalign, apksigner, dexdump),
# android.jar and kotlin-stdlib.jar.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
folder="${KERAS_POSE_ANDROID_TOOLCHAIN:-$here/build/toolchain}"
mirror="${KERAS_POSE_DEBIAN_MIRROR:-http://deb.debian.org/debian}"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
# Of Debian 12, but for the last two, which only Debian 11 has.
packages=(
    kotlin libjansi-java libjetbrains-annotations-java libjline3-java libjna-java libtrove-intellij-java
    libproguard-java apksigner libapksig-java aapt zipalign dexdump
    android-libaapt android-libandroidfw android-libart android-libbacktrace android-libbase
    android-libcutils android-liblog android-libnativebridge android-libnativeloader
    android-libutils android-libziparchive
    libatomic1 libexpat1 liblz4-1 libpng16-16 libprotobuf-lite32 libzopfli1 p7zip-full
    libandroid-23-java dalvik-exchange
)

fail() {
    echo "toolchain.sh: $*" >&2
    exit 1
}

private_apt() { # PROGRAM ARGUMENT...: apt that sees neither this machine's sources nor its packages
    local program="$1" apt="$folder.tmp/apt"
    shift
    "$program" -o Dir::State="$apt/state" -o Dir::State::status="$apt/state/status" \
        -o Dir::Cache="$apt/cache" -o Dir::Etc::sourcelist="$apt/sources.list" \
        -o Dir::Etc::sourceparts="$apt/none" -o Dir::Etc::preferencesparts="$apt/none" \
        -o APT::Sandbox::User= -o Acquire::Languages=none "$@"
}

fetch() {
    local apt="$folder.tmp/apt" debs="$folder.tmp/debs" missing=() package
    mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial" "$apt/none" "$debs"
    : >"$apt/state/status"
    for suite in bookworm bullseye; do
        echo "deb [signed-by=$keyring] $mirror $suite main"
    done >"$apt/sources.list"
    # A suite that left the mirror shows in the packages it lacks, which are named below.
    private_apt apt-get update -qq >&2 || true
    cd "$debs"
    private_apt apt-get download -qq "${packages[@]}" >&2 || for package in "${packages[@]}"; do
        private_apt apt-get download -qq "$package" >&2 || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] || fail "the mirror $mirror does not give: ${missing[*]}"
}

unpack() {
    local root="$folder.tmp/root" deb
    mkdir -p "$root"
    for deb in "$folder.tmp/debs/"*.deb; do dpkg-deb -x "$deb" "$root"; done
    # Documents, and what Kotlin carries for other programs.
    rm -rf "$root/usr/share/doc" "$root/usr/share/man" "$root/usr/share/maven-repo"
}

wrap_jar() { # NAME CLASSPATH MAIN: a program that is a Java class
    printf '#!/bin/sh\nroot="$(dirname "$0")/../root"\nexec java -Xmx512M -cp "$root/usr/share/java/%s" %s "$@"\n' \
        "$2" "$3" >"$folder.tmp/bin/$1"
}

wrap_native() { # NAME: a program that is to find its libraries
    cat >"$folder.tmp/bin/$1" <<EOF
#!/bin/sh
root="\$(dirname "\$0")/../root"
lib="\$root/usr/lib"
machine="\$lib/$(uname -m)-linux-gnu"
export LD_LIBRARY_PATH="\$machine/android:\$machine:\$root/lib/$(uname -m)-linux-gnu:\$lib:\$lib/p7zip"
exec "\$root/usr/bin/$1" "\$@"
EOF
}

wrap() {
    local program
    mkdir -p "$folder.tmp/bin"
    wrap_jar dx com.android.dx.jar com.android.dx.command.Main
    wrap_jar proguard proguard.jar proguard.ProGuard
    wrap_jar apksigner apksigner.jar com.android.apksigner.ApkSignerTool
    for program in aapt zipalign dexdump; do wrap_native "$program"; done
    # The launcher asks for 256 MB, which an app outgrows.
    printf '#!/bin/sh\nexport JAVA_OPTS="-Xmx900M -Xss4M -XX:TieredStopAtLevel=1"\nexec "$(dirname "$0")/../root/usr/share/kotlin/kotlinc/bin/kotlinc" "$@"\n' \
        >"$folder.tmp/bin/kotlinc"
    chmod +x "$folder.tmp/bin/"*
    ln -s root/usr/share/java/com.android.android-23.jar "$folder.tmp/android.jar"
    ln -s root/usr/share/java/kotlin-stdlib.jar "$folder.tmp/kotlin-stdlib.jar"
}

for program in apt-get dpkg-deb java; do
    command -v "$program" >/dev/null || fail "the program \`$program\` is missing."
done
[ -e "$keyring" ] || fail "$keyring is missing: the package debian-archive-keyring has it."
if [ ! -e "$folder/android.jar" ]; then
    rm -rf "$folder.tmp"
    mkdir -p "$folder.tmp"
    trap 'rm -rf "$folder.tmp"' EXIT
    fetch
    unpack
    wrap
    rm -rf "$folder.tmp/apt" "$folder.tmp/debs"
    mv "$folder.tmp" "$folder"
fi
echo "$folder"
