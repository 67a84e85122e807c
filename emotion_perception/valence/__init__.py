"""Valence network, checkpoint, inference backends and calibration."""
