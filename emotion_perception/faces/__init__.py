"""Face detection, alignment, tracking and quality."""
