// SPDX-License-Identifier: MIT
// reply.h: what a command answers. A tape of tagged values in an arena of this thread, reserved before the locks are
// taken; the caller turns it into Python objects, RESP2, RESP3, C++ or Lua values after they fell.
//
// The arena never grows while a lock is held: when it is too small, overflow() is set, what follows is dropped, and
// call() undoes, enlarges and runs the command again.
//
//   tape: tag u8, then  integer i64 | double f64 | length u32 + bytes (bulk, simple, error) | count u32 (array, map,
//         set, push)
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>

#include "base/bytes.h"

namespace shoal {

class Reply {
 public:
  enum class Tag : uint8_t {
    kNull,
    kNullArray,
    kInteger,
    kDouble,
    kTrue,
    kFalse,
    kBulk,
    kSimple,
    kError,
    kArray,
    kMap,
    kSet
  };

  explicit Reply(size_t capacity = 16 * 1024) : bytes_(new char[capacity]), capacity_(capacity), limit_(capacity) {}

  void null() noexcept { tag(Tag::kNull); }
  void null_array() noexcept { tag(Tag::kNullArray); }  // RESP2 tells *-1 from $-1
  void integer(int64_t value) noexcept { scalar(Tag::kInteger, value); }
  void number(double value) noexcept { scalar(Tag::kDouble, value); }
  void boolean(bool value) noexcept { tag(value ? Tag::kTrue : Tag::kFalse); }
  void bulk(Bytes value) noexcept { text(Tag::kBulk, value); }
  void simple(Bytes value) noexcept { text(Tag::kSimple, value); }
  void ok() noexcept { simple("OK"); }
  // "ERR ...", "WRONGTYPE ...". One line in the protocol, whatever of a client's it quotes.
  void error(Bytes text_with_code) noexcept {
    text_with_code = text_with_code.substr(0, text_with_code.find_last_not_of("\r\n") + 1);
    text(Tag::kError, text_with_code);
    if (overflow_) return;
    for (char* c = bytes_.get() + used_ - text_with_code.size(); c != bytes_.get() + used_; ++c) {
      if (*c == '\r' || *c == '\n') *c = ' ';
    }
  }
  void array(uint32_t count) noexcept { scalar(Tag::kArray, count); }
  void map(uint32_t pairs) noexcept { scalar(Tag::kMap, pairs); }  // then key, value, key, value ...
  void set(uint32_t count) noexcept { scalar(Tag::kSet, count); }

  // A bulk of known length in pieces: begin_bulk(total), then append() until all of it was given.
  void begin_bulk(uint64_t total) noexcept { scalar(Tag::kBulk, static_cast<uint32_t>(total)); }
  void append(Bytes piece) noexcept { put(piece.data(), piece.size()); }
  // A bulk whose bytes the caller writes itself; nullptr on overflow.
  char* reserve_bulk(uint32_t bytes) noexcept {
    scalar(Tag::kBulk, bytes);
    if (overflow_ || bytes > limit_ - used_) {
      overflow_ = true;
      return nullptr;
    }
    used_ += bytes;
    return bytes_.get() + used_ - bytes;
  }

  // Gives a bulk that was reserved at `mark` (used() before) its final, shorter text; what follows it moves up.
  void fit_bulk(size_t mark, uint32_t reserved, Bytes text) noexcept {
    if (overflow_) return;
    const auto length = static_cast<uint32_t>(text.size());
    char* bulk = bytes_.get() + mark + 1 + sizeof length;
    std::memcpy(bulk - sizeof length, &length, sizeof length);
    std::memcpy(bulk, text.data(), length);
    std::memmove(bulk + length, bulk + reserved, used_ - mark - 1 - sizeof length - reserved);
    used_ -= reserved - length;
  }

  // Memory at the end of the arena for what a command collects before it answers, aligned for anything; nullptr on
  // overflow. The answer has what is left, until give_back_scratch().
  char* take_scratch(uint64_t bytes) noexcept {
    const size_t place = bytes > limit_ ? 0 : (limit_ - bytes) / kScratchAlign * kScratchAlign;
    if (overflow_ || bytes > limit_ || place < used_) {
      overflow_ = true;
      return nullptr;
    }
    limit_ = place;
    return bytes_.get() + place;
  }
  void give_back_scratch() noexcept { limit_ = capacity_; }

  // A collection whose count is known at its end.
  size_t begin(Tag tag) noexcept {
    scalar(tag, uint32_t{0});
    return used_ - sizeof(uint32_t);
  }
  void end(size_t mark, uint32_t count) noexcept {
    if (!overflow_) std::memcpy(bytes_.get() + mark, &count, sizeof count);
  }
  // Takes back everything since `mark` (from used()).
  void rewind(size_t mark) noexcept { used_ = mark; }

  void clear_overflow() noexcept { overflow_ = false; }

  size_t used() const noexcept { return used_; }
  const char* data() const noexcept { return bytes_.get(); }
  bool overflow() const noexcept { return overflow_; }
  void clear() noexcept {
    used_ = 0;
    overflow_ = false;
  }
  // Not while a lock is held.
  void enlarge() {
    resize(4 * capacity_);
    clear();
  }
  // An arena that one huge reply enlarged is not kept for ever.
  void shrink_to(size_t capacity) {
    if (capacity_ <= capacity) return;
    resize(capacity);
    clear();
  }
  size_t capacity() const noexcept { return capacity_; }

 private:
  static constexpr uint64_t kScratchAlign = 16;

  void resize(size_t capacity) {
    bytes_.reset(new char[capacity]);
    capacity_ = limit_ = capacity;
  }
  void put(const void* bytes, size_t count) noexcept {
    if (__builtin_expect(overflow_ || count > limit_ - used_, 0)) {
      overflow_ = true;
      return;
    }
    copy_bytes(bytes_.get() + used_, {static_cast<const char*>(bytes), count});
    used_ += count;
  }
  void tag(Tag value) noexcept { put(&value, 1); }
  template <typename T>
  void scalar(Tag kind, T value) noexcept {
    tag(kind);
    put(&value, sizeof value);
  }
  void text(Tag kind, Bytes value) noexcept {
    scalar(kind, static_cast<uint32_t>(value.size()));
    put(value.data(), value.size());
  }

  std::unique_ptr<char[]> bytes_;
  size_t used_ = 0, capacity_;
  size_t limit_;  // of the answer: below it used_, above it scratch
  bool overflow_ = false;
};

// Reads a tape from its beginning.
class ReplyReader {
 public:
  explicit ReplyReader(const Reply& reply) noexcept : at_(reply.data()), end_(reply.data() + reply.used()) {}
  ReplyReader(const char* begin, const char* end) noexcept : at_(begin), end_(end) {}

  bool done() const noexcept { return at_ == end_; }
  Reply::Tag tag() noexcept { return static_cast<Reply::Tag>(*at_++); }
  int64_t integer() noexcept { return take<int64_t>(); }
  double number() noexcept { return take<double>(); }
  uint32_t count() noexcept { return take<uint32_t>(); }
  Bytes text() noexcept {
    const auto bytes = take<uint32_t>();
    at_ += bytes;
    return {at_ - bytes, bytes};
  }
  const char* position() const noexcept { return at_; }

 private:
  template <typename T>
  T take() noexcept {
    T value;
    std::memcpy(&value, at_, sizeof value);
    at_ += sizeof value;
    return value;
  }
  const char* at_;
  const char* end_;
};

}  // namespace shoal
