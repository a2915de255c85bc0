// SPDX-License-Identifier: MIT
#include "channels/inbox.h"

#include <algorithm>
#include <bit>
#include <mutex>

#include "base/fork_gate.h"

namespace shoal::channels {

namespace {

// Weak: an inbox lives as long as a subscriber uses it.
struct Registry {
  ForkLock lock;
  std::vector<std::weak_ptr<Inbox>> inboxes;
};
Registry& all = *new Registry;  // not destroyed before threads that end late

}  // namespace

Inbox::Inbox(std::shared_ptr<Segment> segment, shm::Context& context) noexcept
    : segment_(std::move(segment)), context_(context), context_id_(context.id.load(std::memory_order_relaxed)) {}

std::shared_ptr<Inbox> Inbox::of(const std::shared_ptr<Segment>& segment, shm::Context& context) {
  const uint32_t id = context.id.load(std::memory_order_relaxed);
  const std::lock_guard guard(all.lock);
  const NoFork whole;
  std::erase_if(all.inboxes, [](const auto& weak) { return weak.expired(); });
  for (const auto& weak : all.inboxes) {
    if (auto inbox = weak.lock(); inbox && inbox->same(*segment, id)) return inbox;
  }
  std::shared_ptr<Inbox> fresh(new Inbox(segment, context));
  all.inboxes.push_back(fresh);
  return fresh;
}

uint32_t Inbox::next_bit() noexcept {
  const std::lock_guard guard(lock_);
  return next_bit_++ % kBits;
}

void Inbox::enqueue(Listener& listener) {
  if (listener.queued) return;
  listener.queued = true;
  listener.queue->push_back(&listener);
}

void Inbox::add(Listener& listener) {
  const std::lock_guard guard(lock_);
  by_bit_[listener.bit].push_back(&listener);
  enqueue(listener);
}

void Inbox::remove(Listener& listener) noexcept {
  const std::lock_guard guard(lock_);
  std::erase(by_bit_[listener.bit], &listener);
  std::erase(*listener.queue, &listener);
  listener.queued = false;
}

bool Inbox::hinted() const noexcept {
  return std::any_of(std::begin(context_.ready), std::end(context_.ready),
                     [](const auto& word) { return word.load(std::memory_order_relaxed) != 0; });
}

void Inbox::collect(std::vector<Listener*>& queue, std::vector<Listener*>& taken) {
  const std::lock_guard guard(lock_);
  for (uint32_t word = 0; word < shm::kReadyWords; ++word) {
    if (context_.ready[word].load(std::memory_order_relaxed) == 0) continue;
    for (uint64_t bits = context_.ready[word].exchange(0); bits != 0; bits &= bits - 1) {
      for (Listener* listener : by_bit_[word * 64 + static_cast<uint32_t>(std::countr_zero(bits))]) enqueue(*listener);
    }
  }
  for (Listener* listener : queue) listener->queued = false;
  taken.insert(taken.end(), queue.begin(), queue.end());
  queue.clear();
}

}  // namespace shoal::channels
