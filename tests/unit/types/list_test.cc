// SPDX-License-Identifier: MIT
#include "types/list.h"

#include <deque>

#include "support.h"

namespace shoal {
namespace {

using list::End;

class ListTest : public TypeTest<shm::ListRoot> {
 protected:
  std::string text(const StoredBytes& stored) const {
    std::string bytes;
    stored.for_each_piece(*segment_, [&](Bytes piece) { bytes += piece; });
    return bytes;
  }
  void expect_equal(const std::deque<std::string>& model) {
    ASSERT_TRUE(sound());
    ASSERT_EQ(root().count, model.size());
    list::Cursor cursor = list::first(*segment_, root());
    for (const std::string& element : model) {
      ASSERT_FALSE(cursor.is_end());
      ASSERT_TRUE(text(list::element(*segment_, cursor)) == element);
      cursor = list::next(*segment_, cursor);
    }
    EXPECT_TRUE(cursor.is_end());
    cursor = list::last(*segment_, root());
    for (auto element = model.rbegin(); element != model.rend(); ++element) {
      ASSERT_TRUE(text(list::element(*segment_, cursor)) == *element);
      cursor = list::previous(*segment_, root(), cursor);
    }
    EXPECT_TRUE(cursor.is_end());
  }
  std::string element() {
    switch (random_() % 12) {
      case 0:
        return random_bytes(2000);
      case 1:
        return std::string(100'000 + random_() % 100'000, 'x');
      case 2:
        return random_bytes(520);
      default:
        return random_bytes(40);
    }
  }
  // One random change of the list, and of its model.
  void change(Transaction& tx, std::deque<std::string>& model) {
    const auto end = random_() % 2 ? End::kHead : End::kTail;
    const std::string bytes = element();
    const size_t index = model.empty() ? 0 : random_() % model.size();
    switch (random_() % 9) {
      case 0:
      case 1:
      case 2:
      case 3: {
        if (!list::push(tx, root(), end, bytes)) return;
        end == End::kHead ? model.push_front(bytes) : model.push_back(bytes);
        return;
      }
      case 4: {
        if (model.empty()) return;
        const StoredBytes popped = list::pop(tx, root(), end);
        EXPECT_TRUE(text(popped) == (end == End::kHead ? model.front() : model.back()));
        end == End::kHead ? model.pop_front() : model.pop_back();
        if (random_() % 2) return popped.release(tx);
        const auto other = random_() % 2 ? End::kHead : End::kTail;
        const std::string moved = text(popped);
        if (!list::push_stored(tx, root(), other, popped)) return;
        other == End::kHead ? model.push_front(moved) : model.push_back(moved);
        return;
      }
      case 5: {
        if (model.empty() || !list::replace(tx, root(), list::seek(*segment_, root(), index), bytes)) return;
        model[index] = bytes;
        return;
      }
      case 6: {
        const bool after = random_() % 2;
        if (model.empty() || !list::insert(tx, root(), list::seek(*segment_, root(), index), after, bytes)) return;
        model.insert(model.begin() + static_cast<ptrdiff_t>(index + after), bytes);
        return;
      }
      case 7: {
        if (model.empty()) return;
        const list::Cursor behind = list::erase(tx, root(), list::seek(*segment_, root(), index));
        model.erase(model.begin() + static_cast<ptrdiff_t>(index));
        EXPECT_EQ(behind.is_end(), index == model.size());
        if (!behind.is_end()) {
          EXPECT_TRUE(text(list::element(*segment_, behind)) == model[index]);
        }
        return;
      }
      default: {
        const size_t dropped = std::min<size_t>(model.size(), random_() % 4);
        list::drop(tx, root(), end, dropped);
        for (size_t i = 0; i < dropped; ++i) end == End::kHead ? model.pop_front() : model.pop_back();
      }
    }
  }
};

TEST_F(ListTest, ARandomLifeAgreesWithADequeAndAnUndoLeavesNothing) {
  std::deque<std::string> model;
  for (int round = 0; round < 3000; ++round) {
    const bool undo = random_() % 3 == 0;
    std::deque<std::string> changed;
    const auto state = random_;
    run(
        [&](Transaction& tx) {
          random_ = state;  // a second try after growth does the same
          changed = model;
          for (auto changes = 1 + random_() % 3; changes > 0 && !tx.failed(); --changes) change(tx, changed);
        },
        undo);
    if (!undo) model = std::move(changed);
    if (round % 20 == 0) {
      ASSERT_NO_FATAL_FAILURE(expect_equal(model)) << "round " << round;
    }
  }
  expect_equal(model);
  destroy_in_steps(3);
}

TEST_F(ListTest, EveryIndexOfALongListIsFoundFromEitherEnd) {
  run([&](Transaction& tx) {
    for (int i = 0; i < 2000; ++i) list::push(tx, root(), i % 3 ? End::kTail : End::kHead, std::to_string(i));
  });
  list::Cursor cursor = list::first(*segment_, root());
  for (uint64_t index = 0; index < root().count; ++index, cursor = list::next(*segment_, cursor)) {
    const list::Cursor found = list::seek(*segment_, root(), index);
    ASSERT_EQ(found.node, cursor.node);
    ASSERT_EQ(found.at, cursor.at);
    ASSERT_EQ(found.index, cursor.index);
  }
  EXPECT_LT(root().blocks, 30u);  // packed: some hundred small elements a node
}

TEST_F(ListTest, AQueueThatRunsForeverStaysAsSmallAsItsContents) {
  run([&](Transaction& tx) { list::push(tx, root(), End::kHead, std::string(60, 'a')); });
  for (int i = 0; i < 5000; ++i) {
    run([&](Transaction& tx) {
      list::push(tx, root(), End::kHead, std::string(60, 'b'));
      list::pop(tx, root(), End::kTail).release(tx);
    });
  }
  ASSERT_TRUE(sound());
  EXPECT_LE(root().blocks, 2u);
}

TEST_F(ListTest, PushingAndPoppingJournalsAFewWords) {
  run([&](Transaction& tx) {
    for (int i = 0; i < 5; ++i) list::push(tx, root(), End::kTail, std::string(32, 'a'));
  });
  run([&](Transaction& tx) {
    list::push(tx, root(), End::kTail, std::string(32, 'a'));
    EXPECT_LE(tx.savepoint().words, 24u);
  });
  run([&](Transaction& tx) {
    list::pop(tx, root(), End::kHead);
    EXPECT_LE(tx.savepoint().words, 8u);
  });
}

}  // namespace
}  // namespace shoal
