// SPDX-License-Identifier: MIT
// damage_fuzz.cc: some words of a sound segment are overwritten, and everything that promises to survive that looks at
// it: check(), the views of `shoal inspect`, and the readers without a lock: of strings, of blobs, of rings. They must
// neither fault nor loop; what they say is not compared with anything. Commands under a lock trust the segment and are
// not run; of the views that take locks, what they show of a shard is.
//
// The segment holds something of everything: keys of each type, removed ones that are not freed yet, blocked waiters,
// channels and patterns, a ring that was written around, tasks in every state, an exchange, consumers that wait.
//
// The input is a list of edits: where (a word that holds something, most of the time an offset) and what (raw bytes,
// the old value and a little, or what another word holds: offsets that lead back make loops). After the run the words
// are put back.
#include <fuzzer/FuzzedDataProvider.h>
#include <unistd.h>

#include <utility>

#include "base/clock.h"
#include "base/fault_guard.h"
#include "channels/publish.h"
#include "channels/subscriber.h"
#include "fuzz/run.h"
#include "keyspace/read_blob.h"
#include "keyspace/read_string.h"
#include "queues/consumer.h"
#include "support/fresh_name.h"
#include "tools/views.h"

namespace shoal::fuzz {
namespace {

const char* const kKeys[] = {"short", "long", "blob", "number", "expiring", "list", "hash", "set", "scores", "none"};

void must(bool good, const char* what) {
  if (!good) fail(std::string("the setup failed: ") + what);
}

class Target {
 public:
  Target() {
    const SegmentName name = fresh_name("fuzz");
    auto opened = Segment::open(name, OpenMode::kAttachOrCreate, tiny_options());
    if (!opened.ok()) fail(describe(opened.status()));
    segment_ = std::move(opened).value();
    process_ = attach(segment_);
    other_ = attach(segment_);
    queues_ = std::make_unique<queues::TaskQueues>(*process_, 0);
    view_ = std::make_unique<tool::SegmentView>(tool::SegmentView::open(name).value());
    leave_nothing_of(name);  // the maps stay; nothing is left behind, however this ends
    fill();
    const CheckReport report = check(*segment_);
    if (view_->problem() || !report.clean()) fail("the segment is not sound to begin with");
    must(report.graves > 0, "nothing is left to be freed");
    remember_what_is_used();
  }

  void run(FuzzedDataProvider& input) {
    std::vector<std::pair<uint64_t*, uint64_t>> before;
    for (int edits = 0; edits < 12 && input.remaining_bytes() > 0; ++edits) {
      uint64_t* const word = choose(input);
      before.emplace_back(word, *word);
      const uint64_t other = *choose(input);
      switch (input.ConsumeIntegralInRange(0, 3)) {
        case 0:
          *word = input.ConsumeIntegral<uint64_t>();
          break;
        case 1:
          *word += static_cast<uint64_t>(input.ConsumeIntegralInRange(-9, 9));
          break;
        case 2:
          *word = other;
          break;
        default:
          reinterpret_cast<uint8_t*>(word)[input.ConsumeIntegralInRange(0, 7)] = input.ConsumeIntegral<uint8_t>();
      }
    }
    look();
    for (auto edit = before.rbegin(); edit != before.rend(); ++edit) *edit->first = edit->second;
  }

 private:
  // ---- The segment ----

  void fill() {
    fill_keys();
    fill_channels();
    fill_queues();
    block("BLPOP", "nobody pushes here");
    block("BLPOP", "nobody pushes here");
    block("BZPOPMIN", "nor here");
    Session session(process_);
    run(session, {"UNLINK", "doomed"});  // last: whatever writes after it frees some of it
  }

  static void run(Session& session, const std::vector<std::string>& words) {
    must(fuzz::run(session, words) == Outcome::kReplied, words[0].c_str());
  }

  void fill_keys() {
    Session session(process_);
    const auto run = [&](const std::vector<std::string>& words) { Target::run(session, words); };
    run({"SET", "short", "value"});
    run({"SET", "long", std::string(900, 'x')});
    run({"SET", "blob", std::string(30'000, 'y')});
    run({"SET", "number", "17"});
    run({"SET", "expiring", "soon", "EX", "100000"});
    for (int i = 0; i < 200; ++i) {
      const std::string each = std::to_string(i);
      run({"SET", "key:" + each, each});
      run({"RPUSH", "list", each, std::string(i, 'l')});
      run({"HSET", "hash", "field:" + each, each});
      run({"SADD", "set", "member:" + each});
      run({"ZADD", "scores", each, "member:" + each});
    }
    for (int i = 0; i < 2000; ++i) run({"SADD", "doomed", "member:" + std::to_string(i)});
    run({"DEL", "key:3", "key:4"});
    run({"SELECT", "1"});
    run({"SET", "short", "in another database"});
  }

  void block(const char* command, const char* key) {
    sessions_.push_back(std::make_unique<Session>(process_));
    must(fuzz::run(*sessions_.back(), {command, key, "0"}) == Outcome::kPending, command);
  }

  // "room" was written around, "kept" has a history, "p*" hears both of its kind, "silent" has no ring.
  void fill_channels() {
    must(channels::configure(*process_, "kept", {10, 0}, kLockBudgetNs).ok(), "history");
    for (int i = 0; i < 2; ++i) {
      subscribers_.push_back(std::make_unique<channels::Subscriber>(process_));
      subscribe(shm::ChannelKind::kChannel, "room");
      subscribe(shm::ChannelKind::kChannel, "silent");
      subscribe(shm::ChannelKind::kPattern, "p*");
    }
    for (int i = 0; i < 30; ++i) {
      publish("kept", 50);
      publish("pattern", 20);
    }
    publish("room", 20);
    for (int i = 0; i < 100'000 && look_up(shm::ChannelKind::kChannel, "room").channel->ring.oldest.load() == 0; ++i) {
      publish("room", static_cast<size_t>(i) * 37 % 300);
    }
    must(look_up(shm::ChannelKind::kChannel, "room").channel->ring.oldest.load() != 0, "the ring is never full");
    for (const auto& [kind, name] :
         {std::pair(shm::ChannelKind::kChannel, "room"), std::pair(shm::ChannelKind::kChannel, "kept"),
          std::pair(shm::ChannelKind::kPattern, "p*")}) {
      const channels::LookUp found = look_up(kind, name);
      const RingBytes bytes = channels::ring_bytes(*segment_, *found.channel);
      const uint64_t next = found.channel->ring.next.load();
      readers_.push_back({found.reader, RingCursor{}});
      readers_.push_back({found.reader, ring::seek(found.channel->ring, bytes, 1)});
      readers_.push_back({found.reader, ring::seek(found.channel->ring, bytes, next - 2)});
    }
  }
  void subscribe(shm::ChannelKind kind, const char* name) {
    bool fresh = false;
    must(subscribers_.back()->subscribe(kind, name, {}, kLockBudgetNs, fresh).ok() && fresh, name);
  }
  void publish(const char* channel, size_t bytes) {
    channels::Published result;
    must(channels::publish(*process_, self(), channel, std::string(bytes, 'm'), kLockBudgetNs, result).ok(), channel);
  }
  channels::LookUp look_up(shm::ChannelKind kind, const char* name) {
    channels::LookUp found;
    const channels::Name of = channels::name_of(*segment_, kind, name);
    must(channels::look_up(*process_, self(), of, kLockBudgetNs, found).ok() && found.channel != nullptr, name);
    return found;
  }
  shm::Context& self() { return *process_->context().value(); }

  // "jobs" has tasks in every state, "empty" consumers that wait.
  void fill_queues() {
    queues::QueueOptions once;
    once.max_deliveries = 1;
    must(queues_->declare("jobs", once).ok(), "declare");
    const auto soon = static_cast<uint64_t>(wall_clock_ms()) + 100'000'000;
    for (uint32_t i = 0; i < 40; ++i) push(i % 10, 0, 10 * i);
    for (uint64_t i = 0; i < 8; ++i) push(0, soon + i * 1000, 5);
    must(queues_->bind("exchange", "key", "", "jobs").ok() && queues_->bind("exchange", "k.*", "k.*", "jobs").ok(),
         "bind");
    other_queues_ = std::make_unique<queues::TaskQueues>(*other_, 0);
    queues::Consumer dying(*other_queues_);
    for (int i = 0; i < 3; ++i) must(queues::start(*other_queues_, take(dying)).value(), "start");
    must(queues::release_slot(*process_, other_->slot_index(), other_->slot_generation()).ok(), "release");
    for (int i = 0; i < 3; ++i) add_consumer();
    for (int i = 0; i < 4; ++i) take(*consumers_[0]);
    must(queues::start(*other_queues_, take(*consumers_[1])).value(), "start");  // a second owner
    must(consumers_[0]->reject(take(*consumers_[0]), true).value(), "requeue");
    for (auto& each : consumers_) {
      must(each->remove("jobs").ok() && each->add("empty", false).ok() && each->listen().ok(), "listen");
    }
    const queues::QueueStats stats = *queues_->stats("jobs").value();
    must(stats.ready > 0 && stats.delayed > 0 && stats.leased > 0 && stats.dead > 0, "tasks in every state");
    must(queues_->stats("empty").value()->waiting > 0, "waiting consumers");
  }
  void push(uint32_t priority, uint64_t due_ms, size_t bytes) {
    must(queues_->push("jobs", {std::string(bytes, 't'), priority, due_ms}).ok(), "push");
  }
  void add_consumer() {
    consumers_.push_back(std::make_unique<queues::Consumer>(*queues_));
    must(consumers_.back()->add("jobs", false).ok(), "consumer");
  }
  static queues::LeaseTag take(queues::Consumer& consumer) {
    return *queues::LeaseTag::parse(consumer.take_from("jobs", false).value()->tag);
  }

  // ---- The damage ----

  void remember_what_is_used() {
    const uint64_t begin = segment_->extents_offset(), end = segment_->committed();
    uint64_t before = 0;
    for (uint64_t at = 0; at < end; at += 8) {
      const uint64_t word = *segment_->pointer<uint64_t>(at), again = std::exchange(before, word);
      if (word == 0 || word == again) continue;  // again: the middle of a value
      used_.push_back(at);
      const uint64_t low = word & 0xffff'ffff'ffff;
      if (at >= kPageBytes && low % 8 == 0 && low >= begin && low < end) links_.push_back(at);
    }
  }

  uint64_t* choose(FuzzedDataProvider& input) {
    const uint32_t number = input.ConsumeIntegral<uint32_t>(), kind = number % 8, which = number / 8;
    const uint64_t at = kind == 0   ? which % (segment_->committed() / 8) * 8
                        : kind <= 3 ? used_[which % used_.size()]
                                    : links_[which % links_.size()];
    return reinterpret_cast<uint64_t*>(segment_->control_base() + at);
  }

  // ---- The look ----

  void look() {
    for (const Finding& finding : check(*segment_).findings) (void)describe(finding);
    for (auto* each : {tool::segment_view, tool::processes_view, tool::shards_view, tool::memory_view}) {
      (void)tool::for_programs(each(*view_));
    }
    (void)tool::for_programs(tool::regions_view(view_->segment()));
    for (auto* each : {tool::add_channels, tool::add_queues, tool::add_leases}) {
      tool::Json rows = tool::Json::array();
      for (uint32_t shard = 0; shard < segment_->shard_count(); ++shard) each(*segment_, shard, rows);
      (void)tool::for_programs(rows);
    }
    for (const char* name : kKeys) {
      for (uint32_t database : {0u, 1u, 15u}) read(name, database);
    }
    for (const auto& [reader, cursor] : readers_) follow(reader, cursor);
    for (const char* name : {"room", "kept", "silent", "nobody"}) {
      channels::LookUp found;
      const channels::Name of = channels::name_of(*segment_, shm::ChannelKind::kChannel, name);
      if (channels::look_once(*segment_, of, found) && found.channel != nullptr) follow(found.reader, RingCursor{});
    }
  }

  void read(const char* name, uint32_t database) {
    static char value[64 * 1024];
    (void)keyspace::read_string(*segment_, database, name, [](uint32_t bytes) -> char* {
      if (bytes > sizeof value) fail("a reader without a lock believes a length of " + std::to_string(bytes));
      return value;
    });
    static char blob[kSegmentBytes];
    (void)keyspace::read_blob(*segment_, keyspace::make_key(*segment_, database, name), [](uint32_t bytes) -> char* {
      if (bytes > sizeof blob) fail("a reader without a lock believes a blob of " + std::to_string(bytes));
      return blob;
    });
  }

  // As Subscriber does, until it would take the lock to look up the ring again.
  static void follow(const RingReader& reader, RingCursor cursor) {
    static char name[kChannelNameBytesMax + 1], data[kSegmentBytes];
    shm::Message header;
    uint64_t lost = 0;
    for (uint64_t turns = 0;; ++turns) {
      if (turns > kSegmentBytes / sizeof(shm::Message)) fail("a reader of a ring comes to no end");
      const uint64_t sequence = cursor.sequence;
      const RingReader::Result result = reader.peek(cursor, header, lost);
      if (result == RingReader::Result::kNothing || result == RingReader::Result::kMoved) return;
      if (result == RingReader::Result::kMessage) {
        if (header.data_bytes > sizeof data) fail("a message without measure");
        if (!reader.copy(cursor, header, name, data)) return;
        RingReader::advance(cursor, header);
      }
      if (cursor.sequence <= sequence) fail("a reader of a ring goes back");
    }
  }

  struct Reader {
    RingReader reader;
    RingCursor cursor;
  };

  std::shared_ptr<Segment> segment_;
  std::shared_ptr<Process> process_, other_;
  std::unique_ptr<tool::SegmentView> view_;
  std::vector<std::unique_ptr<Session>> sessions_;  // each waits for a key
  std::vector<std::unique_ptr<channels::Subscriber>> subscribers_;
  std::unique_ptr<queues::TaskQueues> queues_, other_queues_;
  std::vector<std::unique_ptr<queues::Consumer>> consumers_;
  std::vector<Reader> readers_;
  std::vector<uint64_t> used_, links_;  // words that are not 0, and those of them that may be offsets
};

}  // namespace
}  // namespace shoal::fuzz

// What runs under a fault guard may follow any offset. Where the processor would fault, or go on, the sanitizer says so
// before: that, too, ends the function and not the process. Outside of a guard it is reported. (The linker wraps them.)
#define SHOAL_FUZZ_WRAP(handler)                                                        \
  extern "C" [[noreturn]] void __real_##handler(void* data, uintptr_t a, uintptr_t b);  \
  extern "C" [[noreturn]] void __wrap_##handler(void* data, uintptr_t a, uintptr_t b) { \
    shoal::fault_guard::give_up();                                                      \
    __real_##handler(data, a, b);                                                       \
  }
SHOAL_FUZZ_WRAP(__ubsan_handle_type_mismatch_v1_abort)
SHOAL_FUZZ_WRAP(__ubsan_handle_pointer_overflow_abort)

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static auto* const target = new shoal::fuzz::Target;
  FuzzedDataProvider input(data, size);
  target->run(input);
  return 0;
}
