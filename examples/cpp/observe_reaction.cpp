// Copyright 2026 the emotion_perception maintainers
// SPDX-License-Identifier: Apache-2.0

// Asks how the person before the robot received an action, and prints the verdict.
//
//   ros2 run observe_reaction_example observe_reaction greet
//
// Ends with 0 if the action was observed, whatever the verdict, and with 1 if it was not.

#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>

#include "action_msgs/msg/goal_status.hpp"
#include "emotion_perception/action/observe_reaction.hpp"
#include "rclcpp/rclcpp.hpp"
#include "rclcpp_action/rclcpp_action.hpp"

using emotion_perception::action::ObserveReaction;
using emotion_perception::msg::UserReaction;
using GoalHandle = rclcpp_action::ClientGoalHandle<ObserveReaction>;
using namespace std::chrono_literals;

namespace
{
volatile std::sig_atomic_t stopping = 0;

const char * name_of(uint8_t reaction)
{
  switch (reaction) {
    case UserReaction::NEGATIVE: return "negative";
    case UserReaction::NEUTRAL: return "neutral";
    case UserReaction::POSITIVE: return "positive";
    default: return "unknown";  // nobody saw it: not a reason to change anything
  }
}

// Spins until an answer is there; false when it takes too long, or the user presses Ctrl-C.
template<typename Future>
bool spin_until(
  const rclcpp::Node::SharedPtr & node, const Future & future, std::chrono::seconds limit)
{
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!stopping && std::chrono::steady_clock::now() < end) {
    if (rclcpp::spin_until_future_complete(node, future, 50ms) ==
      rclcpp::FutureReturnCode::SUCCESS)
    {
      return true;
    }
  }
  return false;
}

int observe(const rclcpp::Node::SharedPtr & node, const std::string & action_id)
{
  // Resolved here, because before Kilted an action's name is not remapped by itself.
  const auto name = node->get_node_services_interface()->resolve_service_name(
    "reaction_node/observe_reaction");
  const auto client = rclcpp_action::create_client<ObserveReaction>(node, name);
  while (!client->wait_for_action_server(5s)) {
    if (stopping) {return 1;}
    RCLCPP_INFO(node->get_logger(), "waiting for the action server %s", name.c_str());
  }

  ObserveReaction::Goal goal;
  goal.action_id = action_id;
  goal.start = node->now();
  goal.window.sec = 4;

  rclcpp_action::Client<ObserveReaction>::SendGoalOptions options;
  options.feedback_callback =
    [&](GoalHandle::SharedPtr, std::shared_ptr<const ObserveReaction::Feedback> feedback) {
      RCLCPP_INFO(
        node->get_logger(), "%.1f s: %s", feedback->elapsed, name_of(feedback->now.reaction));
    };
  // The robot acts from here on.
  auto sent = client->async_send_goal(goal, options);
  if (!spin_until(node, sent, 5s)) {
    RCLCPP_ERROR(node->get_logger(), "the server did not answer");
    return 1;
  }
  const auto handle = sent.get();
  if (!handle) {
    RCLCPP_ERROR(node->get_logger(), "refused; is the reaction node active?");
    return 1;
  }
  auto done = client->async_get_result(handle);
  if (!spin_until(node, done, std::chrono::seconds(goal.window.sec + 10))) {
    auto cancelled = client->async_cancel_goal(handle);
    rclcpp::spin_until_future_complete(node, cancelled, 2s);
    RCLCPP_ERROR(node->get_logger(), stopping ? "told to stop watching" : "no result came");
    return 1;
  }
  const auto answer = done.get();
  if (answer.code != rclcpp_action::ResultCode::SUCCEEDED) {
    RCLCPP_ERROR(node->get_logger(), "not observed: %s", answer.result->text.c_str());
    return 1;
  }
  const auto & result = *answer.result;
  std::printf(
    "%s: %s, valence changed by %+.2f (%+.2f to %+.2f); %s\n", result.action_id.c_str(),
    name_of(result.verdict.reaction), result.change, result.change_low, result.change_high,
    result.text.c_str());
  return 0;
}
}  // namespace

int main(int argc, char ** argv)
{
  // Not rclcpp's handlers: they close the connection at once, and a goal could not be cancelled.
  rclcpp::init(argc, argv, rclcpp::InitOptions(), rclcpp::SignalHandlerOptions::None);
  std::signal(SIGINT, [](int) {stopping = 1;});
  std::signal(SIGTERM, [](int) {stopping = 1;});

  const auto arguments = rclcpp::remove_ros_arguments(argc, argv);
  const auto node = std::make_shared<rclcpp::Node>("observe_reaction_example");
  const int code = observe(node, arguments.size() > 1 ? arguments[1] : "action");
  rclcpp::shutdown();
  return code;
}
