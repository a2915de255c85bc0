// SPDX-License-Identifier: MIT
#include "types/set.h"

#include "support.h"

namespace shoal {
namespace {

class SetTest : public TypeTest<shm::SetRoot> {};

TEST_F(SetTest, ARandomLifeAgreesWithAStdSetAndAnUndoLeavesNothing) {
  std::set<std::string> model;
  for (int round = 0; round < 6000; ++round) {
    const bool undo = random_() % 3 == 0, shrinking = round / 1000 % 2 == 1;
    std::set<std::string> changed;
    const auto state = random_;
    run(
        [&](Transaction& tx) {
          random_ = state;
          changed = model;
          for (auto changes = 1 + random_() % 3; changes > 0 && !tx.failed(); --changes) {
            const auto number = random_() % 500;
            const std::string member = number == 0   ? ""
                                       : number == 1 ? std::string(10'000, 'm')
                                                     : std::to_string(number);
            if (random_() % 10 < (shrinking ? 7u : 3u)) {
              EXPECT_EQ(set::remove(tx, root(), member), changed.erase(member) == 1);
              continue;
            }
            const auto added = set::add(tx, root(), member);
            if (added == set::Added::kNoMemory) return;
            EXPECT_EQ(added == set::Added::kYes, changed.insert(member).second);
          }
        },
        undo);
    if (!undo) model = std::move(changed);
    if (round % 50 != 0) continue;
    ASSERT_TRUE(sound());
    std::set<std::string> found;
    set::for_each(*segment_, root(), [&](Bytes member) { found.emplace(member); });
    ASSERT_EQ(set::count(root()), model.size());
    ASSERT_TRUE(found == model) << "round " << round;
  }
  destroy_in_steps(5);
}

TEST_F(SetTest, CheckSeesACountThatIsWrong) {
  run([&](Transaction& tx) { set::add(tx, root(), "a"); });
  ASSERT_TRUE(sound());
  run([&](Transaction& tx) { tx.edit(root().members.count) += 1; });
  EXPECT_FALSE(sound());
}

}  // namespace
}  // namespace shoal
