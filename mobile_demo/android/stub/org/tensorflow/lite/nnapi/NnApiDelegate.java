package org.tensorflow.lite.nnapi;

import org.tensorflow.lite.Delegate;

/** What the app uses of LiteRT's class of this name. */
public class NnApiDelegate implements Delegate {
    public NnApiDelegate() {}

    @Override
    public native void close();
}
