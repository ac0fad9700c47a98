"""What an int8 file loses, operator by operator, and how to lose less."""
