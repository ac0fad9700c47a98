package org.tensorflow.lite.gpu;

/** What the app uses of LiteRT's class of this name. */
public class CompatibilityList {
    public native boolean isDelegateSupportedOnThisDevice();

    public native void close();
}
