// SPDX-License-Identifier: MIT
#include "types/hash.h"

#include <map>

#include "support.h"

namespace shoal {
namespace {

class HashTest : public TypeTest<shm::HashRoot> {
 protected:
  std::string text(const StoredBytes& stored) const {
    std::string bytes;
    stored.for_each_piece(*segment_, [&](Bytes piece) { bytes += piece; });
    return bytes;
  }
  void expect_equal(const std::map<std::string, std::string>& model) {
    ASSERT_TRUE(sound());
    std::map<std::string, std::string> found;
    hash::for_each(*segment_, root(),
                   [&](Bytes field, const StoredBytes& value) { found[std::string(field)] = text(value); });
    ASSERT_EQ(hash::count(root()), model.size());
    ASSERT_TRUE(found == model);
  }
  std::string value() {
    switch (random_() % 10) {
      case 0:
        return std::string(random_() % 200'000, 'v');
      case 1:
        return random_bytes(1500);
      default:
        return random_bytes(30);
    }
  }
};

TEST_F(HashTest, ARandomLifeAgreesWithAMapAndAnUndoLeavesNothing) {
  std::map<std::string, std::string> model;
  for (int round = 0; round < 4000; ++round) {
    const bool undo = random_() % 3 == 0, shrinking = round / 500 % 2 == 1;
    std::map<std::string, std::string> changed;
    const auto state = random_;
    run(
        [&](Transaction& tx) {
          random_ = state;
          changed = model;
          for (auto changes = 1 + random_() % 3; changes > 0 && !tx.failed(); --changes) {
            const std::string field = "f" + std::to_string(random_() % 300);
            if (random_() % 10 < (shrinking ? 7u : 3u)) {
              EXPECT_EQ(hash::remove(tx, root(), field), changed.erase(field) == 1);
              continue;
            }
            const std::string bytes = value();
            const auto stored = hash::store(tx, root(), field, bytes);
            if (stored == hash::Stored::kNoMemory) return;
            EXPECT_EQ(stored == hash::Stored::kNew, changed.count(field) == 0);
            changed[field] = bytes;
          }
        },
        undo);
    if (!undo) model = std::move(changed);
    if (round % 50 == 0) {
      ASSERT_NO_FATAL_FAILURE(expect_equal(model)) << "round " << round;
    }
  }
  expect_equal(model);
  destroy_in_steps(2);
}

TEST_F(HashTest, OverwritingAShortValueLeavesItsBlockWhereItIs) {
  run([&](Transaction& tx) { hash::store(tx, root(), "counter", "1"); });
  const uint64_t before = hash::find(*segment_, root(), "counter");
  run([&](Transaction& tx) {
    hash::store(tx, root(), "counter", "2");
    EXPECT_LE(tx.savepoint().words, 4u);
  });
  EXPECT_EQ(hash::find(*segment_, root(), "counter"), before);
  EXPECT_EQ(text(hash::value_at(*segment_, before)), "2");
}

}  // namespace
}  // namespace shoal
