# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""One process of a secured robot for tests: `secured.py listen|watch|inject|operate NODE_NAME`.

Says "ready" once its topic is there, or "refused: ..." where it may not have one; then a line for
each message that it got (listen, watch) or sent (inject) or answer of a service (operate).
"""

import contextlib
import sys
import time

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import GetState
from rcl_interfaces.srv import SetParameters
from rclpy.executors import ExternalShutdownException
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from std_srvs.srv import SetBool

from emotion_perception.image.demo_clip import DEMO_SPANS, demo_frames
from emotion_perception.msg import UserReaction
from emotion_perception.nodes.messages import bgr_image
from emotion_perception.srv import LoadPatientModel


def say(*words):
    print(*words, flush=True)


def listen(node):
    node.create_subscription(
        UserReaction, "user_reaction", lambda m: say("heard", m.reaction, m.face_id), 10
    )


def watch(node):
    def tell(message):
        for status in message.status:
            values = {item.key: item.value for item in status.values}
            say("received", values["images received"])

    node.create_subscription(DiagnosticArray, "/diagnostics", tell, 10)


def inject(node):
    smile = int((DEMO_SPANS[0][0] + DEMO_SPANS[0][1]) / 2 * 5)
    frame = next(frame for number, frame in enumerate(demo_frames(5.0)) if number == smile)
    publisher = node.create_publisher(Image, "image_raw", 10)

    def show():
        stamp = node.get_clock().now().to_msg()
        publisher.publish(bgr_image(Header(stamp=stamp, frame_id="camera"), frame))
        say("sent")

    node.create_timer(0.1, show)


def operate(node):
    def call(service_type, name, request):
        client = node.create_client(service_type, f"reaction_node/{name}")
        client.wait_for_service()
        answer = client.call_async(request)
        rclpy.spin_until_future_complete(node, answer)
        return answer.result()

    while (
        label := call(GetState, "get_state", GetState.Request()).current_state.label
    ) != "active":
        time.sleep(0.1)
    say("state", label)
    threshold = Parameter("confidence_threshold", value=0.2).to_parameter_msg()
    answer = call(SetParameters, "set_parameters", SetParameters.Request(parameters=[threshold]))
    say("threshold", answer.results[0].successful)
    answer = call(LoadPatientModel, "load_patient_model", LoadPatientModel.Request())
    say("model", answer.success, answer.message)
    answer = call(SetBool, "enable", SetBool.Request(data=True))
    say("enable", answer.success, answer.message)


ROLES = {"listen": listen, "watch": watch, "inject": inject, "operate": operate}


def main():
    try:
        rclpy.init()
        node = rclpy.create_node(sys.argv[2])
        ROLES[sys.argv[1]](node)
    except Exception as error:
        say("refused:", " ".join(str(error).split()))
        return
    say("ready")
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(node)


if __name__ == "__main__":
    main()
