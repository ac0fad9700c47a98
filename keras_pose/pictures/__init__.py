"""Pictures and the people in them, in NumPy: reading, places, similarity, drawing.

`images` reads and writes pictures, `normalization` makes network input of them. `geometry`
states the coordinate convention and has crops, `boxes` what detectors need. `structures`
are poses and detections, `oks` compares poses, `drawing` and `plots` show them.
"""
