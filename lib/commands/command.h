// SPDX-License-Identifier: MIT
// command.h: the row of a command, and what its handler sees.
//
// A new command is a function void cmd_x(Call&) in the file of its family, one row in table.cc, and a test. call()
// reads the row and does what must not be forgotten: arity, locks of the shards of its keys, transaction, growth, log,
// wakes. The handler holds only its idea; it runs under the locks of its keys' shards: no system call, no exception, no
// allocation.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/glob.h"
#include "base/status.h"
#include "commands/reply.h"
#include "keyspace/keyspace.h"

namespace shoal {

class Call;
class Session;

enum class Group : uint8_t {
  kConnection,
  kServer,
  kGeneric,
  kString,
  kList,
  kHash,
  kSet,
  kSortedSet,
  kPubSub,
  kTransactions
};

// argc counts the command's name.
struct Arity {
  int32_t least, most;
  static constexpr Arity exactly(int32_t n) { return {n, n}; }
  static constexpr Arity at_least(int32_t n) { return {n, INT32_MAX}; }
  static constexpr Arity between(int32_t a, int32_t b) { return {a, b}; }
};

// Arguments first, first + step, ... last (negative: from the end) are keys; first = 0: no keys.
struct KeyPositions {
  int16_t first = 0, last = 0, step = 1;
};
inline constexpr KeyPositions kNoKeys{}, kFirstKey{1, 1, 1}, kAllKeys{1, -1, 1}, kTwoKeys{1, 2, 1};

enum CommandFlag : uint32_t {
  kWrite = 1u << 0,  // may change the keyspace; refused by a read-only shard
  kReadOnly = 1u << 1,
  kFast = 1u << 2,       // O(1) or O(log n)
  kBlocking = 1u << 3,   // may answer "not yet" (Call::block)
  kAllShards = 1u << 4,  // works on the whole keyspace at once
  kSession = 1u << 5,    // works on the session, without locks or transaction (SELECT, PING, MULTI ...); it may lock by
                         // itself for session.budget_ns() and session.fail(), and inside EXEC has what
                         // Command::shards says
  kNotInMulti = 1u << 6,  // refused inside MULTI
  kNumKeys = 1u << 7,  // the argument at keys.first counts the keys that follow it (ZUNION numkeys ...); keys before it
                       // are given by keys.last (a destination at position keys.last, 0 = none)
};

using Handler = void (*)(Call& call);
// For commands whose shards do not follow from key positions (SCAN: its cursor's).
using ShardsOf = uint64_t (*)(const Segment& segment, std::span<const Bytes> arguments, uint32_t database) noexcept;
// Answers without a lock or says false: then what it wrote is dropped and the handler runs under the lock. Reads
// through
// Snapshot only.
using OptimisticHandler = bool (*)(Call& call);

struct Command {
  const char* name;  // upper case; a subcommand's row is "CLIENT|SETNAME"
  Handler handler;   // nullptr: a family whose members are rows of their own (CLIENT)
  Group group;
  Arity arity;
  uint32_t flags;
  KeyPositions keys;
  const char* summary;
  const char* complexity;
  OptimisticHandler optimistic = nullptr;
  ShardsOf shards = nullptr;
};

std::span<const Command> command_table() noexcept;
// Case-insensitive; nullptr if there is none. `name` may be "CLIENT" with subcommand "SETNAME".
const Command* find_command(Bytes name) noexcept;

inline constexpr const char* kWrongType = "WRONGTYPE Operation against a key holding the wrong kind of value";
inline constexpr const char* kSyntaxError = "ERR syntax error";
inline constexpr const char* kNotAnInteger = "ERR value is not an integer or out of range";
inline constexpr const char* kNotAFloat = "ERR value is not a valid float";
inline constexpr const char* kNoSuchKey = "ERR no such key";
inline constexpr const char* kOutOfRange = "ERR index out of range";
inline constexpr const char* kStringTooLong = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
// What takes time with the square of its keys, with all their shards locked, refuses more.
inline constexpr size_t kCombinedKeysMax = 32'000;
inline constexpr const char* kTooManyKeys = "ERR too many keys in one command: it takes at most 32000";

// The number of a database. nullptr, or the error.
const char* parse_database(Bytes text, uint32_t& database) noexcept;

// What a look-up by type gives: the root, or nothing, or a wrong type that has already been answered.
template <typename Root>
struct Found {
  const shm::Entry* entry = nullptr;
  const Root* root = nullptr;
  bool wrong_type = false;
};

class Call {
 public:
  Call(Session& session, const Command& command, std::span<const Bytes> arguments, Transaction* tx,
       Reply& reply) noexcept;

  // ---- Arguments: private memory, copied before the locks ----
  size_t argc() const noexcept { return arguments_.size(); }
  Bytes arg(size_t index) const noexcept { return arguments_[index]; }
  std::span<const Bytes> arguments() const noexcept { return arguments_; }
  bool arg_is(size_t index, const char* upper_case_word) const noexcept;
  bool integer_arg(size_t index, int64_t& value, const char* error_text = kNotAnInteger) noexcept;  // false: answered
  bool float_arg(size_t index, double& value, const char* error_text = kNotAFloat) noexcept;

  // ---- Answers ----
  Reply& reply() noexcept { return reply_; }
  void error(Bytes text) noexcept;  // the command fails: undone, this text
  bool failed() const noexcept { return failed_; }
  bool resp3() const noexcept;

  // ---- Surroundings ----
  Session& session() noexcept { return session_; }
  const Command& command() const noexcept { return command_; }
  Transaction& tx() noexcept { return *tx_; }
  const Segment& segment() noexcept;
  uint32_t database() const noexcept;
  int64_t now_ms() noexcept;   // wall clock, the same for the whole command
  uint64_t random() noexcept;  // of this thread

  // ---- Keys ----
  Key key(size_t argument) noexcept;
  // Live entries of any type.
  const shm::Entry* read(const Key& key) noexcept {
    return keyspace::find_for_read(segment(), key, [this] { return now_ms(); });
  }
  const shm::Entry* write(const Key& key) noexcept {
    return keyspace::find_for_write(*tx_, home(key), [this] { return now_ms(); });
  }
  // The same for one type: the root in the entry.
  template <typename Root>
  Found<Root> read(const Key& key) noexcept {
    return typed<Root>(read(key));
  }
  template <typename Root>
  Found<Root> write(const Key& key) noexcept {
    return typed<Root>(write(key));
  }
  // A new, zeroed root under a key that has no live entry. entry = nullptr when the segment is full.
  template <typename Root>
  Found<Root> create(const Key& key) noexcept {
    const shm::Entry* entry = keyspace::create(*tx_, home(key), RootOf<Root>::type, Encoding::kInline, sizeof(Root));
    if (entry == nullptr) return {};
    std::memset(keyspace::fresh_value(*tx_, *entry), 0, sizeof(Root));
    return {entry, &entry->root<Root>(), false};
  }
  // Tells that the key's value changed (WATCH, notifications). Once a command and key, when everything was written.
  void changed(const Key& key, const shm::Entry& entry) noexcept { keyspace::touch(*tx_, key, entry); }
  void remove(const Key& key, const shm::Entry& entry) noexcept { keyspace::remove(*tx_, home(key), entry); }
  // A list or sorted set got elements: those who block on the key are woken after the commit (keyspace/waiters.h).
  void ready(const Key& key) noexcept;

  // A blocking command found nothing: not answered now. See commands/blocking.h.
  void block() noexcept { blocked_ = true; }
  bool blocked() const noexcept { return blocked_; }
  // Inside MULTI/EXEC or a script: a blocking command answers as after its time-out.
  bool may_block() const noexcept;

 private:
  template <typename Root>
  Found<Root> typed(const shm::Entry* entry) noexcept {
    if (entry == nullptr) return {};
    if (entry->type() != RootOf<Root>::type) {
      error(kWrongType);
      return {nullptr, nullptr, true};
    }
    return {entry, &entry->root<Root>(), false};
  }
  // What the transaction allocates now belongs to this key's shard.
  const Key& home(const Key& key) noexcept {
    tx_->set_home(key.shard);
    return key;
  }

  Session& session_;
  const Command& command_;
  std::span<const Bytes> arguments_;
  Transaction* tx_;
  Reply& reply_;
  size_t reply_start_;
  int64_t now_ms_ = 0;
  bool failed_ = false;
  bool blocked_ = false;
};

// Whether `text` is this upper-case word, in any case.
bool is_word(Bytes text, const char* upper_case_word) noexcept;
// Text and numbers as Redis reads and writes them.
bool parse_integer(Bytes text, int64_t& value) noexcept;
// strtod of the whole text, but with a decimal point in every locale; false: something stands behind it, or it is nan.
bool read_double(const char* text, double& value) noexcept;
bool parse_float(Bytes text, double& value) noexcept;  // accepts inf, +inf, -inf; refuses nan and blanks
// As strtod has it, up to a zero byte: blanks may lead, nothing is 0, what is too large is infinity. Refuses nan, and
// what has more than 511 bytes.
bool parse_score_limit(Bytes text, double& value) noexcept;
struct NumberText {
  std::array<char, 48> bytes;
  uint32_t length;
  operator Bytes() const noexcept { return {bytes.data(), length}; }  // NOLINT
};
NumberText format_integer(int64_t value) noexcept;
NumberText format_float(double value) noexcept;  // shortest that reads back, %.17g like Redis where it differs
// INCRBYFLOAT, HINCRBYFLOAT: 17 decimals without trailing zeros.
bool parse_long_double(Bytes text, long double& value) noexcept;
struct LongFloatText {
  std::array<char, 352> bytes;
  uint32_t length;
  operator Bytes() const noexcept { return {bytes.data(), length}; }  // NOLINT
};
LongFloatText format_long_double(long double value) noexcept;

}  // namespace shoal
