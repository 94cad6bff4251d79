//! The residual block on the CPU engine.

use semsynth_kernels::{Conv1x1, Conv3x3, Isa, Map, MapMut, Mode, Residual, ScratchPeak, Source, for_each_run};

use super::Scene;
use super::buffers::Buffers;
use super::norm::Norm;
use crate::error::Result;
use crate::label::LabelArea;
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

    /// Bytes of the weights.
    pub(super) fn bytes(&self) -> usize {
        let shortcut = self.shortcut.as_ref().map_or(0, |(norm, conv)| norm.bytes() + conv.bytes());
        self.conv_0.bytes() + self.conv_1.bytes() + self.norm_0.bytes() + self.norm_1.bytes() + shortcut
    }

    /// Channels of `norm_0`'s output, and of `norm_1`'s.
    pub(super) fn widths(&self) -> [usize; 2] {
        [self.norm_0.outputs(), self.norm_1.outputs()]
    }

    /// Adds the working memory of [`features`](Self::features) for `[rows, columns]`.
    pub(super) fn features_scratch(&self, size: [usize; 2], peak: &mut ScratchPeak) {
        peak.call(self.norm_0.scratch(size));
    }

    /// Adds the working memory of [`middle`](Self::middle) for `[rows, columns]`.
    pub(super) fn middle_scratch(&self, size: [usize; 2], peak: &mut ScratchPeak) {
        peak.call(self.conv_0.scratch(size));
        peak.call(self.norm_1.scratch(size));
    }

    /// Adds the working memory of [`shortcut`](Self::shortcut) and [`add_output`](Self::add_output) for
    /// `[rows, columns]`.
    pub(super) fn output_scratch(&self, size: [usize; 2], peak: &mut ScratchPeak) {
        if let Some((norm, _)) = &self.shortcut {
            peak.call(norm.scratch(size));
        }
        peak.call(self.conv_1.scratch(size));
    }

    /// `norm_0` of some rows. `x` starts at the first row and column of `out`.
    pub(super) fn features(
        &self,
        session: &mut BlockSession,
        x: Source<'_>,
        labels: &LabelArea<'_>,
        scene: &Scene<'_>,
        out: MapMut<'_>,
        memory: &mut Buffers,
    ) {
        self.norm_0.run(&mut *session.first, x, labels, scene, true, out, memory);
    }

    /// `conv_0` and `norm_1` of some rows. Row and column 0 of `out` are at `at` in `features`.
    pub(super) fn middle(
        &self,
        mode: Mode<'_>,
        session: &mut BlockSession,
        features: Map<'_>,
        at: [usize; 2],
        labels: &LabelArea<'_>,
        scene: &Scene<'_>,
        out: MapMut<'_>,
        memory: &mut Buffers,
        check: &mut dyn FnMut() -> Result<()>,
    ) -> Result<()> {
        let size = out.size();
        let mut plain = memory.take(self.norm_1.channels() * size[0] * size[1]);
        self.conv_0.run_rows_in(mode, features, at, MapMut::whole(&mut plain, size), Residual::None);
        check()?;
        let x = Source::new(Map::whole(&plain, size), [0, 0]);
        self.norm_1.run(&mut *session.second, x, labels, scene, true, out, memory);
        memory.give(plain);
        Ok(())
    }

    /// The shortcut of some rows: what `conv_1` is added to. `x` starts at the first row and column of `out`.
    pub(super) fn shortcut(
        &self,
        session: &mut BlockSession,
        x: Source<'_>,
        labels: &LabelArea<'_>,
        scene: &Scene<'_>,
        out: MapMut<'_>,
        memory: &mut Buffers,
        check: &mut dyn FnMut() -> Result<()>,
    ) -> Result<()> {
        let (Some((norm, conv)), Some(session)) = (&self.shortcut, &mut session.shortcut) else {
            for_each_run(x, out, |_, _, x, out| out.copy_from_slice(x));
            return Ok(());
        };
        let size = out.size();
        let mut modulated = memory.take(norm.outputs() * size[0] * size[1]);
        norm.run(&mut **session, x, labels, scene, false, MapMut::whole(&mut modulated, size), memory);
        check()?;
        conv.run_rows(Map::whole(&modulated, size), 0, out);
        memory.give(modulated);
        Ok(())
    }

    /// Adds `conv_1` of some rows to the shortcut. Row and column 0 of `out` are at `at` in `middle`.
    pub(super) fn add_output(&self, mode: Mode<'_>, middle: Map<'_>, at: [usize; 2], out: MapMut<'_>) {
        self.conv_1.run_rows_in(mode, middle, at, out, Residual::Output);
    }
}
