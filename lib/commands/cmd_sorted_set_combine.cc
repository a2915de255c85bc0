// SPDX-License-Identifier: MIT
// cmd_sorted_set_combine.cc: unions, intersections and differences of sorted sets and sets.
#include <cmath>

#include "commands/cmd_sorted_set.h"
#include "commands/sorted_set_result.h"
#include "transaction/size_class.h"
#include "types/set.h"

namespace shoal {

namespace {

using shm::SortedSetRoot;

enum class Operation { kUnion, kInter, kDiff };
enum class Aggregate { kSum, kMin, kMax };

// A set or sorted set among the sources.
struct Source {
  uint64_t root;  // offset, 0 = missing key
  uint64_t count;
  double weight;
  bool sorted;  // else a set: every score is 1
};

struct Request {
  Source* sources = nullptr;  // in a scratch block of the transaction: no heap under the lock
  size_t count = 0, options = 0;
  Aggregate aggregate = Aggregate::kSum;
  bool with_scores = false, with_limit = false;
  int64_t limit = 0;
};

bool read_source(Call& call, size_t argument, Source& source) noexcept {
  source = {0, 0, 1.0, false};
  const shm::Entry* entry = call.read(call.key(argument));
  if (entry == nullptr) return true;
  if (entry->type() != Type::kSet && entry->type() != Type::kSortedSet) return call.error(kWrongType), false;
  source.sorted = entry->type() == Type::kSortedSet;
  source.root = call.tx().offset_of(entry->value());
  source.count =
      source.sorted ? sorted_set::count(entry->root<SortedSetRoot>()) : set::count(entry->root<shm::SetRoot>());
  return true;
}

// numkeys key [key ...]; the number of keys at `at`.
bool read_sources(Call& call, size_t at, const char* name, Request& request) noexcept {
  int64_t count = 0;
  if (!call.integer_arg(at, count)) return false;
  if (count < 1) {
    char text[96];
    const int length = std::snprintf(text, sizeof text, "ERR at least 1 input key is needed for '%s' command", name);
    return call.error({text, static_cast<size_t>(length)}), false;
  }
  if (count > static_cast<int64_t>(call.argc() - at - 1)) return call.error(kSyntaxError), false;
  request.count = static_cast<size_t>(count);
  request.options = at + 1 + request.count;
  if (request.count > kCombinedKeysMax) return call.error(kTooManyKeys), false;
  static_assert(kCombinedKeysMax * sizeof(Source) <= kBlockMax);
  request.sources = call.tx().create<Source>(request.count * sizeof(Source));
  if (request.sources == nullptr) return false;
  for (size_t i = 0; i < request.count; ++i) {
    if (!read_source(call, at + 1 + i, request.sources[i])) return false;
  }
  return true;
}

bool weight_arguments(Call& call, size_t first, Request& request) noexcept {
  for (size_t i = 0; i < request.count; ++i) {
    if (!call.float_arg(first + i, request.sources[i].weight, "ERR weight value is not a float")) return false;
  }
  return true;
}

bool aggregate_argument(Call& call, size_t at, Aggregate& aggregate) noexcept {
  if (call.arg_is(at, "SUM")) {
    aggregate = Aggregate::kSum;
  } else if (call.arg_is(at, "MIN")) {
    aggregate = Aggregate::kMin;
  } else if (call.arg_is(at, "MAX")) {
    aggregate = Aggregate::kMax;
  } else {
    return call.error(kSyntaxError), false;
  }
  return true;
}

// [WEIGHTS w ...] [AGGREGATE SUM|MIN|MAX] [WITHSCORES], as far as the command has them.
bool read_options(Call& call, Operation operation, bool stores, Request& request) noexcept {
  for (size_t i = request.options; i < call.argc();) {
    const size_t left = call.argc() - i;
    const bool weighted = operation != Operation::kDiff;
    if (weighted && left >= request.count + 1 && call.arg_is(i, "WEIGHTS")) {
      if (!weight_arguments(call, i + 1, request)) return false;
      i += request.count + 1;
    } else if (weighted && left >= 2 && call.arg_is(i, "AGGREGATE")) {
      if (!aggregate_argument(call, i + 1, request.aggregate)) return false;
      i += 2;
    } else if (!stores && call.arg_is(i, "WITHSCORES")) {
      request.with_scores = true;
      ++i;
    } else {
      return call.error(kSyntaxError), false;
    }
  }
  return true;
}

// f(member, score) for the elements of a source.
template <typename Visit>
void for_each(Call& call, const Source& source, Visit&& visit) noexcept {
  if (source.root == 0) return;
  const Segment& segment = call.segment();
  if (!source.sorted) {
    return set::for_each(segment, call.tx().view<shm::SetRoot>(source.root), [&](Bytes member) { visit(member, 1.0); });
  }
  const auto& root = call.tx().view<SortedSetRoot>(source.root);
  for (uint64_t node = sorted_set::at_rank(segment, root, 0); node != 0; node = sorted_set::next(segment, node)) {
    visit(sorted_set::node_at(segment, node).member(), sorted_set::node_at(segment, node).score);
  }
}

bool find(Call& call, const Source& source, Bytes member, double& score) noexcept {
  if (source.root == 0) return false;
  if (!source.sorted) {
    score = 1.0;
    return set::contains(call.segment(), call.tx().view<shm::SetRoot>(source.root), member);
  }
  const uint64_t node = sorted_set::find(call.segment(), call.tx().view<SortedSetRoot>(source.root), member);
  if (node != 0) score = sorted_set::node_at(call.segment(), node).score;
  return node != 0;
}

double weighted(double weight, double score) noexcept {
  const double value = weight * score;
  return std::isnan(value) ? 0 : value;
}

double combined(Aggregate aggregate, double a, double b) noexcept {
  if (aggregate == Aggregate::kMin) return std::min(a, b);
  if (aggregate == Aggregate::kMax) return std::max(a, b);
  const double sum = a + b;
  return std::isnan(sum) ? 0 : sum;  // inf + -inf, anything + inf * 0
}

void put_union(Call& call, const Request& request, const SortedSetRoot& result) noexcept {
  for (size_t i = 0; i < request.count; ++i) {
    const Source& source = request.sources[i];
    for_each(call, source, [&](Bytes member, double score) {
      if (call.tx().failed()) return;
      score = weighted(source.weight, score);
      const uint64_t node = sorted_set::find(call.segment(), result, member);
      if (node == 0) {
        sorted_set::add(call.tx(), result, member, score);
      } else {
        const double old = sorted_set::node_at(call.segment(), node).score;
        sorted_set::set_score(call.tx(), result, node, combined(request.aggregate, old, score));
      }
    });
  }
}

// f(member, score) for what is in all sources; the smallest stands first.
template <typename Visit>
void visit_inter(Call& call, const Request& request, Visit&& visit) noexcept {
  const Source& smallest = request.sources[0];
  for_each(call, smallest, [&](Bytes member, double score) {
    score = weighted(smallest.weight, score);
    for (size_t i = 1; i < request.count; ++i) {
      double other = 0;
      if (!find(call, request.sources[i], member, other)) return;
      score = combined(request.aggregate, score, request.sources[i].weight * other);  // Redis lets NaN in here
    }
    visit(member, score);
  });
}

void put_diff(Call& call, const Request& request, const SortedSetRoot& result) noexcept {
  for_each(call, request.sources[0], [&](Bytes member, double score) {
    if (call.tx().failed()) return;
    double other = 0;
    for (size_t i = 1; i < request.count; ++i) {
      if (find(call, request.sources[i], member, other)) return;
    }
    sorted_set::add(call.tx(), result, member, score);
  });
}

void sort_by_size(const Request& request) noexcept {
  std::sort(request.sources, request.sources + request.count,
            [](const Source& a, const Source& b) { return a.count < b.count; });
}

void put_result(Call& call, Operation operation, const Request& request, const SortedSetRoot& result) noexcept {
  if (operation == Operation::kDiff) return put_diff(call, request, result);
  sort_by_size(request);
  if (operation == Operation::kUnion) return put_union(call, request, result);
  visit_inter(call, request, [&](Bytes member, double score) {
    if (!call.tx().failed()) sorted_set::add(call.tx(), result, member, score);
  });
}

void combine(Call& call, Operation operation, const char* name) noexcept {
  SortedSetResult result(call);
  Request request;
  if (!result.good() || !read_sources(call, 1, name, request) || !read_options(call, operation, false, request)) return;
  put_result(call, operation, request, result.root());
  if (!result.good()) return;
  reply_element_count(call, sorted_set::count(result.root()), request.with_scores);
  const Segment& segment = call.segment();
  for (uint64_t node = sorted_set::at_rank(segment, result.root(), 0); node != 0;
       node = sorted_set::next(segment, node)) {
    reply_element(call, sorted_set::node_at(segment, node), request.with_scores);
  }
  result.forget();
}

void combine_and_store(Call& call, Operation operation, const char* name) noexcept {
  const Key target = call.key(1);
  call.tx().set_home(target.shard);
  SortedSetResult result(call);
  Request request;
  if (!result.good() || !read_sources(call, 2, name, request) || !read_options(call, operation, true, request)) return;
  put_result(call, operation, request, result.root());
  if (!result.good()) return;
  result.store(target);
  call.tx().free(call.tx().offset_of(request.sources));
}

}  // namespace

void cmd_zunion(Call& call) { combine(call, Operation::kUnion, "zunion"); }
void cmd_zinter(Call& call) { combine(call, Operation::kInter, "zinter"); }
void cmd_zdiff(Call& call) { combine(call, Operation::kDiff, "zdiff"); }
void cmd_zunionstore(Call& call) { combine_and_store(call, Operation::kUnion, "zunionstore"); }
void cmd_zinterstore(Call& call) { combine_and_store(call, Operation::kInter, "zinterstore"); }
void cmd_zdiffstore(Call& call) { combine_and_store(call, Operation::kDiff, "zdiffstore"); }

void cmd_zintercard(Call& call) {
  Request request;
  if (!read_sources(call, 1, "zintercard", request)) return;
  int64_t limit = 0;
  for (size_t i = request.options; i < call.argc(); i += 2) {
    if (!call.arg_is(i, "LIMIT") || i + 1 == call.argc()) return call.error(kSyntaxError);
    if (!range_arg(call, i + 1, 0, INT64_MAX, limit, "ERR LIMIT can't be negative")) return;
  }
  sort_by_size(request);
  int64_t count = 0;
  visit_inter(call, request, [&](Bytes, double) { ++count; });
  call.tx().free(call.tx().offset_of(request.sources));
  call.reply().integer(limit > 0 ? std::min(count, limit) : count);
}

}  // namespace shoal
