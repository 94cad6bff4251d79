#!/usr/bin/env bash
# Checks the C library as its users get it: the header is up to date, and programs in C, C++ and Python are built against an
# installed package and run, some of them with sanitizers. A step of .ci/run.
#
# SEMSYNTH_LIBRARY=FOLDER checks the libraries in that folder and builds none. For those of the profile `dist`, which
# `ffi/install.sh` builds in half an hour, with or without `--features gpu`:
#
#     cargo build --profile dist -p semsynth-ffi && SEMSYNTH_LIBRARY=target/dist ffi/ci.sh
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(build-essential clang cmake pkg-config python3-minimal)
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    dpkg -s "${packages[@]}" >/dev/null 2>&1 || { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null; }
fi
# The painter's window; without it a test says that it is skipped.
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    dpkg -s libsdl2-dev >/dev/null 2>&1 || timeout 300 apt-get install -y -qq --no-install-recommends libsdl2-dev >/dev/null 2>&1 || true
fi
target=${CARGO_TARGET_DIR:-target}

cargo run -q --manifest-path ffi/header/Cargo.toml --target-dir "$target/header" -- --check

# All packages that are tested together, so that what they depend on has the same features and is built once.
all=(-p semsynth -p semsynth-kernels -p semsynth-ffi -p semsynth-gimp)
if [ -n "${SEMSYNTH_LIBRARY:-}" ]; then
    SEMSYNTH_LIBRARY=$(cd "$SEMSYNTH_LIBRARY" && pwd)
    for file in libsemsynth.so libsemsynth.a; do
        [ -e "$SEMSYNTH_LIBRARY/$file" ] || { echo "error: there is no $file in $SEMSYNTH_LIBRARY" >&2 && exit 2; }
    done
    built=yes
else
    cargo build -q --release "${all[@]}" --lib
    SEMSYNTH_LIBRARY=$(cd "$target/release" && pwd)
    built=''
fi
export SEMSYNTH_LIBRARY
tests=(--test header --test calls --test install --test limits --test rounds --test start)
cargo test --release "${all[@]}" "${tests[@]}" -- --show-output
# What is compiled into the tests is not what was built before.
if [ -z "$built" ]; then
    export SEMSYNTH_FUZZ_SEED=${SEMSYNTH_FUZZ_SEED:-$(date +%s)}
    SEMSYNTH_FUZZ_SECONDS=${SEMSYNTH_FUZZ_SECONDS:-60} cargo test --release "${all[@]}" --lib -- --show-output fuzz
fi
