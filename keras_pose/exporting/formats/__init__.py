"""Every format a model is written in: converted, run, compared, named."""
