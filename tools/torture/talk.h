// SPDX-License-Identifier: MIT
// talk.h: commands as words, answers as values, for workers and the model alike.
#pragma once

#include <atomic>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "commands/session.h"

namespace shoal::tool::chaos {

struct Answer {
  enum class Kind { kNull, kNumber, kText, kMany, kRefused, kFailed } kind = Kind::kNull;
  int64_t number = 0;
  std::string text;  // bytes; of kRefused and kFailed: why
  std::vector<Answer> items;

  // Nothing happened, and that is in order: the segment is full, or a holder is stopped for long.
  bool refused() const noexcept { return kind == Kind::kRefused; }
  bool failed() const noexcept { return kind == Kind::kFailed; }
  bool null() const noexcept { return kind == Kind::kNull; }
};

// Whether an operation that ended so did nothing, without anybody's fault.
bool is_refusal(const Status& status) noexcept;
// Whether it is refused because three processes in a row were killed in it.
bool is_convicted(std::string_view error) noexcept;

class Talk {
 public:
  // lifted: convictions that were; whoever kills at random convicts somebody now and then.
  Talk(std::shared_ptr<Process> process, std::atomic<uint64_t>& lifted)
      : session_(std::move(process)), lifted_(lifted) {}

  using Words = std::vector<std::string>;
  Answer operator()(const Words& words);
  // MULTI ... EXEC; kNull: a WATCH fired. An error of one of them is the error of all. It is not tried again, for its
  // WATCH is gone.
  Answer together(const std::vector<Words>& commands);
  Session& session() noexcept { return session_; }
  // As `shoal repair`: empty, or what is wrong with the segment.
  std::string lift_convictions();

 private:
  Answer finish(shoal::Outcome outcome);
  // Lifts what it is refused for, if it is: kRefused then, or what is wrong with the segment.
  Answer lifted(Answer answer);

  Session session_;
  std::atomic<uint64_t>& lifted_;
};

}  // namespace shoal::tool::chaos
