// SPDX-License-Identifier: MIT
// Every case, died in behind every instruction that changes the segment. See README.md here.
#include "crash/sweep.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "commands/command.h"
#include "crash/how_many.h"
#include "crash/world.h"
#include "keyspace/keyspace.h"

namespace shoal::crash {
namespace {

// Of the operation's deaths, behind how many the recoverer dies, too.
constexpr uint64_t kRecovererSamples = 12, kRecovererSamplesInAFullSegment = 4;

uint64_t swept_cases, steps, deaths, double_deaths;

void count(const SweepResult& once, const SweepResult& twice) {
  steps += once.steps;
  deaths += once.deaths;
  double_deaths += twice.double_deaths;
}

// Says at the end what was done.
class Total : public ::testing::Environment {
 public:
  void TearDown() override {
    std::printf("sweep: %lu cases, %lu storing instructions, %lu deaths, %lu deaths of recoverers\n", swept_cases,
                steps, deaths, double_deaths);
  }
};
// Less give and take with the kernel: a death takes and gives back the same memory each time.
[[maybe_unused]] const bool thrifty = ::mallopt(M_TRIM_THRESHOLD, 64 << 20) != 0 &&
                                      ::mallopt(M_MMAP_THRESHOLD, 32 << 20) != 0 && ::mallopt(M_TOP_PAD, 16 << 20) != 0;
[[maybe_unused]] const auto* const total = ::testing::AddGlobalTestEnvironment(new Total);

// Everybody dies everywhere, and then whoever recovers them; what the first pass saw.
SweepResult sweep_with_recoverers(const Case& of) {
  const SweepResult once = sweep(of, Pages::kPlenty);
  EXPECT_EQ(once.problems, "");
  const SweepResult twice = sweep(of, Pages::kPlenty, how_many("SHOAL_RECOVERERS", kRecovererSamples), once.steps);
  EXPECT_EQ(twice.problems, "") << "the recoverer died, too";
  ++swept_cases;
  count(once, twice);
  return once;
}

class SweepTest : public ::testing::TestWithParam<Case> {
 protected:
  void TearDown() override { EXPECT_FALSE(holds_a_note()) << "of a world that is gone"; }
};

TEST_P(SweepTest, IsDoneOrNotWhoeverDiesWherever) {
  const SweepResult once = sweep_with_recoverers(GetParam());
  EXPECT_GT(once.deaths, 0u) << "the operation stores nothing";
  EXPECT_TRUE(once.changed || GetParam().is(kNoTrace)) << "the operation changes nothing";
  EXPECT_TRUE(once.errors.empty() || GetParam().is(kNoTrace)) << once.errors;
}

TEST_P(SweepTest, IsDoneOrNotInAFullSegment) {
  const std::string operation = GetParam().operation;
  const bool one_operation =
      !GetParam().is(kInParts) && lines_of(operation).size() == 1 && operation[0] != '@' && !ends_at_random(GetParam());
  const std::string done = one_operation ? sweep(GetParam(), Pages::kPlenty, 1, UINT64_MAX).after : "";
  uint64_t full_steps = 0;
  for (Pages pages : {Pages::kThree, Pages::kOne, Pages::kNone}) {
    const SweepResult full = sweep(GetParam(), pages);
    full_steps = full.steps;
    EXPECT_EQ(full.problems, "");
    const std::string expected = one_operation && full.after != full.before ? done : full.after;
    EXPECT_EQ(full.after, expected) << "some of it was done, and some not";
    count(full, {});
  }
  const SweepResult twice =
      sweep(GetParam(), Pages::kNone, how_many("SHOAL_RECOVERERS", kRecovererSamplesInAFullSegment), full_steps);
  EXPECT_EQ(twice.problems, "") << "the recoverer died, too";
  count({}, twice);
}

INSTANTIATE_TEST_SUITE_P(Case, SweepTest, ::testing::ValuesIn(cases()), name_of_case<::testing::TestParamInfo<Case>>);

class ReadSweepTest : public ::testing::TestWithParam<Case> {};

TEST_P(ReadSweepTest, ChangesNothingWhoeverDiesWherever) {
  const SweepResult once = sweep_with_recoverers(GetParam());
  EXPECT_EQ(once.errors, "");
  EXPECT_FALSE(once.changed);
}

INSTANTIATE_TEST_SUITE_P(Reads, ReadSweepTest, ::testing::ValuesIn(read_cases()),
                         name_of_case<::testing::TestParamInfo<Case>>);

// The commands of a line, and with its subcommand, if there is one.
void add_command(const std::string& line, std::set<std::string>& to) {
  std::istringstream in(line);
  std::string first, second;
  in >> first;
  if (first[0] == '@') in >> first;
  in >> second;
  to.insert(first);
  to.insert(first + "|" + second);
}

TEST(SweepCases, EveryCommandThatLocksHasACase) {
  std::set<std::string> swept;
  for (const Case& each : read_cases()) add_command(each.operation, swept);
  for (const Case& each : cases()) {
    for (const char* text : {each.operation, each.setup}) {  // a command that runs in an EXEC is queued by the setup
      const bool queued = text == each.setup;
      bool in_multi = false;
      for (const std::string& line : lines_of(text)) {
        in_multi = in_multi || line == "MULTI";
        if (!queued || in_multi) add_command(line, swept);
      }
    }
  }
  // These work on their session alone; CLIENT LIST and INFO look at other processes without a lock.
  const std::set<std::string> lock_nothing{"AUTH",
                                           "CLIENT|GETNAME",
                                           "CLIENT|ID",
                                           "CLIENT|INFO",
                                           "CLIENT|LIST",
                                           "CLIENT|NO-EVICT",
                                           "CLIENT|SETINFO",
                                           "ECHO",
                                           "CLIENT|SETNAME",
                                           "COMMAND|COUNT",
                                           "COMMAND|LIST",
                                           "CONFIG|GET",
                                           "CONFIG|REWRITE",
                                           "CONFIG|SET",
                                           "HELLO",
                                           "DISCARD",
                                           "INFO",
                                           "CONFIG|RESETSTAT",
                                           "MULTI",
                                           "PING",
                                           "RESET",
                                           "TIME",
                                           "SELECT",
                                           "UNWATCH",
                                           "WAIT"};
  for (const Command& command : command_table()) {
    if (lock_nothing.count(command.name) != 0 || command.handler == nullptr) continue;
    EXPECT_TRUE(swept.count(command.name) != 0) << command.name << " has no case in tests/crash/cases.cc";
  }
}

// What an operation on keys may do to the world.
struct Facts {
  uint64_t free_pages, committed, buckets = 0, tables = 0;
  bool frees_lazily = false;  // the shard of its first key
};

Facts facts_of(World& world, const std::string& operation) {
  Segment& segment = world.segment();
  Facts facts{world.free_pages(), segment.committed()};
  for (uint32_t shard = 0; shard < segment.shard_count(); ++shard) {
    facts.buckets += segment.shard(shard).keys.buckets;
    facts.tables += segment.shard(shard).keys.table;
  }
  std::istringstream in(operation);
  std::string command, key;
  in >> command >> key;
  facts.frees_lazily = keyspace::has_lazy_frees(segment.shard(keyspace::make_key(segment, 0, key).shard));
  return facts;
}

constexpr struct {
  const char* words;  // of a case's name
  bool (*holds)(const Facts& before, const Facts& after);
} kClaims[] = {
    {"opens a page", [](const Facts& before, const Facts& after) { return after.free_pages < before.free_pages; }},
    {"releases a page", [](const Facts& before, const Facts& after) { return after.free_pages > before.free_pages; }},
    {"last key of a page",
     [](const Facts& before, const Facts& after) { return after.free_pages > before.free_pages; }},
    {"makes the segment grow",
     [](const Facts& before, const Facts& after) { return after.committed > before.committed; }},
    {"SET that splits a bucket",
     [](const Facts& before, const Facts& after) { return after.buckets > before.buckets; }},
    {"merges buckets", [](const Facts& before, const Facts& after) { return after.buckets < before.buckets; }},
    {"doubles the table", [](const Facts& before, const Facts& after) { return after.tables != before.tables; }},
    {"while others are freed lazily", [](const Facts& before, const Facts&) { return before.frees_lazily; }},
};

TEST(SweepCases, DoWhatTheirNamesSay) {
  for (const auto& claim : kClaims) {
    int claimed = 0;
    for (const Case& each : cases()) {
      if (std::string(each.name).find(claim.words) == std::string::npos) continue;
      ++claimed;
      World world;
      for (const std::string& line : lines_of(each.setup)) world.run(line);
      const Facts before = facts_of(world, each.operation);
      for (const std::string& line : repeated(each.operation)) world.run(line);
      EXPECT_TRUE(claim.holds(before, facts_of(world, each.operation))) << each.name;
    }
    EXPECT_GT(claimed, 0) << claim.words;
  }
}

TEST(SweepCases, HaveNamesOfTheirOwn) {
  std::set<std::string> names;
  for (const Case& each : cases()) EXPECT_TRUE(names.insert(each.name).second) << each.name;
}

}  // namespace
}  // namespace shoal::crash
