/* SPDX-License-Identifier: MIT
 * All that translated code sees of the runtime. It compiles with the sanitizers of the build; the runtime itself
 * does not. */
#ifndef EMU_EMU_H
#define EMU_EMU_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "async.h"
#include "convert.h"
#include "float.h"
#include "int.h"
#include "memory.h"
#include "number.h"
#include "thread.h"
#include "warp.h"
#include "wgmma.h"

#endif
