"""Readers of the data sets' own files. Each returns `PersonRecord`s.

What all of them hold to:

- Coordinates come out in the convention of `keras_pose.pictures.geometry`, with the first
  pixel at 0; sets that count from 1 lose 1.
- A file that is broken or not what it should be is an error that names the file, and
  the person and field where there are any.
- People who cannot be used (no extent, image not there) are left out, and one warning a
  file says how many, why, and names some. People without labelled keypoints are left
  out silently: most sets have them.
- Labelled keypoints outside the image stay as they are: no set's rules drop them.
- Names of images never lead out of their folder. Links in it may: trees of links are read.
- Liberties of tools in COCO's format are made good, with one warning a kind
  (`coco_people`).
- Without an image folder (None) the annotations alone are read: everybody in them, with
  the image's name as its path.
"""
