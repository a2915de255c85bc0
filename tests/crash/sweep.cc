// SPDX-License-Identifier: MIT
#include "crash/sweep.h"

#include <dlfcn.h>

#include <algorithm>
#include <optional>
#include <sstream>

#include "base/clock.h"
#include "channels/outbox.h"
#include "crash/channel_words.h"
#include "crash/reader.h"
#include "crash/store_trap.h"
#include "crash/world.h"

namespace shoal::crash {

namespace {

// Where an instruction lies in its file, for addr2line.
std::string place_of(uintptr_t instruction) {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<void*>(instruction), &info) == 0) return "?";
  char text[64];
  std::snprintf(text, sizeof text, "+0x%lx", instruction - reinterpret_cast<uintptr_t>(info.dli_fbase));
  return std::string(info.dli_fname).substr(std::string(info.dli_fname).rfind('/') + 1) + text;
}

constexpr uint64_t kHoardEach = 3;    // steps
constexpr uint64_t kVoidEach = 32;    // of those into a fresh span
constexpr uint64_t kProblemsMax = 5;  // then nobody dies any more: each may cost the whole time-out of a lock

class Sweep {
 public:
  Sweep(const Case& of, uint64_t recoverer_stride) : case_(of), recoverer_stride_(recoverer_stride) {}

  SweepResult run(Pages pages) {
    set_wall_clock_offset_ms(0);
    const auto setup = lines_of(case_.setup), operation = lines_of(case_.operation);
    for (const std::string& line : setup) {
      if (const std::string reply = world_.run(line); refused(reply)) problem(line + " says " + reply, 0, 0);
    }
    ruin_.spare(sleepers(world_.segment()));
    second_.spare(sleepers(world_.segment()));
    if (pages == Pages::kThree) world_.fill(3);
    if (pages == Pages::kOne) world_.fill(1);
    if (pages == Pages::kNone) world_.fill(0);
    // Commands before the last only prepare (MULTI), or are swept one by one.
    for (const std::string& line : operation) {
      for (const std::string& each : repeated(line)) sweep_line(each);
    }
    set_wall_clock_offset_ms(0);
    return result_;
  }

 private:
  // "... v12 e34 ..." without the two: a version and what stands behind it.
  static std::string without_version(std::string line) {
    const auto digits = [&line](size_t at) { return std::min(line.find_first_not_of("0123456789", at), line.size()); };
    for (size_t at = line.find(" v"); at != std::string::npos; at = line.find(" v", at + 1)) {
      const size_t version = digits(at + 2);
      if (version == at + 2 || line.compare(version, 2, " e") != 0) continue;
      const size_t end = digits(version + 2);
      if (end != version + 2 && line.compare(end, 1, " ") == 0) line.erase(at, end - at);
    }
    return line;
  }
  static std::string without_versions(const std::string& text) {
    std::istringstream in(text);
    std::string out;
    for (std::string line; std::getline(in, line);) {
      if (line.starts_with("~shard ") || line.starts_with("0:ballast ")) continue;
      if (line.starts_with("~channel ") || line.starts_with("~pattern ")) continue;  // a ring without room keeps less
      out += without_version(line) + "\n";
    }
    return out;
  }

  void problem(const std::string& what, uint64_t step, uintptr_t instruction, uint64_t inner = 0,
               uintptr_t inner_instruction = 0) {
    if (++problems_ > kProblemsMax) return;
    result_.problems += "step " + std::to_string(step) + " " + place_of(instruction);
    if (inner != 0)
      result_.problems += ", recoverer's step " + std::to_string(inner) + " " + place_of(inner_instruction);
    result_.problems += ":\n" + what + "\n";
  }

  Picture now() {
    const KeepThread keep;
    // The living keep nothing between two operations that a recovery would have to find.
    if (const CheckReport alive = check(world_.segment()); !alive.clean())
      problem("before or after it, everybody being alive:\n" + text_of(alive), 0, 0);
    ruin_.copy(world_.segment());
    second_.copy(world_.segment());
    dirty_.clear();
    publishes_ = false;
    const Picture picture = newcomer(ruin_);
    if (!picture.problems.empty()) problem("before or after it, nobody having died:\n" + picture.problems, 0, 0);
    return picture;
  }

  void sweep_line(const std::string& line) {
    const std::string before = now().text;
    pictures_.clear();
    sequences_.assign(world_.segment().shard_count(), 0);
    reader_.emplace(world_.segment(), line);
    StoreTrap trap(world_.base(), kWorldBytes);  // it may grow
    std::string reply;
    result_.steps += trap.run([&] { reply = world_.run(line); }, [&](uint64_t step) { died(trap, step); });
    if (refused(reply)) result_.errors += line + " says " + reply + "\n";
    const Picture end = now();
    const std::string& after = end.text;
    result_.changed = result_.changed || before != after;
    if (result_.before.empty()) result_.before = without_versions(before);
    result_.after = without_versions(after);
    if (refused(reply) && before != after) problem(line + " says " + reply + " and has changed:\n" + after, 0, 0);
    bool committed = false;
    if (case_.is(kInParts)) return;
    for (const Seen& seen : pictures_) {
      const bool is_after = seen.text == after;
      const bool is_before = seen.text == before || only_oldest_messages_gone(before, seen.text, after);
      if (!is_before && !is_after) {
        problem("neither as before nor as after. Before:\n" + before + "Seen:\n" + seen.text + "After:\n" + after,
                seen.step, seen.instruction, seen.inner, seen.inner_instruction);
      } else if (committed && !is_after) {
        problem("it was done, and is undone again", seen.step, seen.instruction, seen.inner, seen.inner_instruction);
      }
      const auto missed = [&](const char* what) {
        problem(what, seen.step, seen.instruction, seen.inner, seen.inner_instruction);
      };
      if (is_after && !is_before) {
        if (seen.sleepers > end.sleepers) missed("it was done, and nobody woke who had to be woken");
        if (seen.untold > end.untold) missed("it was done, and who listens was not told");
      }
      committed = committed || (is_after && !is_before);
    }
  }

  // Everybody dies behind this instruction; a newcomer recovers a copy.
  void died(StoreTrap& trap, uint64_t step) {
    const KeepThread keep;
    dirty_.add(trap.offset());
    if (problems_ > kProblemsMax) return;
    watch_sequences(trap, step);
    const bool skipped = into_void(trap.offset()) && step % kVoidEach != 0;
    if (recoverer_stride_ != 0) {
      sampled_ += skipped ? 0 : 1;
      const bool sampled = !skipped && (sampled_ + static_cast<uint64_t>(case_.name[0])) % recoverer_stride_ == 0;
      if (sampled || committed_and_owing()) die_recovering(trap, step);
      return;
    }
    if (skipped) return;
    ++result_.deaths;
    copy(ruin_, world_.segment());
    const std::vector<std::string> seen = reader_->look(ruin_.segment());
    const Picture picture = newcomer(ruin_);
    judge(picture, step, trap.instruction());
    if (const std::string lie = reader_->deceived(seen, ruin_.segment()); !lie.empty())
      problem(lie, step, trap.instruction());
    watch_recovered(ruin_.segment(), trap, step);
    if (step % kHoardEach == 0) {
      copy(second_, world_.segment());
      if (const std::string robbed = hoard(second_); !robbed.empty()) problem(robbed, step, trap.instruction());
    }
  }

  // Done, and somebody is still to be woken: few instructions, which no sample may miss.
  bool committed_and_owing() {
    for (uint32_t index = 0; index < world_.segment().context_count(); ++index) {
      const shm::Context& context = world_.segment().context(index);
      if (context.id.load() != 0 && context.wake_debt.load() != 0 && context.journal_words == 0) return true;
    }
    return false;
  }

  // Undo stores only where the dead had stored. Who publishes for him stores elsewhere: from the first outbox on every
  // copy is a whole one.
  void copy(Ruin& to, const Segment& from) {
    for (uint32_t index = 0; index < from.context_count(); ++index) {
      publishes_ = publishes_ || channels::has_outbox(from.context(index));
    }
    if (publishes_) return to.copy(from);
    to.copy(from, dirty_);
  }

  // The store fills a fresh span of a transaction that is open: one that the last newcomer found to be nobody's, and
  // that is no journal. It cannot matter.
  bool into_void(uint64_t offset) {
    const auto page = static_cast<uint32_t>(offset / kPageBytes);
    if (offset < world_.segment().extents_offset() || page % kPagesPerExtent < shm::kExtentHeadPages) return false;
    if (!in_transaction(world_.segment())) return false;
    uint64_t owner = world_.segment().page(page).owner.load();
    if (shm::page_kind(owner) == shm::PageKind::kTail)
      owner = world_.segment().page(static_cast<uint32_t>(owner)).owner.load();
    return result_.deaths + result_.double_deaths > 0 && shm::page_kind(owner) != shm::PageKind::kJournal &&
           ruin_.segment().page(page).owner.load() == 0;
  }

  void judge(const Picture& picture, uint64_t step, uintptr_t instruction, uint64_t inner = 0,
             uintptr_t inner_instruction = 0) {
    if (!picture.problems.empty()) {
      problem(picture.problems, step, instruction, inner, inner_instruction);
    } else if (pictures_.empty() || pictures_.back().text != picture.text ||
               pictures_.back().sleepers != picture.sleepers || pictures_.back().untold != picture.untold) {
      pictures_.push_back(
          {picture.text, picture.sleepers, picture.untold, step, instruction, inner, inner_instruction});
    }
  }

  // He who recovers dies too, behind each of his own stores; the next one comes.
  void die_recovering(StoreTrap& outer, uint64_t step) {
    copy(ruin_, world_.segment());
    const std::shared_ptr<Segment> segment(std::shared_ptr<Segment>(), &ruin_.segment());
    newcomer(segment, [&](const std::function<void()>& part) {
      StoreTrap trap(ruin_.base(), kWorldBytes);
      trap.run(part, [&](uint64_t inner) {
        if (problems_ > kProblemsMax) return;
        const KeepThread keep;
        ++result_.double_deaths;
        copy(second_, ruin_.segment());
        judge(newcomer(second_), step, outer.instruction(), inner, trap.instruction());
        watch_recovered(second_.segment(), outer, step);
      });
    });
  }

  // Sequences never return to an earlier value: not in the living segment, not in a recovered one.
  void watch_sequences(StoreTrap& trap, uint64_t step) {
    for (uint32_t shard = 0; shard < sequences_.size(); ++shard) {
      const uint64_t sequence = world_.segment().shard(shard).sequence.load();
      if (sequence < sequences_[shard]) problem("the sequence of a shard went back", step, trap.instruction());
      sequences_[shard] = sequence;
    }
  }
  void watch_recovered(const Segment& recovered, StoreTrap& trap, uint64_t step) {
    for (uint32_t shard = 0; shard < sequences_.size(); ++shard) {
      const uint64_t sequence = recovered.shard(shard).sequence.load();
      if (sequence < sequences_[shard] || sequence % 2 != 0) {
        problem("recovery left the sequence of a shard odd, or set it back", step, trap.instruction());
      }
      // A reader that began inside must not take what it read for true.
      if (sequences_[shard] % 2 != 0 && sequence == sequences_[shard])
        problem("an odd sequence stayed", step, trap.instruction());
    }
  }

  struct Seen {
    std::string text;
    size_t sleepers, untold;
    uint64_t step;
    uintptr_t instruction;
    uint64_t inner;
    uintptr_t inner_instruction;
  };

  const Case& case_;
  const uint64_t recoverer_stride_;
  World world_;
  Ruin ruin_{world_.segment()}, second_{world_.segment()};
  Dirty dirty_;
  bool publishes_ = false;
  std::optional<Reader> reader_;
  std::vector<Seen> pictures_;
  std::vector<uint64_t> sequences_;
  SweepResult result_;
  uint64_t problems_ = 0;
  uint64_t sampled_ = 0;  // steps that a recoverer might have died behind
};

}  // namespace

SweepResult sweep(const Case& of, Pages pages, uint64_t recoverer_samples, uint64_t steps_expected) {
  {  // room in this thread's list of contexts for all that a callback adds
    World first;
    World second;
    World third;
  }
  const uint64_t stride = recoverer_samples == 0 ? 0 : std::max<uint64_t>(1, steps_expected / recoverer_samples);
  return Sweep(of, stride).run(pages);
}

}  // namespace shoal::crash
