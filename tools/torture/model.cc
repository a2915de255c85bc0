// SPDX-License-Identifier: MIT
#include "tools/torture/model.h"

#include <cstdarg>
#include <cstdio>
#include <set>

#include "commands/check.h"
#include "queues/consumer.h"

namespace shoal::tool::chaos {

namespace {

constexpr uint32_t kSweepKeys = 256, kRoundsMax = 2000;  // so many keys that every shard has some

// Where something written by many must lie: every acknowledged write is in it, and nothing that nobody began.
struct Bounds {
  uint64_t least = 0, most = 0;
  void add(const Pair& pair) noexcept {
    least += pair.done.load();
    most += pair.tried.load();
  }
  bool hold(uint64_t value) const noexcept { return least <= value && value <= most; }
};

}  // namespace

Model::Model(Record& record, std::shared_ptr<Process> process)
    : record_(record),
      process_(std::move(process)),
      talk_(process_, record.convictions),
      listener_(std::make_unique<channels::Subscriber>(process_)) {}

void Model::lost(const char* format, ...) noexcept {
  va_list arguments;
  va_start(arguments, format);
  record_.violation_of(Fault::kLost, format, arguments);
  va_end(arguments);
}

void Model::leaked(const char* format, ...) noexcept {
  va_list arguments;
  va_start(arguments, format);
  record_.violation_of(Fault::kLeaked, format, arguments);
  va_end(arguments);
}

Status Model::lay_out() {
  constexpr Status kNoRoom{Code::kFull, "there is no room for the run"};
  for (uint32_t channel = 0; channel < kChannels; ++channel) {
    const std::string name = channel_name(channel);
    bool fresh = false;
    Status status = channels::configure(*process_, name, {16u << channel, 0}, kLockBudgetNs);
    if (status.ok()) status = listener_->subscribe(channels::ChannelKind::kChannel, name, {}, kLockBudgetNs, fresh);
    if (!status.ok()) return status;
    if (talk_({"PUBLISH", name, speech(kActorsMax, channel, kMessageMax)}).kind != Answer::Kind::kNumber)
      return kNoRoom;
  }
  struct With {
    Record& record;
    uint32_t count = 0;
  } with{record_};
  size_t given = 0;
  const auto first = [](void* raw, const channels::Delivery& delivery) {
    auto& [record, count] = *static_cast<With*>(raw);
    record.incarnation[count++] = delivery.position.incarnation;
  };
  if (Status status = listener_->read(kChannels, first, &with, given); !status.ok()) return status;
  for (uint32_t channel = 0; channel < kChannels; ++channel) {
    heard_[channel] = 1;
    for (Actor& actor : record_.actors) actor.heard[channel].store(1);
  }
  queues::TaskQueues queues(*process_, 0);
  queues::QueueOptions options;
  options.max_deliveries = 1u << 30;
  if (const auto declared = queues.declare(kQueue, options); !declared.ok()) return declared.status();
  for (uint32_t i = 0; i < kTokens; ++i) {
    const std::string token = "token" + std::to_string(i), list = key("torture:tokens", i % kTokenLists);
    if (talk_({"RPUSH", list, token}).refused() || talk_({"SADD", list + ":set", token}).refused()) return kNoRoom;
  }
  return {};
}

void Model::check() {
  check_structure();
  check_registers();
  check_counts();
  check_tokens();
  check_lines();
  check_channels();
  check_queue();
}

void Model::check_structure() {
  if (const std::string problem = talk_.lift_convictions(); !problem.empty()) leaked("%s", problem.c_str());
  const auto report = check_locked(*process_, kLockBudgetNs);
  if (!report.ok()) return record_.violation(Fault::kStuck, "check: %s", describe(report.status()).c_str());
  for (const Finding& finding : report.value().findings) leaked("check: %s", describe(finding).c_str());
}

void Model::check_registers() {
  for (uint32_t number = 0; number < record_.actor_count(); ++number) {
    for (uint32_t reg = 0; reg < kRegisters; ++reg) {
      const Pair& pair = record_.actors[number].registers[reg];
      const uint64_t done = pair.done.load(), tried = pair.tried.load();
      const Seen seen = read_register(talk_, number, reg);
      const Kind kind = kind_of(reg);
      if (seen.problem.empty() && (seen.fits(kind, done) || seen.fits(kind, tried))) continue;
      lost("register %u of actor %u: %s; acknowledged %lu, perhaps %lu", reg, number, seen.text().c_str(), done, tried);
    }
  }
}

int64_t Model::number_at(const Talk::Words& words) {
  const Answer answer = talk_(words);
  if (answer.failed() || answer.refused()) lost("%s: %s", words[0].c_str(), answer.text.c_str());
  return answer.kind == Answer::Kind::kText ? std::atoll(answer.text.c_str()) : answer.number;
}

void Model::check_counts() {
  for (uint32_t which = 0; which < kCounters; ++which) {
    Bounds bounds;
    for (const Actor& actor : record_.actors) bounds.add(actor.counters[which]);
    const auto value = static_cast<uint64_t>(number_at({"GET", key("torture:counter", which)}) +
                                             number_at({"HGET", "torture:counters", std::to_string(which)}));
    if (!bounds.hold(value)) {
      lost("counter %u is %lu; acknowledged %lu, at most %lu", which, value, bounds.least, bounds.most);
    }
  }
  Bounds pair;
  for (const Actor& actor : record_.actors) pair.add(actor.pair);
  const auto left = static_cast<uint64_t>(number_at({"GET", "torture:left"}));
  const auto right = static_cast<uint64_t>(number_at({"HGET", "torture:right", "count"}));
  if (left != right || !pair.hold(left)) {
    lost("the pair is %lu and %lu; acknowledged %lu, at most %lu", left, right, pair.least, pair.most);
  }
  int64_t sum = 0;
  for (uint32_t i = 0; i < kAccounts; ++i) sum += number_at({"GET", key("torture:account", i)});
  if (sum != 0) lost("the accounts add up to %ld", sum);
}

void Model::check_tokens() {
  std::multiset<std::string> listed, members;
  for (uint32_t i = 0; i < kTokenLists; ++i) {
    const std::string list = key("torture:tokens", i);
    for (const Answer& item : talk_({"LRANGE", list, "0", "-1"}).items) listed.insert(item.text);
    for (const Answer& item : talk_({"SMEMBERS", list + ":set"}).items) members.insert(item.text);
  }
  for (uint32_t i = 0; i < kTokens; ++i) {
    const std::string token = "token" + std::to_string(i);
    if (listed.count(token) != 1) lost("%s lies %zu times in the lists", token.c_str(), listed.count(token));
    if (members.count(token) != 1) lost("%s lies %zu times in the sets", token.c_str(), members.count(token));
  }
}

void Model::check_lines() {
  for (uint32_t number = 0; number < record_.actor_count(); ++number) {
    const Actor& actor = record_.actors[number];
    const Line line = read_line(talk_, number);
    const auto is_one_of = [](const Pair& pair, uint64_t value) {
      return value == pair.done.load() || value == pair.tried.load();
    };
    const uint64_t popped = actor.popped.done.load();
    const bool right = line.last == 0
                           ? is_one_of(actor.pushed, popped) || is_one_of(actor.popped, actor.pushed.done.load())
                           : is_one_of(actor.popped, line.first - 1) && is_one_of(actor.pushed, line.last);
    if (!line.problem.empty() || !right) {
      lost("line of actor %u: %lu to %lu; pushed %lu, popped %lu %s", number, line.first, line.last,
           actor.pushed.done.load(), popped, line.problem.c_str());
    }
  }
}

// The listener hears all there was: what it heard and what it was told that it lost make up what was published.
void Model::check_channels() {
  struct With {
    Model& model;
    std::string problem;
  } with{*this, {}};
  const auto hear = [](void* raw, const channels::Delivery& delivery) {
    auto& [model, problem] = *static_cast<With*>(raw);
    uint32_t channel = 0;
    while (channel + 1 < kChannels && delivery.source != channel_name(channel)) ++channel;
    const bool gap = delivery.kind == channels::Delivery::Kind::kGap;
    const uint64_t missed = gap ? delivery.lost.value_or(0) : 1;
    if (delivery.position.sequence != model.heard_[channel] + missed || (gap && missed == 0)) {
      model.lost("room %u: %lu comes behind %lu", channel, delivery.position.sequence, model.heard_[channel]);
    }
    model.heard_[channel] = delivery.position.sequence;
  };
  for (size_t given = 1; given > 0;) {
    const Status status = listener_->read(256, hear, &with, given);
    if (!status.ok()) return lost("the listener cannot hear: %s", describe(status).c_str());
  }
  for (uint32_t channel = 0; channel < kChannels; ++channel) {
    Bounds bounds{1, 1};
    for (uint32_t number = 0; number < record_.actor_count(); ++number) {
      bounds.add(record_.actors[number].published[channel]);
      const uint64_t heard = record_.actors[number].heard[channel].load();
      if (heard > heard_[channel]) lost("room %u: actor %u heard %lu of %lu", channel, number, heard, heard_[channel]);
    }
    if (!bounds.hold(heard_[channel])) {
      lost("room %u: %lu published; acknowledged %lu, at most %lu", channel, heard_[channel], bounds.least,
           bounds.most);
    }
  }
}

void Model::check_queue() {
  uint64_t least = 0, most = 0;
  for (const Actor& actor : record_.actors) {
    for (const Task& task : actor.tasks) {
      const TaskState state = task.state.load();
      least += state == TaskState::kPushed ? 1 : 0;
      most += state == TaskState::kPushed || state == TaskState::kPushing || state == TaskState::kAcking ? 1 : 0;
    }
  }
  const auto stats = queues::TaskQueues(*process_, 0).stats(kQueue);
  if (!stats.ok() || !stats.value()) return lost("the queue cannot be looked at");
  const uint64_t count = stats.value()->ready + stats.value()->delayed + stats.value()->leased + stats.value()->dead;
  if (count < least || count > most) lost("%lu tasks in the queue; at least %lu, at most %lu", count, least, most);
}

// ---- The end

void Model::hear_for(uint32_t number) {
  struct With {
    Model& model;
    uint64_t sequence[kChannels];
  } with{*this, {}};
  channels::Subscriber subscriber(process_);
  for (uint32_t channel = 0; channel < kChannels; ++channel) {
    with.sequence[channel] = record_.actors[number].heard[channel].load();
    channels::Start start;
    start.since = channels::Position{record_.incarnation[channel], with.sequence[channel]};
    bool fresh = false;
    const Status status =
        subscriber.subscribe(channels::ChannelKind::kChannel, channel_name(channel), start, kLockBudgetNs, fresh);
    if (!status.ok()) return lost("actor %u cannot go on hearing: %s", number, describe(status).c_str());
  }
  const auto hear = [](void* raw, const channels::Delivery& delivery) {
    auto& [model, sequence] = *static_cast<With*>(raw);
    uint32_t channel = 0;
    while (channel + 1 < kChannels && delivery.source != channel_name(channel)) ++channel;
    sequence[channel] += delivery.kind == channels::Delivery::Kind::kGap ? delivery.lost.value_or(0) : 1;
  };
  for (size_t given = 1; given > 0;) {
    if (!subscriber.read(256, hear, &with, given).ok()) return lost("actor %u cannot hear", number);
  }
  for (uint32_t channel = 0; channel < kChannels; ++channel) {
    if (with.sequence[channel] != heard_[channel]) {
      lost("room %u: actor %u was given, or told to have lost, %lu of %lu", channel, number, with.sequence[channel],
           heard_[channel]);
    }
  }
}

void Model::drain_queue() {
  queues::TaskQueues queues(*process_, 0);
  queues::Consumer consumer(queues);
  if (const Status status = consumer.add(kQueue, false); !status.ok()) {
    return lost("nobody can take from the queue: %s", describe(status).c_str());
  }
  for (;;) {
    const auto taken = consumer.take();
    if (!taken.ok()) return lost("the queue cannot be emptied: %s", describe(taken.status()).c_str());
    if (!taken.value()) {
      const auto stats = queues.stats(kQueue);
      if (!stats.ok() || !stats.value() || stats.value()->ready + stats.value()->delayed == 0) break;
      (void)queues::wait(*process_, {&consumer}, 10'000'000);
      continue;
    }
    const auto said = parse_speech(taken.value()->data, kTaskBytesMax);
    if (!said || said->actor >= record_.actor_count()) {
      lost("a torn task");
      continue;
    }
    Task& task = record_.actors[said->actor].tasks[said->number % kTasks];
    const TaskState state = task.state.load();
    if (task.number.load() != said->number || state == TaskState::kVoid || state == TaskState::kDone) {
      lost("task %u.%lu came again after it was acknowledged", said->actor, said->number);
    }
    if (!consumer.ack(*queues::LeaseTag::parse(taken.value()->tag)).ok()) lost("a task cannot be acknowledged");
    task.state.store(TaskState::kDone);
  }
  for (uint32_t number = 0; number < record_.actor_count(); ++number) {
    for (const Task& task : record_.actors[number].tasks) {
      if (task.state.load() == TaskState::kPushed) lost("task %u.%lu never ran", number, task.number.load());
    }
  }
}

void Model::check_leftovers() {
  Segment& segment = process_->segment();
  const uint32_t own = process_->slot_index();
  const auto stays = [&](uint32_t slot) {
    return slot == own || (process_->slot_alive(slot) &&
                           segment.slot(slot).role.load() == static_cast<uint32_t>(shm::SlotRole::kDaemon));
  };
  for (uint32_t slot = 0; slot < segment.slot_count(); ++slot) {
    if (segment.slot(slot).state.load() != 0 && !stays(slot)) leaked("slot %u of pid %u", slot, segment.slot(slot).pid);
  }
  for (uint32_t index = 0; index < segment.context_count(); ++index) {
    const shm::Context& context = segment.context(index);
    const uint64_t claim = context.claim.load();
    if (claim != 0 && !stays(static_cast<uint32_t>(claim & 0xffff) - 1)) leaked("context %u", index);
    if (context.outbox != 0 || context.journal_words != 0) leaked("outbox or journal of context %u", index);
  }
  const auto stats = queues::TaskQueues(*process_, 0).stats(kQueue);
  if (!stats.ok() || !stats.value()) return lost("the queue is gone");
  if (stats.value()->leased != 0) leaked("%lu leases", stats.value()->leased);
  if (stats.value()->consumers != 0) leaked("%lu consumers", stats.value()->consumers);
}

// Of actors who were told to end while the segment was full: nobody can join a queue in it, or a channel. Key by key,
// for the journal of them all would need room.
void Model::remove_ballast() {
  for (uint32_t number = 0; number < record_.actor_count(); ++number) {
    for (uint32_t i = 0; i < kFillKeys; ++i) number_at({"DEL", key("torture:fill", number, i)});
  }
}

void Model::check_end() {
  check();
  for (uint32_t number = 0; number < record_.actor_count(); ++number) hear_for(number);
  drain_queue();
  check_leftovers();
}

void Model::check_empty() {
  listener_.reset();
  for (uint32_t channel = 0; channel < kChannels; ++channel) {
    const Status status = channels::configure(*process_, channel_name(channel), {}, kLockBudgetNs);
    if (!status.ok()) leaked("a channel's history: %s", describe(status).c_str());
  }
  if (!queues::TaskQueues(*process_, 0).remove(kQueue).ok()) leaked("the queue cannot be removed");
  (void)talk_({"FLUSHALL"});
  // Removed values are freed a few blocks a write, in the shard that is written to.
  for (uint32_t round = 0; round < kRoundsMax; ++round) {
    for (uint32_t i = 0; i < kSweepKeys; ++i) (void)talk_({"SET", key("torture:sweep", i), "x"});
    const auto report = check_locked(*process_, kLockBudgetNs);
    if (!report.ok()) return record_.violation(Fault::kStuck, "check: %s", describe(report.status()).c_str());
    if (report.value().graves == 0) break;
  }
  for (uint32_t i = 0; i < kSweepKeys; ++i) (void)talk_({"DEL", key("torture:sweep", i)});
  check_structure();
  const auto report = check_locked(*process_, kLockBudgetNs);
  if (report.ok() && report.value().bytes != 0) {
    leaked("%lu bytes in %lu blocks of an empty segment", report.value().bytes, report.value().blocks);
  }
}

}  // namespace shoal::tool::chaos
