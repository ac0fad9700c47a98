import Foundation

@testable import KerasPoseCore

let modelBytes = Data("a model".utf8)

/// A contract of a model of three keypoints; its file is `modelBytes`.
let contractText = """
    {
      "schema_version": 1,
      "models": {"pose_model.tflite": {
        "file": {"bytes": 7, "sha256": "97ff8a35544dcf40ad84047074439dd6aa3a0be469ea578a1b1c017d939ec61c"},
        "task": "top_down", "model": "pose_slim \\u0041\\n", "quantization": "int8", "signature": "serve",
        "input": {
          "name": "image", "shape": [1, 64, 48, 3], "dtype": "uint8", "scale": null, "zero_point": null,
          "channel_order": "RGB", "normalization": null
        },
        "output": {"name": "heatmaps", "shape": [null, 16, 12, 3], "dtype": "int8", "scale": 4e-3, "zero_point": -128},
        "crop": {"box_padding": 1.25},
        "codec": {"kind": "gaussian", "input_hw": [64, 48], "stride": 4, "sigma": 2.0},
        "skeleton": {
          "name": "arms", "names": ["nose", "left_wrist", "right_wrist"],
          "limb_pairs": [[0, 1]], "mirror_pairs": [[1, 2]], "oks_sigmas": []
        }
      }}
    }
    """

/// A detector of one level and two classes.
let detectorEntryText = """
    {
      "task": "detection", "model": "tiny", "quantization": "float32", "signature": "serve",
      "input": {
        "name": "image", "shape": [1, 32, 32, 3], "dtype": "float32", "scale": null, "zero_point": null,
        "channel_order": "RGB", "normalization": null
      },
      "class_names": ["person", "dog"], "strides": [16],
      "scores": [{"name": "scores", "shape": [1, 2, 2, 2], "dtype": "float32", "scale": null, "zero_point": null}],
      "distances": [{"name": "sides", "shape": [1, 2, 2, 4], "dtype": "float32", "scale": null, "zero_point": null}],
      "settings": {"score_threshold": 0.05, "iou_threshold": 0.6, "max_per_level": 100, "max_detections": 10}
    }
    """

/// A one-stage network that sees noses, of four people at most.
let oneStageEntryText = """
    {
      "task": "one_stage", "model": "rtmo_s", "quantization": "int8", "signature": "serve",
      "input": {
        "name": "image", "shape": [1, 64, 96, 3], "dtype": "uint8", "scale": null, "zero_point": null,
        "channel_order": "RGB", "normalization": null
      },
      "scores": {"name": "p_scores", "shape": [1, 4], "dtype": "float32", "scale": null, "zero_point": null},
      "boxes": {"name": "p_boxes", "shape": [1, 4, 4], "dtype": "float32", "scale": null, "zero_point": null},
      "keypoints": {"name": "p_keypoints", "shape": [1, 4, 2], "dtype": "float32", "scale": null, "zero_point": null},
      "visibility": {"name": "p_visibility", "shape": [1, 4, 1], "dtype": "float32", "scale": null, "zero_point": null},
      "codec": {"kind": "people", "score_threshold": 0.1, "iou_threshold": 0.65, "max_people": 100},
      "skeleton": {"name": "noses", "names": ["nose"], "limb_pairs": [], "mirror_pairs": [], "oks_sigmas": []}
    }
    """

/// A bottom-up network that sees arms.
let bottomUpEntryText = """
    {
      "task": "bottom_up", "model": "openpose_lite", "quantization": "int8", "signature": "serve",
      "input": {
        "name": "image", "shape": [1, 48, 64, 3], "dtype": "uint8", "scale": null, "zero_point": null,
        "channel_order": "RGB", "normalization": null
      },
      "heatmaps": {"name": "maps", "shape": [1, 6, 8, 3], "dtype": "float32", "scale": null, "zero_point": null},
      "fields": {"name": "vectors", "shape": [1, 6, 8, 2], "dtype": "float32", "scale": null, "zero_point": null},
      "codec": {
        "kind": "part_affinity", "input_hw": [48, 64], "stride": 8, "sigma": 0.875, "limb_width": 1.0, "min_peak": 0.1,
        "max_peaks": 256, "num_points": 10, "min_field": 0.05, "min_share": 0.8, "max_gap": 1.2, "min_keypoints": 1,
        "min_score": 0.1, "matching": "greedy"
      },
      "skeleton": {"name": "arm", "names": ["elbow", "wrist"], "limb_pairs": [[0, 1]], "mirror_pairs": [], "oks_sigmas": []}
    }
    """

func readContract(_ text: String, fileName: String = "pose_model.tflite", bytes: Data? = modelBytes) throws -> Contract {
    try Contract(document: try JSON(text), fileName: fileName, bytes: bytes)
}

func poseContract() throws -> PoseContract {
    guard case .pose(let contract) = try readContract(contractText) else { throw ContractError("not of a pose model") }
    return contract
}

func oneStageContract() throws -> OneStageContract {
    guard case .oneStage(let contract) = try Contract(entry: try JSON(oneStageEntryText)) else {
        throw ContractError("not of a one-stage network")
    }
    return contract
}

func bottomUpContract() throws -> BottomUpContract {
    guard case .bottomUp(let contract) = try Contract(entry: try JSON(bottomUpEntryText)) else {
        throw ContractError("not of a bottom-up network")
    }
    return contract
}

func detectorContract() throws -> DetectorContract {
    guard case .detector(let contract) = try Contract(entry: try JSON(detectorEntryText)) else {
        throw ContractError("not of a detector")
    }
    return contract
}
