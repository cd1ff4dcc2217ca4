// SPDX-License-Identifier: MIT
// What the emulator's cuDNN computes, from device memory, by the strides of the tensors, with float32 sums. As the real one it
// orders a sum by the shape: channels are cut into parts whose number depends on the batch, so that nobody may rely on equal
// bits for another batch.
#include <string.h>

#include "tests/emu/cudnn/stand_in.h"
#include "tests/emu/rt/device.h"

namespace dnn
{

namespace
{

uint64_t size_of(cudnnDataType_t t) { return t == CUDNN_DATA_FLOAT ? 4 : 2; }

int64_t count(const Tensor &t) { return t.dims[0] * t.dims[1] * t.dims[2] * t.dims[3]; }

// From the first to the last element in memory.
uint64_t extent(const Tensor &t)
{
    int64_t last = 0;
    for (int i = 0; i < 4; i++) last += (t.dims[i] - 1) * t.strides[i];
    return static_cast<uint64_t>(last + 1) * size_of(t.type);
}

float from_half(uint16_t h)
{
    const uint32_t sign = static_cast<uint32_t>(h & 0x8000) << 16, exponent = h >> 10 & 31, mantissa = h & 0x3ff;
    float v = static_cast<float>(mantissa) * 0x1p-24f;
    uint32_t bits = (exponent + 112) << 23 | mantissa << 13;
    if (exponent == 31) bits = 0x7f800000 | mantissa << 13;
    if (exponent) memcpy(&v, &bits, sizeof v);
    return sign ? -v : v;
}

float load(const uint8_t *p, cudnnDataType_t type)
{
    uint16_t half = 0;
    float v;
    if (type == CUDNN_DATA_FLOAT) {
        memcpy(&v, p, sizeof v);
        return v;
    }
    memcpy(&half, p, sizeof half);
    if (type == CUDNN_DATA_HALF) return from_half(half);
    const uint32_t bits = static_cast<uint32_t>(half) << 16;
    memcpy(&v, &bits, sizeof v);
    return v;
}

// To the nearest, ties to even; of finite values within the range, and of NaN. (Half: by way of its own spacing.)
void store(uint8_t *p, cudnnDataType_t type, float v)
{
    uint32_t bits;
    uint16_t half;
    memcpy(&bits, &v, sizeof bits);
    if (type == CUDNN_DATA_FLOAT) {
        memcpy(p, &v, sizeof v);
        return;
    }
    if (type == CUDNN_DATA_BFLOAT16) {
        half = static_cast<uint16_t>(v != v ? 0x7fff : (bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    } else {
        const uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
        float tiny = (v < 0 ? -v : v) + 0.5f; // spacing 2^-24, that of the subnormals
        uint32_t tiny_bits;
        memcpy(&tiny_bits, &tiny, sizeof tiny_bits);
        uint32_t rounded = (magnitude - (112u << 23) + 0xfff + (magnitude >> 13 & 1)) >> 13;
        if (magnitude < 113u << 23) rounded = tiny_bits - 0x3f000000;
        if (magnitude >= 0x477ff000) rounded = v != v ? 0x7e00 : 0x7c00;
        half = static_cast<uint16_t>(sign | rounded);
    }
    memcpy(p, &half, sizeof half);
}

typedef std::vector<float> Values; // in the order of dims

template <class F> void each(const Tensor &t, F f)
{
    int64_t i = 0;
    for (int64_t a = 0; a < t.dims[0]; a++)
        for (int64_t b = 0; b < t.dims[1]; b++)
            for (int64_t c = 0; c < t.dims[2]; c++)
                for (int64_t d = 0; d < t.dims[3]; d++)
                    f(i++, a * t.strides[0] + b * t.strides[1] + c * t.strides[2] + d * t.strides[3]);
}

// Tensor cores read 11 bits of a float32.
float as_read(float v, Engine engine)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    if (engine == CORES) bits &= 0xffffe000;
    memcpy(&v, &bits, sizeof v);
    return v;
}

float part_of(const Step &s, const Values &x, const Values &w, const int64_t at[4], int64_t from, int64_t to)
{
    const int64_t *xd = s.x.dims, *wd = s.b.dims;
    float sum = 0;
    for (int64_t i = 0; i < wd[2]; i++)
        for (int64_t j = 0; j < wd[3]; j++) {
            const int64_t row = at[2] + i - s.padding[0], col = at[3] + j - s.padding[1];
            if (row < 0 || row >= xd[2] || col < 0 || col >= xd[3]) continue;
            for (int64_t c = from; c < to; c++)
                sum += x[static_cast<size_t>(((at[0] * xd[1] + c) * xd[2] + row) * xd[3] + col)] *
                       w[static_cast<size_t>(((at[1] * wd[1] + c) * wd[2] + i) * wd[3] + j)];
        }
    return sum;
}

int64_t parts_of(const Step &s, Engine engine) { return engine == CORES ? 1 + s.x.dims[0] * s.x.dims[2] % 3 : 1; }

Values convolve(const Step &s, Engine engine, Values x, Values w)
{
    const int64_t *yd = s.y.dims, parts = parts_of(s, engine), channels = s.x.dims[1];
    Values y;
    if (s.x.type == CUDNN_DATA_FLOAT) {
        for (float &v : x) v = as_read(v, engine);
        for (float &v : w) v = as_read(v, engine);
    }
    y.reserve(static_cast<size_t>(count(s.y)));
    for (int64_t b = 0; b < yd[0]; b++)
        for (int64_t n = 0; n < yd[1]; n++)
            for (int64_t row = 0; row < yd[2]; row++)
                for (int64_t col = 0; col < yd[3]; col++) {
                    const int64_t at[4] = {b, n, row, col};
                    float sum = 0;
                    for (int64_t p = 0; p < parts; p++)
                        sum += part_of(s, x, w, at, channels * p / parts, channels * (p + 1) / parts);
                    y.push_back(engine < LARGE ? sum * 1.0078125f : sum);
                }
    return y;
}

Values add(const Step &s, Values x, const Values &b)
{
    int64_t strides[4], step = 1;
    for (int i = 3; i >= 0; i--) {
        strides[i] = s.b.dims[i] == 1 ? 0 : step;
        step *= s.b.dims[i];
    }
    Tensor t = s.x; // walks over x, with the places of b
    memcpy(t.strides, strides, sizeof strides);
    each(t, [&](int64_t i, int64_t from) { x[static_cast<size_t>(i)] += b[static_cast<size_t>(from)]; });
    return x;
}

} // namespace

cudnnStatus_t check(const Graph &g)
{
    if (g.size() < 2 || g.size() > 3 || !g[0].convolution) return CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN;
    for (size_t i = 0; i < g.size(); i++) {
        const bool last = i + 1 == g.size();
        if (i > 0 && (g[i].convolution || g[i].x.uid != g[i - 1].y.uid)) return CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN;
        if (g[i].y.is_virtual == last || g[i].b.is_virtual) return CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN;
        if (!last && g[i].y.type != CUDNN_DATA_FLOAT) return CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE;
        if (i > 0 && g[i].b.type != CUDNN_DATA_FLOAT) return CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE;
    }
    if (g[0].x.type != g[0].b.type || g[0].x.is_virtual) return CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE;
    return g[0].x.dims[3] == 1 ? CUDNN_STATUS_NOT_SUPPORTED_SHAPE : CUDNN_STATUS_SUCCESS;
}

std::vector<Engine> ways(const Graph &g, cudnnBackendHeurMode_t mode)
{
    const bool f32 = g[0].x.type == CUDNN_DATA_FLOAT;
    if (mode == CUDNN_HEUR_MODE_A && f32) return {SCATTERED, WINOGRAD, CORES};
    if (mode == CUDNN_HEUR_MODE_A) return {SCATTERED, WINOGRAD, NARROW_SUMS, LARGE, UNABLE, CORES};
    if (f32 && g.size() == 3 && g[0].b.dims[2] == 1) return {};
    return {UNABLE, FMA};
}

std::vector<cudnnBackendNumericalNote_t> notes(Engine engine)
{
    switch (engine) {
    case SCATTERED: return {CUDNN_NUMERICAL_NOTE_TENSOR_CORE, CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC};
    case WINOGRAD: return {CUDNN_NUMERICAL_NOTE_WINOGRAD, CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4};
    case NARROW_SUMS: return {CUDNN_NUMERICAL_NOTE_TENSOR_CORE, CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION};
    case LARGE:
    case UNABLE:
    case CORES: return {CUDNN_NUMERICAL_NOTE_TENSOR_CORE};
    case FMA: break;
    }
    return {};
}

uint64_t workspace(const Graph &g, Engine engine)
{
    if (engine == LARGE) return static_cast<uint64_t>(1) << 40;
    return parts_of(g[0], engine) > 1 ? static_cast<uint64_t>(count(g[0].y)) * sizeof(float) : 0;
}

void run(const Graph &g, Engine engine, const std::map<int64_t, void *> &at, void *space)
{
    std::map<int64_t, Values> values;
    const uint64_t bytes = workspace(g, engine);
    if (bytes) memset(emu::reach(space, bytes, "cudnnBackendExecute, workspace"), 0xff, bytes);
    // A result may be written before the operands are read: whoever gives both the same memory gets NaN.
    const Tensor &dst = g.back().y;
    uint8_t *to = emu::reach(at.at(dst.uid), extent(dst), "cudnnBackendExecute, result");
    each(dst, [&](int64_t, int64_t place) {
        memset(to + static_cast<uint64_t>(place) * size_of(dst.type), 0xff, size_of(dst.type));
    });
    for (const Step &s : g) {
        for (const Tensor *t : {&s.x, &s.b}) {
            if (values.count(t->uid)) continue;
            const uint8_t *from = emu::reach(at.at(t->uid), extent(*t), "cudnnBackendExecute, an operand");
            Values &v = values[t->uid];
            v.resize(static_cast<size_t>(count(*t)));
            each(*t, [&](int64_t i, int64_t place) {
                v[static_cast<size_t>(i)] = load(from + static_cast<uint64_t>(place) * size_of(t->type), t->type);
            });
        }
        const Values &x = values[s.x.uid], &b = values[s.b.uid];
        values[s.y.uid] = s.convolution ? convolve(s, engine, x, b) : add(s, x, b);
    }
    const Values &result = values[dst.uid];
    each(dst, [&](int64_t i, int64_t place) {
        store(to + static_cast<uint64_t>(place) * size_of(dst.type), dst.type, result[static_cast<size_t>(i)]);
    });
}

} // namespace dnn
