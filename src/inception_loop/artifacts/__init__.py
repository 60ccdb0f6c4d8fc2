"""The artifact store: immutable, content-addressed results on any fsspec filesystem."""
