"""Images a unit should answer to: gradient ascent, its controls, their contrast; networks are callables."""
