// SPDX-License-Identifier: MIT
#include "channels/subscriber.h"

#include <algorithm>

#include "base/clock.h"
#include "channels/bookmark.h"
#include "process/slow_lane.h"
#include "process/wake.h"

namespace shoal::channels {

namespace {

constexpr int kLookTriesMax = 64;
constexpr Status kInUse{Code::kBusy, "BUSY another thread uses this subscriber"};

// Oldest time that the channel's history still shows.
uint64_t not_before_ns(const shm::Channel& channel) noexcept {
  const uint64_t ttl_ns = channel.ttl_ms.load() * 1'000'000, now = static_cast<uint64_t>(monotonic_ns());
  return ttl_ns == 0 || ttl_ns > now ? 0 : now - ttl_ns;
}

}  // namespace

struct Subscriber::Source : Listener {
  std::string text;
  Name name;  // of `text`
  uint64_t incarnation = 0;
  RingCursor cursor;
  RingReader reader;
  Bookmark bookmark;
  uint64_t lost = 0;  // a gap to be told before the next message
  bool lost_unknown = false;
  bool active = false;
  bool stray = false;   // the record is still that of a context that reads no more: `home`, 0 = a parent's, not ours
  uint32_t home = 0;    // whose context the record names
  shm::Message head{};  // the next message, when it is in the heap; time 0: a gap

  bool has_gap() const noexcept { return lost != 0 || lost_unknown; }
};

Subscriber::Subscriber(std::shared_ptr<Process> process) noexcept : process_(std::move(process)) {}

Subscriber::~Subscriber() { close(); }

// Not owned, and kInUse, if another thread has it, which may wait for a lock of the segment as long as it has to, and
// the caller may not.
std::unique_lock<ForkLock> Subscriber::enter(int64_t budget_ns) {
  std::unique_lock guard(lock_, std::try_to_lock);
  if (!guard && budget_ns >= kLockBudgetNs) guard.lock();
  return guard;
}

// Whether the records in the segment are this process's.
bool Subscriber::ours() const noexcept { return inbox_ != nullptr && nonce_ == fork_nonce(); }

// ---- Subscribing ----------------------------------------------------------------------------------------------------

Status Subscriber::subscribe(ChannelKind kind, Bytes name, const Start& start, int64_t budget_ns, bool& fresh) {
  fresh = false;
  const auto guard = enter(budget_ns);
  if (!guard) return kInUse;
  if (name.size() > kChannelNameBytesMax)
    return {Code::kRedisError, "ERR the channel's name is longer than 65535 bytes"};
  auto context = process_->context();
  if (!context.ok()) return context.status();
  if (!ours() || dead(process_->segment(), inbox_->context_id())) {
    if (Status status = bind(budget_ns); !status.ok()) return status;
  }
  auto& sources = sources_[static_cast<size_t>(kind)];
  if (sources.contains(std::string(name))) return {};
  auto source = std::make_unique<Source>();
  source->text = name;
  source->name = name_of(process_->segment(), kind, source->text);
  source->bit = inbox_->next_bit();
  source->queue = &queue_;
  if (Status status = begin(*context.value(), *source, start, budget_ns); !status.ok()) return status;
  mark(*source);
  inbox_->add(*source);
  sources.emplace(source->text, std::move(source));
  ++counts_[static_cast<size_t>(kind)];
  closed_ = false;
  fresh = true;
  const uint32_t own_id = context.value()->id.load(std::memory_order_relaxed);
  if (own_id != inbox_->context_id())
    wake_context(*process_, inbox_->context_id());  // its thread sleeps without this source
  return {};
}

// The record and the cursor in one transaction: nothing falls between what is history and what is live.
Status Subscriber::begin(shm::Context& self, Source& source, const Start& start, int64_t budget_ns) {
  const Purpose purpose{Purpose::kSubscribe, false, source.name.hash};
  return transact(*process_, self, purpose, source.name.shards(), budget_ns, [&](Transaction& tx) {
    source.lost = 0;
    source.lost_unknown = false;
    const shm::Channel* channel = channels::subscribe(tx, source.name, inbox_->context_id(), source.bit);
    if (channel == nullptr) return;
    const RingBytes bytes = ring_bytes(tx.segment(), *channel);
    const uint64_t next = channel->ring.next.load(std::memory_order_relaxed), keep = channel->keep;
    source.home = inbox_->context_id();
    source.incarnation = channel->incarnation;
    source.cursor = ring::live(channel->ring);
    if (start.since) {
      const bool known = start.since->incarnation == source.incarnation && start.since->sequence < next;
      const uint64_t wanted = known ? start.since->sequence + 1 : 1;
      source.cursor = ring::seek(channel->ring, bytes, wanted, not_before_ns(*channel));
      source.lost = known ? source.cursor.sequence - wanted : 0;
      source.lost_unknown = !known;
    } else if (start.last && *start.last > 0) {
      const uint64_t most = keep == 0 ? *start.last : std::min(*start.last, keep);
      source.cursor = ring::seek(channel->ring, bytes, next - std::min(most, next - 1), not_before_ns(*channel));
    }
    const auto& epoch = tx.shard(source.name.shard).reader_epoch;
    source.reader = RingReader(channel->ring, bytes, epoch, epoch.load());
  });
}

// Moves the subscription to the inbox's context; it goes on at its cursor, if the channel is still the same.
Status Subscriber::enroll(shm::Context& self, Source& source, int64_t budget_ns) {
  const uint32_t leave = source.stray ? source.home : 0;
  const Purpose purpose{Purpose::kSubscribe, false, source.name.hash};
  Status status = transact(*process_, self, purpose, source.name.shards(), budget_ns, [&](Transaction& tx) {
    const shm::Channel* channel = channels::subscribe(tx, source.name, inbox_->context_id(), source.bit);
    if (channel == nullptr) return;
    if (channel->incarnation.load() != source.incarnation) {
      source.incarnation = channel->incarnation;
      source.cursor = ring::seek(channel->ring, ring_bytes(tx.segment(), *channel), 1, not_before_ns(*channel));
      source.lost_unknown = true;
    }
    if (leave != 0) channels::unsubscribe(tx, source.name, source.incarnation, leave);
    source.reader = {};  // look again
  });
  if (!status.ok()) return status;
  source.home = inbox_->context_id();
  mark(source);
  return {};
}

void Subscriber::mark(Source& source) noexcept {
  source.bookmark.claim(*process_->shared_segment(), source.home, source.incarnation, source.cursor.sequence);
}

namespace {

Status take_out(Process& process, const Name& name, uint64_t incarnation, uint32_t context_id, int64_t budget_ns) {
  auto context = process.context();
  if (!context.ok()) return context.status();
  const Purpose purpose{Purpose::kUnsubscribe, false, name.hash};
  return transact(process, *context.value(), purpose, name.shards(), budget_ns,
                  [&](Transaction& tx) { channels::unsubscribe(tx, name, incarnation, context_id); });
}

bool held_up(const Status& status) noexcept {
  return !status.ok() && status.code() != Code::kRemoved && status.code() != Code::kCorrupt;
}

}  // namespace

Status Subscriber::withdraw(const Source& source, int64_t budget_ns) {
  if (!ours() || source.home == 0) return {};
  return take_out(*process_, source.name, source.incarnation, source.home, budget_ns);
}

void Subscriber::withdraw_later(const Source& source) {
  slow_lane::add([weak = std::weak_ptr(process_), kind = source.name.kind, text = source.text,
                  incarnation = source.incarnation, home = source.home] {
    const std::shared_ptr<Process> process = weak.lock();  // gone: its slot was given back, or will be reaped
    if (process == nullptr) return true;
    const Name name = name_of(process->segment(), kind, text);
    return !held_up(take_out(*process, name, incarnation, home, kLoopLockBudgetNs));
  });
}

void Subscriber::forget(Source& source) noexcept {
  if (ours()) source.bookmark.give_back();
  if (source.stray) {
    --strays_;
  } else if (inbox_ != nullptr) {
    inbox_->remove(source);
  }
  std::erase(active_, &source);
}

Status Subscriber::unsubscribe(ChannelKind kind, Bytes name, int64_t budget_ns, bool& was_there) {
  was_there = false;
  const auto guard = enter(budget_ns);
  if (!guard) return kInUse;
  auto& sources = sources_[static_cast<size_t>(kind)];
  const auto place = sources.find(std::string(name));
  was_there = place != sources.end();
  if (!was_there) return {};
  Source& source = *place->second;
  if (Status status = withdraw(source, budget_ns); !status.ok()) return status;
  forget(source);
  sources.erase(place);
  --counts_[static_cast<size_t>(kind)];
  return {};
}

void Subscriber::drop(ChannelKind kind, Bytes name) noexcept {
  const std::lock_guard guard(lock_);
  auto& sources = sources_[static_cast<size_t>(kind)];
  const auto place = sources.find(std::string(name));
  if (place == sources.end()) return;
  if (held_up(withdraw(*place->second, kLoopLockBudgetNs))) withdraw_later(*place->second);
  forget(*place->second);
  sources.erase(place);
  --counts_[static_cast<size_t>(kind)];
}

void Subscriber::close(int64_t budget_ns) noexcept {
  const std::lock_guard guard(lock_);
  uint64_t held = 0;  // shards that were waited for in vain: once is enough
  for (auto& sources : sources_) {
    for (auto& [text, source] : sources) {
      const bool in_vain = (source->name.shards() & held) != 0 || held_up(withdraw(*source, budget_ns));
      if (in_vain) held |= source->name.shards();
      if (in_vain) withdraw_later(*source);
      forget(*source);
    }
    sources.clear();
  }
  counts_[0] = counts_[1] = 0;
  closed_ = true;
  if (ours()) wake_context(*process_, inbox_->context_id());
  inbox_.reset();
}

std::vector<std::string> Subscriber::names(ChannelKind kind) const {
  const std::lock_guard guard(lock_);
  std::vector<std::string> all;
  for (const auto& [text, source] : sources_[static_cast<size_t>(kind)]) all.push_back(text);
  return all;
}

// ---- Whose thread ---------------------------------------------------------------------------------------------------

// Afterwards the subscriptions belong to the calling thread's context. An error: not all of them yet, call it again.
Status Subscriber::bind(int64_t budget_ns) {
  auto context = process_->context();
  if (!context.ok()) return context.status();
  const uint32_t id = context.value()->id.load(std::memory_order_relaxed);
  const bool same = inbox_ != nullptr && inbox_->same(process_->segment(), id) && nonce_ == fork_nonce();
  if (__builtin_expect(same && strays_ == 0, 1)) return {};
  if (!same) adopt(*context.value());
  return enroll_strays(*context.value(), budget_ns);
}

void Subscriber::adopt(shm::Context& self) {
  const bool inherited = inbox_ != nullptr && !ours();  // a parent's subscriptions stay the parent's
  for (auto& sources : sources_) {
    for (auto& [text, source] : sources) {
      if (!source->stray) {
        if (inbox_ != nullptr) inbox_->remove(*source);
        source->stray = true;
        ++strays_;
      }
      if (inherited) source->home = 0;
      if (inherited) source->bookmark.leave();
    }
  }
  inbox_ = Inbox::of(process_->shared_segment(), self);
  nonce_ = fork_nonce();
}

Status Subscriber::enroll_strays(shm::Context& self, int64_t budget_ns) {
  Status result;
  for (auto& sources : sources_) {
    for (auto& [text, source] : sources) {
      if (!source->stray) continue;
      source->bit = inbox_->next_bit();
      if (Status status = enroll(self, *source, result.ok() ? budget_ns : 0); !status.ok()) {
        if (result.ok()) result = status;
        continue;
      }
      source->stray = false;
      --strays_;
      inbox_->add(*source);
    }
  }
  return result;
}

// ---- Reading --------------------------------------------------------------------------------------------------------

void Subscriber::take_hints() {
  taken_.clear();
  inbox_->collect(queue_, taken_);
  for (Listener* listener : taken_) {
    auto* source = static_cast<Source*>(listener);
    if (source->active) continue;
    source->active = true;
    active_.push_back(source);
  }
}

// The block moved, or the channel went: a subscription that was reaped although we live is made anew.
Status Subscriber::look_again(shm::Context& self, Source& source, int64_t budget_ns) {
  LookUp found;
  if (Status status = look_up(*process_, self, source.name, budget_ns, found); !status.ok()) return status;
  if (found.channel == nullptr || found.incarnation != source.incarnation) {
    if (Status status = enroll(self, source, budget_ns); !status.ok()) return status;
    if (Status status = look_up(*process_, self, source.name, budget_ns, found); !status.ok()) return status;
  }
  if (found.channel != nullptr) source.reader = found.reader;
  return {};
}

// What comes next from this source: a gap, a message, or nothing.
Status Subscriber::prime(shm::Context& self, Source& source, int64_t budget_ns, bool& has_head) {
  has_head = true;
  source.head = {};
  for (int tries = 0; tries < kLookTriesMax && !source.has_gap(); ++tries) {
    uint64_t lost = 0;
    switch (source.reader.still_there() ? source.reader.peek(source.cursor, source.head, lost)
                                        : RingReader::Result::kMoved) {
      case RingReader::Result::kMessage:
        return {};
      case RingReader::Result::kNothing:
        has_head = false;
        return {};
      case RingReader::Result::kLapped:
        source.lost += lost;
        break;
      case RingReader::Result::kMoved:
        if (Status status = look_again(self, source, budget_ns); !status.ok()) return status;
    }
    source.head = {};
  }
  return {};
}

// False: it was overwritten while it was copied.
bool Subscriber::give(Source& source, Sink sink, void* with) {
  Delivery delivery;
  delivery.pattern = source.name.kind == ChannelKind::kPattern;
  delivery.source = source.text;
  if (source.has_gap()) {
    delivery.kind = Delivery::Kind::kGap;
    delivery.channel = delivery.pattern ? Bytes{} : delivery.source;
    delivery.position = {source.incarnation, source.cursor.sequence - 1};
    if (!source.lost_unknown) delivery.lost = source.lost;
    source.lost = 0;
    source.lost_unknown = false;
    sink(with, delivery);
    return true;
  }
  const shm::Message& head = source.head;
  if (head.sequence != source.cursor.sequence) return false;  // prime() gave up looking
  if (data_.size() < head.data_bytes) data_.resize(head.data_bytes);
  if (channel_.size() < head.name_bytes) channel_.resize(head.name_bytes);
  if (!source.reader.copy(source.cursor, head, channel_.data(), data_.data())) return false;
  delivery.channel = delivery.pattern ? Bytes{channel_.data(), head.name_bytes} : delivery.source;
  delivery.data = {data_.data(), head.data_bytes};
  delivery.position = {source.incarnation, source.cursor.sequence};
  RingReader::advance(source.cursor, head);
  sink(with, delivery);
  return true;
}

Status Subscriber::read(size_t max, Sink sink, void* with, size_t& given, int64_t budget_ns) {
  given = 0;
  const auto guard = enter(budget_ns);
  if (!guard) return kInUse;
  if (counts_[0] + counts_[1] == 0) return {};
  if (Status status = bind(budget_ns); !status.ok()) return status;
  shm::Context& self = *process_->context().value();
  const auto later = [](const Source* a, const Source* b) { return a->head.time_ns > b->head.time_ns; };
  for (int rounds = 0; rounds < kLookTriesMax; ++rounds) {
    // The time before the look: see the head of subscriber.h.
    const uint64_t until = counts_[0] + counts_[1] == 1 ? ~uint64_t{0} : static_cast<uint64_t>(monotonic_ns());
    take_hints();
    std::vector<Source*> heap;
    heap.swap(active_);
    Status status;
    std::erase_if(heap, [&](Source* source) {
      bool has_head = false;
      if (Status s = prime(self, *source, status.ok() ? budget_ns : 0, has_head); !s.ok() && status.ok()) status = s;
      if (!has_head) source->active = false;
      return !has_head;
    });
    std::make_heap(heap.begin(), heap.end(), later);
    while (status.ok() && given < max && !heap.empty() && heap.front()->head.time_ns <= until) {
      std::pop_heap(heap.begin(), heap.end(), later);
      Source* source = heap.back();
      given += give(*source, sink, with);
      source->bookmark.move(source->cursor.sequence);
      bool has_head = false;
      status = prime(self, *source, budget_ns, has_head);
      if (has_head) {
        std::push_heap(heap.begin(), heap.end(), later);
      } else {
        source->active = false;
        heap.pop_back();
      }
    }
    active_.swap(heap);
    if (given > 0) return {};  // an error comes again at the next read: what was given must not be lost by it
    if (!status.ok() || active_.empty()) return status;
  }
  return {};
}

Status Subscriber::readable_locked(bool& something, int64_t budget_ns) {
  something = closed_;
  if (counts_[0] + counts_[1] == 0) return {};
  if (Status status = bind(budget_ns); !status.ok()) return status;
  shm::Context& self = *process_->context().value();
  take_hints();
  while (!active_.empty() && !something) {
    if (Status status = prime(self, *active_.back(), budget_ns, something); !status.ok()) return status;
    if (something) break;
    active_.back()->active = false;
    active_.pop_back();
  }
  return {};
}

Status Subscriber::readable(bool& something, int64_t budget_ns) {
  something = false;
  const auto guard = enter(budget_ns);
  if (!guard) return kInUse;
  return readable_locked(something, budget_ns);
}

Status Subscriber::wait(int64_t timeout_ns, bool& something) {
  if (Status status = readable(something); !status.ok() || something) return status;
  auto context = process_->context();
  if (!context.ok()) return context.status();
  ThreadSleep sleep(*process_, *context.value());
  sleep.prepare();
  if (Status status = readable(something); !status.ok() || something) return status;
  sleep.wait(timeout_ns);
  return readable(something);
}

// ---- History --------------------------------------------------------------------------------------------------------

Status configure(Process& process, Bytes text, const History& history, int64_t budget_ns) {
  const Segment& segment = process.segment();
  if (text.size() > kChannelNameBytesMax)
    return {Code::kRedisError, "ERR the channel's name is longer than 65535 bytes"};
  const uint32_t most = ring_bytes_max(segment.header().max_size) / static_cast<uint32_t>(shm::message_bytes(0, 0));
  if (history.keep > most) {
    return {Code::kRedisError, "ERR keep= is more than the largest ring of a channel can hold, even of empty messages",
            most};
  }
  auto context = process.context();
  if (!context.ok()) return context.status();
  const Name name = name_of(segment, ChannelKind::kChannel, text);
  LookUp found;
  if (Status status = look_up(process, *context.value(), name, budget_ns, found); !status.ok()) return status;
  if (found.channel == nullptr && history.keep == 0) return {};
  const Purpose purpose{Purpose::kKeepHistory, false, name.hash};
  return transact(process, *context.value(), purpose, name.shards(), budget_ns, [&](Transaction& tx) {
    const shm::Channel* channel = history.keep == 0 ? find(tx.segment(), name) : find_or_create(tx, name);
    if (channel == nullptr) return;
    configure(tx, *channel, history.keep, history.keep == 0 ? 0 : history.ttl_ms);
    release_if_unused(tx, name, *channel);
  });
}

}  // namespace shoal::channels
