// SPDX-License-Identifier: MIT
// exchange.cc: the bindings of an exchange: a list in its own shard. A binding names the incarnation of its queue,
// since the
// queue lies in another shard and may go at any moment: whoever meets a binding whose queue is gone takes it out. The
// incarnations of a name grow, for they are numbers of its shard.
#include <cstring>

#include "base/clock.h"
#include "queues/queue_core.h"

namespace shoal::queues {

using shm::Binding;
using shm::Exchange;
using shm::NamedKind;

namespace {

Bytes part(const Binding& binding, uint32_t from, uint32_t bytes) noexcept {
  return {reinterpret_cast<const char*>(&binding + 1) + from, bytes};
}
Bytes key_of(const Binding& b) noexcept { return part(b, 0, b.key_bytes); }
Bytes pattern_of(const Binding& b) noexcept { return part(b, b.key_bytes, b.pattern_bytes); }
Bytes queue_of(const Binding& b) noexcept { return part(b, b.key_bytes + b.pattern_bytes, b.queue_bytes); }

// Takes out what `matches` accepts, and the exchange when it is empty; the bindings are looked at once.
template <typename Matches>
void unlink(Transaction& tx, const Name& name, const Exchange& exchange, Matches&& matches) noexcept {
  for (const uint64_t* link = &exchange.bindings; *link != 0 && !tx.failed();) {
    const uint64_t offset = *link;
    const Binding& binding = tx.view<Binding>(offset);
    if (matches(binding)) {
      tx.edit(*link) = binding.next;
      tx.edit(exchange.count) -= 1;
      tx.free(offset);
    } else {
      link = &binding.next;
    }
  }
  if (exchange.count == 0 && !tx.failed()) remove_named(tx, name.shard, tx.offset_of(&exchange));
}

const Exchange* find(Transaction& tx, const Name& name) noexcept {
  const uint64_t offset = find_named(tx.segment(), name);
  return offset == 0 ? nullptr : &tx.view<Exchange>(offset);
}

}  // namespace

Status TaskQueues::bind(Bytes exchange_text, Bytes key, Bytes pattern, Bytes queue_text, int64_t budget_ns) {
  const Name queue_name(process_.segment(), NamedKind::kQueue, database_, queue_text);
  uint64_t incarnation = 0;
  Status status =
      run(process_, Locks::of(queue_name, Purpose::kDeclareQueue, budget_ns), [&](Transaction& tx, Wakes& wakes) {
        const shm::Queue* queue = Core{tx, wakes, queue_name}.ensure();
        if (queue == nullptr) return Step::kAbandon;
        incarnation = queue->incarnation;
        return Step::kCommit;
      });
  if (!status.ok()) return status;
  const Name name(process_.segment(), NamedKind::kExchange, database_, exchange_text);
  return run(process_, Locks::of(name, Purpose::kBindQueue, budget_ns), [&](Transaction& tx, Wakes&) {
    const Exchange* exchange = find(tx, name);
    if (exchange == nullptr) exchange = reinterpret_cast<Exchange*>(create_named(tx, name, sizeof(Exchange)));
    if (exchange == nullptr) return Step::kAbandon;
    for (uint64_t next = exchange->bindings; next != 0; next = tx.view<Binding>(next).next) {
      const Binding& binding = tx.view<Binding>(next);
      if (key_of(binding) != key || pattern_of(binding) != pattern || queue_of(binding) != queue_text) continue;
      // Meanwhile the queue may have been made anew, and bound by whoever made it.
      if (binding.incarnation < incarnation) tx.edit(binding.incarnation) = incarnation;
      return Step::kCommit;
    }
    auto* binding = tx.create<Binding>(sizeof(Binding) + key.size() + pattern.size() + queue_text.size());
    if (binding == nullptr) return Step::kAbandon;
    *binding = {exchange->bindings,
                incarnation,
                static_cast<uint32_t>(key.size()),
                static_cast<uint32_t>(pattern.size()),
                static_cast<uint32_t>(queue_text.size()),
                0};
    auto* bytes = reinterpret_cast<char*>(binding + 1);
    copy_bytes(bytes, key);
    copy_bytes(bytes + key.size(), pattern);
    copy_bytes(bytes + key.size() + pattern.size(), queue_text);
    tx.edit(exchange->bindings) = tx.offset_of(binding);
    tx.edit(exchange->count) += 1;
    return Step::kCommit;
  });
}

Status TaskQueues::unbind(Bytes exchange_text, Bytes key, Bytes pattern, Bytes queue_text, int64_t budget_ns) {
  const Name name(process_.segment(), NamedKind::kExchange, database_, exchange_text);
  return run(process_, Locks::of(name, Purpose::kUnbindQueue, budget_ns), [&](Transaction& tx, Wakes&) {
    if (const Exchange* exchange = find(tx, name)) {
      unlink(tx, name, *exchange, [&](const Binding& b) {
        return key_of(b) == key && pattern_of(b) == pattern && queue_of(b) == queue_text;
      });
    }
    return Step::kCommit;
  });
}

Status TaskQueues::forget_route(Bytes exchange_text, const Route& route, int64_t budget_ns) {
  const Name name(process_.segment(), NamedKind::kExchange, database_, exchange_text);
  return run(process_, Locks::of(name, Purpose::kUnbindQueue, budget_ns), [&](Transaction& tx, Wakes&) {
    if (const Exchange* exchange = find(tx, name)) {
      unlink(tx, name, *exchange,
             [&](const Binding& b) { return b.incarnation == route.incarnation && queue_of(b) == route.queue; });
    }
    return Step::kCommit;
  });
}

Result<std::vector<Route>> TaskQueues::routes(Bytes exchange_text, int64_t budget_ns) {
  const Name name(process_.segment(), NamedKind::kExchange, database_, exchange_text);
  // Under the lock the bindings are copied into room that was made before it; then they are taken apart.
  std::string room;
  uint64_t wanted = 0, count = 0;
  do {
    room.resize(wanted);
    Status status = run(process_, Locks::of(name, Purpose::kLookAtQueues, budget_ns), [&](Transaction& tx, Wakes&) {
      wanted = count = 0;
      const Exchange* exchange = find(tx, name);
      for (uint64_t next = exchange != nullptr ? exchange->bindings : 0; next != 0;
           next = tx.view<Binding>(next).next) {
        const Binding& binding = tx.view<Binding>(next);
        const uint64_t bytes =
            round_up(sizeof(Binding) + binding.key_bytes + binding.pattern_bytes + binding.queue_bytes, 8);
        if (wanted + bytes <= room.size()) {
          std::memcpy(room.data() + wanted, &binding, bytes);
          ++count;
        }
        wanted += bytes;
      }
      return wanted > room.size() ? Step::kAbandon : Step::kCommit;
    });
    if (!status.ok()) return status;
  } while (wanted > room.size());
  std::vector<Route> routes(count);
  const char* place = room.data();
  for (Route& route : routes) {
    Binding binding;
    std::memcpy(&binding, place, sizeof binding);
    const char* bytes = place + sizeof binding;
    route.key.assign(bytes, binding.key_bytes);
    route.pattern.assign(bytes + binding.key_bytes, binding.pattern_bytes);
    route.queue.assign(bytes + binding.key_bytes + binding.pattern_bytes, binding.queue_bytes);
    route.incarnation = binding.incarnation;
    place += round_up(sizeof binding + binding.key_bytes + binding.pattern_bytes + binding.queue_bytes, 8);
  }
  return routes;
}

Result<PushResult> TaskQueues::push_routes(Bytes exchange, std::span<const Route> routes, const NewTask& task,
                                           int64_t budget_ns) {
  if (routes.empty()) return PushResult::kGone;
  std::vector<Name> names;
  Locks locks{0, {Purpose::kRouteTask}, budget_ns};
  for (const Route& route : routes) {
    const Name& name = names.emplace_back(process_.segment(), NamedKind::kQueue, database_, route.queue);
    locks.shards |= uint64_t{1} << name.shard;
  }
  std::vector<uint32_t> room(routes.size());  // a push wakes one consumer at most
  std::vector<bool> gone(routes.size());
  size_t pushed = 0;
  bool refused = false;
  Status status = run(process_, locks, room, [&](Transaction& tx, Wakes& wakes) {
    pushed = 0;
    refused = false;
    for (size_t i = 0; i < names.size(); ++i) {
      tx.name(Purpose::kRouteTask, names[i].hash);
      Core core{tx, wakes, names[i]};
      const shm::Queue* queue = core.find();
      gone[i] = queue == nullptr || queue->incarnation != routes[i].incarnation;
      if (gone[i]) continue;
      tx.set_home(names[i].shard);
      if (!core.push(*queue, task, static_cast<uint64_t>(wall_clock_ms()))) {
        refused = true;  // or the segment is full: then this runs again
        return Step::kAbandon;
      }
      ++pushed;
    }
    return Step::kCommit;
  });
  if (!status.ok()) return status;
  if (refused) return PushResult::kRefused;
  for (size_t i = 0; i < routes.size(); ++i) {
    if (gone[i]) (void)forget_route(exchange, routes[i], budget_ns);  // on a locked shard the next push does it
  }
  return pushed > 0 ? PushResult::kPushed : PushResult::kGone;
}

}  // namespace shoal::queues
