// SPDX-License-Identifier: MIT
#include "tools/torture/performer.h"

#include <cstdarg>
#include <cstdio>

#include "commands/reap.h"
#include "tools/torture/timed.h"
#include "transaction/owner_lock.h"

namespace shoal::tool::chaos {

Performer::Performer(Record& record, uint32_t actor, uint64_t life, std::shared_ptr<Process> process)
    : record_(record),
      number_(actor),
      actor_(record.actors[actor]),
      life_(life),
      random_(record.seed ^ life * 0x9e37'79b9'7f4a'7c15u ^ actor),
      process_(std::move(process)),
      talk_(process_, record.convictions),
      queues_(*process_, 0),
      consumer_(std::make_unique<queues::Consumer>(queues_)) {
  for (bool& resumed : resumed_) resumed = true;
}

void Performer::step() {
  const uint64_t what = below(100);
  if (what < 16) return write();
  if (what < 22) return read_own();
  if (what < 34) return read_foreign();
  if (what < 42) return count();
  if (what < 47) return count_pair();
  if (what < 52) return transfer();
  if (what < 60) return use_line();
  if (what < 66) return move_token();
  if (what < 70) return expire();
  if (what < 77) return publish();
  if (what < 82) return hear();
  if (what < 87) return push_task();
  if (what < 92) return take_task();
  if (what < 97) return answer_task();
  if (what < 99) return lock_a_shard();
  fill();
  sweep_if_alone();
}

void Performer::lost(const char* format, ...) noexcept {
  char text[260];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  record_.violation(Fault::kLost, "actor %u: %s", number_, text);
}

void Performer::unexpected(const char* what, const std::string& text) { lost("%s: %s", what, text.c_str()); }
void Performer::unexpected(const char* what, const Status& status) {
  const bool convicted = is_convicted(status.text());
  const std::string problem = convicted ? talk_.lift_convictions() : describe(status);
  if (is_refusal(status) || (convicted && problem.empty())) {
    actor_.refused.fetch_add(1);
  } else {
    unexpected(what, problem);
  }
}

bool Performer::settle_answer(Pair& pair, const Answer& answer, const char* what) {
  if (answer.refused() || answer.failed()) {
    pair.tried.fetch_sub(1);
    if (answer.failed()) unexpected(what, answer.text);
    actor_.refused.fetch_add(1);
    return false;
  }
  pair.done.fetch_add(1);
  return true;
}

// ---- Registers

bool Performer::settle() {
  const Timed timed(*this, Op::kSettle, true);
  for (uint32_t reg = 0; reg < kRegisters; ++reg) {
    if (actor_.registers[reg].open() && !settle_register(reg)) return false;
  }
  if ((actor_.pushed.open() || actor_.popped.open()) && !settle_line()) return false;
  for (Expiring& expiring : actor_.expiring) {
    if (expiring.ends_by_ms.load() == INT64_MAX) expiring.number.store(0);  // it died while it set it
  }
  return true;
}

bool Performer::settle_register(uint32_t reg) {
  Pair& pair = actor_.registers[reg];
  const Seen seen = read_register(talk_, number_, reg);
  const uint64_t done = pair.done.load(), tried = pair.tried.load();
  const Kind kind = kind_of(reg);
  if (!seen.problem.empty() || (!seen.fits(kind, done) && !seen.fits(kind, tried))) {
    lost("register %u after a death: %s; acknowledged %lu, perhaps %lu", reg, seen.text().c_str(), done, tried);
  }
  actor_.maybes.fetch_add(1);
  pair.settle(seen.fits(kind, tried) ? tried : done);
  return true;
}

bool Performer::settle_line() {
  const Line line = read_line(talk_, number_);
  const auto settle = [&](Pair& pair, uint64_t seen) {
    if (seen != pair.done.load() && seen != pair.tried.load()) {
      lost("line after a death: %lu; acknowledged %lu, perhaps %lu", seen, pair.done.load(), pair.tried.load());
    }
    actor_.maybes.fetch_add(pair.open() ? 1 : 0);
    pair.settle(seen);
  };
  if (!line.problem.empty()) lost("line after a death: %s", line.problem.c_str());
  if (line.first != 0) {
    settle(actor_.popped, line.first - 1);
    settle(actor_.pushed, line.last);
  } else {  // as many popped as pushed; only one of the two was in flight
    settle(actor_.pushed, actor_.popped.open() ? actor_.pushed.done.load() : actor_.popped.done.load());
    settle(actor_.popped, actor_.pushed.done.load());
  }
  return true;
}

void Performer::write() {
  const uint32_t reg = under(kRegisters);
  Pair& pair = actor_.registers[reg];
  const Timed timed(*this, kind_of(reg) == Kind::kBundle ? Op::kBundle : Op::kWrite);
  pair.tried.fetch_add(1);
  settle_answer(pair, write_register(talk_, number_, reg, pair.tried.load()), "write");
}

void Performer::read_own() {
  const uint32_t reg = under(kRegisters);
  const uint64_t number = actor_.registers[reg].done.load();
  const Timed timed(*this, Op::kRead);
  const Seen seen = read_register(talk_, number_, reg);
  if (!seen.problem.empty() || !seen.fits(kind_of(reg), number)) {
    lost("own register %u: %s; acknowledged %lu", reg, seen.text().c_str(), number);
  }
}

// What was acknowledged before the read began is the least, what was begun before it ended the most that it may see.
void Performer::read_foreign() {
  const uint32_t whose = under(record_.actor_count()), reg = under(kRegisters);
  if (whose == number_) return;
  const Timed timed(*this, Op::kReadForeign);
  const Pair& pair = record_.actors[whose].registers[reg];
  const uint64_t from = pair.done.load();
  const Seen seen = read_register(talk_, whose, reg);
  const uint64_t to = pair.tried.load();
  if (!seen.problem.empty() || !seen.fits(kind_of(reg), from, to)) {
    lost("register %u of actor %u: %s; it was %lu to %lu meanwhile", reg, whose, seen.text().c_str(), from, to);
  }
}

// ---- What many write

void Performer::count() {
  const uint32_t which = under(kCounters);
  const Timed timed(*this, Op::kCount);
  actor_.counters[which].tried.fetch_add(1);
  const Answer answer = below(2) ? talk_({"INCR", key("torture:counter", which)})
                                 : talk_({"HINCRBY", "torture:counters", std::to_string(which), "1"});
  if (!settle_answer(actor_.counters[which], answer, "count")) return;
}

void Performer::count_pair() {
  const Timed timed(*this, Op::kPair);
  const uint32_t channel = under(kChannels);
  Pair& published = actor_.published[channel];
  actor_.pair.tried.fetch_add(1);
  published.tried.fetch_add(1);
  const Answer answer = talk_.together(
      {{"INCR", "torture:left"},
       {"PUBLISH", channel_name(channel), speech(number_, in_this_life(published.tried.load()), kMessageMax)},
       {"HINCRBY", "torture:right", "count", "1"}});
  if (settle_answer(actor_.pair, answer, "pair")) {
    published.done.fetch_add(1);
    if (answer.items[0].number != answer.items[2].number) {
      lost("a pair came apart: %ld and %ld", answer.items[0].number, answer.items[2].number);
    }
  } else {
    published.tried.fetch_sub(1);
  }
}

// Between accounts whose sum stays 0, with WATCH as an application would.
void Performer::transfer() {
  const Timed timed(*this, Op::kTransfer);
  const std::string from = key("torture:account", under(kAccounts)), to = key("torture:account", under(kAccounts));
  const std::string amount = std::to_string(below(50));
  if (below(4) == 0) {
    std::vector<Talk::Words> all;
    for (uint32_t i = 0; i < kAccounts; ++i) all.push_back({"GET", key("torture:account", i)});
    const Answer answer = talk_.together(all);
    int64_t sum = 0;
    for (const Answer& item : answer.items) sum += item.null() ? 0 : std::stoll(item.text);
    if (answer.failed() || sum != 0) lost("accounts add up to %ld %s", sum, answer.text.c_str());
    return;
  }
  const Answer watched = talk_({"WATCH", from, to});
  const Answer before = talk_({"GET", from});
  const Answer answer = talk_.together({{"DECRBY", from, amount}, {"INCRBY", to, amount}, {"GET", from}});
  for (const Answer& each : {watched, before, answer}) {
    if (each.failed()) return unexpected("transfer", each.text);
    if (each.refused()) return;
  }
  if (answer.null() || from == to) return;
  const int64_t had = before.null() ? 0 : std::stoll(before.text);
  if (std::stoll(answer.items[2].text) != had - std::stoll(amount)) {
    lost("an account changed under its WATCH: %ld became %s by %s", had, answer.items[2].text.c_str(), amount.c_str());
  }
}

void Performer::use_line() {
  const Timed timed(*this, Op::kList);
  const std::string line = key("torture:line", number_);
  const uint64_t length = actor_.pushed.done.load() - actor_.popped.done.load();
  if (below(24) >= length) {
    actor_.pushed.tried.fetch_add(1);
    settle_answer(actor_.pushed, talk_({"RPUSH", line, std::to_string(actor_.pushed.tried.load())}), "push");
    return;
  }
  actor_.popped.tried.fetch_add(1);
  const Answer answer = talk_({"LPOP", line});
  if (settle_answer(actor_.popped, answer, "pop") && answer.text != std::to_string(actor_.popped.done.load())) {
    lost("line: popped '%s' instead of %lu", answer.text.c_str(), actor_.popped.done.load());
  }
}

void Performer::move_token() {
  const std::string from = key("torture:tokens", under(kTokenLists)), to = key("torture:tokens", under(kTokenLists));
  const char* const ends[] = {"LEFT", "RIGHT"};
  const bool waits = below(8) == 0;
  const Timed timed(*this, Op::kMoveToken, waits);
  Answer answer;
  if (waits) {
    answer = talk_({"BLMOVE", from, to, ends[below(2)], ends[below(2)], "0.002"});
  } else if (below(3) == 0) {
    answer = talk_({"SMOVE", from + ":set", to + ":set", "token" + std::to_string(below(kTokens))});
  } else {
    answer = talk_({"LMOVE", from, to, ends[below(2)], ends[below(2)]});
  }
  if (answer.failed()) unexpected("move", answer.text);
}

// ---- Time

void Performer::expire() {
  const uint32_t which = under(kExpiring);
  if (below(2)) return look_at_expiring(which);
  Expiring& expiring = actor_.expiring[which];
  const Timed timed(*this, Op::kExpire);
  const int64_t ttl_ms = 1 + static_cast<int64_t>(below(40));
  const uint64_t number = below(uint64_t{1} << 40) + 1;
  expiring.ends_by_ms.store(INT64_MAX);
  const int64_t before_ms = wall_clock_ms();
  const Answer answer = talk_({"SET", key("torture:expiring", number_, which), speech(number_, number, kMessageMax),
                               "PX", std::to_string(ttl_ms)});
  const int64_t after_ms = wall_clock_ms();
  if (answer.failed()) unexpected("expire", answer.text);
  expiring.number.store(answer.refused() ? 0 : number);
  expiring.ends_from_ms.store(before_ms + ttl_ms);
  expiring.ends_by_ms.store(after_ms + ttl_ms);
}

void Performer::look_at_expiring(uint32_t which) {
  Expiring& expiring = actor_.expiring[which];
  if (expiring.number.load() == 0) return;
  const Timed timed(*this, Op::kExpire);
  const int64_t before_ms = wall_clock_ms();
  const Answer answer = talk_({"GET", key("torture:expiring", number_, which)});
  const int64_t after_ms = wall_clock_ms();
  if (answer.refused()) return;
  if (answer.null() && after_ms < expiring.ends_from_ms.load()) {
    lost("an expiring key went %ld ms early", expiring.ends_from_ms.load() - after_ms);
  }
  if (answer.null()) return;
  const auto said = parse_speech(answer.text, kMessageMax);
  if (!said || said->number != expiring.number.load()) lost("an expiring key holds: %.60s", answer.text.c_str());
  if (before_ms > expiring.ends_by_ms.load()) {
    lost("an expiring key is there %ld ms late", before_ms - expiring.ends_by_ms.load());
  }
}

// ---- What is no data

void Performer::lock_a_shard() {
  const Result<shm::Context*> context = process_->context();
  if (!context.ok()) return unexpected("context", context.status());
  const Timed timed(*this, Op::kLock);
  const ShardLock lock(*process_, *context.value(), under(process_->segment().shard_count()), kLockBudgetNs);
  if (!lock.ok()) unexpected("lock", lock.status());
}

// For as long as the controller wants it so.
void Performer::fill() {
  const bool wanted = record_.fill.load() != 0;
  if (!wanted && actor_.filled.load() == 0) return;
  const Timed timed(*this, Op::kFill, true);
  if (wanted) return fill_up();
  Talk::Words words{"DEL"};
  for (uint32_t i = 0; i < kFillKeys; ++i) words.push_back(key("torture:fill", number_, i));
  const Answer answer = talk_(words);
  if (answer.failed()) unexpected("empty", answer.text);
  if (answer.kind == Answer::Kind::kNumber) actor_.filled.store(0);
}

// Large values until none goes in any more, then ever smaller ones.
void Performer::fill_up() {
  uint32_t bytes = kFillBytes;
  for (uint32_t i = std::max(actor_.filled.load(), 1u); i < kFillKeys && bytes >= kLeastFillBytes;) {
    actor_.filled.store(i);
    const Answer answer = talk_({"SET", key("torture:fill", number_, i), std::string(bytes, 'f')});
    if (answer.failed()) return unexpected("fill", answer.text);
    if (answer.refused()) {
      actor_.refused.fetch_add(1);
      bytes /= 2;
    } else {
      ++i;
    }
  }
  if (bytes < kLeastFillBytes) actor_.times_full.fetch_add(1);
}

// As any process does: while a daemon serves, it sweeps; without one everybody does now and then.
void Performer::sweep_if_alone() {
  if (monotonic_ns() < next_sweep_ns_) return;
  next_sweep_ns_ = monotonic_ns() + int64_t{kSelfSweepMs} * 1'000'000;
  if (daemon_ && !daemon_->lost()) return;
  daemon_.reset();
  if (auto link = DaemonLink::connect(process_->segment().name()); link.ok()) {
    daemon_.emplace(std::move(link).value());
    return;
  }
  const Timed timed(*this, Op::kSweep, true);
  sweep(*process_);
}

}  // namespace shoal::tool::chaos
