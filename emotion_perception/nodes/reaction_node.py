"""The node that turns camera images into ``user_reaction``."""

from __future__ import annotations

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
from rclpy.clock import Clock, ClockType
from rclpy.event_handler import QoSRequestedIncompatibleQoSInfo, SubscriptionEventCallbacks
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import HistoryPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.task import Future
from rclpy.time import Time
from sensor_msgs.msg import CompressedImage, Image
from std_srvs.srv import SetBool

from emotion_perception.faces.face import FaceDetector
from emotion_perception.faces.model_files import ModelError
from emotion_perception.faces.stillness import StillnessOptions
from emotion_perception.image.decode import ImageError
from emotion_perception.msg import FaceReactionArray, UserReaction
from emotion_perception.nodes.decoder import decoder
from emotion_perception.nodes.diagnostics import diagnostics
from emotion_perception.nodes.messages import (
    bgr_image,
    face_reactions,
    jpeg_image,
    reaction_of,
    user_reaction,
)
from emotion_perception.nodes.observations import ObservationServer
from emotion_perception.nodes.parameters import (
    check_changes,
    declare_parameters,
    help_text,
    start_ros,
    unknown_overrides,
)
from emotion_perception.nodes.ros4hri import Ros4Hri, unavailable
from emotion_perception.nodes.serving import ModelLoader, Serving
from emotion_perception.nodes.statistics import Statistics
from emotion_perception.nodes.worker import NewestItemWorker
from emotion_perception.pipeline import ReactionPipeline
from emotion_perception.reaction.partner import PartnerOptions
from emotion_perception.reaction.scene import SceneOptions
from emotion_perception.reaction.smoothing import SmoothingOptions
from emotion_perception.srv import LoadPatientModel

LOG_EVERY_S = 5.0
"""A fault that repeats with every image is logged this often; all are counted."""

RELIABILITY = {
    "best_effort": ReliabilityPolicy.BEST_EFFORT,
    "auto": ReliabilityPolicy.RELIABLE,
    "reliable": ReliabilityPolicy.RELIABLE,
    "system_default": ReliabilityPolicy.SYSTEM_DEFAULT,
}

SCENE_PARAMETERS = frozenset(
    {"min_dwell", "partner", "partner_face_id", "partner_patience", "ignore_pictures"}
)

# Reliability and depth are parameters of this node; these are left to the usual qos_overrides.
OVERRIDABLE = (
    QoSPolicyKind.HISTORY,
    QoSPolicyKind.DURABILITY,
    QoSPolicyKind.DEADLINE,
    QoSPolicyKind.LIVELINESS,
)


class ReactionNode(LifecycleNode):
    """Judges the newest camera image; the README has its topics and parameters.

    Threads: the executor's runs every callback and never touches pixels; one worker, alive while
    the node is active, decodes, judges and publishes; one loads models. The model in use is
    exchanged as a whole, between two frames.
    """

    def __init__(self, **node_arguments: Any) -> None:
        super().__init__("reaction_node", **node_arguments)
        self._statistics = Statistics()
        self._pipeline: ReactionPipeline | None = None
        self._worker: NewestItemWorker[Image | CompressedImage] | None = None
        self._subscription: Any = None
        self._activated_at = 0.0
        self._last_log: dict[str, float] = {}
        self._detector_outdated = threading.Event()
        self._scene_outdated = threading.Event()
        self._enabled = True
        self._last_judged = -1e9
        self._loader: ModelLoader | None = None
        self._serving: Serving | None = None
        self._ros4hri: Ros4Hri | None = None
        self._reliability = ReliabilityPolicy.RELIABLE
        self._state = "unconfigured"
        for line in declare_parameters(self):
            self._statistics.count("refused", line)
            self.get_logger().error(line)
        for line in unknown_overrides(self):
            self.get_logger().warning(line)
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self.add_post_set_parameters_callback(self._on_parameters_set)
        self._observations = ObservationServer(
            self, self._why_not_looking, lambda: self._parameter("observation_log"),
            lambda line: self._refused("observation not logged", line),
        )  # fmt: skip
        self.create_service(LoadPatientModel, "~/load_patient_model", self._on_load_patient_model)
        self.create_service(SetBool, "~/enable", self._on_enable)
        # Diagnostics tell of an inactive node too, and keep time when simulated time stands still.
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._timer = self.create_timer(
            1.0, self._on_timer, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def autostart(self) -> None:
        """Configure and activate if the parameter asks for it."""
        if not self._parameter("autostart"):
            return
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def on_configure(self, _state: LifecycleState) -> TransitionCallbackReturn:
        """Load and warm up the networks."""
        started = time.monotonic()
        try:
            self._decode = decoder(self._parameter("decoder"))
            if self._parameter("ros4hri") and (why := unavailable()):
                raise ModelError(f"ros4hri: {why}")
            pipeline = self._make_pipeline()
            pipeline.warm_up()
            loader = ModelLoader(
                pipeline, self._folder("model"), self._folder("patients"),
                self._folder("enrolment_key_file"),
                lambda: bool(self._parameter("partner") == "enrolled"),
            )  # fmt: skip
            serving = self._first_serving(loader)
        except (ModelError, ValueError) as error:
            self._statistics.count("refused", str(error))
            self.get_logger().error(f"not configured: {error}")
            return TransitionCallbackReturn.FAILURE
        if pipeline.device_warning:
            self.get_logger().warning(pipeline.device_warning)
        self._pipeline, self._loader, self._serving = pipeline, loader, serving
        # Deep enough that what a loaded machine lost is still there to be sent again: Fast DDS
        # asks for it only every 3 s.
        answers = QoSProfile(depth=200, reliability=ReliabilityPolicy.RELIABLE)
        self._reactions = self.create_lifecycle_publisher(UserReaction, "user_reaction", answers)
        self._faces = self.create_lifecycle_publisher(FaceReactionArray, "~/faces", answers)
        images = QoSProfile(depth=2, reliability=ReliabilityPolicy.RELIABLE)
        self._debug = self.create_lifecycle_publisher(Image, "~/debug_image", images)
        self._debug_jpeg = self.create_lifecycle_publisher(
            CompressedImage, "~/debug_image/compressed", images
        )
        self._state = "inactive"
        self.get_logger().info(
            f"configured: model {serving.model.model_id} on {pipeline.device} "
            f"in {time.monotonic() - started:.2f} s"
        )
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe to the images."""
        result: TransitionCallbackReturn = super().on_activate(state)
        self._statistics.reset()
        self._observations.forget()
        if self._pipeline is not None:
            self._pipeline.reset()
        self._activated_at = time.monotonic()
        self._state = "active"
        if self._enabled:
            self._look()
            self.get_logger().info(f"active: images from {self._subscription.topic_name}")
        else:
            self.get_logger().info("active, but not looking: call ~/enable to look")
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop looking; the networks stay loaded."""
        self._stop()
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
        self._stop()
        if self._loader is not None:
            self._loader.close()
        self._observations.destroy()
        super().destroy_node()

    # The executor's thread.

    def _on_image(self, message: Image | CompressedImage) -> None:
        self._statistics.image_received()
        most = self._parameter("max_rate")
        if most > 0:
            now = time.monotonic()
            # A little early is on time: a camera's frames are not evenly spaced.
            if now - self._last_judged < 0.9 / most:
                self._statistics.count("skipped")
                return
            # Not `now`: what one frame was late would slow down all that follow.
            self._last_judged = max(self._last_judged + 1 / most, now - 0.5 / most)
        if self._worker is not None and not self._worker.put(message):
            self._statistics.count("dropped")

    def _on_set_parameters(self, parameters: list[Parameter]) -> Any:
        result = check_changes(parameters, lambda: self._pipeline is None)
        wanted = {parameter.name: parameter.value for parameter in parameters}
        if (
            result.successful
            and wanted.get("partner") == "enrolled"
            and self._serving is not None
            and self._serving.enrolled is None
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
        if "patient_id" in names and self._loader is not None and self._serving is not None:
            wanted = self._parameter("patient_id")
            if wanted == self._serving.patient_id:
                return  # set by the service below
            if wanted and not self._loader.known(wanted):
                self.get_logger().warning(
                    f"patient {wanted} has no model of their own: the base model judges"
                )
                recognised = self._parameter("partner") == "enrolled"
                if not (self._serving.version or recognised):  # nothing to load
                    self._serve(replace(self._serving, patient_id=wanted, enrolled=None))
                    return
            before = self._serving.patient_id

            def take(found: Serving | ModelError) -> None:
                if self._loader is None:
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
        if self._loader is None or self._serving is None:
            response.message = f"the node is {self._state}: configure it first"
            return response
        loaded: Future = Future()
        self._load_then(request.patient_id, request.version, loaded.set_result)
        found = await loaded
        if isinstance(found, Serving) and self._state == "unconfigured":
            found = ModelError("the node was cleaned up")
        if isinstance(found, Serving):
            self._serve(found)
            if self._parameter("patient_id") != found.patient_id:
                self.set_parameters([Parameter("patient_id", value=found.patient_id)])
            response.success = True
            response.message = _in_words(found)
        else:
            self._refused("model refused", str(found))
            response.message = f"refused: {found}"
        if self._serving is not None:
            response.model_id = self._serving.model.model_id
        return response

    def _load_then(
        self, patient_id: str, version: str, take: Callable[[Serving | ModelError], None],
        lenient: bool = False,
    ) -> None:  # fmt: skip
        """Load beside, then call ``take`` in the executor's thread."""
        assert self._loader is not None
        self._loader.load_beside(
            patient_id, version,
            lambda found: self.executor.create_task(take, found) if self.executor else None,
            lenient,
        )  # fmt: skip

    def _serve(self, serving: Serving) -> None:
        """Judge by this model from the next frame on."""
        self._serving = serving
        self.get_logger().info(_in_words(serving))

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        changed, self._enabled = self._enabled != request.data, request.data
        if changed and self._state == "active":
            if self._enabled:
                self._activated_at = time.monotonic()
                self._look()
            else:
                self._stop("the node was told to stop looking")
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

    def _on_incompatible_qos(self, event: QoSRequestedIncompatibleQoSInfo) -> None:
        if self._parameter("qos_reliability") == "auto":
            # Not here: the subscription whose event this is can't be destroyed under it.
            self.executor.create_task(self._fall_back_to_best_effort)
            return
        topic = self._subscription.topic_name if self._subscription else "image_raw"
        line = (
            f"a publisher of {topic} does not offer the QoS that this node asks for; set "
            f"qos_reliability to auto or best_effort ({event.last_policy_kind!s})"
        )
        self._log_now_and_then("qos", line)

    def _fall_back_to_best_effort(self) -> None:
        if self._subscription is None or self._reliability is ReliabilityPolicy.BEST_EFFORT:
            return
        self._reliability = ReliabilityPolicy.BEST_EFFORT
        self.destroy_subscription(self._subscription)
        self._subscription = self._subscribe()
        self.get_logger().info(
            f"a publisher of {self._subscription.topic_name} is best-effort: so is this node now"
        )

    def _on_timer(self) -> None:
        snapshot = self._statistics.snapshot()
        waiting = time.monotonic() - self._activated_at
        looking = self._state == "active" and self._enabled
        silent = looking and min(snapshot.image_age, waiting) > self._parameter("image_timeout")
        if silent:
            self._log_now_and_then("silent", self._why_silent())
        message = diagnostics(
            self.get_fully_qualified_name(),
            self._state if self._enabled or self._state != "active" else "active, not looking",
            snapshot, silent=silent, device=self._pipeline.device if self._pipeline else "",
            serving=self._serving,
        )  # fmt: skip
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)

    # The worker's thread.

    def _process(self, message: Image | CompressedImage) -> None:
        pipeline, serving = self._pipeline, self._serving
        assert pipeline is not None
        assert serving is not None
        pipeline.model = serving.model
        pipeline.enrolled = serving.enrolled
        stamp = Time.from_msg(message.header.stamp)
        received = self.get_clock().now()
        limit = self._parameter("max_frame_age")
        if limit > 0 and (received - stamp).nanoseconds > limit * 1e9:
            self._statistics.count("stale")
            return
        if self._detector_outdated.is_set():
            self._detector_outdated.clear()
            pipeline.detector = self._make_detector(pipeline.device)
        if self._scene_outdated.is_set():
            self._scene_outdated.clear()
            pipeline.configure(self._scene_options())
        threshold = self._parameter("confidence_threshold")
        pipeline.confidence_threshold = None if threshold < 0 else threshold
        try:
            frame = self._decode(message)
        except ImageError as error:
            self._statistics.count("bad", str(error))
            self._log_now_and_then("bad", f"image skipped: {error}")
            return
        # A stamp of zero is no time: the arrival is.
        since = stamp if stamp.nanoseconds > 0 else received
        seconds = since.nanoseconds * 1e-9
        reactions = pipeline.run(frame, seconds, message.header.frame_id)
        size = (frame.shape[1], frame.shape[0])
        latency = (self.get_clock().now() - since).nanoseconds * 1e-9
        model_id = serving.model.model_id
        told = user_reaction(message.header, reactions, size, model_id, serving.patient_id, latency)
        self._reactions.publish(told)
        self._faces.publish(face_reactions(message.header, reactions, size, model_id))
        if self._ros4hri is not None:
            self._ros4hri.update(message.header, reactions, size)
        self._observations.add(
            seconds, reactions, lambda face_id: reaction_of(told, reactions, size, face_id),
            pipeline.confidence_threshold,
        )  # fmt: skip
        self._statistics.image_judged(latency)
        raw = self._debug.get_subscription_count() > 0
        jpeg = self._debug_jpeg.get_subscription_count() > 0
        if raw or jpeg:
            caption = f"{latency * 1e3:.0f} ms  {self._statistics.rate_out():.0f} frames/s"
            drawn = pipeline.draw(frame, reactions, caption)
            if raw:
                self._debug.publish(bgr_image(message.header, drawn))
            if jpeg:
                self._debug_jpeg.publish(jpeg_image(message.header, drawn))

    def _on_failure(self, error: Exception) -> None:
        if not self.context.ok():
            return  # ROS was shut down while the worker was publishing
        line = f"image not judged: {type(error).__name__}: {error}"
        self._statistics.count("failed", line)
        self._log_now_and_then("failed", line)

    # Both.

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

    def _first_serving(self, loader: ModelLoader) -> Serving:
        patient_id = self._parameter("patient_id")
        if patient_id and not loader.known(patient_id):
            self.get_logger().warning(
                f"patient {patient_id} has no model of their own: the base model judges"
            )
        return loader.load(patient_id, lenient=True)

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

    def _make_pipeline(self) -> ReactionPipeline:
        self._detector_outdated.clear()
        self._scene_outdated.clear()
        device = self._parameter("device")
        yunet = self._parameter("detector") == "yunet"
        return ReactionPipeline(
            self._parameter("model") or None,
            device=device,
            detector=self._make_detector("cpu") if yunet else None,
            min_face_size=self._parameter("min_face_size"),
            detection_thresholds=tuple(self._parameter("detection_thresholds")),
            threads=self._parameter("threads"),
            scene=self._scene_options(),
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

    def _subscribe(self) -> Any:
        compressed = self._parameter("image_transport") == "compressed"
        # As image_transport does it: the base topic is remapped, then the suffix is added.
        topic = self.resolve_topic_name("image_raw") + ("/compressed" if compressed else "")
        qos = QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=self._parameter("qos_depth"),
            reliability=self._reliability,
        )
        return self.create_subscription(
            CompressedImage if compressed else Image, topic, self._on_image, qos,
            event_callbacks=SubscriptionEventCallbacks(incompatible_qos=self._on_incompatible_qos),
            qos_overriding_options=QoSOverridingOptions(OVERRIDABLE),
        )  # fmt: skip

    def _why_silent(self) -> str:
        topic = self._subscription.topic_name
        timeout = self._parameter("image_timeout")
        publishers = self.get_publishers_info_by_topic(topic)
        line = f"no image on {topic} for {timeout:g} s: "
        if not publishers:
            kind = self._subscription.msg_type.__name__
            others = sorted(
                name
                for name, types in self.get_topic_names_and_types()
                if f"sensor_msgs/msg/{kind}" in types
                and name != topic
                and "/debug_image" not in name
            )
            seen = f"; topics with images: {', '.join(others)}" if others else ""
            return (
                f"{line}nobody publishes it; remap image_raw to the camera's topic"
                f" (the launch file's image_topic){seen}"
            )
        return (
            f"{line}it has {len(publishers)} publisher(s), but nothing arrives; if images are "
            "large, set FASTDDS_BUILTIN_TRANSPORTS=LARGE_DATA for the camera and this node"
        )

    def _look(self) -> None:
        if self._parameter("ros4hri"):
            self._ros4hri = Ros4Hri(self)
        self._worker = NewestItemWorker(self._process, self._on_failure, "reaction worker")
        self._reliability = RELIABILITY[self._parameter("qos_reliability")]
        self._subscription = self._subscribe()

    def _stop(self, why: str = "the node stopped looking") -> None:
        if self._subscription is not None:
            self.destroy_subscription(self._subscription)
            self._subscription = None
        if self._worker is not None:
            self._worker.stop()
            self._worker = None
        self._observations.interrupt(why)
        if self._ros4hri is not None:
            self._ros4hri.close()
            self._ros4hri = None

    def _release(self) -> None:
        self._stop()
        if self._loader is not None:
            self._loader.close()
            self._loader = None
        if self._pipeline is not None:
            self._pipeline = self._serving = None
            for publisher in (self._reactions, self._faces, self._debug, self._debug_jpeg):
                self.destroy_lifecycle_publisher(publisher)


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
    node = None
    try:
        # Made first, because rclpy can't once a signal has come.
        executor = SingleThreadedExecutor()
        node = ReactionNode()
        executor.add_node(node)
        node.autostart()
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except RuntimeError:
        if rclpy.ok():
            raise
        # rclpy's complaint that it was told to stop while the node was being made
    finally:
        # A second signal must not break this; launch and the terminal both send one.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
