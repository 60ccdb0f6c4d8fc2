"""Natural images that excite a unit most, whole or inside its mask, out of any image set."""
