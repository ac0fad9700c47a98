package org.tensorflow.lite;

/** What the app uses of LiteRT's interface of this name. */
public interface Delegate {
    void close();
}
