// SPDX-License-Identifier: MIT
// cmd_bitmap.cc: strings as arrays of bits, the first one the highest of the first byte.
#include "commands/cmd_bitmap.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "commands/string_family.h"

namespace shoal {

namespace {

using shm::Entry;

constexpr const char* kBadOffset = "ERR bit offset is not an integer or out of range";
constexpr const char* kBadBit = "ERR bit is not an integer or out of range";

bool offset_arg(Call& call, size_t index, uint64_t& offset) noexcept {
  int64_t value = 0;
  if (!parse_integer(call.arg(index), value) || value < 0 || static_cast<uint64_t>(value) / 8 >= kValueBytesMax) {
    call.error(kBadOffset);
    return false;
  }
  offset = static_cast<uint64_t>(value);
  return true;
}

// Copies [from, from + bytes) of a string that may be missing or shorter; what lies behind its end is zero.
void copy_out(Call& call, const Entry* entry, uint64_t from, uint64_t bytes, char* place) noexcept {
  std::memset(place, 0, bytes);
  const uint64_t length = entry == nullptr ? 0 : string::length(*entry);
  if (from >= length) return;
  string::for_each_piece(call.segment(), *entry, from, std::min(bytes, length - from), [&](Bytes piece) {
    std::memcpy(place, piece.data(), piece.size());
    place += piece.size();
  });
}

// Overwrites up to 9 bytes of a string, which becomes as long as is needed; it may be missing. What stands there
// already is no change: no WATCH sees it. nullptr: no memory.
const Entry* write_bytes(Call& call, const Key& key, const Entry* entry, uint64_t offset, Bytes bytes) noexcept {
  if (entry != nullptr && offset + bytes.size() <= string::length(*entry)) {
    char there[9];
    copy_out(call, entry, offset, bytes.size(), there);
    if (std::memcmp(there, bytes.data(), bytes.size()) == 0) return entry;
  }
  if (entry == nullptr) entry = store_string(call, key, nullptr, {}, 0);
  return entry == nullptr ? nullptr : keyspace::write_range(call.tx(), key, *entry, offset, bytes);
}

// ---- Ranges of bits ----

// Bits [first, last] of a string; empty: first > last.
struct BitRange {
  int64_t first = 0, last = -1;
  bool end_given = false;
  bool empty() const noexcept { return first > last; }
};

// START END [BYTE|BIT] from `index` on, for a string of `length` bytes. False: answered.
bool range_args(Call& call, size_t index, uint64_t length, bool end_may_lack, BitRange& range) noexcept {
  const size_t given = call.argc() - index;
  const auto bits = static_cast<int64_t>(length * 8);
  range = {0, bits - 1, given >= 2};
  if (given == 0) return true;
  if (given > 3 || (given == 1 && !end_may_lack)) return call.error(kSyntaxError), false;
  int64_t start = 0, end = -1;
  if (!call.integer_arg(index, start)) return false;
  if (end_may_lack && given == 3 && !call.arg_is(index + 2, "BIT") && !call.arg_is(index + 2, "BYTE"))
    return call.error(kSyntaxError), false;
  if (given >= 2 && !call.integer_arg(index + 1, end)) return false;
  if (!end_may_lack && start < 0 && end < 0 && start > end) {
    range = {};
    return true;
  }
  const bool in_bits = given == 3 && call.arg_is(index + 2, "BIT");
  if (given == 3 && !in_bits && !call.arg_is(index + 2, "BYTE")) return call.error(kSyntaxError), false;
  const int64_t total = in_bits ? bits : static_cast<int64_t>(length);
  if (start < 0) start = std::max<int64_t>(start + total, 0);
  if (end < 0) end = std::max<int64_t>(end + total, 0);
  end = std::min(end, total - 1);
  const int64_t unit = in_bits ? 1 : 8;
  if (start > end) {
    range = {0, -1, range.end_given};
  } else {
    range = {start * unit, end * unit + unit - 1, range.end_given};
  }
  return true;
}

// Calls visit(byte, number) for the bytes of the range, what lies outside of it set to `outside`; until it says false.
template <typename Visit>
void for_each_byte(Call& call, const Entry& entry, const BitRange& range, bool outside, Visit&& visit) noexcept {
  const int64_t first = range.first / 8, last = range.last / 8;
  const auto head = static_cast<uint8_t>(0xff >> range.first % 8),
             tail = static_cast<uint8_t>(0xff00 >> (range.last % 8 + 1));
  int64_t number = first;
  bool more = true;
  string::for_each_piece(
      call.segment(), entry, static_cast<uint64_t>(first), static_cast<uint64_t>(last - first + 1), [&](Bytes piece) {
        for (size_t i = 0; more && i < piece.size(); ++i, ++number) {
          const auto inside = static_cast<uint8_t>((number == first ? head : 0xff) & (number == last ? tail : 0xff));
          const auto byte = static_cast<uint8_t>(piece[i]);
          more = visit(static_cast<uint8_t>(outside ? byte | ~inside : byte & inside), number);
        }
      });
}

// ---- Fields of bits: BITFIELD ----

enum class Overflow { kWrap, kSaturate, kFail };

struct FieldType {
  bool is_signed = false;
  uint32_t bits = 0;
};

struct FieldOperation {
  enum class Kind { kGet, kSet, kIncrement } kind = Kind::kGet;
  FieldType type;
  uint64_t offset = 0;
  int64_t operand = 0;
  Overflow overflow = Overflow::kWrap;
};

bool field_type_arg(Call& call, size_t index, FieldType& type) noexcept {
  const Bytes text = call.arg(index);
  int64_t bits = 0;
  const bool is_signed = !text.empty() && text[0] == 'i', is_unsigned = !text.empty() && text[0] == 'u';
  if ((!is_signed && !is_unsigned) || !parse_integer(text.substr(1), bits) || bits < 1 ||
      bits > (is_signed ? 64 : 63)) {
    call.error("ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.");
    return false;
  }
  type = {is_signed, static_cast<uint32_t>(bits)};
  return true;
}

// "#3" counts in fields of this size.
bool field_offset_arg(Call& call, size_t index, uint32_t bits, uint64_t& offset) noexcept {
  Bytes text = call.arg(index);
  const bool counts_fields = !text.empty() && text[0] == '#';
  if (counts_fields) text.remove_prefix(1);
  int64_t value = 0;
  if (!parse_integer(text, value) || (counts_fields && __builtin_mul_overflow(value, int64_t{bits}, &value)) ||
      value < 0 || static_cast<uint64_t>(value) / 8 >= kValueBytesMax) {
    call.error(kBadOffset);
    return false;
  }
  offset = static_cast<uint64_t>(value);
  return true;
}

// Reads the operation that stands at `index` and moves behind it. False: answered.
bool next_operation(Call& call, size_t& index, Overflow& overflow, FieldOperation& operation) noexcept {
  using Kind = FieldOperation::Kind;
  const size_t behind = call.argc() - index - 1;
  if (call.arg_is(index, "GET") && behind >= 2) {
    operation.kind = Kind::kGet;
  } else if (call.arg_is(index, "SET") && behind >= 3) {
    operation.kind = Kind::kSet;
  } else if (call.arg_is(index, "INCRBY") && behind >= 3) {
    operation.kind = Kind::kIncrement;
  } else {
    return call.error(kSyntaxError), false;
  }
  operation.overflow = overflow;
  if (!field_type_arg(call, index + 1, operation.type) ||
      !field_offset_arg(call, index + 2, operation.type.bits, operation.offset))
    return false;
  const bool reads = operation.kind == Kind::kGet;
  if (!reads && !call.integer_arg(index + 3, operation.operand)) return false;
  index += reads ? 3 : 4;
  return true;
}

bool overflow_word(Call& call, size_t& index, Overflow& overflow) noexcept {
  if (call.arg_is(index + 1, "WRAP")) {
    overflow = Overflow::kWrap;
  } else if (call.arg_is(index + 1, "SAT")) {
    overflow = Overflow::kSaturate;
  } else if (call.arg_is(index + 1, "FAIL")) {
    overflow = Overflow::kFail;
  } else {
    return call.error("ERR Invalid OVERFLOW type specified"), false;
  }
  index += 2;
  return true;
}

// visit(operation) for each of them. False: one is malformed; answered.
template <typename Visit>
bool for_each_operation(Call& call, Visit&& visit) noexcept {
  Overflow overflow = Overflow::kWrap;
  for (size_t index = 2; index < call.argc();) {
    if (call.arg_is(index, "OVERFLOW") && index + 1 < call.argc()) {
      if (!overflow_word(call, index, overflow)) return false;
      continue;
    }
    FieldOperation operation;
    if (!next_operation(call, index, overflow, operation)) return false;
    visit(operation);
  }
  return true;
}

// A field as it lies in at most nine bytes, from bit offset % 8 of the first one on.
uint64_t raw_field(const char* bytes, uint64_t offset, uint32_t bits) noexcept {
  uint64_t value = 0;
  for (uint64_t bit = offset % 8; bit < offset % 8 + bits; ++bit) {
    value = value << 1 | (static_cast<uint8_t>(bytes[bit / 8]) >> (7 - bit % 8) & 1);
  }
  return value;
}
void put_raw_field(char* bytes, uint64_t offset, uint32_t bits, uint64_t value) noexcept {
  for (uint64_t bit = offset % 8 + bits; bit-- > offset % 8; value >>= 1) {
    const auto mask = static_cast<uint8_t>(0x80 >> bit % 8);
    auto byte = static_cast<uint8_t>(bytes[bit / 8]);
    byte = static_cast<uint8_t>((value & 1) != 0 ? byte | mask : byte & ~mask);
    bytes[bit / 8] = static_cast<char>(byte);
  }
}

using Wide = __int128;

Wide number_of(uint64_t raw, FieldType type) noexcept {
  if (!type.is_signed) return raw;
  const uint32_t unused = 64 - type.bits;
  return static_cast<int64_t>(raw << unused) >> unused;
}

// Brings a number into the type's range as OVERFLOW says. False: it does not fit and is to be refused.
bool fit(Wide& number, FieldType type, Overflow overflow) noexcept {
  const Wide most = type.is_signed ? (Wide{1} << (type.bits - 1)) - 1 : (Wide{1} << type.bits) - 1;
  const Wide least = type.is_signed ? -most - 1 : 0;
  if (number >= least && number <= most) return true;
  if (overflow == Overflow::kFail) return false;
  if (overflow == Overflow::kSaturate) {
    number = number > most ? most : least;
  } else {
    const uint64_t mask = type.bits == 64 ? ~uint64_t{0} : (uint64_t{1} << type.bits) - 1;
    number = number_of(static_cast<uint64_t>(number) & mask, type);
  }
  return true;
}

// Carries one operation out and answers it. The entry afterwards: writing may move it.
const Entry* run_operation(Call& call, const Key& key, const Entry* entry, const FieldOperation& operation) noexcept {
  using Kind = FieldOperation::Kind;
  const uint64_t from = operation.offset / 8, bytes = (operation.offset % 8 + operation.type.bits + 7) / 8;
  char field[9];
  copy_out(call, entry, from, bytes, field);
  const Wide old = number_of(raw_field(field, operation.offset, operation.type.bits), operation.type);
  if (operation.kind == Kind::kGet) {
    call.reply().integer(static_cast<int64_t>(old));
    return entry;
  }
  // What SET is given counts as a number of the field's own kind: -1 is the largest one in an unsigned field.
  Wide number = operation.type.is_signed ? Wide{operation.operand} : Wide{static_cast<uint64_t>(operation.operand)};
  if (operation.kind == Kind::kIncrement) number = old + operation.operand;
  if (!fit(number, operation.type, operation.overflow)) {
    call.reply().null();
    return entry;
  }
  call.reply().integer(static_cast<int64_t>(operation.kind == Kind::kSet ? old : number));
  put_raw_field(field, operation.offset, operation.type.bits, static_cast<uint64_t>(number));
  return write_bytes(call, key, entry, from, {field, bytes});
}

}  // namespace

void cmd_getbit(Call& call) {
  uint64_t offset;
  if (!offset_arg(call, 2, offset)) return;
  bool wrong;
  const Entry* entry = as_string(call, call.read(call.key(1)), wrong);
  if (wrong) return;
  char byte;
  copy_out(call, entry, offset / 8, 1, &byte);
  call.reply().integer(static_cast<uint8_t>(byte) >> (7 - offset % 8) & 1);
}

void cmd_setbit(Call& call) {
  uint64_t offset;
  int64_t bit;
  if (!offset_arg(call, 2, offset) || !call.integer_arg(3, bit, kBadBit)) return;
  if (bit != 0 && bit != 1) return call.error(kBadBit);
  const Key key = call.key(1);
  bool wrong;
  const Entry* entry = as_string(call, call.write(key), wrong);
  if (wrong) return;
  char byte;
  copy_out(call, entry, offset / 8, 1, &byte);
  call.reply().integer(static_cast<int64_t>(raw_field(&byte, offset, 1)));
  put_raw_field(&byte, offset, 1, static_cast<uint64_t>(bit));
  write_bytes(call, key, entry, offset / 8, {&byte, 1});
}

void cmd_bitcount(Call& call) {
  bool wrong;
  const Entry* entry = as_string(call, call.read(call.key(1)), wrong);
  if (wrong) return;
  if (entry == nullptr) return call.reply().integer(0);
  BitRange range;
  if (!range_args(call, 2, string::length(*entry), false, range)) return;
  int64_t count = 0;
  if (!range.empty()) {
    for_each_byte(call, *entry, range, false, [&](uint8_t byte, int64_t) {
      count += std::popcount(byte);
      return true;
    });
  }
  call.reply().integer(count);
}

void cmd_bitpos(Call& call) {
  int64_t bit;
  if (!call.integer_arg(2, bit)) return;
  if (bit != 0 && bit != 1) return call.error("ERR The bit argument must be 1 or 0.");
  bool wrong;
  const Entry* entry = as_string(call, call.read(call.key(1)), wrong);
  if (wrong) return;
  if (entry == nullptr) return call.reply().integer(bit == 1 ? -1 : 0);
  BitRange range;
  if (!range_args(call, 3, string::length(*entry), true, range)) return;
  if (range.empty()) return call.reply().integer(-1);
  int64_t position = -1;
  for_each_byte(call, *entry, range, bit == 0, [&](uint8_t byte, int64_t number) {
    const auto wanted = static_cast<uint8_t>(bit == 1 ? byte : ~byte);
    if (wanted != 0) position = number * 8 + std::countl_zero(wanted);
    return wanted == 0;
  });
  // The string is followed by zeros without end, unless its end was given.
  if (position < 0 && bit == 0 && !range.end_given) position = range.last + 1;
  call.reply().integer(position);
}

void cmd_bitop(Call& call) {
  const bool is_not = call.arg_is(1, "NOT"), is_and = call.arg_is(1, "AND"), is_or = call.arg_is(1, "OR");
  if (!is_not && !is_and && !is_or && !call.arg_is(1, "XOR")) return call.error(kSyntaxError);
  if (is_not && call.argc() != 4) return call.error("ERR BITOP NOT must be called with a single source key.");
  uint64_t longest = 0;
  for (size_t i = 3; i < call.argc(); ++i) {
    bool wrong;
    const Entry* source = as_string(call, call.read(call.key(i)), wrong);
    if (wrong) return;
    if (source != nullptr) longest = std::max(longest, string::length(*source));
  }
  const Key target = call.key(2);
  const Entry* existing = call.write(target);
  if (longest == 0) {
    if (existing != nullptr) call.remove(target, *existing);
    return call.reply().integer(0);
  }
  keyspace::set_filled(call.tx(), target, existing, longest, 0, [&](uint64_t from, char* place, uint64_t bytes) {
    copy_out(call, call.read(call.key(3)), from, bytes, place);
    for (uint64_t i = 0; is_not && i < bytes; ++i) place[i] = static_cast<char>(~place[i]);
    char other[4096];
    for (size_t source = 4; source < call.argc(); ++source) {
      for (uint64_t at = 0; at < bytes; at += sizeof other) {
        const uint64_t part = std::min<uint64_t>(sizeof other, bytes - at);
        copy_out(call, call.read(call.key(source)), from + at, part, other);
        for (uint64_t i = 0; i < part; ++i) {
          char& byte = place[at + i];
          byte = static_cast<char>(is_and ? byte & other[i] : is_or ? byte | other[i] : byte ^ other[i]);
        }
      }
    }
  });
  call.reply().integer(static_cast<int64_t>(longest));
}

void cmd_bitfield(Call& call) {
  using Kind = FieldOperation::Kind;
  uint32_t operations = 0;
  uint64_t bytes_needed = 0;
  const bool well_formed = for_each_operation(call, [&](const FieldOperation& operation) {
    ++operations;
    if (operation.kind != Kind::kGet)
      bytes_needed = std::max(bytes_needed, (operation.offset + operation.type.bits - 1) / 8 + 1);
  });
  if (!well_formed) return;
  const bool writes = bytes_needed > 0;
  if (writes && (call.command().flags & kWrite) == 0)
    return call.error("ERR BITFIELD_RO only supports the GET subcommand");
  const Key key = call.key(1);
  bool wrong;
  const Entry* entry = as_string(call, writes ? call.write(key) : call.read(key), wrong);
  if (wrong) return;
  if (writes && bytes_needed > (entry == nullptr ? 0 : string::length(*entry))) {
    entry = write_bytes(call, key, entry, bytes_needed - 1, Bytes("\0", 1));
    if (entry == nullptr) return;
  }
  call.reply().array(operations);
  for_each_operation(call, [&](const FieldOperation& operation) {
    if (!call.tx().failed()) entry = run_operation(call, key, entry, operation);
  });
}

}  // namespace shoal
