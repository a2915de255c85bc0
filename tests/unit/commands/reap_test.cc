// SPDX-License-Identifier: MIT
#include "commands/reap.h"

#include <signal.h>
#include <sys/wait.h>

#include "support/redis_session.h"

namespace shoal {
namespace {

uint64_t waiting_keys(const Segment& segment) {
  uint64_t count = 0;
  for (uint32_t i = 0; i < segment.shard_count(); ++i) count += segment.shard(i).waiters.count.load();
  return count;
}

TEST(Reap, ProcessThatWasKilledInABlockingPopWaitsNoLonger) {
  TestSegment segment;
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(60);
    TestSession session(segment);
    const bool waits = session("BLPOP jobs more-jobs 0") == "(pending)";
    if (::write(ready[1], waits ? "y" : "n", 1) != 1) ::_exit(1);
    ::pause();
    ::_exit(1);
  }
  char answer = 0;
  ASSERT_EQ(::read(ready[0], &answer, 1), 1);
  ASSERT_EQ(answer, 'y');
  EXPECT_EQ(waiting_keys(segment.segment()), 2u);
  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_EQ(sweep(*segment.process()), 1u);
  EXPECT_EQ(waiting_keys(segment.segment()), 0u);
  ::close(ready[0]);
  ::close(ready[1]);
}

}  // namespace
}  // namespace shoal
