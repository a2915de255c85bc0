// SPDX-License-Identifier: MIT
// cmd_sort.cc: SORT and SORT_RO: the elements of a list, set or sorted set in an order of their own, by what they say
// or by what other keys say about them.
//
// What is sorted, and copies of what does not lie in one piece, stand in the scratch end of the reply's arena: there is
// no heap under the lock, and a read leaves nothing in the segment. Which keys BY and GET name is known only from the
// elements, so a command with such a pattern locks all shards.
//
// Dies at any line: SORT ... STORE is one transaction, all else changes nothing.
#include "commands/cmd_sort.h"

#include <cerrno>
#include <cstdlib>
#include <memory>

#include "commands/family.h"
#include "types/hash.h"
#include "types/list.h"
#include "types/set.h"
#include "types/sorted_set.h"
#include "types/string.h"

namespace shoal {

namespace {

constexpr const char* kNotADouble = "ERR One or more scores can't be converted into double";

// ---- The request ----

struct Request {
  Bytes by;
  bool has_by = false, descending = false, alpha = false;
  size_t gets = 0;    // how many GET there are
  size_t target = 0;  // the argument that names the key to store to, 0 = none
  int64_t skip = 0, limit = -1;
};

// Where a pattern's star stands. It ends at a zero byte, as in Redis.
size_t star_of(Bytes pattern) noexcept { return pattern.substr(0, pattern.find('\0')).find('*'); }

// f(pattern) for each GET.
template <typename Visit>
void for_each_get(std::span<const Bytes> arguments, Visit&& visit) noexcept {
  for (size_t i = 2; i < arguments.size(); ++i) {
    if (is_word(arguments[i], "LIMIT")) {
      i += 2;
    } else if (is_word(arguments[i], "GET")) {
      visit(arguments[++i]);
    } else if (is_word(arguments[i], "BY") || is_word(arguments[i], "STORE")) {
      ++i;
    }
  }
}

// nullptr, or the error.
const char* parse(std::span<const Bytes> arguments, Request& request) noexcept {
  const bool stores = !is_word(arguments[0], "SORT_RO");
  for (size_t i = 2; i < arguments.size(); ++i) {
    const size_t left = arguments.size() - i - 1;
    if (is_word(arguments[i], "ASC") || is_word(arguments[i], "DESC")) {
      request.descending = is_word(arguments[i], "DESC");
    } else if (is_word(arguments[i], "ALPHA")) {
      request.alpha = true;
    } else if (is_word(arguments[i], "LIMIT") && left >= 2) {
      if (!parse_integer(arguments[i + 1], request.skip) || !parse_integer(arguments[i + 2], request.limit))
        return kNotAnInteger;
      i += 2;
    } else if (stores && is_word(arguments[i], "STORE") && left >= 1) {
      request.target = ++i;
    } else if (is_word(arguments[i], "BY") && left >= 1) {
      request.by = arguments[++i];
      request.has_by = true;
    } else if (is_word(arguments[i], "GET") && left >= 1) {
      ++i;
      ++request.gets;
    } else {
      return kSyntaxError;
    }
  }
  return nullptr;
}

// ---- What is sorted ----

struct Item {
  Bytes element;
  Bytes text;  // what it is sorted by
  bool missing = false;
  double score = 0;  // the text as a number
};

// Scratch memory of the reply's arena, given back at the end.
class Scratch {
 public:
  explicit Scratch(Call& call) noexcept : call_(call) {}
  ~Scratch() { call_.reply().give_back_scratch(); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  char* take(uint64_t bytes) noexcept { return call_.reply().take_scratch(bytes); }
  // In one piece, where it lies or as a copy; empty on overflow.
  Bytes whole(const StoredBytes& stored) noexcept {
    if (!stored.is_blob()) return stored.inside;
    char* copy = take(stored.size());
    if (copy == nullptr) return {};
    char* end = copy;
    stored.for_each_piece(call_.segment(), [&](Bytes piece) {
      std::memcpy(end, piece.data(), piece.size());
      end += piece.size();
    });
    return {copy, stored.size()};
  }

 private:
  Call& call_;
};

struct Sorted {
  Item* items = nullptr;
  uint64_t count = 0;
  std::span<Item> all() const noexcept { return {items, count}; }
};

void add(Sorted& sorted, Bytes element) noexcept { sorted.items[sorted.count++].element = element; }

// Makes room for `count` items; false: none.
bool make_room(Scratch& scratch, uint64_t count, Sorted& sorted) noexcept {
  char* place = scratch.take(count * sizeof(Item));
  if (place == nullptr) return false;
  sorted.items = reinterpret_cast<Item*>(place);
  std::uninitialized_value_construct_n(sorted.items, count);
  return true;
}

bool read_list(Call& call, Scratch& scratch, const shm::ListRoot& root, Sorted& sorted) noexcept {
  if (!make_room(scratch, root.count, sorted)) return false;
  for (auto at = list::first(call.segment(), root); !at.is_end(); at = list::next(call.segment(), at)) {
    add(sorted, scratch.whole(list::element(call.segment(), at)));
  }
  return !call.reply().overflow();
}

bool read_set(Call& call, Scratch& scratch, const shm::SetRoot& root, Sorted& sorted) noexcept {
  if (!make_room(scratch, set::count(root), sorted)) return false;
  set::for_each(call.segment(), root, [&](Bytes member) { add(sorted, member); });
  return true;
}

bool read_sorted_set(Call& call, Scratch& scratch, const shm::SortedSetRoot& root, Sorted& sorted) noexcept {
  if (!make_room(scratch, sorted_set::count(root), sorted)) return false;
  const Segment& segment = call.segment();
  for (uint64_t node = sorted_set::at_rank(segment, root, 0); node != 0; node = sorted_set::next(segment, node)) {
    add(sorted, sorted_set::node_at(segment, node).member());
  }
  return true;
}

bool read_elements(Call& call, Scratch& scratch, const shm::Entry* entry, Sorted& sorted) noexcept {
  if (entry == nullptr) return true;
  switch (entry->type()) {
    case Type::kList:
      return read_list(call, scratch, entry->root<shm::ListRoot>(), sorted);
    case Type::kSet:
      return read_set(call, scratch, entry->root<shm::SetRoot>(), sorted);
    case Type::kSortedSet:
      return read_sorted_set(call, scratch, entry->root<shm::SortedSetRoot>(), sorted);
    default:
      return call.error(kWrongType), false;
  }
}

// ---- What other keys say ----

// prefix*suffix or prefix*suffix->field; "#" is the element itself.
struct Pattern {
  Bytes prefix, suffix, field;
  bool itself = false, names_keys = false;
  explicit Pattern(Bytes text) noexcept : itself(text == "#") {
    const size_t star = star_of(text);
    names_keys = star != Bytes::npos;
    if (!names_keys) return;
    const size_t arrow = text.find("->", star + 1);
    const bool has_field = arrow != Bytes::npos && arrow + 2 < text.size();
    prefix = text.substr(0, star);
    suffix = text.substr(star + 1, has_field ? arrow - star - 1 : Bytes::npos);
    if (has_field) field = text.substr(arrow + 2);
  }
};

struct Value {
  bool found = false;
  StoredBytes bytes;
};

Value string_of(Call& call, const shm::Entry& entry) noexcept {
  Value value{true, {}};
  if (entry.info().encoding != Encoding::kInline) {
    value.bytes.blob = entry.root<shm::BlobRoot>();
  } else {
    string::for_each_piece(call.segment(), entry, 0, string::length(entry),
                           [&](Bytes all) { value.bytes.inside = all; });
  }
  return value;
}

Value field_of(Call& call, const shm::Entry& entry, Bytes name) noexcept {
  const uint64_t field = hash::find(call.segment(), entry.root<shm::HashRoot>(), name);
  if (field == 0) return {};
  return {true, hash::value_at(call.segment(), field)};
}

// Finds the values that patterns name for elements.
class Lookup {
 public:
  // Room for the longest key that they make.
  Lookup(Call& call, Scratch& scratch, const Sorted& sorted) noexcept : call_(call) {
    size_t element = 0, pattern = 0;
    for (const Item& item : sorted.all()) element = std::max(element, item.element.size());
    for (const Bytes argument : call.arguments()) pattern = std::max(pattern, argument.size());
    name_ = scratch.take(std::min<size_t>(element + pattern, kNameBytesMax));
  }
  Value operator()(const Pattern& pattern, Bytes element) noexcept {
    if (pattern.itself) return {true, {element}};
    const size_t bytes = pattern.prefix.size() + element.size() + pattern.suffix.size();
    if (!pattern.names_keys || bytes > kNameBytesMax || name_ == nullptr) return {};
    char* end = std::copy(pattern.prefix.begin(), pattern.prefix.end(), name_);
    end = std::copy(element.begin(), element.end(), end);
    std::copy(pattern.suffix.begin(), pattern.suffix.end(), end);
    const shm::Entry* entry = call_.read(keyspace::make_key(call_.segment(), call_.database(), {name_, bytes}));
    const Type wanted = pattern.field.empty() ? Type::kString : Type::kHash;
    if (entry == nullptr || entry->type() != wanted) return {};
    return wanted == Type::kString ? string_of(call_, *entry) : field_of(call_, *entry, pattern.field);
  }

 private:
  Call& call_;
  char* name_;
};

// ---- Sorting ----

// As read_double() takes it, up to a zero byte; false: it is no number.
bool number_of(Scratch& scratch, Bytes text, double& score) noexcept {
  char inside[128];
  char* copy = text.size() < sizeof inside ? inside : scratch.take(text.size() + 1);
  if (copy == nullptr) return true;  // overflow: the command runs again
  *std::copy(text.begin(), text.end(), copy) = '\0';
  errno = 0;
  return read_double(copy, score) && errno != ERANGE;
}

// What the items are sorted by. False: answered, or the arena is too small.
bool find_weights(Call& call, Scratch& scratch, const Request& request, const Sorted& sorted,
                  Lookup& look_up) noexcept {
  const Pattern pattern(request.has_by ? request.by : Bytes("#"));
  for (Item& item : sorted.all()) {
    const Value value = look_up(pattern, item.element);
    item.missing = !value.found;
    item.text = scratch.whole(value.bytes);
    if (request.alpha || item.missing) continue;
    if (!number_of(scratch, item.text, item.score)) return call.error(kNotADouble), false;
    if (call.reply().overflow()) return false;
  }
  return !call.reply().overflow();
}

Bytes up_to_zero(Bytes text) noexcept { return text.substr(0, text.find('\0')); }

// As Redis orders them: equal numbers by the elements themselves, missing texts first, and texts that are not to be
// stored up to a zero byte.
int compare(const Request& request, const Item& a, const Item& b) noexcept {
  if (!request.alpha) {
    if (a.score != b.score) return a.score < b.score ? -1 : 1;
    return a.element.compare(b.element);
  }
  if (a.missing || b.missing) return b.missing - a.missing;
  return request.target != 0 ? a.text.compare(b.text) : up_to_zero(a.text).compare(up_to_zero(b.text));
}

// Equal ones keep their order.
void sort(const Request& request, const Sorted& sorted, uint32_t* order) noexcept {
  std::sort(order, order + sorted.count, [&](uint32_t a, uint32_t b) {
    const int difference = compare(request, sorted.items[a], sorted.items[b]);
    return difference != 0 ? (difference < 0) != request.descending : a < b;
  });
}

// ---- The answer ----

// Which places of the order are asked for.
struct Window {
  uint64_t first, count;
};
Window window_of(const Request& request, uint64_t total) noexcept {
  const uint64_t first = request.skip < 0 ? 0 : std::min(static_cast<uint64_t>(request.skip), total);
  const uint64_t rest = total - first;
  return {first, request.limit < 0 ? rest : std::min(static_cast<uint64_t>(request.limit), rest)};
}

// f(value) for all that is answered: the elements, or what the GETs name for each.
template <typename Visit>
void for_each_result(Call& call, const Request& request, std::span<const Item> items, Lookup& look_up,
                     std::span<const uint32_t> order, Visit&& visit) noexcept {
  for (const uint32_t place : order) {
    if (call.reply().overflow() || call.tx().failed()) return;
    const Bytes element = items[place].element;
    if (request.gets == 0) visit(Value{true, {element}});
    for_each_get(call.arguments(), [&](Bytes pattern) { visit(look_up(Pattern(pattern), element)); });
  }
}

// A list of all results, under a root of its own, since the target may be the source; then the root moves.
template <typename Results>
void store(Call& call, const Key& target, uint64_t count, Results&& results) noexcept {
  Transaction& tx = call.tx();
  tx.set_home(target.shard);
  auto* root = tx.create<shm::ListRoot>();
  if (root == nullptr) return;
  std::memset(static_cast<void*>(root), 0, sizeof *root);
  results(*root);
  if (tx.failed() || call.reply().overflow()) return;
  if (const shm::Entry* old = call.write(target); old != nullptr) call.remove(target, *old);
  if (count > 0) {
    const Found<shm::ListRoot> stored = call.create<shm::ListRoot>(target);
    if (stored.entry == nullptr) return;
    std::memcpy(keyspace::fresh_value(tx, *stored.entry), static_cast<const void*>(root), sizeof *root);
    call.changed(target, *stored.entry);
    call.ready(target);
  }
  tx.free(tx.offset_of(root));
  call.reply().integer(static_cast<int64_t>(count));
}

// The items' places in the order asked for; false: answered, or the arena is too small.
bool arrange(Call& call, Scratch& scratch, const Request& request, const Sorted& sorted, Lookup& look_up,
             uint32_t*& order) noexcept {
  const bool sorts = !request.has_by || star_of(request.by) != Bytes::npos;
  if (sorts && !find_weights(call, scratch, request, sorted, look_up)) return false;
  order = reinterpret_cast<uint32_t*>(scratch.take(sorted.count * sizeof(uint32_t)));
  if (order == nullptr) return false;
  for (uint32_t i = 0; i < sorted.count; ++i) order[i] = i;
  if (sorts) {
    sort(request, sorted, order);
  } else if (request.descending) {
    std::reverse(order, order + sorted.count);
  }
  return true;
}

void sort(Call& call) noexcept {
  Request request;
  if (const char* error = parse(call.arguments(), request); error != nullptr) return call.error(error);
  const shm::Entry* entry = call.read(call.key(1));
  if (request.target != 0 && entry != nullptr && entry->type() == Type::kSet && request.has_by &&
      star_of(request.by) == Bytes::npos) {
    request.has_by = false;  // a set has no order of its own, and what is stored gets one
    request.alpha = true;
  }
  Scratch scratch(call);
  Sorted sorted;
  if (!read_elements(call, scratch, entry, sorted)) return;
  Lookup look_up(call, scratch, sorted);
  uint32_t* order = nullptr;
  if (!arrange(call, scratch, request, sorted, look_up, order)) return;
  const Window window = window_of(request, sorted.count);
  const uint64_t count = window.count * std::max<size_t>(request.gets, 1);
  const auto visit_results = [&](auto&& visit) {
    for_each_result(call, request, sorted.all(), look_up, {order + window.first, window.count}, visit);
  };
  if (request.target == 0) {
    call.reply().array(static_cast<uint32_t>(count));
    return visit_results([&](const Value& value) {
      if (value.found) return reply_bulk(call, value.bytes);
      call.reply().null();
    });
  }
  store(call, call.key(request.target), count, [&](const shm::ListRoot& root) {
    visit_results([&](const Value& value) {
      list::push(call.tx(), root, list::End::kTail, value.found ? scratch.whole(value.bytes) : Bytes(""));
    });
  });
}

}  // namespace

uint64_t sort_shards(const Segment& segment, std::span<const Bytes> arguments, uint32_t database) noexcept {
  Request request;
  if (parse(arguments, request) != nullptr) return 1;  // any shard: the handler will say what is wrong
  bool names_keys = star_of(request.by) != Bytes::npos;
  for_each_get(arguments, [&](Bytes pattern) { names_keys |= star_of(pattern) != Bytes::npos; });
  uint64_t mask = 0;
  for (const size_t key : {size_t{1}, request.target == 0 ? size_t{1} : request.target}) {
    if (arguments[key].size() > kNameBytesMax) return 0;
    mask |= uint64_t{1} << keyspace::make_key(segment, database, arguments[key]).shard;
  }
  return names_keys ? ~uint64_t{0} >> (64 - segment.shard_count()) : mask;
}

void cmd_sort(Call& call) { sort(call); }

}  // namespace shoal
