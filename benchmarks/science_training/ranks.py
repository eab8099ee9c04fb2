"""Which ranks of the first stage are learned from, and what there is no negative."""

DEPTH = 100  # candidates of a query, as a search has them
TOP = 20  # ranks whose candidates are all kept: what the first stage is most wrong about
MARGIN = 0.97  # where relations are found, not complete: no negative scores above this share
COMPLETE_ENOUGH = 0.5  # of the best positive, but below this score any may be one
INCOMPLETE = frozenset({"citation", "context", "cocitation", "heading", "keywords"})
