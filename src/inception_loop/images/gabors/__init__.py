"""Gabors for every unit: the whole grid in one pass, and free parameters by gradient."""
