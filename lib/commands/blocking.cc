// SPDX-License-Identifier: MIT
#include "commands/blocking.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>

#include "base/clock.h"
#include "commands/call.h"
#include "commands/session.h"
#include "process/slow_lane.h"
#include "process/wake.h"

namespace shoal::blocking {

namespace {

constexpr int64_t kSliceNs = 250'000'000;  // nobody sleeps without a time-out; Python's signal handlers run in between

uint64_t next_ticket(uint32_t context) noexcept {
  static constinit std::atomic<uint32_t> next{1};
  return uint64_t{context} << 32 | next.fetch_add(1, std::memory_order_relaxed);
}

// Its turn may have come, or its waiters are gone (the process was taken for dead and reaped): it runs again.
bool called(Session& session) noexcept {
  const Segment& segment = session.process().segment();
  const BlockedCall& blocked = session.blocked_call();
  return std::any_of(blocked.places.begin(), blocked.places.end(), [&](const BlockedCall::Place& place) {
    return waiters::woken(segment, place.waiter) || !waiters::is_registered(segment, place.waiter, blocked.who.ticket);
  });
}

bool time_is_up(const BlockedCall& blocked) noexcept {
  return blocked.deadline_ns != 0 && monotonic_ns() >= blocked.deadline_ns;
}

// Takes those waiters out that are still there.
void remove_places(Transaction& tx, const BlockedCall& blocked, Wakes& wakes) noexcept {
  for (const BlockedCall::Place& place : blocked.places) {
    if (!waiters::is_registered(tx.segment(), place.waiter, blocked.who.ticket)) continue;
    waiters::remove(tx, place.shard, place.waiter, wakes);
  }
}

// What a cancelled call leaves to be done, shard by shard: what lies behind a lock that is held stays in it.
struct Withdrawal {
  std::weak_ptr<Process> process;
  std::vector<BlockedCall::Place> places;
  waiters::Who who;

  // True: nothing is left to do.
  bool attempt();

 private:
  Status withdraw(Process& from, uint32_t shard, int64_t budget_ns);
};

Status Withdrawal::withdraw(Process& from, uint32_t shard, int64_t budget_ns) {
  auto context = from.context();
  if (!context.ok()) return context.status();
  Wakes wakes;
  Transaction tx(from, *context.value(), {Purpose::kWake});
  if (Status status = tx.begin(uint64_t{1} << shard, budget_ns); !status.ok()) return status;
  for (const BlockedCall::Place& place : places) {
    if (place.shard == shard && waiters::is_registered(tx.segment(), place.waiter, who.ticket))
      waiters::remove(tx, shard, place.waiter, wakes);
  }
  if (Status status = tx.commit(); !status.ok()) return status;
  if (wakes.empty()) return {};
  waiters::ring(from, wakes);
  tx.settle_wakes();
  return {};
}

bool Withdrawal::attempt() {
  const std::shared_ptr<Process> from = process.lock();
  // A forked child has not inherited the wait; a reaped process has lost it, and so has one that left.
  if (from == nullptr || from->slot_index() != who.slot || from->slot_generation() != who.slot_generation) return true;
  uint64_t shards = 0, stuck = 0;
  for (const BlockedCall::Place& place : places) {
    if (waiters::is_registered(from->segment(), place.waiter, who.ticket)) shards |= uint64_t{1} << place.shard;
  }
  int64_t budget_ns = kLoopLockBudgetNs;
  for (; shards != 0; shards &= shards - 1) {
    const Code code = withdraw(*from, static_cast<uint32_t>(std::countr_zero(shards)), budget_ns).code();
    if (code == Code::kOk || code == Code::kRemoved || code == Code::kCorrupt) continue;
    stuck |= shards & -shards;
    budget_ns = 0;  // one wait is enough
  }
  std::erase_if(places, [&](const BlockedCall::Place& place) { return (stuck >> place.shard & 1) == 0; });
  return places.empty();
}

const BlockedCall::Place* place_of(Call& call, const Key& key) noexcept {
  const BlockedCall& blocked = call.session().blocked_call();
  if (!blocked.registered) return nullptr;
  for (const BlockedCall::Place& place : blocked.places) {
    if (call.arg(place.argument) != key.name) continue;
    return waiters::is_registered(call.segment(), place.waiter, blocked.who.ticket) ? &place : nullptr;
  }
  return nullptr;
}

}  // namespace

bool pending(const Session& session) noexcept { return session.blocked_call().registered; }

int64_t timeout_ns(const Session& session) noexcept {
  const BlockedCall& blocked = session.blocked_call();
  return blocked.deadline_ns == 0 ? kNoTimeout : std::max<int64_t>(0, blocked.deadline_ns - monotonic_ns());
}

Outcome resume(Session& session, int64_t budget_ns) {
  BlockedCall& blocked = session.blocked_call();
  if (!blocked.registered) return session.fail({Code::kInvalidArgument, "no blocking command waits in this session"});
  blocked.timed_out = time_is_up(blocked);
  if (!blocked.timed_out && !called(session)) return Outcome::kPending;
  return session.run_again(budget_ns);
}

Outcome wait(Session& session, const std::function<bool()>& interrupted) {
  for (;;) {
    auto context = session.process().context();
    if (!context.ok()) return session.fail(context.status());
    ThreadSleep sleep(session.process(), *context.value());
    sleep.prepare();
    const int64_t left = timeout_ns(session);
    if (called(session) || left == 0) {
      sleep.cancel();
    } else {
      sleep.wait(left == kNoTimeout ? kSliceNs : std::min(left, kSliceNs));
    }
    const Outcome outcome = resume(session, kLockBudgetNs);
    if (outcome == Outcome::kFailed) cancel(session);
    if (outcome != Outcome::kPending && outcome != Outcome::kBusy) return outcome;
    if (interrupted && interrupted()) return Outcome::kPending;
  }
}

void cancel(Session& session) {
  BlockedCall& blocked = session.blocked_call();
  if (!blocked.registered) return;
  blocked.registered = false;
  Withdrawal withdrawal{session.shared_process(), std::move(blocked.places), blocked.who};
  if (!withdrawal.attempt()) slow_lane::add([left = std::move(withdrawal)]() mutable { return left.attempt(); });
}

void before(Session& session, std::span<const Bytes> arguments) {
  BlockedCall& blocked = session.blocked_call();
  if (blocked.registered) return;
  blocked.places.clear();
  blocked.places.reserve(arguments.size());  // the handler must not allocate
  blocked.deadline_ns = 0;
  blocked.timed_out = false;
  Process& process = session.process();
  blocked.who.slot = process.slot_index();
  blocked.who.slot_generation = process.slot_generation();
}

void after(Session& session, Outcome outcome, std::span<const Bytes> arguments) {
  BlockedCall& blocked = session.blocked_call();
  if (outcome == Outcome::kPending) {
    if (!blocked.registered) blocked.arguments.assign(arguments.begin(), arguments.end());
    blocked.registered = true;
  } else if (outcome == Outcome::kReplied) {
    cancel(session);  // an error may have been the answer: then the waiters are still there
  }
}

bool timeout_arg(Call& call, size_t index, int64_t& timeout_ms) noexcept {
  double seconds = 0;
  if (!call.float_arg(index, seconds, "ERR timeout is not a float or out of range")) return false;
  const double ms = std::ceil(seconds * 1000);
  if (ms < 0) return call.error("ERR timeout is negative"), false;
  if (ms > 9.2e18 / 1e6) return call.error("ERR timeout is out of range"), false;
  timeout_ms = static_cast<int64_t>(ms);
  return true;
}

uint64_t takeable(Call& call, const Key& key, Type kind, uint64_t count) noexcept {
  uint64_t promised = waiters::promised(call.segment(), key, kind);
  if (promised == 0) return count;
  const BlockedCall::Place* own = place_of(call, key);
  if (own != nullptr && waiters::woken(call.segment(), own->waiter)) --promised;
  return count > promised ? count - promised : 0;
}

void leave(Call& call) noexcept {
  BlockedCall& blocked = call.session().blocked_call();
  if (blocked.registered) remove_places(call.tx(), blocked, call.session().wakes());
}

bool wait_for(Call& call, size_t first, size_t last, Type kind, int64_t timeout_ms) noexcept {
  BlockedCall& blocked = call.session().blocked_call();
  if (!call.may_block() || blocked.timed_out) {
    leave(call);
    return false;
  }
  if (last - first >= kCombinedKeysMax) return call.error(kTooManyKeys), true;
  Transaction& tx = call.tx();
  if (blocked.registered && !blocked.places.empty() &&
      waiters::is_registered(call.segment(), blocked.places[0].waiter, blocked.who.ticket)) {
    for (const BlockedCall::Place& place : blocked.places) waiters::wait_on(tx, place.waiter);
    call.block();
    return true;
  }
  if (!blocked.registered && timeout_ms > 0) blocked.deadline_ns = monotonic_ns() + timeout_ms * 1'000'000;
  blocked.who.context = tx.context().id.load(std::memory_order_relaxed);
  blocked.who.ticket = next_ticket(blocked.who.context);
  blocked.places.clear();
  for (size_t i = first; i <= last && !tx.failed(); ++i) {
    const Key key = call.key(i);
    const auto same = [&](const BlockedCall::Place& place) { return call.arg(place.argument) == key.name; };
    if (std::any_of(blocked.places.begin(), blocked.places.end(), same)) continue;
    blocked.places.push_back({waiters::add(tx, key, kind, blocked.who), key.shard, static_cast<uint32_t>(i)});
  }
  if (tx.failed()) blocked.places.clear();  // it runs again, and what is undone still looks like a waiter
  call.block();
  return true;
}

}  // namespace shoal::blocking
