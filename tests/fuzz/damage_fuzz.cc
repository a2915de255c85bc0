// SPDX-License-Identifier: MIT
// damage_fuzz.cc: some words of a sound segment are overwritten, and everything that promises to survive that looks at
// it: check(), the views of `shoal inspect`, and the reader without a lock. They must neither fault nor loop; what they
// say is not compared with anything. Commands under a lock trust the segment and are not run.
//
// The input is a list of edits: where (a word that holds something, most of the time) and what (raw bytes, the old
// value and a little, or what another word holds: offsets that lead back make loops). After the run the words are put
// back. The header's page stays as it is: the tool looks at it before it trusts the map (tests/tools).
#include <fuzzer/FuzzedDataProvider.h>
#include <unistd.h>

#include <cstring>

#include "fuzz/run.h"
#include "keyspace/read_string.h"
#include "tools/views.h"

namespace shoal::fuzz {
namespace {

const char* const kKeys[] = {"short", "long", "blob", "number", "expiring", "list", "hash", "set", "scores", "none"};

class Target {
 public:
  Target() {
    const std::string label = "fuzz-" + std::to_string(::getpid());
    const SegmentName name = SegmentName::parse(label).value();
    auto opened = Segment::open(name, OpenMode::kAttachOrCreate, tiny_options());
    if (!opened.ok()) fail(describe(opened.status()));
    segment_ = std::move(opened).value();
    process_ = attach(segment_);
    view_ = std::make_unique<tool::SegmentView>(tool::SegmentView::open(name).value());
    (void)Segment::remove(name);  // the maps stay; nothing is left behind, however this ends
    (void)!::system(("rm -rf '" + name.runtime_dir() + "'").c_str());
    fill();
    if (view_->problem() || !check(*segment_).clean()) fail("the segment is not sound to begin with");
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
  void fill() {
    Session session(process_);
    const auto run = [&](std::vector<std::string> words) {
      if (fuzz::run(session, words) != Outcome::kReplied) fail("a command of the setup failed: " + words[0]);
    };
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
    run({"DEL", "key:3", "key:4"});
    run({"SELECT", "1"});
    run({"SET", "short", "in another database"});
  }

  void remember_what_is_used() {
    for (uint64_t at = kPageBytes; at < segment_->committed(); at += 8) {
      if (*segment_->pointer<uint64_t>(at) != 0) used_.push_back(at);
    }
  }

  uint64_t* choose(FuzzedDataProvider& input) {
    const uint32_t number = input.ConsumeIntegral<uint32_t>();
    const uint64_t words = (segment_->committed() - kPageBytes) / 8;
    const uint64_t at = number % 8 == 0 ? kPageBytes + number / 8 % words * 8 : used_[number / 8 % used_.size()];
    return reinterpret_cast<uint64_t*>(segment_->control_base() + at);
  }

  void look() {
    for (const Finding& finding : check(*segment_).findings) (void)describe(finding);
    for (auto* each : {tool::segment_view, tool::processes_view, tool::shards_view, tool::memory_view}) {
      (void)tool::for_programs(each(*view_));
    }
    for (const char* name : kKeys) {
      for (uint32_t database : {0u, 1u, 15u}) read(name, database);
    }
  }

  void read(const char* name, uint32_t database) {
    static char value[64 * 1024];
    (void)keyspace::read_string(*segment_, database, name, [](uint32_t bytes) -> char* {
      if (bytes > sizeof value) fail("a reader without a lock believes a length of " + std::to_string(bytes));
      return value;
    });
  }

  std::shared_ptr<Segment> segment_;
  std::shared_ptr<Process> process_;
  std::unique_ptr<tool::SegmentView> view_;
  std::vector<uint64_t> used_;
};

}  // namespace
}  // namespace shoal::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static auto* const target = new shoal::fuzz::Target;
  FuzzedDataProvider input(data, size);
  target->run(input);
  return 0;
}
