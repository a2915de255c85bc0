// SPDX-License-Identifier: MIT
#include "segment/segment.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <thread>

namespace shoal {
namespace {

class SegmentTest : public ::testing::Test {
 protected:
  SegmentName name_ = SegmentName::parse("segment_test-" + std::to_string(::getpid())).value();
  SegmentOptions tiny_ = [] {
    SegmentOptions options;
    options.max_size = 8 * kMiB;
    options.shard_count = 4;
    options.context_count = 32;
    options.slot_count = 8;
    options.first_commit = 2 * kMiB;
    return options;
  }();

  void TearDown() override { (void)Segment::remove(name_); }
  Code code_of_open(OpenMode mode = OpenMode::kAttach) { return Segment::open(name_, mode, tiny_).status().code(); }
  void overwrite(off_t offset, const char* bytes, size_t count) {
    std::FILE* file = std::fopen(name_.shm_path().c_str(), "r+b");
    ASSERT_NE(file, nullptr);
    std::fseek(file, offset, SEEK_SET);
    ASSERT_EQ(std::fwrite(bytes, 1, count, file), count);
    std::fclose(file);
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

TEST_F(SegmentTest, ForeignAndOtherLayoutsAreRefused) {
  ASSERT_EQ(code_of_open(OpenMode::kAttachOrCreate), Code::kOk);
  overwrite(offsetof(shm::Header, layout_version), "\x7f", 1);
  EXPECT_EQ(code_of_open(), Code::kMismatch);
  overwrite(0, "NOTSHOAL", 8);
  EXPECT_EQ(code_of_open(), Code::kMismatch);
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
