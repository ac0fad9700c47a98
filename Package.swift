// swift-tools-version:5.9
import PackageDescription

// SwiftPM looks for a package at the root of a repository, so that a tag is a version of it:
// the Swift core of the phone apps. It is built and tested in mobile_demo/ios/KerasPoseCore.
let sources = "mobile_demo/ios/KerasPoseCore/Sources/"
let package = Package(
    name: "keras_pose",
    platforms: [.iOS(.v15), .macOS(.v12)],
    products: [
        .library(name: "KerasPoseCore", targets: ["KerasPoseCore"]),
        .library(name: "KerasPoseParity", targets: ["KerasPoseParity"]),
        .library(name: "KerasPoseDemo", targets: ["KerasPoseDemo"]),
    ],
    targets: [
        .target(name: "KerasPoseCore", path: sources + "KerasPoseCore"),
        .target(name: "KerasPoseParity", dependencies: ["KerasPoseCore"], path: sources + "KerasPoseParity"),
        .target(name: "KerasPoseDemo", dependencies: ["KerasPoseCore", "KerasPoseParity"], path: sources + "KerasPoseDemo"),
    ]
)
