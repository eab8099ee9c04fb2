"""Pairs of sentences that differ in what matters and share what does not; see README.md."""
