# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""From probabilities to a reaction that a behaviour can act on."""
