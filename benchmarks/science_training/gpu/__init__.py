"""The same training where a GPU does all of it: vectors, candidates, draws, steps and a student."""
