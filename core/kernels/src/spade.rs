//! SPADE: modulation by a small network on the label map.
//!
//! The network is a 3×3 convolution to 128 channels, ReLU, then two 3×3 convolutions to gamma and beta. On one-hot
//! labels the first layer is a sum of nine columns of weights. All pixels with the same 3×3 labels have the same
//! hidden vector, and all with the same 5×5 labels have the same gamma and beta. There are two methods:
//!
//! *Patches.* For 16 channels at a time, with `W[j]` the gamma and beta weights at offset j of nine:
//!
//! 1. `T[id3][j] = W[j] · hidden[id3]`, a matrix product over the distinct 3×3 patches;
//! 2. `table[id5] = bias + sum over j of T[patch j of id5][j]`, where patches outside the map count as zero;
//! 3. `out = act(norm(x) · (1 + gamma[id5]) + beta[id5])`.
//!
//! All values of a step stay in cache, and maps of gamma and beta are never stored.
//!
//! *Dense.* For label maps with many distinct patches: looks up a map of hidden vectors, then computes gamma and beta
//! by Winograd convolution, a strip of rows at a time.
//!
//! Source: T. Park et al., *Semantic Image Synthesis with Spatially-Adaptive Normalization*, CVPR 2019, section 3.

use crate::Affine;
use crate::clade::lookup;
use crate::isa::{Isa, dispatch};
use crate::map::{Map, MapMut, Runs, Source, for_each_run_of};
use crate::patches::{Distinct, PAD, Patches};
use crate::scratch::{Loan, Scratch, Shared, local, volume};
use crate::simd::Simd;
use crate::winograd::{Conv3x3, Residual};
use rayon::prelude::*;
use std::ops::Range;

/// Channels of the hidden layer.
pub const HIDDEN: usize = 128;
/// Number of weights of a hidden channel in a block: nine offsets of 16 channels.
const OFFSETS: usize = 9 * 16;
/// Columns of the matrix product computed at a time: a multiple of all vector lengths, and a divisor of [`OFFSETS`].
const COLUMNS: usize = 48;
/// Distinct patches in a panel of the matrix product: the rows of [`Simd::strip`].
const PANEL: usize = 16;
/// Most bytes that the maps of one strip may take in the dense method, and the fewest rows of a strip.
const STRIP: usize = 16 << 20;
const STRIP_ROWS: usize = 16;

/// One SPADE modulation.
#[derive(Debug)]
pub struct Spade {
    classes: usize,
    channels: usize,
    /// Channels of the map that gamma and beta are convolutions of: the hidden layer, followed by the one-hot labels
    /// if they are used.
    inputs: usize,
    isa: Isa,
    /// First layer, as `[9][class][HIDDEN]`, and its bias.
    shared: Vec<f32>,
    shared_bias: [f32; HIDDEN],
    /// Gamma and beta alternating, 16 channels of each; the bias of gamma includes the 1 of 1 + gamma.
    both: Conv3x3,
}

impl Spade {
    /// Packs the weights: `shared` `[128, classes, 3, 3]`, `shared_bias` `[128]`, `gamma` and `beta`
    /// `[channels, 128, 3, 3]`, `gamma_bias` and `beta_bias` `[channels]`.
    ///
    /// `gamma` and `beta` may also be `[channels, 128 + classes, 3, 3]`: then they are convolutions of the hidden
    /// layer concatenated with the one-hot labels. SEAN's styles, a 3×3 convolution of a vector per class, can be
    /// expressed that way.
    ///
    /// # Panics
    ///
    /// If there are no channels or a slice has the wrong length.
    pub fn new(
        isa: Isa,
        [classes, channels]: [usize; 2],
        shared: &[f32],
        shared_bias: &[f32],
        gamma: &[f32],
        gamma_bias: &[f32],
        beta: &[f32],
        beta_bias: &[f32],
    ) -> Self {
        assert!(channels > 0, "a modulation has channels");
        assert_eq!(shared.len(), volume(&[HIDDEN, classes, 9]), "shared is [128, classes, 3, 3]");
        let (plain, labelled) = (volume(&[channels, HIDDEN, 9]), volume(&[channels, HIDDEN + classes, 9]));
        assert!(gamma.len() == plain || gamma.len() == labelled, "gamma is [channels, 128 (+ classes), 3, 3]");
        assert_eq!(beta.len(), gamma.len(), "beta is as large as gamma");
        let inputs = gamma.len() / 9 / channels;
        assert_eq!(gamma_bias.len(), channels, "the bias of gamma is [channels]");
        assert_eq!(beta_bias.len(), channels, "the bias of beta is [channels]");
        let mut bias = [0.0; HIDDEN];
        bias.copy_from_slice(shared_bias);
        let mut columns = vec![0.0; shared.len()];
        for (i, &g) in shared.iter().enumerate() {
            let (o, k, j) = (i / (classes * 9), i / 9 % classes, i % 9);
            columns[(j * classes + k) * HIDDEN + o] = g;
        }
        let gamma_bias: Vec<f32> = gamma_bias.iter().map(|bias| 1.0 + bias).collect();
        let both = Conv3x3::in_turn(isa, [gamma, beta], [&gamma_bias, beta_bias], [channels, inputs]);
        Self { classes, channels, inputs, isa, shared: columns, shared_bias: bias, both }
    }

    /// Working memory for an output of `[channels, height, width]`, with patches that are all different. Gamma and beta
    /// are convolutions of `inputs` channels: [`HIDDEN`], and the number of classes if they read labels too.
    pub fn scratch(inputs: usize, channels: usize, [h, w]: [usize; 2]) -> Scratch {
        let outs = 2 * channels.next_multiple_of(16);
        let step = strip(inputs + outs, [h, w]);
        let strips = Scratch::of([inputs * (step + 2) * (w + 2), outs * step * w], &[]);
        strips.and(Conv3x3::scratch_in_turn([channels, inputs], [step, w]))
    }

    /// Size of the weights in bytes.
    pub fn bytes(&self) -> usize {
        self.both.bytes() + size_of_val(&*self.shared) + size_of_val(&self.shared_bias)
    }

    /// `out` = act((`x`·`scale` + `shift`) · (1 + gamma) + beta), with scale, shift and act of an [`Affine`]. Chooses
    /// the method that should be faster, for each block of the patches.
    ///
    /// `x` and `out` are `[channels, h, w]`, with the size of the patches. A label without a class is treated as a
    /// one-hot vector of zeros.
    ///
    /// # Panics
    ///
    /// If a slice has the wrong length.
    pub fn run(&self, patches: &Patches, x: &[f32], affine: Affine<'_>, out: &mut [f32]) {
        let x = Source::new(Map::whole(x, patches.size()), [0, 0]);
        self.run_rows(Part::whole(patches), None, x, affine, MapMut::whole(out, patches.size()));
    }

    /// [`Spade::run`] by distinct patches everywhere. Its memory grows with their number.
    ///
    /// # Panics
    ///
    /// If a slice has the wrong length.
    pub fn run_patches(&self, patches: &Patches, x: &[f32], affine: Affine<'_>, out: &mut [f32]) {
        let x = Source::new(Map::whole(x, patches.size()), [0, 0]);
        self.look_up(Part::whole(patches), 0..patches.w, None, x, affine, MapMut::whole(out, patches.size()));
    }

    /// [`Spade::run`] by convolution everywhere.
    ///
    /// # Panics
    ///
    /// If a slice has the wrong length.
    pub fn run_dense(&self, patches: &Patches, x: &[f32], affine: Affine<'_>, out: &mut [f32]) {
        let x = Source::new(Map::whole(x, patches.size()), [0, 0]);
        self.convolve(Part::whole(patches), 0..patches.w, x, affine, MapMut::whole(out, patches.size()));
    }

    /// As [`run`](Self::run), for a part of the patches, with their tables if they exist. Its result in a pixel has
    /// the same bits in all parts, if these begin and end at multiples of 4 pixels or where the map ends.
    ///
    /// `x` starts at the part's first row and column; the rows of `out` are those of the part.
    ///
    /// # Panics
    ///
    /// If the part is not within the patches, the input lacks pixels, or tables are of other patches.
    pub fn run_rows(
        &self,
        part: Part<'_>,
        tables: Option<&Tables>,
        x: Source<'_>,
        affine: Affine<'_>,
        out: MapMut<'_>,
    ) {
        let Part { patches, row, columns: [first, end], .. } = part;
        assert!(affine.is_of(self.channels), "scale and shift are [channels]");
        assert!(x.channels() == self.channels && out.channels() == self.channels, "maps have the layer's channels");
        let rows = out.place.rows();
        assert!(row + rows <= patches.h && first < end && end <= patches.w, "the part is within the patches");
        if rows == 0 {
            return;
        }
        // Rectangles of blocks with one method: rows from and to, columns from and to, and whether patches pay.
        let (block, across) = (patches.block, patches.w.div_ceil(patches.block));
        let (mut areas, mut y) = (Vec::<([usize; 4], bool)>::new(), row);
        while y < row + rows {
            let next = ((y / block + 1) * block).min(row + rows);
            let mut x = first;
            let begin = areas.len();
            while x < end {
                let pays = patches.pays[y / block * across + x / block];
                let to = ((x / block + 1) * block).min(end);
                match areas[begin..].last_mut() {
                    Some((area, same)) if *same == pays => area[3] = to,
                    _ => areas.push(([y, next, x, to], pays)),
                }
                x = to;
            }
            // Join rows that are of one method throughout.
            if let [.., (above, one), (area, two)] = &mut areas[..]
                && one == two
                && [above[1], above[2], above[3]] == [y, first, end]
                && [area[2], area[3]] == [first, end]
            {
                above[1] = next;
                areas.pop();
            }
            y = next;
        }
        let (values, place) = (out.values, out.place);
        for ([top, bottom, left, right], pays) in areas {
            let x = x.moved(top - row, left - first);
            let rows = place.first + top - row..place.first + bottom - row;
            let out = MapMut::new(values, [place.capacity, place.width], rows);
            let part = Part { row: top, columns: [left, right], out: part.out + left - first, ..part };
            let columns = part.out..part.out + right - left;
            if pays {
                self.look_up(part, columns, tables, x, affine, out);
            } else {
                self.convolve(part, columns, x, affine, out);
            }
        }
    }

    /// Gamma and beta of all patches, for [`Spade::run_rows`], to be used when the map stays the same and features
    /// change. `None` if no block is faster with them, or they would take more than `most` bytes.
    pub fn tables(&self, patches: &Patches, most: usize) -> Option<Tables> {
        let distinct = patches.distinct_of(0..patches.h, 0..patches.w);
        let (blocks, row) = (self.channels.div_ceil(16), distinct.row5());
        if !patches.pays.contains(&true) || blocks * 32 * row > most / size_of::<f32>() {
            return None;
        }
        let hidden = self.hidden(&distinct.labels);
        let call = self.call(&distinct, &hidden);
        let mut tables = vec![0.0; blocks * 32 * row];
        tables.par_chunks_exact_mut(32 * row).enumerate().with_max_len(1).for_each(|(block, table)| {
            local([call.products()], |[t]| {
                // SAFETY: as in `look_up`, with the table in memory of its own.
                unsafe { table_of(self.isa, &call, block, t.as_mut_ptr(), table.as_mut_ptr()) };
            });
        });
        Some(Tables(tables))
    }

    fn call<'a>(&'a self, distinct: &'a Distinct<'_>, hidden: &'a [f32]) -> Call<'a> {
        let (weights, bias) = self.both.packed();
        Call { nine: &distinct.nine, row: distinct.row5(), hidden, inputs: self.inputs, weights, bias }
    }

    /// By distinct patches; `columns` are those of the output.
    fn look_up(
        &self,
        part: Part<'_>,
        columns: Range<usize>,
        tables: Option<&Tables>,
        x: Source<'_>,
        affine: Affine<'_>,
        out: MapMut<'_>,
    ) {
        let patches = part.patches;
        assert!(x.channels() == self.channels && affine.is_of(self.channels), "maps have the layer's channels");
        let [rows, width] = out.size();
        // With tables, indices are those of all patches.
        let all = Part { row: 0, columns: [0, patches.w], ..part };
        let distinct = match tables {
            Some(_) => all.distinct(patches.h),
            None => part.distinct(rows),
        };
        let row = distinct.row5();
        // Indices by offset in the output.
        let mut ids = vec![0; rows * width + PAD];
        let part_width = columns.len();
        for (r, ids) in ids.chunks_exact_mut(width).take(rows).enumerate() {
            let from = match tables {
                Some(_) => &distinct.ids[(part.row + r) * patches.w + part.columns[0]..][..part_width],
                None => &distinct.ids[r * part_width..][..part_width],
            };
            ids[columns.clone()].copy_from_slice(from);
        }
        let runs = Runs::new(x, out, columns);
        let blocks = self.channels.div_ceil(16);
        let look_up = |block: usize, table: &[f32]| {
            for c in block * 16..(block * 16 + 16).min(self.channels) {
                let (g, b, norm) = (&table[c % 16 * row..], &table[(16 + c % 16) * row..], affine.of_channel(c));
                // SAFETY: tasks have channels of their own; rows of the table have an entry for each index, and
                // indices are longer than the output by `PAD`.
                unsafe {
                    runs.of_channel(c, |offset, x, out| {
                        lookup(self.isa, g.as_ptr(), b.as_ptr(), &ids[offset..], x, norm, Shared::new(out));
                    });
                }
            }
        };
        if let Some(tables) = tables {
            assert_eq!(tables.0.len(), blocks * 32 * row, "tables are of these patches");
            let tables = tables.0.par_chunks_exact(32 * row).enumerate().with_max_len(1);
            return tables.for_each(|(block, table)| look_up(block, table));
        }
        let hidden = self.hidden(&distinct.labels);
        let call = self.call(&distinct, &hidden);
        // Each task has 16 channels; the last one may have fewer.
        (0..blocks).into_par_iter().with_max_len(1).for_each(|block| {
            local([call.products(), 32 * row], |[t, table]| {
                // SAFETY: `call` holds panels of all 3×3 patches and one more, and whole blocks of weights; the scratch
                // areas hold T and the table of one block.
                unsafe { table_of(self.isa, &call, block, t.as_mut_ptr(), table.as_mut_ptr()) };
                look_up(block, table);
            });
        });
    }

    /// By convolution; `columns` are those of the output.
    fn convolve(&self, part: Part<'_>, columns: Range<usize>, x: Source<'_>, affine: Affine<'_>, out: MapMut<'_>) {
        let patches = part.patches;
        assert!(x.channels() == self.channels && affine.is_of(self.channels), "maps have the layer's channels");
        let (h, w) = (out.place.rows(), columns.len());
        // One more row and column on each side, except where the map ends.
        let end3 = patches.id3.len() / patches.w3;
        let [top3, left3] = [part.row + patches.before[0], part.columns[0] + patches.before[1]];
        let (left, right) = (left3.min(1), (patches.w3 - left3 - w).min(1));
        let (first3, wide) = (top3.saturating_sub(1), w + left + right);
        let (ids, labels) = patches.distinct3(first3..(top3 + h + 1).min(end3), left3 - left..left3 + w + right);
        let hidden = self.hidden(&labels);
        let outs = 2 * self.channels.next_multiple_of(16);
        let step = strip(self.inputs + outs, [h, w]);
        let mut map = Loan::new(self.inputs * (step + 2) * wide);
        let mut both = Loan::new(outs * step * w);
        let (values, place) = (out.values, out.place);
        for y0 in (0..h).step_by(step) {
            let y1 = (y0 + step).min(h);
            let (from, to) = ((top3 + y0).saturating_sub(1), (top3 + y1 + 1).min(end3));
            let rows = to - from;
            let map = &mut map[..self.inputs * rows * wide];
            map.par_chunks_exact_mut(rows * wide).enumerate().for_each(|(i, plane)| {
                for (r, row) in plane.chunks_exact_mut(wide).enumerate() {
                    let ids = &ids[(from - first3 + r) * wide..][..wide];
                    for (v, &id) in row.iter_mut().zip(ids) {
                        let id = id as usize;
                        *v = hidden[(id / PANEL * self.inputs + i) * PANEL + id % PANEL];
                    }
                }
            });
            let n = (y1 - y0) * w;
            let both = &mut both[..outs * n];
            let at = [top3 + y0 - from, left];
            let target = MapMut::whole(both, [y1 - y0, w]);
            self.both.run_rows(Map::whole(map, [rows, wide]), at, target, Residual::None);
            let both = &*both;
            let rows = place.first + y0..place.first + y1;
            let out = MapMut::new(values, [place.capacity, place.width], rows);
            for_each_run_of(x.moved(y0, 0), out, columns.clone(), |c, offset, x, out| {
                let at = offset / place.width * w + offset % place.width - columns.start;
                let part = |which| &both[row_of(c, which) * n + at..][..out.len()];
                let (gamma, beta) = (part(0), part(1));
                // SAFETY: gamma, beta, x and out have the same length.
                unsafe { modulate(self.isa, gamma, beta, x, affine.of_channel(c), out.as_mut_ptr()) }
            });
        }
    }

    /// Hidden vectors of all distinct 3×3 patches, as `[panel][inputs][PANEL]`. The rest of the last panel is zero;
    /// it has at least one more vector, which stands for patches outside of the map.
    fn hidden(&self, labels: &[[u32; 9]]) -> Loan {
        let panels = labels.len() / PANEL + 1;
        let mut out = Loan::new(panels * self.inputs * PANEL);
        out.par_chunks_exact_mut(self.inputs * PANEL).enumerate().with_min_len(8).for_each(|(q, panel)| {
            panel.fill(0.0);
            for (l, labels) in labels.iter().skip(q * PANEL).take(PANEL).enumerate() {
                let mut sum = self.shared_bias;
                for (j, &k) in labels.iter().enumerate() {
                    let k = k as usize;
                    if k < self.classes {
                        let column = &self.shared[(j * self.classes + k) * HIDDEN..][..HIDDEN];
                        for (s, g) in sum.iter_mut().zip(column) {
                            *s += g;
                        }
                    }
                }
                for (row, s) in panel.chunks_exact_mut(PANEL).zip(sum) {
                    row[l] = s.max(0.0);
                }
                let middle = labels[4] as usize;
                if self.inputs > HIDDEN && middle < self.classes {
                    panel[(HIDDEN + middle) * PANEL + l] = 1.0;
                }
            }
        });
        out
    }
}

/// A part of [`Patches`], and where it is in an output.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The patches.
    pub patches: &'a Patches,
    /// The first row.
    pub row: usize,
    /// The first column, and the one after the last.
    pub columns: [usize; 2],
    /// The column of the output that the first column is.
    pub out: usize,
}

/// Rows of a strip in the dense method, for maps of this many channels together.
fn strip(channels: usize, [h, w]: [usize; 2]) -> usize {
    let fit = STRIP / size_of::<f32>() / (channels * w);
    (fit / 4 * 4).max(STRIP_ROWS).min(h)
}

impl<'a> Part<'a> {
    /// The distinct patches of a number of rows.
    fn distinct(self, rows: usize) -> Distinct<'a> {
        self.patches.distinct_of(self.row..self.row + rows, self.columns[0]..self.columns[1])
    }

    fn whole(patches: &'a Patches) -> Self {
        Self { patches, row: 0, columns: [0, patches.w], out: 0 }
    }
}

/// Gamma and beta of all distinct patches of a map, made by [`Spade::tables`].
#[derive(Debug)]
pub struct Tables(
    /// `[channels / 16][gamma, beta][16][id5]`
    Vec<f32>,
);

impl Tables {
    /// Size in bytes.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.0)
    }
}

/// Row of gamma (0) or beta (1) of channel c among the output channels of `both`.
fn row_of(c: usize, which: usize) -> usize {
    (c / 16 * 2 + which) * 16 + c % 16
}

/// The data that the tasks of the patch method read.
struct Call<'a> {
    /// As in [`Patches`].
    nine: &'a [[u32; 9]],
    /// Length of a row of the table.
    row: usize,
    /// The result of [`Spade::hidden`].
    hidden: &'a [f32],
    inputs: usize,
    /// `[block of gamma or beta][inputs][9][16]`
    weights: &'a [f32],
    bias: &'a [f32],
}

impl Call<'_> {
    /// Number of values of T for one block.
    fn products(&self) -> usize {
        self.hidden.len() / self.inputs * 2 * OFFSETS
    }
}

/// T `[id3][gamma, beta][9][16]` and the table `[gamma, beta][16][id5]` of one block of 16 channels.
#[inline(always)]
unsafe fn table_task<S: Simd>(call: &Call, block: usize, t: *mut f32, table: *mut f32) {
    // Rows of the product are patches; columns are offsets and channels, in the order of the weights. Take a few
    // columns at a time, so that their weights stay in the first-level cache for all patches.
    for which in 0..2 {
        for column in (0..OFFSETS).step_by(COLUMNS) {
            let w = call.weights.as_ptr().add((block * 2 + which) * call.inputs * OFFSETS + column);
            for (q, h) in call.hidden.chunks_exact(call.inputs * PANEL).enumerate() {
                let c = t.add((q * PANEL * 2 + which) * OFFSETS + column);
                S::strip(call.inputs, h.as_ptr(), w, OFFSETS, c, 2 * OFFSETS, COLUMNS / S::L, false);
            }
        }
    }
    let row = call.row;
    for (u, nine) in call.nine.iter().enumerate() {
        let mut sum = [0.0; 32];
        for lane in (0..32).step_by(S::L) {
            let mut v = S::load(call.bias.as_ptr().add(block * 32 + lane));
            for (j, &id) in nine.iter().enumerate() {
                let at = (id as usize * 2 + lane / 16) * OFFSETS + j * 16 + lane % 16;
                v = S::add(v, S::load(t.add(at)));
            }
            S::store(sum.as_mut_ptr().add(lane), v);
        }
        for (i, v) in sum.into_iter().enumerate() {
            *table.add(i * row + u) = v;
        }
    }
}
dispatch!(unsafe fn table_of(call: &Call, block: usize, t: *mut f32, table: *mut f32) => table_task);

/// One channel: normalisation, modulation by maps, activation. `norm` is scale, shift and slope.
#[inline(always)]
unsafe fn modulate_task<S: Simd>(g: &[f32], b: &[f32], x: &[f32], norm: [f32; 3], out: *mut f32) {
    let [scale, shift, slope] = norm.map(|v| S::splat(v));
    let n = x.len() as isize;
    for i in (0..n).step_by(S::L) {
        let v = S::fma(S::load_range(x.as_ptr(), i, n), scale, shift);
        let v = S::fma(v, S::load_range(g.as_ptr(), i, n), S::load_range(b.as_ptr(), i, n));
        S::store_range(out, i, n, S::max(v, S::mul(slope, v)));
    }
}
dispatch!(unsafe fn modulate(g: &[f32], b: &[f32], x: &[f32], norm: [f32; 3], out: *mut f32) => modulate_task);
