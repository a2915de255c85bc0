// SPDX-License-Identifier: MIT
// single_step.h: runs a function one instruction at a time, by the processor's trap flag. x86-64 only; on others it
// runs to its end without a stop.
#pragma once

#include <signal.h>
#include <ucontext.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <vector>

namespace shoal::test {

// Calls `behind` behind each instruction of `body`, in a signal handler, itself unstepped.
class Steps {
 public:
  static void run(const std::function<void()>& body, const std::function<void()>& behind) {
    behind_ = &behind;
    struct sigaction action {
    }, before{};
    action.sa_sigaction = &step;
    action.sa_flags = SA_NODEFER | SA_SIGINFO;
    enough_ = false;
    sigaction(SIGTRAP, &action, &before);
    set_trap_flag(true);
    body();
    set_trap_flag(false);
    sigaction(SIGTRAP, &before, nullptr);
  }
  // Calls `then` once, behind instruction `which` of `body`, counted from 0; what follows it runs unstepped. False if
  // there are fewer.
  static bool interrupt(uint64_t which, const std::function<void()>& body, const std::function<void()>& then) {
    uint64_t taken = 0;
    run(body, [&] {
      enough_ = taken++ == which;
      if (enough_) then();
    });
    return taken > which;
  }
  // In `behind`: the address of the instruction that comes next.
  static uintptr_t next() { return next_; }
  static constexpr bool supported() {
#if defined(__x86_64__)
    return true;
#else
    return false;
#endif
  }

 private:
  static void step(int, siginfo_t*, [[maybe_unused]] void* interrupted) {
#if defined(__x86_64__)
    next_ = static_cast<uintptr_t>(static_cast<ucontext_t*>(interrupted)->uc_mcontext.gregs[REG_RIP]);
#endif
    (*behind_)();
#if defined(__x86_64__)
    if (enough_) static_cast<ucontext_t*>(interrupted)->uc_mcontext.gregs[REG_EFL] &= ~kTrapFlag;
#endif
  }
  static void set_trap_flag([[maybe_unused]] bool on) {
#if defined(__x86_64__)
    const uint64_t flags = __builtin_ia32_readeflags_u64();
    __builtin_ia32_writeeflags_u64(on ? flags | kTrapFlag : flags & ~uint64_t{kTrapFlag});
#endif
  }

  static constexpr int64_t kTrapFlag = 0x100;
  static inline const std::function<void()>* behind_ = nullptr;
  static inline bool enough_ = false;
  static inline uintptr_t next_ = 0;
};

// Remembers the memory behind each instruction that changed it: the images that a SIGKILL could have left behind.
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
    Steps::run(f, [this] { look(); });
    return images_;
  }
  uint64_t instructions() const { return instructions_; }

 private:
  void look() {  // in the signal handler: no allocation
    ++instructions_;
    if (std::memcmp(memory_, last_.data(), last_.size()) == 0 || images_.size() == images_max_) return;
    std::memcpy(last_.data(), memory_, last_.size());
    Image& image = spare_[images_.size()];
    std::memcpy(image.data(), memory_, last_.size());
    images_.push_back(std::move(image));
  }

  std::byte* memory_;
  Image last_;
  size_t images_max_;
  std::vector<Image> images_, spare_;
  uint64_t instructions_ = 0;
};

}  // namespace shoal::test
