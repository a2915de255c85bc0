// SPDX-License-Identifier: MIT
// The sweep from other states than those that the cases name. See README.md here.
#include "crash/states.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <sstream>
#include <string>

#include "base/clock.h"
#include "crash/how_many.h"
#include "crash/sweep.h"
#include "crash/world.h"
#include "keyspace/keyspace.h"
#include "types/dict.h"

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
  const SweepResult twice =
      sweep(GetParam(), Pages::kPlenty, how_many("SHOAL_RECOVERERS", kRecovererSamples), once.steps);
  EXPECT_EQ(twice.problems, "") << "the recoverer died, too";
  ++swept;
  steps += once.steps;
  deaths += once.deaths;
  double_deaths += twice.double_deaths;
  changed += once.changed ? 1 : 0;
}

INSTANTIATE_TEST_SUITE_P(Case, StatesTest, ::testing::ValuesIn(cases_in_other_states()),
                         name_of_case<::testing::TestParamInfo<Case>>);

bool holds_an_expired_key(const Segment& segment) {
  bool found = false;
  for (uint32_t shard = 0; shard < segment.shard_count(); ++shard) {
    Dict::for_each(segment, segment.shard(shard).keys, [&](uint64_t entry) {
      found = found || keyspace::expired(*segment.pointer<shm::Entry>(entry), wall_clock_ms());
    });
  }
  return found;
}

// Whether each key that others were made to collide with finds them all in its bucket's chain.
bool holds_colliding_keys(const Segment& segment, const std::string& setup) {
  std::istringstream in(lines_of(setup).at(0));
  std::string word;
  in >> word;
  while (in >> word) {
    const Key key = keyspace::make_key(segment, 0, word);
    uint64_t others = 0;
    (void)Dict::find(segment, segment.shard(key.shard).keys, key.hash, [&](uint64_t entry) {
      others += segment.pointer<shm::Entry>(entry)->key() == Bytes(word) ? 0 : 1;
      return false;
    });
    if (others < 7) return false;
  }
  return true;
}

// Whether the world is in the state that the case is named after, before its operation begins. The others cannot fail
// to be there: they are made by commands of which each is refused or done.
bool is_in(const std::string& state, const std::string& setup, World& world) {
  const shm::Shard &one = world.segment().shard(0), &other = world.segment().shard(1);
  if (state == "beside a lazy free") return keyspace::has_lazy_frees(one) && keyspace::has_lazy_frees(other);
  if (state == "in a table about to grow") return Dict::grows_with_next(one.keys) && Dict::grows_with_next(other.keys);
  if (state == "among colliding keys") return holds_colliding_keys(world.segment(), setup);
  if (state == "on an expired key") return holds_an_expired_key(world.segment());
  return true;
}

TEST(States, AreThereWhenTheOperationBegins) {
  for (const Case& each : cases_in_other_states()) {
    const std::string name = each.name;
    World world;
    set_wall_clock_offset_ms(0);
    for (const std::string& line : lines_of(each.setup)) world.run(line);
    EXPECT_TRUE(is_in(name.substr(name.rfind(", ") + 2), each.setup, world)) << name;
  }
  set_wall_clock_offset_ms(0);
}

}  // namespace
}  // namespace shoal::crash
