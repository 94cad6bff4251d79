#!/usr/bin/env bash
# Tests training by many processes over MPI. The feature `mpi` needs a library of MPI, and libclang to read its headers, so the
# rest of the workspace is built without it.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(libopenmpi-dev openmpi-bin libclang-dev)
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    dpkg -s "${packages[@]}" >/dev/null 2>&1 ||
        { timeout 300 apt-get update -qq && timeout 300 apt-get install -y -qq --no-install-recommends "${packages[@]}"; } >/dev/null 2>&1 || true
fi
if ! command -v mpirun >/dev/null || ! command -v mpicc >/dev/null; then
    echo "skipped: training over MPI: no mpirun or no mpicc (Debian: ${packages[*]})"
    exit 0
fi
# With the packages that are tested together, so that dependencies have the same features and are built once.
all=(-p semsynth -p semsynth-kernels -p semsynth-ffi -p semsynth-gimp --features semsynth/mpi)
cargo test --release "${all[@]}" --test mpi -- --show-output
cargo clippy --release "${all[@]}" --all-targets -- -D warnings
