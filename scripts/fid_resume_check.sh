#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Sets of pictures at the sizes that `make test` has no time for.
#
#   scripts/fid_resume_check.sh [--large] [STEPS]
#
# 2000 letters of the demo model by STEPS steps (default ddim2), killed with SIGKILL three times and gone on with: are they the bytes
# of an unbroken run? --large: a set of more than 4 GiB from made-up pictures instead, written and read, which needs its room in
# TMPDIR. Needs what `make unit` builds. Python with numpy reads the results where it is there (PYTHON, default python3).
set -u
cd "$(dirname "$0")/.." || exit 1
build=build/${CONFIG:-release}
python=${PYTHON:-python3}
dir=$(mktemp -d "${TMPDIR:-/tmp}/fid.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT

fail() {
    printf 'fid_resume_check: %s\n' "$1" >&2
    exit 1
}

# read_by_numpy FILE N H W
read_by_numpy() {
    if ! "$python" -c 'import numpy' 2>/dev/null; then
        echo "numpy: not there, $1 was not read by it"
        return
    fi
    "$python" - "$@" <<'PY' || fail "numpy does not read $1"
import sys, zipfile, numpy
path, shape = sys.argv[1], tuple(int(v) for v in sys.argv[2:]) + (3,)
with zipfile.ZipFile(path) as z:
    assert z.testzip() is None
    with z.open("arr_0.npy") as f:
        numpy.lib.format.read_magic(f)
        assert numpy.lib.format.read_array_header_1_0(f) == (shape, False, numpy.dtype("uint8"))
print("numpy: %s is uint8 %s, its CRC-32 is right" % (path.rsplit("/", 1)[-1], list(shape)))
PY
}

if [ "${1-}" = --large ]; then
    "$build/tests/tools/npz_fill" "$dir/large.npz" 5600 512 512 || fail 'the set could not be written'
    bytes=$(stat -c %s "$dir/large.npz")
    [ "$bytes" -gt $((1 << 32)) ] || fail "$bytes bytes are not more than 4 GiB"
    echo "large.npz: $bytes bytes"
    read_by_numpy "$dir/large.npz" 5600 512 512
    exit 0
fi

steps=${1:-ddim2}
run=("$build/dydit" sample --ckpt models/glyphs.safetensors --steps "$steps" -n 2000 -b 50 -q)
"${run[@]}" --npz "$dir/whole.npz" || fail 'the unbroken run failed'
for at in 100 800 1500; do
    "${run[@]}" --npz "$dir/set.npz" --resume &
    pid=$!
    counted=0
    while kill -0 $pid 2>/dev/null && [ "${counted:-0}" -lt $at ]; do
        counted=$(sed -n 's/.*"images_done": *\([0-9]*\).*/\1/p' "$dir/set.npz.state" 2>/dev/null)
        sleep 0.01
    done
    kill -KILL $pid || fail "it had ended before picture $at"
    wait $pid 2>/dev/null
    [ ! -e "$dir/set.npz" ] || fail "it was whole before picture $at was seen"
    echo "killed with $(sed -n 's/.*"images_done": *\([0-9]*\).*/\1/p' "$dir/set.npz.state") of 2000 pictures"
done
"${run[@]}" -b 64 --npz "$dir/set.npz" --resume || fail 'the last run failed'
cmp "$dir/whole.npz" "$dir/set.npz" || fail 'the bytes differ'
echo "gone on with: $(stat -c %s "$dir/set.npz") bytes, those of the unbroken run"
read_by_numpy "$dir/set.npz" 2000 32 32
