#!/usr/bin/env bash
# Tests the Bevy plugin: without a GPU, then rendered on a software driver of Vulkan. Bevy is built here only, not with the
# rest of the workspace, and unoptimised (the profile `bevy-test`), which takes half the time.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(mesa-vulkan-drivers xvfb xauth libx11-6 libxcursor1 libxi6 libxkbcommon-x11-0)
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    dpkg -s "${packages[@]}" >/dev/null 2>&1 ||
        { timeout 300 apt-get update -qq && timeout 300 apt-get install -y -qq --no-install-recommends "${packages[@]}"; } >/dev/null 2>&1 || true
fi
export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-/tmp}"

echo "-- tests"
log=$(mktemp)
cargo test --profile bevy-test -p bevy_semsynth --features egui -- --show-output >"$log" 2>&1 || { cat "$log"; exit 1; }
grep -E '^(test |test result|skipped:|on software)' "$log" | sed 's/; finished in.*//'

echo "-- clippy"
# With `dev`, which tests need not be built with.
cargo clippy --profile bevy-test -p bevy_semsynth --features egui,dev --all-targets -- -D warnings
cargo clippy --profile bevy-test -p bevy_semsynth --lib --no-default-features -- -D warnings

echo "-- docs"
# With clippy's features, so that dependencies are checked once for both.
RUSTDOCFLAGS="-D warnings" cargo doc --profile bevy-test -p bevy_semsynth --features egui,dev --no-deps

echo "-- the examples"
vulkan=$(find /usr/share/vulkan/icd.d -name 'lvp_icd*.json' 2>/dev/null | head -n 1 || true)
if [ -z "$vulkan" ] || ! command -v xvfb-run >/dev/null || ! command -v xauth >/dev/null; then
    echo "skipped: examples in a window: no software driver of Vulkan, or no xvfb-run (Debian: ${packages[*]})"
    exit 0
fi
shots=${SHOTS:-$(mktemp -d)}
mkdir -p "$shots"
target=${CARGO_TARGET_DIR:-target}/bevy-test/examples
# Runs an example, in a window or not, and looks whether its picture shows anything: one of nothing takes far less.
run() {
    local example=$1
    shift
    rm -f "$shots/$example.png"
    VK_DRIVER_FILES=$vulkan VK_ICD_FILENAMES=$vulkan timeout 300 "$@" >"$shots/$example.log" 2>&1 ||
        { cat "$shots/$example.log"; echo "failed: $example"; exit 1; }
    [ "$(stat -c %s "$shots/$example.png" 2>/dev/null || echo 0)" -gt 100000 ] ||
        { cat "$shots/$example.log"; echo "failed: $example took no screenshot that shows anything"; exit 1; }
    echo "ok: $example"
}
for example in minimal terrain_live chunk_streaming style_morph; do
    export SEMSYNTH_SCREENSHOT=$shots/$example.png
    run "$example" xvfb-run -a -s '-screen 0 1280x800x24' "$target/$example"
done
run headless_screenshot "$target/headless_screenshot" "$shots/headless_screenshot.png"
