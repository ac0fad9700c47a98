"""Int8 against float32 for every family of networks: accuracy and time, in one table."""
