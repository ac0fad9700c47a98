import Foundation
import KerasPoseCore
import KerasPoseDemo
import LiteRT

/// Runs `LiteRTNetwork.swift` on a device that pretends; ends with an error where it does not do as it says.
func tensor(_ name: String, _ shape: String, _ type: String = "float32") -> String {
    "{\"name\": \"\(name)\", \"shape\": \(shape), \"dtype\": \"\(type)\", \"scale\": null, \"zero_point\": null"
}

let entry = """
{"task": "one_stage", "model": "rtmo_t", "quantization": "float16", "signature": "serve",
 "input": \(tensor("image", "[1, 2, 2, 3]", "uint8")), "channel_order": "RGB", "normalization": null},
 "scores": \(tensor("scores", "[1, 1]"))}, "boxes": \(tensor("boxes", "[1, 1, 4]"))},
 "keypoints": \(tensor("keypoints", "[1, 1, 2]"))}, "visibility": \(tensor("visibility", "[1, 1, 1]"))},
 "codec": {"kind": "people", "score_threshold": 0.1, "iou_threshold": 0.65, "max_people": 100},
 "skeleton": {"name": "nose", "names": ["nose"], "limb_pairs": [], "mirror_pairs": [], "oks_sigmas": []}}
"""
let contract = try Contract(entry: JSON(bytes: Data(entry.utf8)))

func floats(_ values: [Float]) -> [UInt8] { values.withUnsafeBytes { [UInt8]($0) } }

func open(_ accelerator: KerasPoseDemo.Accelerator = .cpu) throws -> LiteRTNetwork {
    try LiteRTNetwork(file: URL(fileURLWithPath: "/pose.tflite"), contract: contract, accelerator: accelerator)
}

func refused(_ words: String, _ work: () throws -> LiteRTNetwork) {
    do { _ = try work() } catch {
        guard "\(error)".contains(words) else { fatalError("\(error), not: \(words)") }
        return
    }
    fatalError("not refused: \(words)")
}

Pretended.signatures = ["another", "serve"]
Pretended.inputs = [("image", Pretended.type(.uint8, [1, 2, 2, 3]))]
// In another order than the contract has.
let scores = ("scores", Pretended.type(.float32, [1, 1]))
let boxes = ("boxes", Pretended.type(.float32, [1, 1, 4]))
let rest = [("visibility", Pretended.type(.float32, [1, 1, 1])), ("keypoints", Pretended.type(.float32, [1, 1, 2]))]
Pretended.outputs = rest + [boxes, scores]
Pretended.run = { pixels in [floats([0.5]), floats([1, 2]), floats([1, 2, 3, 4]), floats([Float(pixels[7])])] }

// Outputs are found by name, pixels go in as bytes.
let found = try open().run((0..<12).map { Float(20 * $0) })
precondition(found["scores"] == [140] && found["keypoints"] == [1, 2] && found["boxes"] == [1, 2, 3, 4] && found["visibility"] == [0.5])

// The GPU is asked for alone, and must take all.
_ = try open(.metal)
precondition(Pretended.asked == [[.cpu], [.gpu]])
Pretended.takesAll = false
refused("takes only a part of pose.tflite") { try open(.metal) }
_ = try open(.cpu)
let opened = try openWithFallback(.metal, contract: contract) { try open($0) }
precondition(opened.accelerator == .cpu && opened.notes.joined().contains("takes only a part"))
refused("has no Core ML") { try open(.coreML) }

// A GPU that takes all and computes something else is found out: by the CPU, as there is no pack.
Pretended.takesAll = true
let honest = Pretended.run
Pretended.run = { pixels in Pretended.asked.last == [.gpu] ? [floats([0.5]), floats([1, 2]), floats([1, 2, 3, 4]), floats([.nan])] : honest(pixels) }
let lied = try openWithFallback(.metal, contract: contract) { try open($0) }
precondition(lied.accelerator == .cpu && lied.notes.joined().contains("NaN or infinity: 1 of 1 numbers of scores"))
Pretended.run = honest
let whole = try openWithFallback(.metal, contract: contract) { try open($0) }
precondition(whole.place.hasPrefix("GPU (Metal), all operators: ") && whole.notes.isEmpty)

Pretended.outputs = rest + [boxes]
refused("speaks of a tensor scores") { try open() }
Pretended.outputs = rest + [boxes, ("scores", Pretended.type(.int8, [1, 1]))]
refused("the file has [1, 1] of int8") { try open() }
Pretended.signatures = ["another"]
refused("has no signature serve") { try open() }
print("LiteRTNetwork does as it says")
