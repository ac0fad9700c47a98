from training import profile_step

CONVOLUTIONS = {"conv2": ("3x3", 1000), "head-1_2": ("1x1 stride 2", 500)}
GRADIENT = "gradient_tape/net_1/conv2_1/convolution/Conv2DBackpropFilter"


def test_kernels_are_known_by_their_layers_and_operators():
    def kind(name, operator):
        return profile_step.kind_of(name, operator, CONVOLUTIONS)

    assert kind("net_1/conv2_1/convolution", "_MklNativeConv2D") == (
        "convolution 3x3, forward", 1000
    )  # fmt: skip
    assert kind(GRADIENT, "_MklNativeConv2DBackpropFilter") == (
        "convolution 3x3, gradient of its kernel", 1000
    )  # fmt: skip
    assert kind("net/head-1_2/convolution", "Conv2D")[0].startswith("convolution 1x1 str")
    assert kind("net/bn", "_MklFusedBatchNormGradV3") == ("batch norms, gradient", 0)
    assert kind("net/conv2_1/Reshape", "Reshape") == ("all else", 0)


def test_speeds_are_of_the_kernels_sums():
    kernels = {("a/conv2/b", "Conv2D"): 2.0, ("c/conv2/d", "Conv2D"): 3.0,
               ("e", "AddV2"): 1.0}  # fmt: skip
    rows = profile_step.table_of(kernels, CONVOLUTIONS, whole=8.0, peak=1e9)
    # 2000 operations in 5 microseconds are 0.4 GFLOP/s, of 1 at best.
    assert rows[0] == ["convolution 3x3, forward", 2, 0.005, 0.625, 0.4, 0.4]
    assert rows[1] == ["sums", 1, 0.001, 0.125, None, None]
    assert rows[-1] == ["the whole step", None, 0.008, 0.75, None, None]
