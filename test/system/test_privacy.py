# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""By default no pixel leaves the memory, nothing is stored, and nobody is named.

The real node runs under `strace`, which tells every file that it opens and every address that it
sends to, with folders of its own, so that whatever is new there is its doing. Some tests need no
`strace`, and run everywhere.
"""

import ipaddress
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("emotion_perception.msg", reason="the package is not built")

UNMEASURED = pytest.mark.skipif(
    "coverage" in sys.modules and sys.modules["coverage"].Coverage.current() is not None,
    reason="the node writes a file: which of its lines ran",
)

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import TransitionEvent
from rcl_interfaces.msg import Log, ParameterEvent
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image

from emotion_perception.msg import FaceReactionArray, UserReaction
from emotion_perception.nodes import transports
from emotion_perception.srv import LoadPatientModel

FOLDERS = ("home", "tmp", "cwd", "logs")
OPENING = ("open", "openat", "openat2", "creat")
MAKING = ("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "mkdir",
          "mkdirat", "mknod", "mknodat", "memfd_create")  # fmt: skip
SENDING = ("connect", "sendto", "sendmsg", "sendmmsg")
HARMLESS = (
    # What DDS hands messages over in, between processes of this machine; looked into below.
    r"/dev/shm/(fastrtps_|sem\.|fastdds_).*",
    r"/dev/(null|tty|pts/\d+)",
    r"/proc/\d+/task/\d+/comm|/proc/(self|thread-self)/comm",  # names of threads
)
PARTS = 64
"""Bytes of a picture that are looked for: 21 pixels in a row."""
JPEG = b"\xff\xd8\xff"
ENOUGH = 60


def _strace_works():
    if shutil.which("strace") is None:
        return False
    done = subprocess.run(["strace", "-f", "true"], capture_output=True, check=False)
    return done.returncode == 0


STRACE = _strace_works()
needs_strace = pytest.mark.skipif(not STRACE, reason="strace is not here, or may not trace")


class Watched:
    """The reaction node in folders of its own, traced where that is possible."""

    def __init__(self, root, *parameters):
        self.folders = {name: root / name for name in FOLDERS}
        for folder in (*self.folders.values(), root / "trace"):
            folder.mkdir()
        self.trace = root / "trace"
        environment = {
            **os.environ, "HOME": str(self.folders["home"]), "TMPDIR": str(self.folders["tmp"]),
            "ROS_LOG_DIR": str(self.folders["logs"]),
            "PYTHONDONTWRITEBYTECODE": "1",  # a program's, not a person's
        }  # fmt: skip
        # As on a robot, where neither of these keeps ONNX Runtime from its reports.
        for name in ("ORT_DISABLE_TELEMETRY", "CI", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
            environment.pop(name, None)
        command = [sys.executable, "-m", "emotion_perception.nodes.reaction_node", "--ros-args",
                   "-p", "autostart:=true"]  # fmt: skip
        for parameter in parameters:
            command += ["-p", parameter]
        if STRACE:
            to = str(self.trace / "calls")
            traced = ",".join((*OPENING, *MAKING, *SENDING, "execve"))
            options = ["-ff", "--seccomp-bpf", "-y", "-s", "300", "-e", f"trace={traced}"]
            command = ["strace", *options, "-o", to, *command]
        self.output = root / "output.txt"
        with self.output.open("w") as file:
            self.process = subprocess.Popen(
                command, cwd=self.folders["cwd"], env=environment, stdin=subprocess.DEVNULL,
                stdout=file, stderr=subprocess.STDOUT,
            )  # fmt: skip

    @property
    def pid(self):
        """The node's, which strace starts as a child."""
        pid = self.process.pid
        if STRACE:
            pid = int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
        return pid

    def stop(self):
        if self.process.poll() is None:
            os.kill(self.pid, signal.SIGINT)
        self.process.wait(30)

    def calls(self):
        for path in self.trace.iterdir():
            yield from path.read_text(errors="replace").splitlines()

    def written(self):
        """Every file that it opened for writing or made, but for the harmless ones."""
        found = set()
        for call in self.calls():
            if " = -1 " in call:
                continue
            name = call.partition("(")[0]
            if name in OPENING:
                if name == "creat" or re.search(r"O_(WRONLY|RDWR|CREAT|TMPFILE)", call):
                    found.add(re.search(r"= \d+<(.*?)>(\(deleted\))?$", call)[1])
            elif name in MAKING:
                found.add(re.findall(r'"([^"]*)"', call)[-1])
        return {path for path in found if not any(re.fullmatch(known, path) for known in HARMLESS)}

    def segments(self):
        """The shared memory that it made to send from."""
        made = set()
        for call in self.calls():
            found = re.search(r'"(/dev/shm/fastrtps_[0-9a-f]{16})", [^)]*O_CREAT', call)
            if found and " = -1 " not in call:
                made.add(Path(found[1]))
        return made

    def addresses(self):
        """Where it sent to, or tried to connect to, but for sockets of this machine's files."""
        found = set()
        for call in self.calls():
            if call.startswith(SENDING):
                found |= set(re.findall(r'inet_addr\("([^"]*)"\)', call))
                found |= set(re.findall(r'inet_pton\(AF_INET6, "([^"]*)"', call))
                assert "htons(53)" not in call, "asked for the address of a name"
        return {ipaddress.ip_address(text) for text in found}

    def said(self):
        logs = [path.read_text() for path in self.folders["logs"].rglob("*") if path.is_file()]
        return "\n".join([self.output.read_text(), *logs])


class Witness:
    """A node that takes everything that is published, as it comes over the wire."""

    def __init__(self, spin_until):
        self.node = rclpy.create_node("witness")
        self.spin_until = spin_until
        self.got = {}
        for name, kind in [
            ("user_reaction", UserReaction), ("reaction_node/faces", FaceReactionArray),
            ("/diagnostics", DiagnosticArray), ("/rosout", Log),
            ("/parameter_events", ParameterEvent),
            ("reaction_node/transition_event", TransitionEvent),
        ]:  # fmt: skip
            self.take(name, kind)
        self.parts = set()
        self.node.create_subscription(Image, "image_raw", self.see, 10, raw=True)

    def take(self, name, kind):
        taken = self.got.setdefault(name, [])
        self.node.create_subscription(kind, name, taken.append, 100, raw=True)
        return taken

    def wait(self, predicate):
        self.spin_until(self.node, predicate, 90.0)

    def call(self, kind, name, request):
        client = self.node.create_client(kind, name)
        self.wait(client.service_is_ready)
        answer = client.call_async(request)
        self.wait(answer.done)
        return answer.result()

    def reactions(self):
        return [deserialize_message(raw, UserReaction) for raw in self.got["user_reaction"]]

    def see(self, raw):
        """Remember parts of a picture that cannot be anywhere by chance."""
        for start in range(len(raw) // 4, len(raw) * 3 // 4, len(raw) // 50):
            part = raw[start : start + PARTS]
            if len(set(part)) > PARTS // 2:
                self.parts.add(part)


@pytest.fixture
def start(domain_id, tmp_path):
    """Start a watched node and a camera that shows people."""
    cameras, nodes = [], []

    def start(*parameters):
        cameras.append(subprocess.Popen(
            [sys.executable, "-m", "emotion_perception.nodes.video_source_node", "--ros-args",
             "-p", "source:=demo", "-p", "loop:=true", "-p", "rate:=10.0"],
            cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT,
        ))  # fmt: skip
        nodes.append(Watched(tmp_path, *parameters))
        return nodes[-1]

    yield start
    for camera in cameras:
        camera.kill()
        camera.wait()
    for node in nodes:
        if node.process.poll() is None:  # strace would go without it
            os.kill(node.pid, signal.SIGKILL)
            node.process.wait(30)


@pytest.fixture
def witness(domain_id, spin_until):
    rclpy.init(domain_id=domain_id)
    made = Witness(spin_until)
    yield made
    made.node.destroy_node()
    rclpy.shutdown()


def holds(data, parts):
    """Whether some bytes hold a part of a picture, or begin one as a JPEG."""
    return JPEG in data or any(part in data for part in parts)


def seen_enough(witness):
    return len(witness.reactions()) >= ENOUGH and any(r.face_id for r in witness.reactions())


def test_nothing_is_left_behind_and_no_message_shows_anybody(start, witness):
    node = start()
    witness.wait(lambda: seen_enough(witness))
    told = {name: list(messages) for name, messages in witness.got.items()}
    assert all(told[name] for name in ("user_reaction", "reaction_node/faces", "/diagnostics"))
    # Only who subscribes to it gets a picture; and so does this test, if it can find one.
    drawn = witness.take("reaction_node/debug_image", Image)
    # Not the first few: on a busy machine the witness may have missed the pictures under them.
    witness.wait(lambda: any(holds(raw, witness.parts) for raw in list(drawn)))
    node.stop()
    parts = witness.parts
    assert len(parts) > 20
    for name, messages in told.items():
        assert not any(holds(raw, parts) for raw in messages), name
    left = [path for folder in node.folders.values() for path in folder.rglob("*")]
    assert {path.parent.name for path in left} <= {"logs"}, left
    assert all(path.suffix == ".log" and not holds(path.read_bytes(), parts) for path in left)


@needs_strace
@UNMEASURED
def test_no_file_is_written_and_no_pixel_is_sent(start, witness):
    node = start()
    in_memory = []

    def look():
        # What is to be sent waits there.
        for path in node.segments():
            if path.exists():
                in_memory.append(path.read_bytes())

    for number in range(5):
        witness.wait(lambda number=number: len(witness.reactions()) >= (number + 1) * ENOUGH // 5)
        look()
    witness.wait(lambda: seen_enough(witness))
    segments = node.segments()
    assert segments
    assert in_memory
    parts = witness.parts
    assert not any(holds(data, parts) for data in in_memory)
    node.stop()
    logs = node.folders["logs"]
    assert {path for path in node.written() if Path(path).parent != logs} == set()
    assert not any(path.exists() for path in segments)
    # The network that tells people apart is not even read.
    assert not any("face-identity" in call for call in node.calls())
    # No other program was run.
    programs = [call for call in node.calls() if call.startswith("execve") and " = 0" in call]
    assert [c for c in programs if "reaction_node" not in c and "ldconfig" not in c] == []


@pytest.fixture(params=["LOCALHOST", "SUBNET", "shared memory"])
def discovery(request, domain_id, monkeypatch):
    """How far the nodes of a test look for others; before these are made."""
    if request.param != "shared memory":  # which is what all other tests have
        monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", request.param)
        monkeypatch.setenv(transports.VARIABLE, transports.network())
    return request.param


@needs_strace
def test_nothing_is_sent_but_to_ros(discovery, start, witness):
    node = start()
    witness.wait(lambda: seen_enough(witness))
    node.stop()
    allowed = {ipaddress.ip_address("239.255.0.1"), *own_addresses()}
    other = {address for address in node.addresses() if not address.is_loopback}
    if discovery == "shared memory":
        assert node.addresses() == set()
        return
    assert node.addresses()
    assert other == set() if discovery == "LOCALHOST" else other <= allowed


def own_addresses():
    """The addresses of this machine."""
    text = Path("/proc/net/fib_trie").read_text()
    found = re.findall(r"\|-- (\S+)\n\s+/32 host LOCAL", text)
    assert "127.0.0.1" in found
    return {ipaddress.ip_address(address) for address in found}


def test_logs_and_diagnostics_name_nobody(start, witness, tmp_path):
    (tmp_path / "patients" / "P-017").mkdir(parents=True)
    (tmp_path / "patients" / "P-018").mkdir(parents=True)
    (tmp_path / "patients" / "P-017" / "current.json").write_text("damaged")
    node = start("patient_id:=P-404", f"patients:={tmp_path / 'patients'}")
    witness.wait(lambda: len(witness.reactions()) >= 5)

    def load(**request):
        return witness.call(
            LoadPatientModel,
            "reaction_node/load_patient_model",
            LoadPatientModel.Request(**request),
        )

    # Who names somebody is answered by that name; nobody is told of others.
    damaged = load(patient_id="P-017")
    assert not damaged.success
    assert "P-017/current.json" in damaged.message
    unknown = load(patient_id="Jane-Doe")
    assert "unknown patient 'Jane-Doe'" in unknown.message
    assert "P-018" not in unknown.message
    wrong = Parameter("patient_id", value="Jane Doe!").to_parameter_msg()
    answer = witness.call(
        SetParameters, "reaction_node/set_parameters", SetParameters.Request(parameters=[wrong])
    )
    assert "'Jane Doe!'" in answer.results[0].reason
    assert load(patient_id="P-018").success
    assert load().success
    count = len(witness.got["/diagnostics"])
    witness.wait(lambda: len(witness.got["/diagnostics"]) > count + 1)
    node.stop()

    assert {reaction.patient_id for reaction in witness.reactions()} >= {"P-404"}
    said = node.said()
    assert said.count("<patient>") >= 4
    assert f"{tmp_path}/patients/<patient>/current.json" in said
    assert witness.got["/rosout"]
    for text in (said, *map(str, witness.got["/rosout"]), *map(str, witness.got["/diagnostics"])):
        assert re.search("P-404|P-017|P-018|Jane", text) is None


@UNMEASURED
def test_the_observation_log_holds_figures_for_as_long_as_it_may(start, witness, tmp_path):
    log = tmp_path / "observations.jsonl"
    old = datetime.now(timezone.utc) - timedelta(days=31)
    log.write_text(json.dumps({"time": old.isoformat()}) + "\n")
    log.chmod(0o600)
    node = start(f"observation_log:={log}", "observation_log_days:=30")
    witness.wait(lambda: len(witness.reactions()) >= 5)
    done = subprocess.run(
        [sys.executable, "-m", "emotion_perception.nodes.joke_behaviour", "--ros-args", "-p",
         "jokes:=1", "-p", "window:=1.0"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "1 joke(s) told" in done.stdout + done.stderr
    node.stop()
    (line,) = log.read_text().splitlines()
    assert datetime.fromisoformat(json.loads(line)["time"]) > old + timedelta(days=30)
    assert not holds(log.read_bytes(), witness.parts)
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    written = {path for path in node.written() if Path(path).parent != node.folders["logs"]}
    part = rf"{re.escape(str(tmp_path))}/\.observations\.jsonl\.\d+\.part"
    assert written or not STRACE
    assert {path for path in written if not re.fullmatch(part, path)} <= {str(log)}
