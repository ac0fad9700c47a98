"""Every format of a model, written and measured, in one table."""
