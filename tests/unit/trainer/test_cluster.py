"""Workers that train one model together: who they are, their parts, and real processes."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from says import Says

from keras_pose.codecs import CODECS
from keras_pose.contracts.entries import save_keras_model
from keras_pose.data.data_service import in_order, served
from keras_pose.data.pipeline import (
    Part,
    positions_of,
    training_dataset,
    validation_dataset,
)
from keras_pose.data.sources import synthetic_source
from keras_pose.data.synthetic import write_coco_dataset
from keras_pose.data.transforms import Augmentation, jitter_color, jitter_of_batch
from keras_pose.files.runs import read_progress
from keras_pose.pictures.normalization import IMAGENET
from keras_pose.trainer import cluster as cluster_module
from keras_pose.trainer.cluster import (
    PATIENCE_SECONDS,
    Cluster,
    Watch,
    find_cluster,
)
from keras_pose.trainer.devices import recipe_strategy
from keras_pose.trainer.loop import begin
from keras_pose.trainer.meeting import compare
from keras_pose.trainer.recipes import get_recipe
from keras_pose.trainer.run_dirs import recipe_for
from keras_pose.trainer.run_state import Progress, RunState
from keras_pose.weights.creation import create_model
from keras_pose.weights.provenance import file_contract_of

WORKER = Path(__file__).resolve().parents[2] / "cluster_worker.py"
# Workers that do not come, or do not notice, must not hold up all tests.
SECONDS = 600


def _config(kind, index, **jobs):
    text = json.dumps({"cluster": jobs, "task": {"type": kind, "index": index}})
    return {"TF_CONFIG": text}


def test_workers_are_those_of_the_options_or_of_the_environment():
    assert find_cluster("a:1, b:2", 1, {}) == Cluster(("a:1", "b:2"), 1)
    config = _config("worker", 1, chief=["a:1"], worker=["b:2", "c:3"])
    assert find_cluster(None, None, config) == Cluster(("a:1", "b:2", "c:3"), 2)
    assert find_cluster(None, None, _config("worker", 0, worker=["a:1"])) is None
    assert find_cluster(None, None, {}) is None


def test_what_names_no_worker_is_refused():
    with Says(
        "--workers needs --worker-index", do="Number the processes from 0."
    ).refuses():
        find_cluster("a:1,b:2", None, {})
    with Says(
        "counts the 2 workers from 0, got 2", do="Number the processes from 0."
    ).refuses():
        find_cluster("a:1,b:2", 2, {})
    with Says(
        "An address is host:port, such as node1:2222", do="Write it with its port."
    ).refuses():
        find_cluster("a,b:2", 0, {})
    with Says(
        "TF_CONFIG names workers, and --workers does", do="Leave one of them out."
    ).refuses():
        find_cluster("a:1,b:2", 0, _config("worker", 0, worker=["a:1", "b:2"]))
    with Says(
        "a training here has workers, and a chief at most",
        do="Start no parameter servers and evaluators.",
    ).refuses():
        find_cluster(None, None, _config("ps", 0, ps=["a:1"], worker=["b:2"]))
    with pytest.raises(ValueError, match="TF_CONFIG must be JSON such as"):
        find_cluster(None, None, {"TF_CONFIG": "{"})


def test_what_workers_cannot_share_is_refused():
    cluster = Cluster(("a:1", "b:1"), 0)
    recipe = get_recipe("testing_pose", "synthetic")
    with pytest.raises(ValueError, match="accumulate 2 works on one device"):
        recipe_strategy(recipe.override(accumulate=2), "auto", cluster)
    with Says(
        "trains on all GPUs that it sees, got --devices 2",
        do="Set CUDA_VISIBLE_DEVICES for each worker.",
    ).refuses():
        recipe_strategy(recipe, "2", cluster)
    with Says(
        "A batch of 8 cannot be shared out evenly among 3 devices",
        do="Take a number of workers times GPUs that divides it.",
    ).refuses():
        Part(0, 3).of(8)


def test_a_run_that_goes_on_keeps_its_batch_on_another_number_of_devices():
    class Devices:
        num_replicas_in_sync = 4

    recipe = get_recipe("testing_pose", "synthetic").override(batch_size=3)
    assert begin(None, recipe, Devices).global_batch == 12
    saved = RunState(Path(), Progress(2, 5, global_batch=8))
    assert begin(saved, recipe, Devices) == saved.progress
    Devices.num_replicas_in_sync = 3
    with pytest.raises(ValueError, match="A batch of 8 cannot be shared out"):
        begin(saved, recipe, Devices)


class _Gathered:
    """A team whose other worker has other values."""

    cluster = Cluster(("a:1", "b:2"), 0)
    strategy = property(lambda self: self)

    def gather(self, values, axis):
        return tf.concat([values, tf.add(values, [[0, 1]])], axis)


def test_workers_that_differ_are_named_with_what_differs():
    with Says(
        "Workers train one model only if they agree: worker 1 (b:2) has another recipe "
        "than worker 0",
        do="Start all workers with the same code, options, data and run folder.",
    ).refuses():
        compare(_Gathered(), {"code": "x", "recipe": "y"})


def test_a_watch_ends_the_process_when_an_address_falls_silent(monkeypatch):
    ended = []
    monkeypatch.setattr(Watch, "_end", lambda self, *what: ended.append(what))
    with socket.create_server(("127.0.0.1", 0)) as there:
        address = f"127.0.0.1:{there.getsockname()[1]}"
        with Watch({"worker 1": address}, patience=0.3):
            time.sleep(0.6)
            assert not ended
            there.close()
            time.sleep(1)
        assert ended[0] == ("worker 1", address)


@pytest.fixture(scope="module")
def source():
    return synthetic_source(5, seed=0)


def _batches(source, part, start_batch=3, every=1):
    return training_dataset(
        source, CODECS["dark"].for_input((64, 64)), IMAGENET, Augmentation(color=0.5), 8,
        start_batch=start_batch, part=part, every=every,
    )  # fmt: skip


def test_parts_take_the_places_of_a_batch_between_them():
    def places(part):
        return [int(x) for x in positions_of(8, 3, part, every=2).take(16 // part.count)]

    assert places(Part()) == [*range(24, 32), *range(40, 48)]
    assert places(Part(1, 2)) == [*range(28, 32), *range(44, 48)]
    images = tf.random.stateless_uniform([8, 4, 4, 3], (0, 1), 0, 255)
    numbers = tf.range(24, 32, dtype=tf.int64)
    whole = jitter_of_batch(images, 0.5, 7, numbers, 8)
    np.testing.assert_array_equal(whole, jitter_color(images, 0.5, (8, 24)))
    part = jitter_of_batch(images[4:], 0.5, 7, numbers[4:], 8)
    np.testing.assert_allclose(part, whole[4:], rtol=1e-5)


@pytest.mark.very_slow
def test_parts_of_a_batch_are_the_whole_batch(source):
    whole = next(iter(_batches(source, Part())))
    parts = [
        batch
        for index in range(2)
        for batch in _batches(source, Part(index, 2, replicas=2)).take(2)
    ]
    for expected, *found in zip(whole, *parts, strict=True):
        assert [len(each) for each in found] == [2] * 4
        # Crops are placed for a batch at once, whose size rounds differently.
        np.testing.assert_allclose(np.concatenate(found), expected, atol=1e-3)


@pytest.mark.very_slow
def test_parts_of_validation_are_all_of_it_in_equal_batches(source):
    def batches(batch_size, **options):
        return list(
            validation_dataset(
                source, CODECS["dark"].for_input((64, 64)), IMAGENET, batch_size, **options
            )
        )

    parts = [
        batches(8, num_replicas=4, part=Part(index, 2, replicas=2)) for index in range(2)
    ]
    sizes = [[len(images) for images, *_ in part] for part in parts]
    assert sizes[0] == sizes[1]
    assert sizes[0][::2] == sizes[0][1::2]  # a worker's two devices take turns
    number = len(source) // 4 * 4
    ours = np.concatenate([images for part in parts for images, *_ in part])
    (whole,) = (images[:number] for images, *_ in batches(len(source)))
    order = [np.abs(whole - image).sum(axis=(1, 2, 3)).argmin() for image in ours]
    assert sorted(order) == list(range(number))


@pytest.mark.very_slow
def test_servers_make_batches_in_turn(source):
    service = tf.data.experimental.service
    servers = []
    for _ in range(2):
        dispatcher = service.DispatchServer()
        address = dispatcher.target.partition("://")[2]
        servers.append((dispatcher, service.WorkerServer(service.WorkerConfig(address))))
    addresses = [each.target.partition("://")[2] for each, _ in servers]

    def make(start_batch, every):
        return _batches(source, Part(), start_batch, every)

    own = served(make, [], 3, Part()).take(3)
    theirs = served(make, addresses, 3, Part()).take(3)
    for batch, expected in zip(theirs, own, strict=True):
        for values, others in zip(batch, expected, strict=True):
            np.testing.assert_array_equal(values, others)


def test_batches_of_a_server_that_are_not_due_are_refused():
    numbers = tf.data.Dataset.from_tensor_slices(np.array([6, 6, 8, 8, 8, 8]))
    batches = in_order(tf.data.Dataset.zip(numbers, numbers), 6, 2, 2)
    with Says(
        "The data service gave another batch than the one that is due",
        do="Start each server by training/serve_data.py, and give its address once.",
    ).refuses(tf.errors.InvalidArgumentError):
        list(batches)


def _free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _recipe(**changes):
    # SGD-like steps: Adam would blow rounding up where gradients are near 0.
    values = {"input_hw": (64, 64), "batch_size": 4, "synthetic_images": 10, "epochs": 3}
    values |= {"optimizer": "rmsprop", "learning_rate": 1e-4, "ema_momentum": 0.9}
    return get_recipe("testing_pose", "synthetic").override(**values | changes).to_dict()


def _start(folder, index, cluster, signals=(0, 0), step=0, recipe=None, save_minutes=10):
    settings = {
        "cluster": cluster and {"addresses": cluster, "index": index},
        "servers": [],
        "recipe": recipe or _recipe(),
        "run_dir": str(folder / "run"),
        "weights": str(folder / f"weights{index}.npz"),
        "signal": signals[index],
        "step": step,
        "save_minutes": save_minutes,
    }
    return subprocess.Popen(
        [sys.executable, str(WORKER), json.dumps(settings)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
    )


def _run_two(folder, **options):
    """Runs two workers to their ends: exit statuses, and what they printed."""
    cluster = [f"127.0.0.1:{port}" for port in _free_ports(2)]
    workers = [_start(folder, index, cluster, **options) for index in range(2)]
    printed, ended = [None, None], [0.0, 0.0]

    def follow(index):
        printed[index] = workers[index].communicate()[0]
        ended[index] = time.monotonic()

    threads = [threading.Thread(target=follow, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    for worker in workers:
        worker.kill()
    # Generous, for busy machines: TensorFlow notices mostly at once.
    assert abs(ended[0] - ended[1]) < 2 * PATIENCE_SECONDS, printed
    return [worker.returncode for worker in workers], printed


@pytest.mark.very_slow
def test_two_workers_killed_and_resumed_equal_one_process(tmp_path):
    # Epochs have 3 steps of 8 people. Saved after each step, worker 1 dies in the second.
    status, printed = _run_two(
        tmp_path, signals=(0, signal.SIGKILL), step=5, save_minutes=1e-9
    )
    assert status == [75, -signal.SIGKILL], printed
    assert Says(
        "worker 1 (...) no longer answers: this process stops, too",
        do="Start all workers again, with --resume.",
    ).is_in(printed[0])
    progress = read_progress(tmp_path / "run")
    assert progress["epochs_done"] == 1
    assert progress["steps_done"] in (1, 2)

    # One of them is asked to end: both save after the same step, and say so.
    status, printed = _run_two(tmp_path, signals=(0, signal.SIGTERM), step=6)
    assert status == [75, 75], printed
    status, printed = _run_two(tmp_path)
    assert status == [0, 0], printed
    ends = _ends_with_one_process(tmp_path, _recipe(batch_size=8), ("loss", "val_loss"), 3)
    for chief, other, alone in zip(*ends, strict=True):
        np.testing.assert_array_equal(chief, other)
        np.testing.assert_allclose(chief, alone, rtol=1e-4, atol=1e-5)


def _ends_with_one_process(folder, recipe, figures, epochs):
    """Trains in one process, too: weights of chief, other and that; logs are compared."""
    (folder / "one").mkdir()
    one = _start(folder / "one", 0, None, recipe=recipe)
    printed = one.communicate(timeout=SECONDS)[0]
    assert one.returncode == 0, printed
    logs = [
        list(csv.DictReader((each / "run" / "log.csv").open()))
        for each in (folder, folder / "one")
    ]
    assert len(logs[0]) == epochs
    for row, expected in zip(*logs, strict=True):
        for name in figures:
            assert float(row[name]) == pytest.approx(float(expected[name]), rel=1e-4)
    return [
        list(np.load(folder / name).values())
        for name in ("weights0.npz", "weights1.npz", "one/weights0.npz")
    ]


@pytest.mark.very_slow
def test_two_workers_train_a_detector_with_a_teacher_as_one_process_does(tmp_path):
    for split, count in (("train", 10), ("val", 2)):
        write_coco_dataset(tmp_path / "data", count, split=split)
    network = create_model("testing_detector", 1, (64, 64))
    save_keras_model(network, tmp_path / "teacher.keras", file_contract_of(network))

    def recipe(batch_size):
        entries = {"input_hw": (64, 64), "batch_size": batch_size, "epochs": 2}
        entries |= {"learning_rate": 1e-4, "teacher": str(tmp_path / "teacher.keras")}
        entries |= {"data_dir": str(tmp_path / "data")}
        return recipe_for("testing_detector", "synthetic").override(**entries).to_dict()

    status, printed = _run_two(tmp_path, recipe=recipe(4))
    assert status == [0, 0], printed
    assert "worker 0 alone measures" in printed[1]
    assert "val_box_ap" in printed[0]
    assert "val_box_ap" not in printed[1]

    ends = _ends_with_one_process(tmp_path, recipe(8), ("loss",), 2)
    chief, other, alone = (np.concatenate([x.ravel() for x in each]) for each in ends)
    np.testing.assert_array_equal(chief, other)
    # Adam takes steps of 1e-4 whatever a gradient's size, so also where it is rounding.
    np.testing.assert_allclose(chief, alone, rtol=1e-4, atol=1e-4)
    assert np.abs(chief - alone).mean() < 1e-6


@pytest.mark.very_slow
def test_workers_of_other_recipes_say_what_differs(tmp_path):
    cluster = [f"127.0.0.1:{port}" for port in _free_ports(2)]
    recipes = _recipe(), _recipe(learning_rate=1e-3)
    workers = [_start(tmp_path, i, cluster, recipe=recipes[i]) for i in range(2)]
    for worker in workers:
        printed = worker.communicate(timeout=SECONDS)[0]
        assert worker.returncode == 1
        assert "worker 1 (127.0.0.1" in printed
        assert "has another recipe than worker 0" in printed
    assert not (tmp_path / "run").exists()


@pytest.mark.very_slow
def test_workers_that_do_not_come_are_not_waited_for_longer(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster_module, "answers", lambda address: False)
    with Says(
        "The chief (worker 0) does not answer at 127.0.0.1:9 after 0.1 s",
        do="Start worker 0, and let its port through.",
    ).refuses():
        cluster_module.join(Cluster(("127.0.0.1:9", "127.0.0.1:10"), 1), 0.1)
