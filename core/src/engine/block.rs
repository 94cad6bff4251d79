//! The residual block on kernels.

use semsynth_kernels::{Conv1x1, Conv3x3, Isa};

use super::Scene;
use super::buffers::Buffers;
use super::level::Level;
use super::norm::{Norm, Shape};
use super::weights::Weights;
use crate::error::Result;
use crate::nn::modulation::ModulationKind;

#[derive(Debug)]
pub(super) struct Block {
    conv_0: Conv3x3,
    conv_1: Conv3x3,
    norm_0: Norm,
    norm_1: Norm,
    shortcut: Option<(Norm, Conv1x1)>,
    output: usize,
}

impl Block {
    /// The noise maps it draws are numbered from `draw`, in the order they are drawn: the shortcut's first.
    pub(super) fn new(isa: Isa, weights: Weights<'_>, name: &str, shape: Shape, draw: usize) -> Result<Self> {
        let [input, output] = shape.channels;
        let middle = input.min(output);
        let learned = input != output;
        // SEAN's code calls its norms ACE.
        let sean = shape.kind == ModulationKind::Sean;
        let prefix = if sean { "ace" } else { "norm" };
        let norm = |part: &str, channels, draw| {
            Norm::new(isa, weights, &format!("{name}.{prefix}_{part}"), channels, shape, draw)
        };
        let first = draw + usize::from(learned);
        let (norm_0, norm_1) = (norm("0", input, first)?, norm("1", middle, first + 1)?);
        let conv = |part: &str, from: usize, to: usize| -> Result<Conv3x3> {
            let weight = weights.get(&format!("{name}.conv_{part}.weight"))?;
            let bias = weights.get(&format!("{name}.conv_{part}.bias"))?;
            Ok(Conv3x3::new(isa, &weight, Some(&bias), [to, from], shape.pixels))
        };
        let shortcut = if learned {
            let norm = norm("s", input, draw)?;
            let weight = weights.get(&format!("{name}.conv_s.weight"))?;
            let channels = [output, input + norm.extra()];
            Some((norm, Conv1x1::new(isa, &weight, None, channels)))
        } else {
            None
        };
        Ok(Self {
            conv_0: conv("0", input + norm_0.extra(), middle)?,
            conv_1: conv("1", middle + norm_1.extra(), output)?,
            norm_0,
            norm_1,
            shortcut,
            output,
        })
    }

    /// Takes on a style, `[labels, length]`, or none.
    pub(super) fn restyle(&mut self, weights: Weights<'_>, style: Option<&[f32]>) -> Result<()> {
        self.norm_0.restyle(weights, style)?;
        self.norm_1.restyle(weights, style)?;
        match &mut self.shortcut {
            Some((norm, _)) => norm.restyle(weights, style),
            None => Ok(()),
        }
    }

    /// `[input, h, w] -> [output, h, w]`
    pub(super) fn run(&self, x: Vec<f32>, level: &Level, scene: &Scene<'_>, memory: &mut Buffers) -> Vec<f32> {
        let pixels = level.ids.len();
        let residual = match &self.shortcut {
            None => None,
            Some((norm, conv)) => {
                let modulated = norm.run(&x, level, scene, false, memory);
                let mut y = memory.take(self.output * pixels);
                conv.run(&modulated, level.size, &mut y, None);
                memory.give(modulated);
                Some(y)
            }
        };
        let modulated = self.norm_0.run(&x, level, scene, true, memory);
        let mut middle = memory.take(self.norm_1.channels * pixels);
        self.conv_0.run(&modulated, level.size, &mut middle, None);
        memory.give(modulated);
        let modulated = self.norm_1.run(&middle, level, scene, true, memory);
        memory.give(middle);
        let mut y = memory.take(self.output * pixels);
        self.conv_1.run(&modulated, level.size, &mut y, Some(residual.as_ref().unwrap_or(&x)));
        memory.give(modulated);
        memory.give(x);
        if let Some(residual) = residual {
            memory.give(residual);
        }
        y
    }
}
