// SPDX-License-Identifier: MIT
// commands_fuzz.cc: the input is a list of commands of the table, with arguments that mean something to one or another
// of them, run on a tiny segment. Afterwards check() must find nothing, no lock may be held, and a database that nobody
// else touches must be what a model says: strings (SET, APPEND, GETSET, GETDEL, INCRBY, DEL, GET), lists (LPUSH, RPOP,
// LLEN), a hash (HSET, HGET), also two commands in a MULTI. A model is what the standard library has for it.
#include <fuzzer/FuzzedDataProvider.h>
#include <sys/mman.h>

#include <charconv>
#include <deque>
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
    const std::string number = std::to_string(input.ConsumeIntegralInRange(0, 3));
    const std::string value = word(input);
    switch (input.ConsumeIntegralInRange(0, 4)) {
      case 0:
        return run_string(session, input, "m" + number, value);
      case 1:
        return run_list(session, input, "l" + number, value);
      case 2:
        return run_hash(session, input, "f" + number, value);
      case 3:
        return run_both(session, "m" + number, "l" + number, value);
      default:
        return compare(session, "m" + number);
    }
  }

  void run_string(Session& session, FuzzedDataProvider& input, const std::string& key, const std::string& value) {
    switch (input.ConsumeIntegralInRange(0, 5)) {
      case 0:
        if (done(session, {"SET", key, value})) strings_[key] = value;
        break;
      case 1:
        if (done(session, {"APPEND", key, value})) strings_[key] += value;
        break;
      case 2:
        if (done(session, {"GETDEL", key})) strings_.erase(key);
        break;
      case 3:
        if (!done(session, {"GETSET", key, value})) break;
        expect_text(session, find(strings_, key), key);
        strings_[key] = value;
        break;
      case 4:
        if (!done(session, {"DEL", key})) break;
        expect_integer(session, strings_.count(key), key);
        strings_.erase(key);
        break;
      default:
        run_increment(session, key, input.ConsumeIntegral<int64_t>());
    }
  }

  // Fails where the value is no number, or the sum does not fit; else only in a full segment.
  void run_increment(Session& session, const std::string& key, int64_t by) {
    const std::string was = find(strings_, key).value_or("0");
    int64_t number = 0, sum = 0;
    const auto [end, error] = std::from_chars(was.data(), was.data() + was.size(), number);
    const bool whole = error == std::errc() && end == was.data() + was.size() && std::to_string(number) == was;
    const bool fits = whole && !__builtin_add_overflow(number, by, &sum);
    if (!done(session, {"INCRBY", key, std::to_string(by)})) return;
    if (!fits) fail("INCRBY of what is no number, or beyond all numbers: " + key);
    expect_integer(session, sum, key);
    strings_[key] = std::to_string(sum);
  }

  void run_list(Session& session, FuzzedDataProvider& input, const std::string& key, const std::string& value) {
    std::deque<std::string>& list = lists_[key];
    switch (input.ConsumeIntegralInRange(0, 2)) {
      case 0:
        if (!done(session, {"LPUSH", key, value})) break;
        list.push_front(value);
        expect_integer(session, list.size(), key);
        break;
      case 1:
        if (!done(session, {"RPOP", key})) break;
        expect_text(session, list.empty() ? std::nullopt : std::optional(list.back()), key);
        if (!list.empty()) list.pop_back();
        break;
      default:
        if (done(session, {"LLEN", key})) expect_integer(session, list.size(), key);
    }
  }

  void run_hash(Session& session, FuzzedDataProvider& input, const std::string& field, const std::string& value) {
    if (input.ConsumeBool()) {
      if (!done(session, {"HSET", "hash", field, value})) return;
      expect_integer(session, 1 - hash_.count(field), field);
      hash_[field] = value;
    } else if (done(session, {"HGET", "hash", field})) {
      expect_text(session, find(hash_, field), field);
    }
  }

  // All of it or nothing.
  void run_both(Session& session, const std::string& key, const std::string& list, const std::string& value) {
    (void)done(session, {"MULTI"});
    (void)done(session, {"SET", key, value});
    (void)done(session, {"LPUSH", list, value});
    if (!done(session, {"EXEC"})) return;
    strings_[key] = value;
    lists_[list].push_front(value);
    ReplyReader reader(session.reply());
    if (reader.tag() != Reply::Tag::kArray || reader.count() != 2) fail("EXEC of two commands answers something else");
  }

  // An error (the segment is full) changes nothing.
  static bool done(Session& session, const std::vector<std::string>& words) {
    if (fuzz::run(session, words) != Outcome::kReplied) fail("not run: " + words[0]);
    return ReplyReader(session.reply()).tag() != Reply::Tag::kError;
  }

  static std::optional<std::string> find(const std::map<std::string, std::string>& in, const std::string& key) {
    const auto known = in.find(key);
    return known == in.end() ? std::nullopt : std::optional(known->second);
  }
  static void expect_text(Session& session, const std::optional<std::string>& wanted, const std::string& where) {
    ReplyReader reader(session.reply());
    const bool text = reader.tag() == Reply::Tag::kBulk;
    if (text != wanted.has_value() || (text && reader.text() != *wanted))
      fail("another text than the model's: " + where);
  }
  static void expect_integer(Session& session, uint64_t wanted, const std::string& where) {
    ReplyReader reader(session.reply());
    if (reader.tag() != Reply::Tag::kInteger || reader.integer() != static_cast<int64_t>(wanted)) {
      fail("another number than the model's: " + where);
    }
  }

  void compare(Session& session, const std::string& key) {
    if (done(session, {"GET", key})) expect_text(session, find(strings_, key), key);
  }

  void compare_all(Session& session) {
    for (const char* key : {"m0", "m1", "m2", "m3"}) compare(session, key);
    for (const auto& [field, value] : hash_) {
      if (done(session, {"HGET", "hash", field})) expect_text(session, value, field);
    }
    for (const auto& [key, list] : lists_) {
      if (done(session, {"LLEN", key})) expect_integer(session, list.size(), key);
      for (size_t i = 0; i < list.size(); ++i) {
        if (done(session, {"LINDEX", key, std::to_string(i)})) expect_text(session, list[i], key);
      }
    }
  }

  Memory memory_;
  std::shared_ptr<Segment> segment_;
  std::shared_ptr<Process> process_;
  std::map<std::string, std::string> strings_, hash_;
  std::map<std::string, std::deque<std::string>> lists_;
};

}  // namespace
}  // namespace shoal::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  shoal::fuzz::World world;
  FuzzedDataProvider input(data, size);
  world.run(input);
  return 0;
}
