// SPDX-License-Identifier: MIT
// commands_fuzz.cc: the input is a list of commands of the table, with arguments that mean something to one or another
// of them, run on a tiny segment. Afterwards check() must find nothing, no lock may be held, and the keys of a database
// that only SET, APPEND, GETDEL, GET and INCRBY touch must be what a std::map says.
#include <fuzzer/FuzzedDataProvider.h>
#include <sys/mman.h>

#include <map>
#include <optional>

#include "fuzz/run.h"

namespace shoal::fuzz {
namespace {

const char* const kWords[] = {
    "k0",
    "k1",
    "k2",
    "k3",
    "k4",
    "f1",
    "f2",
    "0",
    "1",
    "-1",
    "2",
    "3",
    "-3",
    "10",
    "100",
    "1.5",
    "-0",
    "inf",
    "-inf",
    "nan",
    "(1",
    "[a",
    "(b",
    "-",
    "+",
    "*",
    "k*",
    "[a-",
    "",
    "a",
    "b",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "1e300",
    "536870912",
    "EX",
    "PX",
    "EXAT",
    "PXAT",
    "KEEPTTL",
    "NX",
    "XX",
    "GT",
    "LT",
    "CH",
    "INCR",
    "GET",
    "PERSIST",
    "LIMIT",
    "COUNT",
    "MATCH",
    "TYPE",
    "BYSCORE",
    "BYLEX",
    "REV",
    "LEFT",
    "RIGHT",
    "BEFORE",
    "AFTER",
    "WITHSCORES",
    "WITHVALUES",
    "WEIGHTS",
    "AGGREGATE",
    "SUM",
    "MIN",
    "MAX",
    "RANK",
    "MAXLEN",
    "REPLACE",
    "DB",
    "AND",
    "OR",
    "XOR",
    "NOT",
    "BIT",
    "BYTE",
    "SET",
    "INCRBY",
    "OVERFLOW",
    "WRAP",
    "SAT",
    "FAIL",
    "u8",
    "i64",
    "u63",
    "#1",
    "string",
    "list",
    "hash",
    "set",
    "zset",
    "ASYNC",
    "USAGE",
    "ENCODING",
};

// Pages of zeros, made anew for each input.
class Memory {
 public:
  Memory() {
    void* got = ::mmap(nullptr, kSegmentBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (got == MAP_FAILED) fail("no memory");
    base_ = static_cast<std::byte*>(got);
  }
  ~Memory() { ::munmap(base_, kSegmentBytes); }
  std::byte* base() const { return base_; }

 private:
  std::byte* base_;
};

class World {
 public:
  World() : segment_(Segment::format_memory(memory_.base(), tiny_options()).value()), process_(attach(segment_)) {}

  void run(FuzzedDataProvider& input) {
    Session session(process_), modelled(process_, 15);
    for (int commands = 0; commands < 64 && input.remaining_bytes() > 0; ++commands) {
      if (input.ConsumeIntegralInRange(0, 7) == 0) {
        run_modelled(modelled, input);
      } else {
        run_any(session, input);
      }
    }
    if (session.in_multi()) (void)fuzz::run(session, {"EXEC"});
    compare_all(modelled);
    const CheckReport report = check(*segment_);
    if (!report.clean()) fail("check: " + describe(report.findings[0]));
    for (uint32_t shard = 0; shard < segment_->shard_count(); ++shard) {
      if (segment_->shard(shard).owner.load() != 0) fail("a lock is left held");
    }
  }

 private:
  static std::string word(FuzzedDataProvider& input) {
    switch (input.ConsumeIntegralInRange(0, 15)) {
      case 0:
        return input.ConsumeRandomLengthString(12);
      case 1:
        return std::string(input.ConsumeIntegralInRange<size_t>(0, 70'000), 'z');
      case 2:
        return std::to_string(input.ConsumeIntegral<int64_t>());
      default:
        return kWords[input.ConsumeIntegralInRange<size_t>(0, std::size(kWords) - 1)];
    }
  }

  // Whatever would reach the modelled database, or waits by itself.
  static bool left_out(const Command& command) {
    const std::string_view name = command.name;
    return command.handler == nullptr || name == "FLUSHALL" || name == "SELECT" || name == "MOVE" || name == "COPY" ||
           name == "HELLO" || name == "RESET";
  }

  void run_any(Session& session, FuzzedDataProvider& input) {
    const auto table = command_table();
    const Command& command = table[input.ConsumeIntegralInRange<size_t>(0, table.size() - 1)];
    const size_t count = input.ConsumeIntegralInRange<size_t>(0, 8);
    std::vector<std::string> words{command.name};
    if (const size_t bar = words[0].find('|'); bar != std::string::npos) {
      words = {words[0].substr(0, bar), words[0].substr(bar + 1)};
    }
    for (size_t each = 0; each < count; ++each) words.push_back(word(input));
    if (left_out(command)) return;
    const Outcome outcome = fuzz::run(session, words);
    if (outcome == Outcome::kPending) blocking::cancel(session);
    if (outcome == Outcome::kFailed || outcome == Outcome::kBusy) fail("not run: " + words[0]);
  }

  void run_modelled(Session& session, FuzzedDataProvider& input) {
    const std::string key = "m" + std::to_string(input.ConsumeIntegralInRange(0, 3));
    const std::string value = word(input);
    switch (input.ConsumeIntegralInRange(0, 3)) {
      case 0:
        if (done(session, {"SET", key, value})) model_[key] = value;
        break;
      case 1:
        if (done(session, {"APPEND", key, value})) model_[key] += value;
        break;
      case 2:
        if (done(session, {"GETDEL", key})) model_.erase(key);
        break;
      default:
        compare(session, key);
    }
  }

  // An error (the segment is full) changes nothing.
  static bool done(Session& session, const std::vector<std::string>& words) {
    if (fuzz::run(session, words) != Outcome::kReplied) fail("not run: " + words[0]);
    return ReplyReader(session.reply()).tag() != Reply::Tag::kError;
  }

  void compare(Session& session, const std::string& key) {
    (void)fuzz::run(session, {"GET", key});
    ReplyReader reader(session.reply());
    const Reply::Tag tag = reader.tag();
    if (tag == Reply::Tag::kError) return;
    const auto known = model_.find(key);
    const bool same =
        tag == Reply::Tag::kBulk ? known != model_.end() && reader.text() == known->second : known == model_.end();
    if (!same) fail("another value than the model's under " + key);
  }

  void compare_all(Session& session) {
    for (const char* key : {"m0", "m1", "m2", "m3"}) compare(session, key);
  }

  Memory memory_;
  std::shared_ptr<Segment> segment_;
  std::shared_ptr<Process> process_;
  std::map<std::string, std::string> model_;
};

}  // namespace
}  // namespace shoal::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  shoal::fuzz::World world;
  FuzzedDataProvider input(data, size);
  world.run(input);
  return 0;
}
