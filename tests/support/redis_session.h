// SPDX-License-Identifier: MIT
// redis_session.h: a segment of its own for a test, and commands as one writes them in redis-cli.
//
//   TestSegment segment;  TestSession r(segment);
//   EXPECT_EQ(r("SET a 1"), "OK");   EXPECT_EQ(r("LRANGE l 0 -1"), "[a, b]");
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "commands/session.h"
#include "support/fresh_name.h"

namespace shoal {

inline SegmentOptions tiny_segment_options() {
  SegmentOptions options;
  options.max_size = 64 * kMiB;
  options.shard_count = 4;
  options.context_count = 64;
  options.slot_count = 16;
  options.first_commit = 2 * kMiB;
  return options;
}

class TestSegment {
 public:
  explicit TestSegment(const SegmentOptions& options = tiny_segment_options()) {
    name_ = std::make_unique<SegmentName>(fresh_name("test"));
    auto opened = Segment::open(*name_, OpenMode::kAttachOrCreate, options);
    if (!opened.ok()) throw std::runtime_error(describe(opened.status()));
    segment_ = std::move(opened).value();
    process_ = attach();
  }
  ~TestSegment() {
    process_.reset();
    leave_nothing_of(*name_);
  }
  std::shared_ptr<Process> attach() {
    auto attached = Process::attach(segment_, shm::SlotRole::kClient);
    if (!attached.ok()) throw std::runtime_error(describe(attached.status()));
    return std::move(attached).value();
  }
  const std::shared_ptr<Process>& process() { return process_; }
  Segment& segment() { return *segment_; }
  const SegmentName& name() const { return *name_; }
  uint64_t waiting_keys() const {  // of which somebody waits in a blocking pop
    uint64_t count = 0;
    for (uint32_t i = 0; i < segment_->shard_count(); ++i) count += segment_->shard(i).waiters.count.load();
    return count;
  }

 private:
  std::unique_ptr<SegmentName> name_;
  std::shared_ptr<Segment> segment_;
  std::shared_ptr<Process> process_;
};

// The tape as text: "OK", "(nil)", "7", "[a, [b, 1.5]]", "{k: v}", "(error) ERR ...".
inline std::string show(ReplyReader& reader) {
  auto many = [&](uint32_t count, const char* open, const char* close, const char* inner) {
    std::string text = open;
    for (uint32_t i = 0; i < count; ++i) text += (i == 0 ? "" : i % 2 == 1 ? inner : ", ") + show(reader);
    return text + close;
  };
  using Tag = Reply::Tag;
  switch (reader.tag()) {
    case Tag::kNull:
      return "(nil)";
    case Tag::kNullArray:
      return "(nil array)";
    case Tag::kInteger:
      return std::to_string(reader.integer());
    case Tag::kDouble:
      return std::string(Bytes(format_float(reader.number())));
    case Tag::kTrue:
      return "true";
    case Tag::kFalse:
      return "false";
    case Tag::kBulk:
    case Tag::kSimple:
      return std::string(reader.text());
    case Tag::kError:
      return "(error) " + std::string(reader.text());
    case Tag::kArray:
      return many(reader.count(), "[", "]", ", ");
    case Tag::kSet:
      return many(reader.count(), "<", ">", ", ");
    case Tag::kMap:
      return many(2 * reader.count(), "{", "}", ": ");
  }
  return "(broken tape)";
}

class TestSession {
 public:
  explicit TestSession(TestSegment& segment, int protocol = 3) : session_(segment.process(), 0, protocol) {}
  explicit TestSession(std::shared_ptr<Process> process, int protocol = 3)
      : session_(std::move(process), 0, protocol) {}

  std::string run(const std::vector<std::string>& words) {
    std::vector<Bytes> arguments(words.begin(), words.end());
    return finish(session_.execute(arguments));
  }
  // Words parted by blanks; '' is an empty word.
  std::string operator()(const std::string& line) {
    std::vector<std::string> words;
    for (size_t at = 0; at < line.size();) {
      size_t end = line.find(' ', at);
      if (end == std::string::npos) end = line.size();
      if (end > at) words.push_back(line.substr(at, end - at) == "''" ? "" : line.substr(at, end - at));
      at = end + 1;
    }
    return run(words);
  }
  // Of the command that waits: its turn has come, or its time is up.
  std::string resume() { return finish(blocking::resume(session_, kLockBudgetNs)); }
  Session& session() { return session_; }

 private:
  std::string finish(Outcome outcome) {
    if (outcome == Outcome::kFailed) return "(failed) " + describe(session_.status());
    if (outcome != Outcome::kReplied) return outcome == Outcome::kBusy ? "(busy)" : "(pending)";
    ReplyReader reader(session_.reply());
    return show(reader);
  }
  Session session_;
};

}  // namespace shoal
