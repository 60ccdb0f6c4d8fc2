"""Every image of every unit side by side, before it is shown to an animal."""
