"""The graph of a Keras network in PyTorch, to train beside it.

PyTorch's own convolutions, batch norms and gradients, layer by layer, with the network's
weights. It is no package of ours: pip install torch==2.13.0
"""

import keras
import torch

from keras_pose.models.layers import BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM


class Twin(torch.nn.Module):
    """The graph of a Keras network, of PyTorch's modules with its weights.

    Args:
        network: Keras network of plain convolutions, batch norms, ReLU, sums, zero padding
            and upsampling to the nearest.
    """

    def __init__(self, network):
        super().__init__()
        self._network = network
        self.modules_by_name = torch.nn.ModuleDict()
        for layer in network.layers:
            if isinstance(layer, keras.layers.Conv2D):
                self.modules_by_name[layer.name] = _convolution(layer)
            elif isinstance(layer, keras.layers.BatchNormalization):
                self.modules_by_name[layer.name] = _batch_norm(layer)

    def forward(self, images):
        values = {id(self._network.inputs[0]): images}
        for layer in self._network.layers[1:]:
            (node,) = layer._inbound_nodes
            inputs = [values[id(tensor)] for tensor in node.input_tensors]
            values[id(layer.output)] = self._result_of(layer, inputs)
        return values[id(self._network.outputs[0])]

    def _result_of(self, layer, inputs):
        match layer:
            case keras.layers.Conv2D() | keras.layers.BatchNormalization():
                return self.modules_by_name[layer.name](*inputs)
            case keras.layers.ReLU():
                return torch.relu(*inputs)
            case keras.layers.Add():
                return sum(inputs[1:], start=inputs[0])
            case keras.layers.ZeroPadding2D():
                (rows, columns) = layer.padding
                return torch.nn.functional.pad(*inputs, (*columns, *rows))
            case keras.layers.UpSampling2D() if layer.interpolation == "nearest":
                return torch.nn.functional.interpolate(*inputs, scale_factor=layer.size)
        raise ValueError(
            f"PyTorch's twin of a network knows no {type(layer).__name__}, which "
            f"{self._network.name} has ({layer.name}): take an HRNet."
        )


def _convolution(layer):
    kernel = torch.tensor(layer.kernel.numpy()).permute(3, 2, 0, 1)
    module = torch.nn.Conv2d(
        kernel.shape[1], kernel.shape[0], kernel.shape[2:], layer.strides,
        kernel.shape[2] // 2 if layer.padding == "same" else 0, bias=layer.use_bias,
    )  # fmt: skip
    module.weight.data.copy_(kernel)
    if layer.use_bias:
        module.bias.data.copy_(torch.tensor(layer.bias.numpy()))
    return module


def _batch_norm(layer):
    gamma, beta, mean, variance = map(torch.tensor, layer.get_weights())
    module = torch.nn.BatchNorm2d(len(gamma), BATCH_NORM_EPSILON, 1 - BATCH_NORM_MOMENTUM)
    module.weight.data.copy_(gamma)
    module.bias.data.copy_(beta)
    module.running_mean.copy_(mean)
    module.running_var.copy_(variance)
    return module
