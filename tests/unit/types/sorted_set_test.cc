// SPDX-License-Identifier: MIT
#include "types/sorted_set.h"

#include <algorithm>
#include <map>
#include <vector>

#include "support.h"

namespace shoal {
namespace {

using Model = std::map<std::string, double>;

class SortedSetTest : public TypeTest<shm::SortedSetRoot> {
 protected:
  void expect_equal(const Model& model) {
    ASSERT_TRUE(sound());
    std::vector<std::pair<double, std::string>> order;
    for (const auto& [member, score] : model) order.emplace_back(score, member);
    std::sort(order.begin(), order.end());
    ASSERT_EQ(sorted_set::count(root()), order.size());
    uint64_t node = sorted_set::at_rank(*segment_, root(), 0);
    for (uint64_t rank = 0; rank < order.size(); ++rank, node = sorted_set::next(*segment_, node)) {
      ASSERT_NE(node, 0u);
      const auto& record = sorted_set::node_at(*segment_, node);
      ASSERT_EQ(record.score, order[rank].first);
      ASSERT_EQ(record.member(), order[rank].second);
      ASSERT_EQ(sorted_set::rank(*segment_, root(), node), rank);
      ASSERT_EQ(sorted_set::at_rank(*segment_, root(), rank), node);
      ASSERT_EQ(sorted_set::find(*segment_, root(), order[rank].second), node);
    }
    EXPECT_EQ(node, 0u);
  }
};

TEST_F(SortedSetTest, ARandomLifeAgreesWithASortedVectorAndAnUndoLeavesNothing) {
  Model model;
  for (int round = 0; round < 5000; ++round) {
    const bool undo = random_() % 3 == 0, shrinking = round / 1000 % 2 == 1;
    Model changed;
    const auto state = random_;
    run(
        [&](Transaction& tx) {
          random_ = state;
          changed = model;
          for (auto changes = 1 + random_() % 3; changes > 0 && !tx.failed(); --changes) {
            const std::string member = "m" + std::to_string(random_() % 700);
            const auto score = static_cast<double>(random_() % 20);
            const uint64_t node = sorted_set::find(*segment_, root(), member);
            EXPECT_EQ(node != 0, changed.count(member) == 1);
            if (random_() % 10 < (shrinking ? 7u : 3u)) {
              if (node == 0) continue;
              sorted_set::remove(tx, root(), node);
              changed.erase(member);
            } else if (node != 0) {
              sorted_set::set_score(tx, root(), node, score);
              changed[member] = score;
            } else {
              if (!sorted_set::add(tx, root(), member, score)) return;
              changed[member] = score;
            }
          }
        },
        undo);
    if (!undo) model = std::move(changed);
    if (round % 100 == 0) {
      ASSERT_NO_FATAL_FAILURE(expect_equal(model)) << "round " << round;
    }
  }
  expect_equal(model);
  destroy_in_steps(4);
}

TEST_F(SortedSetTest, RanksOfATallListAreFoundByItsSpans) {
  run([&](Transaction& tx) {
    for (int i = 0; i < 20'000; ++i) sorted_set::add(tx, root(), "member" + std::to_string(i), i % 1000);
  });
  ASSERT_TRUE(sound());
  EXPECT_GE(root().levels, 5u);
  EXPECT_EQ(sorted_set::count_before(*segment_, root(), [](const auto& node) { return node.score < 500; }), 10'000u);
  const uint64_t node = sorted_set::at_rank(*segment_, root(), 12'345);
  EXPECT_EQ(sorted_set::rank(*segment_, root(), node), 12'345u);
}

TEST_F(SortedSetTest, ANewScoreBetweenItsNeighboursChangesOneWord) {
  run([&](Transaction& tx) {
    sorted_set::add(tx, root(), "a", 1);
    sorted_set::add(tx, root(), "b", 5);
    sorted_set::add(tx, root(), "c", 9);
  });
  run([&](Transaction& tx) {
    sorted_set::set_score(tx, root(), sorted_set::find(*segment_, root(), "b"), 6);
    EXPECT_EQ(tx.savepoint().words, 2u);
  });
  expect_equal({{"a", 1}, {"b", 6}, {"c", 9}});
}

}  // namespace
}  // namespace shoal
