"""ROS or OpenCV image -> array, frame sources, and the one face preprocessing."""
