/* simt-queue.h - what the emulated device does with a kernel: it runs at once, or joins a graph. */
#pragma once

#include <functional>

#include "cuda-kernels.h"

void simt_queue_add (CudaQueue *queue, std::function<void ()> work);
