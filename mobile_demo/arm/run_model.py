"""Runs a .tflite file on inputs and keeps its raw outputs: the part that is emulated.

    python mobile_demo/arm/run_model.py MODEL INPUTS.npy OUTPUTS.npz

INPUTS is (N, *input shape), each run by itself. OUTPUTS has one (N, *output shape) array
per output of the signature, by name. Needs ai-edge-litert and NumPy, nothing else.
"""

import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def main(model, inputs, outputs):
    runner = Interpreter(model_path=model, num_threads=1).get_signature_runner()
    (name,) = runner.get_input_details()
    results = [runner(**{name: values}) for values in np.load(inputs)]
    np.savez(
        outputs, **{key: np.stack([one[key] for one in results]) for key in results[0]}
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
