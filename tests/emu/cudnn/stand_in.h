/* SPDX-License-Identifier: MIT
 * The emulator's cuDNN, inside: a graph as it was understood, and how it runs. */
#ifndef EMU_CUDNN_STAND_IN_H
#define EMU_CUDNN_STAND_IN_H

#include <cudnn_graph.h>

#include <map>
#include <vector>

namespace dnn
{

struct Tensor {
    int64_t uid, alignment, dims[4], strides[4]; // batch, channels, height, width
    cudnnDataType_t type;
    bool is_virtual;
};

// y = convolution of x by b, or y = x + b where every dimension of b is that of x or 1.
struct Step {
    bool convolution;
    Tensor x, b, y;
    int64_t padding[2];
};

typedef std::vector<Step> Graph;

// Ways to compute a graph. Those that a careful host passes over give wrong results, so that taking them shows.
enum Engine { SCATTERED, WINOGRAD, NARROW_SUMS, LARGE, UNABLE, CORES, FMA };

// What the real library would say of graphs with these operations; SUCCESS: it knows ways.
cudnnStatus_t check(const Graph &g);
std::vector<Engine> ways(const Graph &g, cudnnBackendHeurMode_t mode);
std::vector<cudnnBackendNumericalNote_t> notes(Engine engine);
uint64_t workspace(const Graph &g, Engine engine);

// Operands and results, by the tensors' identifiers; runs when a stream gets there.
void run(const Graph &g, Engine engine, const std::map<int64_t, void *> &at, void *workspace);

} // namespace dnn

#endif
