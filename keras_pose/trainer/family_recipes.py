"""Recipes of each family of networks, with their sources."""

from __future__ import annotations

from typing import Any

from keras_pose.data.transforms import Augmentation

# Drawn people come in every size, place, light and pose already, and runs as short as
# the demo have no time to learn more variety than they are measured on.
SYNTHETIC_AUGMENTATION = Augmentation(
    scale=0.15,
    rotation_degrees=10,
    rotation_probability=0.3,
    half_body_probability=0.0,
    color=0.1,
)

# `RandomBBoxTransform` of mmpose with its defaults, which also moves some crops aside.
# Its angles stay within the number that it is given, ours within twice ours.
MMPOSE_AUGMENTATION = Augmentation(scale=0.5, rotation_degrees=40)


def _whole_body(scale, rotation_degrees) -> Augmentation:
    """Crops of the whole person only, as before half bodies came into use."""
    return Augmentation(scale, rotation_degrees, half_body_probability=0.0)


# Fields in which a family's recipe differs from `Recipe` itself.
FAMILY_SETTINGS: dict[str, dict[str, Any]] = {
    # w32_256x192_adam_lr1e-3.yaml of the HRNet code, from which `Recipe` has its defaults.
    "hrnet": {},
    # wflw/face_alignment_wflw_hrnet_w18.yaml of its code.
    "hrnet_v2_landmarks": {
        "epochs": 60,
        "batch_size": 16,
        "learning_rate": 1e-4,
        "milestones": (30 / 60, 50 / 60),
        "augmentation": _whole_body(scale=0.25, rotation_degrees=30),
    },
    # 256x192_d256x3_adam_lr1e-3.yaml of Simple Baselines.
    "simple_baseline": {
        "epochs": 140,
        "milestones": (90 / 140, 120 / 140),
        "augmentation": _whole_body(scale=0.3, rotation_degrees=40),
    },
    # Newell et al. 2016, sec. 3.2; rate drop as in pytorch-pose.
    "hourglass": {
        "epochs": 100,
        "batch_size": 6,
        "learning_rate": 2.5e-4,
        "optimizer": "rmsprop",
        "milestones": (60 / 100, 90 / 100),
        "augmentation": _whole_body(scale=0.25, rotation_degrees=30),
    },
    # task/pose.py and data/MPII/dp.py of their code, where the rate falls to a fifth.
    "hourglass_princeton": {
        "epochs": 200,
        "batch_size": 16,
        "milestones": (100 / 200,),
        "augmentation": _whole_body(scale=0.25, rotation_degrees=30),
    },
    # td-hm_hourglass52_8xb32-210e_coco-256x256.py of mmpose.
    "hourglass_52": {
        "learning_rate": 5e-4,
        "warmup_steps": 500,
        "augmentation": MMPOSE_AUGMENTATION,
    },
    # td-hm_cpm_8xb64-210e_coco-256x192.py of mmpose.
    "cpm": {
        "learning_rate": 5e-4,
        "batch_size": 64,
        "warmup_steps": 500,
        "augmentation": MMPOSE_AUGMENTATION,
    },
    # Augmentation: Wei et al. 2016, sec. 4.2; rate as mmpose's CPM.
    "cpm_mpii": {
        "learning_rate": 5e-4,
        "batch_size": 16,
        "warmup_steps": 500,
        "augmentation": _whole_body(scale=0.3, rotation_degrees=40),
    },
    # td-reg_res50_8xb64-210e_coco-256x192.py of mmpose.
    "deep_pose_resnet": {
        "learning_rate": 5e-4,
        "batch_size": 64,
        "warmup_steps": 500,
        "loss": "smooth_l1",
        "augmentation": MMPOSE_AUGMENTATION,
    },
    # Toshev and Szegedy 2014, sec. 4.1, whose AdaGrad had a rate of 5e-4; without batch
    # norm Adam wants less. They flip and shift people, but turn none.
    "deep_pose_alexnet": {
        "learning_rate": 1e-4,
        "batch_size": 128,
        "loss": "l2",
        "augmentation": Augmentation(
            scale=0.15, rotation_probability=0.0, half_body_probability=0.0
        ),
    },
    # td-hm_litehrnet-18_8xb64-210e_coco-256x192.py of mmpose.
    "lite_hrnet": {
        "learning_rate": 5e-4,
        "batch_size": 64,
        "warmup_steps": 500,
        "augmentation": Augmentation(scale=0.25, rotation_degrees=30),
    },
    # tinypose_256x192.yml of PaddleDetection, with a batch on each of 4 GPUs. They also cut
    # squares out of half of the pictures, and train on AI Challenger's people besides.
    "tiny_pose": {
        "epochs": 420,
        "batch_size": 128,
        "learning_rate": 2e-3,
        "milestones": (380 / 420, 410 / 420),
        "warmup_steps": 500,
        "augmentation": Augmentation(scale=0.25, rotation_degrees=30),
    },
    # td-hm_ViTPose-*_8xb64-210e_coco-256x192.py of mmpose. There lower layers have lower
    # rates, and whole residuals are dropped; here all have one rate, and none is dropped.
    "vitpose": {
        "learning_rate": 5e-4,
        "batch_size": 64,
        "warmup_steps": 500,
        "optimizer": "adamw",
        "weight_decay": 0.1,
        "clip_norm": 1.0,
        "augmentation": MMPOSE_AUGMENTATION,
    },
    # rtmpose-*_8xb256-420e_coco-256x192.py of mmpose. Their rate of 4e-3 is for batches of
    # 1024; they hold it for half of the run, and end with 30 epochs on milder samples.
    "rtmpose": {
        "epochs": 420,
        "batch_size": 256,
        "learning_rate": 1e-3,
        "schedule": "cosine",
        "warmup_steps": 1000,
        "optimizer": "adamw",
        "weight_decay": 0.05,
        "loss": "simcc_kl",
        # Scales within 0.6 to 1.4, angles within 80 degrees.
        "augmentation": Augmentation(scale=0.4, rotation_degrees=40, color=0.2),
    },
    # rtmw-*_8xb*-270e_cocktail14-256x192.py of mmpose, whose rate of 5e-4 is for batches of
    # 5632 to 8192 on eight devices, and whose weights come from DWPose.
    "rtmw": {
        "epochs": 270,
        "batch_size": 256,
        "learning_rate": 5e-4,
        "schedule": "cosine",
        "warmup_steps": 1000,
        "optimizer": "adamw",
        "weight_decay": 0.05,
        "clip_norm": 35.0,
        "loss": "simcc_kl",
        # Scales within 0.5 to 1.5, angles within 90 degrees.
        "augmentation": Augmentation(scale=0.5, rotation_degrees=45, color=0.2),
    },
    # Ours: from an ImageNet trunk, whose features a high rate would wash away.
    "pose_lite": {
        "epochs": 60,
        "schedule": "cosine",
        "warmup_steps": 200,
        "optimizer": "adamw",
        "weight_decay": 0.05,
        "ema_momentum": 0.998,
        "augmentation": Augmentation(
            scale=0.3,
            rotation_degrees=25,
            rotation_probability=0.6,
            half_body_probability=0.2,
            color=0.3,
        ),
    },
    # Ours: short runs from random weights, which want a high rate.
    "slim": {
        "epochs": 60,
        "learning_rate": 1e-2,
        "schedule": "cosine",
        "warmup_steps": 200,
        "optimizer": "adamw",
        "weight_decay": 0.05,
        "augmentation": Augmentation(
            scale=0.25,
            rotation_degrees=20,
            rotation_probability=0.5,
            half_body_probability=0.1,
            color=0.3,
        ),
    },
}

# Fields in which single networks differ from their family; sources as above.
MODEL_SETTINGS: dict[str, dict[str, Any]] = {
    "rtmpose_t": {"weight_decay": 0.0},
    "rtmpose_s": {"weight_decay": 0.0},
    # tinypose_128x96.yml.
    "tiny_pose_128x96": {"batch_size": 512, "learning_rate": 8e-3},
}
