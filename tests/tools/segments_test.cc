// SPDX-License-Identifier: MIT
// What the tool says about real segments and does to them, and that looking changes nothing.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "channels/publish.h"
#include "channels/subscriber.h"
#include "channels/subscription.h"
#include "process/process.h"
#include "queues/consumer.h"
#include "queues/directory.h"
#include "support/fresh_name.h"
#include "support/process_fixture.h"
#include "tools/actions.h"
#include "tools/views.h"
#include "transaction/suspect.h"
#include "transaction/transaction.h"

namespace shoal::tool {
namespace {

class ToolTest : public ::testing::Test {
 protected:
  ToolTest() : name_(fresh_name("tool_test")) {}
  ~ToolTest() override { leave_nothing_of(name_); }
  std::shared_ptr<Segment> make() const {
    SegmentOptions shape;
    shape.max_size = 8 * kMiB;
    shape.shard_count = 4;
    shape.context_count = 32;
    shape.slot_count = 8;
    auto segment = Segment::open(name_, OpenMode::kAttachOrCreate, shape);
    EXPECT_TRUE(segment.ok()) << describe(segment.status());
    return std::shared_ptr<Segment>(std::move(segment).value());
  }
  std::unique_ptr<Process> attach() const {
    auto process = Process::attach(make(), shm::SlotRole::kClient);
    EXPECT_TRUE(process.ok()) << describe(process.status());
    return std::move(process).value();
  }
  // A process that attached and was killed.
  void leave_a_dead_process() const {
    const pid_t child = ::fork();
    if (child == 0) {
      auto process = attach();
      if (process->context().ok()) ::raise(SIGKILL);
      ::_exit(1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
  }
  Json listed() const {
    for (const Json& row : list_segments()) {
      if (row["name"] == name_.name()) return row;
    }
    return nullptr;
  }
  SegmentView view() const { return SegmentView::open(name_).value(); }
  std::string bytes() const {
    std::ifstream file(name_.shm_path(), std::ios::binary);
    std::stringstream all;
    all << file.rdbuf();
    return all.str();
  }
  void overwrite(uint64_t offset, uint64_t value) const {
    const int fd = ::open(name_.shm_path().c_str(), O_RDWR);
    EXPECT_EQ(::pwrite(fd, &value, sizeof value, static_cast<off_t>(offset)), 8);
    ::close(fd);
  }
  // Runs the program itself; its output and exit code.
  static std::pair<std::string, int> run(const std::string& arguments) {
    FILE* pipe = ::popen((std::string(SHOAL_PROGRAM) + " " + arguments + " 2>&1").c_str(), "r");
    std::string text;
    char buffer[4096];
    for (size_t n; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) text.append(buffer, n);
    const int status = ::pclose(pipe);
    return {text, WEXITSTATUS(status)};
  }

  SegmentName name_;
};

TEST_F(ToolTest, SegmentIsListedWithThoseWhoLiveInIt) {
  auto process = attach();
  const Json row = listed();
  EXPECT_EQ(row["state"], "ready");
  EXPECT_EQ(row["processes"], 1);
  EXPECT_EQ(row["daemon"], false);
  EXPECT_EQ(row["max_size_bytes"], 8 * kMiB);
}

TEST_F(ToolTest, LookingAtASegmentChangesNoByteOfIt) {
  make();
  const std::string before = bytes();
  listed();
  for (const char* part : {"segment", "layout", "processes", "shards", "memory"}) inspect_view(view(), part);
  EXPECT_TRUE(bytes() == before);
}

TEST_F(ToolTest, ProcessesShowTheirThreadsAndWhoIsDead) {
  auto process = attach();
  ASSERT_TRUE(process->context().ok());
  leave_a_dead_process();
  const Json rows = processes_view(view());
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0]["pid"], ::getpid());
  EXPECT_EQ(rows[0]["alive"], true);
  EXPECT_EQ(rows[0]["threads"], 1);
  EXPECT_EQ(rows[1]["alive"], false);
  EXPECT_EQ(rows[1]["dead_threads"], 1);
}

TEST_F(ToolTest, ShardNamesTheProcessThatHoldsItsLock) {
  auto process = attach();
  EXPECT_TRUE(shards_view(view())[2]["holder"].is_null());
  Transaction tx(*process, *process->context().value());
  ASSERT_TRUE(tx.begin(0b100, kLockBudgetNs).ok());
  EXPECT_EQ(shards_view(view())[2]["holder"], std::to_string(::getpid()));
}

TEST_F(ToolTest, MemoryIsCountedByClassAndEveryPageOnce) {
  auto process = attach();
  Transaction tx(*process, *process->context().value());
  ASSERT_TRUE(tx.begin(1, kLockBudgetNs).ok());
  for (int i = 0; i < 5; ++i) ASSERT_NE(tx.create<std::byte>(100), nullptr);
  ASSERT_NE(tx.create<std::byte>(20'000), nullptr);
  ASSERT_TRUE(tx.commit().ok());
  const Json memory = memory_view(view());
  ASSERT_EQ(memory["classes"].size(), 1u);
  EXPECT_EQ(memory["classes"][0]["block_bytes"], 104);
  EXPECT_EQ(memory["classes"][0]["blocks"], 5);
  EXPECT_EQ(memory["large_block_count"], 1);
  EXPECT_EQ(memory["large_blocks_bytes"], 20480);
  EXPECT_EQ(memory["damaged_pages"], 0);
  uint64_t sum = 0;
  for (const char* part : {"page_tables_bytes", "free_bytes", "journals_bytes", "in_transit_bytes", "shards_bytes"}) {
    sum += memory[part].get<uint64_t>();
  }
  EXPECT_EQ(sum, memory["extents_bytes"].get<uint64_t>());
}

TEST_F(ToolTest, QueuesShowTheirTasksAndWhoHoldsLeases) {
  auto process = attach();
  queues::TaskQueues queues(*process, 2);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(queues.push("jobs", {"data"}).ok());
  queues::Consumer consumer(queues);
  ASSERT_TRUE(consumer.add("jobs", false).ok());
  ASSERT_TRUE(consumer.take().value().has_value());
  const Json rows = queues_view(view());
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0]["name"], "jobs");
  EXPECT_EQ(rows[0]["database"], 2);
  EXPECT_EQ(rows[0]["ready"], 2);
  EXPECT_EQ(rows[0]["leased"], 1);
  const Json leases = leases_view(view());
  ASSERT_EQ(leases.size(), 1u);
  EXPECT_EQ(leases[0]["pid"], ::getpid());
  EXPECT_EQ(leases[0]["leases"], 1);
}

TEST_F(ToolTest, ChannelsShowWhatWasPublishedAndWhoListens) {
  auto process = attach();
  shm::Context& self = *process->context().value();
  const channels::Name name = channels::name_of(process->segment(), shm::ChannelKind::kChannel, "room");
  uint32_t bit = 0;
  ASSERT_TRUE(
      channels::transact(*process, self, {Purpose::kSubscribe}, name.shards(), kLockBudgetNs, [&](Transaction& tx) {
        channels::subscribe(tx, name, self.id.load(), bit);
      }).ok());
  const Json rows = channels_view(view());
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0]["name"], "room");
  EXPECT_EQ(rows[0]["subscribers"], 1);
  EXPECT_EQ(rows[0]["published"], 0);
  EXPECT_EQ(rows[0]["pids"], std::to_string(::getpid()));
  EXPECT_EQ(rows[0]["behind"], 0);
}

TEST_F(ToolTest, ChannelsShowHowFarTheirSubscribersAreBehind) {
  std::shared_ptr<Process> process = attach();
  shm::Context& self = *process->context().value();
  channels::Subscriber quick(process), slow(process);
  bool fresh = false;
  for (channels::Subscriber* each : {&quick, &slow}) {
    ASSERT_TRUE(each->subscribe(shm::ChannelKind::kChannel, "room", {}, kLockBudgetNs, fresh).ok());
  }
  const auto publish = [&](const char* text) {
    channels::Published published;
    ASSERT_TRUE(channels::publish(*process, self, "room", text, kLockBudgetNs, published).ok());
  };
  const auto read = [](channels::Subscriber& who, size_t most) {
    size_t given = 0;
    const auto nothing = [](void*, const channels::Delivery&) {};
    EXPECT_TRUE(who.read(most, nothing, nullptr, given).ok());
    return given;
  };
  const auto shows = [&](uint64_t behind, const Json& lag) {
    const Json row = channels_view(view())[0];
    EXPECT_EQ(row["behind"], behind);
    EXPECT_EQ(row["lag"], lag);
  };
  shows(0, 0);
  for (const char* text : {"a", "b", "c"}) publish(text);
  shows(2, 3);
  EXPECT_EQ(read(quick, 10), 3u);
  shows(1, 3);
  EXPECT_EQ(read(slow, 2), 2u);
  shows(1, 1);
  EXPECT_EQ(read(slow, 10), 1u);
  shows(0, 0);
  publish("d");
  slow.close();
  shows(1, 1);
  quick.close();
  EXPECT_EQ(channels_view(view()), Json::array());
}

TEST_F(ToolTest, BookmarksOfDeadSubscribersAreFreeAgainAndMissingOnesAreSaid) {
  std::shared_ptr<Process> process = attach();
  const auto own = [&] {
    const uint32_t id = process->context().value()->id.load();
    size_t count = 0;
    for (const shm::Bookmark& each : process->segment().bookmarks()) count += each.owner.load() >> 32 == id ? 1 : 0;
    return count;
  };
  const auto subscribe = [](channels::Subscriber& who) {
    bool fresh = false;
    return who.subscribe(shm::ChannelKind::kChannel, "room", {}, kLockBudgetNs, fresh).ok();
  };
  constexpr uint32_t kMany = 2 * shm::kBookmarkCount;
  for (int child = 0; child < 2; ++child) {  // the second finds those of the first
    Child dies([&] {
      bool good = true;
      for (uint32_t i = 0; i < kMany; ++i) good = subscribe(*new channels::Subscriber(process)) && good;
      return good && own() == shm::kBookmarkCount ? 0 : 1;
    });
    EXPECT_EQ(dies.wait(), 0);
  }
  const Json of_the_dead = channels_view(view())[0];
  EXPECT_EQ(of_the_dead["subscribers"], 0u);
  EXPECT_EQ(of_the_dead["lag"], 0u);
  std::vector<std::unique_ptr<channels::Subscriber>> many;
  channels::Subscriber without_thread(process);
  std::thread([&] { ASSERT_TRUE(subscribe(without_thread)); }).join();
  for (uint32_t i = 0; i < kMany; ++i) {
    ASSERT_TRUE(subscribe(*many.emplace_back(std::make_unique<channels::Subscriber>(process))));
  }
  const Json of_many = channels_view(view())[0];
  EXPECT_EQ(of_many["subscribers"], kMany);
  EXPECT_EQ(of_many["lag"], nullptr);
  without_thread.close();
  EXPECT_EQ(own(), shm::kBookmarkCount) << "it gave back what was no longer its own";
  many.clear();
  EXPECT_EQ(own(), 0u);
}

TEST_F(ToolTest, CheckPassesASoundSegmentAndNamesALostBlock) {
  auto process = attach();
  EXPECT_EQ(check_segment(name_, false).value()["ok"], true);
  Transaction tx(*process, *process->context().value());
  ASSERT_TRUE(tx.begin(1, kLockBudgetNs).ok());
  ASSERT_NE(tx.create<std::byte>(100), nullptr);
  ASSERT_TRUE(tx.commit().ok());
  const Json report = check_segment(name_, false).value();
  EXPECT_EQ(report["ok"], false);
  EXPECT_NE(report["findings"].dump().find("lost"), std::string::npos) << report["findings"].dump();
  EXPECT_EQ(run("check " + name_.name()).second, 1);
}

TEST_F(ToolTest, RepairReopensAShardThatCheckNames) {
  auto process = attach();
  shm::Shard& shard = process->segment().control_shard(3);
  shm::Context push{};
  Purpose{Purpose::kPushTask, false, 99}.announce(push);
  for (uint32_t dead = 1; dead <= suspect::kDeathsMax; ++dead) suspect::note_death(shard, push, dead, 0);
  EXPECT_EQ(shards_view(view())[3]["deaths"], 3);
  const Json report = check_segment(name_, false).value();
  EXPECT_EQ(report["ok"], false);
  ASSERT_EQ(report["refused"].size(), 1u);
  EXPECT_EQ(report["refused"][0]["shard"], 3);
  const auto [text, code] = run("repair " + name_.name() + " --json");
  EXPECT_EQ(code, 0);
  EXPECT_EQ(Json::parse(text)["reopened"].size(), 1u);
  EXPECT_EQ(check_segment(name_, false).value()["ok"], true);
}

TEST_F(ToolTest, RepairOfADamagedSegmentWantsForce) {
  auto process = attach();
  shm::Shard& shard = process->segment().control_shard(3);
  shm::Context push{};
  Purpose{Purpose::kPushTask, false, 99}.announce(push);
  for (uint32_t dead = 1; dead <= suspect::kDeathsMax; ++dead) suspect::note_death(shard, push, dead, 0);
  shard.database_keys[0] = 5;
  const Json refused = repair_segment(name_, false).value();
  EXPECT_EQ(refused["ok"], false);
  EXPECT_EQ(refused["still_refused"].size(), 1u);
  EXPECT_EQ(run("repair " + name_.name()).second, 1);
  EXPECT_TRUE(suspect::read_only(shard));
  EXPECT_EQ(repair_segment(name_, true).value()["ok"], true);
  EXPECT_FALSE(suspect::read_only(shard));
}

TEST_F(ToolTest, DamagedHeaderIsSaidAndNotFollowed) {
  make();
  overwrite(offsetof(shm::Header, shards_offset), 1ull << 60);
  EXPECT_EQ(listed()["state"], "the header is damaged");
  EXPECT_EQ(inspect_view(view(), "")["segment"]["problem"], "the header is damaged");
}

TEST_F(ToolTest, DamagedContextIsShownAndNotFollowed) {
  auto process = attach();
  shm::Context& context = *process->context().value();
  const uint32_t sound_offset = context.alive_offset.load(), sound_id = context.id.load();
  process->segment().control_shard(1).owner.store(sound_id);
  context.alive_offset.store(0x7fff'ff00);
  EXPECT_EQ(processes_view(view()).size(), 1u);
  EXPECT_EQ(shards_view(view()).size(), 4u);
  context.id.store(0x00ff'ffff);
  EXPECT_EQ(processes_view(view())[0]["dead_threads"], 0);
  context.id.store(sound_id);
  context.alive_offset.store(sound_offset);
  process->segment().control_shard(1).owner.store(0);
}

TEST_F(ToolTest, DamagedChannelsAndQueuesAreShownAndNotFollowed) {
  auto process = attach();
  const Segment& segment = process->segment();
  shm::Context& self = *process->context().value();
  const channels::Name room = channels::name_of(segment, shm::ChannelKind::kChannel, "room");
  uint32_t bit = 0;
  ASSERT_TRUE(
      channels::transact(*process, self, {Purpose::kSubscribe}, room.shards(), kLockBudgetNs, [&](Transaction& tx) {
        channels::subscribe(tx, room, self.id.load(), bit);
      }).ok());
  queues::TaskQueues queues(*process, 0);
  ASSERT_TRUE(queues.push("jobs", {"data"}).ok());
  queues::Consumer consumer(queues);
  ASSERT_TRUE(consumer.take_from("jobs", false).value().has_value());

  const auto rows = [&](auto* add) {
    Json all = Json::array();
    for (uint32_t shard = 0; shard < segment.shard_count(); ++shard) add(segment, shard, all);
    (void)for_programs(all);
    return all.size();
  };
  const auto views_show = [&](size_t channels, size_t queues) {
    EXPECT_EQ(rows(add_channels), channels);
    EXPECT_EQ(rows(add_queues), queues);
    rows(add_leases);
  };
  const auto with = [&](auto& word, auto value, size_t channels, size_t queues) {
    using Word = std::remove_cvref_t<decltype(word)>;
    const auto offset = segment.offset_of(&word) / 8 * 8;
    const uint64_t sound = *segment.pointer<uint64_t>(offset);
    auto& writable = const_cast<Word&>(word);
    writable = value;
    views_show(channels, queues);
    overwrite(offset, sound);
  };
  views_show(1, 1);
  const auto& channel = *channels::find(segment, room);
  const auto& subscription = *segment.pointer<shm::Subscription>(channel.subscribers.load());
  with(channel.name_bytes, ~0u, 1, 1);
  with(subscription.next, channel.subscribers.load(), 1, 1);
  with(subscription.next, uint64_t{1} << 45, 1, 1);
  with(subscription.context, ~0u, 1, 1);
  with(segment.shard(room.shard).channels.table, uint64_t{1} << 45, 0, 1);
  const queues::Name jobs(segment, shm::NamedKind::kQueue, 0, "jobs");
  const auto& queue = *segment.pointer<shm::Queue>(queues::find_named(segment, jobs));
  const auto& holder = *segment.pointer<shm::Holder>(queue.consumers);
  with(queue.head.name_bytes, ~0u, 1, 1);
  with(queue.delayed, holder.leases, 1, 1);
  with(holder.next, queue.consumers, 1, 1);
  with(segment.pointer<shm::Task>(holder.leases)->left, holder.leases, 1, 1);
  with(segment.shard(jobs.shard).queues.table, uint64_t{1} << 45, 1, 0);
  views_show(1, 1);
}

TEST_F(ToolTest, ForeignFileIsSaidAndNotFollowed) {
  std::ofstream(name_.shm_path()) << std::string(8192, 'x');
  EXPECT_EQ(listed()["state"], "not a Shoal segment");
  std::ofstream(name_.shm_path()) << "short";
  EXPECT_EQ(listed()["state"], "unfinished: its creator died, or is at work");
}

TEST_F(ToolTest, SegmentInUseIsRemovedOnlyByForce) {
  auto process = attach();
  auto refused = remove_segment(name_, false);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), Code::kBusy);
  EXPECT_EQ(refused.status().number(), 1);
  EXPECT_TRUE(std::filesystem::exists(name_.shm_path()));
  auto forced = remove_segment(name_, true);
  ASSERT_TRUE(forced.ok());
  EXPECT_EQ(forced.value()["runtime_dir_removed"], false);
  EXPECT_FALSE(std::filesystem::exists(name_.shm_path()));
}

TEST_F(ToolTest, UnusedSegmentIsRemovedWithItsRuntimeDirectory) {
  make();
  ASSERT_TRUE(remove_segment(name_, false).ok());
  EXPECT_FALSE(std::filesystem::exists(name_.shm_path()));
  EXPECT_FALSE(std::filesystem::exists(name_.runtime_dir()));
  EXPECT_EQ(remove_segment(name_, false).status().code(), Code::kNotFound);
}

TEST_F(ToolTest, RemovingLeavesFilesThatAreNotOurs) {
  make();
  std::ofstream(name_.runtime_dir() + "/mine") << "x";
  ASSERT_TRUE(remove_segment(name_, false).ok());
  EXPECT_TRUE(std::filesystem::exists(name_.runtime_dir() + "/mine"));
}

TEST_F(ToolTest, GarbageIsWhatTheDeadLeftAndNothingElse) {
  auto process = attach();
  leave_a_dead_process();
  const std::string stale = name_.runtime_dir() + "/wake.9.77";
  ASSERT_EQ(::mkfifo(stale.c_str(), 0600), 0);
  collect_garbage(true, name_.name());
  EXPECT_EQ(processes_view(view()).size(), 2u);
  EXPECT_TRUE(std::filesystem::exists(stale));
  collect_garbage(false, name_.name());
  EXPECT_EQ(processes_view(view()).size(), 1u);
  EXPECT_FALSE(std::filesystem::exists(stale));
  EXPECT_TRUE(std::filesystem::exists(name_.shm_path()));
}

TEST_F(ToolTest, ProgramAnswersProgramsInJsonAndSaysMissingSegmentsByItsExitCode) {
  make();
  const auto [text, code] = run("--json inspect " + name_.name() + " segment");
  EXPECT_EQ(code, 0);
  EXPECT_EQ(Json::parse(text)["segment"]["name"], name_.name());
  EXPECT_EQ(run("inspect shoal://" + name_.name() + "/3 memory --json").second, 0);
  EXPECT_EQ(run("inspect no-such-segment-here").second, 3);
  EXPECT_EQ(run("inspect " + name_.name() + " nonsense").second, 2);
  EXPECT_EQ(run("").second, 2);
}

}  // namespace
}  // namespace shoal::tool
