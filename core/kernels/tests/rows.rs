//! Rows of a map, in memory that is reused, give the bits of the whole map.

mod common;

use common::values;
use proptest::prelude::*;
use semsynth_kernels::{Affine, Clade, Conv1x1, Conv3x3, ConvHead, HIDDEN, Isa, Map, MapMut, Mode, Part, Patches};
use semsynth_kernels::{Residual, Source, Spade, upsample2};
use std::ops::Range;
use std::sync::atomic::AtomicBool;

/// A whole map, `[channels, h, w]`.
#[derive(Clone)]
struct Whole {
    values: Vec<f32>,
    channels: usize,
    size: [usize; 2],
}

impl Whole {
    fn new(channels: usize, size: [usize; 2], seed: u64) -> Self {
        Self { values: values(channels * size[0] * size[1], seed, 1.0), channels, size }
    }

    /// Some rows and columns in memory of the given capacity; the rest of the memory is NaN.
    fn ring(&self, rows: Range<usize>, columns: Range<usize>, capacity: usize) -> Vec<f32> {
        let ([h, w], n) = (self.size, columns.len());
        let mut ring = vec![f32::NAN; self.channels * capacity * n];
        for c in 0..self.channels {
            for y in rows.clone() {
                let row = &self.values[(c * h + y) * w..][columns.clone()];
                ring[(c * capacity + y % capacity) * n..][..n].copy_from_slice(row);
            }
        }
        ring
    }

    fn at(&self, c: usize, y: usize, x: usize) -> f32 {
        self.values[(c * self.size[0] + y) * self.size[1] + x]
    }
}

/// Asserts that rows in memory of the given capacity are those of the whole.
#[track_caller]
fn assert_rows(found: &[f32], capacity: usize, whole: &Whole, rows: Range<usize>, columns: Range<usize>) {
    let n = columns.len();
    for c in 0..whole.channels {
        for y in rows.clone() {
            for x in columns.clone() {
                let found = found[(c * capacity + y % capacity) * n + x - columns.start];
                assert!(found.to_bits() == whole.at(c, y, x).to_bits(), "{c} {y} {x}: {found}");
            }
        }
    }
}

/// A range that begins and ends at multiples of 4 within `side`, or at its end.
fn part(side: usize, a: usize, b: usize) -> Range<usize> {
    let tiles = side.div_ceil(4);
    let (a, b) = (a % tiles, b % tiles);
    a.min(b) * 4..((a.max(b) + 1) * 4).min(side)
}

/// One more on each side, within `side`.
fn more(range: &Range<usize>, by: usize, side: usize) -> Range<usize> {
    range.start.saturating_sub(by)..(range.end + by).min(side)
}

/// Tiles of any size give the same values, up to rounding; a call that is stopped ends and leaves the layer usable.
#[test]
fn modes_of_convolutions() {
    let (ins, outs, size) = (40, 24, [12, 20]);
    let (x, weight) = (values(ins * size[0] * size[1], 1, 1.0), values(outs * ins * 9, 3, 1.0));
    for (isa, hint) in Isa::available().flat_map(|isa| [64, 400, 5000, 100_000].map(|hint| (isa, hint))) {
        let conv = Conv3x3::new(isa, &weight, None, [outs, ins], hint);
        let run = |any_tiles: bool, stop: bool, size: [usize; 2]| {
            let mut out = vec![f32::NAN; outs * size[0] * size[1]];
            let mode = Mode { stop: &AtomicBool::new(stop), any_tiles };
            let x = &x[..ins * size[0] * size[1]];
            conv.run_rows_in(mode, Map::whole(x, size), [0, 0], MapMut::whole(&mut out, size), Residual::None);
            out
        };
        for size in [size, [4, 8], [9, 9]] {
            let (same, any) = (run(false, false, size), run(true, false, size));
            let most = same.iter().zip(&any).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(most < 1e-4 && !any.iter().any(|value| value.is_nan()), "{isa} {hint} {size:?}: {most}");
        }
        assert!(run(false, true, size).iter().all(|value| value.is_nan()));
        assert!(run(false, false, size).iter().all(|value| !value.is_nan()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn convolutions(
        channels in (1usize..20, 1usize..20),
        size in (1usize..40, 1usize..150),
        corners in (any::<u16>(), any::<u16>(), any::<u16>(), any::<u16>()),
        spare in 0usize..5,
        beyond in 1usize..4,
        hint in prop::sample::select(vec![64usize, 400, 5000, 100_000]),
        kind in 0usize..3,
    ) {
        let ((ins, outs), size) = (channels, [size.0, size.1]);
        let (rows, columns) = (
            part(size[0], corners.0.into(), corners.1.into()),
            part(size[1], corners.2.into(), corners.3.into()),
        );
        let (x, added) = (Whole::new(ins, size, 1), Whole::new(outs, size, 2));
        let (weight, bias) = (values(outs * ins * 9, 3, 1.0), values(outs, 4, 1.0));
        for isa in Isa::available() {
            let conv = Conv3x3::new(isa, &weight, Some(&bias), [outs, ins], hint);
            let mut whole = Whole { values: vec![0.0; outs * size[0] * size[1]], channels: outs, size };
            conv.run(&x.values, size, &mut whole.values, (kind > 0).then_some(&added.values));
            let (around, across) = (more(&rows, beyond, size[0]), more(&columns, beyond, size[1]));
            let capacity = around.len() + spare;
            let ring = x.ring(around.clone(), across.clone(), capacity);
            let map = Map::new(&ring, [capacity, across.len()], around.clone());
            let at = [rows.start, columns.start - across.start];
            let out_capacity = rows.len() + spare / 2;
            let mut out = match kind {
                1 => added.ring(rows.clone(), columns.clone(), out_capacity),
                _ => vec![f32::NAN; outs * out_capacity * columns.len()],
            };
            let more = added.ring(around.clone(), across.clone(), capacity);
            let residual = match kind {
                0 => Residual::None,
                1 => Residual::Output,
                _ => Residual::Map(Map::new(&more, [capacity, across.len()], around), at),
            };
            conv.run_rows(map, at, MapMut::new(&mut out, [out_capacity, columns.len()], rows.clone()), residual);
            assert_rows(&out, out_capacity, &whole, rows.clone(), columns.clone());

            let heads = outs.min(4);
            let head = ConvHead::new(isa, &weight[..heads * ins * 9], None, [heads, ins]).with_leaky().with_tanh();
            let mut whole = Whole { values: vec![0.0; heads * size[0] * size[1]], channels: heads, size };
            head.run(&x.values, size, &mut whole.values);
            let part = [rows.len(), columns.len()];
            let mut out = vec![f32::NAN; heads * part[0] * part[1]];
            head.run_rows(map, at, part, &mut out);
            let mut expected = Vec::new();
            for c in 0..heads {
                let columns = columns.clone();
                rows.clone().for_each(|y| expected.extend(columns.clone().map(|x| whole.at(c, y, x))));
            }
            assert_eq!(out, expected);

            let conv = Conv1x1::new(isa, &weight[..outs * ins], None, [outs, ins]);
            let mut whole = Whole { values: vec![0.0; outs * size[0] * size[1]], channels: outs, size };
            conv.run(&x.values, size, &mut whole.values, None);
            let ring = x.ring(rows.clone(), columns.clone(), capacity);
            let map = Map::new(&ring, [capacity, columns.len()], rows.clone());
            let mut out = vec![f32::NAN; outs * out_capacity * columns.len()];
            conv.run_rows(map, rows.start, MapMut::new(&mut out, [out_capacity, columns.len()], rows.clone()));
            assert_rows(&out, out_capacity, &whole, rows.clone(), columns.clone());
        }
    }

    /// Parts of a map that is half noise and half flat, so that both methods of SPADE are used.
    #[test]
    fn modulations(
        channels in 1usize..40,
        blocks in (1usize..4, 1usize..5),
        less in (0usize..9, 0usize..9),
        corners in (any::<u16>(), any::<u16>(), any::<u16>(), any::<u16>()),
        spare in 0usize..5,
        doubled in any::<bool>(),
        with_tables in any::<bool>(),
        seed in any::<u32>(),
    ) {
        let (classes, block) = (5, 16);
        // An even size, to be doubled.
        let size = [(blocks.0 * block - less.0).next_multiple_of(2), (blocks.1 * block - less.1).next_multiple_of(2)];
        let label = |i: usize| {
            let (y, x) = (i / size[1], i % size[1]);
            if (y / block + x / block) % 2 == 0 { y / 7 % 3 } else { ((i * (seed as usize | 1)) >> 7) % classes }
        };
        let labels: Vec<u16> = (0..size[0] * size[1]).map(|i| label(i) as u16).collect();
        let half = if doubled { size.map(|side| side / 2) } else { size };
        let x = Whole::new(channels, half, seed.into());
        let mut larger = x.values.clone();
        if doubled {
            larger = vec![0.0; 4 * x.values.len()];
            upsample2(&x.values, [channels, half[0], half[1]], &mut larger);
        }
        let (scale, shift) = (values(channels, 5, 1.0), values(channels, 6, 1.0));
        let affine = Affine { scale: &scale, shift: &shift, leaky: true };
        let (rows, columns) = (
            part(size[0], corners.0.into(), corners.1.into()),
            part(size[1], corners.2.into(), corners.3.into()),
        );
        let in_half = |range: &Range<usize>| {
            if doubled { range.start / 2..range.end.div_ceil(2) } else { range.clone() }
        };
        let (in_rows, in_columns) = (in_half(&rows), in_half(&columns));
        let capacity = in_rows.len() + spare;
        let ring = x.ring(in_rows.clone(), in_columns.clone(), capacity);
        let map = Map::new(&ring, [capacity, in_columns.len()], in_rows);
        let source = if doubled { Source::doubled(map, [rows.start, 0]) } else { Source::new(map, [rows.start, 0]) };
        let out_capacity = rows.len() + spare / 2;
        for isa in Isa::available() {
            let mut whole = Whole { values: vec![0.0; larger.len()], channels, size };
            let mut out = vec![f32::NAN; channels * out_capacity * columns.len()];
            let clade = Clade::new(isa, &values(classes * channels, 7, 1.0), &values(classes * channels, 8, 1.0), [classes, channels]);
            clade.run(&labels, &larger, affine, &mut whole.values);
            let ids: Vec<u16> = rows.clone().flat_map(|y| labels[y * size[1]..][columns.clone()].to_vec()).collect();
            clade.run_rows(&ids, source, affine, MapMut::new(&mut out, [out_capacity, columns.len()], rows.clone()));
            assert_rows(&out, out_capacity, &whole, rows.clone(), columns.clone());

            let weight = |n: usize, seed: u64| values(n, seed, 0.1);
            let spade = Spade::new(
                isa, [classes, channels], &weight(HIDDEN * classes * 9, 1), &weight(HIDDEN, 2),
                &weight(channels * HIDDEN * 9, 3), &weight(channels, 4), &weight(channels * HIDDEN * 9, 5), &weight(channels, 6),
            );
            let patches = Patches::within(&labels, size, 0..size[0], 0..size[1], block);
            spade.run(&patches, &larger, affine, &mut whole.values);
            // Patches of whole blocks around the part, with two more rows and columns.
            let whole_blocks = |range: &Range<usize>, side: usize| {
                range.start / block * block..range.end.next_multiple_of(block).min(side)
            };
            let (tall, wide) = (whole_blocks(&rows, size[0]), whole_blocks(&columns, size[1]));
            let (around, across) = (more(&tall, 2, size[0]), more(&wide, 2, size[1]));
            let ids: Vec<u16> = around.clone().flat_map(|y| labels[y * size[1]..][across.clone()].to_vec()).collect();
            let within = |range: &Range<usize>, from: usize| range.start - from..range.end - from;
            let patches = Patches::within(
                &ids, [around.len(), across.len()], within(&tall, around.start), within(&wide, across.start), block,
            );
            let tables = with_tables.then(|| spade.tables(&patches, usize::MAX)).flatten();
            out.fill(f32::NAN);
            let part = Part {
                patches: &patches,
                row: rows.start - tall.start,
                columns: [columns.start - wide.start, columns.end - wide.start],
                out: 0,
            };
            spade.run_rows(
                part, tables.as_ref(), source, affine,
                MapMut::new(&mut out, [out_capacity, columns.len()], rows.clone()),
            );
            assert_rows(&out, out_capacity, &whole, rows.clone(), columns.clone());
        }
    }
}
