// SPDX-License-Identifier: MIT
#include "queues/consumer.h"

#include <algorithm>
#include <atomic>

#include "base/clock.h"

namespace shoal::queues {

using shm::Holder;
using shm::NamedKind;
using shm::Queue;
using shm::Task;

namespace {

std::atomic<uint64_t> last_handle{0};

uint64_t now_ms() noexcept { return static_cast<uint64_t>(wall_clock_ms()); }

// What it was woken for is the next one's. So is the next delayed task, woken or not: when that comes due nobody wakes
// anybody, and who was woken for it last may be the only one who knows when. This comes to an end: who is woken looks,
// and listens again, which wakes nobody. One wake at most for each that stops, which it does for a task that it took.
void stop_listening(Core& core, const Queue& queue, const Holder& holder) noexcept {
  const bool waited = holder.waiter != 0;
  core.stop_waiting(queue, holder);
  if (!waited || queue.delayed_count > 0) core.pass_turn(queue);
}

}  // namespace

Consumer::Consumer(TaskQueues& queues) noexcept : queues_(queues), handle_(last_handle.fetch_add(1) + 1) {
  if (Result<Owner> me = Owner::of(queues.process()); me.ok()) owner_ = me.value();
}

Status Consumer::ours(Owner& me) const {
  Result<Owner> now = Owner::of(queues_.process());
  if (!now.ok()) return now.status();
  me = now.value();
  if (me.slot == owner_.slot && me.generation == owner_.generation) return {};
  return {Code::kRemoved, "the consumer belongs to another process"};
}

Status Consumer::usable(Owner& me) const {
  if (closed_) return {Code::kRemoved, "the consumer is closed"};
  return ours(me);
}

Consumer::Source& Consumer::source(Bytes queue, bool no_ack) {
  for (Source& known : sources_) {
    if (known.queue == queue) return known;
  }
  return sources_.emplace_back(Source{std::string(queue), no_ack, false, false});
}

// Runs `body(core, queue, leases, holder)` in a transaction, the holder made if there is none. Where there is no
// queue and
// none is to be made the body does not run.
Status Consumer::with_holder(Source& source, Purpose::Kind kind, bool make_queue, int64_t budget_ns, auto&& body) {
  const Name name(queues_.process().segment(), NamedKind::kQueue, queues_.database(), source.queue);
  return run(queues_.process(), Locks::of(name, kind, budget_ns), [&](Transaction& tx, Wakes& wakes) {
    Core core{tx, wakes, name};
    const Queue* queue = make_queue ? core.ensure() : core.find();
    if (queue == nullptr) return Step::kAbandon;
    Leases leases{core, *queue};
    const Holder* holder = leases.consumer(owner_, handle_);
    if (holder == nullptr) holder = leases.add_holder(owner_, handle_);
    return holder == nullptr ? Step::kAbandon : body(core, *queue, leases, *holder);
  });
}

Status Consumer::add(Bytes queue, bool no_ack, int64_t budget_ns) {
  const std::lock_guard lock(lock_);
  Owner me;
  if (Status status = usable(me); !status.ok()) return status;
  Source& added = source(queue, no_ack);
  added.no_ack = no_ack;
  added.active = true;
  return with_holder(added, Purpose::kJoinQueue, true, budget_ns,
                     [](Core& core, const Queue& record, Leases&, const Holder&) {
                       core.touch(record, now_ms());
                       return Step::kCommit;
                     });
}

Status Consumer::remove(Bytes queue, int64_t budget_ns) {
  const std::lock_guard lock(lock_);
  Owner me;
  if (!usable(me).ok()) return {};
  const auto found = std::find_if(sources_.begin(), sources_.end(), [&](const Source& s) { return s.queue == queue; });
  if (found == sources_.end()) return {};
  found->active = false;
  bool holds = true, done = false;
  while (!done) {
    done = true;
    Status status = with_holder(*found, Purpose::kLeaveQueue, false, budget_ns,
                                [&](Core& core, const Queue& record, Leases& leases, const Holder& holder) {
                                  core.touch(record, now_ms());
                                  holds = holder.leases != 0;
                                  if (!holds) {
                                    core.tx.name(Purpose::kReleaseConsumer, core.name.hash);
                                    done = leases.release_some(holder, true);
                                    return Step::kCommit;
                                  }
                                  if (found->listening) stop_listening(core, record, holder);
                                  return Step::kCommit;
                                });
    if (!status.ok()) return status;
  }
  found->listening = false;
  if (!holds) sources_.erase(found);
  return {};
}

Result<std::optional<Delivery>> Consumer::take(int64_t budget_ns) {
  const std::lock_guard lock(lock_);
  Owner me;
  if (Status status = usable(me); !status.ok()) return status;
  Status busy;
  for (size_t tries = 0; tries < sources_.size(); ++tries) {
    turn_ = (turn_ + 1) % sources_.size();
    Source& next = sources_[turn_];
    if (!next.active) continue;
    Result<std::optional<Delivery>> taken = take_one(next, budget_ns);
    if (!taken.ok() && taken.status().code() == Code::kBusy) {
      busy = taken.status();
      continue;
    }
    if (!taken.ok()) return taken;
    if (!taken.value()) continue;
    // What is taken may keep this thread busy for long: the other queues' wakes must not come here meanwhile.
    for (Source& other : sources_) {
      if (other.listening && &other != &next) (void)unlisten_one(other, budget_ns);
    }
    return taken;
  }
  if (!busy.ok()) return busy;
  return std::optional<Delivery>{};
}

Result<std::optional<Delivery>> Consumer::take_from(Bytes queue, bool no_ack, int64_t budget_ns) {
  const std::lock_guard lock(lock_);
  Owner me;
  if (Status status = usable(me); !status.ok()) return status;
  Source& known = source(queue, no_ack);
  const bool before = known.no_ack;
  known.no_ack = no_ack;
  Result<std::optional<Delivery>> taken = take_one(known, budget_ns);
  known.no_ack = before;
  return taken;
}

Result<std::optional<Delivery>> Consumer::take_one(Source& from, int64_t budget_ns) {
  Delivery delivery;
  LeaseTag tag;
  bool found = false, again = true;
  uint64_t room = 512;
  while (again) {
    delivery.data.resize(room);  // the bytes are copied under the lock into room that was made before it
    again = false;
    const auto take = [&](Core& core, const Queue& queue, Leases& leases, const Holder& holder) {
      Transaction& tx = core.tx;
      found = again = false;
      core.promote(queue, now_ms());
      core.touch(queue, now_ms());
      const uint64_t offset = core.peek(queue);
      if (offset == 0) return Step::kCommit;
      const Task& task = core.task_at(offset);
      if (task.bytes > delivery.data.size()) {
        room = task.bytes;
        again = true;
        return Step::kAbandon;
      }
      copy_data(tx.segment(), task, delivery.data.data());
      room = task.bytes;
      delivery.redelivered = (task.flags & shm::kTaskRedelivered) != 0;
      core.unlink_first(queue, offset);
      if (tx.failed()) return Step::kAbandon;
      if (from.no_ack) {
        core.free_task(offset);
      } else {
        leases.lease(holder, offset, now_ms());
        tag.incarnation = queue.incarnation;
        tag.holder = holder.id;
        tag.number = task.number;
        tag.lease = task.lease;
      }
      core.stop_waiting(queue, holder);
      // There is more than one of us can take, or comes due while we work, and we may be the only one who knows.
      if (queue.ready_count > 0 || (from.listening && queue.delayed_count > 0)) core.wake_one(queue);
      found = true;
      return Step::kCommit;
    };
    Status status = with_holder(from, Purpose::kTakeTask, false, budget_ns, take);
    if (!status.ok()) return status;
  }
  from.listening = from.listening && !found;
  if (!found) return std::optional<Delivery>{};
  delivery.data.resize(room);
  delivery.queue = from.queue;
  if (!from.no_ack) {
    tag.queue = from.queue;
    delivery.tag = tag.text();
  }
  return std::optional<Delivery>(std::move(delivery));
}

Result<bool> Consumer::ack(const LeaseTag& tag, int64_t budget_ns) { return answer(tag, Outcome::kAck, budget_ns); }

Result<bool> Consumer::reject(const LeaseTag& tag, bool requeue, int64_t budget_ns) {
  return answer(tag, requeue ? Outcome::kRequeue : Outcome::kDrop, budget_ns);
}

Result<bool> Consumer::answer(const LeaseTag& tag, Outcome outcome, int64_t budget_ns) {
  const std::lock_guard lock(lock_);
  Owner me;
  if (!usable(me).ok()) return false;
  const Name name(queues_.process().segment(), NamedKind::kQueue, queues_.database(), tag.queue);
  bool ended = false;
  const Locks locks = Locks::of(name, Purpose::kAnswerTask, budget_ns);
  Status status = run(queues_.process(), locks, [&](Transaction& tx, Wakes& wakes) {
    ended = false;
    Core core{tx, wakes, name};
    const Queue* queue = core.find();
    if (queue == nullptr || queue->incarnation != tag.incarnation) return Step::kAbandon;
    Leases leases{core, *queue};
    const Holder* holder = leases.consumer(owner_, handle_);
    const uint64_t task = holder == nullptr || holder->id != tag.holder ? 0 : leases.find_task(*holder, tag);
    if (task == 0) return Step::kAbandon;
    const Task& record = core.task_at(task);
    const bool orderly = (record.flags & shm::kTaskStarted) == 0 || record.finished != 0;
    // Who ran it knows better than who saw him die that it is to run again.
    const bool overruled = outcome == Outcome::kRequeue && record.finished != 0;
    leases.end(*holder, task, overruled ? static_cast<Outcome>(record.finished - 1) : outcome, orderly);
    ended = true;
    return Step::kCommit;
  });
  if (!status.ok()) return status;
  return ended;
}

Result<int64_t> Consumer::listen(int64_t budget_ns) {
  const std::lock_guard lock(lock_);
  Owner me;
  if (Status status = usable(me); !status.ok()) return status;
  int64_t earliest = 0;
  Status busy;
  for (Source& each : sources_) {
    if (!each.active) continue;
    Result<int64_t> due = listen_one(each, budget_ns);
    if (!due.ok() && due.status().code() == Code::kBusy) {
      busy = due.status();
      continue;
    }
    if (!due.ok() || due.value() == kReady) return due;
    if (due.value() != 0) earliest = earliest == 0 ? due.value() : std::min(earliest, due.value());
  }
  if (!busy.ok()) return busy;
  return earliest;
}

Result<int64_t> Consumer::listen_one(Source& at, int64_t budget_ns) {
  const Result<shm::Context*> context = queues_.process().context();
  if (!context.ok()) return context.status();
  const uint32_t me = context.value()->id.load(std::memory_order_relaxed);
  int64_t due = 0;
  const auto listen = [&](Core& core, const Queue& queue, Leases&, const Holder& holder) {
    Transaction& tx = core.tx;
    core.promote(queue, now_ms());
    due = queue.ready_count > 0 ? kReady : static_cast<int64_t>(core.next_due(queue));
    if (due == kReady || holder.waiter == me) return Step::kCommit;
    core.stop_waiting(queue, holder);
    const uint64_t offset = tx.offset_of(&holder), last = queue.waiting_last;
    tx.edit(holder.waiter) = me;
    tx.edit(holder.next_waiting) = 0;
    tx.edit(holder.previous_waiting) = last;
    tx.edit(last != 0 ? tx.view<Holder>(last).next_waiting : queue.waiting_first) = offset;
    tx.edit(queue.waiting_last) = offset;
    return Step::kCommit;
  };
  Status status = with_holder(at, Purpose::kListen, true, budget_ns, listen);
  if (!status.ok()) return status;
  at.listening = true;
  return due;
}

Status Consumer::unlisten(int64_t budget_ns) {
  const std::lock_guard lock(lock_);
  Owner me;
  if (!usable(me).ok()) return {};
  Status result;
  for (Source& each : sources_) {
    if (!each.listening) continue;
    if (Status status = unlisten_one(each, budget_ns); !status.ok()) result = status;
  }
  return result;
}

Status Consumer::unlisten_one(Source& at, int64_t budget_ns) {
  const auto stop = [](Core& core, const Queue& queue, Leases&, const Holder& holder) {
    stop_listening(core, queue, holder);
    return Step::kCommit;
  };
  Status status = with_holder(at, Purpose::kUnlisten, false, budget_ns, stop);
  if (status.ok()) at.listening = false;
  return status;
}

Status Consumer::close(int64_t budget_ns) {
  const std::lock_guard lock(lock_);
  closed_ = true;
  Owner me;
  if (!ours(me).ok()) return {};
  Status result;
  std::erase_if(sources_, [&](Source& each) {
    for (bool done = false; !done;) {
      done = true;
      const auto leave = [&](Core&, const Queue&, Leases& leases, const Holder& holder) {
        done = leases.release_some(holder, true);
        return Step::kCommit;
      };
      Status status = with_holder(each, Purpose::kReleaseConsumer, false, budget_ns, leave);
      if (status.ok()) continue;
      if (result.ok()) result = status;
      return false;
    }
    return true;
  });
  return result;
}

Result<bool> wait(Process& process, const std::vector<Consumer*>& consumers, int64_t timeout_ns) {
  const Result<shm::Context*> context = process.context();
  if (!context.ok()) return context.status();
  ThreadSleep sleep(process, *context.value());
  sleep.prepare();
  int64_t sleep_ns = timeout_ns < 0 ? kThreadSleepMaxNs : timeout_ns;
  for (Consumer* consumer : consumers) {
    const Result<int64_t> due = consumer->listen();
    if (!due.ok() || due.value() == Consumer::kReady) {
      sleep.cancel();
      if (!due.ok()) return due.status();
      return true;
    }
    if (due.value() != 0)
      sleep_ns = std::min(sleep_ns, std::max<int64_t>(0, due.value() - wall_clock_ms()) * 1'000'000);
  }
  if (timeout_ns == 0) {
    sleep.cancel();
    return false;
  }
  return sleep.wait(sleep_ns) || sleep_ns < timeout_ns || timeout_ns < 0;
}

}  // namespace shoal::queues
