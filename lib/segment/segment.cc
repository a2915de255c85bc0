// SPDX-License-Identifier: MIT
#include "segment/segment.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "base/fork_gate.h"
#include "base/limits.h"
#include "segment/shape.h"

namespace shoal {

namespace bip = boost::interprocess;

namespace {

// Held while a segment is created or looked for: the flock of the life file. A copy of its descriptor in a forked child
// would keep the lock: so no fork happens while there is one, and whoever has to wait for another process waits
// without.
class CreationLock {
 public:
  CreationLock() = default;
  CreationLock(const CreationLock&) = delete;
  CreationLock& operator=(const CreationLock&) = delete;
  ~CreationLock() { give_up(); }

  Status take(const std::string& life_path) {
    const int64_t deadline_ns = monotonic_ns() + kCreationBudgetNs;
    for (int64_t pause_ns = kCreationPauseNs;; pause_ns = std::min(2 * pause_ns, kCreationPauseMaxNs)) {
      Result<bool> taken = try_take(life_path);
      if (!taken.ok()) return taken.status();
      if (taken.value()) return {};
      if (monotonic_ns() >= deadline_ns) {
        return {Code::kBusy, "another process, perhaps a stopped one, is still creating or opening the segment"};
      }
      const timespec pause{0, static_cast<long>(pause_ns)};
      ::nanosleep(&pause, nullptr);
    }
  }
  FileIdentity identity() const noexcept { return file_identity(fd_); }
  // Somebody lives: any byte of the life file is locked.
  bool anybody_alive() const noexcept {
    struct flock probe {};
    probe.l_type = F_WRLCK;
    probe.l_whence = SEEK_SET;
    return ::fcntl(fd_, F_OFD_GETLK, &probe) == 0 && probe.l_type != F_UNLCK;
  }

 private:
  // false: another has it, or the tool removed the file, under this lock, after we opened it.
  Result<bool> try_take(const std::string& life_path) {
    whole_.emplace();
    fd_ = ::open(life_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    const char* const step = fd_ < 0 ? "open the life file" : "lock the life file";
    const bool locked = fd_ >= 0 && ::flock(fd_, LOCK_EX | LOCK_NB) == 0;
    const int error = locked ? 0 : errno;
    if (locked && is_still(life_path)) return true;
    give_up();
    if (locked || error == EWOULDBLOCK || error == EINTR) return false;
    return system_error(step, error);
  }
  void give_up() noexcept {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
    whole_.reset();
  }
  bool is_still(const std::string& path) const noexcept { return file_identity(fd_) == file_identity(path); }

  int fd_ = -1;
  std::optional<NoFork> whole_;
};

constexpr const char* kShmTooSmall =
    "/dev/shm is too small for the segment; enlarge it (Docker: --shm-size=1g, Compose: shm_size: 1g, Kubernetes: an "
    "emptyDir "
    "of medium Memory at /dev/shm)";

// In small steps: tmpfs gives all of a step back when a signal interrupts it, and a profiler's timer may be faster than
// a large one.
Status allocate(int fd, uint64_t offset, uint64_t bytes, uint64_t* reached = nullptr) noexcept {
  int error = 0;
  for (const uint64_t end = offset + bytes; offset < end && (error == 0 || error == EINTR);) {
    const uint64_t step = std::min(end - offset, kExtentBytes);
    error = ::posix_fallocate(fd, static_cast<off_t>(offset), static_cast<off_t>(step));
    if (error == 0) offset += step;
  }
  if (reached != nullptr) *reached = offset;
  if (error == ENOSPC) return {Code::kFull, kShmTooSmall};
  return error == 0 ? Status{} : system_error("allocate shared memory", error);
}

Counts counts_of(const SegmentOptions& options) noexcept {
  return {options.slot_count, options.context_count, options.shard_count};
}

Status check_options(const SegmentOptions& options) {
  if (Status status = check_counts(counts_of(options)); !status.ok()) return status;
  if (options.max_size < kMinMaxSizeBytes || options.max_size > kMaxMaxSizeBytes ||
      options.max_size % kExtentBytes != 0) {
    return {Code::kInvalidArgument, "max_size must be whole MiB, from 4 MiB to 256 GiB"};
  }
  return {};
}

constexpr uint64_t kHugePageBytes = 2 * kMiB;

// Makes the whole huge pages of [from, to) huge, as far as the kernel has any: a miss of the TLB is half of what a cold
// look-up costs. MADV_COLLAPSE (Linux 6.1) does not depend on how transparent huge pages are set on this machine. It
// wants something to collapse, so each gets its first page before; then a huge page costs less than 512 small ones.
// Only for memory that nobody uses yet: whoever touches it meanwhile would wait. What it cannot do is no error.
void prefer_huge_pages(int fd, std::byte* base, uint64_t from, uint64_t to) noexcept {
  constexpr int kMadvCollapse = 25;  // not yet in every libc's headers; an older kernel refuses it
  from = round_up(from, kHugePageBytes);
  to -= to % kHugePageBytes;
  if (from >= to || reinterpret_cast<uintptr_t>(base) % kHugePageBytes != 0) return;
  for (uint64_t page = from; page < to; page += kHugePageBytes) {
    if (::posix_fallocate(fd, static_cast<off_t>(page), kPageBytes) != 0) return;
  }
  ::madvise(base + from, to - from, kMadvCollapse);
}

// Takes `size` bytes of addresses, whole pages, at which a file's huge pages can be mapped as such, for a MAP_FIXED on
// top of them; null if there are none. They stay taken, so no other thread's mmap comes between.
std::byte* reserve_addresses(uint64_t size) noexcept {
  const uint64_t whole = size + kHugePageBytes;
  void* const got = ::mmap(nullptr, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (got == MAP_FAILED) return nullptr;
  std::byte* const first = static_cast<std::byte*>(got);
  const uint64_t head = round_up(reinterpret_cast<uint64_t>(got), kHugePageBytes) - reinterpret_cast<uint64_t>(got);
  if (head != 0) ::munmap(first, head);
  if (head != kHugePageBytes) ::munmap(first + head + size, kHugePageBytes - head);
  return first + head;
}

// Where the first physical extents of a new segment end.
uint64_t first_end(const SegmentOptions& options, const Shape& shape) noexcept {
  const uint64_t wanted = round_up(std::min(options.first_commit, options.max_size), kExtentBytes);
  return std::max(wanted, shape.extents + kExtentBytes);
}

}  // namespace

Status Segment::map(uint64_t size) {
  const uint64_t whole_pages = round_up(size, kPageBytes);
  std::byte* const place = reserve_addresses(whole_pages);
  const int fixed = place != nullptr ? MAP_FIXED : 0;
  try {
    region_ = bip::mapped_region(object_, bip::read_write, 0, size, place, MAP_SHARED | MAP_NORESERVE | fixed);
  } catch (const bip::interprocess_exception& error) {
    if (place != nullptr) ::munmap(place, whole_pages);
    return system_error("map the segment", error.get_native_error());
  }
  base_ = static_cast<std::byte*>(region_.get_address());
  ::madvise(base_, size, MADV_DONTDUMP);
  return {};
}

void Segment::bind() noexcept {
  const shm::Header& h = header();
  shards_ = reinterpret_cast<shm::Shard*>(base_ + h.shards_offset);
  contexts_ = reinterpret_cast<shm::Context*>(base_ + h.contexts_offset);
  slots_ = reinterpret_cast<shm::Slot*>(base_ + h.slots_offset);
  extents_offset_ = h.extents_offset;
  slot_count_ = h.slot_count;
  context_count_ = h.context_count;
  shard_count_ = h.shard_count;
  mapped_bytes_ = h.max_size;
  shard_shift_ = 32 - static_cast<uint32_t>(std::countr_zero(h.shard_count));
}

void Segment::format(const SegmentOptions& options) noexcept {
  const Shape shape(counts_of(options));
  shm::Header& h = control_header();
  h.layout_version = shm::kLayoutVersion;
  h.abi_hash = shm::abi_hash();
  if (::getrandom(h.uuid, sizeof h.uuid, 0) != sizeof h.uuid) std::memset(h.uuid, 0x5a, sizeof h.uuid);
  std::memcpy(&h.hash_seed, h.uuid + 8, sizeof h.hash_seed);
  h.shard_count = options.shard_count;
  h.context_count = options.context_count;
  h.slot_count = options.slot_count;
  h.max_size = options.max_size;
  h.slots_offset = shape.slots;
  h.contexts_offset = shape.contexts;
  h.shards_offset = shape.shards;
  h.fixed_end = shape.fixed_end;
  h.extents_offset = shape.extents;
  h.created_ms = static_cast<uint64_t>(wall_clock_ms());
  h.committed.store(first_end(options, shape), std::memory_order_relaxed);
  h.search_hint.store(static_cast<uint32_t>(shape.extents / kExtentBytes), std::memory_order_relaxed);
  for (uint64_t extent = shape.extents; extent < h.committed.load(std::memory_order_relaxed); extent += kExtentBytes) {
    control_extent(static_cast<uint32_t>(extent / kExtentBytes)).maybe_free.store(1, std::memory_order_relaxed);
  }
  // Last but one: whoever finds a magic validates the rest, and without one the file is unfinished.
  std::atomic_signal_fence(std::memory_order_seq_cst);
  h.magic = shm::kMagic;
  h.state.store(static_cast<uint32_t>(shm::SegmentState::kReady), std::memory_order_release);
}

Status Segment::validate() const noexcept {
  const shm::Header& h = header();
  if (h.magic != shm::kMagic) return {Code::kMismatch, "the file is not a Shoal segment"};
  if (h.layout_version > shm::kLayoutVersion) {
    return {Code::kMismatch, "the segment was made by a newer Shoal; upgrade this one. Layout version",
            h.layout_version};
  }
  if (h.layout_version < shm::kLayoutVersion) {
    return {Code::kMismatch,
            "the segment was made by an older Shoal; stop its users and run `shoal rm`. Layout version",
            h.layout_version};
  }
  if (h.abi_hash != shm::abi_hash()) {
    return {Code::kMismatch, "the segment was made by a build of Shoal with another memory layout"};
  }
  if (h.max_size != region_.get_size() && region_.get_size() != 0) {
    return {Code::kMismatch, "the segment's file has another size than its header says"};
  }
  if (!shape_is_sound(h)) {
    return {Code::kCorrupt, "the header of the segment is damaged; stop its users and run `shoal rm`"};
  }
  return {};
}

Result<std::unique_ptr<Segment>> Segment::open(const SegmentName& name, OpenMode mode, const SegmentOptions& options) {
  if (Status status = check_options(options); !status.ok()) return status;
  if (Status status = name.make_runtime_dir(); !status.ok()) return status;
  CreationLock creation;
  if (Status status = creation.take(name.life_path()); !status.ok()) return status;

  std::unique_ptr<Segment> segment(new Segment());
  segment->name_ = std::make_unique<SegmentName>(name);
  int fd = -1;
  struct stat info {};
  for (bool retried = false;; retried = true) {
    bool created = false;
    try {
      segment->object_ = bip::shared_memory_object(bip::open_only, name.shm_name().c_str(), bip::read_write);
    } catch (const bip::interprocess_exception& error) {
      const int native = error.get_native_error();
      if (native == EACCES) return Status{Code::kPermission, "the segment belongs to another user", EACCES};
      if (native != ENOENT) return system_error("open the segment", native);
      if (mode == OpenMode::kAttach) return Status{Code::kNotFound, "there is no segment of this name"};
      if (creation.anybody_alive()) {
        return Status{Code::kRemoved,
                      "the segment was removed while processes still use it; stop them first (systemd: RemoveIPC=no)"};
      }
      try {
        segment->object_ = bip::shared_memory_object(bip::create_only, name.shm_name().c_str(), bip::read_write,
                                                     bip::permissions(static_cast<int>(options.mode)));
        created = true;
      } catch (const bip::interprocess_exception& failure) {
        return system_error("create the segment", failure.get_native_error());
      }
    }
    fd = segment->object_.get_mapping_handle().handle;
    if (::fstat(fd, &info) != 0) return system_error("look at the segment", errno);
    if (created) {
      const Shape shape(counts_of(options));
      if (shape.extents + kExtentBytes > options.max_size) {
        bip::shared_memory_object::remove(name.shm_name().c_str());
        return Status{Code::kInvalidArgument, "max_size is too small for so many contexts, slots and shards"};
      }
      Status status = ::ftruncate(fd, static_cast<off_t>(options.max_size)) == 0
                          ? allocate(fd, 0, shape.fixed_end)
                          : system_error("size the segment", errno);
      if (status.ok()) status = allocate(fd, shape.extents, first_end(options, shape) - shape.extents);
      if (status.ok()) status = segment->map(options.max_size);
      if (!status.ok()) {
        bip::shared_memory_object::remove(name.shm_name().c_str());
        return status;
      }
      record_life_file(segment->control_header(), name.runtime_dir(), creation.identity());
      segment->format(options);
      break;
    }
    if (info.st_uid != ::geteuid() && info.st_uid != 0 && ::geteuid() != 0 && (info.st_mode & 0060) != 0060) {
      return Status{Code::kPermission, "the segment belongs to another user; its uid is", info.st_uid};
    }
    bool ready = false;
    if (info.st_size >= static_cast<off_t>(sizeof(shm::Header))) {
      if (Status status = segment->map(static_cast<uint64_t>(info.st_size)); !status.ok()) return status;
      ready = segment->header().magic != 0;
      if (ready) {
        if (Status status = segment->validate(); !status.ok()) return status;
        ready = segment->header().state.load(std::memory_order_acquire) !=
                static_cast<uint32_t>(shm::SegmentState::kBuilding);
      }
    }
    if (ready) break;
    // A creator died in the middle: we hold the creation lock, so nobody is building it.
    if (retried) return Status{Code::kCorrupt, "the segment stays unfinished"};
    bip::shared_memory_object::remove(name.shm_name().c_str());
  }
  segment->inode_ = info.st_ino;
  segment->bind();
  segment->object_ =
      bip::shared_memory_object();  // a descriptor kept could be closed, and its number reused, behind our back
  if (Status status = segment->agree_on_life_file(creation.identity()); !status.ok()) return status;
  return segment;
}

Status Segment::agree_on_life_file(FileIdentity own) {
  if (life_file() == own) return {};
  if (std::string recorded = recorded_runtime_dir(header()); !recorded.empty()) {
    name_->use_runtime_dir(std::move(recorded));  // the segment appeared after our name was parsed
    return {};
  }
  if (const uint32_t left = process_left({slots_, slot_count_}); left != 0) {
    return {Code::kMismatch,
            "the life file of the segment is gone, or in a place that this process does not see (set "
            "SHOAL_RUNTIME_DIR), and "
            "a process may still use the segment; its pid is",
            left};
  }
  record_life_file(control_header(), name_->runtime_dir(), own);
  return {};
}

Status Segment::make_physical(uint64_t from, uint64_t to, uint64_t& reached) const noexcept {
  reached = from;
  const int fd = ::open(name_->shm_path().c_str(), O_RDWR | O_CLOEXEC);
  Status status;
  if (fd < 0 || file_identity(fd).inode != inode_) {
    status = {Code::kRemoved, "the segment cannot grow: its file was removed"};
  } else {
    prefer_huge_pages(fd, base_, from, to);
    status = allocate(fd, from, to - from, &reached);
  }
  if (fd >= 0) ::close(fd);
  return status;
}

Result<std::unique_ptr<Segment>> Segment::format_memory(std::byte* memory, const SegmentOptions& options) {
  if (Status status = check_options(options); !status.ok()) return status;
  std::unique_ptr<Segment> segment(new Segment());
  segment->base_ = memory;
  segment->format(options);
  segment->bind();
  return segment;
}

std::unique_ptr<Segment> Segment::view_memory(std::byte* memory) {
  std::unique_ptr<Segment> segment(new Segment());
  segment->base_ = memory;
  segment->bind();
  return segment;
}

Status Segment::grow(uint64_t bytes) noexcept {
  shm::Header& h = control_header();
  uint64_t said = h.committed.load(std::memory_order_acquire);
  const uint64_t from = bounded(said);
  const uint64_t wanted = std::max(bytes, from / 16);  // by a sixteenth: few calls, little waste
  uint64_t to = std::min(round_up(from + wanted, kHugePageBytes), max_committed());
  if (to <= from || to - from < bytes) {
    return {Code::kFull, "OOM the segment is full: max_size is reached; create it with a larger max_size"};
  }
  if (base_ != nullptr && region_.get_size() != 0) {
    uint64_t reached;
    Status status = make_physical(from, to, reached);
    if (!status.ok() && (status.code() != Code::kFull || reached - from < bytes)) return status;
    to = reached;  // the last of a full /dev/shm
  }
  for (uint64_t extent = from; extent < to; extent += kExtentBytes) {
    control_extent(static_cast<uint32_t>(extent / kExtentBytes)).maybe_free.store(1, std::memory_order_relaxed);
  }
  h.committed.compare_exchange_strong(said, to, std::memory_order_acq_rel);  // a failure: another grower was faster
  return {};
}

bool Segment::removed() const noexcept {
  if (region_.get_size() == 0) return false;
  struct stat info {};
  return ::stat(name_->shm_path().c_str(), &info) != 0 || info.st_ino != inode_;
}

Status Segment::remove(const SegmentName& name) {
  CreationLock creation;
  if (Status status = creation.take(name.life_path()); !status.ok() && status.code() != Code::kNotFound) return status;
  if (::unlink(name.shm_path().c_str()) != 0) return system_error("remove the segment", errno);
  return {};
}

}  // namespace shoal
