// SPDX-License-Identifier: MIT
// Forks of a process whose other threads are in the midst of something: what a child copies of it harms nobody.
#include <fcntl.h>
#include <sys/file.h>

#include <atomic>
#include <fstream>
#include <thread>
#include <vector>

#include "base/fork_gate.h"
#include "process/life_lock.h"
#include "support/process_fixture.h"

namespace shoal {
namespace {

using Fork = ProcessTest;

// In a child that lives, and does nothing, until its parent ends it.
int idle() {
  ::alarm(0);
  ::pause();
  return 0;
}

bool a_thread_waits_for_a_flock() {
  std::ifstream locks("/proc/locks");
  const std::string pid = " " + std::to_string(::getpid()) + " ";
  for (std::string line; std::getline(locks, line);) {
    if (line.find("-> FLOCK") != std::string::npos && line.find(pid) != std::string::npos) return true;
  }
  return false;
}

// The first cause of a child that hung: its copy of the descriptor kept the flock that its parent gave back by closing.
TEST_F(Fork, ACreationLockThatAThreadWaitsForIsNotKeptByAChild) {
  ASSERT_TRUE(name_.make_runtime_dir().ok());
  const int creator = ::open(name_.life_path().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_EQ(::flock(creator, LOCK_EX), 0);
  std::atomic<bool> opened{false};
  std::thread opener([&] { opened = open_segment() != nullptr; });
  // It may also try again and again, without ever waiting inside; then nothing tells when it began.
  for (int tries = 0; tries < 200 && !a_thread_waits_for_a_flock(); ++tries) ::usleep(1000);
  const Child bystander([&] {
    ::close(creator);
    return idle();
  });
  ::close(creator);
  opener.join();
  EXPECT_TRUE(opened);
  Child newcomer([&] { return attach() != nullptr ? 0 : 1; });
  EXPECT_EQ(newcomer.wait(), 0) << "the creation lock is held by somebody who never took it";
}

TEST_F(Fork, AForkWaitsForTheEndOfWorkThatMustNotBeCutInTwo) {
  Signal inside, forked;
  Shared<std::atomic<int>> state;
  std::thread worker([&] {
    {
      const NoFork whole;
      *state = 1;
      inside.send();
      for (int turn = 0; turn < 1000; ++turn) ::sched_yield();  // the other thread is in fork() by now, or soon
      *state = 2;
    }
    forked.receive();  // to the thread sanitizer a child leaks a thread that had ended when it was forked
  });
  inside.receive();
  Child child([&] { return state->load() == 2 ? 0 : 1; });
  forked.send();
  worker.join();
  EXPECT_EQ(child.wait(), 0);
}

TEST_F(Fork, AChildMayDoSuchWorkItself) {
  Child child([] {
    const NoFork whole;
    return 0;
  });
  EXPECT_EQ(child.wait(), 0);
}

// Threads come and go in the segment without a pause while children are forked that live on: each has copies of what
// was open and mapped at its moment.
TEST_F(Fork, ChildrenForkedAtAnyMomentOfAnAttachKeepNoLockAndNoLifeOfTheirParent) {
  auto watcher = attach();
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int each = 0; each < 3; ++each) {
    threads.emplace_back([&] {
      while (!stop) {
        auto process = attach();
        if (process != nullptr) (void)context_id_of(*process);
      }
    });
  }
  std::vector<std::unique_ptr<Child>> children;
  for (int each = 0; each < 100; ++each) children.push_back(std::make_unique<Child>(&idle));
  stop = true;
  for (std::thread& thread : threads) thread.join();
  for (uint32_t index = 0; index < tiny_.slot_count; ++index) {
    const bool lives = index == watcher->slot_index();
    EXPECT_EQ(life_byte_held(name_.life_path(), index), lives) << "slot " << index;
  }
  Child newcomer([&] { return attach() != nullptr ? 0 : 1; });
  EXPECT_EQ(newcomer.wait(), 0);
}

}  // namespace
}  // namespace shoal
