// SPDX-License-Identifier: MIT
// Who holds a lock makes no system call: it may sleep in one, or be held up, and everybody waits. Each case runs in a
// process that is stopped at the door of the kernel.
#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/reg.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "crash/cases.h"
#include "crash/world.h"
#include "support/fresh_name.h"
#include "support/process_fixture.h"

namespace shoal::crash {
namespace {

class SystemCalls : public ::testing::TestWithParam<Case> {
 protected:
  void TearDown() override { leave_nothing_of(name_); }

  // Between the two stops at which it stops itself, the process does what is looked at.
  int live() const {
    World world(std::shared_ptr<Segment>(Segment::open(name_, OpenMode::kAttach).value()));
    for (const std::string& line : lines_of(GetParam().setup)) world.prepare(line);
    ::raise(SIGSTOP);
    for (const std::string& line : lines_of(GetParam().operation)) {
      for (const std::string& each : repeated(line)) world.run(each);
    }
    ::raise(SIGSTOP);
    return 0;
  }

  static bool anybody_holds_a_lock(const Segment& segment) {
    for (uint32_t shard = 0; shard < segment.shard_count(); ++shard) {
      if (segment.shard(shard).owner.load() != 0) return true;
    }
    return false;
  }

  const SegmentName name_ = fresh_name("test-calls");
};

TEST_P(SystemCalls, NoneIsMadeUnderALock) {
  const std::shared_ptr<Segment> segment = Segment::open(name_, OpenMode::kAttachOrCreate, world_options()).value();
  Child child([this] {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) return 2;
    return live();
  });
  int status = 0;
  const auto stops = [&](auto how) {
    return ::ptrace(how, child.pid(), nullptr, 0) == 0 && ::waitpid(child.pid(), &status, 0) == child.pid() &&
           WIFSTOPPED(status);
  };
  ASSERT_TRUE(::waitpid(child.pid(), &status, 0) == child.pid() && WIFSTOPPED(status)) << status;
  ASSERT_EQ(::ptrace(PTRACE_SETOPTIONS, child.pid(), nullptr, PTRACE_O_TRACESYSGOOD), 0);
  uint64_t calls = 0;
  bool entering = true;
  while (stops(PTRACE_SYSCALL) && WSTOPSIG(status) != SIGSTOP) {
    if (WSTOPSIG(status) != (SIGTRAP | 0x80)) continue;
    if (entering) {
      ++calls;
      const long number = ::ptrace(PTRACE_PEEKUSER, child.pid(), sizeof(long) * ORIG_RAX, nullptr);
      EXPECT_FALSE(anybody_holds_a_lock(*segment)) << "system call " << number;
    }
    entering = !entering;
  }
  if (!WIFSTOPPED(status)) child.forget();  // it has been waited for
  EXPECT_TRUE(WIFSTOPPED(status)) << "it did not come to its end: " << status;
  EXPECT_GT(calls, 0u) << "its own stop at least";
}

INSTANTIATE_TEST_SUITE_P(Case, SystemCalls, ::testing::ValuesIn(cases()), name_of_case<::testing::TestParamInfo<Case>>);

}  // namespace
}  // namespace shoal::crash
