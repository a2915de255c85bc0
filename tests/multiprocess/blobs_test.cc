// SPDX-License-Identifier: MIT
// Real SIGKILLs: processes read large values while others rewrite, append to and delete them; readers and writers are
// killed at random. What a reader gets is one value, whole; what is left when all are gone is what the keys hold.
#include <random>
#include <vector>

#include "base/clock.h"
#include "commands/check.h"
#include "commands/reap.h"
#include "support/process_fixture.h"
#include "support/redis_session.h"

namespace shoal {
namespace {

constexpr int kWriters = 1, kReaders = 3, kKeys = 2;
constexpr int64_t kSpanNs = 4'000'000'000;

class KilledReaders : public ::testing::Test {
 protected:
  // A value is one letter, and says at its end how long it is.
  static std::string value(std::mt19937_64& random) {
    const std::string end = '#' + std::to_string(3'000 + random() % 300'000);
    return std::string(std::stoul(end.substr(1)) - end.size(), static_cast<char>('a' + random() % 26)) + end;
  }
  static bool whole(const std::string& value) {
    if (value == "(nil)") return true;
    const size_t end = value.rfind('#');
    return end != std::string::npos && std::stoul(value.substr(end + 1)) == value.size() &&
           value.find_first_not_of(value[0]) == end;
  }

  [[noreturn]] void write(uint64_t seed) {
    std::mt19937_64 random(seed);
    TestSession r(segment_.attach());
    for (;;) {
      const std::string key = "key" + std::to_string(random() % kKeys);
      if (random() % 8 == 0) r.run({"DEL", key});
      r.run({"SET", key, value(random)});
      r.run({"SET", "small", "x"});
    }
  }
  int read(uint64_t seed) {
    std::mt19937_64 random(seed);
    TestSession r(segment_.attach());
    while (whole(r.run({"GET", "key" + std::to_string(random() % kKeys)}))) {
    }
    return 7;  // what it read was not one value
  }
  static bool ended(const Child& child) {
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(child.pid()), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
  }
  std::unique_ptr<Child> start(size_t place) {
    const uint64_t seed = random_();
    return std::make_unique<Child>([this, place, seed] {
      if (place < kWriters) write(seed);
      return read(seed);
    });
  }

  std::mt19937_64 random_{20};
  TestSegment segment_{[] {
    SegmentOptions options = tiny_segment_options();
    options.slot_count = 512;  // the killed keep theirs until the kernel has released them
    options.context_count = 1024;
    return options;
  }()};
};

TEST_F(KilledReaders, ReadWholeValuesAndLeaveNothingBehind) {
  TestSession r(segment_);
  std::vector<std::unique_ptr<Child>> children;
  for (size_t i = 0; i < kWriters + kReaders; ++i) children.push_back(start(i));
  int kills = 0;
  for (const int64_t end = monotonic_ns() + kSpanNs; monotonic_ns() < end && !HasFailure(); ++kills) {
    ::usleep(static_cast<useconds_t>(500 + random_() % 20'000));  // how long they live, nothing more
    const size_t victim = random_() % children.size();
    for (int key = 0; key < kKeys; ++key) EXPECT_TRUE(whole(r.run({"GET", "key" + std::to_string(key)})));
    EXPECT_FALSE(ended(*children[victim])) << "a reader saw what was no value";
    children[victim]->kill();
    children[victim] = start(victim);
  }
  children.clear();
  sweep(*segment_.process());
  r("FLUSHDB");
  const auto report = check_locked(*segment_.process(), kLockBudgetNs);
  ASSERT_TRUE(report.ok()) << describe(report.status());
  for (const Finding& finding : report.value().findings) ADD_FAILURE() << describe(finding);
  std::printf("%d kills\n", kills);
  EXPECT_GT(kills, 10);
}

}  // namespace
}  // namespace shoal
