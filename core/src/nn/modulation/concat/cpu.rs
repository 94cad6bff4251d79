//! Concatenation on the CPU engine.

use std::sync::Arc;

use semsynth_kernels::{Affine, Isa, MapMut, Source, affine as apply, fill_rows, for_each_run};

use super::super::cpu::{CpuConfig, CpuModulation, CpuSession, NormWeights};
use crate::error::Result;
use crate::label::LabelArea;

/// Packs the scales and shifts.
pub(super) fn pack(weights: &NormWeights<'_>, config: &CpuConfig) -> Result<Arc<dyn CpuModulation>> {
    let [weight, bias] = [weights.get("affine.weight")?.into_owned(), weights.get("affine.bias")?.into_owned()];
    Ok(Arc::new(Packed { isa: config.isa, weight, bias, labels: config.modulation.labels }))
}

#[derive(Debug)]
struct Packed {
    isa: Isa,
    /// `[channels]`
    weight: Vec<f32>,
    /// `[channels]`
    bias: Vec<f32>,
    labels: usize,
}

impl CpuModulation for Packed {
    fn session(self: Arc<Self>) -> Box<dyn CpuSession> {
        Box::new(Session(self))
    }
}

#[derive(Debug)]
struct Session(Arc<Packed>);

impl CpuSession for Session {
    fn modulate(&mut self, x: Source<'_>, affine: Affine<'_>, labels: &LabelArea<'_>, out: MapMut<'_>) {
        let Packed { isa, weight, bias, labels: classes } = &*self.0;
        let (features, extra) = out.split_channels(x.channels());
        // Both affine maps in one.
        let scale: Vec<f32> = affine.scale.iter().zip(weight).map(|(scale, weight)| scale * weight).collect();
        let shift = affine.shift.iter().zip(weight).zip(bias).map(|((shift, weight), bias)| shift * weight + bias);
        let shift: Vec<f32> = shift.collect();
        for_each_run(x, features, |channel, _, x, out| {
            let of = channel..channel + 1;
            apply(*isa, x, Affine { scale: &scale[of.clone()], shift: &shift[of], leaky: affine.leaky }, out);
        });
        // Leaky ReLU leaves 0 and 1 as they are.
        let (ids, edges) = (labels.ids(), labels.edges());
        fill_rows(extra, |channel, offset, out| {
            if channel < *classes {
                let set = |id: &u16| f32::from(u8::from(usize::from(*id) == channel));
                out.iter_mut().zip(&ids[offset..]).for_each(|(to, id)| *to = set(id));
            } else if let Some(edges) = &edges {
                out.copy_from_slice(&edges[offset..][..out.len()]);
            }
        });
    }
}
