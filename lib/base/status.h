// SPDX-License-Identifier: MIT
// status.h: what an operation that can fail gives back. A code, a short static text and one number; no heap, so a
// Status may be made between lock and unlock. Expected outcomes (missing, full ring, empty queue) are not errors: they
// are values of the function's own result. A broken invariant is neither: SHOAL_ASSERT aborts this process and the
// others recover.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>

namespace shoal {

enum class Code : uint8_t {
  kOk,
  kInvalidArgument,  // bad name, bad option: the text says which
  kNotFound,         // no such segment
  kExists,
  kPermission,        // wrong owner or mode
  kMismatch,          // foreign file, newer or older layout, other machine
  kRemoved,           // the segment was removed under its users
  kFull,              // no memory left in the segment, or /dev/shm too small
  kTooManyProcesses,  // no slot left
  kTooManyThreads,    // no context left
  kBusy,              // a lock was not had within the caller's budget
  kHolderStopped,     // the same, past the full budget: `number` is the holder's pid
  kCorrupt,           // damage beyond the journal
  kSystem,            // an OS call failed: `number` is errno
  kRedisError,        // the text is a Redis error ("ERR ...", "WRONGTYPE ...")
  kUnsupported,
};

class [[nodiscard]] Status {
 public:
  constexpr Status() noexcept = default;
  constexpr Status(Code code, const char* text, int64_t number = 0) noexcept
      : number_(number), text_(text), code_(code) {}

  constexpr bool ok() const noexcept { return code_ == Code::kOk; }
  constexpr Code code() const noexcept { return code_; }
  constexpr const char* text() const noexcept { return text_; }
  constexpr int64_t number() const noexcept { return number_; }

 private:
  int64_t number_ = 0;
  const char* text_ = "";
  Code code_ = Code::kOk;
};

// errno as a Status: the only place that does it. `what` is a static text ("open life file").
Status system_error(const char* what, int errnum) noexcept;

// Status with its number spelled out, for people.
std::string describe(const Status& status);

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}        // NOLINT: implicit by intent
  Result(Status status) noexcept : status_(status) {}  // NOLINT: implicit by intent

  bool ok() const noexcept { return value_.has_value(); }
  const Status& status() const noexcept { return status_; }
  T& value() & noexcept { return *value_; }
  const T& value() const& noexcept { return *value_; }
  T&& value() && noexcept { return std::move(*value_); }

 private:
  std::optional<T> value_;
  Status status_;
};

}  // namespace shoal

// A broken invariant. Never used for bad input, a full segment or a dead peer.
#define SHOAL_ASSERT(condition)                                                                      \
  do {                                                                                               \
    if (__builtin_expect(!(condition), 0)) {                                                         \
      std::fprintf(stderr, "shoal: broken invariant %s at %s:%d\n", #condition, __FILE__, __LINE__); \
      std::abort();                                                                                  \
    }                                                                                                \
  } while (false)
