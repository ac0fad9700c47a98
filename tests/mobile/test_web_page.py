"""The page, end to end: headless Chromium, whose camera plays a clip.

The page hands out the frames it has seen, pixel by pixel, and what it drew on them. Python
works on the same frames with the same files.
"""

import http.client
import json
import shutil
import subprocess
import threading

import cv2
import numpy as np
import pytest
from light_model import make_model

from keras_pose.contracts.entries import write_contract
from keras_pose.inference.estimator import PoseEstimator
from keras_pose.inference.frame_sources import Frame
from keras_pose.inference.video import VideoEstimator, VideoSettings
from keras_pose.shipped import shipped_file

# What the apps' cores are held to (docs/parity_pack.md).
MAX_KEYPOINT_ERROR, MAX_BOX_ERROR = 0.05, 0.5


@pytest.fixture(scope="module")
def colour_models(tmp_path_factory):
    from mobile.colour_models import export_models

    folder = tmp_path_factory.mktemp("models")
    export_models(folder)
    return folder


def write_clip(path, frames):
    """Writes RGB frames as Chromium's camera plays them: JPEGs, one after the other."""
    images = [cv2.imencode(".jpg", frame[..., ::-1])[1] for frame in frames]
    path.write_bytes(b"".join(image.tobytes() for image in images))
    return str(path)


def frames_of(report, name="frame"):
    """Yields the RGB pictures that the page saw, or ("view") those that it showed."""
    for index, frame in enumerate(report["frames"]):
        pixels = np.fromfile(report["folder"] / f"{name}_{index}.rgba", np.uint8)
        yield pixels.reshape(frame["height"], frame["width"], 4)[..., :3].copy()


def assert_drawn_as_in_python(
    report, pose, detector, detect_every, least_score=-np.inf, box_threshold=None
):
    """Compares what the page drew with what Python finds in the same frames.

    Returns:
        How many people were compared.
    """
    settings = VideoSettings(detect_every=detect_every)
    estimator = PoseEstimator(pose, detector, box_threshold=box_threshold)
    people = VideoEstimator(estimator, settings)
    num_people = 0
    for index, (image, drawn) in enumerate(
        zip(frames_of(report), report["frames"], strict=True)
    ):
        expected = people(Frame(index, drawn["seconds"], image, index))
        found = drawn["people"]
        assert [person["trackId"] for person in found] == expected.track_ids.tolist()
        for person, box, keypoints_xy in zip(
            found, expected.boxes_xyxy, expected.keypoints_xy, strict=True
        ):
            drawn_xy = np.reshape(person["keypointsXy"], (-1, 2))
            is_sure = np.array(person["keypointScores"]) > least_score
            np.testing.assert_allclose(
                drawn_xy[is_sure], keypoints_xy[is_sure], atol=MAX_KEYPOINT_ERROR
            )
            np.testing.assert_allclose(person["box"], box, atol=MAX_BOX_ERROR)
            num_people += bool(is_sure.any())
    return num_people


@pytest.mark.very_slow
def test_the_page_draws_on_camera_frames_what_python_finds(browse, colour_models, tmp_path):
    from mobile.colour_models import frame

    clip = write_clip(tmp_path / "clip.mjpeg", [frame(i) for i in range(30)])

    report = browse(
        colour_models, clip=clip, frames=12, selects={"detect-every": "5"}, isOffline=True
    )

    pose, detector = colour_models / "pose.tflite", colour_models / "detector.tflite"
    num_people = assert_drawn_as_in_python(report, pose, detector, detect_every=5)
    assert num_people >= 12  # nothing was compared where nobody was found
    assert [frame["isDetected"] for frame in report["frames"]].count(True) in (3, 4)
    assert report["opened"]["isIsolated"]
    # Loaded once, the page works without a network.
    assert report["offline"]["state"] == "ready", report["offline"]


@pytest.mark.very_slow
def test_the_front_camera_is_a_mirror_picture_and_skeleton_alike(
    browse, colour_models, tmp_path
):
    from mobile.colour_models import SKELETON, frame

    clip = write_clip(tmp_path / "clip.mjpeg", [frame(i) for i in range(30)])

    report = browse(colour_models, clip=clip, frames=3, isFront=True)

    pose, detector = colour_models / "pose.tflite", colour_models / "detector.tflite"
    # What is computed is not mirrored: Python finds the same in the unmirrored frames.
    assert assert_drawn_as_in_python(report, pose, detector, detect_every=10) >= 3
    for picture, view, drawn in zip(
        frames_of(report), frames_of(report, "view"), report["frames"], strict=True
    ):
        assert drawn["isMirrored"]
        # Where picture and mirror image differ, the page shows the mirror image, but for
        # skeletons and numbers.
        mirror = picture[:, ::-1]
        tells = np.abs(mirror.astype(int) - picture).max(axis=2) > 20
        is_mirrored = np.abs(view.astype(int) - mirror).max(axis=2) <= 2
        assert tells.mean() > 0.05
        assert is_mirrored[tells].mean() > 0.5
        assert is_mirrored[~tells].mean() > 0.9
        for person in drawn["people"]:
            for k, (x, y) in enumerate(np.reshape(person["keypointsXy"], (-1, 2))):
                column, row = round(picture.shape[1] - 1 - x), round(y)
                color = SIDE_COLORS[SKELETON.names[k].partition("_")[0]]
                np.testing.assert_allclose(view[row, column], color, atol=2)


# Of drawing.js: the person's own left and right, and what is neither.
SIDE_COLORS = {
    "left": (0xFF, 0x9F, 0x43),
    "right": (0x48, 0xB6, 0xFF),
    "nose": (0xF4, 0xF6, 0xF8),
}


@pytest.mark.very_slow
def test_webgpu_finds_the_same(browse, colour_models, tmp_path):
    from mobile.colour_models import frame

    clip = write_clip(tmp_path / "clip.mjpeg", [frame(i) for i in range(30)])

    report = browse(
        colour_models, clip=clip, frames=2, selects={"accelerator": "webgpu"}, hasGpu=True
    )

    if "WebGPU" not in report["opened"]["runtime"]:
        pytest.skip(
            "this browser offers no WebGPU, not even one that the processor computes"
        )
    pose, detector = colour_models / "pose.tflite", colour_models / "detector.tflite"
    # Where all is grey, all pixels are equal, and rounding picks the highest.
    assert assert_drawn_as_in_python(report, pose, detector, 10, least_score=0.5)


@pytest.mark.very_slow
def test_float16_files_are_webgpus_as_a_whole_and_the_page_says_who_computes(
    browse, tmp_path
):
    from mobile.colour_models import export_models, frame

    pose, detector = export_models(tmp_path, "float16")
    clip = write_clip(tmp_path / "clip.mjpeg", [frame(i) for i in range(30)])

    report = browse(
        tmp_path, clip=clip, frames=2, selects={"accelerator": "webgpu"}, hasGpu=True
    )

    runtime = report["opened"]["runtime"]
    if "WebGPU" not in runtime:
        pytest.skip("this browser offers no WebGPU")
    assert runtime.startswith("WebGPU (")
    assert "WebAssembly" not in runtime
    assert runtime.endswith("computed by the processor")  # it plays the GPU here
    assert assert_drawn_as_in_python(report, pose, detector, 10, least_score=0.5)


@pytest.mark.very_slow
def test_the_shipped_int8_files_run_on_webgpu(browse, tmp_path):
    """Compiled they are by all builds of LiteRT.js; only that with JSPI runs them."""
    from mobile.colour_models import frame

    try:
        folder = shipped_file("pose").parent
    except (FileNotFoundError, ValueError) as error:
        pytest.skip(f"needs shipped models: {error}")
    picture = tmp_path / "people.png"
    cv2.imwrite(str(picture), frame(4)[..., ::-1])

    report = browse(
        folder, file=str(picture), frames=1, selects={"accelerator": "webgpu"}, hasGpu=True
    )

    assert "Asyncify" not in report["opened"]["message"]
    if "WebGPU" not in report["opened"]["runtime"]:
        pytest.skip(f"no WebGPU here: {report['opened']['message']}")
    assert "WebAssembly" not in report["opened"]["runtime"]
    assert len(report["frames"]) == 1


@pytest.mark.very_slow
def test_where_webgpu_takes_none_of_the_models_the_processor_has_all_its_threads(
    browse, tmp_path
):
    from mobile.colour_models import export_one_stage

    export_one_stage(tmp_path / "people.tflite")
    processor = browse(tmp_path)["opened"]
    refused = browse(tmp_path, selects={"accelerator": "webgpu"}, hasGpu=True)["opened"]

    if "WebGPU" in refused["runtime"]:
        pytest.skip("this WebGPU takes networks that sort")
    assert refused["runtime"] == processor["runtime"]
    assert "people.tflite is not on WebGPU: " in refused["message"]


@pytest.mark.very_slow
def test_a_browser_that_refuses_webnn_is_quoted_and_the_processor_computes(
    browse, colour_models, tmp_path
):
    from mobile.colour_models import frame

    clip = write_clip(tmp_path / "clip.mjpeg", [frame(i) for i in range(30)])

    report = browse(
        colour_models, clip=clip, frames=1, selects={"accelerator": "webnn"}, hasWebNn=True
    )

    opened = report["opened"]
    if "WebNN" in opened["runtime"]:
        pytest.skip("this browser has WebNN")
    assert opened["state"] == "ready"
    assert "WebAssembly" in opened["runtime"]
    assert "pose.tflite is not on WebNN" in opened["message"]
    assert report["frames"][0]["people"]


@pytest.mark.very_slow
def test_a_one_stage_file_needs_no_detector(browse, colour_models, tmp_path):
    from mobile.colour_models import export_one_stage, frame

    pose = export_one_stage(tmp_path / "people.tflite")
    clip = write_clip(tmp_path / "clip.mjpeg", [frame(i) for i in range(30)])

    report = browse(tmp_path, clip=clip, frames=6)

    # Two people in six frames, tracked and steadied as in Python.
    assert assert_drawn_as_in_python(report, pose, None, detect_every=1) == 12
    assert all(frame["isDetected"] for frame in report["frames"])
    assert not report["opened"]["takesDetector"]


@pytest.mark.very_slow
def test_a_bundle_of_a_network_that_finds_everybody_is_opened(browse, tmp_path):
    from mobile.colour_models import crowd_bundle, frame

    folder = crowd_bundle(tmp_path, "one_stage")
    clip = write_clip(tmp_path / "clip.mjpeg", [frame(i) for i in range(30)])
    report = browse(folder, clip=clip, frames=2)
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"one_stage"', '"bottom_up"'))
    refused = browse(folder)["opened"]

    drawn = assert_drawn_as_in_python(report, folder / "pose.tflite", None, detect_every=1)
    assert drawn == 4
    assert not report["opened"]["takesDetector"]
    assert refused["state"] == "failed"
    assert "is of a model for bottom_up, and pose.tflite is one for" in refused["message"]


@pytest.mark.very_slow
def test_the_shipped_models_find_the_same_people_in_real_photos(
    browse, shared_data_dir, tmp_path
):
    """In integers. Float sums differ in their last digits, which tips decisions between
    people who lie over each other: seen as two track ids exchanged."""
    from keras_pose.shipped import DETECTOR, POSE, shipped_box_threshold

    try:
        pose, detector = (shipped_file(kind, "int8") for kind in (POSE, DETECTOR))
        threshold = shipped_box_threshold()
    except (FileNotFoundError, ValueError) as error:
        pytest.skip(f"needs shipped models: {error}")
    clip = write_clip(tmp_path / "clip.mjpeg", photos_panned(shared_data_dir))
    selects = {
        kind: f"models/{file.relative_to(pose.parent).as_posix()}"
        for kind, file in (("pose", pose), ("detector", detector))
    }

    report = browse(pose.parent, clip=clip, frames=10, selects=selects)

    assert assert_drawn_as_in_python(
        report, pose, detector, detect_every=10, box_threshold=threshold
    )


def photos_panned(folder, num_photos=2, steps=15):
    """Returns frames of a camera that wanders over photos of one or two large people."""
    labels = json.loads((folder / "coco_people/person_keypoints_val.json").read_text())
    people: dict[int, list] = {}
    for person in labels["annotations"]:
        people.setdefault(person["image_id"], []).append(person)
    chosen = [
        image
        for image in labels["images"]
        if 1 <= len(people.get(image["id"], [])) <= 2
        and all(p["bbox"][3] > image["height"] / 2 for p in people[image["id"]])
    ][:num_photos]
    for image in chosen:
        photo = cv2.imread(str(folder / "coco_people/images" / image["file_name"]))
        for step in range(steps):
            shift = np.array([[1.2, 0, -40 + 1.5 * step], [0, 1.2, -30]])
            yield cv2.warpAffine(photo, shift, (640, 480))[..., ::-1]


@pytest.mark.very_slow
def test_the_page_says_what_is_in_the_way(browse, colour_models, tmp_path):
    no_camera = browse(colour_models)
    assert "No camera was found" in no_camera["running"]["message"]

    from mobile.colour_models import frame

    clip = write_clip(tmp_path / "clip.mjpeg", [frame(0)])
    refused = browse(colour_models, clip=clip, isRefused=True)
    assert "may not use the camera" in refused["running"]["message"]

    for file in colour_models.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    with (tmp_path / "pose.tflite").open("ab") as damaged:
        damaged.write(b"changed")
    (tmp_path / "clip.mjpeg").unlink()
    mismatch = browse(tmp_path)
    assert mismatch["opened"]["state"] == "failed"
    assert "not the file its contract describes" in mismatch["opened"]["message"]


@pytest.mark.very_slow
def test_a_bundle_is_held_against_its_manifest(browse, colour_models, tmp_path):
    from keras_pose.files import file_sha256, read_json, write_json

    for name in ("pose", "detector"):
        # Alone: what the page must know of the files is inside them.
        shutil.copy(colour_models / f"{name}.tflite", tmp_path)
    (tmp_path / "keypoints.txt").write_text("nose\n")
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
        for path in tmp_path.iterdir()
    }
    manifest = {
        "format": "keras_pose mobile bundle",
        "format_version": "1.1",
        "models": {"pose": "pose.tflite", "detector": "detector.tflite"},
        "labels": {"pose": "keypoints.txt"},
        "files": files,
    }
    write_json(tmp_path / "manifest.json", manifest)
    assert browse(tmp_path)["opened"]["state"] == "ready"

    (tmp_path / "keypoints.txt").write_text("hand\n")
    changed = browse(tmp_path)["opened"]
    assert changed["state"] == "failed"
    assert "keypoints.txt is not the file of its bundle" in changed["message"]

    newer = read_json(tmp_path / "manifest.json") | {"format_version": "2.0"}
    write_json(tmp_path / "manifest.json", newer)
    assert "has version 2.0; this app reads 1" in browse(tmp_path)["opened"]["message"]


@pytest.mark.very_slow
def test_what_a_file_answered_in_python_is_held_against_what_runs_it(browse, tmp_path):
    from mobile.colour_models import crowd_bundle

    from keras_pose.files import file_sha256, read_json, write_json

    folder = crowd_bundle(tmp_path, "one_stage")
    as_written = browse(folder, selects={"accelerator": "webgpu"}, hasGpu=True)["opened"]
    # A pack of which both say something else is as good as a driver that lies.
    index = folder / "parity" / "models" / "index.json"
    values = read_json(index)
    (recorded,) = (case for case in values["cases"] if case["kind"] == "model")
    for raw in recorded["expected"]["raw"]:
        count = int(np.prod(raw["shape"]))
        raw.pop("offset", None)
        raw["values"] = list(range(count))
    write_json(index, values)
    manifest = read_json(folder / "manifest.json")
    changed = {"bytes": index.stat().st_size, "sha256": file_sha256(index)}
    manifest["files"]["parity/models/index.json"] = changed
    write_json(folder / "manifest.json", manifest)
    lied_to = browse(folder, selects={"accelerator": "webgpu"}, hasGpu=True)["opened"]
    index.write_text("{}")
    damaged = browse(folder)["opened"]

    assert as_written["state"] == "ready", as_written
    assert lied_to["state"] == "failed"
    assert "pose.tflite cannot be run. Not on WebGPU: " in lied_to["message"]
    assert (
        "Not on WebAssembly: it computes something else than it should"
        in (lied_to["message"])
    )
    assert damaged["state"] == "failed"
    assert "parity/models/index.json has 2 bytes" in damaged["message"]


@pytest.mark.very_slow
def test_a_video_file_is_followed(browse, colour_models, tmp_path):
    from mobile.colour_models import frame

    path = tmp_path / "clip.webm"
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"VP80"), 5, (320, 240))
    if not video.isOpened():
        pytest.skip("needs an OpenCV that writes VP8")
    for index in range(20):
        video.write(frame(index)[..., ::-1])
    video.release()

    report = browse(colour_models, file=str(path), frames=4)

    pose, detector = colour_models / "pose.tflite", colour_models / "detector.tflite"
    assert assert_drawn_as_in_python(report, pose, detector, detect_every=10)


@pytest.mark.very_slow
def test_a_picture_is_estimated_once(browse, colour_models, tmp_path):
    from mobile.colour_models import frame

    picture = tmp_path / "people.png"
    cv2.imwrite(str(picture), frame(4)[..., ::-1])

    report = browse(colour_models, file=str(picture), frames=1)

    (image,) = frames_of(report)
    np.testing.assert_array_equal(image, frame(4))
    estimator = PoseEstimator(
        colour_models / "pose.tflite", colour_models / "detector.tflite"
    )
    expected = estimator(image)
    drawn = [person["keypointsXy"] for person in report["frames"][0]["people"]]
    np.testing.assert_allclose(
        np.reshape(drawn, expected.keypoints_xy.shape),
        expected.keypoints_xy,
        atol=MAX_KEYPOINT_ERROR,
    )


def test_litert_js_must_still_be_told_of_int8(serve, litert_js):
    source = (serve.LITERT / "core" / "dist" / "index.js").read_text(encoding="utf-8")
    # Once it knows int8 by itself, that change of serve.py can go.
    assert 'dtype: "int8"' not in source
    assert 'dtype: "int8"' in serve.fitted(source)


def test_the_server_sends_types_and_what_threads_need(serve, litert_js, tmp_path):
    (tmp_path / "pose.tflite").write_bytes(b"not looked at")
    write_contract(tmp_path / "pose.tflite", make_model().contract)
    server = serve.open_server(serve.build_site(tmp_path), "127.0.0.1", 0, False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1])

    def get(path, **headers):
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response, response.read()

    page, body = get("/")
    assert page.status == 200
    assert b"<canvas" in body
    assert page.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert page.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    wasm, _ = get("/litert/wasm/litert_wasm_internal.wasm")
    assert wasm.headers["Content-Type"] == "application/wasm"
    index = json.loads(get("/models/index.json")[1])
    (listed,) = index["models"]
    assert index["manifest"] is None
    assert get(f"/{listed['path']}")[1] == b"not looked at"
    again, nothing = get("/app.js", **{"If-None-Match": get("/app.js")[0].headers["ETag"]})
    assert (again.status, nothing) == (304, b"")
    # Nothing but the site: neither the checkout around it nor the rest of the disk.
    for path in ("/serve.py", "/../serve.py", "/%2e%2e/serve.py", "//etc/passwd"):
        assert get(path)[0].status == 404
    server.shutdown()
    server.server_close()


def test_the_certificate_is_for_the_addresses_of_this_machine(serve, tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("needs the program openssl")

    path = serve.certificate(["127.0.0.1", "192.0.2.7"], tmp_path)

    text = subprocess.run(
        ["openssl", "x509", "-in", path, "-noout", "-text"], capture_output=True, text=True
    ).stdout
    assert "IP Address:192.0.2.7" in text
    assert path.stat().st_mode & 0o077 == 0  # the key is in it
    assert serve.certificate(["127.0.0.1", "192.0.2.7"], tmp_path) == path


def test_a_folder_without_models_is_refused(serve, litert_js, tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no pose model"):
        serve.build_site(tmp_path)


def test_another_version_of_litert_js_is_refused(serve):
    with pytest.raises(ValueError, match="another version than expected"):
        serve.fitted("export {};")
