// SPDX-License-Identifier: MIT
// A life from its beginning to its end: a segment is created, joined, written to, grown, and left. Its process is
// killed at every system call, on entry and on return, and at an instruction drawn behind it (SHOAL_SEED draws the
// same; SHOAL_LIFE_DRAWS says how many). Behind the first of these comes a second life, which is killed at a system
// call drawn. Whoever comes next finds a segment or makes one, can work in it and make it grow. The sweeps begin where
// a segment is mapped.
#include <sys/ptrace.h>

#include <fstream>
#include <random>

#include "commands/check.h"
#include "commands/reap.h"
#include "crash/how_many.h"
#include "support/process_fixture.h"
#include "support/redis_session.h"
#include "support/slots.h"

namespace shoal {
namespace {

constexpr uint64_t kStepsMax = 3000;  // instructions behind a system call
constexpr uint64_t kStopsMax = 100;   // about as many as a life has

class WholeLife : public ProcessTest {
 protected:
  // Recovery, release and reaping are the real ones, and stay.
  void SetUp() override {}
  void TearDown() override { leave_nothing_of(name_); }

  void live() {
    const std::shared_ptr<Segment> segment = open_segment();
    if (segment == nullptr) return;
    TestSession session{std::shared_ptr<Process>(attach(segment))};
    EXPECT_EQ(session("SET a 1"), "OK");
    EXPECT_TRUE(segment->grow(kExtentBytes).ok());
  }

  // Kills who lives it at its `stop`-th stop at a system call, `steps` instructions later. False: it had ended before.
  bool killed_at(uint64_t stop, uint64_t steps) {
    Child child([this] {
      if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) return 2;
      ::raise(SIGSTOP);
      live();
      return HasFailure() ? 1 : 0;
    });
    int status = 0;
    const auto goes_on = [&](auto how) {  // to its next stop; signals are its own
      const int signal = WSTOPSIG(status) == SIGSTOP || WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
      return ::ptrace(how, child.pid(), nullptr, signal) == 0 && ::waitpid(child.pid(), &status, 0) == child.pid() &&
             WIFSTOPPED(status);
    };
    const auto ended = [&] {
      child.forget();
      EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status << " (2: ptrace is forbidden)";
      return false;
    };
    if (::waitpid(child.pid(), &status, 0) != child.pid() || !WIFSTOPPED(status)) return ended();
    for (uint64_t i = 0; i < stop; ++i) {
      if (!goes_on(PTRACE_SYSCALL)) return ended();
    }
    for (uint64_t i = 0; i < steps; ++i) {
      if (!goes_on(PTRACE_SINGLESTEP)) return ended();
    }
    return true;  // killed at the end of the scope
  }

  // Whether a segment that is ready lies there. Does not open it: that takes an unfinished one away.
  bool is_there() const {
    std::ifstream file(name_.shm_path(), std::ios::binary);
    shm::Header header{};
    file.read(reinterpret_cast<char*>(&header), sizeof header);
    return file && header.magic == shm::kMagic &&
           header.state.load() == static_cast<uint32_t>(shm::SegmentState::kReady);
  }

  void next_one_lives() {
    const std::shared_ptr<Segment> opened = open_segment();
    ASSERT_NE(opened, nullptr);
    const std::shared_ptr<Process> process = attach(opened);
    ASSERT_NE(process, nullptr);
    const auto at_lock = check_locked(*process, kLockBudgetNs);
    ASSERT_TRUE(at_lock.ok()) << describe(at_lock.status());
    EXPECT_TRUE(at_lock.value().clean()) << describe(at_lock.value().findings.front());
    (void)sweep(*process);
    TestSession session(process);
    const std::string found = session("GET a");
    EXPECT_TRUE(found == "(nil)" || found == "1") << found;
    EXPECT_EQ(session("SET b ~"), "OK");
    const Status grown = opened->grow(kExtentBytes);
    EXPECT_TRUE(grown.ok()) << describe(grown);
    const auto later = check_locked(*process, kLockBudgetNs);
    ASSERT_TRUE(later.ok()) << describe(later.status());
    EXPECT_TRUE(later.value().clean()) << describe(later.value().findings.front());
    EXPECT_EQ(slots_of_others(*process), std::vector<uint32_t>{});
    EXPECT_TRUE(process->slot_alive(process->slot_index()));
  }
};

TEST_F(WholeLife, IsEndedAnywhereAndTheNextOneComes) {
  const char* said = std::getenv("SHOAL_SEED");
  const uint64_t seed = said != nullptr ? std::stoull(said) : std::random_device()();
  std::mt19937_64 random(seed);
  SCOPED_TRACE("SHOAL_SEED=" + std::to_string(seed));
  uint64_t deaths = 0, found = 0, second_deaths = 0;
  const uint64_t draws = crash::how_many("SHOAL_LIFE_DRAWS", 1);
  bool at_its_end = false;
  for (uint64_t stop = 0; !at_its_end && !HasFailure(); ++stop) {
    for (uint64_t draw = 0; draw <= draws && !HasFailure(); ++draw) {
      const uint64_t steps = draw == 0 ? 0 : random() % kStepsMax;
      SCOPED_TRACE("stop " + std::to_string(stop) + ", " + std::to_string(steps) + " instructions later");
      const bool killed = killed_at(stop, steps);
      if (draw == 0) at_its_end = !killed;
      deaths += killed;
      found += killed && is_there();
      const uint64_t second_stop = random() % kStopsMax;
      SCOPED_TRACE(draw == 1 ? "then a second life, to its stop " + std::to_string(second_stop) : "no second life");
      second_deaths += draw == 1 && killed_at(second_stop, 0);
      next_one_lives();
      leave_nothing_of(name_);
    }
  }
  std::printf("%lu kills, %lu of them behind the creation, and %lu kills of second lives, seed %lu\n", deaths, found,
              second_deaths, seed);
  EXPECT_GT(found, 0u);
  EXPECT_GT(deaths - found, 0u);
  EXPECT_TRUE(draws == 0 || second_deaths > 0);
}

}  // namespace
}  // namespace shoal
