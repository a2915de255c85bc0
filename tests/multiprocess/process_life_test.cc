// SPDX-License-Identifier: MIT
// Who is alive and who is dead, with real processes: daemonizers, exec, unmapped notes, an unlinked segment, reapers
// that die.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "process/slot.h"
#include "process/wake.h"
#include "support/process_fixture.h"

namespace shoal {
namespace {

using Life = ProcessTest;

struct Seen {
  std::atomic<uint32_t> id, slot, other;
};

void report(Process& process, Shared<Seen>& seen) {
  seen->id = context_id_of(process);
  seen->slot = process.slot_index();
}

TEST_F(Life, CloseRangeOfADaemonizerIsNoDeath) {
  auto watcher = attach();
  Signal ready;
  Shared<Seen> seen;
  Child child([&] {
    auto process = attach();
    report(*process, seen);
    for (int fd = 0; fd < 256; ++fd) {
      if (fd != ready.sender()) ::close(fd);
    }
    ready.send();
    ::pause();
    return 0;
  });
  ready.receive();
  EXPECT_TRUE(watcher->slot_alive(seen->slot));
  EXPECT_TRUE(watcher->dead_slots().empty());
  child.kill();
  EXPECT_EQ(watcher->dead_slots(), std::vector<uint32_t>{seen->slot});
}

TEST_F(Life, AForkedChildThatLivesOnDoesNotKeepItsDeadParentAlive) {
  auto watcher = attach();
  Signal ready, end;
  Shared<Seen> seen;
  Child parent([&] {
    auto process = attach();
    report(*process, seen);
    if (::fork() == 0) {
      ready.send();
      (void)end.receive();  // lives longer than its parent
      ::_exit(0);
    }
    ::pause();
    return 0;
  });
  ready.receive();
  EXPECT_TRUE(watcher->slot_alive(seen->slot));
  parent.kill();
  EXPECT_FALSE(watcher->slot_alive(seen->slot));
  EXPECT_TRUE(dead(watcher->segment(), seen->id));
  end.send();
}

TEST_F(Life, ADoubleForkingDaemonAttachesAnewAndIsAliveWhenItsStarterIsGone) {
  auto watcher = attach();
  Signal ready, end, over;
  Shared<Seen> starter, daemon;
  Child child([&] {
    auto process = attach();
    report(*process, starter);
    if (::fork() != 0) ::_exit(0);
    ::setsid();
    if (::fork() != 0) ::_exit(0);
    for (int fd = 0; fd < 256; ++fd) {
      struct stat info {};
      if (::fstat(fd, &info) == 0 && !S_ISFIFO(info.st_mode)) ::close(fd);  // the pipes of this test stay
    }
    report(*process, daemon);
    ready.send();
    (void)end.receive();
    process.reset();
    over.send();
    return 0;
  });
  EXPECT_EQ(child.wait(), 0);
  ready.receive();
  EXPECT_NE(daemon->id, 0u);
  EXPECT_NE(daemon->slot, starter->slot);
  EXPECT_TRUE(watcher->slot_alive(daemon->slot));
  EXPECT_FALSE(dead(watcher->segment(), daemon->id));
  EXPECT_TRUE(dead(watcher->segment(), starter->id));
  end.send();
  over.receive();
  EXPECT_FALSE(watcher->slot_alive(daemon->slot));
}

TEST_F(Life, ExecIsADeath) {
  auto watcher = attach();
  Signal ready, executed;
  Shared<Seen> seen;
  Child child([&] {
    auto process = attach();
    report(*process, seen);
    ready.send();
    ::dup2(executed.sender(), 1);
    ::execl("/bin/sh", "sh", "-c", "echo; exec sleep 60", static_cast<char*>(nullptr));
    return 1;
  });
  ready.receive();
  executed.receive();
  EXPECT_TRUE(dead(watcher->segment(), seen->id));
  EXPECT_EQ(watcher->dead_slots(), std::vector<uint32_t>{seen->slot});
}

TEST_F(Life, AThreadThatEndsWithoutGivingItsContextBackIsDeadWhileItsProcessLives) {
  Child child([&] {  // what the thread held stays behind in its process, so that is not this one
    auto process = attach();
    std::atomic<uint32_t> id{0};
    std::thread([&] {
      id = context_id_of(*process);
      ::syscall(SYS_exit, 0);  // no destructors
    }).detach();
    // The thread is gone when the kernel has marked its note; nothing else tells.
    for (int tries = 0; tries < 20'000 && (id == 0 || !dead(process->segment(), id)); ++tries) ::usleep(500);
    if (id == 0 || !dead(process->segment(), id)) return 1;
    return process->slot_alive(process->slot_index()) ? 0 : 2;
  });
  EXPECT_EQ(child.wait(), 0);
}

TEST_F(Life, AThreadThatUnmappedBeforeItDiedIsFoundThroughItsSlot) {  // A5
  auto watcher = attach();
  Shared<Seen> seen;
  Child child([&] {
    auto process = attach();
    report(*process, seen);
    auto& segment = process->segment();
    ::munmap(segment.control_base(), segment.header().max_size);
    ::_exit(0);
    return 0;
  });
  EXPECT_EQ(child.wait(), 0);
  EXPECT_FALSE(dead(watcher->segment(), seen->id)) << "its note cannot be marked: that is the case under test";
  EXPECT_EQ(watcher->reap_dead_slots(), 1u);
  EXPECT_TRUE(dead(watcher->segment(), seen->id));
  EXPECT_EQ(watcher->segment().context(shm::context_index(seen->id)).claim.load(), 0u);
}

TEST_F(Life, TheSegmentStaysMappedWhileAThreadHasAContextOfADestroyedProcess) {  // A5
  auto watcher = attach();
  auto process = attach();
  const uint32_t slot = process->slot_index();
  const std::byte* base = process->segment().base();
  uint32_t id = 0;
  Signal taken, go;
  std::thread thread([&] {
    id = context_id_of(*process);
    taken.send();
    (void)go.receive();
  });
  taken.receive();
  process.reset();
  unsigned char resident = 0;
  EXPECT_EQ(::mincore(const_cast<std::byte*>(base), kPageBytes, &resident), 0)
      << "unmapped under a thread's death note";
  EXPECT_FALSE(dead(watcher->segment(), id));
  EXPECT_TRUE(watcher->slot_alive(slot));
  go.send();
  thread.join();
  EXPECT_TRUE(dead(watcher->segment(), id));
  EXPECT_FALSE(watcher->slot_alive(slot));
  EXPECT_EQ(watcher->reap_dead_slots(), 1u);
}

TEST_F(Life, ThirtyTwoWorkersOfFortyOneThreadsAllHaveContexts) {  // A6
  tiny_ = SegmentOptions{};
  tiny_.max_size = 64 * kMiB;
  auto process = attach();
  Shared<std::atomic<uint32_t>> holding;
  Signal all;
  std::vector<std::unique_ptr<Child>> workers;
  static constexpr uint32_t kWorkers = 32, kThreads = 41;
  for (uint32_t worker = 0; worker < kWorkers; ++worker) {
    workers.push_back(std::make_unique<Child>([&] {
      std::atomic<int> failed{0};
      for (uint32_t each = 0; each < kThreads; ++each) {
        pthread_attr_t small;
        pthread_attr_init(&small);
        pthread_attr_setstacksize(&small, 64 * 1024);
        struct Argument {
          Process& process;
          std::atomic<uint32_t>& holding;
          Signal& all;
        };
        auto* argument = new Argument{*process, *holding, all};
        pthread_t thread;
        const int error = pthread_create(
            &thread, &small,
            [](void* raw) -> void* {
              auto* given = static_cast<Argument*>(raw);
              if (context_id_of(given->process) == 0) given->all.send('!');
              if (given->holding.fetch_add(1) + 1 == kWorkers * kThreads) given->all.send('a');
              ::pause();
              return nullptr;
            },
            argument);
        if (error != 0) all.send('!');
      }
      ::pause();
      return failed.load();
    }));
  }
  EXPECT_EQ(all.receive(), 'a') << "a thread got no context";
  EXPECT_EQ(*holding, kWorkers * kThreads);
  workers.clear();
  EXPECT_EQ(process->reap_dead_slots(), kWorkers);
}

// ---- reaping ----

TEST_F(Life, ASlotWhoseReaperDiedIsReapedByTheNext) {
  auto watcher = attach();
  Shared<Seen> victim, reaper;
  Signal ready;
  Child dying([&] {
    auto process = attach();
    report(*process, victim);
    return ::kill(::getpid(), SIGKILL);
  });
  EXPECT_EQ(dying.wait(), 128 + SIGKILL);
  Child first([&] {
    auto process = attach();
    report(*process, reaper);
    reaper->other = process->begin_reaping(victim->slot);
    ready.send();
    ::pause();
    return 0;
  });
  ready.receive();
  EXPECT_EQ(reaper->other, 1u);
  EXPECT_FALSE(watcher->begin_reaping(victim->slot)) << "two reapers at once";
  EXPECT_FALSE(watcher->slot_alive(victim->slot));
  first.kill();
  EXPECT_EQ(watcher->reap_dead_slots(), 2u);
  EXPECT_TRUE(watcher->dead_slots().empty());
  EXPECT_EQ(slot_state(watcher->segment(), victim->slot), shm::SlotState::kFree);
}

TEST_F(Life, AClaimWithoutAnIdFallsWithItsSlot) {
  auto watcher = attach();
  Shared<Seen> seen;
  Child dying([&] {
    auto process = attach();
    report(*process, seen);
    const uint64_t claim = claim_word(process->slot_index(), process->slot_generation());
    for (uint32_t index : {7u, 20u}) {  // as if killed between claim and id
      process->segment().control_context(index).claim = claim;
      raise_high(process->segment().control_header().context_high, index + 1);
    }
    return ::kill(::getpid(), SIGKILL);
  });
  (void)dying.wait();
  EXPECT_EQ(watcher->reap_dead_slots(), 1u);
  EXPECT_EQ(watcher->segment().context(7).claim.load(), 0u);
  EXPECT_EQ(watcher->segment().context(20).claim.load(), 0u);
}

TEST_F(Life, ARecovererThatDiesBetweenIdAndClaimLeavesTheContextToTheReaperOfItsOwnSlot) {
  auto watcher = attach();
  Shared<Seen> seen;
  std::thread([&] { seen->id = context_id_of(*watcher); }).join();
  const uint32_t index = shm::context_index(seen->id);
  shm::Context& context = watcher->segment().control_context(index);
  context.claim = claim_word(watcher->slot_index(), watcher->slot_generation());  // a context of a LIVING slot
  Child recoverer([&] {
    auto process = attach();
    report(*process, seen);
    context.claim = claim_word(process->slot_index(), process->slot_generation());  // first line of retire()
    context.id = 0;                                                                 // second; killed before the last
    return ::kill(::getpid(), SIGKILL);
  });
  (void)recoverer.wait();
  EXPECT_EQ(watcher->reap_dead_slots(), 1u);
  EXPECT_EQ(context.claim.load(), 0u);
}

TEST_F(Life, ASlotWithAContextThatCannotBeRecoveredYetStaysDead) {
  Process::set_recover(nullptr);  // as if somebody alive were at it
  auto watcher = attach();
  Shared<Seen> seen;
  Child dying([&] {
    auto process = attach();
    report(*process, seen);
    return ::kill(::getpid(), SIGKILL);
  });
  (void)dying.wait();
  (void)watcher->reap_dead_slots();
  EXPECT_EQ(watcher->dead_slots(), std::vector<uint32_t>{seen->slot});
  Process::set_recover(&retire_only);
  (void)watcher->reap_dead_slots();
  EXPECT_TRUE(watcher->dead_slots().empty());
}

TEST_F(Life, ANewcomerReapsTheDeadWhenNoSlotIsLeft) {
  auto segment = open_segment();
  static std::atomic<uint32_t> reaped;
  reaped = 0;
  for (uint32_t each = 0; each + 1 < tiny_.slot_count; ++each) {
    Child dying([&] {
      auto process = attach(segment);
      (void)context_id_of(*process);
      return ::kill(::getpid(), SIGKILL);
    });
    EXPECT_EQ(dying.wait(), 128 + SIGKILL);
  }
  auto refused = Process::attach(segment, shm::SlotRole::kClient);
  EXPECT_EQ(refused.status().code(), Code::kTooManyProcesses) << "nobody knows how to reap";
  Process::set_reap([](Process& process, uint32_t slot) {
    EXPECT_NE(slot, process.slot_index());
    reaped.fetch_add(1);
    return true;
  });
  auto process = attach(segment);
  ASSERT_NE(process, nullptr);
  EXPECT_EQ(reaped, tiny_.slot_count - 1);
  EXPECT_LT(process->slot_index(), tiny_.slot_count - 1) << "the reserved slot is for guests";
  EXPECT_TRUE(process->dead_slots().empty());
  for (uint32_t index = 0; index < tiny_.slot_count; ++index) {
    EXPECT_EQ(slot_state(*segment, index) == shm::SlotState::kUsed, index == process->slot_index());
  }
  Process::set_reap(nullptr);
}

TEST_F(Life, OnlyAPublishedContextRecovers) {  // A2
  static std::atomic<uint32_t> recovered, unpublished;
  recovered = unpublished = 0;
  auto segment = open_segment();
  Child dying([&] {
    auto process = attach(segment);
    std::vector<std::thread> threads;
    std::atomic<uint32_t> got{0};
    const uint32_t regular = tiny_.context_count - kReservedContextCount;
    for (uint32_t each = 0; each < regular; ++each) {
      threads.emplace_back([&] {
        (void)context_id_of(*process);
        if (got.fetch_add(1) + 1 == regular) ::kill(::getpid(), SIGKILL);
        ::pause();
      });
    }
    for (std::thread& thread : threads) thread.join();
    return 0;
  });
  EXPECT_EQ(dying.wait(), 128 + SIGKILL);
  Process::set_recover([](Process& process, uint32_t self, uint32_t dead_id, bool slot_is_dead) {
    if (self == 0 || dead(process.segment(), self) || context_id_of(process) != self) unpublished.fetch_add(1);
    recovered.fetch_add(1);
    retire_only(process, self, dead_id, slot_is_dead);
  });
  auto process = attach(segment);
  const uint32_t mine = context_id_of(*process);
  EXPECT_NE(mine, 0u);
  EXPECT_LT(shm::context_index(mine), tiny_.context_count - kReservedContextCount);
  EXPECT_EQ(recovered, tiny_.context_count - kReservedContextCount);
  EXPECT_EQ(unpublished, 0u);
}

// ---- the segment's file and the life file ----

TEST_F(Life, ARemovedSegmentIsNotCreatedAnewWhileItsProcessesLive) {  // H1
  auto process = attach();
  auto late = open_segment();  // mapped before, attached after the removal
  ASSERT_EQ(::unlink(name_.shm_path().c_str()), 0);
  EXPECT_TRUE(process->segment().removed());
  EXPECT_EQ(Segment::open(name_, OpenMode::kAttachOrCreate, tiny_).status().code(), Code::kRemoved);
  EXPECT_EQ(Process::attach(late, shm::SlotRole::kClient).status().code(), Code::kRemoved);
  process.reset();
  EXPECT_NE(attach(), nullptr) << "nobody lives in the old one any more";
}

TEST_F(Life, AForkedChildOfAProcessInARemovedSegmentIsTold) {  // H1
  auto process = attach();
  ASSERT_EQ(::unlink(name_.shm_path().c_str()), 0);
  Child child([&] { return process->context().status().code() == Code::kRemoved ? 0 : 1; });
  EXPECT_EQ(child.wait(), 0);
}

// A login shell, a cron job: the environments differ, the segment is one.
TEST_F(Life, AnotherEnvironmentFindsTheRuntimeDirectoryThatTheSegmentHasRecorded) {
  auto process = attach();
  const uint32_t slot = process->slot_index();
  const std::string elsewhere = name_.runtime_dir() + "-elsewhere";
  Child child([&] {
    ::setenv("SHOAL_RUNTIME_DIR", elsewhere.c_str(), 1);
    const SegmentName again = SegmentName::parse(name_.name()).value();
    if (again.runtime_dir() != name_.runtime_dir()) return 1;
    SegmentName stale = again;  // parsed before the segment was there
    stale.use_runtime_dir(elsewhere + "/x");
    std::filesystem::create_directories(elsewhere);
    auto segment = Segment::open(stale, OpenMode::kAttachOrCreate, tiny_);
    if (!segment.ok() || segment.value()->name().runtime_dir() != name_.runtime_dir()) return 2;
    auto mine = attach(std::shared_ptr<Segment>(std::move(segment).value()));
    return mine->slot_alive(slot) ? 0 : 3;
  });
  EXPECT_EQ(child.wait(), 0);
  std::filesystem::remove_all(elsewhere);
}

TEST_F(Life, WhoSeesAnotherLifeFileTakesNobodyForDead) {
  auto process = attach();
  auto other = attach();
  const std::string life = name_.life_path();
  ASSERT_EQ(::unlink(life.c_str()), 0);
  EXPECT_TRUE(process->dead_slots().empty());
  EXPECT_TRUE(process->slot_alive(other->slot_index()));
  std::ofstream(life).put('x');  // as a newcomer would
  EXPECT_TRUE(process->dead_slots().empty());
  EXPECT_TRUE(process->slot_alive(other->slot_index()));
  EXPECT_FALSE(process->begin_reaping(other->slot_index()));
  EXPECT_EQ(Process::attach(process->shared_segment(), shm::SlotRole::kClient).status().code(), Code::kRemoved);
}

TEST_F(Life, ALostLifeFileIsReplacedWhenNobodyIsLeftAndNotBefore) {
  Shared<Seen> seen;
  Signal ready;
  Child child([&] {
    auto process = attach();
    report(*process, seen);
    ready.send();
    ::pause();
    return 0;
  });
  ready.receive();
  ASSERT_EQ(::unlink(name_.life_path().c_str()), 0);
  auto refused = Segment::open(name_, OpenMode::kAttach, tiny_);
  EXPECT_EQ(refused.status().code(), Code::kMismatch);
  EXPECT_EQ(refused.status().number(), child.pid());
  child.kill();
  auto process = attach();
  ASSERT_NE(process, nullptr);
  EXPECT_EQ(process->dead_slots(), std::vector<uint32_t>{seen->slot});
  EXPECT_EQ(process->reap_dead_slots(), 1u);
}

TEST_F(Life, ASegmentGrowsAfterAllDescriptorsWereClosedAndTouchesNobodysFile) {
  auto process = attach();
  const std::string victim = name_.runtime_dir() + "/somebodys_file";
  Child child([&] {
    for (int fd = 3; fd < 256; ++fd) ::close(fd);
    for (int each = 0; each < 8; ++each) (void)::open(victim.c_str(), O_CREAT | O_RDWR, 0600);
    const uint64_t before = process->segment().committed();
    if (!process->segment().grow(1).ok() || process->segment().committed() == before) return 1;
    return std::filesystem::file_size(victim) == 0 ? 0 : 2;
  });
  EXPECT_EQ(child.wait(), 0);
}

TEST_F(Life, AFilesystemThatForgetsTheLockIsRefused) {
  const std::string place = name_.runtime_dir() + "-overlay";
  std::filesystem::create_directories(place);
  Child child([&]() -> int {
    const std::string own_uid = std::to_string(::getuid()), own_gid = std::to_string(::getgid());
    // Root may; a user namespace is refused where a sanitizer has a thread.
    if (::unshare(CLONE_NEWNS) != 0) {
      if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return 10;
      std::ofstream("/proc/self/uid_map") << "0 " << own_uid << " 1";
      std::ofstream("/proc/self/setgroups") << "deny";
      std::ofstream("/proc/self/gid_map") << "0 " << own_gid << " 1";
    }
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 11;
    if (::mount("tmpfs", place.c_str(), "tmpfs", 0, nullptr) != 0) return 11;
    for (const char* folder : {"/lower", "/upper", "/work", "/merged"}) ::mkdir((place + folder).c_str(), 0700);
    const std::string options =
        "lowerdir=" + place + "/lower,upperdir=" + place + "/upper,workdir=" + place + "/work,userxattr";
    if (::mount("overlay", (place + "/merged").c_str(), "overlay", 0, options.c_str()) != 0) return 12;
    auto on_overlay = LifeLock::take(place + "/merged/life", 3);
    const bool seen = life_byte_held(place + "/merged/life", 3);
    if (on_overlay.ok() && !seen) return 1;  // a lock that nobody sees
    if (!on_overlay.ok() && on_overlay.status().code() != Code::kUnsupported) return 2;
    return LifeLock::take(place + "/upper/other", 3).ok() ? 0 : 3;
  });
  EXPECT_EQ(child.wait(), 0) << "10 to 12: this machine does not let a test mount an overlay in a user namespace";
  std::filesystem::remove_all(place);
}

}  // namespace
}  // namespace shoal
