/* SPDX-License-Identifier: MIT
 * A tool that NVTX loads in place of a profiler (NVTX_INJECTION64_PATH): writes every call to the file NVTX_RECORD, or to
 * stderr, a line each, fields between tabs:
 *
 *   domain NAME | category DOMAIN NUMBER NAME | stream NAME
 *   push DOMAIN DEPTH NAME CATEGORY NUMBER registered|text
 *   pop DOMAIN DEPTH                       DEPTH: ranges that are open outside of this one */
#include <nvtx3/nvToolsExt.h>
#include <nvtx3/nvToolsExtCudaRt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DOMAINS 8

/* Handles: of a domain its index + 1, of a string the text. */
static struct domain {
    char name[64];
    int depth;
} domains[MAX_DOMAINS + 1];
static int n_domains;
static FILE *out;

static struct domain *of(nvtxDomainHandle_t d) { return &domains[(uintptr_t)d]; }

static nvtxDomainHandle_t NVTX_API domain_create(const char *name)
{
    if (n_domains == MAX_DOMAINS) return NULL;
    snprintf(domains[++n_domains].name, sizeof domains[0].name, "%s", name);
    fprintf(out, "domain\t%s\n", name);
    return (nvtxDomainHandle_t)(uintptr_t)n_domains;
}

static void NVTX_API domain_destroy(nvtxDomainHandle_t d) { fprintf(out, "destroyed\t%s\n", of(d)->name); }

static void NVTX_API name_category(nvtxDomainHandle_t d, uint32_t category, const char *name)
{
    fprintf(out, "category\t%s\t%u\t%s\n", of(d)->name, category, name);
}

/* Lives as long as the process, as a profiler's would. */
static nvtxStringHandle_t NVTX_API register_string(nvtxDomainHandle_t d, const char *text)
{
    (void)d;
    char *copy = malloc(strlen(text) + 1);
    return (nvtxStringHandle_t)(copy ? strcpy(copy, text) : NULL);
}

static int NVTX_API push(nvtxDomainHandle_t d, const nvtxEventAttributes_t *a)
{
    const int registered = a->messageType == NVTX_MESSAGE_TYPE_REGISTERED;
    const char *text = registered ? (const char *)a->message.registered : a->message.ascii;
    const long long number = a->payloadType == NVTX_PAYLOAD_TYPE_INT64 ? (long long)a->payload.llValue : -1;
    fprintf(out, "push\t%s\t%d\t%s\t%u\t%lld\t%s\n", of(d)->name, of(d)->depth, text ? text : "?", a->category, number,
            registered ? "registered" : "text");
    return of(d)->depth++;
}

static int NVTX_API pop(nvtxDomainHandle_t d)
{
    fprintf(out, "pop\t%s\t%d\n", of(d)->name, of(d)->depth - 1);
    return --of(d)->depth;
}

static void NVTX_API name_stream(nvtx_cudaStream_t stream, const char *name)
{
    (void)stream;
    fprintf(out, "stream\t%s\n", name);
}

static int put(const NvtxExportTableCallbacks *callbacks, NvtxCallbackModule module, unsigned id, NvtxFunctionPointer f)
{
    NvtxFunctionTable table = NULL;
    unsigned n = 0;
    if (!callbacks->GetModuleFunctionTable(module, &table, &n) || id >= n) return 0;
    *table[id] = f;
    return 1;
}

__attribute__((visibility("default"))) int InitializeInjectionNvtx2(NvtxGetExportTableFunc_t get);

int InitializeInjectionNvtx2(NvtxGetExportTableFunc_t get)
{
    const NvtxExportTableCallbacks *c = get(NVTX_ETID_CALLBACKS);
    const char *path = getenv("NVTX_RECORD");
    out = path ? fopen(path, "w") : stderr;
    if (!c || !out) return 0;
    setvbuf(out, NULL, _IOLBF, 0);
    const struct {
        unsigned id;
        NvtxFunctionPointer f;
    } core[] = {{NVTX_CBID_CORE2_DomainCreateA, (NvtxFunctionPointer)domain_create},
                {NVTX_CBID_CORE2_DomainDestroy, (NvtxFunctionPointer)domain_destroy},
                {NVTX_CBID_CORE2_DomainNameCategoryA, (NvtxFunctionPointer)name_category},
                {NVTX_CBID_CORE2_DomainRegisterStringA, (NvtxFunctionPointer)register_string},
                {NVTX_CBID_CORE2_DomainRangePushEx, (NvtxFunctionPointer)push},
                {NVTX_CBID_CORE2_DomainRangePop, (NvtxFunctionPointer)pop}};
    int ok = put(c, NVTX_CB_MODULE_CUDART, NVTX_CBID_CUDART_NameCudaStreamA, (NvtxFunctionPointer)name_stream);
    for (size_t i = 0; i < sizeof core / sizeof core[0]; i++)
        ok = put(c, NVTX_CB_MODULE_CORE2, core[i].id, core[i].f) && ok;
    return ok;
}
