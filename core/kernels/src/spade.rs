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
use crate::patches::Patches;
use crate::scratch::{KEEP_LOCAL, Loan, Shared, local, volume};
use crate::simd::Simd;
use crate::winograd::Conv3x3;
use rayon::prelude::*;

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

    /// Size of the weights in bytes.
    pub fn bytes(&self) -> usize {
        self.both.bytes() + size_of_val(&*self.shared) + size_of_val(&self.shared_bias)
    }

    /// `out` = act((`x`·`scale` + `shift`) · (1 + gamma) + beta), with scale, shift and act of an [`Affine`]. Chooses
    /// the method that should be faster.
    ///
    /// `x` and `out` are `[channels, h, w]`, with the size of the patches. A label without a class is treated as a
    /// one-hot vector of zeros.
    ///
    /// # Panics
    ///
    /// If a slice has the wrong length.
    pub fn run(&self, patches: &Patches, x: &[f32], affine: Affine<'_>, out: &mut [f32]) {
        if patches_pay(patches) {
            self.run_patches(patches, x, affine, out);
        } else {
            self.run_dense(patches, x, affine, out);
        }
    }

    fn check(&self, patches: &Patches, x: &[f32], affine: Affine<'_>, out: &[f32]) {
        assert_eq!(x.len(), volume(&[self.channels, patches.h, patches.w]), "x is [channels, h, w]");
        assert_eq!(out.len(), x.len(), "out is [channels, h, w]");
        assert!(affine.is_of(self.channels), "scale and shift are [channels]");
    }

    /// [`Spade::run`] by distinct patches. Its memory grows with their number.
    ///
    /// # Panics
    ///
    /// If a slice has the wrong length.
    pub fn run_patches(&self, patches: &Patches, x: &[f32], affine: Affine<'_>, out: &mut [f32]) {
        self.check(patches, x, affine, out);
        let hidden = self.hidden(patches);
        let call = self.call(patches, &hidden);
        let (hw, row) = (patches.h * patches.w, patches.row5());
        // Each task has 16 channels; the last one may have fewer.
        out.par_chunks_mut(16 * hw).enumerate().with_max_len(1).for_each(|(block, out)| {
            local([call.products(), 32 * row], |[t, table]| {
                // SAFETY: `call` holds panels of all 3×3 patches and one more, and whole blocks of weights; the scratch
                // areas hold T and the table of one block.
                unsafe { table_of(self.isa, &call, block, t.as_mut_ptr(), table.as_mut_ptr()) };
                self.look_up(patches, table, block, x, affine, out);
            });
        });
    }

    /// Gamma and beta of all patches of a map, for [`Spade::run_tables`], to be used when the map stays the same and
    /// features change. `None` if the patch method would be slower than the dense one, or the tables would take more
    /// than `most` bytes.
    pub fn tables(&self, patches: &Patches, most: usize) -> Option<Tables> {
        let (blocks, row) = (self.channels.div_ceil(16), patches.row5());
        if !patches_pay(patches) || blocks * 32 * row > most / size_of::<f32>() {
            return None;
        }
        let hidden = self.hidden(patches);
        let call = self.call(patches, &hidden);
        let mut tables = vec![0.0; blocks * 32 * row];
        tables.par_chunks_exact_mut(32 * row).enumerate().with_max_len(1).for_each(|(block, table)| {
            local([call.products()], |[t]| {
                // SAFETY: as in `run_patches`, with the table in memory of its own.
                unsafe { table_of(self.isa, &call, block, t.as_mut_ptr(), table.as_mut_ptr()) };
            });
        });
        Some(Tables(tables))
    }

    /// The result of [`Spade::run_patches`], to the last bit, with tables that this layer made for these patches.
    ///
    /// # Panics
    ///
    /// If a slice has the wrong length.
    pub fn run_tables(&self, tables: &Tables, patches: &Patches, x: &[f32], affine: Affine<'_>, out: &mut [f32]) {
        self.check(patches, x, affine, out);
        let (hw, row) = (patches.h * patches.w, patches.row5());
        assert_eq!(tables.0.len(), self.channels.div_ceil(16) * 32 * row, "tables are of these patches");
        let parts = out.par_chunks_mut(16 * hw).zip(tables.0.par_chunks_exact(32 * row));
        parts.enumerate().with_max_len(1).for_each(|(block, (out, table))| {
            self.look_up(patches, table, block, x, affine, out);
        });
    }

    fn call<'a>(&'a self, patches: &'a Patches, hidden: &'a [f32]) -> Call<'a> {
        let (weights, bias) = self.both.packed();
        Call { patches, hidden, inputs: self.inputs, weights, bias }
    }

    /// Modulates the channels of a block by its table, `[gamma, beta][16][id5]`; `x`, scale and shift have all
    /// channels.
    fn look_up(&self, patches: &Patches, table: &[f32], block: usize, x: &[f32], affine: Affine<'_>, out: &mut [f32]) {
        let (hw, row) = (patches.h * patches.w, patches.row5());
        for (i, out) in out.chunks_exact_mut(hw).enumerate() {
            let c = block * 16 + i;
            let (g, b) = (&table[i * row..], &table[(16 + i) * row..]);
            let (x, norm) = (&x[c * hw..][..hw], affine.of_channel(c));
            // SAFETY: rows of the table have an entry for each number in `id5`, which has padding at its end.
            unsafe { lookup(self.isa, g.as_ptr(), b.as_ptr(), &patches.id5, x, norm, Shared::new(out)) };
        }
    }

    /// [`Spade::run`] by convolution.
    ///
    /// # Panics
    ///
    /// If a slice has the wrong length.
    pub fn run_dense(&self, patches: &Patches, x: &[f32], affine: Affine<'_>, out: &mut [f32]) {
        self.check(patches, x, affine, out);
        let (h, w) = (patches.h, patches.w);
        let hidden = self.hidden(patches);
        let outs = 2 * self.channels.next_multiple_of(16);
        let fit = STRIP / size_of::<f32>() / ((self.inputs + outs) * w);
        // A strip has one more row on each side, unless it is the whole map.
        let rows = (fit / 4 * 4).max(STRIP_ROWS).min(h);
        let step = if rows == h { h } else { rows - 2 };
        let (mut map, mut both) = (Loan::new(self.inputs * rows * w), Loan::new(outs * rows * w));
        let writer = Shared::new(out);
        for y0 in (0..h).step_by(step) {
            let y1 = (y0 + step).min(h);
            let (top, bottom) = (y0.saturating_sub(1), (y1 + 1).min(h));
            let n = (bottom - top) * w;
            let (map, both) = (&mut map[..self.inputs * n], &mut both[..outs * n]);
            let ids = &patches.id3[top * w..bottom * w];
            map.par_chunks_exact_mut(n).enumerate().for_each(|(i, row)| {
                for (v, &id) in row.iter_mut().zip(ids) {
                    let id = id as usize;
                    *v = hidden[(id / PANEL * self.inputs + i) * PANEL + id % PANEL];
                }
            });
            self.both.run(map, [bottom - top, w], both, None);
            let both = &*both;
            (0..self.channels).into_par_iter().for_each(|c| {
                let (skip, n1, at) = ((y0 - top) * w, (y1 - y0) * w, (c * h + y0) * w);
                let part = |which| &both[row_of(c, which) * n + skip..][..n1];
                let norm = affine.of_channel(c);
                // SAFETY: gamma, beta and x have n1 values, and so has `out` from `at` on; tasks write different
                // channels.
                unsafe { modulate(self.isa, part(0), part(1), &x[at..][..n1], norm, writer.ptr().add(at)) }
            });
        }
    }

    /// Hidden vectors of all distinct 3×3 patches, as `[panel][inputs][PANEL]`. The rest of the last panel is zero;
    /// it has at least one more vector, which stands for patches outside of the map.
    fn hidden(&self, patches: &Patches) -> Loan {
        let panels = patches.labels.len() / PANEL + 1;
        let mut out = Loan::new(panels * self.inputs * PANEL);
        out.par_chunks_exact_mut(self.inputs * PANEL).enumerate().with_min_len(8).for_each(|(q, panel)| {
            panel.fill(0.0);
            for (l, labels) in patches.labels.iter().skip(q * PANEL).take(PANEL).enumerate() {
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

/// Whether the patch method should be faster than the dense one on this map, and its memory is within what threads
/// keep.
///
/// The cost per channel grows with the number of distinct patches for one method, and with the number of pixels for
/// the other, which computes at least 16 Winograd tiles at a time. The factors were fitted to times on facades and
/// random maps, on two CPUs with AVX-512. The number of threads must not matter, because the results of the methods
/// differ in their last bits.
/// threads has no say, as the routes differ in their last bits.
fn patches_pay(p: &Patches) -> bool {
    let [n3, n5] = p.distinct();
    let fits = 2 * OFFSETS * (n3 + PANEL) + 32 * p.row5() <= KEEP_LOCAL / size_of::<f32>();
    fits && n3 as f64 + 0.2 * (n5 as f64) < 0.4 * (p.h * p.w).max(16 * 16) as f64
}

/// Row of gamma (0) or beta (1) of channel c among the output channels of `both`.
fn row_of(c: usize, which: usize) -> usize {
    (c / 16 * 2 + which) * 16 + c % 16
}

/// The data that the tasks of the patch method read.
struct Call<'a> {
    patches: &'a Patches,
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
    let row = call.patches.row5();
    for (u, nine) in call.patches.nine.iter().enumerate() {
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
