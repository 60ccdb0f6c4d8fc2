"""How the networks of a group learnt: curves, first filters, scores unit by unit."""
