"""From a later day's responses to evidence: matching, confusion, diagonal. Knows no network."""
