"""How the weights that we ship are made: lists chosen, candidates found, packed, learned from."""
