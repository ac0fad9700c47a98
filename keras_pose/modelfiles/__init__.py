"""What stands in `.tflite` and `.onnx` files, read without running them.

`reading` has the graph of any file, `flatbuffer` and `onnx_graph` that of one kind;
`tflite_model` is a `.tflite` file as an object that can be changed;
`layer_names` and `batch_norms` find Keras layers in it. `embedded` is text in files.
"""
