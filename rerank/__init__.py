"""In which order: the cross-encoder stage."""
