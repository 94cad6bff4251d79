#!/usr/bin/env bash
# Compiles the plug-in for Windows and macOS, as far as that goes without a linker of theirs: clippy, without warnings. Targets that
# cannot be installed here, or take too long, are skipped.
#
# usage: ci-targets.sh [MINUTES]    (for all targets together; 15 by default)
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=never
limit=$((${1:-15} * 60))

# Build scripts of dependencies may compile C for Windows.
compiler=gcc-mingw-w64-x86-64
has_compiler() { command -v x86_64-w64-mingw32-gcc >/dev/null; }
if ! has_compiler && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    { timeout 300 apt-get update -qq && timeout 300 apt-get install -y -qq --no-install-recommends "$compiler"; } >/dev/null 2>&1 || true
fi

for target in x86_64-pc-windows-gnu x86_64-apple-darwin; do
    skip() { echo "skipped: $target: $1"; }
    if [[ $target == *windows* ]] && ! has_compiler; then
        skip "there is no $compiler"
        continue
    fi
    timeout 300 rustup target add "$target" >/dev/null 2>&1 || true
    if ! [ -d "$(rustc --print target-libdir --target "$target")" ]; then
        skip "rustup cannot install it"
        continue
    fi
    left=$((limit - SECONDS))
    if [ "$left" -lt 60 ]; then
        skip "there is no time left"
        continue
    fi
    status=0
    timeout "$left" cargo clippy --release -p semsynth-gimp --target "$target" -- -D warnings || status=$?
    case $status in
        0) echo "ok    $target: no warnings" ;;
        124) skip "it takes longer than ${1:-15} minutes" ;;
        *) echo "failed: $target"; exit 1 ;;
    esac
done
