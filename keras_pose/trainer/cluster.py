"""Workers: processes, on one machine or many, that train one model together.

Each has a copy of the model and its own part of every batch; gradients, batch norms and
metrics are of the whole batch. Worker 0, the chief, writes the run's folder; all read it.
A worker that is gone ends the others, which go on from the last save when all are started
again.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import tensorflow as tf

from keras_pose.data.data_service import answers, check_address

# Seconds after which workers that are not there are given up.
START_SECONDS = 600.0
# Seconds without an answer after which an address that was there counts as gone.
PATIENCE_SECONDS = 30.0
# EX_TEMPFAIL of sysexits.h, on which schedulers can requeue, as at SIGTERM.
LOST_STATUS = 75


@dataclass(frozen=True)
class Cluster:
    """The workers of a training, as one of them sees them.

    Attributes:
        addresses: "host:port" of each worker, the chief first.
        index: number of this worker in them.
    """

    addresses: tuple[str, ...]
    index: int

    def __post_init__(self) -> None:
        for address in self.addresses:
            check_address(address)
        if len(set(self.addresses)) < len(self.addresses):
            raise ValueError(
                f"Workers need an address each, got {', '.join(self.addresses)}."
            )
        if not 0 <= self.index < len(self.addresses):
            raise ValueError(
                f"--worker-index counts the {len(self.addresses)} workers from 0, got "
                f"{self.index}."
            )

    @property
    def size(self) -> int:
        return len(self.addresses)

    @property
    def is_chief(self) -> bool:
        return self.index == 0

    @property
    def others(self) -> dict[str, str]:
        """Names of the other workers -> their addresses."""
        return {
            f"worker {i}": address
            for i, address in enumerate(self.addresses)
            if i != self.index
        }


def find_cluster(
    words: str | None, index: int | None, environment: Mapping[str, str] = os.environ
) -> Cluster | None:
    """Finds out which workers there are.

    Args:
        words: addresses with commas between, as on the command line; None for those of
            `TF_CONFIG`, if it is set.
        index: number of this worker; needed with `words`.
        environment: variables, of which `TF_CONFIG` counts.

    Returns:
        The workers; None for a process that trains by itself.

    Raises:
        ValueError: for what names no worker, or names them twice.
    """
    config = environment.get("TF_CONFIG")
    if words is None:
        if index is not None:
            raise ValueError("--worker-index is for --workers host:port,host:port,...")
        return _cluster_of_config(config) if config else None
    if config:
        raise ValueError(
            "The variable TF_CONFIG names workers, and --workers does: leave one out."
        )
    if index is None:
        raise ValueError("--workers needs --worker-index: which of them is this process?")
    return _or_alone(tuple(word.strip() for word in words.split(",")), index)


def _cluster_of_config(text: str) -> Cluster | None:
    try:
        config = json.loads(text)
        jobs, task = dict(config["cluster"]), config["task"]
        kind, index = task["type"], int(task["index"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            'TF_CONFIG must be JSON such as {"cluster": {"worker": ["a:2222", "b:2222"]}, '
            f'"task": {{"type": "worker", "index": 0}}}}, got {text!r} ({error!r}).'
        ) from error
    unknown = sorted({*jobs, kind} - {"chief", "worker"})
    if unknown or kind not in jobs:
        raise ValueError(
            f"TF_CONFIG has tasks of the kinds {sorted(jobs)}, and this one is of "
            f"{kind!r}: a training here has workers, and a chief at most."
        )
    addresses = (*jobs.get("chief", ()), *jobs.get("worker", ()))
    before = len(jobs.get("chief", ())) if kind == "worker" else 0
    return _or_alone(addresses, before + index)


def _or_alone(addresses, index) -> Cluster | None:
    cluster = Cluster(addresses, index)
    return cluster if cluster.size > 1 else None


def join(
    cluster: Cluster, start_seconds: float = START_SECONDS
) -> tf.distribute.MultiWorkerMirroredStrategy:
    """Meets the other workers.

    Must be called before TensorFlow has used its devices. Every worker trains on all GPUs
    that it sees (`CUDA_VISIBLE_DEVICES`), or on the CPU.

    Args:
        cluster: the workers.
        start_seconds: time to wait for them.

    Returns:
        The strategy, in whose scope the model is made.

    Raises:
        ConnectionError: if they do not come.
    """
    if not cluster.is_chief:
        _wait_for(cluster.addresses[0], start_seconds)
    _configure_service(cluster, start_seconds)
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(cluster.addresses)}),
        task_type="worker",
        task_id=cluster.index,
        num_accelerators={"GPU": len(tf.config.list_physical_devices("GPU"))},
        rpc_layer="grpc",
    )
    print(f"workers     {cluster.size}, this is {cluster.index}: waiting for all of them")
    if not cluster.is_chief:
        print("            worker 0 alone measures, and writes log and checkpoints")
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(resolver)
    except tf.errors.OpError as error:
        raise ConnectionError(
            f"Worker {cluster.index} did not meet all {cluster.size} workers "
            f"({', '.join(cluster.addresses)}) within {start_seconds:g} s: start all of "
            f"them, with the same addresses, each with its own index. ({error.message})"
        ) from error


def _wait_for(address: str, seconds: float) -> None:
    """Waits until something listens at the chief's address."""
    ends = time.monotonic() + seconds
    while not answers(address):
        if time.monotonic() > ends:
            raise ConnectionError(
                f"The chief (worker 0) does not answer at {address} after {seconds:g} s: "
                "start it, and let its port through."
            )
        time.sleep(0.5)


def _configure_service(cluster: Cluster, start_seconds: float) -> None:
    """Sets how long TensorFlow waits for workers: an hour, else."""
    # There is no public way.
    from tensorflow.python.eager import context

    jobs = [
        context.coordination_config_pb2.CoordinatedJob(
            name="worker", num_tasks=cluster.size
        )
    ]
    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader="/job:worker/replica:0/task:0",
        cluster_register_timeout_in_ms=int(1000 * start_seconds),
        heartbeat_timeout_in_ms=int(1000 * PATIENCE_SECONDS),
        shutdown_barrier_timeout_in_ms=int(1000 * PATIENCE_SECONDS),
        coordinated_jobs=jobs,
    )


def wait(strategy: tf.distribute.Strategy) -> None:
    """Waits until all workers have come to this point."""
    strategy.gather(tf.zeros([1]), axis=0)


class Watch:
    """Ends this process when an address that it needs has been silent for too long.

    A step waits within TensorFlow for what will never come; only the end of the process
    ends that. What was saved is whole, and a scheduler can requeue by the exit status.

    Attributes:
        patience: seconds of silence.
    """

    def __init__(self, addresses: Mapping[str, str], patience: float = PATIENCE_SECONDS):
        """Takes names of what is needed -> addresses."""
        self.patience = patience
        self._addresses = dict(addresses)
        self._is_over = threading.Event()

    def __enter__(self) -> Watch:
        if self._addresses:
            threading.Thread(target=self._run, daemon=True).start()
        return self

    def __exit__(self, *exception) -> None:
        self._is_over.set()

    def _run(self) -> None:
        heard = dict.fromkeys(self._addresses, time.monotonic())
        while not self._is_over.wait(self.patience / 6):
            for name, address in self._addresses.items():
                if answers(address, self.patience / 6):
                    heard[name] = time.monotonic()
                elif (
                    time.monotonic() - heard[name] > self.patience
                    and not self._is_over.is_set()
                ):
                    self._end(name, address)

    def _end(self, name: str, address: str) -> None:
        sys.stdout.flush()
        message = lost_message([f"{name} ({address})"])
        print(f"\nerror: {message}", file=sys.stderr, flush=True)
        os._exit(LOST_STATUS)


def lost_message(names: Sequence[str]) -> str:
    """Returns what to say when others are gone."""
    who = " and ".join(names)
    return (
        f"{who} no longer answers: this process stops, too. The run goes on from its last "
        "save when all are started again with --resume."
    )


class LostWorker(SystemExit):
    """The end of a process whose fellow workers are gone."""

    def __init__(self, message: str):
        super().__init__(LOST_STATUS)
        self.message = message


@contextlib.contextmanager
def stops_with_others(cluster: Cluster | None, servers: Sequence[str]) -> Iterator[None]:
    """Ends the process with a plain message when a worker, or what else is needed, is gone.

    Args:
        cluster: the workers; None for a process that trains by itself.
        servers: addresses of data services.

    Raises:
        LostWorker: when TensorFlow reports it, which is mostly at once.
    """
    addresses = cluster.others if cluster else {}
    addresses |= {f"data service {i}": each for i, each in enumerate(servers)}
    with Watch(addresses):
        try:
            yield
        except tf.errors.OpError as error:
            silent = _silent(addresses)
            if not silent:
                raise
            message = lost_message(silent)
            print(f"error: {message} ({_first_line(error)})", file=sys.stderr, flush=True)
            raise LostWorker(message) from error


def _silent(addresses: Mapping[str, str]) -> list[str]:
    """Returns which of some addresses do not answer, asking for a while."""
    for _ in range(6):  # the kernel may close a port after its peers have noticed
        silent = [f"{n} ({a})" for n, a in addresses.items() if not answers(a)]
        if silent:
            return silent
        time.sleep(0.5)
    return []


def _first_line(error) -> str:
    return str(error).strip().splitlines()[0][:200]
