"""From a float32 file to any other: crops, ranges, and the tools that take them."""
