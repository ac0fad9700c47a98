#!/usr/bin/env bash
# Builds a signed APK without an Android SDK, from Debian's packages: all sources are compiled
# and type-checked against a real android.jar (API 23).
#
#     mobile_demo/android/build_apk.sh                 # build/keras_pose.apk
#     mobile_demo/android/build_apk.sh --output DIR    # DIR/keras_pose.apk
#     mobile_demo/android/build_apk.sh --flavour play  # build/keras_pose-play.apk
#     mobile_demo/android/build_apk.sh --check         # compiles and type-checks all flavours only
#
# Flavours are Gradle's: `bundled` has LiteRT in the app, `play` has Google Play services'.
#
# LiteRT's AARs are on Google's Maven server only. Where it is out of reach, as here, the files
# that use it are compiled against stub/ (signatures, no code), and the APK says on the screen
# that it cannot run models: camera, pictures and messages work. Gradle builds the whole app.
# check_pages.py looks whether native libraries suit pages of 16 KB; of Gradle's APK it does, too.
#
# Models come from export/bundle_mobile.py (PYTHON names another Python than python3); what is
# in app/src/main/assets/models stays. Tools: see toolchain.sh. The signing key is made here,
# for tests; a shop wants one of your own.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
main="$here/app/src/main"
output="$here/build"
flavours=(bundled play)
flavour=bundled
is_check=
while [ $# -gt 0 ]; do
    case "$1" in
        --check) is_check=yes ;;
        --output) output="${2:?--output wants a folder}"; shift ;;
        --flavour) flavour="${2:?--flavour wants one of: ${flavours[*]}}"; shift ;;
        *) echo "build_apk.sh knows --check, --flavour NAME and --output DIR, not $1." >&2; exit 2 ;;
    esac
    shift
done
[[ " ${flavours[*]} " == *" $flavour "* ]] || { echo "build_apk.sh knows the flavours ${flavours[*]}, not $flavour." >&2; exit 2; }
mkdir -p "$output"
output="$(cd "$output" && pwd)"
build="$output/apk"
name=keras_pose
[ "$flavour" = bundled ] || name="keras_pose-$flavour"
tools="$("$here/toolchain.sh")"
export PATH="$tools/bin:$PATH"

version_of() { # NAME: from the catalog that Gradle reads
    sed -n "s/^$1 = \"\(.*\)\"/\1/p" "$here/gradle/libs.versions.toml"
}

resources() { # ARGUMENT...: aapt on the app's resources
    aapt package -f -M "$build/AndroidManifest.xml" -S "$main/res" -I "$tools/android.jar" \
        --min-sdk-version "$(version_of minSdk)" --target-sdk-version "$(version_of targetSdk)" \
        --version-code "$(version_of versionCode)" --version-name "$(version_of versionName)" "$@"
}

prepare() {
    rm -rf "$build"
    mkdir -p "$build/generated" "$build/stub"
    # Gradle takes the package from its build file, aapt from the manifest; what Gradle is to
    # remove of libraries' manifests is not there.
    sed -e 's#<manifest #<manifest package="keraspose.app" #' -e '/tools:node="remove"/d' \
        "$main/AndroidManifest.xml" >"$build/AndroidManifest.xml"
    resources -m -J "$build/generated"
    # No JDK on the class path: what Android lacks does not compile. Java files are only looked up.
    run_kotlinc -cp "$tools/android.jar" -d "$build/stub" "$here/stub"
}

compile() { # FLAVOUR
    rm -rf "$build/classes"
    mkdir "$build/classes"
    run_kotlinc -cp "$tools/android.jar:$build/stub" -d "$build/classes" "$here/../kotlin/src" "$here/../kotlin/parity" \
        "$here/logic/src" "$main/kotlin" "$here/app/src/$1/kotlin" "$build/generated"
}

run_kotlinc() { # ARGUMENT...
    kotlinc -no-jdk "$@" 2> >(grep -v -e 'VM warning' >"$build/kotlinc.log") || { cat "$build/kotlinc.log" >&2; exit 1; }
    cat "$build/kotlinc.log" >&2
}

dex() {
    # Of Kotlin's library only what the app uses, else it would be most of the APK.
    proguard -injars "$build/classes" -injars "$tools/kotlin-stdlib.jar(!META-INF/**)" \
        -libraryjars "$tools/android.jar" -outjars "$build/app.jar" -dontoptimize -dontnote -dontwarn 'kotlin.**' \
        -dontwarn 'org.jetbrains.annotations.**' -dontpreverify @"$here/proguard.pro" >"$build/proguard.log" ||
        { tail -n 20 "$build/proguard.log" >&2; exit 1; }
    dx --dex --no-locals --min-sdk-version="$(version_of minSdk)" --output="$build/classes.dex" "$build/app.jar"
}

pack() {
    local models="$main/assets/models"
    [ -e "$models/manifest.json" ] || "${PYTHON:-python3}" "$here/../../export/bundle_mobile.py" --apps android >&2
    resources -A "$main/assets" -0 tflite -F "$build/unaligned.apk"
    (cd "$build" && aapt add unaligned.apk classes.dex >/dev/null)
    zipalign -f 4 "$build/unaligned.apk" "$build/aligned.apk"
}

sign() {
    local key="$output/test.keystore" secret=keras_pose
    [ -e "$key" ] || keytool -genkeypair -keystore "$key" -storepass "$secret" -alias test -keyalg RSA -keysize 2048 \
        -validity 10000 -dname "CN=keras_pose test" >"$build/keytool.log" 2>&1 || { cat "$build/keytool.log" >&2; exit 1; }
    apksigner sign --v4-signing-enabled false --ks "$key" --ks-pass "pass:$secret" --out "$output/$name.apk" "$build/aligned.apk"
    apksigner verify "$output/$name.apk"
    "${PYTHON:-python3}" "$here/check_pages.py" "$output/$name.apk"
}

prepare
if [ "$is_check" ]; then
    for each in "${flavours[@]}"; do
        compile "$each"
        echo "$each compiled against $(basename "$(readlink -f "$tools/android.jar")")"
    done
    exit
fi
compile "$flavour"
dex
pack
sign
echo "$output/$name.apk: $(wc -c <"$output/$name.apk") bytes, verified"
