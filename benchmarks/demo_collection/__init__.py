"""The data of the demo collection; README.md beside this says what it is."""
