// SPDX-License-Identifier: MIT
// inbox.h: how the subscribers of one thread learn which of their channels have something new, without looking at all
// of them.
//
// Publishers set bit b of Context::ready after they published to a channel whose subscription of this context has bit
// b. All subscribers of the thread share the context's bits, so taking the bits queues the listeners of all of them:
// collect().
// A bit may stand for several channels and may be set for nothing: it is a hint to look.
//
// In private memory; one per context id in this process. A forked child has other contexts, so it never uses a
// parent's.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "process/fork_guard.h"
#include "process/process.h"

namespace shoal::channels {

// Something that reads a ring. When its bit was set it is put into its owner's queue, once. Guarded by the inbox's
// lock.
struct Listener {
  uint32_t bit = 0;
  bool queued = false;
  std::vector<Listener*>* queue = nullptr;
};

class Inbox {
 public:
  static constexpr uint32_t kBits = shm::kReadyWords * 64;

  // The one of this context. The caller is its thread.
  static std::shared_ptr<Inbox> of(const std::shared_ptr<Segment>& segment, shm::Context& context);

  uint32_t context_id() const noexcept { return context_id_; }
  bool same(const Segment& segment, uint32_t context_id) const noexcept {
    return segment_.get() == &segment && context_id_ == context_id;
  }
  uint32_t next_bit() noexcept;
  // A new listener is queued at once: it has not looked yet.
  void add(Listener& listener);
  void remove(Listener& listener) noexcept;

  // Whether publishers set bits since the last collect(). Cheap enough to be asked before each sleep.
  bool hinted() const noexcept;
  // Takes the bits, queues the listeners they stand for, and empties `queue` into `taken`.
  void collect(std::vector<Listener*>& queue, std::vector<Listener*>& taken);

 private:
  Inbox(std::shared_ptr<Segment> segment, shm::Context& context) noexcept;
  static void enqueue(Listener& listener);

  std::shared_ptr<Segment> segment_;
  shm::Context& context_;
  uint32_t context_id_;
  ForkLock lock_;
  uint32_t next_bit_ = 0;
  std::array<std::vector<Listener*>, kBits> by_bit_;
};

}  // namespace shoal::channels
