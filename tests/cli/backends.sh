#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Choosing a backend and a device: what auto says, errors of explicit choices, `dydit info`, memory of a device. The plugin
# is the made-up one of tests/plugin.
# sanitize: yes
. tests/cli/lib.bash

FAKE=$BUILD/tests/plugin
draw=(sample --ckpt "$D128" --steps ddim4 --class-labels 1,2,3 -o x.png --threads 2)
fake() { DYDIT_PLUGIN_PATH=$FAKE DYDIT_FAKE=${what-} "$@"; }

check "the made-up plugin is built" test -s "$FAKE/libdydit-cuda.so"

# ---- auto ----
accepted "${draw[@]}"
if [ ! -e /usr/local/lib/dydit/libdydit-cuda.so ]; then
    run "${draw[@]}" -v
    check "-v says why auto took cpu" grep -q '^dydit: backend auto: cpu, because libdydit-cuda.so was not found in ' "$ERR"
fi
what=driver fake run "${draw[@]}"
equal "no driver: the picture is drawn" "0 yes" "$status $([ -s x.png ] && echo yes)"
equal "no driver: one line" 'dydit: warning: backend auto: cpu, because there is no NVIDIA driver' "$(cat "$ERR")"
what=driver fake accepted "${draw[@]}" --quiet
what=driver fake accepted "${draw[@]}" --backend cpu
what=driver fake accepted plan --ckpt "$D128" --steps ddim4
what='' fake accepted "${draw[@]}"
check "auto takes cuda" grep -q '^backend *cuda ' "$OUT"
mkdir "$TMP/broken" && echo text >"$TMP/broken/libdydit-cuda.so"
DYDIT_PLUGIN_PATH=$TMP/broken run "${draw[@]}"
check "a file that is no plugin" grep -q "because $TMP/broken/libdydit-cuda.so cannot be loaded: " "$ERR"

# ---- explicit ----
what=driver fake refused 4 'backend cuda: there is no NVIDIA driver' "${draw[@]}" --backend cuda
what=empty fake refused 4 'backend cuda: there is no device' "${draw[@]}" --backend cuda
what=abi fake refused 3 'libdydit-cuda.so is of another build' "${draw[@]}" --backend cuda
what='' fake refused 3 'backend cuda: no code for compute capability 7.0' "${draw[@]}" --backend cuda --device 1
what='' fake refused 2 'backend cuda: device 2' "${draw[@]}" --device 2
refused 2 'device 1: backend cpu has no devices' "${draw[@]}" --backend cpu --device 1
refused 2 'device' "${draw[@]}" --device -1
refused 2 "backend 'gpu' is not known: auto, cuda, cpu, ref or emu" "${draw[@]}" --backend gpu
DYDIT_PLUGIN_PATH=here refused 2 "DYDIT_PLUGIN_PATH names the folder 'here'" "${draw[@]}" --backend cuda
if [ ! -e /usr/local/lib/dydit/libdydit-emu.so ]; then
    refused 3 'backend emu: libdydit-emu.so was not found in ' "${draw[@]}" --backend emu
fi

# ---- info ----
what='' fake accepted info
check "info: backends" grep -q '^backends *cpu, ref, cuda.* (auto takes cuda)$' "$OUT"
check "info: versions" grep -q '^cuda *driver 13.0, runtime 13.0, built for sm_90$' "$OUT"
check "info: device in use" grep -q 'device 0 *Fake One, compute capability 9.0, 80.0 GiB, 132 multiprocessors; in use, 64.0 GiB free$' "$OUT"
check "info: device without code" grep -q 'device 1 *Fake Two, compute capability 7.0, .* no code for it$' "$OUT"
what=driver fake accepted info
check "info: reason" grep -q '^cuda *not available: there is no NVIDIA driver$' "$OUT"
what=driver fake accepted info --json
equal "info --json: reason" 'ERR_DEVICE there is no NVIDIA driver' \
    "$(json "$OUT" plugins.cuda.status) $(json "$OUT" plugins.cuda.reason)"
equal "info --json: backend" cpu "$(json "$OUT" backend)"
what='' fake accepted info --json --backend cpu
equal "info --json: plugin" 'OK 13.0 sm_90' \
    "$(json "$OUT" plugins.cuda.status) $(json "$OUT" plugins.cuda.driver) $(json "$OUT" plugins.cuda.built)"
equal "info --json: no device in use" 2 "$(grep -c '"in_use": false' "$OUT")"
check "info --json: devices" grep -q '"name": "Fake Two"' "$OUT"
what='' fake accepted info --json --backend cuda
equal "info --json: free memory of the device in use" 1 "$(grep -c '"memory_free_bytes": 68719476736' "$OUT")"

# ---- memory ----
what=free=1000000 fake refused 4 'need .* GB on the device, 0.001 GB are free: .* are missing; no batch size would fit' "${draw[@]}"
what=free=1000000 fake refused 4 'batches of [0-9]* images need .* GB on the device, 0.001 GB are free: .* are missing; no batch' \
    eval --ckpt "$D128" --in "$D128" --in-prefix golden. --out o.st
what='' fake accepted "${draw[@]}" --dry-run
check "dry run: bytes on the device" grep -q '^  on device ' "$OUT"
check "dry run: batch that fits" grep -q 'free on the device: [1-9]' "$OUT"
what='' fake accepted "${draw[@]}" --dry-run --json
check "dry run: JSON" test "$(json "$OUT" device_bytes)" -lt "$(json "$OUT" peak_bytes)"

# ---- graphs ----
what='' fake accepted info
check "info: graphs" grep -q -x 'graphs *one per structure of steps' "$OUT"
what='' fake accepted info --no-graph --json
equal "info --no-graph: graphs" false "$(json "$OUT" graphs)"
what='' fake accepted "${draw[@]}"
check "a run says how many graphs" grep -q -x 'graphs *1 of [1-9][0-9]* nodes, recorded 1 time' "$OUT"
what='' fake accepted "${draw[@]}" --no-graph
check "a run says that there are none" grep -q -x 'graphs *none, steps are launched op by op' "$OUT"
what='' fake accepted "${draw[@]}" --batch-size 2 --cfg-interval 300 600 --json
equal "graphs of two structures, recorded again for the last batch" '2 2 4' \
    "$(json "$OUT" graphs.programs) $(json "$OUT" graphs.graphs) $(json "$OUT" graphs.recorded)"
what='' fake accepted "${draw[@]}" --dry-run
check "dry run: memory of graphs" grep -q '^  graphs .*(estimate: 1 graph of [1-9][0-9]* ops, 16 KiB assumed for each op)$' "$OUT"
what='' fake accepted "${draw[@]}" --dry-run --json
equal "dry run: 16 KiB for each op" "1 $(($(json "$OUT" graph_ops) * 16384))" \
    "$(json "$OUT" programs) $(json "$OUT" graph_bytes_estimate)"
peak=$(json "$OUT" peak_bytes) graphs=$(json "$OUT" graph_bytes_estimate)
what='' fake accepted "${draw[@]}" --dry-run --json --no-graph
equal "dry run: none without graphs" "0 0 $((peak - graphs))" \
    "$(json "$OUT" graph_ops) $(json "$OUT" graph_bytes_estimate) $(json "$OUT" peak_bytes)"
run "${draw[@]}" --backend cpu --no-graph
equal "no graphs on cpu: a note" '0 dydit: warning: no-graph changes nothing: backend cpu has no graphs' "$status $(cat "$ERR")"
accepted "${draw[@]}" --backend cpu
check "a run on cpu speaks of no graphs" test -z "$(grep graph "$OUT")"

# ---- bench ----
what='' fake run bench --model DyDiT-S/8 --image-size 256 --steps ddim2 --repeat 1 --warmup 0 --ratio 0.5 --out b.json
equal "bench names the device" 'Fake One 9.0 13.0' \
    "$(json b.json backend.device.name) $(json b.json backend.device.compute_capability) $(json b.json backend.device.driver)"
equal "bench tells graphs" 'true 1 1' "$(json b.json backend.graphs) $(json b.json cases.0.graphs.graphs) $(json b.json cases.0.graphs.recorded)"
what='' fake accepted bench --model DyDiT-S/8 --image-size 256 --steps ddim2 --ratio 0.5 --dry-run
check "bench --dry-run tells graphs" grep -q '^  dense.*, 1 graph$' "$OUT"
refused 2 '--read and --no-graph exclude each other' bench --read b.json --no-graph
