# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The node that turns camera images into ``user_reaction``."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy._rclpy_pybind11 import RCLError
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.task import Future
from rclpy.time import Time
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from std_srvs.srv import SetBool

from emotion_perception.faces.face import FaceDetector
from emotion_perception.faces.model_files import ModelError
from emotion_perception.faces.stillness import StillnessOptions
from emotion_perception.image.decode import ImageError
from emotion_perception.nodes.camera import Camera, camera_names
from emotion_perception.nodes.decoder import decoder
from emotion_perception.nodes.diagnostics import diagnostics
from emotion_perception.nodes.discovery import joined
from emotion_perception.nodes.heap import HeapKeeper
from emotion_perception.nodes.judge import HungError, Judge, Loaded
from emotion_perception.nodes.messages import (
    bgr_image,
    face_reactions,
    jpeg_image,
    reaction_of,
    user_reaction,
)
from emotion_perception.nodes.parameters import (
    check_changes,
    declare_parameters,
    help_text,
    start_ros,
    unknown_overrides,
)
from emotion_perception.nodes.pseudonyms import Pseudonyms, QuietLogger
from emotion_perception.nodes.ros4hri import Ros4Hri, unavailable
from emotion_perception.nodes.serving import ModelLoader, Serving
from emotion_perception.nodes.statistics import Statistics
from emotion_perception.nodes.tasks import run_in_executor
from emotion_perception.nodes.transports import advice
from emotion_perception.nodes.watchdog import TICK_S, ProcessGuard
from emotion_perception.nodes.worker import NewestItemWorker
from emotion_perception.pipeline import ReactionPipeline, Shot
from emotion_perception.reaction.partner import PartnerOptions
from emotion_perception.reaction.reaction import FaceReaction
from emotion_perception.reaction.scene import SceneOptions
from emotion_perception.reaction.smoothing import SmoothingOptions
from emotion_perception.srv import LoadPatientModel

LOG_EVERY_S = 5.0
"""A fault that repeats with every image is logged this often; all are counted."""

SCENE_PARAMETERS = frozenset(
    {"min_dwell", "partner", "partner_face_id", "partner_patience", "ignore_pictures"}
)


class ReactionNode(LifecycleNode):
    """Judges the newest camera image; the README has its topics and parameters.

    Threads: the executor's runs every callback and never touches pixels; one worker, alive while
    the node is active, decodes, judges and publishes, with helpers that share its work; one loads
    models. The model in use is exchanged as a whole, between two frames. Several cameras share
    all of these; what waits of them is judged together.
    """

    def __init__(self, **node_arguments: Any) -> None:
        self._pseudonyms = Pseudonyms()
        super().__init__("reaction_node", **node_arguments)
        if "patient_id" in self._parameter_overrides:
            self._pseudonyms.note(self._parameter_overrides["patient_id"].value)
        self._activated_at = 0.0
        self._last_log: dict[str, float] = {}
        self._detector_outdated = threading.Event()
        self._scene_outdated = threading.Event()
        self._enabled = True
        self._ros4hri: Ros4Hri | None = None
        self._state = "unconfigured"
        self._camera_count = 1
        self._guard: ProcessGuard | None = None
        wrong = declare_parameters(self)
        self._judge = Judge(
            self, self._load, self._process, self._on_failure, self._on_trouble, self._on_made
        )
        self._cameras = [self._make_camera("", "image_raw")]
        for line in wrong:
            self._statistics.count("refused", line)
            self.get_logger().error(line)
        for line in unknown_overrides(self):
            self.get_logger().warning(line)
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self.add_post_set_parameters_callback(self._on_parameters_set)
        # Of its own group: rclpy keeps all others of a group waiting while one of them awaits.
        self.create_service(
            LoadPatientModel, "~/load_patient_model", self._on_load_patient_model,
            callback_group=ReentrantCallbackGroup(),
        )  # fmt: skip
        self.create_service(SetBool, "~/enable", self._on_enable)
        # Diagnostics tell of an inactive node too, and keep time when simulated time stands still.
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._heap = HeapKeeper()
        self._timer = self.create_timer(1.0, self._on_timer, clock=steady)
        self._watch_timer = self.create_timer(TICK_S, self._on_tick, clock=steady)

    def get_logger(self) -> QuietLogger:
        """Return a logger that tells nobody's pseudonym."""
        return QuietLogger(super().get_logger(), self._pseudonyms.hide)

    def autostart(self) -> None:
        """Configure and activate if the parameter asks for it."""
        if not self._parameter("autostart"):
            return
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def _LifecycleNodeMixin__change_state(  # noqa: N802
        self, transition_id: int
    ) -> TransitionCallbackReturn:
        """Refuse a transition that does not start here; rclpy's own would end the node."""
        try:
            return super()._LifecycleNodeMixin__change_state(transition_id)
        except RCLError as error:
            line = f"transition {transition_id} refused: the node is {self._state}"
            self._statistics.count("refused", line)
            self.get_logger().error(f"{line} ({str(error).partition(',')[0]})")
            return TransitionCallbackReturn.FAILURE

    def guard_process(self) -> None:
        """End this process when its executor hangs, however it hangs; not while it is configured.

        For a process that is the node's own.
        """
        self._guard = ProcessGuard()

    @property
    def is_stuck(self) -> bool:
        """Whether there are threads for which nobody should wait."""
        return self._judge.is_stuck

    def on_configure(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Load and warm up the networks."""
        started = time.monotonic()
        self._pause_guard()
        try:
            self._decode = decoder(self._parameter("decoder"))
            cameras = camera_names(self._parameter("camera_topics"))
            if self._parameter("ros4hri") and (why := unavailable()):
                raise ModelError(f"ros4hri: {why}")
            self._camera_count = len(cameras)
            self._detector_outdated.clear()
            self._scene_outdated.clear()
            self._judge.configure(self._parameter("device"), self._parameter("patient_id"))
        except (ModelError, ValueError) as error:
            self._statistics.count("refused", str(error))
            self.get_logger().error(f"not configured: {error}")
            return TransitionCallbackReturn.FAILURE
        except Exception as error:
            # rclpy would go on without a word.
            self.get_logger().error(f"not configured: {type(error).__name__}: {error}")
            raise
        loaded = self._judge.loaded
        assert loaded is not None
        if loaded.pipeline.device_warning:
            self.get_logger().warning(loaded.pipeline.device_warning)
        self._take_cameras(cameras)
        for camera in self._cameras:
            camera.open()
        self._state = "inactive"
        self.get_logger().info(
            f"configured: model {loaded.serving.model.model_id} on {loaded.pipeline.device} "
            f"in {time.monotonic() - started:.2f} s"
        )
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe to the images."""
        result: TransitionCallbackReturn = super().on_activate(state)
        for camera in self._cameras:
            camera.statistics.reset()
            camera.observations.forget()
        if self._judge.loaded is not None:
            self._judge.loaded.pipeline.reset()
        self._activated_at = time.monotonic()
        self._state = "active"
        if self._enabled:
            self._look()
            topics = ", ".join(camera.subscription.topic_name for camera in self._cameras)
            self.get_logger().info(f"active: images from {topics}")
        else:
            self.get_logger().info("active, but not looking: call ~/enable to look")
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop looking; the networks stay loaded."""
        self._stop()
        self._take_back()
        result: TransitionCallbackReturn = super().on_deactivate(state)
        self._state = "inactive"
        return result

    def on_cleanup(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Release the networks and the publishers."""
        self._release()
        self._state = "unconfigured"
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything, from whatever state."""
        self._release()
        self._state = "finalized"
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything and become unconfigured, so that the node can be configured anew."""
        self._release()
        self._state = "unconfigured"
        return TransitionCallbackReturn.SUCCESS

    def destroy_node(self) -> None:
        """Stop the worker before the publishers go."""
        self._release()
        for camera in self._cameras:
            camera.destroy()
        super().destroy_node()

    # The executor's thread.

    def _on_image(self, camera: Camera, message: Image | CompressedImage) -> None:
        if camera.image_received() and (line := advice(len(message.data))):
            self.get_logger().warning(line)
        most = self._parameter("max_rate")
        if most > 0:
            now = time.monotonic()
            # A little early is on time: a camera's frames are not evenly spaced.
            if now - camera.last_judged < 0.9 / most:
                camera.statistics.count("skipped")
                return
            # Not `now`: what one frame was late would slow down all that follow.
            camera.last_judged = max(camera.last_judged + 1 / most, now - 0.5 / most)
        if not self._judge.put(camera, (message, time.monotonic())):
            camera.statistics.count("dropped")

    def _on_set_parameters(self, parameters: list[Parameter]) -> Any:
        result = check_changes(parameters, lambda: self._judge.loaded is None)
        wanted = {parameter.name: parameter.value for parameter in parameters}
        self._pseudonyms.note(wanted.get("patient_id"))
        if (
            result.successful
            and wanted.get("partner") == "enrolled"
            and self._judge.loaded is not None
            and self._judge.loaded.serving.enrolled is None
        ):
            result = SetParametersResult(
                successful=False,
                reason="partner: enrolled needs patient_id, enrolment_key_file and an enrolment "
                "(emotion-perception enrol) before it is asked for",
            )
        if not result.successful:
            self._statistics.count("refused", result.reason)
            self.get_logger().warning(f"parameter refused: {result.reason}")
        return result

    def _on_parameters_set(self, parameters: list[Parameter]) -> None:
        names = {parameter.name for parameter in parameters}
        if names & {"min_face_size", "detection_thresholds"}:
            self._detector_outdated.set()
        if names & SCENE_PARAMETERS:
            self._scene_outdated.set()
        if "patient_id" in names and self._judge.loaded is not None:
            wanted = self._parameter("patient_id")
            serving, loader = self._judge.loaded.serving, self._judge.loaded.loader
            if wanted == serving.patient_id:
                return  # set by the service below
            if wanted and not loader.known(wanted):
                self.get_logger().warning(
                    f"patient {wanted} has no model of their own: the base model judges"
                )
                recognised = self._parameter("partner") == "enrolled"
                if not (serving.version or recognised):  # nothing to load
                    self._serve(replace(serving, patient_id=wanted, enrolled=None))
                    return
            before = serving.patient_id

            def take(found: Serving | ModelError) -> None:
                if self._judge.loaded is None:
                    return  # cleaned up meanwhile: configuring loads it
                if isinstance(found, Serving):
                    self._serve(found)
                else:
                    self._refused("patient_id refused", str(found))
                    self.set_parameters([Parameter("patient_id", value=before)])

            self._load_then(wanted, "", take, lenient=True)

    async def _on_load_patient_model(
        self, request: LoadPatientModel.Request, response: LoadPatientModel.Response
    ) -> LoadPatientModel.Response:
        self._pseudonyms.note(request.patient_id)
        if self._judge.loaded is None:
            response.message = f"the node is {self._state}: configure it first"
            return response
        loaded: Future = Future()
        self._load_then(request.patient_id, request.version, loaded.set_result)
        found = await loaded
        if isinstance(found, Serving):
            self._serve(found)
            if self._parameter("patient_id") != found.patient_id:
                self.set_parameters([Parameter("patient_id", value=found.patient_id)])
            response.success = True
            response.message = _in_words(found)
        else:
            self._refused("model refused", str(found))
            response.message = f"refused: {found}"
        if self._judge.loaded is not None:
            response.model_id = self._judge.loaded.serving.model.model_id
        return response

    def _load_then(
        self, patient_id: str, version: str, take: Callable[[Serving | ModelError], None],
        lenient: bool = False,
    ) -> None:  # fmt: skip
        """Load beside, then call ``take`` in the executor's thread."""
        assert self._judge.loaded is not None
        loader = self._judge.loaded.loader

        def arrive(found: Serving | ModelError) -> None:
            now = self._judge.loaded
            if now is None:
                take(ModelError("the node was cleaned up"))
            elif now.loader is loader:
                take(found)
            else:  # made anew meanwhile, perhaps for another device
                self._load_then(patient_id, version, take, lenient)

        loader.load_beside(
            patient_id, version,
            lambda found: run_in_executor(self, arrive, found),
            lenient,
        )  # fmt: skip

    def _serve(self, serving: Serving) -> None:
        """Judge by this model from the next frame on."""
        self._judge.serve(serving)
        self.get_logger().info(_in_words(serving))

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        changed, self._enabled = self._enabled != request.data, request.data
        if changed and self._state == "active":
            if self._enabled:
                self._activated_at = time.monotonic()
                self._look()
            else:
                self._stop("the node was told to stop looking")
                self._take_back()
        looking = "looking" if self._enabled else "not looking"
        response.success = True
        response.message = looking if self._state == "active" else f"{looking} once active"
        if changed:
            self.get_logger().info(f"told by ~/enable: {response.message}")
        return response

    def _why_not_looking(self) -> str:
        if self._state != "active":
            return f"the node is {self._state}: activate it first"
        if not self._enabled:
            return "the node was told not to look: call ~/enable"
        return ""

    def _on_tick(self) -> None:
        if self._guard is not None:
            self._guard.tick()
        self._judge.tick(self._parameter("hang_timeout"))
        if self._state == "active" and self._enabled:
            news = [camera.watch(*self._whose()) for camera in self._cameras]
            if any(news) and self._ros4hri is not None:
                self._ros4hri.withdraw()

    def _take_back(self) -> None:
        """Say that what was said last no longer counts."""
        for camera in self._cameras:
            camera.say_not_looked(*self._whose())

    def _whose(self) -> tuple[str, str]:
        """Return the ids of the model and of the patient."""
        loaded = self._judge.loaded
        return (loaded.serving.model.model_id, loaded.serving.patient_id) if loaded else ("", "")

    def _pause_guard(self) -> None:
        if self._guard is not None:
            self._guard.pause()

    def _on_trouble(self, line: str) -> None:
        self._statistics.note_error(line)

    def _on_made(self, loaded: Loaded) -> None:
        self._statistics.count("restarted")
        if loaded.options != self._live_options():  # changed while it was made
            self._detector_outdated.set()
            self._scene_outdated.set()
        self.get_logger().info(_in_words(loaded.serving))

    def _on_timer(self) -> None:
        self._heap.tick()
        waiting = time.monotonic() - self._activated_at
        looking = self._state == "active" and self._enabled
        state = self._state if self._enabled or self._state != "active" else "active, not looking"
        message = DiagnosticArray()
        message.header.stamp = self.get_clock().now().to_msg()
        loaded = self._judge.loaded
        for camera in self._cameras:
            snapshot = camera.statistics.snapshot()
            silent = looking and min(snapshot.image_age, waiting) > self._parameter("image_timeout")
            if silent:
                self._log_now_and_then(f"silent {camera.name}", camera.why_silent())
            message.status.append(
                diagnostics(
                    self.get_fully_qualified_name(), state, snapshot, silent=silent,
                    overdue=looking and camera.is_overdue,
                    device=loaded.pipeline.device if loaded else "",
                    serving=loaded.serving if loaded else None, camera=camera.name,
                    trouble=self._judge.trouble, hide=self._pseudonyms.hide,
                )
            )  # fmt: skip
        self._diagnostics.publish(message)

    # The worker's thread.

    def _process(self, items: dict[Camera, tuple[Image | CompressedImage, float]]) -> None:
        worker, loaded = self._judge.worker, self._judge.loaded
        if worker is None or loaded is None or not worker.is_me:
            return  # given up for hung
        pipeline, serving = loaded.pipeline, loaded.serving
        pipeline.model = serving.model
        # Nobody's face is compared with the patient's unless that is asked for now.
        recognise = self._parameter("partner") == "enrolled"
        pipeline.enrolled = serving.enrolled if recognise else None
        if self._scene_outdated.is_set():
            self._scene_outdated.clear()
            pipeline.configure(self._scene_options())
        threshold = self._parameter("confidence_threshold")
        pipeline.confidence_threshold = None if threshold < 0 else threshold
        judged = []
        for camera, (message, arrived) in items.items():
            try:
                shot = self._shot(camera, message)
            except Exception as error:  # costs this camera's frame and no other's
                self._on_failure([camera], error)
                continue
            if shot is not None:
                judged.append((camera, message.header, arrived, shot))
        try:
            if self._detector_outdated.is_set():
                self._detector_outdated.clear()
                pipeline.detector = self._make_detector(pipeline.device)
            answers = pipeline.run_many([shot for *_, shot in judged])
        except RuntimeError as error:
            if worker.is_me:
                self._judge.device_failed(loaded, error)
            raise
        for (camera, header, arrived, shot), reactions in zip(judged, answers, strict=True):
            self._tell(camera, header, arrived, shot, reactions, serving, pipeline, worker)

    def _shot(self, camera: Camera, message: Image | CompressedImage) -> Shot | None:
        """Decode an image; None if it is too old or cannot be read."""
        received = self.get_clock().now()
        # A stamp of zero, or before it, is no time: the arrival is.
        stamp = Time.from_msg(message.header.stamp) if message.header.stamp.sec >= 0 else received
        limit = self._parameter("max_frame_age")
        if limit > 0 and (received - stamp).nanoseconds > limit * 1e9:
            camera.statistics.count("stale")
            return None
        try:
            frame = self._decode(message)
        except ImageError as error:
            camera.statistics.count("bad", str(error))
            self._log_now_and_then(f"bad {camera.name}", f"image skipped: {error}")
            return None
        since = stamp if stamp.nanoseconds > 0 else received
        return Shot(frame, since.nanoseconds * 1e-9, f"{camera.name}:{message.header.frame_id}")

    def _tell(
        self, camera: Camera, header: Header, arrived: float, shot: Shot,
        reactions: list[FaceReaction], serving: Serving, pipeline: ReactionPipeline,
        worker: NewestItemWorker[Any, Any],
    ) -> None:  # fmt: skip
        """Publish what a frame says."""
        assert shot.stamp is not None
        size = (shot.frame_bgr.shape[1], shot.frame_bgr.shape[0])
        latency = self.get_clock().now().nanoseconds * 1e-9 - shot.stamp
        model_id = serving.model.model_id
        told = user_reaction(header, reactions, size, model_id, serving.patient_id, latency)
        if not camera.tell(told, arrived, lambda: worker.is_me):
            return  # it hung, and what it saw is old
        if camera.faces.get_subscription_count() > 0:
            camera.faces.publish(face_reactions(header, reactions, size, model_id))
        if self._ros4hri is not None:
            self._ros4hri.update(header, reactions, size)
        camera.observations.add(
            shot.stamp, reactions, lambda face_id: reaction_of(told, reactions, size, face_id),
            pipeline.confidence_threshold,
        )  # fmt: skip
        camera.statistics.image_judged(latency)
        raw = camera.debug.get_subscription_count() > 0
        jpeg = camera.debug_jpeg.get_subscription_count() > 0
        if raw or jpeg:
            caption = f"{latency * 1e3:.0f} ms  {camera.statistics.rate_out():.0f} frames/s"
            drawn = pipeline.draw(shot.frame_bgr, reactions, caption)
            if raw:
                camera.debug.publish(bgr_image(header, drawn))
            if jpeg:
                camera.debug_jpeg.publish(jpeg_image(header, drawn))

    def _on_failure(self, cameras: list[Camera], error: Exception) -> None:
        if not self.context.ok():
            return  # ROS was shut down while the worker was publishing
        line = f"image not judged: {type(error).__name__}: {error}"
        for camera in cameras:
            camera.statistics.count("failed", line)
        self._log_now_and_then("failed", line)

    # Both.

    @property
    def _statistics(self) -> Statistics:
        """What is refused is counted by the first camera."""
        return self._cameras[0].statistics

    def _log_now_and_then(self, kind: str, line: str) -> None:
        now = time.monotonic()
        if now - self._last_log.get(kind, -LOG_EVERY_S) >= LOG_EVERY_S:
            self._last_log[kind] = now
            self.get_logger().warning(line)

    def _parameter(self, name: str) -> Any:
        return self.get_parameter(name).value

    def _refused(self, what: str, why: str) -> None:
        self._statistics.count("refused", why)
        self.get_logger().error(f"{what}: {why}")

    def _folder(self, name: str) -> Path | None:
        given = self._parameter(name)
        return Path(given).expanduser() if given else None

    def _load(self, device: str, patient_id: str, version: str) -> Loaded:
        """Load the networks for a device, warm, and the model of a patient; from any thread."""
        options = self._live_options()
        pipeline = self._make_pipeline(device)
        pipeline.warm_up()
        loader = ModelLoader(
            pipeline, self._folder("model"), self._folder("patients"),
            self._folder("enrolment_key_file"),
            lambda: bool(self._parameter("partner") == "enrolled"),
        )  # fmt: skip
        if patient_id and not loader.known(patient_id):
            self.get_logger().warning(
                f"patient {patient_id} has no model of their own: the base model judges"
            )
        serving = loader.load(patient_id, version, lenient=True)
        return Loaded(pipeline, loader, serving, options)

    def _live_options(self) -> tuple[Any, ...]:
        detector = self._parameter("min_face_size"), tuple(self._parameter("detection_thresholds"))
        return *detector, self._scene_options()

    def _scene_options(self) -> SceneOptions:
        return SceneOptions(
            smoothing=SmoothingOptions(dwell=self._parameter("min_dwell")),
            partner=PartnerOptions(
                strategy=self._parameter("partner"),
                face_id=self._parameter("partner_face_id"),
                patience=self._parameter("partner_patience"),
            ),
            stillness=StillnessOptions() if self._parameter("ignore_pictures") else None,
        )

    def _make_camera(self, name: str, topic: str) -> Camera:
        return Camera(self, name, topic, self._parameter, self._why_not_looking, self._refused)

    def _take_cameras(self, wanted: dict[str, str]) -> None:
        """Have these cameras and no others."""
        if [camera.name for camera in self._cameras] == list(wanted):
            return
        for camera in self._cameras:
            camera.destroy()
        self._cameras = [self._make_camera(name, topic) for name, topic in wanted.items()]

    def _make_pipeline(self, device: str) -> ReactionPipeline:
        yunet = self._parameter("detector") == "yunet"
        return ReactionPipeline(
            self._parameter("model") or None,
            device=device,
            detector=self._make_detector("cpu") if yunet else None,
            min_face_size=self._parameter("min_face_size"),
            detection_thresholds=tuple(self._parameter("detection_thresholds")),
            threads=self._parameter("threads"),
            scene=self._scene_options(),
            cameras=2 * self._camera_count + 6,  # a frame_id may change
        )

    def _make_detector(self, device: str) -> FaceDetector:
        size = self._parameter("min_face_size")
        if self._parameter("detector") == "yunet":
            from emotion_perception.faces.yunet import YuNetDetector

            return YuNetDetector(Path(self._parameter("yunet_model")), min_face_size=size)
        from emotion_perception.pipeline import make_mtcnn

        return make_mtcnn(
            device, size, tuple(self._parameter("detection_thresholds")),
            self._parameter("threads"),
        )  # fmt: skip

    def _look(self) -> None:
        if self._parameter("ros4hri"):
            self._ros4hri = Ros4Hri(self)
        self._judge.look()
        for camera in self._cameras:
            camera.look(self._on_image)

    def _stop(self, why: str = "the node stopped looking") -> None:
        for camera in self._cameras:
            camera.look_away(why)
        self._judge.stop()
        if self._ros4hri is not None:
            self._ros4hri.close()
            self._ros4hri = None

    def _release(self) -> None:
        self._stop()
        if self._state == "active" and self.context.ok():  # a signal ends it before
            self._take_back()
        self._judge.release()
        for camera in self._cameras:
            camera.close()


def _in_words(serving: Serving) -> str:
    if not serving.patient_id:
        return f"the base model {serving.model.model_id} judges"
    whose = f"version {serving.version}" if serving.version else "the base model"
    return f"serving {serving.patient_id} with {whose}: {serving.model.model_id}"


def main(args: list[str] | None = None) -> int:
    """Run the node until it is told to stop."""
    if {"-h", "--help"} & set(sys.argv[1:] if args is None else args):
        print(help_text("reaction_node", "Judges camera images and publishes user_reaction."))
        return 0
    if not start_ros("reaction_node", args):
        return 1
    node, code = None, 0
    try:
        # Made first, because rclpy can't once a signal has come.
        executor = SingleThreadedExecutor()
        with joined():
            node = ReactionNode()
        node.guard_process()
        executor.add_node(node)
        node.autostart()
        executor.spin()
    except ExternalShutdownException:
        pass
    except HungError as error:
        print(f"reaction_node: {error}", file=sys.stderr)
        code = 1
    except Exception:
        if rclpy.ok():
            raise
        # rclpy's complaint, of many kinds, that it was told to stop while the node was being made
    finally:
        # A second signal must not break this; launch and the terminal both send one.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        ProcessGuard.end_soon()
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    if node is not None and node.is_stuck:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # Python would wait for them
    return code


if __name__ == "__main__":
    sys.exit(main())
