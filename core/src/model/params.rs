//! Reading and writing the parameters of a network by name.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};

use crate::error::{Error, Result};
use crate::tensors::Tensors;

/// Path and shape of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    /// The field names from the network down to the parameter, joined by dots.
    pub(crate) path: String,
    pub(crate) shape: Vec<usize>,
}

/// All parameters and buffers of a module, in the order of Burn's visitor; allocates none of them.
pub(crate) fn slots<M: Module>(module: &M) -> Vec<Slot> {
    struct Collect {
        path: Vec<String>,
        slots: Vec<Slot>,
    }
    impl ModuleVisitor for Collect {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.path.push(name.to_owned());
        }
        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.path.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.slots.push(Slot { path: self.path.join("."), shape: param.lazy_shape().as_slice().to_vec() });
        }
    }
    let mut collect = Collect { path: Vec::new(), slots: Vec::new() };
    module.visit(&mut collect);
    collect.slots
}

/// The names in a file for the parameters of a module, in the order of [`slots`].
pub(crate) fn names<T>(slots: &[Slot], translate: impl FnOnce(&[String]) -> T) -> T {
    let paths: Vec<String> = slots.iter().map(|slot| slot.path.clone()).collect();
    translate(&paths)
}

/// Reads a tensor from its device, in row-major order.
pub(crate) fn read_back<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let data =
        tensor.try_into_data().map_err(|error| Error::Device(format!("reading a tensor back failed: {error}")))?;
    data.try_to_vec().map_err(|error| Error::Device(format!("a tensor came back in another type than f32: {error:?}")))
}

/// Copies all parameters out, as `(name, shape, values)`.
pub(crate) fn export<M: Module>(
    module: &M,
    names: &[String],
    put: impl FnMut(&str, Vec<usize>, Vec<f32>) -> Result<()>,
) -> Result<()> {
    struct Export<'a, F> {
        names: std::slice::Iter<'a, String>,
        put: F,
        result: Result<()>,
    }
    impl<F: FnMut(&str, Vec<usize>, Vec<f32>) -> Result<()>> ModuleVisitor for Export<'_, F> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let Some(name) = self.names.next() else { return };
            if self.result.is_ok() {
                let value = param.val();
                let shape = value.shape().as_slice().to_vec();
                self.result = read_back(value).and_then(|values| (self.put)(name, shape, values));
            }
        }
    }
    let mut export = Export { names: names.iter(), put, result: Ok(()) };
    module.visit(&mut export);
    export.result
}

/// Fills all parameters from `tensors`.
///
/// # Errors
///
/// [`Error::Model`] naming the parameter that is missing, has the wrong shape, or holds a value that is not finite.
pub(crate) fn import<M: Module>(module: M, tensors: &Tensors, names: &[String]) -> Result<M> {
    struct Import<'a> {
        names: std::slice::Iter<'a, String>,
        tensors: &'a Tensors,
    }
    impl ModuleMapper for Import<'_> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let Some(data) = self.names.next().and_then(|name| self.tensors.get(name)) else { return param };
            let trained = param.is_initialized() && param.val().is_require_grad();
            let data = TensorData::new(data.to_f32(), data.shape().to_vec());
            let value = Tensor::from_data(data, &param.lazy_device());
            Param::initialized(param.id, if trained { value.require_grad() } else { value })
        }
    }
    check(&slots(&module), tensors, names)?;
    Ok(module.map(&mut Import { names: names.iter(), tensors }))
}

/// Compares the parameters that a network needs with the tensors of a file; errors as in [`import`].
pub(crate) fn check(slots: &[Slot], tensors: &Tensors, names: &[String]) -> Result<()> {
    for (slot, name) in slots.iter().zip(names) {
        let Some(data) = tensors.get(name) else {
            return Err(Error::Model(format!(
                "tensor {name:?} is missing: the network needs it with shape {:?}",
                slot.shape
            )));
        };
        if data.shape() != slot.shape {
            let (found, expected) = (data.shape(), &slot.shape);
            return Err(Error::Model(format!("tensor {name:?} has shape {found:?}, the network needs {expected:?}")));
        }
        if !data.is_finite() {
            return Err(Error::Model(format!("tensor {name:?} holds a value that is not finite")));
        }
    }
    Ok(())
}
