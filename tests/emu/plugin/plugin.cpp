// SPDX-License-Identifier: MIT
// Of the backend `emu` only: an error of a kernel is returned as CUDA would, unless EMU_FATAL asks for something else. A
// plugin does not end the program that it is part of.
#include "tests/emu/rt/config.h"

static const bool set = (emu::default_fatal = emu::FATAL_ERROR, true);
