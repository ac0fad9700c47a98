package org.tensorflow.lite;

/** What the app uses of LiteRT's interface of this name. */
public interface Tensor {
    int[] shape();

    int numBytes();
}
