"""Judge how a person in front of a robot received its last action."""

__version__ = "0.1.0"
