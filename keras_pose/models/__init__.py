"""Pose networks, one file per family: functional builders in `keras` alone.

All of them take a float32 (B, H, W, 3) tensor named "image", already normalised, and
give float32, also under mixed precision. Most give linear (B, H / 4, W / 4, K) heatmaps;
stacked networks give a list of such heatmaps, one per stack, the last being the best.
Builders of other networks say what they give.

Layers bear the names of the reference's modules, with dashes for dots (under Keras'
PyTorch backend no parameter may have a dot in its name): `stage2-0-branches-0-0-conv1`
takes the reference's tensor `stage2.0.branches.0.0.conv1.weight`. So the weight converter
(`keras_pose.weights`) needs no name table.
"""
