// SPDX-License-Identifier: MIT
#include "crash/world.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <sstream>
#include <stdexcept>

#include "base/clock.h"
#include "base/hash.h"
#include "commands/set_at_once.h"
#include "crash/cases.h"
#include "crash/channel_words.h"
#include "crash/life_words.h"
#include "crash/queue_words.h"
#include "keyspace/keyspace.h"
#include "keyspace/waiters.h"
#include "transaction/page_pool.h"
#include "transaction/recovery.h"
#include "types/dict.h"
#include "types/string.h"

namespace shoal::crash {

namespace {

// "~600" becomes 600 bytes, "~600b" other 600 bytes.
std::string expanded(const std::string& line) {
  std::istringstream in(line);
  std::string out, word;
  while (in >> word) {
    if (word.size() > 1 && word[0] == '~' && std::isdigit(static_cast<unsigned char>(word[1])) != 0) {
      char* end = nullptr;
      const auto count = std::strtoul(word.c_str() + 1, &end, 10);
      const char fill = *end == '\0' ? 'x' : *end;
      word.assign(count, fill);
      for (size_t i = 0; i + 4 < count; i += 97) word[i] = static_cast<char>('A' + i % 26);
    }
    out += (out.empty() ? "" : " ") + word;
  }
  return out;
}

robust_list_head* notes_of_this_thread() noexcept {
  robust_list_head* notes = nullptr;
  size_t bytes = 0;
  if (::syscall(SYS_get_robust_list, 0, &notes, &bytes) != 0) std::abort();
  return notes;
}

}  // namespace

std::shared_ptr<Process> attach(std::shared_ptr<Segment> segment) {
  auto attached = Process::attach(std::move(segment), shm::SlotRole::kClient);
  if (!attached.ok()) throw std::runtime_error(describe(attached.status()));
  return std::move(attached).value();
}

Memory::Memory() {
  void* memory =
      ::mmap(nullptr, kWorldBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::runtime_error("no memory");
  base_ = static_cast<std::byte*>(memory);
}
Memory::~Memory() { ::munmap(base_, kWorldBytes); }

bool holds_a_note() noexcept {
  const robust_list_head& notes = *notes_of_this_thread();
  return notes.list.next != &notes.list;
}

KeepThread::KeepThread() noexcept : notes_(notes_of_this_thread()), kept_notes_(*notes_) {
  notes_->list.next = &notes_->list;
  notes_->list_op_pending = nullptr;
}

KeepThread::~KeepThread() {
  *notes_ = kept_notes_;
  detail::thread_cache = cache_;
}

// ---- World ----------------------------------------------------------------------------------------------------------

SegmentOptions world_options() {
  SegmentOptions options;
  options.max_size = kWorldBytes;
  options.shard_count = 2;
  options.context_count = 16;
  options.slot_count = 8;
  options.first_commit = 2 * kMiB;
  return options;
}

std::vector<std::string> colliding_keys(const std::string& line) {
  constexpr uint64_t kSame = uint64_t{1} << 63 | uint64_t{0xffff} << 32 | 0xf;  // shard, tag, bucket: base/hash.h
  static std::map<std::string, std::vector<std::string>> found;
  std::vector<std::string> all;
  std::istringstream in(line);
  std::string with, name;
  in >> with;
  while (in >> with) {
    std::vector<std::string>& names = found[with];
    const uint64_t hash = hash_bytes(with, kHashSeed);
    for (uint64_t i = 0; names.size() < 7; ++i) {
      name = "collide" + std::to_string(i);
      if (((hash_bytes(name, kHashSeed) ^ hash) & kSame) == 0) names.push_back(name);
    }
    all.insert(all.end(), names.begin(), names.end());
  }
  return all;
}

World::World() : World(std::make_unique<Memory>(), nullptr) {
  Process::set_reap(nullptr);  // whoever looks at a copy leaves it as he found it (Ruin::copy)
}
World::World(const std::shared_ptr<Segment>& file) : World(nullptr, file) {}
World::World(std::unique_ptr<Memory> memory, const std::shared_ptr<Segment>& segment)
    : memory_(std::move(memory)),
      segment_(memory_ != nullptr ? std::shared_ptr(Segment::format_memory(memory_->base(), world_options()).value())
                                  : segment) {
  segment_->control_header().hash_seed = kHashSeed;
  soil();
  process_ = attach(segment_);
  session_ = std::make_unique<TestSession>(process_);
  queues_ = std::make_unique<QueueWords>(process_);
  channels_ = std::make_unique<ChannelWords>(process_);
  life_ = std::make_unique<LifeWords>(process_, [this](const std::string& line) { prepare(line); });
}
World::~World() = default;

// Free pages are not zero in a segment that has lived: what counts on it is to fail here. Those that are taken first.
void World::soil() {
  constexpr uint64_t kPages = kReservedPages + 40;
  std::memset(base() + segment_->extents_offset() + shm::kExtentHeadPages * kPageBytes, 0x2e, kPages * kPageBytes);
}

// Another process runs a blocking command and falls asleep, like blocking::wait() before its futex.
void World::sleep(const std::string& line) {
  const std::shared_ptr<Process> process = attach(segment_);
  sleepers_.push_back(std::make_unique<TestSession>(process));
  if ((*sleepers_.back())(expanded(line)) != "(pending)") throw std::runtime_error("it does not wait: " + line);
  process->context().value()->asleep.fetch_add(1);
}

// What its slot's reaper does of the first that fell asleep.
void World::reap_a_sleeper() {
  Process& asleep = sleepers_.front()->session().process();
  (void)waiters::release_slot(*process_, asleep.slot_index(), asleep.slot_generation(), kLockBudgetNs);
}

// Like blocking::wait() behind its futex.
std::string World::resume() {
  while (blocking::timeout_ns(session_->session()) > 0) {
  }
  return session_->resume();
}

std::string World::run_command(const std::string& line) { return (*session_)(expanded(line)); }

std::string World::run(const std::string& line) {
  std::istringstream in(line);
  std::string word;
  in >> word;
  uint64_t number = 0;
  if (word[0] == '@') {
    std::string last;
    for (const std::string& each : repeated(line)) last = run(each);
    return last;
  }
  if (word == "!brink") {
    brink();
  } else if (word == "!collide") {
    collide(line);
  } else if (word == "!fill") {
    in >> number;
    fill(number);
  } else if (word == "!clock") {  // so many milliseconds later
    in >> number;
    set_wall_clock_offset_ms(static_cast<int64_t>(number));
  } else if (word == "!set") {
    std::string name, value;
    std::istringstream(expanded(line)) >> word >> name >> value;
    return set_at_once(session_->session(), name, value) ? "OK" : run_command("SET " + name + " " + value);
  } else if (word == "!q") {
    std::string rest;
    std::getline(in, rest);
    queues_->run(rest);
  } else if (word == "!c") {
    std::string rest;
    std::getline(in, rest);
    channels_->run(rest);
  } else if (word == "!sleep") {
    std::string rest;
    std::getline(in, rest);
    sleep(rest);
  } else if (word == "!other") {
    std::string rest;
    std::getline(in, rest);
    TestSession other(process_);
    return other(expanded(rest));
  } else if (word == "!resume") {
    return resume();
  } else if (word == "!cancel") {
    blocking::cancel(session_->session());
  } else if (word == "!reap") {
    reap_a_sleeper();
  } else if (!life_->run(line)) {
    return run_command(line);
  }
  return "";
}

void World::prepare(const std::string& line) {
  if (const std::string reply = run(line); refused(reply)) throw std::runtime_error(line + " says " + reply);
}

void World::brink() {
  const auto full = [this](uint32_t shard) { return Dict::grows_with_next(segment_->shard(shard).keys); };
  for (uint64_t i = 0; !full(0) || !full(1); ++i) {
    const std::string name = "brink" + std::to_string(i);
    if (!full(keyspace::make_key(*segment_, 0, name).shard)) run_command("SET " + name + " v");
  }
}

void World::collide(const std::string& line) {
  for (const std::string& name : colliding_keys(line)) prepare("SET " + name + " v");
}

uint64_t World::free_pages() { return check(*segment_).pages_free; }

// The pages are given to a blob, as empty pieces: exact, and quick.
void World::fill(uint64_t wanted) {
  if (segment_->in_memory()) {
    segment_->control_header().max_size = segment_->committed();  // nothing more to grow into
  } else {
    while (segment_->grow(kExtentBytes).ok()) {
    }
  }
  TestSession other(process_);  // ours may be in a MULTI
  other(expanded("SET ballast ~5000"));
  const Key key = keyspace::make_key(*segment_, 0, "ballast");
  const auto& entry = *keyspace::find(*segment_, key);
  auto& root = const_cast<shm::BlobRoot&>(entry.root<shm::BlobRoot>());
  uint64_t left = free_pages();
  if (left < wanted) throw std::runtime_error("the segment is fuller than that already");
  const auto first_extent = static_cast<uint32_t>(segment_->extents_offset() / kPageBytes);
  const auto end = static_cast<uint32_t>(segment_->committed() / kPageBytes);
  for (uint32_t page = first_extent; page < end && left > wanted; ++page) {
    if (page % kPagesPerExtent < shm::kExtentHeadPages || segment_->page(page).owner.load() != 0) continue;
    uint32_t span = 1;
    while (span < left - wanted && (page + span) % kPagesPerExtent != 0 &&
           segment_->page(page + span).owner.load() == 0)
      ++span;
    for (uint32_t tail = page + 1; tail < page + span; ++tail) {
      segment_->control_page(tail).owner.store(shm::page_owner(shm::PageKind::kTail, page));
    }
    shm::Page& record = segment_->control_page(page);
    record.owner.store(shm::page_owner(shm::PageKind::kOwned, key.shard));
    record.use = {0, 0, 0, shm::kSpanClass, static_cast<uint8_t>(span)};
    record.next = record.previous = 0;
    const uint64_t piece = uint64_t{page} * kPageBytes;
    auto* pieces = segment_->control_base();
    *reinterpret_cast<shm::BlobPiece*>(pieces + piece) = {0, 0};
    reinterpret_cast<shm::BlobPiece*>(pieces + root.last)->next = piece;
    root.last = piece;
    segment_->control_shard(key.shard).bytes_used += uint64_t{span} * kPageBytes;
    left -= span;
  }
  if (free_pages() != wanted) throw std::runtime_error("cannot fill the segment to the page");
}

// ---- Ruin -----------------------------------------------------------------------------------------------------------

Ruin::Ruin(const Segment& of) {
  std::memcpy(base(), of.base(), of.header().fixed_end);
  std::memcpy(base() + of.extents_offset(), of.base() + of.extents_offset(), of.committed() - of.extents_offset());
  segment_ = Segment::view_memory(base());
}

void Ruin::copy(const Segment& from) {
  std::memcpy(base(), from.base(), from.header().fixed_end);
  for (uint64_t extent = from.extents_offset(); extent < from.committed(); extent += kExtentBytes) {
    uint32_t high = kPagesPerExtent;
    const auto first = static_cast<uint32_t>(extent / kPageBytes);
    while (high > shm::kExtentHeadPages && from.page(first + high - 1).owner.load(std::memory_order_relaxed) == 0)
      --high;
    std::memcpy(base() + extent, from.base() + extent, high * kPageBytes);
  }
  kill_everybody();
}

void Ruin::copy(const Segment& from, const Dirty& dirty) {
  std::memcpy(base(), from.base(), from.header().fixed_end);
  for (uint64_t extent = from.extents_offset(); extent < from.committed(); extent += kExtentBytes) {
    std::memcpy(base() + extent, from.base() + extent, shm::kExtentHeadPages * kPageBytes);
  }
  for (uint32_t page : dirty.pages())
    std::memcpy(base() + page * kPageBytes, from.base() + page * kPageBytes, kPageBytes);
  kill_everybody();
}

void Ruin::kill_everybody() {
  for (uint32_t index = 0; index < segment_->context_count(); ++index) {
    shm::Context& context = segment_->control_context(index);
    const uint32_t id = context.id.load();
    if (id == 0 || std::find(spared_.begin(), spared_.end(), id) != spared_.end()) continue;
    auto* note =
        reinterpret_cast<uint32_t*>(reinterpret_cast<std::byte*>(&context.alive) + context.alive_offset.load());
    *note |= kFutexOwnerDied;
  }
}

void Dirty::add(uint64_t offset) {
  for (uint64_t at : {offset, offset + 63}) {  // an instruction may store over the end of a page
    const auto page = static_cast<uint32_t>(at / kPageBytes);
    if (std::find(pages_.rbegin(), pages_.rend(), page) == pages_.rend()) pages_.push_back(page);
  }
}

bool in_transaction(const Segment& segment) {
  for (uint32_t index = 0; index < segment.context_count(); ++index) {
    if (segment.context(index).journal_words != 0) return true;
  }
  return false;
}

std::vector<uint32_t> sleepers(const Segment& segment) {
  std::vector<uint32_t> ids;
  for (uint32_t index = 0; index < segment.context_count(); ++index) {
    const shm::Context& context = segment.context(index);
    if (context.id.load() != 0 && context.asleep.load() % 2 != 0) ids.push_back(context.id.load());
  }
  return ids;
}

// ---- What is seen ---------------------------------------------------------------------------------------------------

bool refused(const std::string& reply) {
  return reply.starts_with("(error)") || reply.starts_with("(failed)") || reply.starts_with("(busy)");
}

std::string text_of(const CheckReport& report) {
  std::string text;
  for (const Finding& finding : report.findings) text += "  " + describe(finding) + "\n";
  return text;
}

namespace {

// A line a key and type of which somebody waits.
std::vector<std::string> look_at_waiters(const Segment& segment, uint32_t shard) {
  std::vector<std::string> lines;
  Dict::for_each(segment, segment.shard(shard).waiters, [&](uint64_t item) {
    const auto& queue = *segment.pointer<shm::WaitQueue>(item);
    uint64_t waiting = 0;
    for (uint64_t next = queue.first; next != 0; next = segment.pointer<shm::Waiter>(next)->next) ++waiting;
    const std::string key(reinterpret_cast<const char*>(&queue + 1), queue.key_bytes);
    lines.push_back("waiters of " + key + " type " + std::to_string(queue.kind) + ": " + std::to_string(waiting) +
                    ", " + std::to_string(queue.woken) + " woken");
  });
  return lines;
}

}  // namespace

std::string look(const std::shared_ptr<Process>& process) {
  Segment& segment = process->segment();
  TestSession session(process);
  std::vector<std::string> lines;
  for (uint32_t shard = 0; shard < segment.shard_count(); ++shard) {
    Dict::for_each(segment, segment.shard(shard).keys, [&](uint64_t offset) {
      const auto& entry = *segment.pointer<shm::Entry>(offset);
      const std::string key(entry.key());
      const auto* row = type_row(entry.type());
      std::string line = std::to_string(entry.info().database) + ":" + key + " " + row->name + " v" +
                         std::to_string(entry.version.load()) + " e" + std::to_string(entry.expires_ms()) + " ";
      std::string value;
      session.session().select(entry.info().database);
      switch (entry.type()) {
        case Type::kString:
          value = session.run({"GET", key});
          break;
        case Type::kList:
          value = session.run({"LRANGE", key, "0", "-1"});
          break;
        case Type::kHash:
          value = session.run({"HGETALL", key});
          break;
        case Type::kSet:
          value = session.run({"SMEMBERS", key});
          break;
        case Type::kSortedSet:
          value = session.run({"ZRANGE", key, "0", "-1", "WITHSCORES"});
          break;
        default:
          value = "?";
          break;
      }
      if (value.size() > 400) value = value.substr(0, 300) + "... " + std::to_string(std::hash<std::string>()(value));
      lines.push_back(line + value);
    });
    for (const std::string& line : look_at_waiters(segment, shard)) lines.push_back("~" + line);
    for (const std::string& line : look_at_queues(segment, shard)) lines.push_back("~" + line);
    for (const std::string& line : look_at_channels(segment, shard)) lines.push_back("~" + line);
    uint64_t created = 14695981039346656037u;
    for (const auto& version : segment.shard(shard).created) created = (created ^ version.load()) * 1099511628211u;
    lines.push_back("~shard " + std::to_string(shard) + " created " + std::to_string(created));
  }
  std::sort(lines.begin(), lines.end());
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

Picture newcomer(const std::shared_ptr<Segment>& segment, const Around& around, const More& more) {
  const KeepThread keep;
  Picture picture;
  std::shared_ptr<Process> process = attach(segment);
  const uint32_t self = process->context().value()->id.load();
  around([&] {
    auto at_lock = check_locked(*process, kLockBudgetNs);
    if (!at_lock.ok()) picture.problems += "no lock: " + describe(at_lock.status()) + "\n";
    if (at_lock.ok() && !at_lock.value().clean()) picture.problems += "at the lock:\n" + text_of(at_lock.value());
  });
  around([&] { recover_all(*process, self); });
  auto later = check_locked(*process, kLockBudgetNs);
  if (later.ok() && !later.value().clean()) picture.problems += "after all were recovered:\n" + text_of(later.value());
  picture.sleepers = sleepers(*segment).size();
  picture.untold = untold(*segment);
  if (picture.problems.empty()) {
    picture.text = look(process);
    for (uint32_t index = 0; index < segment->context_count(); ++index) {
      const uint32_t id = segment->context(index).id.load();
      if (id != 0 && id != self && dead(*segment, id)) picture.problems += "a dead context still has its id\n";
    }
  }
  if (more) more(process, picture);
  return picture;
}

std::string hoard(Ruin& ruin) {
  const KeepThread keep;
  const std::shared_ptr<Segment> segment(std::shared_ptr<Segment>(), &ruin.segment());
  const std::shared_ptr<Process> process = attach(segment);
  shm::Context& self = *process->context().value();
  std::vector<uint32_t> pages;
  while (const uint32_t page = claim_span(*segment, self, 1, shm::PageKind::kClaimed)) pages.push_back(page);
  const uint32_t id = self.id.load();
  recover_all(*process, id);
  std::string problems;
  for (uint32_t page : pages) {
    if (segment->page(page).owner.load() != shm::page_owner(shm::PageKind::kClaimed, id))
      problems = "page " + std::to_string(page) + " was free, and recovery took it from who claimed it\n";
  }
  release_claims(*segment, self, id, shm::PageKind::kClaimed);
  return problems;
}

Picture newcomer(Ruin& ruin) {
  const std::shared_ptr<Segment> segment(std::shared_ptr<Segment>(), &ruin.segment());
  return newcomer(segment, [](const std::function<void()>& part) { part(); });
}

}  // namespace shoal::crash
