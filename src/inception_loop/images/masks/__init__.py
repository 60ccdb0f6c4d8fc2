"""Masks that cut the part of a picture that matters to its unit out of the rest of the screen."""
