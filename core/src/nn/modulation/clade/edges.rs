//! The extra channel that CLADE computes from instance edges.

use burn::tensor::Tensor;
use semsynth_kernels::{Affine, Isa, Map, MapMut, Source, affine, for_each_run};

use super::super::cpu::NormWeights;
use crate::error::Result;
use crate::label::LabelArea;
use crate::nn::layout::LabelTensors;
use crate::nn::{Conv, ConvConfig, Init, Mode};

/// A 1x1 convolution of the instance edges; its output is appended to the modulated channels.
pub(in super::super) fn edge_conv(init: &mut Init) -> Conv {
    ConvConfig::new(1, 1, 1).init(init)
}

/// The output of [`edge_conv`], `[batch, 1, height, width]`.
pub(in super::super) fn edge_channel(conv: Option<&Conv>, labels: &LabelTensors) -> Option<Tensor<4>> {
    Some(conv?.forward(labels.edges()?, Mode::EVAL))
}

/// The same on the CPU engine: `edge * weight + bias`.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct CpuEdges {
    isa: Isa,
    weight: f32,
    bias: f32,
}

impl CpuEdges {
    /// Packs the edge convolution; `None` if the norm has none.
    pub(in super::super) fn pack(weights: &NormWeights<'_>, isa: Isa) -> Result<Option<Self>> {
        if !weights.has("inst_conv.weight") {
            return Ok(None);
        }
        let first = |name: &str| -> Result<f32> { Ok(weights.get(name)?.first().copied().unwrap_or_default()) };
        Ok(Some(Self { isa, weight: first("inst_conv.weight")?, bias: first("inst_conv.bias")? }))
    }

    /// Fills the rows of the extra channel.
    pub(in super::super) fn run(self, labels: &LabelArea<'_>, leaky: bool, out: MapMut<'_>) {
        let Some(edges) = labels.edges() else { return };
        let edges = Source::new(Map::whole(&edges, labels.size()), [0, 0]);
        let (scale, shift) = ([self.weight], [self.bias]);
        for_each_run(edges, out, |_, _, edges, out| {
            affine(self.isa, edges, Affine { scale: &scale, shift: &shift, leaky }, out);
        });
    }
}
