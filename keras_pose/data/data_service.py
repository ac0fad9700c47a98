"""Input that other machines make: tf.data servers, one an address.

A server (`training/serve_data.py`) runs a training's whole pipeline and sends batches.
Several take turns: of D servers, number i makes batches i, i + D, i + 2D, ... in order. So
the order stays a function of seed and position, and a run resumes as without them.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence

import tensorflow as tf

from keras_pose.data.pipeline import Part

# Batches that each server makes ahead.
_AHEAD = 2


def split_addresses(words: str | None) -> tuple[str, ...]:
    """Splits the addresses of a command line, and asks each server whether it is there.

    Args:
        words: "host:port,host:port,...", or None for no server.

    Raises:
        ValueError: for what is no address.
        ConnectionError: names a server that does not answer.
    """
    addresses = tuple(word.strip() for word in words.split(",")) if words else ()
    for address in addresses:
        if not answers(address):
            raise ConnectionError(
                f"The data service at {address} does not answer: start "
                "python training/serve_data.py there, or leave --data-service out."
            )
    return addresses


def check_address(address: str) -> tuple[str, int]:
    """Splits an address of another process.

    Raises:
        ValueError: if it is not "host:port".
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"An address is host:port, such as node1:2222, got {address!r}.")
    return host, int(port)


def answers(address: str, seconds: float = 5.0) -> bool:
    """Returns True if something accepts connections at an address."""
    try:
        with socket.create_connection(check_address(address), seconds):
            return True
    except OSError:
        return False


def served(
    make: Callable[[int, int], tf.data.Dataset],
    addresses: Sequence[str],
    start_batch: int,
    part: Part,
) -> tf.data.Dataset:
    """Returns batches that servers make, or this process where there are none.

    Args:
        make: function from the number of a first batch and the step to the next to an
            endless data set, with `part.replicas` elements for each batch.
        addresses: "host:port" of each server.
        start_batch: number of the first batch.
        part: share of each batch that is made.

    Raises:
        tf.errors.InvalidArgumentError: while it is read, where a server gives other
            batches than those that are due, as one with several workers does.
    """
    if not addresses:
        return make(start_batch, 1)
    count, replicas = len(addresses), part.replicas
    streams = []
    for i, address in enumerate(addresses):
        numbers = tf.data.Dataset.counter(start_batch + i, count).flat_map(
            lambda number: tf.data.Dataset.from_tensors(number).repeat(replicas)
        )
        stream = tf.data.Dataset.zip(numbers, make(start_batch + i, count))
        streams.append(
            stream.prefetch(_AHEAD).apply(
                tf.data.experimental.service.distribute(
                    tf.data.experimental.service.ShardingPolicy.OFF, f"grpc://{address}"
                )
            )
        )
    turns = tf.data.Dataset.counter().map(lambda i: i // replicas % count)
    batches = tf.data.Dataset.choose_from_datasets(streams, turns)
    return in_order(batches, start_batch, 1, replicas).prefetch(_AHEAD)


def in_order(batches, start_batch: int, every: int, replicas: int) -> tf.data.Dataset:
    """Checks the numbers of batches that come from elsewhere.

    Args:
        batches: data set of (number, batch).
        start_batch: number that the first must have.
        every: step from one number to the next.
        replicas: elements with the same number.

    Returns:
        Data set of the batches.

    Raises:
        tf.errors.InvalidArgumentError: while it is read, for a number that is not due.
    """

    def checked(place, numbered):
        number, batch = numbered
        due = start_batch + place // replicas * every
        message = (
            "The data service gave another batch than the one that is due: start each "
            "server by training/serve_data.py, and give its address once."
        )
        with tf.control_dependencies([tf.debugging.assert_equal(number, due, message)]):
            return tf.nest.map_structure(tf.identity, batch)

    return batches.enumerate().map(checked)
