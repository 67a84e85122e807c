"""Judge how a person in front of a robot received its last action."""

from pkgutil import extend_path

# The messages are built into an installed copy of this package; in a checkout they are found there.
__path__ = extend_path(__path__, __name__)

__version__ = "0.1.0"
