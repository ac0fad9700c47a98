#!/usr/bin/env bash
# Checks the types of what the app does without a screen; swift.sh typecheck runs it, in mobile_demo/ios.
set -euo pipefail

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
common=(-I "$out" -whole-module-optimization -swift-version 5)

emit() {
  swiftc "${common[@]}" -parse-as-library -emit-module -emit-module-path "$out/$1.swiftmodule" -module-name "$1" "${@:2}"
}

for module in KerasPoseCore KerasPoseParity KerasPoseDemo; do
  emit "$module" KerasPoseCore/Sources/"$module"/*.swift
done
emit AVFoundation Stubs/AVFoundation/AVFoundation.swift
swiftc "${common[@]}" -I Stubs/TensorFlowLiteC -parse-as-library -typecheck -module-name KerasPose \
  Stubs/Device.swift App/Sources/{TFLiteNetwork,PoseEngine,AppModel}.swift

# The other adapter, which an app has in place of TFLiteNetwork: compiled and run on a device that pretends.
objects=()
for module in KerasPoseCore KerasPoseParity KerasPoseDemo LiteRT; do
  sources=(KerasPoseCore/Sources/"$module"/*.swift)
  [ "$module" != LiteRT ] || sources=(Stubs/LiteRT/LiteRT.swift)
  swiftc "${common[@]}" -parse-as-library -c -emit-module -emit-module-path "$out/$module.swiftmodule" -module-name "$module" \
    -o "$out/$module.o" "${sources[@]}"
  objects+=("$out/$module.o")
done
mkdir "$out/litert"
cp Stubs/LiteRT/check.swift "$out/litert/main.swift"
swiftc "${common[@]}" -module-name LiteRTCheck -o "$out/litert/check" "$out/litert/main.swift" LiteRT/LiteRTNetwork.swift "${objects[@]}"
"$out/litert/check"

# And of the code in README.md, which stands for somebody's own app.
example() {
  echo 'let (folder, bytes) = (URL(fileURLWithPath: "/"), UnsafeRawBufferPointer(start: nil, count: 0))'
  echo 'let (height, width, bytesPerRow, seconds) = (1, 1, 4, 0.0)'
  local inside= line
  while IFS= read -r line; do
    [ "$line" != '```' ] || inside=
    [ -z "$inside" ] || printf '%s\n' "$line"
    [ "$line" != '```swift' ] || inside=yes
  done < README.md
  echo 'print(people)'
}
example > "$out/main.swift"
swiftc "${common[@]}" -I Stubs/TensorFlowLiteC -typecheck -module-name Example "$out/main.swift" App/Sources/TFLiteNetwork.swift
