#!/usr/bin/env bash
# Checks the C library as its users get it: the header is up to date, and programs in C, C++ and Python are built against an
# installed package and run, some of them with sanitizers. A step of .ci/run.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(build-essential clang cmake pkg-config python3-minimal)
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    dpkg -s "${packages[@]}" >/dev/null 2>&1 || { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null; }
fi
target=${CARGO_TARGET_DIR:-target}

cargo run -q --manifest-path ffi/header/Cargo.toml --target-dir "$target/header" -- --check

# All packages that are tested together, so that what they depend on has the same features and is built once.
all=(-p semsynth -p semsynth-kernels -p semsynth-ffi -p semsynth-gimp)
cargo build -q --release "${all[@]}" --lib
export SEMSYNTH_LIBRARY="$PWD/$target/release"
case $target in /*) SEMSYNTH_LIBRARY=$target/release ;; esac
cargo test --release "${all[@]}" --test header --test calls --test install --test rounds -- --show-output
SEMSYNTH_FUZZ_SECONDS=${SEMSYNTH_FUZZ_SECONDS:-60} cargo test --release "${all[@]}" --lib -- --show-output fuzz
