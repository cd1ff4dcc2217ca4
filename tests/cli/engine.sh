#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Engines where there is one only: the backends of the CPU, and a plugin without a library. Those of CUDA: tests/emu/engine.sh.
# sanitize: yes
. tests/cli/lib.bash

draw=(sample --ckpt "$D64" --steps ddim2 --class-labels 1 --latents-out x.st --threads 2 -q)

for e in auto own; do accepted "${draw[@]}" --backend cpu --engine $e; done
accepted "${draw[@]}" --backend ref --reproducible
refused 3 'engine lt: backend cpu has no cuBLASLt' "${draw[@]}" --backend cpu --engine lt
DYDIT_PLUGIN_PATH=$BUILD/tests/plugin refused 3 'engine lt: backend cuda has no cuBLASLt' "${draw[@]}" --backend cuda --engine lt
refused 2 "engine: 'fast' is not one of auto|own|lt|wgmma" "${draw[@]}" --engine fast
refused 2 'reproducible and --engine lt exclude each other' "${draw[@]}" --reproducible --engine lt
refused 2 'reproducible and --engine wgmma exclude each other' "${draw[@]}" --reproducible --engine wgmma
refused 3 'engine wgmma: backend cpu has no wgmma' "${draw[@]}" --backend cpu --engine wgmma
refused 2 'read and --engine exclude each other' bench --read x.json --engine own
refused 3 'tune: backend cpu has its own kernels alone' tune --ckpt "$D64" --backend cpu
refused 3 'tune: backend ref has its own kernels alone' tune --ckpt "$D64" --backend ref --tune-cache x.json
refused 2 'image-size and --ckpt exclude each other' tune --ckpt "$D64" --image-size 64
refused 2 'image-size 12 is no multiple of 8' tune --image-size 12
# A broken file of measurements is nobody's concern who does not use them.
echo garbage >"$TMP/tune.json"
accepted "${draw[@]}" --backend cpu --tune-cache "$TMP/tune.json"
