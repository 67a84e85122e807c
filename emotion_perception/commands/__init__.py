# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The commands of `emotion-perception`, one file each; cli.py joins them."""
