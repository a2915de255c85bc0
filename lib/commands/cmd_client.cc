// SPDX-License-Identifier: MIT
// cmd_client.cc: CLIENT ...: who is attached.
//
// Sessions live in their processes, and nobody else sees them. So CLIENT LIST has a line for each attached process: the
// caller's shows the session that asks, the others what the segment knows of their process. They read slots without a
// lock: a process that comes or goes meanwhile may be missing.
#include "commands/cmd_client.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "commands/command.h"
#include "commands/lower_case.h"
#include "commands/session.h"
#include "process/context.h"

namespace shoal {

namespace {

const char* role_name(uint32_t role) noexcept {
  constexpr std::array kNames{"client", "daemon", "tool"};
  return role < kNames.size() ? kNames[role] : "unknown";
}

// One life of a slot, as it was when its generation was read before and behind.
struct Attached {
  uint32_t index = 0;
  uint64_t generation = 0, started_ms = 0;
  uint32_t pid = 0, role = 0;
};

// False: nobody is there, or he who is came or went meanwhile.
bool read_slot(const Segment& segment, uint32_t index, Attached& attached) noexcept {
  if (index >= segment.slot_count()) return false;  // a forked child that could not attach has no slot
  const shm::Slot& slot = segment.slot(index);
  const auto used = [&] {
    return slot.state.load(std::memory_order_acquire) == static_cast<uint32_t>(shm::SlotState::kUsed);
  };
  attached.index = index;
  attached.generation = slot.generation.load(std::memory_order_acquire);
  if (!used()) return false;
  attached.started_ms = slot.start_time_ms;
  attached.pid = slot.pid;
  attached.role = slot.role.load(std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_acquire);
  return slot.generation.load(std::memory_order_relaxed) == attached.generation && used();
}

std::vector<Attached> attached_processes(Call& call) {
  Process& process = call.session().process();
  const Segment& segment = call.segment();
  const uint32_t own = process.slot_index();
  // Within EXEC locks are held, and a look at a life byte is a system call: who died a moment ago is listed then.
  const bool may_look = !call.session().runs_atomically();
  std::vector<Attached> all;
  const uint32_t high = segment.slot_high();
  for (uint32_t index = 0; index < high; ++index) {
    Attached attached;
    if (!read_slot(segment, index, attached)) continue;
    if (index == own || !may_look || process.slot_alive(index, attached.generation)) all.push_back(attached);
  }
  return all;
}

uint32_t threads_of(const Segment& segment, const Attached& attached) noexcept {
  const uint32_t high = segment.context_high();
  const uint64_t claim = claim_word(attached.index, attached.generation);
  uint32_t threads = 0;
  for (uint32_t index = 0; index < high; ++index)
    threads += segment.context(index).claim.load(std::memory_order_relaxed) == claim;
  return threads;
}

// What only a session's own process knows is -1, or empty, in the lines of others. There are no buffers: all of them
// are 0.
std::string line_of(Call& call, const Attached& attached) {
  Session& session = call.session();
  const Segment& segment = call.segment();
  const bool own = attached.index == session.process().slot_index();
  const std::string address = (segment.in_memory() ? "memory" : segment.name().shm_path()) + ":0";
  const auto known = [own](int64_t value) { return std::to_string(own ? value : -1); };
  const int64_t age_ms = std::max<int64_t>(call.now_ms() - static_cast<int64_t>(attached.started_ms), 0);
  const std::string command =
      own ? lower_case(session.runs_atomically() ? "EXEC" : call.command().name) : std::string("NULL");
  const uint64_t id = own ? session.id() : client_id(attached.index, attached.generation, 0);
  std::string line = "id=" + std::to_string(id) + " addr=" + address + " laddr=" + address + " fd=-1";
  line += " name=" + (own ? session.name() : std::string()) + " age=" + std::to_string(age_ms / 1000);
  line += " idle=" + known(0) + " flags=" + (own && session.runs_atomically() ? "xU" : "U");
  line += " db=" + known(call.database()) + " sub=" + known(0) + " psub=" + known(0) + " ssub=" + known(0);
  line += " multi=" + known(session.commands_of_exec());
  line += " qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=0 events=";
  line += " cmd=" + command + " user=default redir=-1 resp=" + known(session.protocol());
  line += " pid=" + std::to_string(attached.pid) + " role=" + role_name(attached.role);
  return line + " threads=" + std::to_string(threads_of(segment, attached)) + "\n";
}

// All are `normal`: who subscribes does so beside his sessions.
bool type_arg(Call& call, bool& listed) {
  listed = call.arg_is(3, "NORMAL");
  if (listed || call.arg_is(3, "MASTER") || call.arg_is(3, "REPLICA") || call.arg_is(3, "SLAVE") ||
      call.arg_is(3, "PUBSUB"))
    return true;
  call.error("ERR Unknown client type '" + std::string(call.arg(3).substr(0, call.arg(3).find('\0'))) + "'");
  return false;
}

}  // namespace

void cmd_client_setname(Call& call) {
  for (char c : call.arg(2)) {
    if (c < '!' || c > '~')
      return call.error("ERR Client names cannot contain spaces, newlines or special characters.");
  }
  call.session().name() = std::string(call.arg(2));
  call.reply().ok();
}

void cmd_client_getname(Call& call) {
  if (call.session().name().empty()) return call.reply().null();
  call.reply().bulk(call.session().name());
}

void cmd_client_id(Call& call) { call.reply().integer(static_cast<int64_t>(call.session().id())); }
void cmd_client_setinfo(Call& call) { call.reply().ok(); }

// An id names a process as well, whichever of its sessions has it.
void cmd_client_list(Call& call) {
  std::vector<uint64_t> ids;
  bool all = true;
  if (call.argc() == 4 && call.arg_is(2, "TYPE")) {
    if (!type_arg(call, all)) return;
  } else if (call.argc() > 3 && call.arg_is(2, "ID")) {
    all = false;
    for (size_t i = 3; i < call.argc(); ++i) {
      int64_t id = 0;
      if (!call.integer_arg(i, id, "ERR Invalid client ID")) return;
      ids.push_back(static_cast<uint64_t>(id));
    }
  } else if (call.argc() > 2) {
    return call.error(kSyntaxError);
  }
  const std::vector<Attached> processes = attached_processes(call);
  std::string text;
  if (all) {
    for (const Attached& attached : processes) text += line_of(call, attached);
  }
  for (const uint64_t id : ids) {
    for (const Attached& attached : processes) {
      if (same_process(id, client_id(attached.index, attached.generation, 0))) text += line_of(call, attached);
    }
  }
  call.reply().bulk(text);
}

void cmd_client_info(Call& call) {
  Attached attached;
  if (!read_slot(call.segment(), call.session().process().slot_index(), attached))
    return call.error("ERR this process is not attached");
  call.reply().bulk(line_of(call, attached));
}

// No client is ever evicted, whatever he wishes.
void cmd_client_no_evict(Call& call) {
  if (!call.arg_is(2, "ON") && !call.arg_is(2, "OFF")) return call.error(kSyntaxError);
  call.reply().ok();
}

}  // namespace shoal
