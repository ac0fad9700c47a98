"""Files of a model, written, measured and timed, in one table: a ledger.

`making` makes it; `families` are ledgers of many networks, of two formats each, in a table
of their own. `jobs` and `int8_jobs` are the steps that run in processes of their own.
"""
