// SPDX-License-Identifier: MIT
#include "commands/upkeep.h"

#include "process/wake.h"
#include "support/eventually.h"
#include "support/process_fixture.h"
#include "support/redis_session.h"

namespace shoal {
namespace {

// A sleep of the calling thread that nobody ends, as in BLPOP or a subscriber's wait.
void sleep_a_little(Process& process) {
  ThreadSleep sleep(process, *process.context().value());
  sleep.prepare();
  (void)sleep.wait(1'000'000);
}

TEST(UpkeepTest, WhoWaitsReapsTheDeadWhereNoDaemonServes) {
  TestSegment segment;
  Child waiting([&] {
    TestSession session(segment);
    if (session("BLPOP jobs 0") == "(pending)") ::raise(SIGKILL);
    return 1;
  });
  ASSERT_EQ(waiting.wait(), 128 + SIGKILL);
  Process& process = *segment.process();
  sleep_a_little(process);
  EXPECT_EQ(segment.waiting_keys(), 1u) << "nobody has said that it is to look";
  const std::shared_ptr<Upkeep> upkeep = Upkeep::of(process);
  EXPECT_EQ(upkeep->find_daemon("").code(), Code::kNotFound);
  EXPECT_EQ(upkeep->watch_daemon(), -1);
  EXPECT_TRUE(eventually([&] {
    sleep_a_little(process);
    return segment.waiting_keys() == 0;
  }));
}

}  // namespace
}  // namespace shoal
