"""Thin rclpy glue around the pipeline; the only package that imports rclpy."""
