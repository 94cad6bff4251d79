//! Measures live edits: how much faster each goal of a canvas is than a fresh picture, and how far from it the result is.
//!
//! `cargo run --release --example edits -- MODEL SIZE EDIT [OFFSETS]`, such as `builtin:facades 512 56`

use std::path::Path;
use std::time::Instant;

use semsynth::synth::{CancelToken, Canvas, Control, Goal, PreparedModel, Request};
use semsynth::{Device, LabelMap, Model, Rect, Result};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |index: usize, default: usize| arguments.get(index).and_then(|text| text.parse().ok()).unwrap_or(default);
    let model = Model::open(Path::new(arguments.first().map_or("builtin:facades", String::as_str)))?;
    let (size, edit, offsets) = (number(1, 512), number(2, 56), number(3, 12));
    let classes: Vec<u16> = model.classes().iter().map(|class| class.id).collect();
    let prepared = PreparedModel::new(model, &Device::cpu())?;
    let labels = facade(size, &classes)?;
    let request = Request::new();

    let mut synth = prepared.synthesizer();
    let mut fresh: Vec<f64> = Vec::new();
    for turn in 0..4 {
        // Other labels each time, so that nothing is kept.
        let mut ids: Vec<u16> = labels.ids().collect();
        ids[turn] = classes[turn % classes.len()];
        let labels = LabelMap::new(size, size, ids)?;
        let start = Instant::now();
        synth.run(&labels, &request)?;
        fresh.push(start.elapsed().as_secs_f64());
    }
    let whole = quantile(&mut fresh[1..], 0.5);
    println!("{size}x{size}, edits of {edit}x{edit}; a fresh picture takes {:.0} ms", 1e3 * whole);

    let mut canvas = Canvas::new(&prepared, &labels, request.clone())?;
    canvas.update(Goal::Bits, &mut Control::new())?;
    println!("cache: {:.0} MiB", canvas.memory() as f64 / f64::from(1 << 20));
    println!("goal         p10 / p50 / p90 ms       times as fast (p50)  most levels off (pixels off by 4 or more)");
    for goal in [Goal::Preview, Goal::Within(8), Goal::Within(3), Goal::Within(1), Goal::Settled] {
        let (mut times, mut inside, mut outside, mut far) = (Vec::new(), 0, 0, 0);
        for offset in 0..offsets {
            // Offsets within the stride and beyond.
            let (x, y) = ((offset * 37 + 11) % (size - edit), (offset * 53 + 5) % (size - edit));
            let area = Rect { x: x as i64, y: y as i64, width: edit as u32, height: edit as u32 };
            let before: Vec<u16> =
                (0..edit * edit).map(|i| canvas_id(&canvas, x + i % edit, y + i / edit)).collect::<Result<_>>()?;
            let class = classes[(offset * 5 + 3) % classes.len()];
            let start = Instant::now();
            canvas.edit(area, &vec![class; edit * edit])?;
            canvas.update(goal, &mut Control::new())?;
            times.push(start.elapsed().as_secs_f64());
            let expected = synth.run(&canvas.labels()?, &request)?;
            for (i, (found, expected)) in canvas.pixels()?.rows().flatten().zip(expected.as_bytes()).enumerate() {
                let (px, py) = (i / 3 % size, i / 3 / size);
                let within = (x..x + edit).contains(&px) && (y..y + edit).contains(&py);
                let off = found.abs_diff(*expected);
                let most = if within { &mut inside } else { &mut outside };
                *most = off.max(*most);
                far += usize::from(off >= 4);
            }
            // Undo is an edit.
            canvas.edit(area, &before)?;
            canvas.update(Goal::Bits, &mut Control::new())?;
        }
        let [low, middle, high] = [0.1, 0.5, 0.9].map(|q| 1e3 * quantile(&mut times, q));
        println!(
            "{:<12} {low:>7.1} / {middle:>7.1} / {high:>7.1} {:>14.1} {:>12} inside, {outside} outside ({:.3} %)",
            format!("{goal:?}"),
            1e3 * whole / middle,
            inside,
            100.0 * far as f64 / (3 * size * size * offsets) as f64,
        );
    }

    let mut latencies = Vec::new();
    for turn in 0..40 {
        let token = CancelToken::new();
        let other = token.clone();
        let wait = std::time::Duration::from_secs_f64(whole * f64::from(turn) / 44.0);
        let canceller = std::thread::spawn(move || {
            std::thread::sleep(wait);
            other.cancel();
            Instant::now()
        });
        let mut ids: Vec<u16> = labels.ids().collect();
        ids[turn as usize] = classes[turn as usize % classes.len()];
        let ended = synth.run_with(&LabelMap::new(size, size, ids)?, &request, &mut Control::new().cancel(&token));
        let end = Instant::now();
        if let (Err(_), Ok(cancelled)) = (ended, canceller.join()) {
            latencies.push(end.duration_since(cancelled).as_secs_f64());
        }
    }
    let [p50, p95, most] = [0.5, 0.95, 1.0].map(|q| 1e3 * quantile(&mut latencies, q));
    println!("cancelling takes {p50:.1} ms (p50), {p95:.1} (p95), {most:.1} at most, of {}", latencies.len());
    Ok(())
}

fn canvas_id(canvas: &Canvas, x: usize, y: usize) -> Result<u16> {
    Ok(canvas.labels()?.get(x, y).unwrap_or_default())
}

/// A facade: walls with rows of windows of several kinds.
fn facade(size: usize, classes: &[u16]) -> Result<LabelMap> {
    let id = |i: usize| {
        let (x, y) = (i % size, i / size);
        let kind = match (x % 64, y % 72) {
            (12..=46, 14..=56) if x / 64 % 3 == 1 => 4,
            (14..=44, 16..=52) => 2,
            (_, 66..) => 5,
            _ => 1,
        };
        classes[kind % classes.len()]
    };
    LabelMap::new(size, size, (0..size * size).map(id).collect())
}

fn quantile(values: &mut [f64], q: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values.get((last as f64 * q).round() as usize).copied().unwrap_or(f64::NAN)
}
