# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What the node tells of itself on /diagnostics."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from emotion_perception.nodes.serving import Serving
from emotion_perception.nodes.statistics import Snapshot

_LATE_S: Final = 2.0
_RECENT_S: Final = 60.0


def diagnostics(
    name: str, state: str, snapshot: Snapshot, *, silent: bool, overdue: bool, device: str,
    serving: Serving | None, camera: str = "", trouble: str = "",
    hide: Callable[[str], str] = str,
) -> DiagnosticStatus:  # fmt: skip
    """Describe the node, or what it does for one of several cameras.

    ERROR: active, but no images come, or the last answer was taken back and none has come since.
    WARN: something is wrong with the worker or its device, or, while active, something failed or
    was refused in the last minute. OK: everything else.

    Args:
        name: fully qualified name of the node.
        state: lifecycle state.
        snapshot: its counters.
        silent: whether images are overdue by `image_timeout`.
        overdue: whether user_reaction says NOT_LOOKED though the node is to look.
        device: that is used, if anything is loaded.
        serving: who is served by which model, if anything is loaded.
        camera: name of the camera, empty for the only one.
        trouble: what is wrong with the worker or its device.
        hide: takes patients' pseudonyms out of a text: many people see this.
    """
    level, text = DiagnosticStatus.OK, state
    if silent:
        level, text = DiagnosticStatus.ERROR, "no images"
    elif overdue:
        level, text = DiagnosticStatus.ERROR, trouble or _why_overdue(snapshot)
    elif trouble:
        level, text = DiagnosticStatus.WARN, trouble
    elif state == "active" and snapshot.error_age < _RECENT_S:
        level, text = DiagnosticStatus.WARN, snapshot.last_error
    values = {
        "state": state,
        "model": hide(serving.model.model_id) if serving else "",
        "version of the patient's model": serving.version if serving else "",
        "device": device,
        "images received": str(snapshot.received),
        "images judged": str(snapshot.judged),
        "images dropped for a newer one": str(snapshot.dropped),
        "images left out by max_rate": str(snapshot.skipped),
        "images too old": str(snapshot.stale),
        "bad images": str(snapshot.bad),
        "failed images": str(snapshot.failed),
        "refused parameters and models": str(snapshot.refused),
        "rate in (Hz)": f"{snapshot.rate_in:.1f}",
        "rate out (Hz)": f"{snapshot.rate_out:.1f}",
        "latency p50 (ms)": f"{snapshot.latency_p50 * 1e3:.1f}",
        "latency p99 (ms)": f"{snapshot.latency_p99 * 1e3:.1f}",
        "not looked": str(snapshot.not_looked),
        "restarts of the worker or its device": str(snapshot.restarted),
        "last image (s ago)": f"{snapshot.image_age:.1f}",
        "last answer (s ago)": f"{snapshot.answer_age:.1f}",
        "memory (MB)": f"{resident_megabytes():.0f}",
        "last error": hide(snapshot.last_error),
    }
    return DiagnosticStatus(
        level=level,
        name=f"{name.lstrip('/')}: reaction" + (f" {camera}" if camera else ""),
        message=hide(text),
        hardware_id=device,
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )


def _why_overdue(snapshot: Snapshot) -> str:
    if snapshot.image_age > _LATE_S:
        return "images are overdue"
    if snapshot.error_age < _LATE_S:
        return f"no image can be used: {snapshot.last_error}"
    if snapshot.stale and snapshot.answer_age > _LATE_S:
        return "no image can be used: they are older than max_frame_age"
    return "answers are overdue"


def resident_megabytes() -> float:
    """Return the memory that this process holds now, in MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
