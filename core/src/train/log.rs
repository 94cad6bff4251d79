//! The log of a training run (one JSON object per line), and plots of it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use plotters::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files::write_whole;

/// The values measured at one training step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Index of the training step, counted from the start of the run.
    pub step: u64,
    /// Seconds of training so far.
    pub seconds: f64,
    /// Measured values by name. A value that is not finite is written as `null` and read as NaN.
    #[serde(deserialize_with = "null_is_nan")]
    pub values: BTreeMap<String, f32>,
}

/// JSON has no NaN, so a diverged loss is written as `null`.
fn null_is_nan<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, f32>, D::Error> {
    let values = BTreeMap::<String, Option<f32>>::deserialize(deserializer)?;
    Ok(values.into_iter().map(|(name, value)| (name, value.unwrap_or(f32::NAN))).collect())
}

/// An open log file. Each record is passed to the system as soon as it is appended.
#[derive(Debug)]
pub struct TrainLog {
    file: File,
    path: PathBuf,
}

impl TrainLog {
    /// Creates an empty log; replaces an existing one.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let file = File::create(&path).map_err(Error::io(&path))?;
        Ok(Self { file, path })
    }

    /// Continues a log after `step`. Records of later steps and an incomplete last line are dropped.
    ///
    /// The file is replaced atomically, so a crash leaves either the old or the new one. If it does not exist, it is
    /// created.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or written, or a line other than the last one is malformed.
    pub fn resume(path: impl AsRef<Path>, step: u64) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let mut kept = match Self::read(&path) {
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Vec::new(),
            records => records?,
        };
        kept.retain(|record| record.step <= step);
        let mut text = Vec::new();
        for record in &kept {
            text.extend(line(record)?);
        }
        write_whole(&path, |out| out.write_all(&text))?;
        let file = OpenOptions::new().append(true).open(&path).map_err(Error::io(&path))?;
        Ok(Self { file, path })
    }

    /// Appends one record.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn append(&mut self, record: &Record) -> Result<()> {
        let line = line(record)?;
        self.file.write_all(&line).and_then(|()| self.file.flush()).map_err(Error::io(&self.path))
    }

    /// Reads all records; an incomplete last line is ignored.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or a line other than the last one is malformed.
    pub fn read(path: impl AsRef<Path>) -> Result<Vec<Record>> {
        let path = path.as_ref();
        let bytes = fs::read(path).map_err(Error::io(path))?;
        let mut lines: Vec<_> = bytes.split(|&b| b == b'\n').enumerate().collect();
        lines.retain(|(_, line)| !line.trim_ascii().is_empty());
        let last = lines.len().saturating_sub(1);
        let mut records = Vec::with_capacity(lines.len());
        for (i, (number, line)) in lines.into_iter().enumerate() {
            match serde_json::from_slice(line) {
                Ok(record) => records.push(record),
                Err(_) if i == last => {}
                Err(e) => {
                    let message = format!("line {} of the training log is malformed: {e}", number + 1);
                    let advice = "remove that line, or train into another folder";
                    return Err(Error::Data(format!("{}: {message}; {advice}", path.display())));
                }
            }
        }
        Ok(records)
    }
}

fn line(record: &Record) -> Result<Vec<u8>> {
    let mut line = serde_json::to_vec(record)
        .map_err(|e| Error::Argument(format!("the record of step {} cannot be written: {e}", record.step)))?;
    line.push(b'\n');
    Ok(line)
}

/// Distinct colours, also for colour-blind people (Okabe and Ito), without yellow, which is hard to see on white.
const COLORS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(90, 90, 90),
    RGBColor(120, 60, 20),
];

/// Approximate maximum number of points of a curve: more are not visible and make the file larger.
const POINTS: usize = 800;

const SIZE: (u32, u32) = (1000, 600);

/// One measured quantity over the steps.
struct Series {
    name: String,
    raw: Vec<(u64, f64)>,
    smooth: Vec<(u64, f64)>,
}

/// Plots all values over the steps as an SVG at `path`: for each name a thin curve of the measured values and a thick
/// smoothed one.
///
/// Values that are not finite are left out, and rare outliers are clipped at the top or bottom. Without any values
/// the axes are empty.
///
/// # Errors
///
/// If the file cannot be written.
pub fn plot(records: &[Record], path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let series = series(records);
    let mut svg = String::new();
    draw(&series, &mut svg).map_err(|e| Error::io(path)(std::io::Error::other(e)))?;
    write_whole(path, |out| out.write_all(svg.as_bytes()))
}

fn draw(series: &[Series], svg: &mut String) -> std::result::Result<(), String> {
    let (steps, values) = ranges(series);
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    let text = |e: DrawingAreaErrorKind<_>| e.to_string();
    area.fill(&WHITE).map_err(text)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(16)
        .x_label_area_size(48)
        .y_label_area_size(64)
        .build_cartesian_2d(steps.0..steps.1, values.0..values.1)
        .map_err(text)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.12))
        .x_desc("step")
        .y_desc("loss")
        .x_label_formatter(&|step| step.to_string())
        .y_label_formatter(&|value| tick(*value, values.1 - values.0))
        .label_style(("sans-serif", 15))
        .draw()
        .map_err(text)?;

    // Draw all thin curves below all thick ones.
    for (one, color) in series.iter().zip(COLORS.iter().cycle()) {
        chart.draw_series(LineSeries::new(one.raw.iter().copied(), color.mix(0.3))).map_err(text)?;
    }
    for (one, &color) in series.iter().zip(COLORS.iter().cycle()) {
        // A single point has no line.
        let lone = one.smooth.first().filter(|_| one.smooth.len() == 1);
        chart.draw_series(lone.map(|&point| Circle::new(point, 4, color.filled()))).map_err(text)?;
        chart
            .draw_series(LineSeries::new(one.smooth.iter().copied(), color.stroke_width(2)))
            .map_err(text)?
            .label(one.name.clone())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 22, y)], color.stroke_width(3)));
    }
    if !series.is_empty() {
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .legend_area_size(30)
            .margin(10)
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.3))
            .label_font(("sans-serif", 15))
            .draw()
            .map_err(text)?;
    }
    area.present().map_err(text)
}

/// As many decimals as the range requires.
fn tick(value: f64, range: f64) -> String {
    let magnitude = range.log10();
    if !(-4.0..6.0).contains(&magnitude) {
        return format!("{value:.1e}");
    }
    let decimals = (1.5 - magnitude).ceil().max(0.0) as usize;
    let text = format!("{value:.decimals$}");
    if text.trim_start_matches('-').chars().all(|c| matches!(c, '0' | '.')) { "0".to_owned() } else { text }
}

fn series(records: &[Record]) -> Vec<Series> {
    let mut points = BTreeMap::<&str, Vec<(u64, f64)>>::new();
    for record in records {
        for (name, &value) in &record.values {
            if value.is_finite() {
                points.entry(name).or_default().push((record.step, value.into()));
            }
        }
    }
    let finish = |(name, mut raw): (&str, Vec<(u64, f64)>)| {
        raw.sort_by_key(|&(step, _)| step);
        // A single outlier must not raise the average for long.
        let (low, high) = usual(&raw).unwrap_or_default();
        let tame: Vec<_> = raw.iter().map(|&(step, value)| (step, value.clamp(low, high))).collect();
        let smooth = thin_out(&smoothed(&tame), false);
        Series { name: name.to_owned(), raw: thin_out(&raw, true), smooth }
    };
    points.into_iter().map(finish).collect()
}

/// An exponential moving average over about one thirtieth of the points, with bias correction at its start.
fn smoothed(points: &[(u64, f64)]) -> Vec<(u64, f64)> {
    let window = (points.len() as f64 / 30.0).clamp(1.0, 500.0);
    let keep = 1.0 - 2.0 / (window + 1.0);
    let (mut sum, mut weight) = (0.0, 0.0);
    let average = |&(step, value): &(u64, f64)| {
        sum = sum * keep + value;
        weight = weight * keep + 1.0;
        (step, sum / weight)
    };
    points.iter().map(average).collect()
}

/// Keeps the first and the last point and some in between; with `extremes`, the smallest and the largest of each
/// section.
fn thin_out(points: &[(u64, f64)], extremes: bool) -> Vec<(u64, f64)> {
    if points.len() <= POINTS {
        return points.to_vec();
    }
    let stretch = points.len().div_ceil(if extremes { POINTS / 2 } else { POINTS });
    let mut kept: Vec<_> = points.first().copied().into_iter().collect();
    for some in points.chunks(stretch) {
        if extremes {
            let lowest = some.iter().enumerate().min_by(|a, b| a.1.1.total_cmp(&b.1.1));
            let highest = some.iter().enumerate().max_by(|a, b| a.1.1.total_cmp(&b.1.1));
            let mut both: Vec<_> = lowest.into_iter().chain(highest).collect();
            both.sort_by_key(|&(i, _)| i);
            kept.extend(both.into_iter().map(|(_, &point)| point));
        } else {
            kept.extend(some.last());
        }
    }
    kept
}

/// The range of values without the most extreme percent at either end (the full range for fewer than 20 values).
fn usual(points: &[(u64, f64)]) -> Option<(f64, f64)> {
    let mut sorted: Vec<_> = points.iter().map(|&(_, value)| value).collect();
    sorted.sort_by(f64::total_cmp);
    let cut = if sorted.len() < 20 { 0 } else { sorted.len().div_ceil(100) };
    Some((*sorted.get(cut)?, *sorted.get(sorted.len() - 1 - cut)?))
}

/// The ranges of the axes: all steps, and the usual values of each series.
fn ranges(series: &[Series]) -> ((u64, u64), (f64, f64)) {
    let steps = || series.iter().flat_map(|s| &s.raw).map(|&(step, _)| step);
    let (first, last) = (steps().min().unwrap_or(0), steps().max().unwrap_or(1));
    // An axis must not be empty.
    let steps = if first < last { (first, last) } else { (first.saturating_sub(1), last.saturating_add(1)) };

    let mut bounds: Option<(f64, f64)> = None;
    let mut include = |value: f64| {
        let (low, high) = bounds.unwrap_or((value, value));
        bounds = Some((low.min(value), high.max(value)));
    };
    for one in series {
        if let Some((low, high)) = usual(&one.raw) {
            include(low);
            include(high);
        }
    }
    let (low, high) = bounds.unwrap_or((0.0, 1.0));
    let room = ((high - low) * 0.04).max(high.abs().max(low.abs()) * 1e-3).max(1e-6);
    // Losses are compared with zero: if zero is close, the axis starts there.
    let low = if low >= 0.0 && low < high * 0.5 { 0.0 } else { low - room };
    (steps, (low, high + room))
}

#[cfg(test)]
mod tests {
    use super::{POINTS, Record, Series, TrainLog, plot, ranges, series, smoothed, thin_out, tick};
    use crate::error::Error;
    use proptest::prelude::*;
    use std::fs;
    use std::path::Path;

    fn record(step: u64, values: &[(&str, f32)]) -> Record {
        let values = values.iter().map(|&(name, value)| (name.to_owned(), value)).collect();
        Record { step, seconds: step as f64 * 0.25, values }
    }

    fn written(path: &Path, steps: std::ops::RangeInclusive<u64>) {
        let mut log = TrainLog::create(path).unwrap();
        steps.for_each(|step| log.append(&record(step, &[("L1", step as f32)])).unwrap());
    }

    fn steps(path: &Path) -> Vec<u64> {
        TrainLog::read(path).unwrap().iter().map(|r| r.step).collect()
    }

    #[test]
    fn reads_back_what_was_appended_without_closing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.jsonl");
        let mut log = TrainLog::create(&path).unwrap();
        let first = record(1, &[("G GAN", 0.1), ("D", -1.5e-7)]);
        log.append(&first).unwrap();
        assert_eq!(TrainLog::read(&path).unwrap(), std::slice::from_ref(&first));
        log.append(&record(2, &[("D", f32::NAN), ("L1", f32::INFINITY)])).unwrap();
        let both = TrainLog::read(&path).unwrap();
        assert_eq!(both[0], first);
        assert!(both[1].values["D"].is_nan() && both[1].values["L1"].is_nan());
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().next(), Some(r#"{"step":1,"seconds":0.25,"values":{"D":-1.5e-7,"G GAN":0.1}}"#));
    }

    #[test]
    fn resuming_drops_later_steps() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.jsonl");
        written(&path, 1..=10);
        let mut log = TrainLog::resume(&path, 7).unwrap();
        assert_eq!(steps(&path), (1..=7).collect::<Vec<_>>());
        log.append(&record(8, &[])).unwrap();
        assert_eq!(steps(&path), (1..=8).collect::<Vec<_>>());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn a_torn_last_line_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.jsonl");
        written(&path, 1..=3);
        let whole = fs::read(&path).unwrap();
        let third = whole.iter().enumerate().filter(|&(_, &b)| b == b'\n').nth(1).unwrap().0 + 1;
        for end in third..whole.len() - 1 {
            fs::write(&path, &whole[..end]).unwrap();
            assert_eq!(steps(&path), [1, 2], "cut after {end} bytes");
            TrainLog::resume(&path, 9).unwrap().append(&record(3, &[])).unwrap();
            assert_eq!(steps(&path), [1, 2, 3]);
        }
        // Only the line break is missing: the record is complete.
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        TrainLog::resume(&path, 9).unwrap().append(&record(4, &[])).unwrap();
        assert_eq!(steps(&path), [1, 2, 3, 4]);
    }

    #[test]
    fn a_malformed_line_in_the_middle_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.jsonl");
        written(&path, 1..=3);
        let text = fs::read_to_string(&path).unwrap().replacen(r#""step":2"#, r#""step":"#, 1);
        fs::write(&path, &text).unwrap();
        let message = TrainLog::resume(&path, 9).unwrap_err().to_string();
        assert!(message.contains("line 2") && message.contains("log.jsonl"), "{message}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "nothing was touched");
    }

    #[test]
    fn resuming_without_a_log_starts_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.jsonl");
        TrainLog::resume(&path, 5).unwrap().append(&record(6, &[])).unwrap();
        assert_eq!(steps(&path), [6]);
        let nowhere = dir.path().join("none").join("log.jsonl");
        assert!(matches!(TrainLog::create(&nowhere), Err(Error::Io { .. })));
        assert!(matches!(TrainLog::resume(&nowhere, 0), Err(Error::Io { .. })));
    }

    fn plotted(records: &[Record]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("loss.svg");
        plot(records, &path).unwrap();
        // Keeps the plots in this folder for inspection.
        if let Some(folder) = std::env::var_os("SEMSYNTH_KEEP_PLOTS") {
            let name = format!("{}.svg", std::thread::current().name().unwrap_or("plot").replace("::", "-"));
            fs::copy(&path, Path::new(&folder).join(name)).unwrap();
        }
        let svg = fs::read_to_string(&path).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
        svg
    }

    fn run(steps: u64) -> Vec<Record> {
        let noise = |step: u64, salt: u64| {
            let mixed = (step * 8 + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            ((mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as f32 / (1 << 24) as f32 - 0.5
        };
        let at = |step: u64| {
            let fall = (-(step as f32) / steps as f32 * 4.0).exp();
            record(
                step * 50,
                &[
                    ("D", 0.9 + 0.4 * noise(step, 0)),
                    ("G GAN", 1.2 + 0.8 * noise(step, 1) - 0.5 * fall),
                    ("G feature matching", 2.0 + 6.0 * fall + noise(step, 2)),
                    ("G L1", 1.0 + 3.0 * fall + 0.5 * noise(step, 3)),
                ],
            )
        };
        (1..=steps).map(at).collect()
    }

    #[test]
    fn every_series_is_named_and_drawn() {
        let svg = plotted(&run(3000));
        for name in ["D", "G GAN", "G feature matching", "G L1", "step"] {
            assert!(svg.contains(&format!("\n{name}\n")), "{name}");
        }
        let curves = svg.lines().filter(|line| line.contains("<polyline") && !line.contains("#000000"));
        assert_eq!(curves.count(), 4 * 3, "thin, thick and legend per series");
        assert!(svg.contains("\n100000\n"), "step numbers");
        assert!(svg.len() < 200_000, "{} bytes", svg.len());
    }

    #[test]
    fn values_that_are_not_finite_are_left_out() {
        let mut records = run(100);
        for (i, record) in records.iter_mut().enumerate() {
            match i % 4 {
                0 => record.values.insert("D".into(), f32::NAN),
                1 => record.values.insert("G GAN".into(), f32::INFINITY),
                _ => record.values.insert("only NaN".into(), f32::NAN),
            };
        }
        records[70].values.insert("G L1".into(), f32::MAX);
        assert!(!plotted(&records).contains("only NaN"));
    }

    #[test]
    fn no_point_and_one_point_are_fine() {
        plotted(&[]);
        plotted(&[record(0, &[])]);
        assert!(plotted(&[record(0, &[("D", 0.0)])]).contains("<circle"));
        plotted(&[record(u64::MAX, &[("D", -3.0)]), record(u64::MAX, &[("D", -3.0)])]);
        plotted(&[record(5, &[("D", f32::MAX), ("G", f32::MIN)]), record(7, &[("D", f32::MIN_POSITIVE)])]);
    }

    #[test]
    fn names_are_escaped() {
        let svg = plotted(&[record(1, &[("a < b & c", 1.0)]), record(2, &[("a < b & c", 2.0)])]);
        assert!(svg.contains("a &lt; b &amp; c"));
    }

    #[test]
    fn outliers_do_not_set_the_scale() {
        let mut records = run(1000);
        records[500].values.insert("D".into(), 1e6);
        let (_, (low, high)) = ranges(&series(&records));
        assert!(low == 0.0 && high < 10.0, "{low} {high}");
        let (steps, values) = ranges(&series(&run(1000)));
        assert_eq!(steps, (50, 50_000));
        assert!(values.0 == 0.0 && (7.0..10.0).contains(&values.1), "{values:?}");
    }

    #[test]
    fn smoothing_keeps_a_constant_and_follows_a_slope() {
        let constant: Vec<_> = (0..500).map(|i| (i, 3.0)).collect();
        assert!(smoothed(&constant).iter().all(|&(_, v)| (v - 3.0).abs() < 1e-9));
        let slope: Vec<_> = (0..600u32).map(|i| (u64::from(i), f64::from(i))).collect();
        let (_, last) = smoothed(&slope)[599];
        assert!((575.0..599.0).contains(&last), "{last}");
        let few = [(0, 1.0), (1, 5.0)];
        assert_eq!(smoothed(&few), few, "few points are shown as they are");
    }

    #[test]
    fn ticks_have_as_many_decimals_as_needed() {
        let ticks = [(0.5, 2.0), (0.0, 2.0), (-0.25, 0.8), (12.0, 40.0), (1e9, 1e10), (1e-7, 1e-6)];
        let texts: Vec<_> = ticks.iter().map(|&(value, range)| tick(value, range)).collect();
        assert_eq!(texts, ["0.50", "0", "-0.25", "12", "1.0e9", "1.0e-7"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn thinning_keeps_ends_order_and_extremes(values in prop::collection::vec(-1e3f64..1e3, 1..4000)) {
            let points: Vec<_> = (0u64..).zip(values).collect();
            let thin = thin_out(&points, true);
            prop_assert!(thin.len() <= POINTS + 3);
            prop_assert!(thin.windows(2).all(|w| w[0].0 <= w[1].0));
            prop_assert_eq!(thin.first(), points.first());
            let highest = |p: &[(u64, f64)]| p.iter().map(|p| p.1).fold(f64::MIN, f64::max);
            prop_assert_eq!(highest(&thin).to_bits(), highest(&points).to_bits());
            let last = thin_out(&points, false).last().copied();
            prop_assert_eq!(last, points.last().copied());
        }

        #[test]
        fn any_log_can_be_plotted(
            values in prop::collection::vec((any::<u64>(), any::<f32>(), any::<f32>()), 0..12),
        ) {
            let records: Vec<_> = values.iter().map(|&(step, a, b)| record(step, &[("a", a), ("b", b)])).collect();
            plotted(&records);
            let all: Vec<Series> = series(&records);
            let ((first, last), (low, high)) = ranges(&all);
            prop_assert!(first < last && low < high && low.is_finite() && high.is_finite());
        }
    }
}
