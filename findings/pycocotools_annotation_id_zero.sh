#!/usr/bin/env bash
# pycocotools 2.0.11 takes the annotation id 0 for "not matched": a perfect detection of the
# annotation with id 0 counts as a false positive, so perfect results score below 1. Ids from
# 0 are valid JSON, and COCO's format does not forbid them; nothing is printed about it.
# Seen: with two people, AP 1.000 for the ids 1 and 2, and 0.252 for the ids 0 and 1.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 pycocotools==2.0.11 2>/dev/null
"$folder/venv/bin/python" - <<'PYTHON'
import contextlib
import io

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def box_ap(first_id):
    boxes = [[10.0, 10.0, 50.0, 80.0], [100.0, 20.0, 60.0, 70.0]]
    truth, found = COCO(), COCO()
    categories = [{"id": 1, "name": "person"}]
    images = [{"id": 1, "width": 200, "height": 120}]
    people = [
        {"id": first_id + i, "image_id": 1, "category_id": 1, "bbox": box,
         "area": box[2] * box[3], "iscrowd": 0}
        for i, box in enumerate(boxes)
    ]
    truth.dataset = {"images": images, "categories": categories, "annotations": people}
    truth.createIndex()
    results = [
        {"image_id": 1, "category_id": 1, "bbox": box, "score": 0.9 - 0.1 * i}
        for i, box in enumerate(boxes)
    ]
    found = truth.loadRes(results)
    evaluation = COCOeval(truth, found, "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats[0]


with contextlib.redirect_stdout(io.StringIO()):
    from_one, from_zero = box_ap(1), box_ap(0)
print(f"AP of perfect results: {from_one:.3f} with ids from 1, {from_zero:.3f} from 0")
assert abs(from_one - 1) < 1e-6 and from_zero < 0.6, "pycocotools behaves otherwise now"
PYTHON
