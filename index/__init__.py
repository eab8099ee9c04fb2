"""What is on disk: build, save, open and check an index."""
