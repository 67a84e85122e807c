"""Recorded sessions: what was seen in each frame, what happened, and pages that tell it."""
