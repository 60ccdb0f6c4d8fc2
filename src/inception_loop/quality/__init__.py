"""Whether a recording is sound: its numbers, what stands out in them, and what to do about it."""
