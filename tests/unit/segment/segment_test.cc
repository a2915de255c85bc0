// SPDX-License-Identifier: MIT
#include "segment/segment.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "support/fresh_name.h"

namespace shoal {
namespace {

class SegmentTest : public ::testing::Test {
 protected:
  SegmentName name_ = fresh_name("segment_test");
  SegmentOptions tiny_ = [] {
    SegmentOptions options;
    options.max_size = 8 * kMiB;
    options.shard_count = 4;
    options.context_count = 32;
    options.slot_count = 8;
    options.first_commit = 2 * kMiB;
    return options;
  }();

  void TearDown() override { leave_nothing_of(name_); }
  Code code_of_open(OpenMode mode = OpenMode::kAttach) { return Segment::open(name_, mode, tiny_).status().code(); }
  void overwrite(off_t offset, const char* bytes, size_t count) {
    std::FILE* file = std::fopen(name_.shm_path().c_str(), "r+b");
    ASSERT_NE(file, nullptr);
    std::fseek(file, offset, SEEK_SET);
    ASSERT_EQ(std::fwrite(bytes, 1, count, file), count);
    std::fclose(file);
  }
  void read(shm::Header* header) {
    std::ifstream file(name_.shm_path(), std::ios::binary);
    ASSERT_TRUE(file.read(reinterpret_cast<char*>(header), sizeof *header));
  }
};

TEST_F(SegmentTest, AttachWithoutSegmentIsNotFound) { EXPECT_EQ(code_of_open(), Code::kNotFound); }

TEST_F(SegmentTest, SecondOpenSeesTheFirstOnesShape) {
  auto first = Segment::open(name_, OpenMode::kAttachOrCreate, tiny_);
  ASSERT_TRUE(first.ok()) << describe(first.status());
  auto second = Segment::open(name_, OpenMode::kAttachOrCreate, {});
  ASSERT_TRUE(second.ok()) << describe(second.status());
  EXPECT_EQ(second.value()->shard_count(), 4u);
  EXPECT_EQ(second.value()->header().hash_seed, first.value()->header().hash_seed);
}

TEST_F(SegmentTest, MapsWhateverOtherThreadsMapMeanwhile) {
  auto first = Segment::open(name_, OpenMode::kAttachOrCreate, tiny_);
  ASSERT_TRUE(first.ok());
  std::atomic<bool> stop{false};
  std::thread other([&] {  // takes every gap that the segment could go to
    while (!stop) {
      void* place = ::mmap(nullptr, tiny_.max_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (place != MAP_FAILED) ::munmap(place, tiny_.max_size);
    }
  });
  for (int round = 0; round < 2000; ++round) {
    auto opened = Segment::open(name_, OpenMode::kAttach, tiny_);
    EXPECT_TRUE(opened.ok()) << describe(opened.status());
    if (!opened.ok()) break;
    EXPECT_EQ(opened.value()->header().magic, shm::kMagic);
  }
  stop = true;
  other.join();
}

TEST_F(SegmentTest, GrowthPublishesPhysicalMemoryUpToItsMaximum) {
  auto segment = Segment::open(name_, OpenMode::kAttachOrCreate, tiny_);
  ASSERT_TRUE(segment.ok()) << describe(segment.status());
  const uint64_t before = segment.value()->committed();
  ASSERT_TRUE(segment.value()->grow(1).ok());
  EXPECT_GT(segment.value()->committed(), before);
  Status status;
  while ((status = segment.value()->grow(1)).ok()) {
  }
  EXPECT_EQ(status.code(), Code::kFull);
  EXPECT_EQ(segment.value()->committed(), tiny_.max_size);
}

// As a profiler's does. The kernel gives back what an interrupted call has allocated.
TEST_F(SegmentTest, GrowsAlsoUnderATimerThatInterruptsItAllTheTime) {
  tiny_.max_size = 1024 * kMiB;
  auto segment = Segment::open(name_, OpenMode::kAttachOrCreate, tiny_);
  ASSERT_TRUE(segment.ok()) << describe(segment.status());
  struct sigaction count {
  }, before{};
  count.sa_handler = [](int) {};
  ::sigaction(SIGALRM, &count, &before);
  const itimerval fast{{0, 5000}, {0, 5000}}, none{};
  ::setitimer(ITIMER_REAL, &fast, nullptr);
  const uint64_t committed = segment.value()->committed();
  const Status status = segment.value()->grow(64 * kMiB);
  ::setitimer(ITIMER_REAL, &none, nullptr);
  ::sigaction(SIGALRM, &before, nullptr);
  EXPECT_TRUE(status.ok()) << describe(status);
  EXPECT_GE(segment.value()->committed(), committed + 64 * kMiB);
}

TEST_F(SegmentTest, ForeignAndOtherLayoutsAreRefused) {
  ASSERT_EQ(code_of_open(OpenMode::kAttachOrCreate), Code::kOk);
  overwrite(offsetof(shm::Header, layout_version), "\x7f", 1);
  EXPECT_EQ(code_of_open(), Code::kMismatch);
  overwrite(0, "NOTSHOAL", 8);
  EXPECT_EQ(code_of_open(), Code::kMismatch);
}

TEST_F(SegmentTest, ADamagedShapeIsRefusedAndNotFollowed) {
  ASSERT_EQ(code_of_open(OpenMode::kAttachOrCreate), Code::kOk);
  shm::Header header{}, sound{};
  read(&header);
  read(&sound);
  const auto open_with = [&](auto member, uint64_t value) {
    header.*member = static_cast<std::remove_cvref_t<decltype(+(sound.*member))>>(value);
    overwrite(0, reinterpret_cast<const char*>(&header), sizeof header);
    header.*member = +(sound.*member);
    return code_of_open();
  };
  for (const auto count : {&shm::Header::shard_count, &shm::Header::context_count, &shm::Header::slot_count}) {
    for (const uint32_t value : {0u, sound.*count + 1024, ~0u}) {
      EXPECT_EQ(open_with(count, value), Code::kCorrupt) << value;
    }
  }
  for (const auto offset : {&shm::Header::slots_offset, &shm::Header::contexts_offset, &shm::Header::shards_offset,
                            &shm::Header::fixed_end, &shm::Header::extents_offset}) {
    for (const uint64_t value : {uint64_t{0}, sound.*offset + 8, uint64_t{1} << 60, ~uint64_t{0}}) {
      EXPECT_EQ(open_with(offset, value), Code::kCorrupt) << value;
    }
  }
  for (const uint64_t value :
       {uint64_t{0}, sound.extents_offset, sound.extents_offset + 8, sound.max_size + kExtentBytes, ~uint64_t{0}}) {
    EXPECT_EQ(open_with(&shm::Header::committed, value), Code::kCorrupt) << value;
  }
  EXPECT_EQ(open_with(&shm::Header::max_size, sound.max_size + kExtentBytes), Code::kMismatch);
  EXPECT_EQ(open_with(&shm::Header::max_size, sound.max_size), Code::kOk) << "nothing was lost";
}

TEST_F(SegmentTest, DamageAfterwardsLeadsNobodyOutOfTheMapping) {
  auto segment = Segment::open(name_, OpenMode::kAttachOrCreate, tiny_);
  ASSERT_TRUE(segment.ok());
  shm::Header& header = segment.value()->control_header();
  for (const uint64_t damaged : {uint64_t{0}, uint64_t{9}, header.extents_offset + 1, uint64_t{7} << 50}) {
    header.committed = damaged;
    EXPECT_GT(segment.value()->committed(), header.extents_offset) << damaged;
    EXPECT_FALSE(segment.value()->contains(tiny_.max_size, 8)) << damaged;
    header.max_size = damaged;
    while (segment.value()->grow(1).ok()) {
    }
    EXPECT_LE(segment.value()->committed(), tiny_.max_size) << damaged;
    EXPECT_EQ(header.magic, shm::kMagic) << damaged;
    header.max_size = tiny_.max_size;
  }
  EXPECT_EQ(std::filesystem::file_size(name_.shm_path()), tiny_.max_size);
  header.committed = ~uint64_t{0};
  header.context_high = header.slot_high = ~0u;
  header.context_count = header.slot_count = ~0u;
  EXPECT_EQ(segment.value()->committed(), tiny_.max_size);
  EXPECT_EQ(segment.value()->context_high(), tiny_.context_count);
  EXPECT_EQ(segment.value()->slot_high(), tiny_.slot_count);
  EXPECT_FALSE(segment.value()->contains(tiny_.max_size - 8, 16));
}

TEST_F(SegmentTest, UnfinishedSegmentOfADeadCreatorIsReplaced) {
  ASSERT_EQ(code_of_open(OpenMode::kAttachOrCreate), Code::kOk);
  const char building[4] = {};
  overwrite(offsetof(shm::Header, state), building, 4);
  EXPECT_EQ(code_of_open(OpenMode::kAttachOrCreate), Code::kOk);
}

TEST_F(SegmentTest, FileOfACreatorWhoDiedBeforeHeWroteTheHeaderIsReplaced) {
  for (const uint64_t bytes : {uint64_t{0}, uint64_t{100}, tiny_.max_size}) {  // not yet sized; damaged; all zeros
    std::fclose(std::fopen(name_.shm_path().c_str(), "w"));
    std::filesystem::resize_file(name_.shm_path(), bytes);
    EXPECT_EQ(code_of_open(), Code::kNotFound) << bytes;
    std::fclose(std::fopen(name_.shm_path().c_str(), "w"));
    std::filesystem::resize_file(name_.shm_path(), bytes);
    EXPECT_EQ(code_of_open(OpenMode::kAttachOrCreate), Code::kOk) << bytes;
    ASSERT_TRUE(Segment::remove(name_).ok());
  }
}

TEST_F(SegmentTest, AnotherUserIsRefusedAndTold) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
  ASSERT_EQ(code_of_open(OpenMode::kAttachOrCreate), Code::kOk);
  const pid_t child = ::fork();
  if (child == 0) {
    constexpr uid_t kNobody = 65534;
    if (::setgid(kNobody) != 0 || ::setuid(kNobody) != 0) ::_exit(100);
    const SegmentName seen = SegmentName::parse(name_.name()).value();
    const Code code = Segment::open(seen, OpenMode::kAttachOrCreate, tiny_).status().code();
    ::_exit(code == Code::kPermission ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  std::filesystem::remove_all("/tmp/shoal-65534/" + name_.name());
}

TEST_F(SegmentTest, RemovalIsNoticedByThoseWhoMapIt) {
  auto segment = Segment::open(name_, OpenMode::kAttachOrCreate, tiny_);
  ASSERT_TRUE(segment.ok());
  EXPECT_FALSE(segment.value()->removed());
  ASSERT_TRUE(Segment::remove(name_).ok());
  EXPECT_TRUE(segment.value()->removed());
}

TEST_F(SegmentTest, BadNamesAndOptionsAreNamed) {
  EXPECT_EQ(SegmentName::parse("").status().code(), Code::kInvalidArgument);
  EXPECT_EQ(SegmentName::parse("a/b").status().code(), Code::kInvalidArgument);
  EXPECT_EQ(SegmentName::parse(".hidden").status().code(), Code::kInvalidArgument);
  tiny_.shard_count = 3;
  EXPECT_EQ(code_of_open(OpenMode::kAttachOrCreate), Code::kInvalidArgument);
}

}  // namespace
}  // namespace shoal
