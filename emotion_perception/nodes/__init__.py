# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Thin rclpy glue around the pipeline; the only package that imports rclpy."""
