// SPDX-License-Identifier: MIT
#include "commands/check.h"

#include <algorithm>
#include <array>
#include <span>

#include "base/fault_guard.h"
#include "channels/outbox.h"
#include "commands/command.h"
#include "keyspace/keyspace.h"
#include "keyspace/waiters.h"
#include "queues/check.h"
#include "segment/shape.h"
#include "transaction/transaction.h"
#include "types/dict_check.h"
#include "types/string.h"

namespace shoal {

namespace {

using shm::Entry;

// ---- What other layers keep in a shard beside keys ----
// Each part visits its blocks and notes what is wrong with them. It follows what it finds: its run ends at the first
// block that is none, or is reached twice.

struct PartRun {
  BlockCheck& blocks;
  uint32_t shard;
};

void visit_or_give_up(BlockCheck& blocks, uint64_t block) {
  if (!blocks.visit(block)) fault_guard::give_up();
}

// Of a part's directory: whether Dict may walk it.
bool sound_directory(PartRun& run, const shm::DictRoot& root) {
  if (for_each_doubtful(run.blocks.segment(), root, [](uint64_t) {})) return true;
  run.blocks.found("a directory leads nowhere", run.shard);
  return false;
}

void check_waiters(PartRun& run) {
  if (!sound_directory(run, run.blocks.segment().shard(run.shard).waiters)) return;
  const auto visit = [](void* blocks, uint64_t block) noexcept {
    visit_or_give_up(*static_cast<BlockCheck*>(blocks), block);
    return true;
  };
  if (!waiters::check(run.blocks.segment(), run.shard, visit, &run.blocks))
    run.blocks.found("waiters are not as they should be", run.shard);
}

// Whether it comes to an end.
bool sound_list_of_patterns(const Segment& segment) {
  const uint64_t most = segment.committed() / sizeof(shm::Channel);
  uint64_t next = segment.header().patterns;
  for (uint64_t met = 0; next != 0; ++met) {
    if (met == most || next % 8 != 0 || !segment.contains(next, sizeof(shm::Channel))) return false;
    next = segment.pointer<shm::Channel>(next)->next_pattern;
  }
  return true;
}

void check_channels(PartRun& run) {
  if (!sound_directory(run, run.blocks.segment().shard(run.shard).channels)) return;
  channels::for_each_block(
      run.blocks.segment(), run.shard,
      [](void* blocks, uint64_t block) { visit_or_give_up(*static_cast<BlockCheck*>(blocks), block); }, &run.blocks);
  if (!sound_list_of_patterns(run.blocks.segment())) {
    run.blocks.found("the list of patterns leads nowhere", run.shard);
    return;
  }
  if (const char* broken = channels::check_shard(run.blocks.segment(), run.shard); broken != nullptr)
    run.blocks.found(broken, run.shard);
}

// Messages that transactions have published and that have not left yet. Once, not per shard.
void check_outboxes(PartRun& run) {
  const Segment& segment = run.blocks.segment();
  if (run.shard != 0) return;
  for (uint32_t index = 0; index < segment.context_count(); ++index) {
    if (!channels::has_outbox(segment.context(index))) continue;
    for (uint64_t next = segment.context(index).outbox; next != 0; next = segment.pointer<shm::Posting>(next)->next) {
      visit_or_give_up(run.blocks, next);
    }
  }
}

void check_queues(PartRun& run) {
  queues::CheckReport report;
  queues::check(run.blocks.segment(), run.shard, report);
  for (uint64_t block : report.blocks) run.blocks.visit(block);
  if (!report.problems.empty()) run.blocks.found("queues are not as they should be", run.shard, report.problems.size());
}

struct Part {
  const char* broken;  // what is said of a shard in which it leads nowhere
  void (*run)(PartRun& run);
};
constexpr std::array kParts{
    Part{"waiters lead nowhere", check_waiters},
    Part{"channels lead nowhere", check_channels},
    Part{"outboxes lead nowhere", check_outboxes},
    Part{"queues lead nowhere", check_queues},
};

void run_part(const Part& part, BlockCheck& blocks, uint32_t shard) {
  struct Argument {
    const Part& part;
    PartRun run;
  } argument{part, {blocks, shard}};
  const bool finished = fault_guard::run(
      [](void* pointer) {
        auto& a = *static_cast<Argument*>(pointer);
        a.part.run(a.run);
      },
      &argument);
  if (!finished) blocks.found(part.broken, shard);
}

// ---- Operations that are refused ----

std::string name_of_purpose(uint32_t operation) {
  const std::span<const Command> rows = command_table();
  const uint32_t kind = operation & Purpose::kKindMask;
  if (kind > 0 && kind <= rows.size()) return rows[kind - 1].name;
  static constexpr std::pair<uint32_t, const char*> kNames[] = {
      {Purpose::kSet, "SET"},
      {Purpose::kPublish, "PUBLISH"},
      {Purpose::kPostMessages, "the publishing of a transaction's messages"},
      {Purpose::kGrowRing, "the growth of a channel's ring"},
      {Purpose::kOutbox, "the settling of a transaction's messages"},
      {Purpose::kSubscribe, "a subscription"},
      {Purpose::kUnsubscribe, "the end of a subscription"},
      {Purpose::kKeepHistory, "a channel's keep="},
      {Purpose::kReleaseSubscriptions, "the end of the subscriptions of the dead"},
      {Purpose::kDeclareQueue, "the declaration of a task queue"},
      {Purpose::kLookAtQueues, "a look at task queues"},
      {Purpose::kFindLeases, "the search for leases of the dead"},
      {Purpose::kPushTask, "a push to a task queue"},
      {Purpose::kRouteTask, "a push to an exchange"},
      {Purpose::kJoinQueue, "the coming of a task queue's consumer"},
      {Purpose::kLeaveQueue, "the going of a task queue's consumer"},
      {Purpose::kReleaseConsumer, "the end of a task queue's consumer"},
      {Purpose::kListen, "the wait of a task queue's consumer"},
      {Purpose::kUnlisten, "the end of a wait of a task queue's consumer"},
      {Purpose::kTakeTask, "the taking of a task"},
      {Purpose::kAnswerTask, "the acknowledgement or return of a task"},
      {Purpose::kStartTask, "the start of a task"},
      {Purpose::kFinishTask, "the end of a task in a child"},
      {Purpose::kReleaseLeases, "the return of the tasks of the dead"},
      {Purpose::kReviveTasks, "the revival of dead letters"},
      {Purpose::kPurgeQueue, "the purge of a task queue"},
      {Purpose::kRemoveQueue, "the removal of a task queue"},
      {Purpose::kBindQueue, "the binding of a task queue"},
      {Purpose::kUnbindQueue, "the end of a binding of a task queue"},
      {Purpose::kExpire, "the removal of expired keys"},
      {Purpose::kFreeLazily, "the freeing of what was removed"},
      {Purpose::kBringBlocksHome, "the return of blocks to their shard"},
      {Purpose::kWake, "the end of a wait"},
  };
  const auto* named =
      std::find_if(std::begin(kNames), std::end(kNames), [kind](auto& each) { return each.first == kind; });
  return named == std::end(kNames) ? "an operation without a name" : named->second;  // none that is ever convicted
}

void check_suspects(const Segment& segment, BlockCheck& blocks, CheckReport& report) {
  for (uint32_t index = 0; index < segment.shard_count(); ++index) {
    for (const shm::Suspect& suspect : segment.shard(index).suspects) {
      if (!suspect::convicted(suspect)) continue;
      blocks.found("an operation is refused: it killed three processes", index, suspect.operation);
      report.convictions.push_back(
          {index, suspect.key_hash != 0, name_of_purpose(suspect.operation), {}, suspect.key_hash});
    }
  }
}

class KeyspaceCheck {
 public:
  KeyspaceCheck(const Segment& segment, BlockCheck& blocks, CheckReport& report) noexcept
      : segment_(segment), blocks_(blocks), report_(report) {}

  void shard(uint32_t index) noexcept {
    const shm::Shard& shard = segment_.shard(index);
    std::fill(std::begin(keys_), std::end(keys_), 0);
    std::fill(std::begin(expires_), std::end(expires_), 0);
    DictCheck(blocks_, shard.keys).walk([&](uint64_t offset, bool& good) { return live_entry(index, offset, good); });
    for (uint32_t database = 0; database < kDatabaseCount; ++database) {
      if (shard.database_keys[database] != keys_[database]) {
        blocks_.found("a shard counts the keys of a database wrongly", index, shard.database_keys[database]);
      }
      if (shard.database_expires[database] != expires_[database]) {
        blocks_.found("a shard counts the keys with a time to live wrongly", index, shard.database_expires[database]);
      }
    }
    const uint64_t sequence = shard.sequence.load(std::memory_order_acquire);
    for (const auto& created : shard.created) {
      if (created.load() > sequence + 1)
        blocks_.found("the version of absent keys lies in the future", index, created.load());
    }
    graveyard(index);
  }

 private:
  bool readable(uint64_t offset) noexcept {  // the entry's words lie in its block, and its type is one
    const uint64_t room = blocks_.capacity(offset);
    if (room < sizeof(Entry)) {
      blocks_.found("an entry's block is too short", offset, room);
      return false;
    }
    const auto& entry = *segment_.pointer<Entry>(offset);
    EntryMeta meta = EntryMeta::unpack(entry.meta);
    if (meta.bytes() <= room) meta = entry.info();
    if (meta.bytes() > room) {
      blocks_.found("an entry is longer than its block", offset, meta.bytes());
      return false;
    }
    if (meta.type == keyspace::kDictGrave) return true;
    const TypeRow* row = type_row(meta.type);
    const bool blob = meta.type == Type::kString && meta.encoding == Encoding::kBlob;
    if (row == nullptr || meta.encoding > Encoding::kBlob) {
      blocks_.found("an entry is of no type", offset, static_cast<uint64_t>(meta.type));
      return false;
    }
    if (blob ? meta.value_bytes != sizeof(shm::BlobRoot)
             : row->root_bytes != 0 && meta.value_bytes != row->root_bytes) {
      blocks_.found("an entry's root has the wrong size", offset, meta.value_bytes);
      return false;
    }
    return true;
  }

  // An entry in a dict of keys, buried or not: its block, its key's hash, its value.
  uint64_t entry(uint32_t index, uint64_t offset, bool& good) noexcept {
    good = blocks_.visit(offset) && readable(offset);
    if (!good) return 0;
    const auto& entry = *segment_.pointer<Entry>(offset);
    if (entry.type() == keyspace::kDictGrave) {
      good = false;
      blocks_.found("a grave stands among the keys", offset);
      return 0;
    }
    const Key key = keyspace::make_key(segment_, entry.info().database, entry.key());
    if (key.shard != index) blocks_.found("a key lies in the wrong shard", offset, key.shard);
    value(entry, true);
    return key.hash;
  }

  void name_suspect(uint32_t index, uint64_t hash, Bytes key) {
    for (Conviction& conviction : report_.convictions) {
      if (conviction.shard == index && conviction.key_hash == hash) conviction.key = key;
    }
  }

  uint64_t live_entry(uint32_t index, uint64_t offset, bool& good) noexcept {
    const uint64_t hash = entry(index, offset, good);
    if (!good) return 0;
    ++report_.keys;
    const auto& entry = *segment_.pointer<Entry>(offset);
    const shm::Shard& shard = segment_.shard(index);
    name_suspect(index, hash, entry.key());
    const uint8_t database = entry.info().database;
    const auto expires = static_cast<uint64_t>(entry.expires_ms());
    ++keys_[database];
    if (expires != 0) ++expires_[database];
    const uint64_t version = entry.version.load();
    if (version % 2 != 0 || version > shard.sequence.load(std::memory_order_acquire)) {
      blocks_.found("an entry's version is none that its shard has given", offset, version);
    }
    return hash;
  }

  // The blocks of a value by its type's own check, which trusts what it reads: the first visit that fails ends it.
  void value(const Entry& entry, bool must_be_whole) noexcept {
    struct Run {
      KeyspaceCheck* self;
      const Entry* entry;
      bool sound;
    } run{this, &entry, false};
    const size_t before = blocks_.findings().size();
    const bool finished = fault_guard::run(
        [](void* argument) {
          auto& r = *static_cast<Run*>(argument);
          r.sound = type_row(r.entry->type())->check(r.self->segment_, *r.entry, &KeyspaceCheck::visit, r.self);
        },
        &run);
    const uint64_t offset = segment_.offset_of(&entry);
    if (!finished) blocks_.found("a value leads nowhere", offset, static_cast<uint64_t>(entry.type()));
    if (finished && !run.sound && must_be_whole && blocks_.findings().size() == before) {
      blocks_.found("a value is not what its type should be", offset, static_cast<uint64_t>(entry.type()));
    }
  }
  static bool visit(void* self, uint64_t block) noexcept {
    if (!static_cast<KeyspaceCheck*>(self)->blocks_.visit(block)) fault_guard::give_up();
    return true;
  }

  // Removed values that are freed bit by bit: a chain of entries, linked by their version words.
  void graveyard(uint32_t index) noexcept {
    for (uint64_t offset = segment_.shard(index).lazy_free; offset != 0;) {
      if (!blocks_.visit(offset) || !readable(offset)) return;
      ++report_.graves;
      const auto& grave = *segment_.pointer<Entry>(offset);
      if (grave.type() == keyspace::kDictGrave) {
        if (grave.info().value_bytes != sizeof(shm::DictRoot))
          return blocks_.found("a grave of keys has no root", offset);
        DictCheck(blocks_, grave.root<shm::DictRoot>()).walk([&](uint64_t item, bool& good) {
          return entry(index, item, good);
        });
      } else {
        value(grave, false);
      }
      offset = grave.version.load();
    }
  }

  const Segment& segment_;
  BlockCheck& blocks_;
  CheckReport& report_;
  uint64_t keys_[kDatabaseCount], expires_[kDatabaseCount];
};

bool owns_a_shard(const Segment& segment, uint32_t id) noexcept {
  for (uint32_t index = 0; index < segment.shard_count(); ++index) {
    if ((segment.shard(index).owner.load(std::memory_order_acquire) & ~shm::kWaitersBit) == id) return true;
  }
  return false;
}

void check_shard_words(const Segment& segment, BlockCheck& blocks) noexcept {
  for (uint32_t index = 0; index < segment.shard_count(); ++index) {
    const shm::Shard& shard = segment.shard(index);
    const uint32_t owner = shard.owner.load(std::memory_order_acquire) & ~shm::kWaitersBit;
    const bool exists = shm::context_index(owner) < segment.context_count();
    if (owner != 0 &&
        (!exists || segment.context(shm::context_index(owner)).id.load(std::memory_order_acquire) != owner)) {
      blocks.found("a shard is locked by a context that is gone", index, owner);
    } else if (owner != 0 && dead(segment, owner)) {
      blocks.found("a shard is locked by a dead context", index, owner);
    }
    if (shard.sequence.load(std::memory_order_acquire) % 2 != 0) {
      blocks.found("a shard's sequence is odd and nobody changes it", index,
                   shard.sequence.load(std::memory_order_acquire));
    }
  }
}

void check_context(const Segment& segment, BlockCheck& blocks, uint32_t index) noexcept {
  const shm::Context& context = segment.context(index);
  const uint64_t claim = context.claim.load(std::memory_order_acquire);
  const uint32_t id = context.id.load(std::memory_order_acquire);
  const uint32_t slot = slot_of_claim(claim);
  if (claim != 0 && slot >= segment.slot_count()) {
    blocks.found("a context is claimed for a slot that does not exist", index, claim);
  } else if (claim != 0) {
    const bool used =
        segment.slot(slot).state.load(std::memory_order_acquire) != static_cast<uint32_t>(shm::SlotState::kFree);
    const bool same =
        (segment.slot(slot).generation.load(std::memory_order_acquire) & ~uint64_t{0} >> 16) == claim >> 16;
    if (!used || !same) blocks.found("a context is claimed for a process that is gone", index, claim);
  }
  if (id == 0) return;
  if (claim == 0) blocks.found("a context has an id and no claim", index, id);
  if (id != shm::context_id(context.next_generation, index)) blocks.found("a context's id is not its own", index, id);
  if (owns_a_shard(segment, id)) return;
  if (context.journal_words != 0)
    blocks.found("a context outside of a transaction has something to undo", index, context.journal_words);
}

// A context that nobody has must be as clean as new.
void check_free_context(const Segment& segment, BlockCheck& blocks, uint32_t index) noexcept {
  const shm::Context& context = segment.context(index);
  if (context.claim.load(std::memory_order_acquire) != 0 || context.id.load(std::memory_order_acquire) != 0) return;
  if (context.journal_words != 0 || context.first_chunk != 0) blocks.found("a free context has a journal", index);
  const uint32_t recoverer = context.recoverer.load(std::memory_order_acquire);
  if (recoverer != 0 && (shm::context_index(recoverer) >= segment.context_count())) {
    blocks.found("a context is recovered by nobody", index, recoverer);
  }
}

void check_processes(const Segment& segment, BlockCheck& blocks) noexcept {
  const shm::Header& header = segment.header();
  if (header.context_high.load() > segment.context_count())
    blocks.found("more contexts are in use than there are", header.context_high.load());
  if (header.slot_high.load() > segment.slot_count())
    blocks.found("more slots are in use than there are", header.slot_high.load());
  for (uint32_t index = 0; index < segment.context_count(); ++index) {
    check_context(segment, blocks, index);
    check_free_context(segment, blocks, index);
    if (index >= header.context_high.load() && segment.context(index).claim.load(std::memory_order_acquire) != 0) {
      blocks.found("a context above the mark is in use", index);
    }
  }
  for (uint32_t index = 0; index < segment.slot_count(); ++index) {
    const uint32_t state = segment.slot(index).state.load(std::memory_order_acquire);
    if (state > static_cast<uint32_t>(shm::SlotState::kReaping)) blocks.found("a slot's state is none", index, state);
    if (index >= header.slot_high.load() && state != 0) blocks.found("a slot above the mark is in use", index);
  }
}

// Without this nothing can be looked at.
const char* broken_header(const Segment& segment) noexcept {
  const shm::Header& h = segment.header();
  if (h.magic != shm::kMagic || h.layout_version != shm::kLayoutVersion) return "the header is not a segment's";
  return shape_is_sound(h) ? nullptr : "the header's sizes make no sense";
}

}  // namespace

CheckReport check(const Segment& segment) {
  CheckReport report;
  if (const char* broken = broken_header(segment); broken != nullptr) {
    report.findings.push_back({broken});
    return report;
  }
  BlockCheck blocks(segment);
  check_shard_words(segment, blocks);
  check_processes(segment, blocks);
  check_suspects(segment, blocks, report);
  KeyspaceCheck keys(segment, blocks, report);
  for (uint32_t index = 0; index < segment.shard_count(); ++index) keys.shard(index);
  for (uint32_t index = 0; index < segment.shard_count(); ++index) {
    for (const Part& part : kParts) run_part(part, blocks, index);
  }
  blocks.finish();
  uint64_t used = 0;
  for (uint32_t index = 0; index < segment.shard_count(); ++index) used += segment.shard(index).bytes_used;
  if (used != blocks.bytes_reached())
    blocks.found("the shards count their bytes wrongly", used, blocks.bytes_reached());
  report.findings = blocks.findings();
  report.blocks = blocks.blocks_reached();
  report.bytes = blocks.bytes_reached();
  report.pages_free = blocks.pages_free();
  report.pages_owned = blocks.pages_owned();
  report.pages_journal = blocks.pages_journal();
  report.bytes_by_class = blocks.bytes_by_class();
  return report;
}

namespace {

template <typename Then>
Result<CheckReport> check_with_locks(Process& process, int64_t budget_ns, Then&& then) {
  auto context = process.context();
  if (!context.ok()) return context.status();
  Transaction tx(process, *context.value(), {Purpose::kCheck, true});
  const uint64_t all = ~uint64_t{0} >> (64 - process.segment().shard_count());
  if (Status status = tx.begin(all, budget_ns); !status.ok()) return status;
  CheckReport report = check(process.segment());
  then(report);
  tx.rollback();
  return report;
}

}  // namespace

Result<CheckReport> check_locked(Process& process, int64_t budget_ns) {
  return check_with_locks(process, budget_ns, [](const CheckReport&) {});
}

Result<CheckReport> repair_locked(Process& process, bool force, int64_t budget_ns) {
  return check_with_locks(process, budget_ns, [&](const CheckReport& report) {
    if (!report.sound() && !force) return;
    for (const Conviction& one : report.convictions) suspect::forget(process.segment().control_shard(one.shard));
  });
}

std::string describe(const Conviction& conviction) {
  return conviction.operation + (conviction.key.empty() ? "" : " on the key \"" + conviction.key + "\"") +
         " killed three processes and is refused in shard " + std::to_string(conviction.shard) +
         (conviction.read_only ? ", which takes no writes" : "");
}

std::string describe(const Finding& finding) {
  return std::string(finding.what) + " (" + std::to_string(finding.where) + ", " + std::to_string(finding.number) + ")";
}

}  // namespace shoal
