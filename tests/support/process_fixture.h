// SPDX-License-Identifier: MIT
// A segment of its own for each test, gone afterwards; children that are waited for; a stand-in for recovery, which
// lies in the layer above: it only retires, for no journal is written here.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <new>
#include <string>

#include "process/process.h"
#include "segment/segment.h"
#include "support/fresh_name.h"

namespace shoal {

inline void retire_only(Process& process, uint32_t, uint32_t dead_id, bool slot_is_dead) {
  shm::Context& context = process.segment().control_context(shm::context_index(dead_id));
  if (context.id.load() == dead_id && (slot_is_dead || dead(process.segment(), dead_id)))
    process.retire(context, dead_id);
}

class ProcessTest : public ::testing::Test {
 protected:
  SegmentName name_ = fresh_name("process_test");
  SegmentOptions tiny_ = [] {
    SegmentOptions options;
    options.max_size = 8 * kMiB;
    options.shard_count = 4;
    options.context_count = 24;
    options.slot_count = 6;
    options.first_commit = 2 * kMiB;
    return options;
  }();

  void SetUp() override { Process::set_recover(&retire_only); }
  void TearDown() override {
    Process::set_recover(nullptr);
    Process::set_release(nullptr);
    Process::set_reap(nullptr);
    leave_nothing_of(name_);
  }

  std::shared_ptr<Segment> open_segment() {
    auto opened = Segment::open(name_, OpenMode::kAttachOrCreate, tiny_);
    EXPECT_TRUE(opened.ok()) << describe(opened.status());
    return opened.ok() ? std::shared_ptr<Segment>(std::move(opened).value()) : nullptr;
  }
  std::unique_ptr<Process> attach(std::shared_ptr<Segment> segment = nullptr) {
    auto process = Process::attach(segment ? segment : open_segment(), shm::SlotRole::kClient);
    EXPECT_TRUE(process.ok()) << describe(process.status());
    return process.ok() ? std::move(process).value() : nullptr;
  }
};

inline uint32_t context_id_of(Process& process) {
  auto context = process.context();
  return context.ok() ? context.value()->id.load() : 0;
}

// A forked child that runs `body` and ends with what it returns (0 = well). Killed and waited for at the end of the
// scope.
class Child {
 public:
  explicit Child(const std::function<int()>& body) : pid_(::fork()) {
    if (pid_ == 0) {
      ::alarm(300);
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // nobody stays behind when the test itself is killed
      ::_exit(body());
    }
  }
  ~Child() { kill(); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  pid_t pid() const { return pid_; }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    (void)wait();
  }
  void forget() { pid_ = -1; }  // somebody else has waited for it
  // The exit code, or 128 + signal.
  int wait() {
    int status = 0;
    if (pid_ <= 0 || ::waitpid(pid_, &status, 0) != pid_) return -1;
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  pid_t pid_;
};

// A T that this process and its children see alike.
template <typename T>
class Shared {
 public:
  Shared() : value_(new (::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) T{}) {}
  ~Shared() { ::munmap(value_, sizeof(T)); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  T* operator->() const { return value_; }
  T& operator*() const { return *value_; }

 private:
  T* value_;
};

// A pipe for "I am ready" and "go on": no sleeping as synchronisation.
class Signal {
 public:
  Signal() { EXPECT_EQ(::pipe(ends_), 0); }
  ~Signal() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  Signal(const Signal&) = delete;
  Signal& operator=(const Signal&) = delete;
  void send(char byte = 1) { EXPECT_EQ(::write(ends_[1], &byte, 1), 1); }
  char receive() {
    char byte = 0;
    EXPECT_EQ(::read(ends_[0], &byte, 1), 1);
    return byte;
  }
  // Whoever forks more children keeps the ends to himself.
  int sender() const { return ends_[1]; }

 private:
  int ends_[2];
};

}  // namespace shoal
