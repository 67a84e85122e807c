# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""ROS or OpenCV image -> array, frame sources, and the one face preprocessing."""
