"""Makes the training input of other machines: a server of tf.data.

    python training/serve_data.py --port 5050       # on machines cpu1 and cpu2, then on one
    python training/train.py --model hrnet_w32 --data-service cpu1:5050,cpu2:5050

It uses all cores, reads the pictures at the paths that the training names, and serves any
number of trainings, all of its own versions of TensorFlow and keras_pose. It listens at
two ports, the one given and the next, and stops at Ctrl-C or SIGTERM.
"""

import argparse
import signal
import socket
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from a clone

from keras_pose.commandline import plain_errors, positive_int
from keras_pose.commandline.quiet import import_tensorflow


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--port", type=positive_int, default=5050, help="and the next (default: 5050)")
    add("--host", metavar="NAME", default=socket.gethostname(),
        help="name of this machine in the network (default: %(default)s)")  # fmt: skip
    return parser.parse_args(argv)


@plain_errors()
def main(argv=None):
    args = parse_args(argv)
    # Imported after parsing: TensorFlow takes seconds, `--help` must not.
    import_tensorflow(for_training=True)
    import tensorflow as tf

    service = tf.data.experimental.service
    try:
        dispatcher = service.DispatchServer(
            service.DispatcherConfig(port=args.port, protocol="grpc")
        )
        worker = service.WorkerServer(
            service.WorkerConfig(
                dispatcher_address=f"127.0.0.1:{args.port}",
                worker_address=f"{args.host}:{args.port + 1}",
                port=args.port + 1,
                protocol="grpc",
            )
        )
    except tf.errors.OpError as error:
        raise OSError(
            f"Ports {args.port} and {args.port + 1} cannot be served: {error.message}"
        ) from error
    print(f"serving     {args.host}:{args.port}, until Ctrl-C", flush=True)
    is_over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: is_over.set())
    is_over.wait()
    # Worker first: it tells the dispatcher.
    worker._stop()
    dispatcher._stop()


if __name__ == "__main__":
    main()
