# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Training, evaluation and data tools; the only package that needs torch and Lightning."""
