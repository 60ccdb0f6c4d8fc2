"""Tests, intervals and power of closed-loop comparisons: from arrays and frames, no store."""
