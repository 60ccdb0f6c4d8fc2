"""From a dataset to a trained network, its scores, and the ensemble that plays the cells."""
