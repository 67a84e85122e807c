# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Recorded sessions: what was seen in each frame, what happened, and pages that tell it."""
