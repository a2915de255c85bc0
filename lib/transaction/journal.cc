// SPDX-License-Identifier: MIT
#include "transaction/journal.h"

#include "transaction/page_pool.h"

namespace shoal {

namespace {

shm::ChunkHeader& chunk_at(Segment& segment, uint64_t offset) noexcept {
  return *reinterpret_cast<shm::ChunkHeader*>(segment.control_base() + offset);
}

const uint64_t* chunk_words(Segment& segment, uint64_t offset) noexcept {
  return segment.pointer<uint64_t>(offset + sizeof(shm::ChunkHeader));
}

// The chunk that holds word `place`.
uint64_t chunk_of(Segment& segment, const shm::Context& context, uint64_t place) noexcept {
  uint64_t chunk = context.first_chunk;
  for (;;) {
    const shm::ChunkHeader& header = chunk_at(segment, chunk);
    if (place < header.first_word + header.words) return chunk;
    chunk = header.next;
  }
}

}  // namespace

bool Journal::next_chunk(uint64_t words_needed) noexcept {
  uint64_t next = chunk_ == 0 ? 0 : chunk_at(segment_, chunk_).next;
  if (next == 0) {
    uint32_t pages = chunk_ == 0 ? kFirstChunkPages : kChunkPages;
    uint32_t first = claim_span(segment_, self_, pages, shm::PageKind::kJournal);
    if (first == 0 && pages == kChunkPages) {  // what removes a lot from a full segment: page by page, for this once
      pages = kFirstChunkPages;
      first = claim_span(segment_, self_, pages, shm::PageKind::kJournal);
      took_too_much_ = true;
    }
    if (first == 0) return false;
    took_too_much_ |= first_word_ + capacity_ >= kJournalBytesKept / 8;
    next = uint64_t{first} * kPageBytes;
    shm::ChunkHeader& header = chunk_at(segment_, next);
    header = {0, chunk_, (pages * kPageBytes - sizeof(shm::ChunkHeader)) / 8, first_word_ + capacity_};
    std::atomic_signal_fence(std::memory_order_seq_cst);
    (chunk_ == 0 ? self_.first_chunk : chunk_at(segment_, chunk_).next) = next;
  }
  if (used_ < capacity_) {  // what is left of this chunk is skipped; its last word says so
    words_[capacity_ - 1] = trailer(Kind::kSkip, capacity_ - used_ - 1, 0);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    self_.journal_words = first_word_ + capacity_;
  }
  enter(next, 0);
  return words_needed <= capacity_;
}

Journal::FreeRecord Journal::read_free(uint64_t place, uint64_t& chunk) const noexcept {
  const shm::ChunkHeader* header = &chunk_at(segment_, chunk);
  while (place < header->first_word) {
    chunk = header->previous;
    header = &chunk_at(segment_, chunk);
  }
  const uint64_t* words = chunk_words(segment_, chunk) + (place - header->first_word);
  if (place + 2 > header->first_word + header->words) {  // it did not fit there and opened the next chunk
    words = chunk_words(segment_, header->next);
  }
  return {words[1] & 0xffff'ffff'ffff, words[0]};
}

void Journal::undo(Segment& segment, shm::Context& context, uint64_t down_to) noexcept {
  uint64_t place = context.journal_words;
  if (place <= down_to) return;
  uint64_t chunk = chunk_of(segment, context, place - 1);
  while (place > down_to) {
    const shm::ChunkHeader& header = chunk_at(segment, chunk);
    if (place <= header.first_word) {
      chunk = header.previous;
      continue;
    }
    const uint64_t* words = chunk_words(segment, chunk);
    const uint64_t last = words[place - 1 - header.first_word];
    const uint64_t count = last >> 48 & 0x3fff;
    place -= count + 1;
    if (last >> 62 != static_cast<uint64_t>(Kind::kUndo)) continue;
    auto* target = reinterpret_cast<uint64_t*>(segment.control_base() + (last & 0xffff'ffff'ffff));
    const uint64_t* old = words + (place - header.first_word);
    for (uint64_t i = 0; i < count; ++i) __atomic_store_n(target + i, old[i], __ATOMIC_RELAXED);
  }
}

void Journal::undo_to(uint64_t words, uint64_t last_free) noexcept {
  undo(segment_, self_, words);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  self_.journal_words = words;
  if (words == 0) {
    rewind();
  } else {
    const uint64_t chunk = chunk_of(segment_, self_, words - 1);
    enter(chunk, words - chunk_at(segment_, chunk).first_word);
  }
  last_free_ = last_free;
}

namespace {

// Nothing leads to them any more: recovery finds them by their pages' owner.
void release_chain(Segment& segment, uint64_t chunk) noexcept {
  while (chunk != 0) {
    const uint64_t next = chunk_at(segment, chunk).next;
    release_span(segment, static_cast<uint32_t>(chunk / kPageBytes));
    chunk = next;
  }
}

}  // namespace

void Journal::give_back() noexcept {
  took_too_much_ = false;
  constexpr uint64_t kLargeWords = (kChunkPages * kPageBytes - sizeof(shm::ChunkHeader)) / 8;
  for (shm::ChunkHeader* at = &chunk_at(segment_, self_.first_chunk); at->next != 0;
       at = &chunk_at(segment_, at->next)) {
    const shm::ChunkHeader& next = chunk_at(segment_, at->next);
    if (next.words == kLargeWords && next.first_word < kJournalBytesKept / 8) continue;
    const uint64_t rest = at->next;
    at->next = 0;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    return release_chain(segment_, rest);
  }
}

void Journal::release_chunks(Segment& segment, shm::Context& context) noexcept {
  const uint64_t first = context.first_chunk;
  context.first_chunk = 0;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  release_chain(segment, first);
}

}  // namespace shoal
