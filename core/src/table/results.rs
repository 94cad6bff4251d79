//! What a table has reached.

use serde::Serialize;

use crate::error::{Error, Result};
use crate::eval::Report;

/// The results of a table: `table.json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Results {
    /// Version of this library.
    pub program: String,
    /// The device.
    pub device: String,
    /// Number of pictures that each row is trained on.
    pub images: u64,
    /// The rows.
    pub rows: Vec<RowResult>,
}

/// How far a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RowState {
    /// Not trained yet, or not to the end.
    Unfinished,
    /// Trained and measured.
    Finished,
    /// Training diverged; there is nothing to measure.
    Diverged,
}

/// A row of a table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RowResult {
    /// Its name.
    pub name: String,
    /// How far it is.
    pub state: RowState,
    /// Its number of steps.
    pub steps: u64,
    /// Number of parameters of generator and encoder, without the discriminator.
    pub parameters: Option<usize>,
    /// Mean seconds of a step by the clock, with reading data and drawing contact sheets; `None` for a
    /// run of fewer than `log_every` steps.
    pub seconds_per_step: Option<f64>,
    /// Why there are no measures, if it diverged.
    pub message: Option<String>,
    /// What was measured.
    pub report: Option<Report>,
}

/// A measure: its title, and its text in a row.
type Column = (&'static str, fn(&Report) -> Option<String>);

/// Measures, in the order of the columns.
const COLUMNS: [Column; 8] = [
    ("PSNR ↑", |report| Some(report.similarity.psnr.map_or_else(|| "∞".into(), |psnr| format!("{psnr:.2}")))),
    ("SSIM ↑", |report| Some(format!("{:.3}", report.similarity.ssim))),
    ("RMSE ↓", |report| Some(format!("{:.3}", report.similarity.rmse))),
    ("LPIPS ↓", |report| report.lpips.as_ref().map(|lpips| format!("{:.3}", lpips.mean))),
    ("FID ↓", |report| report.fid.as_ref().map(|fid| format!("{:.1}", fid.value))),
    ("mIoU ↑", |report| percent(report.segmentation.as_ref()?.mean_iou)),
    ("accuracy ↑", |report| percent(report.segmentation.as_ref()?.pixel_accuracy)),
    ("ESPNet distance ↓", |report| {
        report.segmenter_distance.as_ref().map(|distance| format!("{:.1}", distance.value))
    }),
];

fn percent(share: Option<f64>) -> Option<String> {
    share.map(|share| format!("{:.1}", share * 100.0))
}

impl Results {
    /// The results as JSON.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] if they cannot be written as JSON.
    pub fn to_json(&self) -> Result<String> {
        let text = serde_json::to_string_pretty(self);
        text.map(|text| text + "\n").map_err(|error| Error::Data(format!("the table cannot be written: {error}")))
    }

    /// The results as a Markdown table: system, millions of parameters, seconds per step, and the measures that any row
    /// has. mIoU and accuracy are in percent.
    pub fn to_markdown(&self) -> String {
        let reports = || self.rows.iter().filter_map(|row| row.report.as_ref());
        let columns: Vec<&Column> =
            COLUMNS.iter().filter(|(_, value)| reports().any(|report| value(report).is_some())).collect();
        let mut header = vec!["system", "parameters (M)", "s/step"];
        header.extend(columns.iter().map(|(title, _)| *title));
        // A table in which nothing has been measured still says how far it is.
        if columns.is_empty() {
            header.push("state");
        }
        let mut lines = vec![line(header.iter().map(|&title| title.to_owned()))];
        lines.push(format!("|---|{}", "---:|".repeat(header.len() - 1)));
        for row in &self.rows {
            let none = || "–".to_owned();
            let mut cells = vec![
                row.name.replace('|', "\\|"),
                row.parameters.map_or_else(none, |count| format!("{:.2}", count as f64 / 1e6)),
                row.seconds_per_step.map_or_else(none, |seconds| format!("{seconds:.3}")),
            ];
            let state = match row.state {
                RowState::Unfinished => "unfinished",
                RowState::Diverged => "diverged",
                RowState::Finished => "–",
            };
            let first = cells.len();
            match &row.report {
                Some(report) => cells.extend(columns.iter().map(|(_, value)| value(report).unwrap_or_else(none))),
                None => cells.resize(header.len(), none()),
            }
            if row.report.is_none() {
                cells.splice(first..=first, [state.to_owned()]);
            }
            lines.push(line(cells.into_iter()));
        }
        lines.join("\n") + "\n"
    }
}

fn line(cells: impl Iterator<Item = String>) -> String {
    format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::{PROTOCOL, Similarity};

    #[test]
    fn markdown_has_a_line_for_each_row_and_the_measures_there_are() {
        let report = Report {
            protocol: PROTOCOL,
            program: String::new(),
            source: String::new(),
            pictures: 2,
            similarity: Similarity { psnr: Some(12.345), ssim: 0.5, rmse: 0.25 },
            lpips: None,
            fid: None,
            segmentation: None,
            segmentation_of_photos: None,
            segmenter_distance: None,
        };
        let row = |name: &str, state, report: Option<Report>| RowResult {
            name: name.into(),
            state,
            steps: 2,
            parameters: report.as_ref().map(|_| 1_234_567),
            seconds_per_step: report.as_ref().map(|_| 0.5),
            message: None,
            report,
        };
        let rows = vec![row("a|b", RowState::Finished, Some(report)), row("c", RowState::Diverged, None)];
        let mut results = Results { program: String::new(), device: "CPU".into(), images: 4, rows };
        let expected = "| system | parameters (M) | s/step | PSNR ↑ | SSIM ↑ | RMSE ↓ |\n|---|---:|---:|---:|---:|---:|\n\
                        | a\\|b | 1.23 | 0.500 | 12.35 | 0.500 | 0.250 |\n| c | – | – | diverged | – | – |\n";
        assert_eq!(results.to_markdown(), expected.replace("12.35", &format!("{:.2}", 12.345)));
        results.rows.remove(0);
        assert!(results.to_markdown().ends_with("| c | – | – | diverged |\n"), "{}", results.to_markdown());
    }
}
