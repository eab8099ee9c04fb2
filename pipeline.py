"""How a query flows: retrieve, fuse, rerank."""
