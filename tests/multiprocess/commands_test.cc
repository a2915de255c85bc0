// SPDX-License-Identifier: MIT
// Real SIGKILLs at random moments: processes run commands on all types, transactions and task queues on few keys, so
// that they always contend; one after the other is killed and replaced. Whoever comes next repairs; every few deaths
// all invariants of the segment are walked, and what only whole operations keep true is counted.
#include <random>
#include <vector>

#include "base/clock.h"
#include "commands/blocking.h"
#include "commands/check.h"
#include "commands/reap.h"
#include "queues/consumer.h"
#include "support/process_fixture.h"
#include "support/redis_session.h"

namespace shoal {
namespace {

constexpr uint32_t kWorkers = 4, kLists = 6, kTokens = 20;
constexpr int64_t kSpanNs = 8'000'000'000;

// What a worker does until it is killed.
class Worker {
 public:
  Worker(TestSegment& segment, uint64_t seed)
      : random_(seed),
        process_(segment.attach()),
        r_(process_),
        any_(process_),
        queues_(*process_, 0),
        consumer_(queues_) {}

  [[noreturn]] void run() {
    any_("SELECT 1");
    (void)consumer_.add("tasks", false);
    for (;;) {
      const uint64_t what = below(10);
      if (what == 0) move_token();
      if (what == 1) count_pair();
      if (what == 2) pass_baton();
      if (what == 3 || what == 4) do_task();
      if (what >= 5) anything();
    }
  }

 private:
  uint64_t below(uint64_t end) { return random_() % end; }
  std::string any(const char* name, uint64_t end) { return name + std::to_string(below(end)); }
  std::string bytes() { return std::string(below(below(8) == 0 ? 9000 : 120) + 1, static_cast<char>('a' + below(26))); }

  void move_token() {
    r_.run(
        {"LMOVE", any("list", kLists), any("list", kLists), below(2) ? "LEFT" : "RIGHT", below(2) ? "LEFT" : "RIGHT"});
  }
  void count_pair() {
    r_("MULTI");
    r_("INCR left");
    r_.run({"SET", any("between", 3), bytes()});
    r_("INCR right");
    r_("EXEC");
  }
  void pass_baton() { r_.run({"RENAME", any("baton", 8), any("baton", 8)}); }

  void do_task() {
    const uint64_t due = below(5) == 0 ? static_cast<uint64_t>(wall_clock_ms()) + below(3) : 0;
    (void)queues_.push("tasks", {bytes(), static_cast<uint32_t>(below(4)), due});
    auto taken = consumer_.take();
    if (!taken.ok() || !taken.value()) return;
    const auto tag = *queues::LeaseTag::parse(taken.value()->tag);
    if (below(3) == 0) (void)queues::start(queues_, tag);
    if (below(8) == 0) {
      (void)consumer_.reject(tag, true);
    } else if (below(10) != 0) {
      (void)consumer_.ack(tag);
    }
  }

  void anything() {
    const std::string key = any("g", 20), other = any("g", 20), field = any("f", 30), score = std::to_string(below(99));
    const std::vector<std::vector<std::string>> commands = {
        {"SET", key, bytes()},
        {"SET", key, bytes(), "PX", std::to_string(below(4) + 1)},
        {"DEL", key, other},
        {"RPUSH", key, bytes(), bytes()},
        {"LPOP", key},
        {"LREM", key, "0", field},
        {"HSET", key, field, bytes(), any("f", 30), bytes()},
        {"HDEL", key, field},
        {"SADD", key, field, any("f", 30)},
        {"SMOVE", key, other, field},
        {"SUNIONSTORE", key, other, any("g", 20)},
        {"ZADD", key, score, field, score, any("f", 30)},
        {"ZPOPMIN", key},
        {"RENAME", key, other},
        {"PEXPIRE", key, std::to_string(below(3))},
        {"MSET", key, bytes(), other, bytes()},
        {"GET", key},
        {"PUBLISH", key, bytes()},
        {"BLPOP", key, other, "0.001"},
        {"SETRANGE", key, score, bytes()},
    };
    any_.run(commands[below(commands.size())]);
    blocking::cancel(any_.session());
    if (below(400) == 0) any_("FLUSHDB");
  }

  std::mt19937_64 random_;
  std::shared_ptr<Process> process_;
  TestSession r_, any_;  // any_: in a database where anything may happen
  queues::TaskQueues queues_;
  queues::Consumer consumer_;
};

class KilledWorkers : public ::testing::Test {
 protected:
  KilledWorkers() {
    const char* given = std::getenv("SHOAL_SEED");
    const uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : static_cast<uint64_t>(monotonic_ns());
    RecordProperty("seed", std::to_string(seed));
    std::printf("seed %lu\n", static_cast<unsigned long>(seed));
    random_.seed(seed);
    for (uint32_t i = 0; i < kTokens; ++i) r_("RPUSH list" + std::to_string(i % kLists) + " token" + std::to_string(i));
    r_("SET baton0 1");
  }

  std::unique_ptr<Child> worker() {
    const uint64_t seed = random_();
    return std::make_unique<Child>([this, seed] {
      Worker(segment_, seed).run();
      return 0;
    });
  }

  // As one transaction: all lists, the pair, the batons.
  void expect_whole_operations() {
    r_("MULTI");
    for (uint32_t i = 0; i < kLists; ++i) r_("LRANGE list" + std::to_string(i) + " 0 -1");
    r_("EXISTS baton0 baton1 baton2 baton3 baton4 baton5 baton6 baton7");
    r_("MGET left right");
    const std::string seen = r_("EXEC");
    size_t tokens = 0;
    for (uint32_t i = 0; i < kTokens; ++i) {
      const std::string token = "token" + std::to_string(i);
      for (const char* end : {",", "]"}) {
        for (size_t at = seen.find(token + end); at != std::string::npos; at = seen.find(token + end, at + 1)) ++tokens;
      }
    }
    EXPECT_EQ(tokens, kTokens) << seen;
    EXPECT_NE(seen.find("], 1, ["), std::string::npos) << "not one baton: " << seen;
    const std::string pair = seen.substr(seen.rfind('[') + 1);
    EXPECT_EQ(pair.substr(0, pair.find(',')), pair.substr(pair.find(' ') + 1, pair.find(']') - pair.find(' ') - 1))
        << seen;
  }

  void expect_sound() {
    const auto report = check_locked(*segment_.process(), kLockBudgetNs);
    ASSERT_TRUE(report.ok()) << describe(report.status());
    for (const Finding& finding : report.value().findings) ADD_FAILURE() << describe(finding);
  }

  std::mt19937_64 random_;
  TestSegment segment_;
  TestSession r_{segment_};
};

TEST_F(KilledWorkers, LeaveNothingHalfDoneAndNothingLost) {
  std::vector<std::unique_ptr<Child>> workers;
  for (uint32_t i = 0; i < kWorkers; ++i) workers.push_back(worker());
  int kills = 0;
  for (const int64_t end = monotonic_ns() + kSpanNs; monotonic_ns() < end && !HasFailure(); ++kills) {
    ::usleep(static_cast<useconds_t>(500 + random_() % 8000));  // how long they live, nothing more
    std::unique_ptr<Child>& victim = workers[random_() % kWorkers];
    victim->kill();
    if (kills % 3 == 0) sweep(*segment_.process());
    if (kills % 3 != 1) expect_sound();  // also where it is this check that meets the dead one's locks
    expect_whole_operations();
    victim = worker();
  }
  workers.clear();
  sweep(*segment_.process());
  expect_sound();
  const auto stats = queues::TaskQueues(*segment_.process(), 0).stats("tasks");
  if (stats.ok() && stats.value()) {
    EXPECT_EQ(stats.value()->leased, 0u);
    EXPECT_EQ(stats.value()->consumers, 0u);
  }
  std::printf("%d kills\n", kills);
  EXPECT_GT(kills, 10);
}

}  // namespace
}  // namespace shoal
