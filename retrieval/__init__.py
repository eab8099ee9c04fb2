"""Which candidates: from a query to the first-stage hits."""
