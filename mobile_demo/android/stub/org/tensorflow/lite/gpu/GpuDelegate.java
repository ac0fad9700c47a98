package org.tensorflow.lite.gpu;

import org.tensorflow.lite.Delegate;

/** What the app uses of LiteRT's class of this name. */
public class GpuDelegate implements Delegate {
    public GpuDelegate(GpuDelegateFactory.Options options) {}

    @Override
    public native void close();
}
