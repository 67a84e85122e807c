# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Fuzzing: damaged and hostile input for every reader of the package; see docs/fuzzing.md."""
