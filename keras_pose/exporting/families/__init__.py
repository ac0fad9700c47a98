"""What int8 does to every family of networks: accuracy and time, in one table."""
