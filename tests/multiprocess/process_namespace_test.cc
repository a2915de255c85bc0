// SPDX-License-Identifier: MIT
// Two containers share a segment: processes with EQUAL thread ids in different PID namespaces. The kernel compares
// thread ids when it marks a robust futex, so a process that dies while it touches a living thread's note marks it dead
// (A1). With locks, recovery and blocked commands: namespaces_test.cc.
#include <time.h>

#include <random>

#include "process/wake.h"
#include "support/pid_namespace.h"

namespace shoal {
namespace {

struct Seen {
  std::atomic<uint32_t> holder_id, rounds;
  std::atomic<pid_t> toucher;
};

class Namespaces : public ProcessTest {
 protected:
  void SetUp() override {
    ProcessTest::SetUp();
    ASSERT_TRUE(namespaces_are_permitted());
  }
  // Kills processes with the holder's thread id at random instants of `touch`, until `rounds` are over or the holder is
  // taken for dead. Returns how many rounds left him alive.
  int kill_touchers(int rounds, const std::function<void(Process&, uint32_t holder_id)>& touch) {
    auto watcher = attach();
    Shared<Seen> seen;
    Signal holding;
    Child holder([&] {
      return run_as_tid_one([&] {
        auto process = attach();
        seen->holder_id = context_id_of(*process);
        holding.send();
        ::pause();
        return 0;
      });
    });
    (void)holding.receive();
    const uint32_t id = seen->holder_id;
    std::mt19937 random(4711);
    int survived = 0;
    for (; survived < rounds && !dead(watcher->segment(), id); ++survived) {
      Signal touching;
      Child toucher([&] {
        return run_as_tid_one([&] {
          auto process = attach();
          touching.send();
          for (;;) touch(*process, id);
          return 0;
        });
      });
      (void)touching.receive();
      const timespec pause{0, static_cast<long>(random() % 300'000)};
      ::nanosleep(&pause, nullptr);
      kill_tree(toucher);
      (void)watcher->reap_dead_slots();
    }
    EXPECT_GE(watcher->segment().header().slot_high.load(), 3u);
    kill_tree(holder);
    (void)watcher->reap_dead_slots();
    return survived;
  }
};

TEST_F(Namespaces, TheDeathOfAProcessWithAnEqualThreadIdDoesNotMarkALivingHolder) {  // A1
  const int survived = kill_touchers(60, [](Process& process, uint32_t holder_id) {
    if (dead(process.segment(), holder_id)) ::abort();
    (void)context_id_of(process);
    wake_context(process, holder_id);
    wake_everybody(process);
    (void)process.reap_dead_slots();
    process.release_context();
  });
  EXPECT_EQ(survived, 60);
}

TEST_F(Namespaces, TheSameKillsDoMarkAHolderWhoseNoteIsTried) {  // the proof that the test above can fail
  const int survived = kill_touchers(400, [](Process& process, uint32_t holder_id) {
    pthread_mutex_t& note = process.segment().control_context(shm::context_index(holder_id)).alive;
    for (int times = 0; times < 1000; ++times) {
      if (pthread_mutex_trylock(&note) == 0) ::abort();
    }
  });
  EXPECT_LT(survived, 400) << "400 deaths inside trylock marked nobody: the kernel has changed, or the kills miss";
}

TEST_F(Namespaces, ADeathInAnotherNamespaceIsSeen) {
  auto watcher = attach();
  Shared<Seen> seen;
  Child child([&] {
    return run_as_tid_one([&] {
      auto process = attach();
      seen->holder_id = context_id_of(*process);
      seen->rounds = process->slot_index();
      return process->slot_alive(0) ? 0 : 1;  // and the living outside are seen from inside
    });
  });
  EXPECT_EQ(child.wait(), 0) << "100: this machine does not permit PID namespaces";
  EXPECT_TRUE(dead(watcher->segment(), seen->holder_id));
}

TEST_F(Namespaces, ALostLifeFileIsNotReplacedWhileAProcessOfAnotherNamespaceMayLive) {
  Signal holding;
  Child holder([&] {
    return run_as_tid_one([&] {
      auto process = attach();
      holding.send();
      ::pause();
      return 0;
    });
  });
  (void)holding.receive();
  open_segment()->control_slot(0).pid = 0x3fff'ffff;  // as in a namespace where pids are not those of ours
  ASSERT_EQ(::unlink(name_.life_path().c_str()), 0);
  EXPECT_EQ(Segment::open(name_, OpenMode::kAttach, tiny_).status().code(), Code::kMismatch);
  kill_tree(holder);
  EXPECT_EQ(Segment::open(name_, OpenMode::kAttach, tiny_).status().code(), Code::kMismatch)
      << "its pid says nothing here, so it cannot be found out";
}

}  // namespace
}  // namespace shoal
