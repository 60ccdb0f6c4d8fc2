"""Stimulus sets: the images that a rig shows next, their order, and how long that takes."""
