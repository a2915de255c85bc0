// SPDX-License-Identifier: MIT
// Nobody sleeps through a wake: publishers and sleepers in many processes, by futex and by FIFO, with and without
// deaths (D1,
// D2); and the descriptors of FIFOs when somebody else closes or uses up all descriptors.
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "process/wake.h"
#include "support/process_fixture.h"

namespace shoal {
namespace {

constexpr int64_t kMillisecondNs = 1'000'000;
constexpr uint32_t kMailboxCount = 4;
enum class Kind { kThread, kLoop };

constexpr uint32_t kPublisherCount = 2;

// A sleeper's mailbox. `messages` is what a publisher stores before it wakes (each his own word, by a plain store: the
// fence between store and wake must be wake_context's), `woken` what it counts when the wake is over.
struct alignas(64) Mailbox {
  std::atomic<uint32_t> context_id;
  alignas(64) std::atomic<uint64_t> messages[kPublisherCount];
  alignas(64) std::atomic<uint64_t> woken;
  alignas(64) std::atomic<uint64_t> read, sleeps, lost;

  uint64_t published() const {
    return messages[0].load(std::memory_order_acquire) + messages[1].load(std::memory_order_acquire);
  }
};
struct Board {
  std::array<Mailbox, kMailboxCount> boxes;
  std::atomic<bool> stop;
};

// Sleeps until there is something to read; a sleep is lost if it lasted all its time although a wake for something
// unread had been carried out. 200 ms are far more than a publisher is ever off the processor between its two steps.
template <typename Sleep>
void read_for_ever(Board& board, Mailbox& box, Sleep&& sleep) {
  uint64_t read = box.read;
  while (!board.stop.load(std::memory_order_relaxed)) {
    if (const uint64_t published = box.published(); published != read) {
      read = published;
      box.read.store(read, std::memory_order_release);
      continue;
    }
    const bool timed_out = !sleep(read);
    box.sleeps.fetch_add(1, std::memory_order_relaxed);
    if (timed_out && box.woken.load() > read && !board.stop.load()) box.lost.fetch_add(1);
  }
}

void read_as_thread(Process& process, Board& board, Mailbox& box) {
  shm::Context& context = *process.context().value();
  box.context_id = context.id.load();
  read_for_ever(board, box, [&](uint64_t read) {
    ThreadSleep sleep(process, context);
    sleep.prepare();
    if (box.published() != read) return true;
    return sleep.wait(200 * kMillisecondNs);
  });
}

void read_as_loop(Process& process, Board& board, Mailbox& box) {
  auto waker = LoopWaker::create(process);
  if (!waker.ok()) ::abort();
  LoopWaker& loop = *waker.value();
  box.context_id = loop.context_id();
  read_for_ever(board, box, [&](uint64_t read) {
    loop.arm();
    int ready = 1;
    if (box.published() == read) {
      pollfd poll{loop.fd(), POLLIN, 0};
      ready = ::poll(&poll, 1, 200);
    }
    loop.disarm(process);
    return ready != 0;
  });
}

void read_as(Kind kind, Process& process, Board& board, Mailbox& box) {
  kind == Kind::kLoop ? read_as_loop(process, board, box) : read_as_thread(process, board, box);
}

void spin(uint32_t rounds) {
  for (; rounds != 0; --rounds) std::atomic_signal_fence(std::memory_order_seq_cst);
}

// Publishes to `count` boxes. Waits a little until the last message was read, then a random while: so publications hit
// every phase of going to sleep.
void publish_for_ever(Process& process, Board& board, uint32_t publisher, uint32_t seed,
                      uint32_t count = kMailboxCount) {
  std::minstd_rand random(seed);
  (void)context_id_of(process);
  while (!board.stop.load(std::memory_order_relaxed)) {
    Mailbox& box = board.boxes[random() % count];
    const uint32_t id = box.context_id.load();
    if (id == 0) continue;
    for (int patience = 2'000; patience != 0 && box.read.load(std::memory_order_acquire) != box.published();
         --patience) {
      if (patience % 500 == 1) ::sched_yield();  // the sleeper may have no processor
    }
    spin(random() % 1'500);
    std::atomic<uint64_t>& messages = box.messages[publisher];
    messages.store(messages.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    wake_context(process, id);
    box.woken.fetch_add(1);
  }
}

class WakeStress : public ProcessTest {
 protected:
  Shared<Board> board_;

  uint64_t total(std::atomic<uint64_t> Mailbox::*what) {
    uint64_t sum = 0;
    for (Mailbox& box : board_->boxes) sum += (box.*what).load();
    return sum;
  }
  // Until the sleepers have slept often, however long a busy machine takes: watchdogs are the bound.
  void run_until(uint64_t sleeps) {
    const int64_t watchdog = monotonic_ns() + 55'000 * kMillisecondNs;
    while (total(&Mailbox::sleeps) < sleeps && monotonic_ns() < watchdog) ::usleep(2'000);
    board_->stop = true;
  }
  void expect_no_lost_wake(uint64_t sleeps) {
    EXPECT_GE(total(&Mailbox::sleeps), sleeps) << "too few sleeps to prove anything";
    EXPECT_EQ(total(&Mailbox::lost), 0u) << "of " << total(&Mailbox::sleeps) << " sleeps";
    RecordProperty("sleeps", std::to_string(total(&Mailbox::sleeps)));
    std::printf("             %lu sleeps, %lu messages, %lu lost wakes\n", total(&Mailbox::sleeps),
                total(&Mailbox::woken), total(&Mailbox::lost));
  }
  void stress(Kind kind, uint32_t boxes, uint32_t publishers, uint64_t sleeps) {
    tiny_.slot_count = 16;
    std::vector<std::unique_ptr<Child>> children;
    for (uint32_t box = 0; box < boxes; ++box) {
      children.push_back(std::make_unique<Child>([&] {
        auto process = attach();
        read_as(kind, *process, *board_, board_->boxes[box]);
        return 0;
      }));
    }
    for (uint32_t publisher = 0; publisher < publishers; ++publisher) {
      children.push_back(std::make_unique<Child>([&] {
        auto process = attach();
        publish_for_ever(*process, *board_, publisher, publisher + 1, boxes);
        return 0;
      }));
    }
    run_until(sleeps);
    for (auto& child : children) EXPECT_EQ(child->wait(), 0);
    expect_no_lost_wake(sleeps);
  }
};

TEST_F(WakeStress, NoThreadSleepsThroughAWake) { stress(Kind::kThread, 1, 1, 40'000); }
TEST_F(WakeStress, NoThreadSleepsThroughAWakeOfManyPublishers) { stress(Kind::kThread, kMailboxCount, 2, 20'000); }
TEST_F(WakeStress, NoEventLoopSleepsThroughAWake) { stress(Kind::kLoop, 1, 1, 20'000); }  // D1
TEST_F(WakeStress, NoEventLoopSleepsThroughAWakeOfManyPublishers) { stress(Kind::kLoop, kMailboxCount, 2, 20'000); }

TEST_F(WakeStress, EventLoopsInThreadsOfOneProcessHaveFifosOfTheirOwn) {  // D2
  auto segment = open_segment();
  Child sleepers([&] {
    auto process = attach(segment);
    std::vector<std::thread> loops;
    for (Mailbox& box : board_->boxes) loops.emplace_back([&] { read_as_loop(*process, *board_, box); });
    for (std::thread& loop : loops) loop.join();
    return 0;
  });
  Child publisher([&] {
    auto process = attach(segment);
    publish_for_ever(*process, *board_, 0, 7);
    return 0;
  });
  run_until(5'000);
  EXPECT_EQ(sleepers.wait(), 0);
  EXPECT_EQ(publisher.wait(), 0);
  expect_no_lost_wake(5'000);
}

TEST_F(WakeStress, DeathsOfSleepersAndPublishersLoseNoWakeAndLeaveNothing) {
  tiny_.slot_count = 24;
  tiny_.context_count = 64;
  auto process = attach();
  auto start = [&](uint32_t place, uint32_t seed) {
    return std::make_unique<Child>([&, place, seed] {
      auto own = attach();
      if (place < kMailboxCount) {
        read_as(place % 2 != 0 ? Kind::kLoop : Kind::kThread, *own, *board_, board_->boxes[place]);
      } else {
        publish_for_ever(*own, *board_, place - kMailboxCount, seed);
      }
      return 0;
    });
  };
  std::vector<std::unique_ptr<Child>> children;
  for (uint32_t place = 0; place < kMailboxCount + 2; ++place) children.push_back(start(place, place));
  std::mt19937 random(11);
  uint32_t reaped = 0;
  constexpr uint32_t kKills = 300;
  for (uint32_t kills = 0; kills < kKills; ++kills) {
    ::usleep(random() % 4'000);
    const uint32_t place = random() % children.size();
    children[place].reset();  // SIGKILL
    children[place] = start(place, kills);
    reaped += process->reap_dead_slots();
  }
  board_->stop = true;
  for (auto& child : children) EXPECT_EQ(child->wait(), 0);
  reaped += process->reap_dead_slots();
  EXPECT_GT(reaped, kKills / 2);
  expect_no_lost_wake(1'000);
  process->release_context();
  for (uint32_t index = 0; index < tiny_.context_count; ++index) {
    EXPECT_EQ(process->segment().context(index).claim.load(), 0u) << index;
    EXPECT_EQ(process->segment().context(index).id.load(), 0u) << index;
  }
  for (uint32_t index = 0; index < tiny_.slot_count; ++index) {
    EXPECT_EQ(process->slot_alive(index), index == process->slot_index());
  }
  EXPECT_TRUE(process->dead_slots().empty());
  for (const auto& file : std::filesystem::directory_iterator(name_.runtime_dir())) {
    EXPECT_EQ(file.path().filename(), "life") << "a FIFO is left behind";
  }
}

TEST_F(WakeStress, AWakeDebtReachesASleeperWhoseWakerDiedAfterMovingTheEpoch) {
  auto process = attach();
  Signal ready;
  Shared<Board> board;
  Child sleeper([&] {
    auto own = attach();
    ThreadSleep sleep(*own, *own->context().value());
    sleep.prepare();
    board->boxes[0].context_id = context_id_of(*own);
    ready.send();
    const int64_t start = monotonic_ns();
    const bool woken = sleep.wait(250 * kMillisecondNs);
    return woken && monotonic_ns() > start ? 0 : 1;
  });
  ready.receive();
  shm::Context& context = process->segment().control_context(shm::context_index(board->boxes[0].context_id));
  // Once it is in the kernel its waker "dies" between the CAS and FUTEX_WAKE.
  auto asleep_in_kernel = [&] {
    std::string state;
    std::ifstream("/proc/" + std::to_string(sleeper.pid()) + "/wchan") >> state;
    return state.find("futex") != std::string::npos;
  };
  for (int tries = 0; tries < 1000 && !asleep_in_kernel(); ++tries) ::usleep(50);
  context.asleep.fetch_add(1);
  wake_everybody(*process);
  EXPECT_EQ(sleeper.wait(), 0) << "it slept through";
}

// ---- descriptors ----

int fifo_descriptor(const std::string& path, int except) {
  struct stat fifo {
  }, info{};
  if (::stat(path.c_str(), &fifo) != 0) return -1;
  for (int fd = 0; fd < 256; ++fd) {
    if (fd != except && ::fstat(fd, &info) == 0 && info.st_ino == fifo.st_ino && info.st_dev == fifo.st_dev) return fd;
  }
  return -1;
}

bool readable(int fd) {
  pollfd poll{fd, POLLIN, 0};
  return ::poll(&poll, 1, 0) == 1;
}

TEST_F(WakeStress, AKeptDescriptorThatBecameAnothersFileIsNotWrittenTo) {
  auto process = attach();
  auto waker = LoopWaker::create(*process);
  ASSERT_TRUE(waker.ok());
  LoopWaker& loop = *waker.value();
  loop.arm();
  wake_context(*process, loop.context_id());
  loop.disarm(*process);
  const int kept = fifo_descriptor(FifoPath(process->segment(), loop.context_id()).text, loop.fd());
  ASSERT_GE(kept, 0) << "the waker keeps the FIFO open";
  const std::string victim = name_.runtime_dir() + "/somebodys_file";
  const int file = ::open(victim.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  ASSERT_EQ(::dup2(file, kept), kept);  // as after close_range and open
  loop.arm();
  wake_context(*process, loop.context_id());
  EXPECT_TRUE(readable(loop.fd()));
  EXPECT_EQ(std::filesystem::file_size(victim), 0u) << "a wake was written into somebody's file";
  EXPECT_EQ(::fcntl(kept, F_GETFD) >= 0, true) << "somebody's file was closed";
  ::close(kept);
  ::close(file);
}

TEST_F(WakeStress, AForkedChildClosesTheFifosItInheritedAndNothingElse) {
  auto process = attach();
  Signal armed, end;
  Shared<Board> board;
  Child sleeper([&] {
    auto own = attach();
    auto waker = LoopWaker::create(*own);
    waker.value()->arm();
    board->boxes[0].context_id = waker.value()->context_id();
    armed.send();
    (void)end.receive();
    return readable(waker.value()->fd()) ? 0 : 1;
  });
  armed.receive();
  const uint32_t id = board->boxes[0].context_id;
  wake_context(*process, id);
  const std::string path = FifoPath(process->segment(), id).text;
  const int kept = fifo_descriptor(path, -1);
  ASSERT_GE(kept, 0);
  Child child([&] {
    const int file = ::open("/dev/null", O_RDONLY);
    wake_everybody(*process);  // first use here; nobody is asleep any more
    process->fifos().ring(process->segment(), id);
    const int again = fifo_descriptor(path, -1);
    if (::fcntl(file, F_GETFD) < 0) return 1;
    if (again < 0 || fifo_descriptor(path, again) >= 0) return 2;
    return ::fcntl(again, F_SETFL, 0) == 0 ? 0 : 3;  // would change the parent's, if this were the inherited one
  });
  EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(fifo_descriptor(path, -1), kept) << "the parent's stays";
  EXPECT_TRUE(::fcntl(kept, F_GETFL) & O_NONBLOCK) << "the child used what it had inherited";
  end.send();
  EXPECT_EQ(sleeper.wait(), 0);
}

TEST_F(WakeStress, AWakerWithoutAFreeDescriptorGivesUpOneItKept) {
  auto process = attach();
  std::vector<std::unique_ptr<Child>> sleepers;
  Signal armed, end;
  Shared<Board> board;
  for (Mailbox& box : board->boxes) {
    sleepers.push_back(std::make_unique<Child>([&] {
      auto own = attach();
      auto waker = LoopWaker::create(*own);
      waker.value()->arm();
      box.context_id = waker.value()->context_id();
      armed.send();
      (void)end.receive();
      return readable(waker.value()->fd()) ? 0 : 1;
    }));
    armed.receive();
  }
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const int next = ::dup(0);
  ::close(next);
  rlimit tight{static_cast<rlim_t>(next + 2), before.rlim_max};  // two descriptors for four FIFOs
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  for (Mailbox& box : board->boxes) wake_context(*process, box.context_id);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  for (size_t each = 0; each < sleepers.size(); ++each) end.send();
  for (auto& sleeper : sleepers) EXPECT_EQ(sleeper->wait(), 0);
}

}  // namespace
}  // namespace shoal
