"""The float graph that is converted: pixels in, maps or keypoints out."""
