/// The Swift core for compare.py, which says what goes over the pipe.

import Foundation
import KerasPoseCore

let input = FileHandle.standardInput
let output = FileHandle.standardOutput

func read(_ length: Int) -> Data {
    var bytes = Data()
    while bytes.count < length {
        guard let more = try? input.read(upToCount: length - bytes.count), !more.isEmpty else { exit(0) }
        bytes.append(more)
    }
    return bytes
}

func readWords() -> [String] {
    var line = Data()
    while true {
        let letter = read(1)
        if letter.first == 10 { break }
        line.append(letter)
    }
    return String(decoding: line, as: UTF8.self).split(separator: " ").map(String.init)
}

func send(_ line: String, _ values: [Float]) {
    output.write(Data("\(line) \(values.count)\n".utf8))
    output.write(tensorBytes(values, as: .float32))
}

/// A network that compare.py runs.
func remote(_ name: String) -> RunNetwork {
    { values in
        send("run \(name)", values)
        var outputs: [String: [Float]] = [:]
        for _ in 0..<Int(readWords()[1])! {
            let words = readWords()
            outputs[words[0]] = try tensorValues(read(4 * Int(words[1])!), as: .float32)
        }
        return outputs
    }
}

let opened = readWords()
let json = try JSON(bytes: read(Int(opened[1])!))
guard case .pose(let contract) = try Contract(document: json, fileName: opened[2], bytes: nil),
    case .detector(let detector) = try Contract(document: json, fileName: opened[3], bytes: nil)
else { fatalError("\(opened[2]) must be a pose model, \(opened[3]) a detector.") }
let people = findPeople(contract: detector, boxThreshold: Float(opened[4])!, run: remote("detector"))
let estimator = PoseEstimator(contract: contract, run: remote("pose"), findPeople: people)
let follower = RegionFollower(estimator, detectEvery: Int(opened[5])!)
let tracker = OksTracker(sigmas: contract.skeleton.sigmas)
let smoother = OneEuroSmoother()
while true {
    let words = readWords()
    let size = ImageSize(height: Int(words[2])!, width: Int(words[1])!)
    let image = Picture(size: size, channels: 3, pixels: [UInt8](read(3 * size.height * size.width)))
    let found = smoother.next(tracker.update(try follower.next(image)), seconds: Double(words[3])!)
    let values = found.flatMap { person in
        person.box.corners.map { Float($0) } + [person.score, Float(person.trackID)] + person.keypointsXY
    }
    send("people \(found.count)", values)
}
