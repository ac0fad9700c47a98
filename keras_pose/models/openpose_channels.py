"""Meaning of the channels of OpenPose's maps; `codecs.part_affinity` draws and parses them.

A bottom-up network gives K + 1 heatmaps, one per keypoint in the skeleton's order and then
the background, and 2 L fields: channels 2 i and 2 i + 1 are x and y of the unit vector
along limb i, from its first keypoint to its second. So the limbs below stand in the order
of the reference's channels, which is not the order it lists them in.

Source: `POSE_BODY_25_BODY_PARTS`, `POSE_MAP_INDEX` and their like in
src/openpose/pose/poseParameters.cpp of CMU-Perceptual-Computing-Lab/openpose; lightweight
OpenPose has COCO's (`BODY_PARTS_KPT_IDS`, `BODY_PARTS_PAF_IDS` in modules/keypoints.py).
"""

from __future__ import annotations

from keras_pose.skeleton import COCO_17, Skeleton

_ARMS_AND_LEGS_MIRRORED = (
    ("right_shoulder", "left_shoulder"),
    ("right_elbow", "left_elbow"),
    ("right_wrist", "left_wrist"),
    ("right_hip", "left_hip"),
    ("right_knee", "left_knee"),
    ("right_ankle", "left_ankle"),
)
_FACE_MIRRORED = (("right_eye", "left_eye"), ("right_ear", "left_ear"))
_FEET_MIRRORED = (
    ("right_big_toe", "left_big_toe"),
    ("right_small_toe", "left_small_toe"),
    ("right_heel", "left_heel"),
)
_ARMS = (
    "right_shoulder",
    "right_elbow",
    "right_wrist",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
)
_LEGS = (
    "right_hip",
    "right_knee",
    "right_ankle",
    "left_hip",
    "left_knee",
    "left_ankle",
)
_FACE = ("right_eye", "left_eye", "right_ear", "left_ear")
# Arms and face are in one order in COCO and BODY_25.
_UPPER_LIMBS = (
    ("neck", "right_shoulder"),
    ("right_shoulder", "right_elbow"),
    ("right_elbow", "right_wrist"),
    ("right_shoulder", "right_ear"),
    ("neck", "left_shoulder"),
    ("left_shoulder", "left_elbow"),
    ("left_elbow", "left_wrist"),
    ("left_shoulder", "left_ear"),
    ("neck", "nose"),
    ("nose", "right_eye"),
    ("nose", "left_eye"),
    ("right_eye", "right_ear"),
    ("left_eye", "left_ear"),
)

OPENPOSE_COCO_18 = Skeleton(
    name="openpose_coco_18",
    names=("nose", "neck", *_ARMS, *_LEGS, *_FACE),
    mirrored=(*_ARMS_AND_LEGS_MIRRORED, *_FACE_MIRRORED),
    limbs=(
        ("neck", "right_hip"),
        ("right_hip", "right_knee"),
        ("right_knee", "right_ankle"),
        ("neck", "left_hip"),
        ("left_hip", "left_knee"),
        ("left_knee", "left_ankle"),
        *_UPPER_LIMBS,
    ),
    upper_body=("nose", "neck", *_ARMS, *_FACE),
)
OPENPOSE_BODY_25 = Skeleton(
    name="openpose_body_25",
    names=(
        "nose",
        "neck",
        *_ARMS,
        "mid_hip",
        *_LEGS,
        *_FACE,
        "left_big_toe",
        "left_small_toe",
        "left_heel",
        "right_big_toe",
        "right_small_toe",
        "right_heel",
    ),
    mirrored=(*_ARMS_AND_LEGS_MIRRORED, *_FACE_MIRRORED, *_FEET_MIRRORED),
    limbs=(
        ("neck", "mid_hip"),
        ("right_hip", "right_knee"),
        ("right_knee", "right_ankle"),
        ("mid_hip", "right_hip"),
        ("mid_hip", "left_hip"),
        ("left_hip", "left_knee"),
        ("left_knee", "left_ankle"),
        *_UPPER_LIMBS,
        ("left_ankle", "left_big_toe"),
        ("left_big_toe", "left_small_toe"),
        ("left_ankle", "left_heel"),
        ("right_ankle", "right_big_toe"),
        ("right_big_toe", "right_small_toe"),
        ("right_ankle", "right_heel"),
    ),
    upper_body=("nose", "neck", *_ARMS, *_FACE),
)
OPENPOSE_MPI_15 = Skeleton(
    name="openpose_mpi_15",
    names=("head", "neck", *_ARMS, *_LEGS, "chest"),
    mirrored=_ARMS_AND_LEGS_MIRRORED,
    limbs=(
        ("head", "neck"),
        ("neck", "right_shoulder"),
        ("right_shoulder", "right_elbow"),
        ("right_elbow", "right_wrist"),
        ("neck", "left_shoulder"),
        ("left_shoulder", "left_elbow"),
        ("left_elbow", "left_wrist"),
        ("neck", "chest"),
        ("chest", "right_hip"),
        ("right_hip", "right_knee"),
        ("right_knee", "right_ankle"),
        ("chest", "left_hip"),
        ("left_hip", "left_knee"),
        ("left_knee", "left_ankle"),
    ),
    upper_body=("head", "neck", *_ARMS, "chest"),
)
# Zoo name -> what its channels are.
CHANNELS = {
    "openpose_coco": OPENPOSE_COCO_18,
    "openpose_body25": OPENPOSE_BODY_25,
    "openpose_mpi": OPENPOSE_MPI_15,
    "openpose_light_1": OPENPOSE_COCO_18,
    "openpose_light_3": OPENPOSE_COCO_18,
    "openpose_lite": COCO_17,
}


def last_maps(model, num_keypoints: int):
    """Returns the network with only its last heatmaps and its last fields, in this order.

    Layers, and so weights, are the network's own. The families give their stages in
    orders of their own; heatmaps are recognized by their channels.

    Args:
        model: (B, H, W, 3) -> heatmaps (B, h, w, K + 1) and fields (B, h, w, 2 L) of
            several stages.
        num_keypoints: K.

    Raises:
        ValueError: for a network without heatmaps of so many keypoints.
    """
    import keras

    is_heatmap = [output.shape[-1] == num_keypoints + 1 for output in model.outputs]
    if not any(is_heatmap) or all(is_heatmap):
        raise ValueError(
            f"{model.name} gives maps of {[x.shape[-1] for x in model.outputs]} channels; "
            f"{num_keypoints} keypoints need heatmaps of {num_keypoints + 1}, and fields."
        )
    pairs = list(zip(is_heatmap, model.outputs, strict=True))
    last = [[x for is_one, x in pairs if is_one == kind][-1] for kind in (True, False)]
    return keras.Model(model.input, last, name=model.name)


def skeleton_for(name: str, num_keypoints: int, num_limbs: int) -> Skeleton:
    """Returns what the channels of a network of the zoo are.

    Args:
        name: zoo name.
        num_keypoints: number of keypoints that the network predicts: those of the
            reference, or COCO's 17.
        num_limbs: number of limbs that the network predicts.

    Raises:
        ValueError: for other keypoints or limbs.
    """
    for skeleton in (CHANNELS[name], COCO_17):
        if (skeleton.num_keypoints, len(skeleton.limbs)) == (num_keypoints, num_limbs):
            return skeleton
    raise ValueError(
        f"{name} with {num_keypoints} keypoints and {num_limbs} limbs: known are "
        f"{CHANNELS[name].name!r} ({CHANNELS[name].num_keypoints} and "
        f"{len(CHANNELS[name].limbs)}) and {COCO_17.name!r} ({COCO_17.num_keypoints} and "
        f"{len(COCO_17.limbs)})."
    )


def field_channels(skeleton: Skeleton, limb: tuple[str, str]) -> tuple[int, int]:
    """Returns the x- and the y-channel of a limb's part affinity field.

    Raises:
        ValueError: for a limb that the skeleton does not have, in that direction.
    """
    if limb not in skeleton.limbs:
        raise ValueError(
            f"Skeleton {skeleton.name!r} has no limb {limb}; its limbs: {skeleton.limbs}."
        )
    first = 2 * skeleton.limbs.index(limb)
    return first, first + 1
