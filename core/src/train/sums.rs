//! What the processes of a group add up in a step: gradients, losses, and the pixels of each class.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};

use super::Group;
use crate::error::Result;
use crate::model::read_back;

/// The sum of a tensor over all processes, without gradients.
///
/// # Errors
///
/// Same as [`Group::check`]; [`Error::Device`](crate::Error::Device) if it cannot be read.
pub(super) fn sum_tensor<const D: usize>(group: &Group, mine: Tensor<D>) -> Result<Tensor<D>> {
    if group.size() == 1 {
        return Ok(mine);
    }
    let (shape, device) = (mine.dims(), mine.device());
    let mut values = read_back(mine)?;
    group.sum(&mut values);
    group.check()?;
    Ok(Tensor::from_data(TensorData::new(values, shape), &device))
}

/// The sums of a module's gradients over all processes. A parameter has one if any process has: a class may be in the pictures of
/// only some.
///
/// # Errors
///
/// Same as [`sum_tensor`].
pub(super) fn sum_gradients<M: Module>(group: &Group, module: &M, mine: GradientsParams) -> Result<GradientsParams> {
    if group.size() == 1 {
        return Ok(mine);
    }
    let mut flat = Flatten { gradients: mine, values: Vec::new(), present: Vec::new(), result: Ok(()) };
    module.visit(&mut flat);
    flat.result?;
    // One sum for all: what a process lacks counts as 0, and the numbers of those that have a gradient stand at the end.
    let (mut values, length) = (flat.values, flat.present.len());
    values.extend(flat.present);
    group.sum(&mut values);
    group.check()?;
    let (values, present) = values.split_at(values.len() - length);
    let mut spread = Spread { gradients: GradientsParams::new(), values, present: present.iter() };
    module.visit(&mut spread);
    Ok(spread.gradients)
}

/// Copies the gradients of trained parameters out, one after the other.
struct Flatten {
    gradients: GradientsParams,
    values: Vec<f32>,
    /// 1 for each parameter that has a gradient, 0 for the others.
    present: Vec<f32>,
    result: Result<()>,
}

impl ModuleVisitor for Flatten {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        if !value.is_require_grad() || self.result.is_err() {
            return;
        }
        let gradient = self.gradients.remove::<D>(param.id);
        self.present.push(if gradient.is_some() { 1.0 } else { 0.0 });
        match gradient.map(read_back) {
            None => self.values.resize(self.values.len() + value.shape().num_elements(), 0.0),
            Some(Ok(values)) => self.values.extend(values),
            Some(Err(error)) => self.result = Err(error),
        }
    }
}

/// Makes gradients of the values that [`Flatten`] gave.
struct Spread<'a> {
    gradients: GradientsParams,
    values: &'a [f32],
    present: std::slice::Iter<'a, f32>,
}

impl ModuleVisitor for Spread<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        if !value.is_require_grad() {
            return;
        }
        let shape = value.shape();
        let Some((here, rest)) = self.values.split_at_checked(shape.num_elements()) else { return };
        self.values = rest;
        if self.present.next().is_some_and(|&count| count > 0.0) {
            let data = TensorData::new(here.to_vec(), shape);
            self.gradients.register::<D>(param.id, Tensor::from_data(data, &value.inner().device()));
        }
    }
}
