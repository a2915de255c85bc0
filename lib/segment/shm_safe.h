// SPDX-License-Identifier: MIT
// shm_safe.h: which types may lie in the segment. No vtable, no pointer, the same size and layout for every compiler:
// each record is certified with its size by SHOAL_SHM_RECORD right under its drawing, and the sum of all goes into the
// ABI hash.
#pragma once

#include <atomic>
#include <type_traits>

namespace shoal {

template <typename T>
concept ShmSafe = std::is_standard_layout_v<T> && std::is_trivially_destructible_v<T> && !std::is_pointer_v<T> &&
                  !std::is_polymorphic_v<T>;

namespace shm {

// A field that optimistic readers may load while a writer stores it: relaxed on both sides, so neither tears and the
// compiler never loads it twice. Writers reach a mutable Cell only through Transaction::edit().
template <typename T>
class Cell {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);

 public:
  Cell() noexcept = default;
  explicit Cell(T value) noexcept : word_(value) {}
  Cell(const Cell&) = delete;
  Cell& operator=(const Cell&) = delete;

  T load() const noexcept { return __atomic_load_n(&word_, __ATOMIC_RELAXED); }
  operator T() const noexcept { return load(); }  // NOLINT: a Cell reads like its value
  T operator=(T value) noexcept {                 // NOLINT
    __atomic_store_n(&word_, value, __ATOMIC_RELAXED);
    return value;
  }
  T operator+=(T value) noexcept { return *this = static_cast<T>(load() + value); }
  T operator-=(T value) noexcept { return *this = static_cast<T>(load() - value); }

 private:
  T word_;
};

}  // namespace shm
}  // namespace shoal

#define SHOAL_SHM_RECORD(Type, bytes)                             \
  static_assert(::shoal::ShmSafe<Type>, #Type " in the segment"); \
  static_assert(sizeof(Type) == (bytes), #Type ": size")
