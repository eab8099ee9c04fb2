"""Other search libraries, each in a file of its own, used as its own documentation shows."""
