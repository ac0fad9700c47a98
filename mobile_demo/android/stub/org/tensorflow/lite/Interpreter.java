package org.tensorflow.lite;

import java.nio.ByteBuffer;
import java.util.Map;

/** What the app uses of LiteRT's class of this name: signatures only, to check types where the AAR is not at hand. */
public class Interpreter implements AutoCloseable {
    public static class Options {
        public native Options setNumThreads(int count);

        public native Options setUseXNNPACK(boolean isUsed);

        public native Options addDelegate(Delegate delegate);
    }

    public Interpreter(ByteBuffer model, Options options) {}

    public native String[] getSignatureKeys();

    public native String[] getSignatureInputs(String signature);

    public native String[] getSignatureOutputs(String signature);

    public native Tensor getInputTensorFromSignature(String input, String signature);

    public native Tensor getOutputTensorFromSignature(String output, String signature);

    public native void runSignature(Map<String, Object> inputs, Map<String, Object> outputs, String signature);

    @Override
    public native void close();
}
