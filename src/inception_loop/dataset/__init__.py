"""From recordings to a group of scans to train on: tiers, frames, responses, behaviour."""
