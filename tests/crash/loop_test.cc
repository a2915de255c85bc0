// SPDX-License-Identifier: MIT
// An event loop sleeps on its FIFO and lives; the process that has something for it is killed at each of its stores
// into the segment, before it and behind it. When a newcomer has recovered the dead: either it was done, and there is a
// byte in the FIFO, or it was not.
#include <gtest/gtest.h>
#include <poll.h>

#include <cstdio>
#include <initializer_list>

#include "channels/subscriber.h"
#include "crash/store_trap.h"
#include "crash/world.h"
#include "process/wake.h"
#include "queues/consumer.h"
#include "support/fresh_name.h"
#include "support/process_fixture.h"

namespace shoal::crash {
namespace {

using ProcessPointer = std::shared_ptr<Process>;

struct Way {
  const char* name;
  std::function<std::shared_ptr<void>(const ProcessPointer&)> listen;  // what must live as long as it listens
  std::function<void(const ProcessPointer&)> tell;
};
void PrintTo(const Way& way, std::ostream* out) { *out << way.name; }

struct QueueListener {
  explicit QueueListener(Process& process) : queues(process, 0), consumer(queues) {}
  queues::TaskQueues queues;
  queues::Consumer consumer;
};

std::shared_ptr<void> wait_in_blpop(const ProcessPointer& process) {
  auto session = std::make_shared<TestSession>(process);
  EXPECT_EQ((*session)("BLPOP b a c 0"), "(pending)");
  return session;
}

std::shared_ptr<void> subscribe(const ProcessPointer& process) {
  auto subscriber = std::make_shared<channels::Subscriber>(process);
  bool fresh = false;
  EXPECT_TRUE(subscriber->subscribe(shm::ChannelKind::kChannel, "room", {}, kLockBudgetNs, fresh).ok());
  return subscriber;
}

std::shared_ptr<void> consume(const ProcessPointer& process) {
  auto listener = std::make_shared<QueueListener>(*process);
  EXPECT_TRUE(listener->consumer.add("q", false).ok() && listener->consumer.listen().ok());
  return listener;
}

void run(const ProcessPointer& process, std::initializer_list<const char*> lines) {
  TestSession session(process);
  for (const char* line : lines) session(line);
}

const Way kWays[] = {
    {"RPUSH", wait_in_blpop, [](const ProcessPointer& process) { run(process, {"RPUSH a 1"}); }},
    {"EXEC", wait_in_blpop,
     [](const ProcessPointer& process) {
       run(process, {"MULTI", "SET s 1", "RPUSH c 1", "EXEC"});
     }},
    {"PUBLISH", subscribe, [](const ProcessPointer& process) { run(process, {"PUBLISH room x"}); }},
    {"push", consume,
     [](const ProcessPointer& process) {
       (void)queues::TaskQueues(*process, 0).push("q", {"a task", 0, 0});
     }},
};

// Where a process dies: at a store, on the point of it or behind it. 0: nowhere.
struct Stop {
  uint64_t step = 0;
  bool behind = false;
};

struct Found {
  bool died = false;  // whoever was to
  bool rung = false;  // before anybody came
  std::string text;
};

class LoopTest : public ::testing::TestWithParam<Way> {
 protected:
  // The teller dies there, and whoever recovers him there; what the next one finds.
  Found found(const Stop& teller, const Stop& recoverer = {}) {
    ++kills_;
    const SegmentName name = fresh_name("test-loop");
    const std::shared_ptr<Segment> segment = Segment::open(name, OpenMode::kAttachOrCreate, world_options()).value();
    segment->control_header().hash_seed = 7;
    const ProcessPointer process = attach(segment);
    const std::shared_ptr<void> listener = GetParam().listen(process);
    const std::unique_ptr<LoopWaker> loop = LoopWaker::create(*process).value();
    loop->arm();
    Found found;
    found.died = dies(segment, teller, [&](const Around& dying) {
      const ProcessPointer own = attach(segment);
      dying([&] { GetParam().tell(own); });
    });
    found.rung = readable(loop->fd());
    if (recoverer.step != 0) {
      found.died = dies(segment, recoverer, [&](const Around& dying) { newcomer(segment, dying); });
    }
    const Picture picture = newcomer(segment, [](const std::function<void()>& part) { part(); });
    EXPECT_EQ(picture.problems, "");
    found.text = picture.text;
    if (!before_.empty() && found.text != before_) {
      EXPECT_EQ(found.text, after_) << "neither as before nor as after";
      EXPECT_TRUE(readable(loop->fd())) << "it was done, and nobody rang";
    }
    leave_nothing_of(name);
    return found;
  }

  std::string before_, after_;
  uint64_t kills_ = 0;

 private:
  static bool readable(int fd) {
    pollfd descriptor{fd, POLLIN, 0};
    return ::poll(&descriptor, 1, 0) == 1;
  }

  // Whether a child that lives this life is killed in it.
  template <typename Life>
  static bool dies(const std::shared_ptr<Segment>& segment, const Stop& stop, Life&& life) {
    Child child([&] {
      uint64_t before = 0;  // stores of the parts before this one
      life([&](const std::function<void()>& part) {
        StoreTrap trap(segment->control_base(), kWorldBytes);
        const auto die_at = [&](bool behind) {
          return [&, behind](uint64_t step) {
            if (before + step == stop.step && behind == stop.behind) ::raise(SIGKILL);
          };
        };
        trap.about_to_store = die_at(false);
        before += trap.run(part, die_at(true));
      });
      return 0;
    });
    const int status = child.wait();
    EXPECT_TRUE(status == 0 || status == 128 + SIGKILL) << status;
    return status != 0;
  }
};

TEST_P(LoopTest, IsRungWhereverWhoTellsItDies) {
  const std::string before = found({1, false}).text, after = found({}).text;
  ASSERT_NE(before, after);
  before_ = before, after_ = after;
  uint64_t owing = 0, recoverers = 0;
  for (Stop stop{1, false}; !HasFailure(); stop = {stop.step + stop.behind, !stop.behind}) {
    SCOPED_TRACE("killed " + std::string(stop.behind ? "behind" : "before") + " store " + std::to_string(stop.step));
    const Found once = found(stop);
    if (!once.died) break;
    if (once.text != after || once.rung) continue;
    ++owing;
    for (Stop recoverer{1, true}; !HasFailure(); ++recoverer.step, ++recoverers) {
      SCOPED_TRACE("whoever recovers him behind store " + std::to_string(recoverer.step));
      const Found twice = found(stop, recoverer);
      EXPECT_EQ(twice.text, after) << "it was done, and is undone again";
      if (!twice.died) break;
    }
  }
  EXPECT_GT(owing, 0u) << "nobody died with a wake to pay";
  std::printf("%lu kills, %lu of them owing a wake, %lu recoverers\n", kills_, owing, recoverers);
}

INSTANTIATE_TEST_SUITE_P(Way, LoopTest, ::testing::ValuesIn(kWays),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace shoal::crash
