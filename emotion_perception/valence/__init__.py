# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Valence network, checkpoint, inference backends and calibration."""
