// SPDX-License-Identifier: MIT
#include "process/relay.h"

#include "process/wake.h"

namespace shoal {

namespace relay {

namespace {

// True if it slept: then it passes the wake on.
bool wake_to_pass_on(Process& process, shm::Context& context, uint32_t id) noexcept {
  context.relay.fetch_or(kPassOn);
  return wake_context(process, id);
}

bool take(shm::Context& context) noexcept {
  if ((context.relay.load(std::memory_order_relaxed) & kLeft) == 0) return false;
  return (context.relay.fetch_and(~kLeft) & kLeft) != 0;
}

// Wakes up to `most` of those who are left, beginning behind context `start`: not all look at the same one first.
void wake_some(Process& process, uint32_t start, uint32_t most) noexcept {
  Segment& segment = process.segment();
  const uint32_t high = segment.context_high();
  for (uint32_t step = 1; step <= high && most > 0; ++step) {
    shm::Context& context = segment.control_context((start + step) % high);
    if (!take(context)) continue;
    const uint32_t id = context.id.load(std::memory_order_acquire);
    if (id != 0 && wake_to_pass_on(process, context, id)) --most;
  }
}

}  // namespace

void pass_on(Process& process, shm::Context& self) noexcept {
  while ((self.relay.load() & kPassOn) != 0) {
    self.relay.fetch_xor(kPassOn | kPassing);
    wake_some(process, static_cast<uint32_t>(&self - &process.segment().context(0)), kFanOut);
    self.relay.fetch_and(~kPassing);
  }
}

}  // namespace relay

void Sleepers::add(uint32_t context_id) noexcept {
  if (count_ < relay::kFanOut) {
    own_[count_++] = context_id;
    return;
  }
  segment_.control_context(shm::context_index(context_id)).relay.fetch_or(relay::kLeft);
  left_some_ = true;
}

bool Sleepers::wake(Process& process) const noexcept {
  bool woken = false;
  for (uint32_t i = 0; i < count_; ++i) {
    if (left_some_) {
      shm::Context& context = segment_.control_context(shm::context_index(own_[i]));
      woken = relay::wake_to_pass_on(process, context, own_[i]) || woken;
    } else {
      woken = wake_context(process, own_[i]) || woken;
    }
  }
  if (left_some_ && !woken) relay::wake_some(process, 0, relay::kFanOut);  // ours have woken up by themselves
  return woken;
}

void relay_all(Process& process, shm::Context& self) noexcept {
  self.relay.fetch_or(relay::kPassing);
  relay::wake_some(process, 0, ~uint32_t{0});
  self.relay.fetch_and(~relay::kPassing);
}

}  // namespace shoal
