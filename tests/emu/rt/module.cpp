// SPDX-License-Identifier: MIT
// Modules: what translated code and the host half of a program register, and how the two find each other by name.
#include <string.h>

#include <map>
#include <string>

#include "device.h"
#include "memory.h"
#include "report.h"
#include "runtime.h"

namespace emu
{
namespace
{

// Filled by static constructors, so made at first use.
struct Tables {
    std::map<std::string, const Kernel *> kernels;
    std::map<const void *, std::string> names; // host function -> kernel
    std::map<const void *, Function> functions;
    std::map<std::string, Var *> vars;
    std::map<const void *, std::string> host_vars; // the host half may register before the device half
    std::vector<Var *> unplaced;
};

Tables &tables()
{
    static Tables t;
    return t;
}

} // namespace

Register::Register(Kernel *k) { tables().kernels[k->name] = k; }

Register::Register(Var *v)
{
    tables().unplaced.push_back(v);
    tables().vars[v->name] = v;
}

// Addresses first: initializers may contain them.
void place_variables()
{
    Tables &t = tables();
    if (t.unplaced.empty()) return;
    for (Var *v : t.unplaced) v->addr = device_alloc(v->size, VARIABLE);
    for (const Var *v : t.unplaced) {
        uint8_t *p = arena.memory + (v->addr - arena.base);
        memset(p, 0, v->size); // C++ initializes them
        if (v->n_init) memcpy(p, v->init, v->n_init);
        for (uint32_t i = 0; i < v->n_relocs; i++) {
            const uint64_t value = v->relocs[i].var->addr + static_cast<uint64_t>(v->relocs[i].offset);
            memcpy(p + v->relocs[i].at, &value, sizeof value);
        }
    }
    t.unplaced.clear();
}

Function *find_function(const void *host)
{
    Tables &t = tables();
    auto it = t.functions.find(host);
    if (it != t.functions.end()) return &it->second;
    auto name = t.names.find(host);
    if (name == t.names.end()) return nullptr;
    auto k = t.kernels.find(name->second);
    if (k == t.kernels.end())
        fail(nullptr, "kernel %s was not translated: link the object that emucc made of its file",
             name->second.c_str());
    return &(t.functions[host] = Function{k->second, {}});
}

const Var *find_var(const void *host)
{
    Tables &t = tables();
    auto name = t.host_vars.find(host);
    if (name == t.host_vars.end()) return nullptr;
    auto v = t.vars.find(name->second);
    return v == t.vars.end() ? nullptr : v->second; // nvcc leaves out what no kernel uses
}

} // namespace emu

using namespace emu;

extern "C" {

void **__cudaRegisterFatBinary(void *)
{
    static void *handle;
    return &handle;
}
void __cudaRegisterFatBinaryEnd(void **) {}
void __cudaUnregisterFatBinary(void **) {}
char __cudaInitModule(void **) { return 1; }

void __cudaRegisterFunction(void **, const char *host, char *, const char *name, int, uint3 *, uint3 *, dim3 *, dim3 *,
                            int *)
{
    tables().names[host] = name;
}

void __cudaRegisterVar(void **, char *host, char *, const char *name, int, size_t, int, int)
{
    for (const auto &other : tables().host_vars)
        if (other.second == name && other.first != host)
            fail(nullptr, "two modules have a variable %s: the emulator cannot tell them apart", name);
    tables().host_vars[host] = name;
}

void __cudaRegisterManagedVar(void **, void **, char *, const char *name, int, size_t, int, int)
{
    fail(nullptr, "__managed__ variable %s: not supported", name);
}

// ---- launches: the three steps that nvcc makes of <<<>>> -----------------------------------------------------------

static thread_local struct {
    dim3 grid, block;
    size_t shared;
    cudaStream_t stream;
} configuration;

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, cudaStream_t stream)
{
    configuration = {grid, block, shared, stream};
    return 0;
}

cudaError_t __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *shared, void *stream)
{
    *grid = configuration.grid, *block = configuration.block, *shared = configuration.shared;
    *static_cast<cudaStream_t *>(stream) = configuration.stream;
    return cudaSuccess;
}

cudaError_t __cudaGetKernel(cudaKernel_t *kernel, const void *host)
{
    *kernel = static_cast<cudaKernel_t>(const_cast<void *>(host)); // its name is looked up when it is launched
    return cudaSuccess;
}

cudaError_t cudaLaunchKernel(const void *host, dim3 grid, dim3 block, void **args, size_t shared, cudaStream_t stream)
{
    EMU_API(cudaLaunchKernel);
    Stream *s = find_stream(stream);
    return result(s ? launch(host, grid, block, args, shared, s) : cudaErrorInvalidResourceHandle);
}

cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void **args, size_t shared,
                               cudaStream_t stream)
{
    return cudaLaunchKernel(kernel, grid, block, args, shared, stream);
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t *c, const void *host, void **args)
{
    if (!c) return result(cudaErrorInvalidValue);
    for (unsigned i = 0; i < c->numAttrs; i++) // hints may be passed over, what changes the meaning may not
        switch (c->attrs[i].id) {
        case cudaLaunchAttributeIgnore:
        case cudaLaunchAttributePriority:
        case cudaLaunchAttributeAccessPolicyWindow:
        case cudaLaunchAttributePreferredSharedMemoryCarveout:
        case cudaLaunchAttributeProgrammaticStreamSerialization: break;
        default: return result(cudaErrorNotSupported);
        }
    return cudaLaunchKernel(host, c->gridDim, c->blockDim, args, c->dynamicSmemBytes, c->stream);
}

cudaError_t cudaLaunchCooperativeKernel(const void *, dim3, dim3, void **, size_t, cudaStream_t)
{
    EMU_API(cudaLaunchCooperativeKernel);
    return result(cudaErrorNotSupported); // blocks run one after another
}
}
