"""Gradient ascent on images: a pure climb and the pieces that a recipe is put together from."""
