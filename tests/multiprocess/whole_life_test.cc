// SPDX-License-Identifier: MIT
// A life from its beginning to its end: a segment is created, joined, written to, grown, and left. Its process is
// killed at every system call, on entry and on return, and at an instruction drawn behind it (SHOAL_SEED draws again);
// whoever comes next finds a segment or makes one, and can work in it. The sweeps begin where a segment is mapped.
#include <sys/ptrace.h>

#include <random>

#include "commands/check.h"
#include "commands/reap.h"
#include "support/process_fixture.h"
#include "support/redis_session.h"

namespace shoal {
namespace {

constexpr uint64_t kStepsMax = 3000;  // instructions behind a system call

class WholeLife : public ProcessTest {
 protected:
  void SetUp() override { install_reaper(); }

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
      ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
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
    EXPECT_EQ(::waitpid(child.pid(), &status, 0), child.pid());
    for (uint64_t i = 0; i < stop; ++i) {
      if (!goes_on(PTRACE_SYSCALL)) return ended_well(status);
    }
    for (uint64_t i = 0; i < steps; ++i) {
      if (!goes_on(PTRACE_SINGLESTEP)) return ended_well(status);
    }
    return true;  // killed at the end of the scope
  }
  static bool ended_well(int status) {
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
    return false;
  }

  // Whether a segment was there, and what the next one finds in it.
  void next_one_lives(bool& was_there) {
    was_there = Segment::open(name_, OpenMode::kAttach).ok();
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
    const auto later = check_locked(*process, kLockBudgetNs);
    ASSERT_TRUE(later.ok()) << describe(later.status());
    EXPECT_TRUE(later.value().clean()) << describe(later.value().findings.front());
    const Segment& segment = process->segment();
    for (uint32_t index = 0; index < segment.header().slot_count; ++index) {
      const bool used = segment.slot(index).state.load() != static_cast<uint32_t>(shm::SlotState::kFree);
      EXPECT_EQ(used, index == process->slot_index()) << "slot " << index;
    }
  }
};

TEST_F(WholeLife, IsEndedAnywhereAndTheNextOneComes) {
  const char* said = std::getenv("SHOAL_SEED");
  const uint64_t seed = said != nullptr ? std::stoull(said) : std::random_device()();
  std::mt19937_64 random(seed);
  SCOPED_TRACE("SHOAL_SEED=" + std::to_string(seed));
  uint64_t deaths = 0, found = 0;
  for (uint64_t stop = 0, lived = true; lived != 0 && !HasFailure(); ++stop) {
    for (uint64_t steps : {uint64_t{0}, random() % kStepsMax}) {
      SCOPED_TRACE("stop " + std::to_string(stop) + ", " + std::to_string(steps) + " instructions later");
      lived = killed_at(stop, steps);
      bool was_there = false;
      next_one_lives(was_there);
      deaths += lived;
      found += lived && was_there;
      (void)Segment::remove(name_);
      std::filesystem::remove_all(name_.runtime_dir());
    }
  }
  std::printf("%lu kills, %lu of them behind the creation, seed %lu\n", deaths, found, seed);
  EXPECT_GT(found, 0u);
  EXPECT_GT(deaths - found, 0u);
}

}  // namespace
}  // namespace shoal
