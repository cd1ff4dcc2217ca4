/* SPDX-License-Identifier: MIT
 * Fuzz target of the index of sharded safetensors, beside two shards and a folder with a third one. Whatever it says, the
 * folder is not entered, and what is accepted are the tensors of the shards. */
#define _XOPEN_SOURCE 700
#define FUZZ_NAME "fuzz_shards"
#define FUZZ_TOKENS 32
#define FUZZ_SMALLEST 2
#define FUZZ_OWN_TOKENS                                                                                     \
    FUZZ_TOKEN("\"weight_map\""), FUZZ_TOKEN("1.safetensors"), FUZZ_TOKEN("2.safetensors"),                 \
        FUZZ_TOKEN("x/3.safetensors"), FUZZ_TOKEN("/"), FUZZ_TOKEN("m.safetensors.index.json"),             \
        FUZZ_TOKEN("\"a\":\"1.safetensors\","), FUZZ_TOKEN("\"b\":\"1.safetensors\","),                     \
        FUZZ_TOKEN("\"c\":\"2.safetensors\","), FUZZ_TOKEN("none.safetensors"), FUZZ_TOKEN(".safetensors"), \
        FUZZ_TOKEN("//")
#include <sys/stat.h>

#include "tests/fuzz/fuzz_json.h"
#include "tests/fuzz/fuzz_use.h"

#include "host/io/safetensors.h"
#include "host/io/shards.h"

static size_t shard_bytes; /* of all */

static void add_shard(const char *name, const dd_tensor_entry *entries, int n)
{
    const char *path = folder_file(name);
    dd_tensors *f = NULL;
    require(dd_safetensors_write(path, entries, n, NULL, 0, NULL) == DD_OK, "a shard can be written");
    require(dd_safetensors_open(&f, path, NULL) == DD_OK, "and read");
    shard_bytes += dd_tensors_bytes(f);
    dd_tensors_close(&f);
}

/* The index's path. */
static const char *prepare(void)
{
    static const float values[6] = {1, 2, 3, 4, 5, 6};
    static const dd_tensor_entry a[] = {{"a", DD_F32, 1, {6}, values}, {"b", DD_BF16, 2, {2, 3}, values}};
    static const dd_tensor_entry c[] = {{"c", DD_F32, 0, {0}, values}};
    static const dd_tensor_entry inner[] = {{"inner", DD_F32, 0, {0}, values}};
    static const char *index;
    if (index) return index;
    require(mkdir(folder_file("x"), 0777) == 0, "a folder in the folder");
    add_shard("x/3.safetensors", inner, 1);
    add_shard("1.safetensors", a, 2);
    add_shard("2.safetensors", c, 1);
    return index = folder_file("m.safetensors.index.json");
}

static bool run_one(const uint8_t *data, size_t size)
{
    dd_err err = {0};
    dd_tensors *f = NULL;
    write_input(prepare(), data, size);
    const dd_status st = dd_shards_open(&f, folder_path(), "m", &err);
    use_result(st, f, &err, folder_path());
    if (f) {
        require(dd_tensors_count(f) > 0, "an index without tensors is refused");
        require(dd_tensors_bytes(f) < shard_bytes, "no shard is opened twice");
        require(!dd_tensors_find(f, "inner"), "no path is followed");
        use_tensors(f);
    }
    dd_tensors_close(&f);
    return st == DD_OK;
}
