// SPDX-License-Identifier: MIT
// subscription.h: what Client::subscribe() puts into a Subscription.
#pragma once

#include <deque>

#include "channels/subscriber.h"
#include "shoal/subscription.h"

namespace shoal {

struct Subscription::State {
  explicit State(std::shared_ptr<Process> process) noexcept : subscriber(std::move(process)) {}

  channels::Subscriber subscriber;
  std::deque<Message> read;  // taken from the ring, not given out
};

Status subscribe(channels::Subscriber& subscriber, std::string_view channel, const Begin& begin);

}  // namespace shoal
