// SPDX-License-Identifier: MIT
#include "tools/torture/stuck.h"

#include <array>
#include <fstream>
#include <sstream>

#include "base/clock.h"
#include "process/context.h"

namespace shoal::tool::chaos {

namespace {

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// State and kernel function of each thread: "S futex_wait".
std::string threads_of(uint32_t pid) {
  const std::string process = "/proc/" + std::to_string(pid);
  const std::string status = first_line(process + "/stat");
  const size_t end = status.rfind(')');
  const std::string state = end == std::string::npos ? "gone" : status.substr(end + 2, 1);
  return state + " " + first_line(process + "/wchan");
}

std::string doing(const Record& record, uint32_t number) {
  const Actor& actor = record.actors[number];
  const uint64_t seat = actor.seat.load();
  const int64_t began = actor.began_ns.load();
  constexpr std::array kRoleNames{"main", "thread", "child"};
  std::ostringstream text;
  text << "actor " << number << " (" << kRoleNames[number % kRoles] << ", pid " << (seat & 0xffff'ffff) << ", "
       << threads_of(static_cast<uint32_t>(seat)) << "): ";
  if (began != 0) {
    text << op_name(actor.op.load()) << ", for " << (monotonic_ns() - began) / 1'000'000 << " ms";
  } else {
    text << (actor.parked.load() == record.pause.load() ? "parked" : "between operations");
  }
  return text.str();
}

}  // namespace

int find_stuck(const Record& record, int64_t limit_ns) noexcept {
  const int64_t now = monotonic_ns();
  for (uint32_t number = 0; number < record.actor_count(); ++number) {
    const Actor& actor = record.actors[number];
    const int64_t began = actor.began_ns.load();
    const uint64_t seat = actor.seat.load();
    if (began != 0 && now - began > limit_ns && record.may_live(number, seat >> 32) && seat == actor.seat.load()) {
      return static_cast<int>(number);
    }
  }
  return -1;
}

std::vector<std::string> what_everybody_does(const Record& record, const Segment& segment) {
  std::vector<std::string> lines;
  for (uint32_t number = 0; number < record.actor_count(); ++number) {
    if (record.actors[number].seat.load() != 0) lines.push_back(doing(record, number));
  }
  for (uint32_t shard = 0; shard < segment.shard_count(); ++shard) {
    const uint32_t owner = segment.shard(shard).owner.load() & ~shm::kWaitersBit;
    if (owner == 0) continue;
    lines.push_back("shard " + std::to_string(shard) + " is locked by pid " +
                    std::to_string(holder_pid(segment, owner)) + (dead(segment, owner) ? ", which is dead" : ""));
  }
  return lines;
}

}  // namespace shoal::tool::chaos
