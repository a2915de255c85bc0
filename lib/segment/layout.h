// SPDX-License-Identifier: MIT
// layout.h: THE map of a segment. Every fixed record is drawn, sized and asserted here; a change of any of them is a
// change of kLayoutVersion. `shoal inspect layout` prints this map from these constants.
//
// Glossary
//   segment   one mapped file /dev/shm/shoal.NAME: everything below
//   slot      a process (its life is a lock on one byte of the life file)
//   context   a thread (its life is a robust mutex, the death note, that only it ever locks)
//   shard     a lock, a sequence, an allocator and the keys, channels and queues that hash to it
//   extent    1 MiB that became physical at once; its first pages describe its pages
//   page      4 KiB: free, claimed by a context, a journal chunk of a context, or owned by a shard
//   span      1 to 254 pages of one extent that follow each other
//   block     what a structure allocates: a piece of a span of one size class, or a whole span
//   chunk     a span that holds a piece of a context's undo journal
//   entry     a key with its value or the root of its value
//
//   0 +--------+-----------+-------+----------+--------+ ... +----------------+----------------+ ... + max_size
//     | header | bookmarks | slots | contexts | shards | gap | extent         | extent         |     |
//     +--------+-----------+-------+----------+--------+ ... +----------------+----------------+ ... +
//     committed: fixed part up to the gap, and extents [extents_offset, committed); the rest is a hole in the file
//
// Who dies where: the records below are written by compare-and-swap or by one store where the comment says so, and
// through a transaction's journal everywhere else; see transaction/recovery.h for what a death leaves behind.
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/limits.h"
#include "segment/offset.h"
#include "segment/shm_safe.h"

namespace shoal::shm {

inline constexpr uint64_t kMagic = 0x4c414f4853fe5e47;  // "G^\xfeSHOAL" read as bytes
inline constexpr uint32_t kLayoutVersion = 1;

template <typename T>
using Atomic = std::atomic<T>;
static_assert(Atomic<uint64_t>::is_always_lock_free && Atomic<uint32_t>::is_always_lock_free);

// ---- Identities -----------------------------------------------------------------------------------------------------

// A context's id: generation:15 | index:16. 0 = retired. The same 31 bits are an owner in a lock word (bit 31 =
// waiters).
inline constexpr uint32_t kContextIndexBits = 16;
inline constexpr uint32_t kContextGenerationMask = 0x7fff;
inline constexpr uint32_t kWaitersBit = 0x8000'0000u;

constexpr uint32_t context_index(uint32_t id) noexcept { return id & 0xffff; }
constexpr uint32_t context_id(uint32_t generation, uint32_t index) noexcept {
  return (generation & kContextGenerationMask) << kContextIndexBits | index;
}

// ---- Slot: a process ------------------------------------------------------------------------------------------------
//
//   0        8            12    16         24        28
//   | gen 8  | state 4    |pid 4| start 8  | role 4  | ... |
struct Slot {
  Atomic<uint64_t> generation;  // raised by the claimer under its life byte; never reset
  Atomic<uint32_t> state;       // SlotState, by the holder of the life byte only
  uint32_t pid;                 // for people; never used to decide about life
  uint64_t start_time_ms;       // wall clock, for people
  Atomic<uint32_t> role;        // SlotRole, for people
  uint32_t reserved;
  uint64_t pid_namespace;  // in which `pid` is one; to find out whether anybody is left when the life file is gone
  uint8_t padding[24];
};
SHOAL_SHM_RECORD(Slot, 64);
enum class SlotState : uint32_t { kFree = 0, kUsed = 1, kReaping = 2 };
enum class SlotRole : uint32_t { kClient = 0, kDaemon = 1, kTool = 2 };

inline constexpr uint32_t kReadyWords = 8;

// ---- Context: a thread ----------------------------------------------------------------------------------------------
//
// Written by its own thread, except: `id` is retired and `recoverer` claimed by whoever recovers it, the epochs are
// moved on by wakers. `alive` is touched by nobody but its claimer: a waiter that died inside a trylock of a foreign
// note, with an equal tid in another PID namespace, would mark a living thread dead.
struct Context {
  Atomic<uint64_t> claim;  // 0 free, else slot index + 1 | slot generation << 16: CAS by the claimer, 0 again by R
  pthread_mutex_t alive;   // the death note: robust, process-shared, locked once for the thread's life
  Atomic<uint32_t> alive_offset;  // of the lock word in `alive`: glibc 0, musl 4
  Atomic<uint32_t> id;            // published last, 0 = retired
  Atomic<uint32_t> recoverer;     // id of the context that recovers this one
  uint32_t next_generation;       // never reset; raised before id is published

  Atomic<uint32_t> asleep;  // epoch, odd = the thread sleeps on this word, a futex (process/wake.h)
  Atomic<uint32_t>
      loop_asleep;             // epoch, odd = its event loop sleeps on the context's FIFO; 0 = there has never been one
  Atomic<uint32_t> wake_debt;  // 1 between a commit that must wake and the end of its wakes
  uint32_t operation;          // what it took its last lock for (transaction/suspect.h)
  uint64_t key_hash;           // of the first key it works on

  uint64_t journal_words;          // THE commit word: words of journal that undo would apply; 0 = nothing to undo
  uint64_t first_chunk;            // offset of the first journal chunk; 0 = none yet
  uint32_t claim_low, claim_high;  // extents [low, high) in which this context may hold CLAIMED or JOURNAL pages
  uint64_t outbox;    // offset of the first message to publish after the commit (channels/outbox.h), 0 = none
  uint64_t reserved;  // 0
  Atomic<uint64_t> ready[kReadyWords];  // publishers set the bit of a subscription, the listener clears it (channels/)
  uint64_t outbox_tail;                 // offset of the last one
  Atomic<uint32_t> relay;               // bits: to be woken by others who are woken, to wake others (process/relay.h)
  uint8_t padding[52];
};
SHOAL_SHM_RECORD(Context, 256);
static_assert(offsetof(Context, ready) == 128);
static_assert(sizeof(pthread_mutex_t) == 40);
static_assert(offsetof(Context, alive) == 8 && offsetof(Context, id) == 52 && offsetof(Context, asleep) == 64);
static_assert(offsetof(Context, journal_words) == 88);

// ---- Journal chunk --------------------------------------------------------------------------------------------------
// A span of pages with this head, then words. A record is its old bytes padded to words and then a trailer word
// {kind:2, words:14, offset:48}; undo walks backwards. See transaction/journal.h.
struct ChunkHeader {
  uint64_t next;  // offset of the following chunk, 0 = last; kept for reuse until the context is released
  uint64_t previous;
  uint64_t words;       // capacity behind this head
  uint64_t first_word;  // index of its first word in the whole journal
};
SHOAL_SHM_RECORD(ChunkHeader, 32);

// ---- Page and extent ------------------------------------------------------------------------------------------------
//
// owner: kind:8 | 0:24 | context id, shard or first page:32. FREE -> CLAIMED or JOURNAL by CAS, never journalled;
// CLAIMED -> OWNED through the journal of the claimer; OWNED -> CLAIMED through the journal, CLAIMED -> FREE by a store
// after the commit.
// A span is claimed by its first page; its other pages then become TAIL of that first page, without a journal: what
// they are follows from what the first page is. A release frees the tails first and the first page last.
enum class PageKind : uint8_t { kFree = 0, kClaimed = 1, kJournal = 2, kOwned = 3, kTail = 4 };
constexpr uint64_t page_owner(PageKind kind, uint32_t id) noexcept {
  return uint64_t{static_cast<uint8_t>(kind)} << 56 | id;
}
constexpr PageKind page_kind(uint64_t owner) noexcept { return static_cast<PageKind>(owner >> 56); }

// The four small fields change together and are journalled as one word.
struct PageUse {
  uint16_t used;       // blocks handed out
  uint16_t free_head;  // index + 1 of the first free block, whose first two bytes hold the next; 0 = none
  uint16_t bump;       // blocks taken so far from the untouched end
  uint8_t size_class;  // kSpanClass = the span is one block
  uint8_t span;        // pages of the span, set before its tails are taken
};
SHOAL_SHM_RECORD(PageUse, 8);
inline constexpr uint8_t kSpanClass = 255;

struct Page {
  Atomic<uint64_t> owner;
  PageUse use;              // guarded by the lock of the owning shard
  uint32_t next, previous;  // page numbers (offset / 4096): the shard's list of spans of this class with room; 0 = none
};
SHOAL_SHM_RECORD(Page, 24);

struct Extent {
  Atomic<uint32_t> maybe_free;  // hint: 0 = a search found no free page; any release sets it to 1
  uint8_t padding[60];
  Page pages[kPagesPerExtent];  // the first kExtentHeadPages describe this head and are never looked at
};
SHOAL_SHM_RECORD(Extent, 64 + kPagesPerExtent * 24);
inline constexpr uint32_t kExtentHeadPages = (sizeof(Extent) + kPageBytes - 1) / kPageBytes;
inline constexpr uint32_t kSpanPagesMax = kPagesPerExtent - kExtentHeadPages;

// ---- Dict root: a hash table that grows by one bucket at a time (types/dict.h) --------------------------------------
struct DictRoot {
  Cell<uint64_t> table;    // offset of the directory node or of the only bucket segment; 0 = no bucket yet
  Cell<uint64_t> count;    // items
  Cell<uint32_t> buckets;  // buckets in use; level and split point follow from it
  Cell<uint32_t> depth;    // directory levels above the bucket segments: 0, 1 or 2
};
SHOAL_SHM_RECORD(DictRoot, 24);

// ---- Shard ----------------------------------------------------------------------------------------------------------
inline constexpr uint32_t kClassCount = 48;  // room; transaction/size_class.h says how many are in use
inline constexpr uint32_t kCreatedCount = 256;

// An operation in which a holder of the shard's lock died (transaction/suspect.h).
struct Suspect {
  uint64_t key_hash;      // of the key, channel or queue that it named; 0 = none
  int64_t last_death_ms;  // when it was noticed, by the monotonic clock
  uint32_t operation;     // of the last who died
  uint32_t deaths;        // 0 = the place is free
};
SHOAL_SHM_RECORD(Suspect, 24);
inline constexpr uint32_t kSuspectCount = 3;

struct alignas(64) Shard {
  // What a reader touches, in one cache line.
  Atomic<uint32_t> owner;       // waiters:1 | context id:31; CAS (transaction/owner_lock.h)
  Atomic<uint32_t> deaths;      // the most that one of the suspects has; 3 = it is refused (transaction/suspect.h)
  Atomic<uint64_t> sequence;    // odd while a reader could see a half-done change; never goes back
  DictRoot keys;                // all databases of this shard; the database is part of an entry's key
  Cell<uint64_t> reader_epoch;  // raised before a channel or a ring is freed and before an undo; never goes back
  uint64_t reserved1;
  uint32_t reserved2;
  uint32_t last_dead;  // context id of the last holder whose death was noted; by whoever recovers him

  // Under the lock, through the journal.
  uint32_t class_pages[kClassCount];   // per size class: first span with room
  uint64_t foreign_free[kClassCount];  // per size class: free blocks that lie in other shards' pages, linked by offset
  uint64_t bytes_used;                 // bytes handed out
  uint64_t lazy_free;                  // first entry whose content is still to be freed (keyspace/keyspace.h)
  DictRoot channels;                   // name -> ring (channels/)
  DictRoot queues;                     // name -> task queue (queues/)
  DictRoot waiters;                    // key -> blocked waiters (keyspace/waiters.h)
  uint64_t database_keys[kDatabaseCount];     // DBSIZE
  uint64_t database_expires[kDatabaseCount];  // of them with a TTL
  uint64_t next_expiry_ms;                    // no key of this shard expires before: a lower bound, 0 = unknown
  uint64_t log_head, log_tail;                // the place of the persistence log's chunks
  uint64_t queue_numbers;                     // last number given to a task, lease, holder or incarnation of a queue
  Suspect suspects[kSuspectCount];            // by whoever holds the lock or recovers its holder; not journalled
  Cell<uint64_t> created[kCreatedCount];  // version of an absent key: that of the last key of its hash to come to be
};
SHOAL_SHM_RECORD(Shard, 3136);
static_assert(offsetof(Shard, class_pages) == 64);

// ---- Bookmark: how far a subscriber has read, for people (channels/bookmark.h) --------------------------------------
struct Bookmark {
  Atomic<uint64_t> owner;  // context id:32 | channel's incarnation, folded:32; 0 = free; CAS by the claimer
  Atomic<uint64_t> next;   // sequence of the message that it reads next; by the owner
};
SHOAL_SHM_RECORD(Bookmark, 16);
inline constexpr uint32_t kBookmarkCount = 2048;

// ---- Header ---------------------------------------------------------------------------------------------------------
enum class SegmentState : uint32_t { kBuilding = 0, kReady = 1, kPoisoned = 2 };

struct Header {
  uint64_t magic;
  uint32_t layout_version;
  uint32_t abi_hash;  // of every size and offset above: a foreign build is refused
  uint8_t uuid[16];
  Atomic<uint32_t> state;  // SegmentState, written last by the creator
  uint32_t shard_count, context_count, slot_count;
  uint64_t max_size;
  uint64_t hash_seed;
  uint64_t slots_offset, contexts_offset, shards_offset, fixed_end, extents_offset;
  uint64_t created_ms;  // wall clock

  Atomic<uint64_t> committed;     // end of the physical extents; moved by CAS after posix_fallocate
  Atomic<uint32_t> context_high;  // contexts ever claimed lie below
  Atomic<uint32_t> slot_high;
  Atomic<uint32_t> search_hint;      // extent in which to look for free pages first
  Atomic<uint32_t> pattern_version;  // raised when the set of pattern subscriptions changes
  Atomic<uint32_t> sleepers;         // a hint: contexts that ever registered to sleep
  Atomic<uint32_t> kill_script;      // a running script's hook reads it
  Atomic<uint64_t> log_ticket;       // global order of log records
  Cell<uint64_t> patterns;  // first of the patterns that are subscribed to (channels/); under the lock of shard 0
  uint64_t reserved_channels[2];
  Atomic<uint64_t> life_device;  // which file the life file is, and where it was (segment/life_file.h)
  Atomic<uint64_t> life_inode;
  char runtime_dir[256];  // ends with a zero; empty = too long
  // Of the dead, since the segment was made. Nobody depends on them.
  Atomic<uint64_t> recoveries, longest_recovery_ns;
  uint8_t padding[4096 - 464];
};
SHOAL_SHM_RECORD(Header, 4096);

// One number for the whole map: any change of a size or a key offset changes it.
constexpr uint32_t abi_hash() noexcept {
  uint32_t hash = 2166136261u;
  const uint64_t facts[] = {sizeof(void*),
                            sizeof(Slot),
                            sizeof(Context),
                            sizeof(ChunkHeader),
                            sizeof(Page),
                            sizeof(Extent),
                            sizeof(DictRoot),
                            sizeof(Shard),
                            sizeof(Header),
                            sizeof(Bookmark) * kBookmarkCount,
                            offsetof(Context, id),
                            offsetof(Context, asleep),
                            offsetof(Context, journal_words),
                            offsetof(Shard, sequence),
                            offsetof(Shard, keys),
                            offsetof(Shard, channels),
                            offsetof(Shard, created),
                            offsetof(Header, committed),
                            offsetof(Header, state),
                            kPageBytes,
                            kExtentBytes,
                            kClassCount,
                            kDatabaseCount};
  for (uint64_t fact : facts) hash = (hash ^ static_cast<uint32_t>(fact)) * 16777619u;
  return hash;
}

}  // namespace shoal::shm
