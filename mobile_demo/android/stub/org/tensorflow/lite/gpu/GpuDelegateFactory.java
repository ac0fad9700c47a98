package org.tensorflow.lite.gpu;

/** What the app uses of LiteRT's class of this name. */
public class GpuDelegateFactory {
    public static class Options {}
}
