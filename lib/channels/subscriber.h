// SPDX-License-Identifier: MIT
// subscriber.h: what a process holds of its subscriptions: for each channel or pattern a cursor, in private memory.
//
// Messages come in the order of their publication over all channels and patterns of one Subscriber: a publisher's own
// order always holds. To that end a read first takes the time, then looks where something is new, and gives out what
// was published before: whatever precedes a message that it gives was visible when it looked.
// What was overwritten before it was read comes as a gap, in its place: delivered + lost == published.
//
// Thread-safe. The subscriptions belong to the context of the thread that reads or waits (a publisher must know whom to
// wake): a read in another thread, or in a forked child, takes them along, each cursor where it was.
// Dies at any line: the records of a dead context are removed by whoever reaps it (subscription.h).
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "channels/inbox.h"
#include "channels/subscription.h"

namespace shoal::channels {

// A place in a channel that outlives the process that read it: what a WebSocket resumes from.
struct Position {
  uint64_t incarnation = 0;
  uint64_t sequence = 0;
};

// Where a subscription begins: at what comes from now on, with the last n messages, or behind a position.
struct Start {
  std::optional<uint64_t> last;
  std::optional<Position> since;
};

// The history that a channel is to keep.
struct History {
  uint32_t keep = 0;
  uint64_t ttl_ms = 0;
};

struct Delivery {
  enum class Kind { kMessage, kGap } kind = Kind::kMessage;
  bool pattern = false;  // it came by a pattern
  Bytes source;          // the channel or pattern that was subscribed to
  Bytes channel;         // where it was published; of a gap in a pattern: empty
  Bytes data;
  Position position;             // in the ring it came from
  std::optional<uint64_t> lost;  // of a gap; nothing = nobody knows, the channel is another one than the position's
};

class Subscriber {
 public:
  explicit Subscriber(std::shared_ptr<Process> process) noexcept;
  ~Subscriber();
  Subscriber(const Subscriber&) = delete;
  Subscriber& operator=(const Subscriber&) = delete;

  // False: was subscribed already.
  Status subscribe(ChannelKind kind, Bytes name, const Start& start, int64_t budget_ns, bool& fresh);
  Status unsubscribe(ChannelKind kind, Bytes name, int64_t budget_ns, bool& was_there);
  // Without waiting longer than an event loop may: it hears nothing more from now on, and behind a lock that is held
  // the slow lane takes the record out.
  void drop(ChannelKind kind, Bytes name) noexcept;
  // All of it, in the same way after `budget_ns`. Who waits is woken: readable() is true, read() gives nothing, until
  // the next subscribe().
  void close(int64_t budget_ns = kLoopLockBudgetNs) noexcept;

  size_t count(ChannelKind kind) const noexcept { return counts_[static_cast<size_t>(kind)]; }
  std::vector<std::string> names(ChannelKind kind) const;

  // Gives out up to `max` deliveries; the views in them hold during the call. Waits for nothing but, rarely (the ring
  // moved; another thread is in it), a lock: kBusy, kHolderStopped if that is not to be had, and then nothing was
  // given.
  using Sink = void (*)(void* with, const Delivery& delivery);
  Status read(size_t max, Sink sink, void* with, size_t& given, int64_t budget_ns = kLockBudgetNs);
  // Whether read() would give something. The same errors.
  Status readable(bool& something, int64_t budget_ns = kLockBudgetNs);
  // Sleeps in this thread until readable, at most timeout_ns (and never longer than a thread may sleep: call again); a
  // signal ends it early.
  Status wait(int64_t timeout_ns, bool& something);

 private:
  struct Source;
  using Sources = std::unordered_map<std::string, std::unique_ptr<Source>>;

  std::unique_lock<ForkLock> enter(int64_t budget_ns);
  bool ours() const noexcept;
  Status bind(int64_t budget_ns);
  void adopt(shm::Context& self);
  Status enroll_strays(shm::Context& self, int64_t budget_ns);
  Status enroll(shm::Context& self, Source& source, int64_t budget_ns);
  Status begin(shm::Context& self, Source& source, const Start& start, int64_t budget_ns);
  void mark(Source& source) noexcept;
  Status withdraw(const Source& source, int64_t budget_ns);
  void withdraw_later(const Source& source);
  void forget(Source& source) noexcept;
  Status look_again(shm::Context& self, Source& source, int64_t budget_ns);
  Status prime(shm::Context& self, Source& source, int64_t budget_ns, bool& has_head);
  bool give(Source& source, Sink sink, void* with);
  void take_hints();
  Status readable_locked(bool& something, int64_t budget_ns);

  std::shared_ptr<Process> process_;
  mutable ForkLock lock_;
  std::shared_ptr<Inbox> inbox_;  // of the context that the subscriptions belong to
  uint64_t nonce_ = 0;            // of the process that made them
  Sources sources_[2];            // by ChannelKind
  size_t counts_[2] = {0, 0};
  size_t strays_ = 0;  // sources whose record is not yet with the inbox's context
  bool closed_ = false;
  std::vector<Listener*> queue_;  // hinted, filled by the inbox
  std::vector<Listener*> taken_;
  std::vector<Source*> active_;  // may have something to read
  std::string data_, channel_;   // where messages are copied to
};

// Makes the channel keep a history, from now on and without subscribers, or (keep = 0) no longer. kRedisError when
// the ring can never hold as many, be they empty.
Status configure(Process& process, Bytes channel, const History& history, int64_t budget_ns);

}  // namespace shoal::channels
