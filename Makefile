# SPDX-License-Identifier: MIT
# One make, no recursion into folders. The first line printed is the resolved configuration; `make help` lists targets.
#
#   make                  build/release/{dydit,libdydit.a,libdydit.so}
#   make CONFIG=debug     the same in build/debug; also asan (address and undefined), tsan (threads), softisa (statements
#                         in place of the bf16 instructions, so that their kernels run on any AVX-512 CPU)
#   make CUDA=0           without the CUDA backend, which is otherwise built where nvcc is (CUDA=1: an error without)
#   make ARCHS=all        its kernels for every architecture instead of the devices of this machine
#   make NVTX=0           without the ranges that profilers show, which are built in where NVTX's headers are
#   make CC=clang V=1 WERROR=0 PREFIX=/usr DESTDIR=root

empty :=
comma := ,
space := $(empty) $(empty)

CONFIG ?= release
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
WERROR ?= 1
V ?= 0
PKG_CONFIG ?= pkg-config
CLANG_FORMAT ?= clang-format

.DEFAULT_GOAL := all
.SUFFIXES:
.DELETE_ON_ERROR:

# As many jobs as CPUs unless the user chose. (make before 4.4 lets -j of the command line win over this line anyway.)
ifeq ($(MAKELEVEL)$(filter -j% --jobs%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 2)
endif
MAKEFLAGS += --no-print-directory

ifeq ($(filter $(CONFIG),release debug asan tsan softisa),)
$(error CONFIG=$(CONFIG) is none of release, debug, asan, tsan, softisa)
endif

# ---- what there is -------------------------------------------------------------------------------------------------
# Nothing here may fail: on a bare machine make is read before scripts/deps.sh has installed a compiler.

CC_NAME := $(shell v="$$($(CC) --version 2>/dev/null | head -n 1)"; case "$$v" in \
	(*clang*) echo "clang $$($(CC) -dumpversion)";; ('') echo missing;; (*) echo "gcc $$($(CC) -dumpfullversion)";; esac)
ARCH := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine 2>/dev/null || uname -m)))
pkg_version = $(or $(shell $(PKG_CONFIG) --modversion $(1) 2>/dev/null),missing)
JANSSON := $(call pkg_version,jansson)
LIBPNG := $(call pkg_version,libpng)
ZLIB := $(call pkg_version,zlib)
PKG_CONFIG_FOUND := $(shell command -v $(PKG_CONFIG) 2>/dev/null)
MISSING := $(strip $(if $(filter missing,$(CC_NAME)),a C compiler;) $(if $(PKG_CONFIG_FOUND),$(if \
	$(filter missing,$(JANSSON)),jansson;) $(if $(filter missing,$(LIBPNG)),libpng;) $(if $(filter missing,$(ZLIB)),zlib;),pkg-config;))
MISSING := $(subst ; ,$(comma) ,$(MISSING))

# Instruction sets beyond the portable code: kernels/cpu/*_<isa>.c, chosen at run time, never by -march=native.
# The last two are left out where the compiler lacks their flags.
FLAGS_avx2 := -mavx2 -mfma
FLAGS_avx512 := -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512cd -mfma -mprefer-vector-width=512
BF16_FLAGS := -mavx512bf16
AMX_FLAGS := -mamx-tile -mamx-bf16
FLAGS_avx512bf16 := $(FLAGS_avx512) $(if $(filter-out softisa,$(CONFIG)),$(BF16_FLAGS))
FLAGS_amx := $(FLAGS_avx512) $(if $(filter-out softisa,$(CONFIG)),$(BF16_FLAGS) $(AMX_FLAGS))
compiler_takes = $(shell $(CC) $(1) -x c -fsyntax-only /dev/null >/dev/null 2>&1 && echo yes)
ISA_ALL := avx2 avx512 avx512bf16 amx
ifeq ($(ARCH),x86_64)
ISA := avx2 avx512 $(if $(call compiler_takes,$(FLAGS_avx512bf16)),avx512bf16 $(if $(call compiler_takes,$(FLAGS_amx)),amx))
endif

# CUDA's compiler: NVCC, or the first one that scripts/nvcc.sh knows. CUDA=0 leaves CUDA out; with 1 it has to be there.
# ARCHS: what kernels are built for, see scripts/cuda_archs.sh.
CUDA ?= auto
ifeq ($(filter $(CUDA),auto 0 1),)
$(error CUDA=$(CUDA) is none of auto, 0, 1)
endif
NVCC_FOUND := $(shell CUDA='$(CUDA)' NVCC='$(NVCC)' scripts/nvcc.sh 2>/dev/null)
override NVCC := $(or $(NVCC_FOUND),$(NVCC))
ifneq ($(NVCC_FOUND),)
CUDA_ROOT := $(abspath $(dir $(realpath $(NVCC_FOUND)))..)
CUDA_INC := $(CUDA_ROOT)/include
CUDART := $(firstword $(wildcard $(addsuffix /libcudart_static.a,$(addprefix $(CUDA_ROOT)/,lib64 lib targets/*/lib))))
CUDA_VERSION := $(shell $(NVCC_FOUND) --version | sed -n 's/^.* release \([0-9.]*\).*/\1/p')
CUDA_ARCHS := $(shell scripts/cuda_archs.sh $(ARCHS))
NVTX ?= $(if $(wildcard $(CUDA_INC)/nvtx3/nvToolsExtCudaRt.h),1,0)
endif

CONFIG_LINE := dydit: config=$(CONFIG) cc="$(CC_NAME)" arch=$(ARCH) isa=$(subst $(space),$(comma),$(strip portable $(ISA))) \
	jansson=$(JANSSON) libpng=$(LIBPNG) $(if $(NVCC_FOUND),cuda=$(CUDA_VERSION) archs=$(subst \
	$(space),$(comma),$(or $(CUDA_ARCHS),none)) nvtx=$(NVTX),cuda=none) prefix=$(PREFIX)
ifneq ($(or $(filter print-config,$(MAKECMDGOALS)),$(filter-out $(DD_CONFIG_SHOWN),$(CONFIG_LINE))),)
$(info $(CONFIG_LINE))
endif
export DD_CONFIG_SHOWN := $(CONFIG_LINE)
export CC CONFIG CLANG_FORMAT

# ---- flags ---------------------------------------------------------------------------------------------------------

B := build/$(CONFIG)
O := $(B)/obj

OPT_release := -O2 -g
OPT_debug := -O0 -g -DDD_DEBUG
OPT_asan := -O1 -g -fno-omit-frame-pointer
OPT_tsan := -O1 -g -fno-omit-frame-pointer
OPT_softisa := -O2 -g -DDD_SOFT_ISA
SAN_asan := -fsanitize=address,undefined -fno-sanitize-recover=all
SAN_tsan := -fsanitize=thread
KERNEL_OPT_release := -O3
KERNEL_OPT_softisa := -O3
SAN := $(SAN_$(CONFIG))

WARN := -pedantic -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla \
	$(if $(filter 1,$(WERROR)),-Werror)
# No fused multiply-adds behind our back, with any compiler: where they belong, the code says fmaf or an intrinsic.
BASE := -std=c11 $(WARN) -ffp-contract=off -fvisibility=hidden -pthread
# -isystem: the headers of others are not held to our warnings.
PKG_CFLAGS := $(patsubst -I%,-isystem%,$(shell $(PKG_CONFIG) --cflags jansson libpng zlib 2>/dev/null))
PKG_LIBS := $(shell $(PKG_CONFIG) --libs jansson libpng zlib 2>/dev/null)
LDLIBS += $(PKG_LIBS) -lm -pthread -ldl
COMPILE = $(CC) $(BASE) $(OPT_$(CONFIG)) $(SAN) $(INC) $(EXTRA) $(CPPFLAGS) $(CFLAGS) -MMD -MP
LINK = $(CC) $(SAN) $(LDFLAGS)

# ---- sources -------------------------------------------------------------------------------------------------------

LIB_DIRS := kernels/ref kernels/cpu host/base host/io host/model host/plan host/sample host/exec host
LIB_SRC := $(filter-out host/exec/plugin_cuda%.c $(foreach i,$(filter-out $(ISA),$(ISA_ALL)),kernels/cpu/%_$(i).c), \
	$(sort $(wildcard $(addsuffix /*.c,$(LIB_DIRS)))))
CLI_SRC := $(sort $(wildcard host/cli/*.c))
UNIT_SRC := $(sort $(wildcard tests/unit/test_*.c))
FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))
SUPPORT_SRC := $(sort $(wildcard tests/support/*.c))
PLUGIN_SRC := $(sort $(wildcard host/exec/plugin_cuda*.c))
CUDA_SRC := $(sort $(wildcard kernels/cuda/*.cu))
TOOL_SRC := $(sort $(wildcard tests/tools/*.c))
CHECKKERNEL_SRC := $(sort $(wildcard tests/checkkernel/*.c))
EXAMPLE_SRC := $(sort $(wildcard examples/*.c) $(wildcard bench/*.c))

objects = $(patsubst %.c,$(O)/%.o,$(1))
LIB_OBJ := $(call objects,$(LIB_SRC))
CLI_OBJ := $(call objects,$(CLI_SRC))
SUPPORT_OBJ := $(call objects,$(SUPPORT_SRC))
CHECKKERNEL_OBJ := $(call objects,$(CHECKKERNEL_SRC))
TEST_OBJ := $(call objects,$(UNIT_SRC) $(FUZZ_SRC) $(TOOL_SRC) tests/plugin/fake.c) $(SUPPORT_OBJ) $(CHECKKERNEL_OBJ)
EXAMPLE_OBJ := $(call objects,$(EXAMPLE_SRC))
UNIT := $(patsubst %.c,$(B)/%,$(UNIT_SRC))
UNIT_FAST := $(filter-out $(B)/tests/unit/test_slow_%,$(UNIT))
FUZZERS := $(patsubst %.c,$(B)/%,$(FUZZ_SRC))
TOOLS := $(patsubst %.c,$(B)/%,$(TOOL_SRC))
EXAMPLES := $(patsubst %.c,$(B)/%,$(EXAMPLE_SRC))
CHECKKERNEL := $(B)/tests/checkkernel
FAKE_PLUGIN := $(B)/tests/plugin/libdydit-cuda.so

LIB_A := $(B)/libdydit.a
LIB_SO := $(B)/libdydit.so
# As the shared library, no part of sanitizer builds; those have the emulator's.
CUDA_SO := $(if $(SAN),,$(if $(filter 1,$(CUDA)),$(B)/libdydit-cuda.so,$(if $(CUDART),$(B)/libdydit-cuda.so)))
EMU_SO := $(B)/libdydit-emu.so
SUPPORT_A := $(B)/tests/libsupport.a
CLI_A := $(B)/tests/libcli.a
SONAME := libdydit.so.0
version_part = $(shell sed -n 's/^.define DYDIT_VERSION_$(1) \([0-9]*\).*/\1/p' include/dydit.h 2>/dev/null)
VERSION = $(call version_part,MAJOR).$(call version_part,MINOR).$(call version_part,PATCH)

# ---- build ---------------------------------------------------------------------------------------------------------

.PHONY: all lib cli unit unit-fast fuzzers checkkernel examples asan tsan debug softisa check test test-run demo \
	demo-run methods fuzz layers emu emu-tests \
	format format-check install uninstall clean help print-config print-nvcc FORCE

all: lib cli $(CUDA_SO)
# The shared library takes no part in sanitizer builds: they test the archive.
lib: $(LIB_A) $(if $(SAN),,$(LIB_SO) $(B)/$(SONAME))
cli: $(B)/dydit
# Shell tests make their broken files with small tools.
unit: $(UNIT) $(TOOLS) $(CHECKKERNEL) $(FAKE_PLUGIN)
unit-fast: $(UNIT_FAST) $(TOOLS) $(CHECKKERNEL) $(FAKE_PLUGIN)
fuzzers: $(FUZZERS)
checkkernel: $(CHECKKERNEL)
	$(CHECKKERNEL) --quick
examples: $(EXAMPLES)
asan tsan debug softisa:
	+@$(MAKE) CONFIG=$@ all

# Library code sees the project from its root. The command line sees the public header, its own folder and what is made
# for it here.
INC = -I. -Iinclude $(PKG_CFLAGS)
$(CLI_OBJ): INC = -Iinclude -Ihost -I$(B)/gen $(PKG_CFLAGS)
$(EXAMPLE_OBJ): INC = -Iinclude
$(TEST_OBJ): INC = -I. -Iinclude -Itests $(PKG_CFLAGS)
# Of several patterns the most specific one counts.
$(O)/host/%.o: EXTRA = -fPIC
$(O)/host/cli/%.o: EXTRA =
$(O)/host/exec/plugin.o: EXTRA = -fPIC -DDD_LIBDIR='"$(LIBDIR)"'
$(O)/tests/plugin/%.o: EXTRA = -fPIC
# The expectations of checkkernel are loops over whole matrices.
$(O)/tests/checkkernel/%.o: EXTRA = $(KERNEL_OPT_$(CONFIG))
$(O)/tests/checkkernel/bench_report.o: EXTRA = -DCK_FLAGS='"$(OPT_$(CONFIG)) $(KERNEL_OPT_$(CONFIG)) $(CFLAGS)"'
$(O)/kernels/%.o: EXTRA = -fPIC $(KERNEL_OPT_$(CONFIG))
$(foreach i,$(ISA_ALL),$(eval $(O)/kernels/cpu/%_$(i).o: EXTRA = -fPIC $(KERNEL_OPT_$(CONFIG)) $(FLAGS_$(i))))
$(O)/kernels/cpu/cpu.o $(O)/kernels/cpu/peak.o: EXTRA = -fPIC $(KERNEL_OPT_$(CONFIG)) $(addprefix -DDD_WITH_,$(ISA))
$(call objects,$(FUZZ_SRC)): EXTRA = -DDD_FUZZ_MAIN

ifeq ($(V),1)
say = @:
Q :=
else
say = @printf '  %-5s %s\n' $(1) $(2)
Q := @
endif

$(O)/%.o: %.c $(B)/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -c -o $@ $<

$(LIB_A): $(LIB_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $(LIB_OBJ)

# An archive, so that a program links only the helpers it uses.
$(SUPPORT_A): $(SUPPORT_OBJ)
	@mkdir -p $(@D)
	$(Q)rm -f $@ && $(AR) rcs $@ $(SUPPORT_OBJ)

# For unit tests of the command line's parts.
$(CLI_A): $(filter-out %/main.o,$(CLI_OBJ))
	@mkdir -p $(@D)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(LIB_SO): $(LIB_OBJ)
	$(call say,LINK,$@)
	$(Q)$(LINK) -shared -Wl,-soname,$(SONAME) -Wl,--no-undefined -o $@ $(LIB_OBJ) $(LDLIBS)

$(B)/$(SONAME): $(LIB_SO)
	@ln -sf libdydit.so $@

$(B)/dydit: $(CLI_OBJ) $(LIB_A)
	$(call say,LINK,$@)
	$(Q)$(LINK) -o $@ $(CLI_OBJ) $(LIB_A) $(LDLIBS)

$(UNIT): $(B)/tests/unit/%: $(O)/tests/unit/%.o $(SUPPORT_A) $(CLI_A) $(LIB_A)
	$(call say,LINK,$@)
	@$(PKG_CONFIG) --exists cmocka || { echo "dydit: cmocka is missing, which the tests need; scripts/deps.sh gets it" >&2; exit 1; }
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $< $(SUPPORT_A) $(CLI_A) $(LIB_A) $$($(PKG_CONFIG) --libs cmocka) $(LDLIBS)

# Stands in for the CUDA backend: the backend cpu behind devices that are made up, or none at all.
$(FAKE_PLUGIN): $(O)/tests/plugin/fake.o $(LIB_A)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(LINK) -shared -Wl,--exclude-libs,ALL -o $@ $< $(LIB_A) $(LDLIBS)
$(B)/tests/unit/test_plugin: | $(FAKE_PLUGIN)

$(FUZZERS): $(B)/tests/fuzz/%: $(O)/tests/fuzz/%.o $(LIB_A)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $< $(LIB_A) $(LDLIBS)

$(TOOLS): $(B)/tests/tools/%: $(O)/tests/tools/%.o $(LIB_A)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $< $(LIB_A) $(LDLIBS)

# Every op of every implementation against the reference; tests/checkkernel/README.md.
$(CHECKKERNEL): $(CHECKKERNEL_OBJ) $(LIB_A)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $(CHECKKERNEL_OBJ) $(LIB_A) $(LDLIBS)

$(EXAMPLES): $(B)/%: $(O)/%.o $(LIB_A)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $< $(LIB_A) $(LDLIBS)

# Objects are older than a change of compiler or flags.
FLAGS_TEXT := $(CC) | $(CC_NAME) | $(BASE) $(OPT_$(CONFIG)) $(SAN) $(KERNEL_OPT_$(CONFIG)) $(ISA) $(CPPFLAGS) $(CFLAGS) | $(LDFLAGS)
$(B)/flags: FORCE
	@if [ -n '$(MISSING)' ]; then echo 'dydit: missing: $(MISSING:;=). scripts/deps.sh gets what is missing on Debian and Ubuntu.' >&2; exit 1; fi
	@mkdir -p $(@D)
	@echo '$(FLAGS_TEXT)' | cmp -s - $@ || echo '$(FLAGS_TEXT)' >$@

# Where an installed program looks for plugins; the one file that knows it is compiled again when it changes.
$(O)/host/exec/plugin.o: $(B)/gen/libdir
$(B)/gen/libdir: FORCE
	@mkdir -p $(@D)
	@echo '$(LIBDIR)' | cmp -s - $@ || echo '$(LIBDIR)' >$@

# The commit, for reports of benchmarks; the one file that depends on it is compiled again when it changes.
COMMIT := $(or $(shell test -e .git && git describe --always --dirty --exclude '*' --abbrev=12 2>/dev/null),unknown)
$(O)/host/cli/bench_doc.o: $(B)/gen/cli/commit.h
$(B)/gen/cli/commit.h: FORCE
	@mkdir -p $(@D)
	@echo '#define CLI_COMMIT "$(COMMIT)"' | cmp -s - $@ || echo '#define CLI_COMMIT "$(COMMIT)"' >$@

-include $(patsubst %.o,%.d,$(LIB_OBJ) $(CLI_OBJ) $(TEST_OBJ) $(EXAMPLE_OBJ))

# ---- CUDA backend: a plugin, so that nothing else links a library of CUDA --------------------------------------------

CUDA_FLAGS := -fmad=false -I.
CUDA_BUILD = $(NVCC) $(CUDA_VERSION) $(CUDA_ARCHS) $(CUDA_FLAGS) $(PLUGIN_NVTX)
# Of instructions that machine code of sm_90 alone may have: in a build without that the launcher refuses.
CUDA_CODE_gemm_wgmma := $(if $(filter 90,$(CUDA_ARCHS)),-gencode arch=compute_90a$(comma)code=sm_90a -DDD_SM90A)
# Profilers read names by NVTX, which is headers only.
PLUGIN_NVTX := $(if $(filter 1,$(NVTX)),-DDD_WITH_NVTX)
PLUGIN_LINK = -shared -Wl,--version-script=host/exec/plugin.map -Wl,--no-undefined -o $@
# Parts of the library that a plugin has a copy of.
PLUGIN_SHARED := $(addprefix $(O)/host/,base/status.o exec/backend_common.o)
plugin_objects = $(patsubst host/exec/%.c,$(O)/$(1)/%.o,$(PLUGIN_SRC))
CUDA_OBJ := $(call plugin_objects,cuda) $(patsubst kernels/cuda/%.cu,$(O)/cuda/%.cu.o,$(CUDA_SRC))

$(O)/cuda/%.o: INC = -I. -isystem $(CUDA_INC)
$(O)/cuda/%.o: EXTRA = -fPIC -DDD_PLUGIN_NAME='"cuda"' -DDD_CUDA_ARCHS='"$(CUDA_ARCHS)"' $(PLUGIN_NVTX)
$(O)/cuda/%.o: host/exec/%.c $(B)/flags $(B)/cuda-flags
	$(call say,CC,"$< (cuda)")
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -c -o $@ $<
$(O)/cuda/%.cu.o: kernels/cuda/%.cu $(B)/cuda-flags
	$(call say,NVCC,$<)
	@mkdir -p $(@D)
	$(Q)$(NVCC) -std=c++17 -O2 -lineinfo $(or $(CUDA_CODE_$*),$(shell scripts/cuda_archs.sh --flags $(CUDA_ARCHS))) $(CUDA_FLAGS) \
		-Xcompiler -fPIC,-fvisibility=hidden -MMD -MP -MF $(@:.o=.d) -c -o $@ $<
$(B)/libdydit-cuda.so: $(CUDA_OBJ) $(PLUGIN_SHARED) host/exec/plugin.map
	$(call say,LINK,$@)
	$(Q)$(CXX) $(LDFLAGS) -static-libstdc++ -static-libgcc $(PLUGIN_LINK) $(filter %.o,$^) $(CUDART) -ldl -lrt -pthread

$(B)/cuda-flags: FORCE
	@if [ -z '$(CUDART)' ]; then echo "dydit: CUDA=1: $$(CUDA='$(CUDA)' NVCC='$(NVCC)' scripts/nvcc.sh 2>&1 >/dev/null || :) \
		$(if $(NVCC_FOUND),libcudart_static.a is missing under $(CUDA_ROOT)). scripts/deps.sh --cuda gets what is missing." >&2; exit 1; fi
	@if [ -z '$(CUDA_ARCHS)' ]; then echo 'dydit: ARCHS=$(ARCHS) names nothing to build for' >&2; exit 1; fi
	@mkdir -p $(@D)
	@echo '$(CUDA_BUILD)' | cmp -s - $@ || echo '$(CUDA_BUILD)' >$@

-include $(CUDA_OBJ:.o=.d)

# Programs for a machine with a driver and a C library alone: format libraries are linked statically. scripts/gpu_bundle.sh
# makes a folder of them.
G := $(B)/gpu
GPU_TESTS := $(addprefix $(G)/test_,golden_forward golden_sampling golden_bf16 golden_policy golden_inherit golden_vae session)
GPU_TOOLS := $(addprefix $(G)/,random_model st_look)
GPU_CHECKKERNEL := $(G)/checkkernel-cuda
# Parts of the plugin that checkkernel runs ops by.
CK_PLUGIN := library.o lt_load.o dnn.o dnn_load.o
GPU_CK_OBJ := $(O)/gpu/impl.o $(O)/gpu/device.o
STATIC_LIBS := -Wl,-Bstatic $(filter-out -lm,$(shell $(PKG_CONFIG) --libs --static jansson libpng zlib 2>/dev/null)) \
	-Wl,-Bdynamic -lm -pthread -ldl

.PHONY: gpu-bundle gpu-programs
gpu-bundle:
	+@MAKE='$(MAKE)' scripts/gpu_bundle.sh
gpu-programs: $(G)/dydit $(GPU_TESTS) $(GPU_TOOLS)

$(G)/dydit: $(CLI_OBJ) $(LIB_A)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $^ $(STATIC_LIBS)
$(GPU_TOOLS): $(G)/%: $(O)/tests/tools/%.o $(LIB_A)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $^ $(STATIC_LIBS)
# cmocka, which nobody has as an archive, lies beside them.
$(GPU_TESTS): $(G)/%: $(O)/tests/unit/%.o $(SUPPORT_A) $(CLI_A) $(LIB_A)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(LINK) -Wl,-rpath,'$$ORIGIN' -o $@ $^ $$($(PKG_CONFIG) --libs cmocka) $(STATIC_LIBS)
$(GPU_CK_OBJ): INC = -I. -Iinclude -Itests -isystem $(CUDA_INC)
$(GPU_CK_OBJ): EXTRA = -DCK_DEVICE='"cuda"'
$(O)/gpu/impl.o: tests/checkkernel/impl.c $(B)/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -c -o $@ $<
$(O)/gpu/device.o: tests/checkkernel/device/device.c $(B)/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -c -o $@ $<
$(GPU_CHECKKERNEL): $(filter-out %/impl.o,$(CHECKKERNEL_OBJ)) $(GPU_CK_OBJ) $(addprefix $(O)/cuda/plugin_cuda_,$(CK_PLUGIN)) $(filter %.cu.o,$(CUDA_OBJ)) $(LIB_A)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(LDFLAGS) -static-libstdc++ -static-libgcc -o $@ $^ $(STATIC_LIBS) $(CUDART) -lrt
-include $(GPU_CK_OBJ:.o=.d)

# ---- emulator: CUDA kernels on the CPU, for tests (tests/emu/README.md) ----------------------------------------------

# CUDA's headers are needed, nothing of a driver. Without nvcc `make emu` says so and does nothing.
EC := build/emu
# The runtime is not instrumented. Only its fibers differ: they tell the sanitizer about themselves.
EMU_OBJ := $(patsubst tests/emu/rt/%.cpp,$(EC)/rt/%.o,$(filter-out %/fiber.cpp,$(sort $(wildcard tests/emu/rt/*.cpp))))
EMU_FIBER := $(B)/emu/fiber.o
EMU_A := $(B)/emu/libemu.a
EMU_TESTS := $(patsubst tests/emu/kernels/%.cu,$(B)/emu/%,$(sort $(wildcard tests/emu/kernels/*.cu)))
EMU_DEFS_asan := -DEMU_ASAN
EMU_DEFS_tsan := -DEMU_TSAN
EMU_CXX = $(CXX) -std=c++17 -O2 -g -fPIC -pthread -ffp-contract=off -Wall -Wextra -Wshadow $(if $(filter 1,$(WERROR)),-Werror) \
	-I. -isystem $(CUDA_INC) -MMD -MP -c -o $@ $<

emu: $(if $(NVCC_FOUND),$(EMU_A) $(EMU_SO))
	$(if $(NVCC_FOUND),,@echo "dydit: emu: skipped, $$(CUDA='$(CUDA)' NVCC='$(NVCC)' scripts/nvcc.sh 2>&1)")
emu-tests: $(if $(NVCC_FOUND),$(EMU_TESTS),emu)

$(EC)/rt/%.o: tests/emu/rt/%.cpp
	$(call say,CXX,$<)
	@mkdir -p $(@D)
	$(Q)$(EMU_CXX)
$(EMU_FIBER): tests/emu/rt/fiber.cpp
	$(call say,CXX,$<)
	@mkdir -p $(@D)
	$(Q)$(EMU_CXX) $(EMU_DEFS_$(CONFIG))
$(EMU_A): $(EMU_OBJ) $(EMU_FIBER)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

EMU_TOOLS := tests/emu/emucc tests/emu/ptx2c.py $(wildcard tests/emu/ptx/*.py)
$(EC)/%.ptx.cpp $(EC)/%.host.o &: tests/emu/kernels/%.cu $(wildcard tests/emu/kernels/*.h) $(EMU_TOOLS)
	$(call say,NVCC,$<)
	$(Q)NVCC='$(NVCC)' tests/emu/emucc -t $(EC) $< -I. -Itests/emu/rt
$(B)/emu/%.o: $(EC)/%.ptx.cpp $(EC)/%.host.o $(wildcard tests/emu/rt/*.h)
	$(call say,CXX,$<)
	@mkdir -p $(@D)
	$(Q)CONFIG=$(CONFIG) CXX='$(CXX)' tests/emu/emucc -b $@ $(EC)/$*
$(EMU_TESTS): $(B)/emu/%: $(B)/emu/%.o $(EMU_A)
	$(call say,LINK,$@)
	$(Q)$(CXX) $(SAN) -o $@ $< $(EMU_A) -lm -pthread

# The CUDA kernels: checkkernel with an implementation `emu`, and the backend of that name.
EMU_CUDA := $(patsubst kernels/cuda/%.cu,$(B)/emu/cuda/%.o,$(CUDA_SRC))
# Instead of cuBLASLt and cuDNN, before whatever headers of them there are.
EMU_LT := $(EC)/lt.o
EMU_LIB_INC := -Itests/emu/lt -Itests/emu/cudnn
EMU_DNN := $(patsubst tests/emu/cudnn/%.cpp,$(EC)/cudnn/%.o,$(sort $(wildcard tests/emu/cudnn/*.cpp)))
EMU_CHECKKERNEL := $(B)/emu/checkkernel
EMU_CK_OBJ := $(O)/emu/impl.o $(O)/emu/device.o
EMU_PACK := $(B)/emu/test_pack
EMU_PACK_OBJ := $(O)/emu/test_pack.o

$(EC)/cuda/%.ptx.cpp $(EC)/cuda/%.host.o &: kernels/cuda/%.cu $(wildcard kernels/cuda/*.cuh kernels/cuda/*.h kernels/*.h) \
		kernels/ops.def $(EMU_TOOLS)
	$(call say,NVCC,$<)
	$(Q)NVCC='$(NVCC)' tests/emu/emucc -t $(EC)/cuda $< $(EMU_LIB_INC) $(CUDA_FLAGS) -DDD_SM90A
$(EC)/cuda/gemm_lt.ptx.cpp: tests/emu/lt/cublasLt.h
$(EMU_LT): tests/emu/lt/lt.cpp
	$(call say,CXX,$<)
	@mkdir -p $(@D)
	$(Q)$(EMU_CXX) $(EMU_LIB_INC)
$(EMU_DNN): $(EC)/cudnn/%.o: tests/emu/cudnn/%.cpp
	$(call say,CXX,$<)
	@mkdir -p $(@D)
	$(Q)$(EMU_CXX) $(EMU_LIB_INC)
$(B)/emu/cuda/%.o: $(EC)/cuda/%.ptx.cpp $(EC)/cuda/%.host.o $(wildcard tests/emu/rt/*.h)
	$(call say,CXX,$<)
	@mkdir -p $(@D)
	$(Q)CONFIG=$(CONFIG) CXX='$(CXX)' tests/emu/emucc -b $@ $(EC)/cuda/$*
$(EMU_CK_OBJ) $(EMU_PACK_OBJ): INC = -I. -Iinclude -Itests $(EMU_LIB_INC) -isystem $(CUDA_INC)
$(EMU_CK_OBJ): EXTRA = -DCK_DEVICE='"emu"'
$(O)/emu/impl.o: tests/checkkernel/impl.c $(B)/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -c -o $@ $<
$(O)/emu/device.o $(EMU_PACK_OBJ): $(O)/emu/%.o: tests/checkkernel/device/%.c $(B)/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -c -o $@ $<
EMU_LAUNCH_OBJ := $(addprefix $(O)/emu/,test_tiles.o test_refuse.o refuse_ops.o refuse_gemm.o refuse_picture.o)
$(EMU_LAUNCH_OBJ): INC = -I. -Itests/emu/rt -isystem $(CUDA_INC)
$(EMU_LAUNCH_OBJ): $(O)/emu/%.o: tests/checkkernel/device/%.c $(B)/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -c -o $@ $<
# What they are linked of is written down, for programs with faults planted in a kernel.
define link_emu
$(call say,LINK,$@)
@echo "$(filter %.o,$^) $(1) $(EMU_A) $(LDLIBS)" >$@.inputs
$(Q)$(CXX) $(SAN) -o $@ $(filter %.o,$^) $(1) $(EMU_A) $(LDLIBS)
endef
$(B)/emu/test_refuse: $(O)/emu/refuse_ops.o $(O)/emu/refuse_gemm.o $(O)/emu/refuse_picture.o
$(B)/emu/test_tiles $(B)/emu/test_refuse: $(B)/emu/%: $(O)/emu/%.o $(EMU_CUDA) $(EMU_A) $(LIB_A)
	$(call link_emu,$(LIB_A))
$(EMU_CHECKKERNEL): $(filter-out %/impl.o,$(CHECKKERNEL_OBJ)) $(EMU_CK_OBJ) $(addprefix $(O)/emu/plugin_cuda_,$(CK_PLUGIN)) $(EMU_LT) $(EMU_DNN) $(EMU_CUDA) $(EMU_A) $(LIB_A)
	$(call link_emu,$(LIB_A))
# The same for scripts/gpu_bundle.sh.
$(G)/checkkernel-emu: $(EMU_CHECKKERNEL)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(SAN) -o $@ $$(sed 's/ -l.*//' $<.inputs) $(STATIC_LIBS)
# The op noise beside cuRAND, whose headers this takes.
$(B)/emu/curand.o: tests/checkkernel/device/curand.cu kernels/ops.h $(EMU_TOOLS) $(wildcard tests/emu/rt/*.h)
	$(call say,NVCC,$<)
	@mkdir -p $(@D)
	$(Q)NVCC='$(NVCC)' CONFIG=$(CONFIG) CXX='$(CXX)' tests/emu/emucc $@ $< -I.
$(B)/emu/curand: $(B)/emu/curand.o $(B)/emu/cuda/noise.o $(EMU_A)
	$(call link_emu)
$(EMU_PACK): $(EMU_PACK_OBJ) $(O)/tests/checkkernel/data.o $(EMU_CUDA) $(EMU_A)
	$(call link_emu,$$($(PKG_CONFIG) --libs cmocka))

# The backend's host side again, with the emulator where CUDA's runtime was.
EMU_PLUGIN_OBJ := $(call plugin_objects,emu)
EMU_PLUGIN_CXX := $(B)/emu/plugin.o
$(O)/emu/plugin_%.o: INC = -I. $(EMU_LIB_INC) -isystem $(CUDA_INC)
$(O)/emu/plugin_%.o: EXTRA = -fPIC -DDD_PLUGIN_NAME='"emu"' -DDD_CUDA_ARCHS='"ptx80"' $(PLUGIN_NVTX) -DDD_STAND_INS
$(O)/emu/plugin_%.o: host/exec/plugin_%.c $(B)/flags
	$(call say,CC,"$< (emu)")
	@mkdir -p $(@D)
	$(Q)$(COMPILE) -c -o $@ $<
$(EMU_PLUGIN_CXX): tests/emu/plugin/plugin.cpp
	$(call say,CXX,$<)
	@mkdir -p $(@D)
	$(Q)$(EMU_CXX)
$(EMU_SO): $(EMU_PLUGIN_OBJ) $(EMU_PLUGIN_CXX) $(PLUGIN_SHARED) $(EMU_LT) $(EMU_DNN) $(EMU_CUDA) $(EMU_A) host/exec/plugin.map
	$(call say,LINK,$@)
	@echo '$(filter %.o %.a,$^) -lm -pthread' >$(B)/emu/plugin.inputs # as link_emu does
	$(Q)$(CXX) $(SAN) $(PLUGIN_LINK) $(filter %.o %.a,$^) -lm -pthread

EMU_PLUGIN_TESTS := $(B)/emu/test_plugin $(B)/emu/test_graph $(B)/emu/test_conv
# Stands in for a profiler.
EMU_NVTX := $(B)/emu/libnvtx-record.so
$(O)/tests/emu/nvtx/%.o: INC = -isystem $(CUDA_INC)
$(O)/tests/emu/nvtx/%.o: EXTRA = -fPIC
$(EMU_NVTX): $(O)/tests/emu/nvtx/record.o
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(LINK) -shared -o $@ $< -ldl

$(O)/tests/emu/plugin/%.o: INC = -I. -Iinclude
$(EMU_PLUGIN_TESTS): $(B)/emu/%: $(O)/tests/emu/plugin/%.o $(LIB_A)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $< $(LIB_A) $(LDLIBS)

.SECONDARY:
-include $(patsubst $(B)/emu/%,$(O)/tests/emu/plugin/%.d,$(EMU_PLUGIN_TESTS)) $(EMU_LAUNCH_OBJ:.o=.d) $(O)/tests/emu/nvtx/record.d
-include $(EMU_CK_OBJ:.o=.d) $(EMU_PACK_OBJ:.o=.d) $(EMU_PLUGIN_OBJ:.o=.d) $(EMU_PLUGIN_CXX:.o=.d)
-include $(EMU_OBJ:.o=.d) $(EMU_FIBER:.o=.d) $(EMU_LT:.o=.d)

# ---- tests ---------------------------------------------------------------------------------------------------------

check:
	+@MAKE='$(MAKE)' tests/run.sh check
fuzz:
	+@MAKE='$(MAKE)' tests/run.sh fuzz
# Dependencies first, then make anew: what this run has read may describe a machine without a compiler.
test:
	@scripts/deps.sh --cuda=$(CUDA)
	+@$(MAKE) test-run
test-run:
	+@MAKE='$(MAKE)' tests/run.sh test
demo:
	@scripts/deps.sh --no-test
	+@$(MAKE) demo-run
demo-run: all
	@scripts/demo.sh
methods: all $(B)/tests/tools/st_look
	@scripts/methods.sh

layers:
	@scripts/layers.sh
format:
	@scripts/format.sh
format-check:
	@scripts/format.sh --check

# ---- install -------------------------------------------------------------------------------------------------------

INSTALLED := $(BINDIR)/dydit $(LIBDIR)/libdydit.a $(LIBDIR)/libdydit.so $(LIBDIR)/$(SONAME) $(INCLUDEDIR)/dydit.h \
	$(LIBDIR)/pkgconfig/dydit.pc $(LIBDIR)/dydit/libdydit-cuda.so

$(B)/dydit.pc: include/dydit.h FORCE
	@mkdir -p $(@D)
	@printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$(LIBDIR)' 'includedir=$(INCLUDEDIR)' '' 'Name: dydit' \
		'Description: Samples images from dynamic Diffusion Transformers' 'Version: $(VERSION)' \
		'Requires.private: jansson libpng zlib' 'Libs: -L$${libdir} -ldydit' 'Libs.private: -lm -pthread -ldl' \
		'Cflags: -I$${includedir}' >$@

install: all $(B)/dydit.pc
	install -d $(addprefix $(DESTDIR),$(BINDIR) $(LIBDIR)/pkgconfig $(INCLUDEDIR))
	install -m 755 $(B)/dydit $(DESTDIR)$(BINDIR)/dydit
	install -m 644 $(LIB_A) $(DESTDIR)$(LIBDIR)/libdydit.a
	install -m 755 $(LIB_SO) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libdydit.so
	install -m 644 include/dydit.h $(DESTDIR)$(INCLUDEDIR)/dydit.h
	install -m 644 $(B)/dydit.pc $(DESTDIR)$(LIBDIR)/pkgconfig/dydit.pc
	$(if $(CUDA_SO),install -d $(DESTDIR)$(LIBDIR)/dydit)
	$(if $(CUDA_SO),install -m 755 $(CUDA_SO) $(DESTDIR)$(LIBDIR)/dydit/libdydit-cuda.so)

uninstall:
	rm -f $(addprefix $(DESTDIR),$(INSTALLED))
	-rmdir $(DESTDIR)$(LIBDIR)/dydit 2>/dev/null

clean:
	rm -rf build

print-config:
	@:
print-nvcc:
	@echo '$(NVCC_FOUND)'

help:
	@printf '%s\n' \
	'all (default)   the command dydit, the libraries and, where nvcc is, the CUDA backend, in build/CONFIG' \
	'lib cli         one of the two' \
	'unit examples   test programs (cmocka), examples of the C interface' \
	'checkkernel     kernels against the reference, quick cases; build/CONFIG/tests/checkkernel --help' \
	'asan tsan debug softisa' \
	'                the same as all in another configuration, side by side' \
	'gpu-bundle      build/gpu-bundle: what scripts/gpu_check.sh runs on a machine with a GPU and little else' \
	'demo            gets dependencies, builds, draws the demo sheet' \
	'methods         a picture sheet of all methods: cost, speed-up, difference (docs/methods.md)' \
	'check           build, include directions, format, quick tests; before every commit' \
	'test            gets dependencies and runs everything, sanitizers too' \
	'fuzz            fuzzing corpus as a regression test, with sanitizers' \
	'emu             runs CUDA kernels on the CPU: the emulator (tests/emu) and the backend emu;' \
	'                emu-tests: tests of the emulator' \
	'layers          include directions (scripts/layers.sh)' \
	'format          rewrites sources with clang-format; format-check only looks' \
	'install         PREFIX=$(PREFIX) DESTDIR=; uninstall takes it away' \
	'clean           removes build/' \
	'print-config    prints the line that every run begins with; print-nvcc: the nvcc in use' \
	'' \
	'Variables: CONFIG=release|debug|asan|tsan|softisa CC CFLAGS CPPFLAGS LDFLAGS WERROR=0|1 V=0|1 PREFIX LIBDIR DESTDIR' \
	'           CUDA=auto|0|1 (1: must be there) ARCHS="90 ptx80"|all NVTX=0|1 NVCC CXX PYTHON'
