"""From probabilities to a reaction that a behaviour can act on."""
