// SPDX-License-Identifier: MIT
// The sweep from other states than those that the cases name. See README.md here.
#include "crash/states.h"

#include <gtest/gtest.h>

#include <cstdio>

#include "crash/sweep.h"

namespace shoal::crash {
namespace {

constexpr uint64_t kRecovererSamples = 4;
uint64_t swept, steps, deaths, double_deaths, changed;

// Says at the end what was done.
class Total : public ::testing::Environment {
 public:
  void TearDown() override {
    std::printf(
        "states: %lu cases, %lu of which changed something, %lu storing instructions, %lu deaths, %lu deaths of "
        "recoverers\n",
        swept, changed, steps, deaths, double_deaths);
  }
};
[[maybe_unused]] const auto* const total = ::testing::AddGlobalTestEnvironment(new Total);

class StatesTest : public ::testing::TestWithParam<Case> {};

TEST_P(StatesTest, IsDoneOrNotWhoeverDiesWherever) {
  const SweepResult once = sweep(GetParam(), Pages::kPlenty);
  EXPECT_EQ(once.problems, "");
  const SweepResult twice = sweep(GetParam(), Pages::kPlenty, kRecovererSamples, once.steps);
  EXPECT_EQ(twice.problems, "") << "the recoverer died, too";
  ++swept;
  steps += once.steps;
  deaths += once.deaths;
  double_deaths += twice.double_deaths;
  changed += once.changed ? 1 : 0;
}

INSTANTIATE_TEST_SUITE_P(Case, StatesTest, ::testing::ValuesIn(cases_in_other_states()),
                         name_of_case<::testing::TestParamInfo<Case>>);

}  // namespace
}  // namespace shoal::crash
