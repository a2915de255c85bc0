// SPDX-License-Identifier: MIT
#include "tools/torture/record.h"

#include <sys/mman.h>

#include <array>
#include <cstdarg>
#include <cstdio>
#include <new>

namespace shoal::tool::chaos {

const char* phase_name(Phase phase) noexcept {
  constexpr std::array kNames{"calm", "kills", "storm"};
  static_assert(kNames.size() == kPhases);
  return kNames[static_cast<uint32_t>(phase)];
}

const char* op_name(Op op) noexcept {
  constexpr std::array kNames{"nothing",      "settle",        "write",        "read",     "read a foreign register",
                              "bundle",       "count",         "pair",         "transfer", "list",
                              "move a token", "expire",        "publish",      "hear",     "push a task",
                              "take a task",  "answer a task", "lock a shard", "fill",     "sweep"};
  static_assert(kNames.size() == static_cast<size_t>(Op::kOps));
  return kNames[static_cast<uint32_t>(op)];
}

Record* Record::create() {
  void* memory = ::mmap(nullptr, sizeof(Record), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? nullptr : new (memory) Record;
}

void Record::destroy(Record* record) noexcept { ::munmap(record, sizeof(Record)); }

void Record::violation(Fault fault, const char* format, ...) noexcept {
  va_list arguments;
  va_start(arguments, format);
  violation_of(fault, format, arguments);
  va_end(arguments);
}

void Record::violation_of(Fault fault, const char* format, va_list arguments) noexcept {
  faults[static_cast<uint32_t>(fault)].fetch_add(1);
  const uint32_t index = next_violation.fetch_add(1);
  if (index >= kViolationsMax) return;  // the first ones tell the story
  Violation& violation = violations[index];
  violation.fault = fault;
  std::vsnprintf(violation.text, sizeof violation.text, format, arguments);
  violation.written.store(1);
}

uint64_t Record::fault_count() const noexcept {
  uint64_t sum = 0;
  for (const auto& fault : faults) sum += fault.load();
  return sum;
}

}  // namespace shoal::tool::chaos
