// SPDX-License-Identifier: MIT
#include "tools/torture/talk.h"

#include "commands/blocking.h"
#include "commands/check.h"

namespace shoal::tool::chaos {

namespace {

Answer read(ReplyReader& reader) {
  using Tag = Reply::Tag;
  Answer answer;
  const auto many = [&](uint32_t count) {
    answer.kind = Answer::Kind::kMany;
    for (uint32_t i = 0; i < count; ++i) {
      answer.items.push_back(read(reader));
      if (answer.items.back().failed() || answer.items.back().refused()) {
        answer.kind = answer.items.back().kind;
        answer.text = answer.items.back().text;
      }
    }
  };
  switch (reader.tag()) {
    case Tag::kNull:
    case Tag::kNullArray:
      break;
    case Tag::kInteger:
      answer.kind = Answer::Kind::kNumber;
      answer.number = reader.integer();
      break;
    case Tag::kDouble:
      answer.kind = Answer::Kind::kNumber;
      answer.number = static_cast<int64_t>(reader.number());
      break;
    case Tag::kTrue:
    case Tag::kFalse:
      answer.kind = Answer::Kind::kNumber;
      break;
    case Tag::kBulk:
    case Tag::kSimple:
      answer.kind = Answer::Kind::kText;
      answer.text = reader.text();
      break;
    case Tag::kError:
      answer.text = reader.text();
      answer.kind = answer.text.starts_with("OOM") ? Answer::Kind::kRefused : Answer::Kind::kFailed;
      break;
    case Tag::kArray:
    case Tag::kSet:
      many(reader.count());
      break;
    case Tag::kMap:
      many(2 * reader.count());
      break;
  }
  return answer;
}

}  // namespace

bool is_refusal(const Status& status) noexcept {
  return status.code() == Code::kFull || status.code() == Code::kHolderStopped ||
         status.code() == Code::kTooManyThreads || status.code() == Code::kTooManyProcesses;
}

Answer Talk::finish(shoal::Outcome outcome) {
  Answer answer;
  if (outcome == shoal::Outcome::kReplied) {
    ReplyReader reader(session_.reply());
    answer = read(reader);
    if (reader.done()) return answer;
    answer.kind = Answer::Kind::kFailed;
    answer.text = "two answers to one command";
    return answer;
  }
  const Status& status = session_.status();
  answer.kind =
      outcome == shoal::Outcome::kFailed && is_refusal(status) ? Answer::Kind::kRefused : Answer::Kind::kFailed;
  answer.text = outcome == shoal::Outcome::kFailed ? describe(status) : "neither answered nor failed";
  return answer;
}

bool is_convicted(std::string_view error) noexcept { return error.starts_with("READONLY"); }

std::string Talk::lift_convictions() {
  const auto report = repair_locked(session_.process(), false, kLockBudgetNs);
  if (!report.ok()) return is_refusal(report.status()) ? "" : describe(report.status());
  lifted_.fetch_add(report.value().convictions.size());
  return report.value().sound() ? "" : "a conviction stays, for the segment is damaged";
}

Answer Talk::lifted(Answer answer) {
  if (!answer.failed() || !is_convicted(answer.text)) return answer;
  std::string problem = lift_convictions();
  if (problem.empty()) answer.kind = Answer::Kind::kRefused;
  if (!problem.empty()) answer.text = std::move(problem);
  return answer;
}

Answer Talk::operator()(const Words& words) {
  const std::vector<Bytes> arguments(words.begin(), words.end());
  for (;;) {
    shoal::Outcome outcome = session_.execute(arguments);
    if (outcome == shoal::Outcome::kPending) outcome = blocking::wait(session_);
    Answer answer = lifted(finish(outcome));
    if (!answer.refused() || !is_convicted(answer.text)) return answer;
  }
}

Answer Talk::together(const std::vector<Words>& commands) {
  std::vector<std::vector<Bytes>> arguments;
  for (const Words& words : commands) arguments.emplace_back(words.begin(), words.end());
  return lifted(finish(session_.execute_atomically(arguments)));
}

}  // namespace shoal::tool::chaos
