// SPDX-License-Identifier: MIT
// single_step.h: runs a function one instruction at a time (the processor's trap flag) and remembers the memory after
// each instruction that changed it: the images that a SIGKILL could have left behind. x86-64 only; others see nothing
// stepped.
#pragma once

#include <signal.h>

#include <cstdint>
#include <cstring>
#include <vector>

namespace shoal::test {

class SingleStep {
 public:
  using Image = std::vector<std::byte>;

  // `images` beyond images_max are counted but not kept.
  SingleStep(std::byte* memory, size_t bytes, size_t images_max = 4096)
      : memory_(memory), last_(memory, memory + bytes), images_max_(images_max) {
    images_.reserve(images_max);
    spare_.assign(images_max, Image(bytes));
  }

  // The images that `run` passed through, in order; the last is where it ended.
  template <typename F>
  const std::vector<Image>& run(F&& f) {
    active_ = this;
    struct sigaction action {
    }, before{};
    action.sa_sigaction = [](int, siginfo_t*, void*) { active_->look(); };
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigaction(SIGTRAP, &action, &before);
    set_trap_flag(true);
    f();
    set_trap_flag(false);
    sigaction(SIGTRAP, &before, nullptr);
    return images_;
  }
  uint64_t instructions() const { return instructions_; }
  static constexpr bool supported() {
#if defined(__x86_64__)
    return true;
#else
    return false;
#endif
  }

 private:
  void look() {  // in the signal handler: no allocation
    ++instructions_;
    if (std::memcmp(memory_, last_.data(), last_.size()) == 0 || images_.size() == images_max_) return;
    std::memcpy(last_.data(), memory_, last_.size());
    Image& image = spare_[images_.size()];
    std::memcpy(image.data(), memory_, last_.size());
    images_.push_back(std::move(image));
  }
  static void set_trap_flag([[maybe_unused]] bool on) {
#if defined(__x86_64__)
    const uint64_t flags = __builtin_ia32_readeflags_u64();
    __builtin_ia32_writeeflags_u64(on ? flags | 0x100 : flags & ~uint64_t{0x100});
#endif
  }

  static inline SingleStep* active_ = nullptr;
  std::byte* memory_;
  Image last_;
  size_t images_max_;
  std::vector<Image> images_, spare_;
  uint64_t instructions_ = 0;
};

}  // namespace shoal::test
