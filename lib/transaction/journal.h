// SPDX-License-Identifier: MIT
// journal.h: the undo journal of one context. Whole words of old bytes, then a trailer word, so that undo walks
// backwards:
//
//   ... | old word | old word | trailer {kind:2 | words:14 | offset:48} | ...     words [0, journal_words) count
//
// A record is complete before `journal_words` covers it, and covers it before the store that it guards (compiler order
// is enough: a death falls between instructions). journal_words = 0 is the commit of everything at once.
// Records: kUndo (old words of `offset`), kFree (one word: the place of the previous kFree record + 1; the block at
// `offset` is to be freed at the commit), kSkip (the unused end of a chunk).
//
// Only the context's own thread appends; recovery undoes for the dead. Dies at any line: journal_words says what
// counts.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/bytes.h"
#include "segment/segment.h"

namespace shoal {

class Journal {
 public:
  // To be rewound before the first record.
  Journal(Segment& segment, shm::Context& self) noexcept : segment_(segment), self_(self) {}

  uint64_t words() const noexcept { return self_.journal_words; }
  // Journals the words that [address, address + bytes) touches. False: no page left for a further chunk; nothing was
  // recorded.
  bool record(const void* address, uint64_t bytes) noexcept {
    const uint64_t offset = segment_.offset_of(address);
    const uint64_t start = offset & ~uint64_t{7};
    uint64_t count = (offset + bytes - start + 7) / 8;
    const uint64_t* old = segment_.pointer<uint64_t>(start);
    for (uint64_t at = start; count > kPieceWords; count -= kPieceWords, old += kPieceWords, at += kPieceWords * 8) {
      if (!append(Kind::kUndo, at, old, kPieceWords)) return false;
    }
    return append(Kind::kUndo, start + (static_cast<uint64_t>(old - segment_.pointer<uint64_t>(start)) * 8), old,
                  count);
  }
  // The same for at most kPieceWords whole words, and for the word that a field of at most 8 bytes lies in.
  [[gnu::always_inline]] bool record_words(const void* first, uint64_t count) noexcept {
    return append(Kind::kUndo, segment_.offset_of(first), static_cast<const uint64_t*>(first), count);
  }
  bool record_word(const void* field) noexcept {
    const uint64_t offset = segment_.offset_of(field) & ~uint64_t{7};
    return append(Kind::kUndo, offset, segment_.pointer<uint64_t>(offset), 1);
  }
  // The first record of an empty journal, for an owner without a Journal. False: no chunk yet, or it is too small.
  [[gnu::always_inline]] static bool record_first(Segment& segment, shm::Context& self, const void* first,
                                                  uint64_t count) noexcept {
    const uint64_t chunk = self.first_chunk;
    if (__builtin_expect(chunk == 0, 0)) return false;
    const auto& header = *segment.pointer<shm::ChunkHeader>(chunk);
    if (__builtin_expect(count + 1 > header.words, 0)) return false;
    write_record(words_of(segment, chunk), Kind::kUndo, segment.offset_of(first), static_cast<const uint64_t*>(first),
                 count);
    count_up_to(self, header.first_word + count + 1);
    return true;
  }
  // Notes that the block is to be freed at the commit.
  bool record_free(uint64_t block) noexcept {
    const uint64_t place = words();
    if (!append(Kind::kFree, block, &last_free_, 1)) return false;
    last_free_ = place + 1;
    return true;
  }
  // Calls f(block) for each noted free, newest first. f may append records.
  template <typename F>
  void for_each_free(F&& f) noexcept {
    uint64_t chunk = chunk_;
    for (uint64_t next = last_free_; next != 0;) {
      const FreeRecord record = read_free(next - 1, chunk);
      f(record.block);
      next = record.previous;
    }
  }
  uint64_t last_free() const noexcept { return last_free_; }

  // The commit: one store makes all that was done true.
  static void empty(shm::Context& self) noexcept {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    self.journal_words = 0;
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  // Undoes down to `words` and forgets the frees noted since.
  void undo_to(uint64_t words, uint64_t last_free) noexcept;
  // The next record is the first.
  void rewind() noexcept {
    last_free_ = 0;
    enter(self_.first_chunk, 0);
  }

  // Further chunks stay for the next transaction, but not what a huge one took beyond kJournalBytesKept, nor what was
  // taken as single pages: the segment is full, and they may be the last. The journal must be empty, and begins anew
  // with rewind().
  bool took_too_much() const noexcept { return took_too_much_; }
  void give_back() noexcept;

  // Applies the journal of any context backwards, down to `words`. Recovery's use; idempotent until journal_words
  // moves.
  static void undo(Segment& segment, shm::Context& context, uint64_t words) noexcept;
  // Gives the chunks back; the journal must be empty.
  static void release_chunks(Segment& segment, shm::Context& context) noexcept;

  static constexpr uint64_t kPieceWords = 256;

 private:
  enum class Kind : uint64_t { kUndo = 0, kFree = 1, kSkip = 2 };
  struct FreeRecord {
    uint64_t block, previous;
  };
  static constexpr uint64_t trailer(Kind kind, uint64_t words, uint64_t offset) noexcept {
    return static_cast<uint64_t>(kind) << 62 | words << 48 | offset;
  }

  [[gnu::always_inline]] bool append(Kind kind, uint64_t offset, const uint64_t* old, uint64_t count) noexcept {
    if (__builtin_expect(used_ + count + 1 > capacity_, 0) && !next_chunk(count + 1)) return false;
    write_record(words_ + used_, kind, offset, old, count);
    used_ += count + 1;
    count_up_to(self_, first_word_ + used_);
    return true;
  }
  [[gnu::always_inline]] static void write_record(uint64_t* place, Kind kind, uint64_t offset, const uint64_t* old,
                                                  uint64_t count) noexcept {
    copy_words(place, old, count);
    place[count] = trailer(kind, count, offset);
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  [[gnu::always_inline]] static void count_up_to(shm::Context& self, uint64_t words) noexcept {
    self.journal_words = words;
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  static uint64_t* words_of(Segment& segment, uint64_t chunk) noexcept {
    return reinterpret_cast<uint64_t*>(segment.control_base() + chunk + sizeof(shm::ChunkHeader));
  }
  bool next_chunk(uint64_t words_needed) noexcept;
  void enter(uint64_t chunk, uint64_t used) noexcept {
    chunk_ = chunk;
    used_ = used;
    if (__builtin_expect(chunk == 0, 0)) {  // none yet
      capacity_ = first_word_ = 0;
      return;
    }
    const auto& header = *segment_.pointer<shm::ChunkHeader>(chunk);
    words_ = words_of(segment_, chunk);
    capacity_ = header.words;
    first_word_ = header.first_word;
  }
  // `chunk`: the one of a later record; then that of this one. Looked for from the first chunk on, many frees would
  // take quadratic time.
  FreeRecord read_free(uint64_t place, uint64_t& chunk) const noexcept;

  Segment& segment_;
  shm::Context& self_;
  uint64_t chunk_;   // offset of the chunk being filled, 0 = none yet
  uint64_t* words_;  // its words
  uint64_t used_, capacity_, first_word_;
  uint64_t last_free_;  // place of the newest kFree record + 1
  bool took_too_much_ = false;
};

}  // namespace shoal
