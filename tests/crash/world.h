// SPDX-License-Identifier: MIT
// world.h: a tiny segment and who lives in it, and the picture of what a client sees there. In private memory it can be
// copied, and every process and thread declared dead in the copy (Ruin); in a file they can be killed (real_pass.h).
#pragma once

#include <linux/futex.h>

#include <memory>
#include <string>
#include <vector>

#include "commands/check.h"
#include "commands/session.h"
#include "support/redis_session.h"

namespace shoal::crash {

inline constexpr uint64_t kWorldBytes = 4 * kMiB;

class ChannelWords;
class LifeWords;
class QueueWords;

// Page-aligned zeroed memory.
class Memory {
 public:
  Memory();
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  std::byte* base() const noexcept { return base_; }

 private:
  std::byte* base_;
};

inline constexpr uint64_t kHashSeed = 7;  // the same keys collide in every run
// "!collide a b": seven keys for each, of its shard, which share its tag and, among up to 16 buckets, its bucket. Some
// fifteen million names are looked at for each key, once a process: whoever forks many asks first.
std::vector<std::string> colliding_keys(const std::string& line);

// Of such a segment: two shards, small tables.
SegmentOptions world_options();
std::shared_ptr<Process> attach(std::shared_ptr<Segment> segment);  // another process

class World {
 public:
  World();                                               // in private memory
  explicit World(const std::shared_ptr<Segment>& file);  // in a new segment of world_options()
  ~World();

  Segment& segment() noexcept { return *segment_; }
  std::byte* base() const noexcept { return segment_->control_base(); }
  const std::shared_ptr<Process>& process() noexcept { return process_; }
  // Runs one line as one writes it in redis-cli, and some words of our own (cases.h).
  std::string run(const std::string& line);
  // A line of a setup: throws if it is refused.
  void prepare(const std::string& line);
  // Leaves exactly this many pages free, the segment at its full size.
  void fill(uint64_t free_pages);
  uint64_t free_pages();
  // Adds keys until the next new one of either shard makes its table grow.
  void brink();

 private:
  std::string run_command(const std::string& line);
  void soil();
  void collide(const std::string& line);
  void sleep(const std::string& line);
  void reap_a_sleeper();
  std::string resume();

  World(std::unique_ptr<Memory> memory, const std::shared_ptr<Segment>& segment);

  std::unique_ptr<Memory> memory_;
  std::shared_ptr<Segment> segment_;
  std::shared_ptr<Process> process_;
  std::unique_ptr<TestSession> session_;
  std::vector<std::unique_ptr<TestSession>> sleepers_;  // each of a process of its own
  std::unique_ptr<QueueWords> queues_;
  std::unique_ptr<ChannelWords> channels_;
  std::unique_ptr<LifeWords> life_;
};

// The pages that were stored into since a moment. Undo stores nowhere else: what differs between two copies lies in
// them, in the fixed region, or in the page tables.
class Dirty {
 public:
  void clear() noexcept { pages_.clear(); }
  void add(uint64_t offset);
  const std::vector<uint32_t>& pages() const noexcept { return pages_; }

 private:
  std::vector<uint32_t> pages_;
};

// A copy of a world at one moment, in which everybody who was in it is dead, but for those who sleep.
class Ruin {
 public:
  explicit Ruin(const Segment& of);
  std::byte* base() const noexcept { return memory_.base(); }
  Segment& segment() noexcept { return *segment_; }
  void copy(const Segment& from);
  // The same for a ruin that was a copy of it, or of a copy, at the moment that `dirty` begins with.
  void copy(const Segment& from, const Dirty& dirty);
  void spare(std::vector<uint32_t> ids) { spared_ = std::move(ids); }

 private:
  void kill_everybody();
  Memory memory_;
  std::shared_ptr<Segment> segment_;
  std::vector<uint32_t> spared_;
};

// Whether somebody has begun what an undo would take back.
bool in_transaction(const Segment& segment);
// The contexts that sleep.
std::vector<uint32_t> sleepers(const Segment& segment);

struct Picture {
  std::string text;      // keys, values, expiries, versions; or what went wrong
  std::string problems;  // findings of check, at the first lock and after everybody was recovered
  size_t sleepers = 0;   // who still sleeps then
  size_t untold = 0;     // which listeners have no hint
};

// What a newcomer finds: he takes the locks of all shards (and so recovers whoever died with one), checks, recovers all
// others, checks again, and looks at everything. `around` runs the parts that may die themselves, `more` is what he
// does at last.
using Around = std::function<void(const std::function<void()>&)>;
using More = std::function<void(const std::shared_ptr<Process>& process, Picture& picture)>;
Picture newcomer(const std::shared_ptr<Segment>& segment, const Around& around, const More& more = nullptr);
Picture newcomer(Ruin& ruin);
// Somebody who lives claims every page that is free before the dead are recovered; what is wrong with his pages
// afterwards.
std::string hoard(Ruin& ruin);
// The picture alone, by a process that is already there.
std::string look(const std::shared_ptr<Process>& process);

std::string text_of(const CheckReport& report);
bool refused(const std::string& reply);

// Whether this thread is on record as the owner of a death note.
bool holds_a_note() noexcept;

// The thread-local things that code in a signal handler must put back. Among them is the list of the death notes that
// the thread holds, which it may have been changing when it was stopped: what runs meanwhile has one of its own.
class KeepThread {
 public:
  KeepThread() noexcept;
  ~KeepThread();
  KeepThread(const KeepThread&) = delete;
  KeepThread& operator=(const KeepThread&) = delete;

 private:
  detail::ThreadCache cache_ = detail::thread_cache;
  robust_list_head* notes_;
  robust_list_head kept_notes_;
};

}  // namespace shoal::crash
