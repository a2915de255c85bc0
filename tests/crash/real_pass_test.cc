// SPDX-License-Identifier: MIT
// Every case with real deaths (real_pass.h): at a few stops of each, drawn by a printed seed, or with
// SHOAL_REAL_KILLS=all at all of them; SHOAL_RECOVERERS says behind how many of those the recoverer dies, too.
#include "crash/real_pass.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string_view>

#include "crash/how_many.h"

namespace shoal::crash {
namespace {

constexpr uint64_t kPlainKills = 8;           // of each case, and of the recoverers behind a stop
constexpr uint64_t kPlainRecovered = 1;       // stops behind which recoverers die, too
constexpr uint64_t kReapersPerRecoverer = 4;  // a reaping goes through many shards: so many times as many stops

uint64_t seed() {
  static const uint64_t drawn = [] {
    const char* said = std::getenv("SHOAL_SEED");
    return said != nullptr ? std::stoull(said) : std::random_device()();
  }();
  return drawn;
}

uint64_t kills, stops, recoverer_kills, longest_recovery_ns;

// Says at the end what was done.
class Total : public ::testing::Environment {
 public:
  void TearDown() override {
    std::printf("real sweep: %lu kills at %lu stops, %lu kills of recoverers, the longest recovery %lu us, seed %lu\n",
                kills, stops, recoverer_kills, longest_recovery_ns / 1000, seed());
  }
};
[[maybe_unused]] const auto* const total = ::testing::AddGlobalTestEnvironment(new Total);

class RealPassTest : public ::testing::TestWithParam<Case> {};

TEST_P(RealPassTest, IsDoneOrNotWhereverItsProcessIsKilled) {
  const bool reaps = GetParam().operation == std::string_view("!sweep");
  const uint64_t recovered = how_many("SHOAL_RECOVERERS", kPlainRecovered) * (reaps ? kReapersPerRecoverer : 1);
  const RealPassResult result = real_pass(GetParam(), how_many("SHOAL_REAL_KILLS", kPlainKills), recovered, seed());
  EXPECT_EQ(result.problems, "") << "SHOAL_SEED=" << seed();
  EXPECT_GT(result.stops, 0u);
  EXPECT_LE(result.missed * 10, result.kills);
  // The recoverer that was counted may have looked for stale subscriptions, which is done every ten seconds only.
  EXPECT_LE(result.missed_by_recoverers * 2, result.recoverer_kills);
  EXPECT_TRUE(!result.differed || ends_at_random(GetParam())) << "it ends differently";
  kills += result.kills;
  stops += result.stops;
  recoverer_kills += result.recoverer_kills;
  longest_recovery_ns = std::max(longest_recovery_ns, result.longest_recovery_ns);
}

INSTANTIATE_TEST_SUITE_P(Case, RealPassTest, ::testing::ValuesIn(cases()),
                         name_of_case<::testing::TestParamInfo<Case>>);
INSTANTIATE_TEST_SUITE_P(Processes, RealPassTest, ::testing::ValuesIn(process_cases()),
                         name_of_case<::testing::TestParamInfo<Case>>);

}  // namespace
}  // namespace shoal::crash
