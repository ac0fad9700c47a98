"""Losses of int8 files, operator by operator, and ways to lose less."""
