// SPDX-License-Identifier: MIT
// subscription.h: reading a channel. Client::subscribe() makes a Subscription; each has its own place, so a
// slow reader holds nobody up. What was overwritten before it was read comes as a gap, in its place.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "shoal/status.h"

namespace shoal {

// A place in a channel that outlives the process that read it.
struct Position {
  uint64_t incarnation = 0;
  uint64_t sequence = 0;
};

// Where a subscription begins: at what comes from now on, with the last n messages, or behind a position.
struct Begin {
  std::optional<uint64_t> last{};
  std::optional<Position> since{};
};

struct Message {
  std::string channel;
  std::string data;
  Position position;
  bool gap = false;                  // messages are missing here; data is empty
  std::optional<uint64_t> missed{};  // how many, if a gap tells
};

class Subscription {
 public:
  Subscription(Subscription&&) noexcept;
  Subscription& operator=(Subscription&&) noexcept;
  ~Subscription();

  // The next message. The thread sleeps for it, at most timeout_ms (negative: for ever); nothing: the time is over.
  Result<std::optional<Message>> next(int64_t timeout_ms = -1);

 private:
  friend class Client;
  struct State;
  explicit Subscription(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace shoal
