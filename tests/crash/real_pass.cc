// SPDX-License-Identifier: MIT
#include "crash/real_pass.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <numeric>
#include <optional>
#include <random>
#include <stdexcept>

#include "base/clock.h"
#include "commands/reap.h"
#include "crash/channel_words.h"
#include "crash/life_words.h"
#include "crash/segment_file.h"
#include "crash/store_trap.h"
#include "crash/world.h"
#include "support/fresh_name.h"
#include "support/slots.h"

namespace shoal::crash {

namespace {

constexpr uint64_t kProblemsMax = 3;

// Where a process dies: before its first command's first store (0), behind so many commands, or at a store.
struct Stop {
  uint64_t commands = UINT64_MAX;  // killed when so many are done
  uint64_t step = 0;               // or at this store
  bool behind = false;             // it, or on the point of it
  uint64_t recoverer = 0;          // and who recovers it, behind this store of his
};

// What the process that is to die says of itself, in memory that outlives it.
struct Progress {
  uint64_t commands = 0;  // done; for a recoverer, 1 when he is through
  uint64_t steps = 0;     // stores made or begun
  bool reaping = false;   // a recoverer: all are recovered, and what they held is being given back
  char error[400] = "";
};

// The pages that a command takes from the pool, and that nobody else can reach before it commits: what it stores into
// them until then cannot matter, but for its journal, which recovery reads.
class Fresh {
 public:
  explicit Fresh(const Segment& segment) : segment_(segment) {}
  void begin() {
    for (uint32_t page = 0; page < kWorldBytes / kPageBytes; ++page) free_[page] = is_free(page);
  }
  bool contains(uint32_t page) const {
    return free_[page] && in_transaction(segment_) && !is_free(page) && !is_journal(page);
  }

 private:
  uint64_t owner(uint32_t page) const { return segment_.page(page).owner.load(); }
  bool is_free(uint32_t page) const {
    if (page < segment_.extents_offset() / kPageBytes || page % kPagesPerExtent < shm::kExtentHeadPages) return false;
    return page >= segment_.committed() / kPageBytes || owner(page) == 0;
  }
  bool is_journal(uint32_t page) const {
    uint64_t of = owner(page);
    if (shm::page_kind(of) == shm::PageKind::kTail) of = owner(static_cast<uint32_t>(of));
    return shm::page_kind(of) == shm::PageKind::kJournal;
  }

  const Segment& segment_;
  std::vector<bool> free_ = std::vector<bool>(kWorldBytes / kPageBytes);
};

// At last the newcomer does what the daemon does: whatever the processes of the dead held is given back.
constexpr char kReaped[] = "reaped:\n";
More reaping(const Around& around) {
  return [around](const std::shared_ptr<Process>& process, Picture& picture) {
    around([&] { (void)sweep(*process); });
    auto checked = check_locked(*process, kLockBudgetNs);
    if (!checked.ok() || !checked.value().clean())
      picture.problems += "after the dead were reaped:\n" + (checked.ok() ? text_of(checked.value()) : "no lock\n");
    const Segment& segment = process->segment();
    if (!slots_of_others(*process).empty()) picture.problems += "a dead process still has its slot\n";
    for (uint32_t index = 0; index < segment.context_count(); ++index) {
      const shm::Context& context = segment.context(index);
      if (context.claim.load() != 0 && &context != process->context().value())
        picture.problems += "a dead thread still has its context\n";
    }
    picture.text += kReaped + look(process);
  };
}

// Of what was seen: behind the reaping.
std::string reaped(const std::string& seen) { return seen.substr(std::min(seen.find(kReaped), seen.size())); }

class RealPass {
 public:
  explicit RealPass(const Case& of) : case_(of), operation_(commands_of(of.operation)) {
    void* shared = ::mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) throw std::runtime_error("no memory");
    progress_ = new (shared) Progress;
    install_reaper();
    for (const std::string& line : lines_of(of.setup)) {
      if (line.starts_with("!collide ")) (void)colliding_keys(line);
    }
  }
  ~RealPass() {
    set_wall_clock_offset_ms(0);
    ::munmap(progress_, sizeof(Progress));
  }
  RealPass(const RealPass&) = delete;
  RealPass& operator=(const RealPass&) = delete;

  RealPassResult run(uint64_t kills_max, uint64_t recovered_max, uint64_t seed) {
    for (uint64_t done = 0; done <= operation_.size(); ++done) between_.push_back(killed({.commands = done}));
    const uint64_t steps = progress_->steps;
    if (sweeps()) judge_sweep(between_.front(), between_.back());
    result_.differed = killed({.commands = operation_.size()}) != between_.back();
    result_.stops = 2 * steps;
    random_.seed(seed);
    recoverer_kills_max_ = kills_max;
    const std::vector<uint64_t> drawn = draw(kills_max, result_.stops);
    const std::vector<uint64_t> recovered = draw(recovered_max, drawn.size());
    for (size_t i = 0; i < drawn.size() && problems_ <= kProblemsMax; ++i) {
      const bool recoverers_too = std::binary_search(recovered.begin(), recovered.end(), i);
      die_at({.step = drawn[i] / 2 + 1, .behind = drawn[i] % 2 == 1}, recoverers_too);
    }
    return result_;
  }

 private:
  // At most `count` of the numbers below `end`, in their order.
  std::vector<uint64_t> draw(uint64_t count, uint64_t end) {
    std::vector<uint64_t> all(end), drawn;
    std::iota(all.begin(), all.end(), 0);
    std::sample(all.begin(), all.end(), std::back_inserter(drawn), std::min(count, end), random_);
    return drawn;
  }

  static std::vector<std::string> commands_of(const std::string& text) {
    std::vector<std::string> commands;
    for (const std::string& line : lines_of(text)) {
      for (const std::string& each : repeated(line)) commands.push_back(each);
    }
    return commands;
  }

  void die_at(const Stop& stop, bool recoverers_too) {
    const std::string seen = killed(stop, recoverers_too);
    if (seen.empty()) return;  // it has been reported
    if (progress_->commands >= operation_.size()) {
      ++result_.missed;  // it needed fewer stores than last time
      return;
    }
    const std::string &before = between_[progress_->commands], &after = between_[progress_->commands + 1];
    if (sweeps() && reaped(seen) != reaped(after)) {
      problem(stop, "Reaped by the next:\n" + seen + "Reaped by one who lived:\n" + after);
    }
    const bool is_after = seen == after;
    if (ends_at_random(case_) || case_.is(kInParts) || is_after || seen == before) return;
    if (only_oldest_messages_gone(before, seen, after)) return;
    problem(stop, "neither as before nor as after. Before:\n" + before + "Seen:\n" + seen + "After:\n" + after);
  }

  bool sweeps() const { return case_.operation == std::string("!sweep"); }

  // The dead had something that is given back, and nothing of it is left. Who died with nothing but his slot shows by
  // that alone: reaping() looks at it.
  void judge_sweep(const std::string& before, const std::string& after) {
    if (!case_.is(kNothingToReap) && before.substr(0, before.find(kReaped)) == after.substr(0, after.find(kReaped)))
      problem({}, "a sweep gives nothing back:\n" + after);
    for (const char* left : {"waiters of", "holder ", " heard by 1", " heard by 2"}) {
      if (reaped(after).find(left) != std::string::npos) problem({}, "a sweep leaves something of the dead:\n" + after);
    }
  }

  void problem(const Stop& stop, const std::string& what) {
    if (++problems_ > kProblemsMax) return;
    const char* at = stop.behind ? "killed behind store " : "killed before store ";
    result_.problems +=
        stop.step != 0 ? at + std::to_string(stop.step) : "killed after " + std::to_string(stop.commands) + " commands";
    if (stop.recoverer != 0) result_.problems += ", its recoverer behind store " + std::to_string(stop.recoverer);
    result_.problems += ":\n" + what + "\n";
  }

  // What another process finds when one was killed there, in a fresh segment.
  std::string killed(const Stop& stop, bool recoverers_too = false) {
    const SegmentName name = fresh_name("test-real");
    ++result_.kills;
    std::string found;
    if (dies(stop, [&] { live(name, stop); })) {
      std::optional<SegmentFile> file;
      if (recoverers_too) file.emplace(name);
      found = look_at(name, stop);
      if (recoverers_too) kill_recoverers(name, *file, stop, found);
    }
    leave_nothing_of(name);
    return found;
  }

  // Whoever recovers it is killed, too; the next one must find what he would have left.
  void kill_recoverers(const SegmentName& name, SegmentFile& file, Stop stop, const std::string& expected) {
    const Progress of_the_dead = *progress_;
    stop.recoverer = UINT64_MAX;
    const auto found = [&] {
      file.put_back();
      return dies(stop, [&] { recover(name, stop); }) ? look_at(name, stop) : "";
    };
    // Who died while he reaped had given back some of it, and the next one gives back the rest.
    const auto as_expected = [&](const std::string& seen) {
      return seen == expected || (progress_->reaping && reaped(seen) == reaped(expected));
    };
    const std::string recovered = found();
    if (!as_expected(recovered)) problem(stop, "Seen:\n" + recovered + "Recovered by another:\n" + expected);
    for (uint64_t store : draw(recoverer_kills_max_, progress_->steps)) {
      if (problems_ > kProblemsMax) break;
      stop.recoverer = store + 1;
      ++result_.recoverer_kills;
      const std::string seen = found();
      result_.missed_by_recoverers += progress_->commands;  // he came through with fewer stores than last time
      if (!as_expected(seen)) problem(stop, "Seen:\n" + seen + "Recovered by one who lived:\n" + expected);
    }
    *progress_ = of_the_dead;
  }

  // Whether a process that lives this life kills itself in it; anything else is reported.
  template <typename Life>
  bool dies(const Stop& stop, Life&& life) {
    *progress_ = {};
    const pid_t child = ::fork();
    if (child < 0) throw std::runtime_error("fork");
    if (child == 0) {
      ::alarm(kWatchdogSeconds);
      try {
        life();
      } catch (const std::exception& error) {
        std::snprintf(progress_->error, sizeof progress_->error, "it could not begin: %s", error.what());
      }
      ::_exit(1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    if (progress_->error[0] != '\0') {
      problem(stop, progress_->error);
    } else if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
      problem(stop, "it ended otherwise, with status " + std::to_string(status));
    } else {
      return true;
    }
    return false;
  }

  std::string look_at(const SegmentName& name, const Stop& stop) {
    std::string seen;
    try {
      const std::shared_ptr<Segment> segment = attached(name);
      segment->control_header().longest_recovery_ns.store(0);
      const Around plainly = [](const std::function<void()>& part) { part(); };
      const Picture picture = newcomer(segment, plainly, reaping(plainly));
      if (!picture.problems.empty()) problem(stop, picture.problems);
      // Only what this one recovered: others did it under the trap, which takes longer.
      result_.longest_recovery_ns = std::max(result_.longest_recovery_ns, segment->header().longest_recovery_ns.load());
      seen = without_times(picture.text);
    } catch (const std::exception& error) {
      problem(stop, error.what());
    }
    return seen;
  }

  // The segment of the dead, at their time.
  std::shared_ptr<Segment> attached(const SegmentName& name) {
    auto opened = Segment::open(name, OpenMode::kAttach);
    if (!opened.ok()) throw std::runtime_error("cannot be attached: " + describe(opened.status()));
    for (const std::string& line : lines_of(case_.setup)) {
      if (line.starts_with("!clock ")) set_wall_clock_offset_ms(std::stoll(line.substr(7)));
    }
    return std::move(opened).value();
  }

  // Each run has its own moments at which keys expire.
  static std::string without_times(std::string text) {
    constexpr size_t kDigits = 13;
    for (size_t at = text.find(" e"); at != std::string::npos; at = text.find(" e", at + 1)) {
      const size_t end = std::min(text.find_first_not_of("0123456789", at + 2), text.size());
      if (end == at + 2 + kDigits) text.replace(at + 2, kDigits, "<moment>");
    }
    return text;
  }

  // The process that dies. Its parent's heap and handlers are its own copies.
  void live(const SegmentName& name, const Stop& stop) {
    set_wall_clock_offset_ms(0);
    auto opened = Segment::open(name, OpenMode::kAttachOrCreate, world_options());
    if (!opened.ok()) throw std::runtime_error(describe(opened.status()));
    const std::shared_ptr<Segment> segment = std::move(opened).value();
    World world(segment);
    for (const std::string& line : lines_of(case_.setup)) world.prepare(line);
    StoreTrap trap(world.base(), kWorldBytes);
    const auto reached = [&](bool behind) {
      return [this, stop, behind](uint64_t step) {
        progress_->steps = step;
        if (step == stop.step && stop.behind == behind) die();
      };
    };
    trap.about_to_store = reached(false);
    Fresh fresh(*segment);
    trap.free_to_store = [&](uint64_t page) { return fresh.contains(static_cast<uint32_t>(page / kPageBytes)); };
    trap.run(
        [&] {
          for (const std::string& command : operation_) {
            if (progress_->commands == stop.commands) die();
            fresh.begin();
            world.run(command);
            ++progress_->commands;
          }
        },
        reached(true));
    die();
  }

  // The process that recovers it, and dies.
  void recover(const SegmentName& name, const Stop& stop) {
    const std::shared_ptr<Segment> segment = attached(name);
    segment->control_header().longest_recovery_ns.store(UINT64_MAX);  // else it depends on time whether he stores it
    const Around dying = [&](const std::function<void()>& part) {
      StoreTrap trap(segment->control_base(), kWorldBytes);
      trap.run(part, [&](uint64_t) {
        if (++progress_->steps == stop.recoverer) die();
      });
    };
    const More reap = reaping(dying);
    newcomer(segment, dying, [&](const std::shared_ptr<Process>& process, Picture& picture) {
      progress_->reaping = true;
      reap(process, picture);
    });
    ++progress_->commands;
    die();
  }

  const Case& case_;
  const std::vector<std::string> operation_;
  Progress* progress_;
  std::vector<std::string> between_;  // what is seen when 0, 1, ... commands are done
  std::mt19937_64 random_;
  uint64_t recoverer_kills_max_ = 0;
  RealPassResult result_;
  uint64_t problems_ = 0;
};

}  // namespace

RealPassResult real_pass(const Case& of, uint64_t kills_max, uint64_t recovered_max, uint64_t seed) {
  return RealPass(of).run(kills_max, recovered_max, seed);
}

}  // namespace shoal::crash
