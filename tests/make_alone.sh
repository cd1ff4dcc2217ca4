#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# make, but not while another one that was started like this runs: parts of a test run that go on beside each other (run.sh)
# build in the same folders. DD_MAKE: the make to call. What it calls itself does not wait.
set -u
lock=$(cd "$(dirname "$0")/.." && pwd)/build/make.lock
if [ -n "${DD_MAKE_ALONE-}" ] || ! command -v flock >/dev/null; then exec "${DD_MAKE:-make}" "$@"; fi
export DD_MAKE_ALONE=1
mkdir -p "${lock%/*}"
exec flock --close "$lock" "${DD_MAKE:-make}" "$@"
