#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Checkpoints that are cut off, malformed, contradictory or incomplete are refused with exit status 3 and a sentence that
# names the file and the tensor; nothing is written.
# sanitize: yes
. tests/cli/lib.bash

bad=$TMP/bad.safetensors
size=$(wc -c <"$D128")

# broken REGEX EDIT...: an edited copy of a small model is refused, by sampling and by planning
broken() {
    local pattern=$1
    shift
    "$EDIT" "$D128" "$bad" "$@" 2>"$ERR" || { not_ok "edit $*"; return; }
    run sample --ckpt "$bad" --steps 10
    local why=''
    [ "$status" = 3 ] || why="exit status $status, not 3"
    [ "$(wc -l <"$ERR")" = 1 ] || why="not one line on stderr"
    grep -q '^dydit: .*bad\.safetensors' "$ERR" || why="the file is not named"
    grep -q -E -e "$pattern" "$ERR" || why="stderr does not match $pattern"
    [ ! -s "$OUT" ] || why="something on stdout"
    [ -z "$(ls -A)" ] || why="files left: $(ls -A)"
    if [ -z "$why" ]; then ok "refused: $(short "$@")"; else not_ok "refused: $(short "$@")" "$why"; fi
}

# inspected NAME: the same file is looked at without a crash
inspected() {
    run inspect "$bad"
    case $status in
    0 | 3) ok "inspect after: $1" ;;
    *) not_ok "inspect after: $1" "exit status $status" ;;
    esac
}

# ---- the file as a whole ----
: >"$TMP/empty.safetensors"
refused 3 'empty' sample --ckpt "$TMP/empty.safetensors"
refused 3 'safetensors' sample --ckpt "$ROOT/Makefile"
for n in 1 7 8 9 100 8000 $((size - 1)) $((size / 2)); do
    broken 'cut off|too few|header|data' truncate "$n"
    inspected "truncate $n"
done
for n in 1 4096; do broken 'there are|end' append "$n"; done
for n in 0 1 99999999999 9223372036854775807; do broken 'header' header-size "$n"; done
broken 'header' header-size $((size * 2))

# ---- the header ----
broken 'JSON' raw-header '{"a":'
broken 'header' raw-header '[]'
broken 'no object|JSON|entry' raw-header '{"a": 3}'
broken 'dtype' raw-header '{"a": {"shape": [1], "data_offsets": [0, 4]}}'
broken 'shape' raw-header '{"a": {"dtype": "F32", "data_offsets": [0, 4]}}'
broken 'data_offsets' raw-header '{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0]}}'
broken 'shape' raw-header '{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}'
broken 'shape|overflow' raw-header '{"a": {"dtype": "F32", "shape": [4611686018427387904, 4], "data_offsets": [0, 0]}}'
broken 'rank|more values' raw-header '{"a": {"dtype": "F32", "shape": [1,1,1,1,1,1,1,1,1,1,1,1], "data_offsets": [0, 4]}}'
broken 'metadata' raw-header '{"__metadata__": {"depth": 3}}'
broken 'uplicate' twice pos_embed
deep=$(printf '[%.0s' $(seq 5000))
broken 'header' raw-header "{\"a\": $deep"
inspected "deep nesting"

# ---- tensors ----
broken 'pos_embed' offsets pos_embed 0 4
broken 'pos_embed' offsets pos_embed 99999999 999999990
broken 'pos_embed' offsets pos_embed -4 4
broken 'overlap|span' offsets x_embedder.proj.bias 0 512
broken 'pos_embed' reshape pos_embed 1,64,127
broken 'pos_embed' dtype pos_embed F16
broken 'dtype' dtype pos_embed Q4_0
for t in pos_embed x_embedder.proj.weight blocks.2.attn.qkv.weight blocks.1.attn_rate.router.bias \
    blocks.0.token_selection.mlp_head.2.weight final_layer.linear.bias t_embedder.mlp.0.weight; do
    broken "$t" drop "$t"
    inspected "drop $t"
    broken "$t" rename "$t" "$t.old"
    broken "$t" nan "$t"
    broken "$t" inf "$t"
done
broken 'blocks.9.mlp.fc1.weight|depth 3' copy blocks.0.mlp.fc1.weight blocks.9.mlp.fc1.weight
broken 'pos_embed' resize pos_embed 1,63,128
broken 'qkv.weight' resize blocks.1.attn.qkv.weight 384,64
broken 'qkv.bias' resize blocks.1.attn.qkv.bias 383
broken 'fc1' resize blocks.2.mlp.fc1.weight 161,128
broken 'router|num_heads' resize blocks.0.attn_rate.router.weight 4,128
broken 'final_layer.linear.weight' resize final_layer.linear.weight 31,128
broken 'x_embedder.proj.weight' resize x_embedder.proj.weight 128,1,4,5
broken 'y_embedder|labels|classes' resize y_embedder.embedding_table.weight 1,128

# ---- metadata against tensors ----
broken 'depth' set-meta depth 4
broken 'hidden_size' set-meta hidden_size 64
broken 'num_classes' set-meta num_classes 25
broken 'num_heads' set-meta num_heads 5
broken 'num_heads' set-meta num_heads 0
broken 'depth' set-meta depth many
broken 'depth' set-meta depth 1e300
broken 'mlp_ratio' set-meta mlp_ratio 4.0
broken 'labels' set-meta labels A,B
broken 'input_size|pos_embed' set-meta input_size 64

# ---- what is not broken ----
"$EDIT" "$D128" "$bad" drop golden.out && accepted inspect "$bad"
"$EDIT" "$D128" "$bad" set-meta note 'anything at all' && accepted plan --ckpt "$bad" --steps 10 -q
accepted inspect "$D64"
check "inspect says what it is" grep -q -i 'dydit' "$OUT"
accepted inspect "$D64" --json
check "inspect prints JSON" json "$OUT"
"$EDIT" "$D128" "$bad" drop pos_embed
run inspect "$bad"
check "inspect names what is missing" grep -q pos_embed "$OUT" "$ERR"
