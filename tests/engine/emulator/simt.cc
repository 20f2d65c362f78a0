#include "simt.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <memory>
#include <vector>

#include "simt-queue.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#define SANITIZED 1
/* For functions whose frames are left for good when a fiber ends: whatever the sanitizer had marked
 * around their variables would stay marked where the stack's next fiber begins. */
#define UNMARKED __attribute__ ((no_sanitize_address))
#else
#define SANITIZED 0
#define UNMARKED
#endif

#define STACK_BYTES ((size_t)256 << 10)

namespace simt
{
dim3 thread_index, block_index, block_size, grid_size;
}

namespace
{
enum class Wait { None, Warp, Block, Ended };

struct Fiber {
  void *stack = nullptr; /* lowest address */
  void *sp = nullptr;    /* while it does not run */
  void *fake = nullptr;  /* the sanitizer's */
  Wait wait = Wait::None;
  unsigned exchanges = 0; /* begun */
};

struct Warp {
  simt::Exchange slots[2];
  unsigned arrived = 0;
  unsigned exchanges = 0; /* that all lanes have reached */
};

/* One block at a time. */
struct Block {
  std::vector<Fiber> fibers;
  std::vector<Warp> warps;
  std::unique_ptr<char[]> shared;
  unsigned threads = 0;
  unsigned current = 0;
  const std::function<void ()> *kernel = nullptr;
  void *scheduler_sp = nullptr;
  void *scheduler_fake = nullptr;
  const void *scheduler_bottom = nullptr;
  size_t scheduler_bytes = 0;
  bool backwards = false; /* the warp's lanes run in that order */
  unsigned waits = 0, starts = 0;
  uint32_t random = 1;
} block;

uint32_t
next_random ()
{
  block.random ^= block.random << 13;
  block.random ^= block.random >> 17;
  block.random ^= block.random << 5;
  return block.random;
}

}

/* Keeps what the ABI says a call keeps, and changes the stack. */
extern "C" void simt_switch (void **save, void *load);
extern "C" void simt_begin (void);
asm (R"(
.text
.globl simt_switch
.type simt_switch, @function
simt_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size simt_switch, .-simt_switch
)");

static bool
can_run (unsigned index)
{
  const Fiber &fiber = block.fibers[index];
  return fiber.wait == Wait::None ||
         (fiber.wait == Wait::Warp && fiber.exchanges <= block.warps[index / 32].exchanges);
}

#define SCHEDULER UINT32_MAX

/* Goes on with fiber INDEX, or with the scheduler; FROM keeps the caller's place. */
UNMARKED static void
change (void **from_sp, void **from_fake, unsigned index)
{
  Fiber *to = index != SCHEDULER ? &block.fibers[index] : nullptr;
#if SANITIZED
  __sanitizer_start_switch_fiber (from_fake, to ? to->stack : block.scheduler_bottom,
                                  to ? STACK_BYTES : block.scheduler_bytes);
#endif
  if (to != nullptr) {
    block.current = index;
    to->wait = Wait::None;
    simt::thread_index = dim3 (index, 0, 0);
  }
  simt_switch (from_sp, to ? to->sp : block.scheduler_sp);
#if SANITIZED
  __sanitizer_finish_switch_fiber (from_fake ? *from_fake : nullptr, nullptr, nullptr);
#endif
}

/* The running fiber waits; another of its warp runs if one can. */
UNMARKED static void
leave (Wait wait)
{
  unsigned index = block.current, next = SCHEDULER;
  Fiber &fiber = block.fibers[index];
  fiber.wait = wait;
  for (unsigned i = 1; i < 32 && next == SCHEDULER; i++) {
    unsigned lane = (block.backwards ? index - i : index + i) % 32;
    if (can_run (index / 32 * 32 + lane))
      next = index / 32 * 32 + lane;
  }
  change (&fiber.sp, wait == Wait::Ended ? nullptr : &fiber.fake, next);
}

extern "C" UNMARKED void
simt_begin (void)
{
#if SANITIZED
  const void *bottom;
  size_t bytes;
  __sanitizer_finish_switch_fiber (nullptr, &bottom, &bytes);
  if (block.scheduler_bottom == nullptr) /* the first fiber comes from the scheduler */
    block.scheduler_bottom = bottom, block.scheduler_bytes = bytes;
#endif
  (*block.kernel) ();
  leave (Wait::Ended);
  abort ();
}

namespace
{
void
prepare (Fiber &fiber)
{
  if (fiber.stack == nullptr) {
    fiber.stack = mmap (nullptr, STACK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (fiber.stack == MAP_FAILED)
      abort ();
  }
  /* Six registers, then where to go, such that the stack is as after a call. */
  void **top = (void **)((char *)fiber.stack + STACK_BYTES) - 8;
  memset (top, 0, 8 * sizeof *top);
  top[6] = (void *)simt_begin;
  fiber.sp = top;
  fiber.fake = nullptr;
  fiber.wait = Wait::None;
  fiber.exchanges = 0;
}

/* Lets a warp run until all its lanes wait for the block or have ended. */
void
run_warp (unsigned warp)
{
  block.backwards = next_random () & 1;
  for (unsigned i = 0; i < 32; i++) {
    unsigned index = warp * 32 + (block.backwards ? 31 - i : i);
    if (can_run (index))
      change (&block.scheduler_sp, &block.scheduler_fake, index);
  }
  for (unsigned i = 0; i < 32; i++)
    if (block.fibers[warp * 32 + i].wait == Wait::Warp) {
      fprintf (stderr, "simt: lanes of a warp do not meet\n");
      abort ();
    }
}

/* Lets every warp run up to the block's next barrier. Returns whether the block has ended. */
bool
run_phase ()
{
  unsigned n = block.threads / 32, start = next_random () % n, waiting = 0;
  bool backwards = next_random () & 1;
  for (unsigned i = 0; i < n; i++)
    run_warp ((start + (backwards ? n - i : i)) % n);
  for (unsigned i = 0; i < block.threads; i++)
    waiting += block.fibers[i].wait == Wait::Block;
  if (waiting != 0 && waiting != block.threads) {
    fprintf (stderr, "simt: %u of %u threads reach a barrier\n", waiting, block.threads);
    abort ();
  }
  for (unsigned i = 0; i < block.threads && waiting != 0; i++)
    block.fibers[i].wait = Wait::None;
  return waiting == 0;
}

void
run_block (size_t shared)
{
  block.shared.reset (new char[shared]);
  memset (block.shared.get (), 0xff, shared);
  block.waits = block.starts = 0;
  for (unsigned i = 0; i < block.threads; i++)
    prepare (block.fibers[i]);
  for (Warp &warp : block.warps)
    warp.arrived = warp.exchanges = 0;
  while (!run_phase ()) {
  }
  if (block.waits != block.threads || block.starts != block.threads) {
    fprintf (stderr, "simt: a kernel does not wait for the one before it\n");
    abort ();
  }
}

void
run_grid (dim3 grid, int threads, size_t shared, const std::function<void ()> &kernel)
{
  block.threads = threads;
  if (block.fibers.size () < (size_t)threads)
    block.fibers.resize (threads);
  block.warps.resize (threads / 32);
  block.kernel = &kernel;
  simt::block_size = dim3 (threads);
  simt::grid_size = grid;
  unsigned n = grid.x * grid.y * grid.z, start = next_random () % n;
  bool backwards = next_random () & 1;
  for (unsigned i = 0; i < n; i++) {
    unsigned at = (start + (backwards ? n - i : i)) % n;
    simt::block_index = dim3 (at % grid.x, at / grid.x % grid.y, at / grid.x / grid.y);
    run_block (shared);
  }
}
}

namespace simt
{
void *
shared_memory ()
{
  return block.shared.get ();
}

void
block_barrier ()
{
  leave (Wait::Block);
}

const Exchange &
exchange (const uint64_t *words, unsigned n)
{
  unsigned index = block.current;
  Fiber &fiber = block.fibers[index];
  Warp &warp = block.warps[index / 32];
  Exchange &slot = warp.slots[fiber.exchanges++ % 2];
  for (unsigned i = 0; i < n; i++)
    slot[i][index % 32] = words[i];
  if (++warp.arrived < 32) {
    leave (Wait::Warp);
  } else {
    warp.arrived = 0;
    warp.exchanges++;
  }
  return slot;
}

void
note_wait ()
{
  block.waits++;
}

void
note_start ()
{
  block.starts++;
}

void
run (CudaQueue *queue, dim3 grid, int threads, size_t shared, std::function<void ()> kernel)
{
  if (queue->status != 0)
    return;
  if (threads % 32 != 0 || threads > 1024 || grid.x > 0x7fffffff || grid.y > 65535) {
    fprintf (stderr, "simt: a block of %d threads\n", threads);
    abort ();
  }
  if (grid.x == 0 || grid.y == 0)
    return;
  auto work = [=] { run_grid (grid, threads, shared, kernel); };
  simt_queue_add (queue, work);
}
}
