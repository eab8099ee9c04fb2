"""How does a cross-encoder learn? Lists in, a model folder with its card out: `search train`."""
