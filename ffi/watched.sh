#!/usr/bin/env bash
# The boundary under tools that watch every access to memory: Miri (bounds, aliasing, uninitialised bytes, leaks) and the thread
# sanitizer (races). Both need a nightly toolchain with `miri` and `rust-src`, so this is no step of .ci/run; what they run are
# ordinary tests there, `watched_…` in ffi/src/tests/boundary.rs. Miri takes half an hour on one core.
set -euo pipefail
cd "$(dirname "$0")/.."

toolchain=${SEMSYNTH_NIGHTLY:-nightly}
target=${CARGO_TARGET_DIR:-target}
tools=${*:-miri threads}
if ! cargo "+$toolchain" miri --version >/dev/null 2>&1; then
    echo "skipped: no Miri (rustup toolchain install nightly --component miri --component rust-src)"
    exit 0
fi

for tool in $tools; do
    case $tool in
    miri)
        # Free memory is read from /proc. Rayon's queues (crossbeam) make pointers of numbers, which handles are here too.
        MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-permissive-provenance -Zmiri-tree-borrows" \
            cargo "+$toolchain" miri test -p semsynth-ffi --lib --target-dir "$target/miri" -- watched --test-threads 1
        ;;
    threads)
        # The standard library is built too, for the sanitizer must see its locks.
        RUSTFLAGS="-Zsanitizer=thread" TSAN_OPTIONS="halt_on_error=1" \
            cargo "+$toolchain" test -Zbuild-std --target x86_64-unknown-linux-gnu --release -p semsynth-ffi --lib \
            --target-dir "$target/tsan" -- watched
        ;;
    *) echo "unknown: $tool (miri, threads)"; exit 1 ;;
    esac
done
