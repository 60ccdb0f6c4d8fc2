"""From model values to what the rig shows: calibration, grey levels, bytes and back."""
