//! The residual block on the CPU engine.

use semsynth_kernels::{Conv1x1, Conv3x3, Isa};

use super::Scene;
use super::buffers::Buffers;
use super::norm::Norm;
use crate::error::Result;
use crate::label::LabelScale;
use crate::nn::BlockPlan;
use crate::nn::modulation::{CpuSession, values};
use crate::tensors::Tensors;

/// Packed weights of a block, shared by all sessions.
#[derive(Debug)]
pub(super) struct Block {
    conv_0: Conv3x3,
    conv_1: Conv3x3,
    norm_0: Norm,
    norm_1: Norm,
    shortcut: Option<(Norm, Conv1x1)>,
    output: usize,
}

/// State that one thread keeps for a block between pictures.
#[derive(Debug)]
pub(super) struct BlockSession {
    first: Box<dyn CpuSession>,
    second: Box<dyn CpuSession>,
    shortcut: Option<Box<dyn CpuSession>>,
}

impl Block {
    /// `pixels` is the area the block will mostly work on; it only affects speed.
    pub(super) fn new(isa: Isa, tensors: &Tensors, plan: &BlockPlan, pixels: usize, low_memory: bool) -> Result<Self> {
        let (name, extra) = (plan.name, plan.extra_channels);
        let norm = |norm| Norm::new(isa, tensors, plan, norm, low_memory);
        let conv = |part: &str, from: usize, to: usize| -> Result<Conv3x3> {
            let weight = values(tensors, &format!("{name}.conv_{part}.weight"))?;
            let bias = values(tensors, &format!("{name}.conv_{part}.bias"))?;
            Ok(Conv3x3::new(isa, &weight, Some(&bias), [to, from], pixels))
        };
        let shortcut = match &plan.norm_s {
            Some(norm_s) => {
                let weight = values(tensors, &format!("{name}.conv_s.weight"))?;
                let channels = [plan.output, plan.input + extra];
                Some((norm(norm_s)?, Conv1x1::new(isa, &weight, None, channels)))
            }
            None => None,
        };
        Ok(Self {
            conv_0: conv("0", plan.input + extra, plan.middle())?,
            conv_1: conv("1", plan.middle() + extra, plan.output)?,
            norm_0: norm(&plan.norm_0)?,
            norm_1: norm(&plan.norm_1)?,
            shortcut,
            output: plan.output,
        })
    }

    pub(super) fn session(&self) -> BlockSession {
        BlockSession {
            first: self.norm_0.session(),
            second: self.norm_1.session(),
            shortcut: self.shortcut.as_ref().map(|(norm, _)| norm.session()),
        }
    }

    /// Sets the styles, `[labels, length]`, or removes them.
    pub(super) fn set_style(&self, session: &mut BlockSession, tensors: &Tensors, style: Option<&[f32]>) -> Result<()> {
        self.norm_0.set_style(&mut *session.first, tensors, style)?;
        self.norm_1.set_style(&mut *session.second, tensors, style)?;
        match (&self.shortcut, &mut session.shortcut) {
            (Some((norm, _)), Some(session)) => norm.set_style(&mut **session, tensors, style),
            _ => Ok(()),
        }
    }

    /// `[input, h, w] -> [output, h, w]`. Calls `check` between kernels; an error from it ends the computation.
    pub(super) fn run(
        &self,
        session: &mut BlockSession,
        x: Vec<f32>,
        scale: &LabelScale,
        scene: &Scene<'_>,
        memory: &mut Buffers,
        check: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Vec<f32>> {
        let (pixels, size) = (scale.area(), scale.size());
        let residual = match (&self.shortcut, &mut session.shortcut) {
            (Some((norm, conv)), Some(session)) => {
                let modulated = norm.run(&mut **session, &x, scale, scene, false, memory);
                check()?;
                let mut y = memory.take(self.output * pixels);
                conv.run(&modulated, size, &mut y, None);
                memory.give(modulated);
                Some(y)
            }
            _ => None,
        };
        check()?;
        let modulated = self.norm_0.run(&mut *session.first, &x, scale, scene, true, memory);
        check()?;
        let mut middle = memory.take(self.norm_1.channels() * pixels);
        self.conv_0.run(&modulated, size, &mut middle, None);
        memory.give(modulated);
        check()?;
        let modulated = self.norm_1.run(&mut *session.second, &middle, scale, scene, true, memory);
        memory.give(middle);
        check()?;
        let mut y = memory.take(self.output * pixels);
        self.conv_1.run(&modulated, size, &mut y, Some(residual.as_ref().unwrap_or(&x)));
        memory.give(modulated);
        memory.give(x);
        if let Some(residual) = residual {
            memory.give(residual);
        }
        check()?;
        Ok(y)
    }
}
