// SPDX-License-Identifier: MIT
#include "client/subscription.h"

#include <algorithm>

#include "base/clock.h"

namespace shoal {

namespace {

constexpr size_t kBatch = 64;
constexpr int64_t kNsPerMs = 1'000'000;
constexpr int64_t kLongestSleepNs = 1'000'000'000;  // then it looks again

void keep(void* with, const channels::Delivery& delivery) {
  Message message;
  message.channel = delivery.channel;
  message.data = delivery.data;
  message.position = {delivery.position.incarnation, delivery.position.sequence};
  message.gap = delivery.kind == channels::Delivery::Kind::kGap;
  message.missed = delivery.lost;
  static_cast<std::deque<Message>*>(with)->push_back(std::move(message));
}

}  // namespace

Status subscribe(channels::Subscriber& subscriber, std::string_view channel, const Begin& begin) {
  channels::Start start;
  start.last = begin.last;
  if (begin.since) start.since = channels::Position{begin.since->incarnation, begin.since->sequence};
  bool fresh = false;
  return subscriber.subscribe(channels::ChannelKind::kChannel, channel, start, kLockBudgetNs, fresh);
}

Subscription::Subscription(std::unique_ptr<State> state) : state_(std::move(state)) {}
Subscription::Subscription(Subscription&&) noexcept = default;
Subscription& Subscription::operator=(Subscription&&) noexcept = default;
Subscription::~Subscription() = default;

Result<std::optional<Message>> Subscription::next(int64_t timeout_ms) {
  const int64_t deadline = timeout_ms < 0 ? INT64_MAX : monotonic_ns() + timeout_ms * kNsPerMs;
  while (state_->read.empty()) {
    size_t given = 0;
    if (Status status = state_->subscriber.read(kBatch, keep, &state_->read, given); !status.ok()) return status;
    if (given > 0) break;
    const int64_t left = deadline - monotonic_ns();
    if (left <= 0) return std::optional<Message>{};
    bool something = false;
    Status status = state_->subscriber.wait(std::min(left, kLongestSleepNs), something);
    if (!status.ok()) return status;
  }
  std::optional<Message> message = std::move(state_->read.front());
  state_->read.pop_front();
  return message;
}

}  // namespace shoal
