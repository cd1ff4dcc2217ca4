#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A picture sheet of the demo model: the same letters by every method, with what it costs, how much faster it was and how far
# its pictures are from those of the complete model (docs/methods.md). Run by `make methods` after the build. Writes
# methods.svg and methods.json into build/methods, or the folder that is given.
#     scripts/methods.sh [FOLDER]
# ROUNDS: timed runs of every row, each with a complete run step by step beside it (3).
set -eu
cd "$(dirname "$0")/.."

# One row each: its name, and the flags of `dydit sample`. --search R, which sample does not have, stands for the plan that
# `dydit plan --search --budget R` finds. A new method is a new row.
methods='
complete model               | --dense
FORA, every 2nd step         | --dense --policy fora:interval=2
FORA, every 3rd step         | --dense --policy fora:interval=3
FORA, every 5th step         | --dense --policy fora:interval=5
Learning-to-Cache            | --dense --policy l2c:router=models/glyphs-l2c-ddim50.json
inherit delta, stride 2      | --dense --policy inherit:mode=delta,stride=2
inherit delta, stride 3      | --dense --policy inherit:mode=delta,stride=3
inherit output, blocks 2-5   | --dense --policy inherit:mode=output,sites=blocks.2-5,stride=2
search, budget 0.5           | --dense --search 0.5
search, budget 0.3           | --dense --search 0.3
DyDiT                        |
DyDiT, FORA, every 2nd step  | --policy fora:interval=2
DyDiT, FORA, every 3rd step  | --policy fora:interval=3
DyDiT, FORA, every 5th step  | --policy fora:interval=5
DyDiT, Learning-to-Cache     | --policy l2c:router=models/glyphs-l2c-ddim50.json
DyDiT, inherit delta, 2      | --policy inherit:mode=delta,stride=2
DyDiT, inherit delta, 3      | --policy inherit:mode=delta,stride=3
DyDiT, search, budget 0.3    | --search 0.3
DyDiT, search, budget 0.15   | --search 0.15
'

build=${BUILD:-build/${CONFIG:-release}}
out=${1:-build/methods}
model=models/glyphs.safetensors
rounds=${ROUNDS:-3}
run=(--ckpt "$model" --steps ddim50 --cfg-scale 2)
letters=(--class-labels A,B,E,G,K,M,R,S --seed 800 --nrow 8 -q)
dydit=$build/dydit look=$build/tests/tools/st_look
for program in "$dydit" "$look"; do
    [ -x "$program" ] || { echo "methods: $program is missing; run make methods" >&2; exit 1; }
done

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$out"

names=() flags=()
while IFS='|' read -r name words; do
    [ -n "$name" ] || continue
    names+=("$(sed 's/ *$//' <<<"$name")")
    flags+=("$words")
done <<<"$methods"
n=${#names[@]}

# search ROW: the row's flags with --search R replaced by --plan FILE
search() {
    local words start=()
    read -r -a words <<<"${flags[$1]}"
    case " ${flags[$1]} " in *' --dense '*) start=(--dense) ;; esac
    for i in "${!words[@]}"; do
        [ "${words[$i]}" = --search ] || continue
        echo "Searching: ${names[$1]} ..." >&2
        "$dydit" plan "${run[@]}" "${start[@]}" --search --budget "${words[$((i + 1))]}" -q -o "$tmp/$1.plan.json" 2>"$tmp/log" ||
            { cat "$tmp/log" >&2; exit 1; }
        flags[$1]="--plan $tmp/$1.plan.json"
        return
    done
}

# draw ROW ROUND: the figures of a run into ROW.ROUND.json, its pictures beside it
draw() {
    local words compare=(--compare-dense)
    read -r -a words <<<"${flags[$1]}"
    [ "${flags[$1]// /}" != --dense ] || compare=()
    "$dydit" sample "${run[@]}" "${letters[@]}" "${words[@]}" "${compare[@]}" --json -o "$tmp/$1.png" \
        --latents-out "$tmp/$1.st" >"$tmp/$1.$2.json" 2>"$tmp/log" || { cat "$tmp/log" >&2; exit 1; }
}

median() { sort -g | awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'; }

# speedups ROW: of all rounds; the complete model is beside itself
speedups() {
    for ((r = 0; r < rounds; r++)); do
        "$look" json "$tmp/$1.$r.json" speedup 2>/dev/null || echo 1
    done
}

for ((k = 0; k < n; k++)); do search "$k"; done
for ((r = 0; r < rounds; r++)); do
    echo "Drawing, round $((r + 1)) of $rounds ..." >&2
    for ((k = 0; k < n; k++)); do draw "$k" "$r"; done
done
cpu=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo 2>/dev/null | head -n 1)
where="${cpu:-unknown CPU}, $("$look" json "$tmp/0.0.json" settings.backend)"

# ---- methods.json ----
{
    printf '{"schema":"dydit-methods","schema_version":1,"machine":"%s","rounds":%d,"rows":[' "${where//\"/}" "$rounds"
    for ((k = 0; k < n; k++)); do
        [ "$k" = 0 ] || printf ,
        mse[k]=$("$look" mse "$tmp/$k.st" latents "$tmp/0.st" latents)
        ratio[k]=$("$look" json "$tmp/$k.0.json" mac_ratio)
        speed[k]=$(speedups "$k" | median)
        printf '\n{"name":"%s","mac_ratio":%s,"speedup":%s,"mean_squared_difference":%s,"runs":[' "${names[$k]}" \
            "${ratio[$k]}" "${speed[$k]}" "${mse[$k]}"
        for ((r = 0; r < rounds; r++)); do
            [ "$r" = 0 ] || printf ,
            sed 's/"files": \[.*\]/"files": []/' "$tmp/$k.$r.json" # they are gone
        done
        printf ']}'
    done
    printf ']}\n'
} >"$tmp/methods.json"

# ---- methods.svg ----
{
    ink='#1c2733' muted='#5c6b7a' row=62 top=96
    height=$((top + n * row + 16))
    cat <<END
<svg xmlns="http://www.w3.org/2000/svg" width="960" height="$height" viewBox="0 0 960 $height" font-family="system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif" font-size="13" fill="$ink" role="img">
<desc>The same letters by every method</desc>
<rect x="0.5" y="0.5" width="959" height="$((height - 1))" rx="8" fill="#ffffff" stroke="#dfe4e9"/>
<text x="24" y="36" font-size="18" font-weight="700">The same letters by every method</text>
<text x="24" y="56" font-size="12" fill="$muted">demo model, DDIM 50 steps, guidance 2, seed 800; $(sed 's/&/\&amp;/g; s/</\&lt;/g' <<<"$where")</text>
<text x="740" y="84" text-anchor="end" fill="$muted">MAC ratio</text>
<text x="830" y="84" text-anchor="end" fill="$muted">speed-up</text>
<text x="936" y="84" text-anchor="end" fill="$muted">difference</text>
END
    for ((k = 0; k < n; k++)); do
        y=$((top + k * row))
        printf '<text x="24" y="%d">%s</text>\n' $((y + 36)) "${names[$k]}"
        printf '<image x="220" y="%d" width="411" height="54" style="image-rendering:pixelated" href="data:image/png;base64,%s"/>\n' \
            $((y + 4)) "$(base64 -w 0 "$tmp/$k.png")"
        printf '<text x="740" y="%d" text-anchor="end">%.2f</text>\n' $((y + 36)) "${ratio[$k]}"
        printf '<text x="830" y="%d" text-anchor="end">%.2f</text>\n' $((y + 36)) "${speed[$k]}"
        printf '<text x="936" y="%d" text-anchor="end">%.2g</text>\n' $((y + 36)) "${mse[$k]}"
        printf '<line x1="24" y1="%d" x2="936" y2="%d" stroke="#e6eaee"/>\n' "$y" "$y"
    done
    echo '</svg>'
} >"$tmp/methods.svg"

"$look" json "$tmp/methods.json" >/dev/null || { echo "methods: the report is no JSON" >&2; exit 1; }
mv "$tmp/methods.json" "$tmp/methods.svg" "$out/"
printf '%-28s %9s %9s %12s\n' method 'MAC ratio' speed-up difference
for ((k = 0; k < n; k++)); do
    printf '%-28s %9.2f %9.2f %12.2g\n' "${names[$k]}" "${ratio[$k]}" "${speed[$k]}" "${mse[$k]}"
done
echo "wrote $out/methods.svg and $out/methods.json"
