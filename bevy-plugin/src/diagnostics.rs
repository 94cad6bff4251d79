//! What the plugin measures, in Bevy's `DiagnosticsStore`.

use bevy_app::App;
use bevy_diagnostic::{Diagnostic, DiagnosticPath, RegisterDiagnostic};

/// Pictures that wait for the worker.
pub const QUEUE: DiagnosticPath = DiagnosticPath::const_new("semsynth/queue");
/// Milliseconds that the worker took for an update.
pub const PAINT_MS: DiagnosticPath = DiagnosticPath::const_new("semsynth/paint_ms");
/// Milliseconds from an edit until its first pixels are in the GPU's queue.
pub const LATENCY_MS: DiagnosticPath = DiagnosticPath::const_new("semsynth/latency_ms");
/// Bytes written to the GPU in a frame.
pub const UPLOAD_BYTES: DiagnosticPath = DiagnosticPath::const_new("semsynth/upload_bytes");
/// Milliseconds of a frame that writing to the GPU took, in the render world.
pub const UPLOAD_MS: DiagnosticPath = DiagnosticPath::const_new("semsynth/upload_ms");
/// Milliseconds of a frame that the plugin's systems took in the main world, and [`PaintLabels`](crate::PaintLabels).
pub const MAIN_MS: DiagnosticPath = DiagnosticPath::const_new("semsynth/main_ms");
/// Milliseconds of a processor that these took: as [`MAIN_MS`], without the time in which other threads had the core.
pub const MAIN_CPU_MS: DiagnosticPath = DiagnosticPath::const_new("semsynth/main_cpu_ms");
/// Results dropped because their labels or model had been replaced, all together.
pub const STALE: DiagnosticPath = DiagnosticPath::const_new("semsynth/stale");

pub(crate) fn register(app: &mut App) {
    for (path, unit) in [
        (QUEUE, ""),
        (PAINT_MS, " ms"),
        (LATENCY_MS, " ms"),
        (UPLOAD_BYTES, " B"),
        (UPLOAD_MS, " ms"),
        (MAIN_MS, " ms"),
        (MAIN_CPU_MS, " ms"),
        (STALE, ""),
    ] {
        app.register_diagnostic(Diagnostic::new(path).with_suffix(unit));
    }
}
