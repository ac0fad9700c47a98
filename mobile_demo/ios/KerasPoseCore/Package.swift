// swift-tools-version:5.9
import PackageDescription

// Foundation only: the same sources run on iPhones, on Macs, and on Linux, where they are tested.
let package = Package(
    name: "KerasPoseCore",
    platforms: [.iOS(.v15), .macOS(.v12)],
    products: [
        .library(name: "KerasPoseCore", targets: ["KerasPoseCore"]),
        .library(name: "KerasPoseParity", targets: ["KerasPoseParity"]),
        .library(name: "KerasPoseDemo", targets: ["KerasPoseDemo"]),
    ],
    targets: [
        // Pictures to people, as mobile_demo/SPEC.md says.
        .target(name: "KerasPoseCore"),
        // Replays parity packs: in the tests, and in the app on the phone itself.
        .target(name: "KerasPoseParity", dependencies: ["KerasPoseCore"]),
        // What the app decides that needs no screen, no camera and no runtime.
        .target(name: "KerasPoseDemo", dependencies: ["KerasPoseCore", "KerasPoseParity"]),
        .testTarget(name: "KerasPoseCoreTests", dependencies: ["KerasPoseCore"]),
        .testTarget(name: "KerasPoseParityTests", dependencies: ["KerasPoseParity"]),
        .testTarget(name: "KerasPoseDemoTests", dependencies: ["KerasPoseDemo"]),
    ]
)
