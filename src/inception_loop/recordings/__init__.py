"""What a rig hands over, and the readers of the field's public formats."""
