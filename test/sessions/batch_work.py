# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Work for the tests of batches: functions that another process can import."""

import os
import time
from pathlib import Path

from emotion_perception.sessions.table import SessionError


def work(task, tell):
    """Do what a task says: a number is doubled; (word, folder) goes wrong in its own way."""
    if isinstance(task, int):
        tell(0, task, 10.0)
        return 2 * task
    word, folder = task
    count = len(list(Path(folder).iterdir()))
    (Path(folder) / f"{count}").write_text(str(os.getpid()))
    if word == "once" and count:
        return "at last"
    if word == "dies":
        os._exit(9)
    if word == "dies once":
        if not count:
            time.sleep(0.2)
            os._exit(9)
        return "lived"
    if word == "sleeps":
        time.sleep(60)
    if word == "bug":
        raise ZeroDivisionError("division by zero")
    raise SessionError(f"{word}: went\nwrong")
