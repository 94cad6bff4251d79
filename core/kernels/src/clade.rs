//! CLADE: modulation by the class of each pixel.

use crate::Affine;
use crate::isa::{Isa, dispatch};
use crate::map::{Map, MapMut, Source, for_each_run};
use crate::patches::PAD;
use crate::scratch::{Shared, volume};
use crate::simd::Simd;

/// Class-adaptive modulation: a scale and a shift for each class and channel.
///
/// Source: Z. Tan et al., *Efficient Semantic Image Synthesis via Class-Adaptive Normalization*, TPAMI 2021.
#[derive(Debug)]
pub struct Clade {
    classes: usize,
    channels: usize,
    isa: Isa,
    /// `[channel][class]`, with one additional class of zeros for all labels without a class.
    scale: Vec<f32>,
    shift: Vec<f32>,
}

impl Clade {
    /// Packs the tables, both `[classes, channels]`.
    ///
    /// # Panics
    ///
    /// If a table has the wrong length.
    pub fn new(isa: Isa, scale_table: &[f32], shift_table: &[f32], [classes, channels]: [usize; 2]) -> Self {
        assert_eq!(scale_table.len(), volume(&[classes, channels]), "scale table is [classes, channels]");
        assert_eq!(shift_table.len(), scale_table.len(), "shift table is [classes, channels]");
        let transpose = |table: &[f32]| {
            let mut t = vec![0.0; channels * (classes + 1)];
            for (i, &v) in table.iter().enumerate() {
                t[i % channels * (classes + 1) + i / channels] = v;
            }
            t
        };
        Self { classes, channels, isa, scale: transpose(scale_table), shift: transpose(shift_table) }
    }

    /// `out` = act((`x`·`scale` + `shift`) · scale table\[label\] + shift table\[label\]), with scale, shift and act
    /// of an [`Affine`].
    ///
    /// `labels` is `[h, w]`, `x` and `out` are `[channels, h, w]`. For a label without a class, scale and shift are
    /// zero, as for a one-hot vector of zeros.
    ///
    /// # Panics
    ///
    /// If a slice has the wrong length.
    pub fn run(&self, labels: &[u16], x: &[f32], affine: Affine<'_>, out: &mut [f32]) {
        let hw = labels.len();
        assert_eq!(x.len(), volume(&[self.channels, hw]), "x is [channels, h, w]");
        assert_eq!(out.len(), x.len(), "out is [channels, h, w]");
        if hw > 0 {
            let x = Source::new(Map::whole(x, [1, hw]), [0, 0]);
            self.run_rows(labels, x, affine, MapMut::whole(out, [1, hw]));
        }
    }

    /// As [`run`](Self::run), for some rows; `labels` are those of the output's pixels.
    ///
    /// # Panics
    ///
    /// If the input lacks pixels of the output, or something has the wrong size.
    pub fn run_rows(&self, labels: &[u16], x: Source<'_>, affine: Affine<'_>, out: MapMut<'_>) {
        assert_eq!(labels.len(), out.size()[0] * out.size()[1], "there is a label for each pixel");
        assert_eq!(x.channels(), self.channels, "x has the layer's channels");
        assert!(affine.is_of(self.channels), "scale and shift are [channels]");
        let mut ids: Vec<u32> = labels.iter().map(|&l| u32::from(l).min(self.classes as u32)).collect();
        ids.resize(ids.len() + PAD, 0);
        let row = self.classes + 1;
        for_each_run(x, out, |c, offset, x, out| {
            let (g, b) = (&self.scale[c * row..][..row], &self.shift[c * row..][..row]);
            // SAFETY: `row` entries of g and b, and all ids are below; ids are longer than the output by `PAD`.
            unsafe {
                lookup(self.isa, g.as_ptr(), b.as_ptr(), &ids[offset..], x, affine.of_channel(c), Shared::new(out));
            }
        });
    }
}

/// One channel: normalisation, modulation by table, activation. `norm` is scale, shift and slope.
///
/// `ids` must be followed by [`PAD`] more numbers.
#[inline(always)]
unsafe fn lookup_task<S: Simd>(g: *const f32, b: *const f32, ids: &[u32], x: &[f32], norm: [f32; 3], out: Shared) {
    let [scale, shift, slope] = norm.map(|v| S::splat(v));
    let n = x.len() as isize;
    for i in (0..x.len()).step_by(S::L) {
        let ids = ids.as_ptr().add(i);
        let v = S::fma(S::load_range(x.as_ptr(), i as isize, n), scale, shift);
        let v = S::fma(v, S::gather(g, ids), S::gather(b, ids));
        S::store_range(out.ptr(), i as isize, n, S::max(v, S::mul(slope, v)));
    }
}
dispatch!(
    pub(crate) unsafe fn lookup(g: *const f32, b: *const f32, ids: &[u32], x: &[f32], norm: [f32; 3], out: Shared) => lookup_task
);
