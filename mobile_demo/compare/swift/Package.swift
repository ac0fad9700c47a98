// swift-tools-version:5.9
import PackageDescription

let package = Package(
    name: "Host",
    platforms: [.macOS(.v12)],
    dependencies: [.package(path: "../../ios/KerasPoseCore")],
    targets: [.executableTarget(name: "Host", dependencies: ["KerasPoseCore"])]
)
