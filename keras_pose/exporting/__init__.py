"""From a trained Keras model to files for phones: serving function, TFLite, ONNX.

Every file is converted under a temporary name, run, and compared with the Keras model
before it gets its own name; its contract (`pose_model.json`) is written beside it.

The rooms, in the order that a model goes through them:

    inputs -> float_graph -> quantization -> formats -> accuracy -> ledger, shipping

`inspection` looks at files; `commands` is for the programs.
"""
