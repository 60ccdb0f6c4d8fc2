"""Stand-ins for a mouse: they answer stimuli with a recording, as a rig would, and keep their truth apart."""
