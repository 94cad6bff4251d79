//! Parts of a picture for networks that run on a device: windows with as much around them as labels reach.

use std::sync::Arc;

use super::control::Budget;
use super::paint::Job;
use crate::error::{Error, Result};
use crate::label::{
    Area, DistanceMap, LabelMap, LabelPyramid, LabelSource, Limits, Placed, Span, read_edges, read_row, up,
};
use crate::network::{Architecture, Capabilities, Halo, StyleConfig};

/// Longest side of a window, without what is around it.
const SIDE: i64 = 1024;
/// Shortest side, where memory is scarce.
const LEAST: i64 = 128;

/// A window, and the labels that it depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) picture: Area,
    /// Begins and ends at multiples of the stride.
    pub(super) labels: Area,
}

/// The windows of a job, by rows.
///
/// # Errors
///
/// [`Error::Limit`] if not even small windows fit into the budget, unless it is a goal.
pub(super) fn windows(
    job: &Job,
    architecture: &Architecture,
    capabilities: &Capabilities,
    budget: Option<Budget>,
) -> Result<Vec<Vec<Part>>> {
    let Area { rows, columns } = job.window.area;
    let whole = vec![vec![Part { picture: job.window.area, labels: whole_of(job.window.limits, job.window.area) }]];
    // A latent vector's grid is stretched over the whole picture.
    let latent = matches!(architecture.style(), StyleConfig::Latent { .. });
    let (Some(Halo { before, after }), false) = (capabilities.halo, latent) else { return Ok(whole) };
    let stride = i64::from(capabilities.stride);
    // What is to the right of a window affects it as far as labels reach to the left.
    let around = [up(after.into(), stride), up(before.into(), stride)];
    let most = budget.map_or(usize::MAX, |budget| budget.bytes() / bytes_per_pixel(architecture));
    let fits = |side: i64| {
        let longest = |span: Span| (span.len() as i64).min(side) + around[0] + around[1];
        (longest(rows) * longest(columns)) as usize <= most
    };
    let mut side = SIDE;
    while !fits(side) {
        if side == LEAST && matches!(budget, Some(Budget::Goal(_))) {
            break;
        }
        side /= 2;
        if side < LEAST {
            let least = (LEAST + around[0] + around[1]).pow(2) as usize * bytes_per_pixel(architecture);
            return Err(Error::Limit(format!(
                "{} MiB of memory are too little for windows of this model: it needs at least {} MiB",
                budget.map_or(0, Budget::bytes) >> 20,
                least.div_ceil(1 << 20)
            )));
        }
    }
    let parts = |span: Span, limits: Option<Span>| -> Vec<(Span, Span)> {
        let labels =
            |part: Span| Span::new(part.start - around[0], part.end + around[1]).snapped(stride).within(limits);
        span.parts(side).map(|part| (part, labels(part))).collect()
    };
    let Limits { rows: high, columns: wide } = job.window.limits;
    let columns = parts(columns, wide);
    let row = |(rows, label_rows): (Span, Span)| {
        let part = |&(columns, label_columns): &(Span, Span)| Part {
            picture: Area { rows, columns },
            labels: Area { rows: label_rows, columns: label_columns },
        };
        columns.iter().map(part).collect()
    };
    Ok(parts(rows, high).into_iter().map(row).collect())
}

fn whole_of(limits: Limits, area: Area) -> Area {
    Area { rows: limits.rows.unwrap_or(area.rows), columns: limits.columns.unwrap_or(area.columns) }
}

/// An estimate of the memory for features: 1.65 GB for 1024x1024 pixels at official widths and 32 bits. That of the
/// baselines is a guess.
fn bytes_per_pixel(architecture: &Architecture) -> usize {
    match architecture {
        Architecture::SpadeFamily(config) => 26 * config.ngf,
        // Twice the last features and those before them, and the one-hot maps.
        Architecture::Crn(config) => 16 * config.widths().last().unwrap_or(0) + 8 * config.label_channels,
        _ => 2048,
    }
}

/// Reads the labels of a window.
pub(super) fn describe(
    source: &mut Placed<'_>,
    job: &Job,
    labels: Area,
    architecture: &Architecture,
    distances: Option<&DistanceMap>,
) -> Result<Arc<LabelPyramid>> {
    let [height, width] = labels.size();
    let mut ids = vec![0; height * width];
    let mut edges = vec![false; if architecture.instance_edges() { height * width } else { 0 }];
    for (y, ids) in (labels.rows.start..).zip(ids.chunks_exact_mut(width.max(1))) {
        read_row(&mut |area, ids| source.read(area, ids), job.size, y, labels.columns, ids)?;
    }
    for (y, edges) in (labels.rows.start..).zip(edges.chunks_exact_mut(width.max(1))) {
        read_edges(source, job.size, job.window.limits, y, labels.columns.start, edges)?;
    }
    let least = architecture.least_side();
    let map = LabelMap::new(width, height, ids)?;
    let size = [height, width].map(|side| side.max(least));
    let mut pyramid = LabelPyramid::padded(&map, size, architecture.label_channels());
    if architecture.instance_edges() {
        if size == [height, width] {
            pyramid = pyramid.with_edges(edges)?;
        } else {
            // A picture that is extended for the network is a whole one.
            let mut ids = vec![0; height * width];
            for (y, ids) in (labels.rows.start..).zip(ids.chunks_exact_mut(width.max(1))) {
                read_row(&mut |area, ids| source.read_instances(area, ids), job.size, y, labels.columns, ids)?;
            }
            pyramid = pyramid.with_instances(&LabelMap::new(width, height, ids)?)?;
        }
    }
    if let Some(distances) = distances {
        let inside =
            |span: Span, side: usize| (span.start..span.end).map(move |at| at.clamp(0, side as i64 - 1) as usize);
        let rows = inside(labels.rows, distances.height());
        let mut vertical = distances.sample(rows, inside(labels.columns, distances.width()));
        let horizontal = vertical.split_off(height * width);
        pyramid = pyramid.with_distances(DistanceMap::new(width, height, vertical, horizontal)?)?;
    }
    Ok(Arc::new(pyramid))
}
