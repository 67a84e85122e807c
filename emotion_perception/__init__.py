# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Judge how a person in front of a robot received its last action."""

import os
from pkgutil import extend_path

# ONNX Runtime from 1.29 on keeps an identifier of the machine in the home folder and reports to its
# maker which networks run, unless this is set before it starts.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# The messages are built into an installed copy of this package; in a checkout they are found there.
__path__ = extend_path(__path__, __name__)

__version__ = "0.1.0"
