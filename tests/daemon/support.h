// SPDX-License-Identifier: MIT
// A small segment with a daemon of its own: a real shoald, started and ended by the test. Waiting is for a condition,
// with a watchdog that fails the test; nothing here says how fast anything must be.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "process/daemon_link.h"
#include "process/process.h"
#include "support/fresh_name.h"

namespace shoal {

inline bool eventually(const std::function<bool()>& condition,
                       std::chrono::seconds watchdog = std::chrono::seconds(30)) {
  const auto end = std::chrono::steady_clock::now() + watchdog;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

// A program that runs beside the test; killed and waited for at the end of the scope.
class Running {
 public:
  explicit Running(std::vector<std::string> arguments) {
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      die_with_the_test();
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
  }
  // A forked child that runs `body` and ends.
  explicit Running(const std::function<void()>& body) : pid_(::fork()) {
    if (pid_ == 0) {
      die_with_the_test();
      ::alarm(60);
      body();
      ::_exit(0);
    }
  }
  Running(const Running&) = delete;
  ~Running() {
    if (pid_ <= 0) return;
    send(SIGKILL);
    wait();
  }
  void send(int number) const { ::kill(pid_, number); }
  pid_t pid() const { return pid_; }
  // The exit code, or 128 + signal; -1 if it does not end.
  int wait() {
    int status = 0;
    if (!eventually([&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; })) return -1;
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  // Also by exec: nobody stays behind when the test itself is killed, and holds its output open.
  static void die_with_the_test() { ::prctl(PR_SET_PDEATHSIG, SIGKILL); }

  pid_t pid_;
};

class DaemonTest : public ::testing::Test {
 protected:
  DaemonTest() : name_(fresh_name("daemon_test")) {}
  void TearDown() override {
    if (::access(name_.shm_path().c_str(), F_OK) == 0) (void)Segment::remove(name_);
    EXPECT_TRUE(eventually([&] { return !serves(); })) << "a daemon outlives its segment";
    std::filesystem::remove_all(name_.runtime_dir());
  }

  std::vector<std::string> command(std::vector<std::string> more = {}) const {
    std::vector<std::string> all{SHOAL_DAEMON_PROGRAM, name_.name()};
    if (std::find(more.begin(), more.end(), "--log-level") == more.end()) all.push_back("--log-level=warning");
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  bool serves() const { return DaemonLink::connect(name_).ok(); }
  std::shared_ptr<Segment> open_segment() const {
    SegmentOptions shape;
    shape.max_size = 16 * kMiB;
    shape.shard_count = 4;
    shape.context_count = 64;
    shape.slot_count = 32;
    shape.first_commit = 2 * kMiB;
    auto segment = Segment::open(name_, OpenMode::kAttachOrCreate, shape);
    EXPECT_TRUE(segment.ok()) << describe(segment.status());
    return std::shared_ptr<Segment>(std::move(segment).value());
  }
  static std::unique_ptr<Process> attach(std::shared_ptr<Segment> segment) {
    auto process = Process::attach(std::move(segment), shm::SlotRole::kClient);
    EXPECT_TRUE(process.ok()) << describe(process.status());
    return std::move(process).value();
  }
  static uint32_t slots_in_use(const Segment& segment, shm::SlotRole role) {
    uint32_t count = 0;
    for (uint32_t index = 0; index < segment.slot_count(); ++index) {
      const shm::Slot& slot = segment.slot(index);
      count += slot.state.load() != 0 && slot.role.load() == static_cast<uint32_t>(role);
    }
    return count;
  }
  static void expect_a_killed_client_is_reaped(const std::shared_ptr<Segment>& segment) {
    Running client([&] {
      auto process = attach(segment);
      ::pause();
    });
    ASSERT_TRUE(eventually([&] { return slots_in_use(*segment, shm::SlotRole::kClient) == 1; }));
    client.send(SIGKILL);
    EXPECT_TRUE(eventually([&] { return slots_in_use(*segment, shm::SlotRole::kClient) == 0; }));
  }

  SegmentName name_;
};

}  // namespace shoal
