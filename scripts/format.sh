#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Formats all C sources and the CUDA kernels in place, or with --check only names those that clang-format would change.
# Exit status of --check: 0 fine, 1 differences, 77 no clang-format.
set -eu
cd "$(dirname "$0")/.."

tool=${CLANG_FORMAT:-clang-format}
mapfile -d '' -t files < <({
    find kernels host include tests bench examples -name '*.[ch]' -print0
    find kernels/cuda \( -name '*.cu' -o -name '*.cuh' \) -print0
} 2>/dev/null | sort -z)

if ! command -v "$tool" >/dev/null 2>&1; then
    echo "format: skipped, $tool is not installed"
    [ "${1-}" != --check ] || exit 77
    exit 1
fi
[ "${#files[@]}" -gt 0 ] || { echo "format: no sources found" >&2; exit 1; }

if [ "${1-}" != --check ]; then
    "$tool" -i "${files[@]}"
    exit 0
fi
# All at once: to start the program takes longer than to look at a file.
if report=$("$tool" --dry-run -Werror "${files[@]}" 2>&1); then exit 0; fi
names=$(sed -n 's/^\([^ :]*\):[0-9]*:[0-9]*: .*clang-format.*/format: \1 differs (make format)/p' <<<"$report" | sort -u)
printf '%s\n' "${names:-$report}"
exit 1
