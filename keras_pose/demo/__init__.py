"""The demo: skeletons on photographs, then a network that learns, all within minutes.

`stills` makes the pictures, `seeing` draws the people in them with the models that come
with the package (no TensorFlow), `learning` trains, quantizes and measures a small one.
"""
