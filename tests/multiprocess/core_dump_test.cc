// SPDX-License-Identifier: MIT
// A process crashes while it holds locks, and the kernel writes a core dump before it lets go of anything: for as long
// the process counts as alive. Whoever waits for the locks gets them afterwards, and what was begun is undone. The core
// does not contain the segment, which may be larger than the disk and holds what others wrote.
#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "commands/check.h"
#include "commands/reap.h"
#include "support/eventually.h"
#include "support/process_fixture.h"
#include "support/redis_session.h"
#include "transaction/transaction.h"

namespace shoal {
namespace {

constexpr uint64_t kAll = 0b1111;

class CoreDump : public ::testing::TestWithParam<int> {
 protected:
  ~CoreDump() override { std::filesystem::remove_all(folder_); }

  uint64_t& word(uint32_t shard) { return segment_.segment().control_shard(shard).log_head; }

  // As that signal comes about; with a core, which lies in a folder of this test unless the machine says otherwise.
  static int crash(int signal) {
    ::signal(signal, SIG_DFL);
    auto* page = static_cast<volatile char*>(::mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (signal == SIGSEGV) *page = 1;
    if (signal == SIGABRT) ::abort();
    ::raise(signal);
    return 3;
  }
  void permit_cores() {  // where that fails, there is none, and the test says so
    std::filesystem::create_directories(folder_);
    struct rlimit most {
      256 * kMiB, 256 * kMiB
    };
    ::prctl(PR_SET_DUMPABLE, 1);
    std::ofstream("/proc/self/coredump_filter") << "0x7f";  // also what is shared, as for who wants whole cores
    (void)::setrlimit(RLIMIT_CORE, &most);
    (void)!::chdir(folder_.c_str());
  }

  // Reads whole files: only those whose place the machine leaves to us.
  bool a_core_holds(const std::string& text) const {
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      std::ifstream file(entry.path(), std::ios::binary);
      const std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
      if (bytes.find(text) != std::string::npos) return true;
    }
    return false;
  }

  // Made where they are needed: the holder is a fork of this process and would have copies of what is there before.
  static std::string numbers(int from) {
    std::string text;
    for (int number = from; number < from + 50; ++number) text += std::to_string(number * number) + ",";
    return text;
  }
  static std::string own_text() { return numbers(1000); }
  static std::string text_of_others() { return numbers(2000); }

  TestSegment segment_;
  TestSession r_{segment_};
  const std::string folder_ = segment_.name().runtime_dir() + "-core";
};

TEST_P(CoreDump, WhileAllLocksAreHeldDelaysTheOthersAndNoMore) {
  Child writer([&] { return TestSession(segment_.attach()).run({"SET", "others", text_of_others()}) == "OK" ? 0 : 1; });
  ASSERT_EQ(writer.wait(), 0);
  Signal holding, go_on;
  Child holder([&] {
    permit_cores();
    static std::string mine;
    mine = own_text();
    auto process = segment_.attach();
    Transaction tx(*process, *process->context().value());
    if (!tx.begin(kAll, kLockBudgetNs).ok()) return 1;
    for (uint32_t shard = 0; shard < 4; ++shard) tx.edit(word(shard)) = 77;
    if (tx.create<uint64_t>(1000) == nullptr) return 2;
    holding.send();
    (void)go_on.receive();
    return crash(GetParam());
  });
  (void)holding.receive();
  Child waiter([&] {
    TestSession session(segment_.attach());
    return session("SET k waiter") == "OK" ? 0 : 1;
  });
  EXPECT_TRUE(eventually([&] {
    for (uint32_t shard = 0; shard < 4; ++shard) {
      if (segment_.segment().shard(shard).owner.load() & shm::kWaitersBit) return true;
    }
    return false;
  }));
  go_on.send();
  siginfo_t end{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(holder.pid()), &end, WEXITED | WNOWAIT), 0);
  EXPECT_EQ(end.si_code, CLD_DUMPED) << "no core: this machine permits none (RLIMIT_CORE, kernel.core_pattern)";
  EXPECT_EQ(end.si_status, GetParam());
  EXPECT_EQ(waiter.wait(), 0);
  for (uint32_t shard = 0; shard < 4; ++shard) EXPECT_EQ(word(shard), 0u);
  EXPECT_EQ(r_("GET k"), "waiter");
  EXPECT_EQ(r_("GET others"), text_of_others());
  EXPECT_EQ(sweep(*segment_.process()), 1u);
  const auto report = check_locked(*segment_.process(), kLockBudgetNs);
  ASSERT_TRUE(report.ok()) << describe(report.status());
  for (const Finding& finding : report.value().findings) ADD_FAILURE() << describe(finding);
  if (!std::filesystem::is_empty(folder_)) {
    EXPECT_TRUE(a_core_holds(own_text())) << "this is not the core of the holder";
    EXPECT_FALSE(a_core_holds(text_of_others())) << "the segment is in the core";
  }
}

std::string signal_name(const ::testing::TestParamInfo<int>& info) { return ::sigabbrev_np(info.param); }
INSTANTIATE_TEST_SUITE_P(By, CoreDump, ::testing::Values(SIGABRT, SIGSEGV, SIGBUS), signal_name);

}  // namespace
}  // namespace shoal
