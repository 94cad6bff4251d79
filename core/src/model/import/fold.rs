//! Folds spectral norm into the weights of a checkpoint: divides each weight by its largest singular value.

use crate::error::{Error, Result};
use crate::tensors::{TensorData, Tensors};

/// Replaces each `weight_orig` and its vectors by the plain `weight` used at inference.
///
/// * `weight_orig`, `weight_u`, `weight_v`: divides the weight by `u^T W v`, as `PyTorch` does in evaluation mode.
/// * `weight_orig`, `weight_u` and `weight` (`PyTorch` before 1.1): `weight` is already divided.
///
/// # Errors
///
/// [`Error::Model`] naming the tensor that is missing, has the wrong shape, or has a singular value that cannot be
/// used.
pub(super) fn fold(tensors: &mut Tensors) -> Result<()> {
    let layers: Vec<String> =
        tensors.names().filter_map(|name| name.strip_suffix(".weight_orig")).map(str::to_owned).collect();
    for layer in layers {
        let part = |suffix: &str| format!("{layer}.{suffix}");
        let take = |tensors: &mut Tensors, suffix: &str| tensors.remove(&part(suffix));
        let missing = |suffix: &str| {
            let (name, orig) = (part(suffix), part("weight_orig"));
            Error::Model(format!("tensor {name:?} is missing: {orig:?} cannot be used without it"))
        };
        let weight = take(tensors, "weight_orig").ok_or_else(|| missing("weight_orig"))?;
        let (u, v) = (take(tensors, "weight_u"), take(tensors, "weight_v"));
        if tensors.get(&part("weight")).is_some() {
            continue;
        }
        let u = u.ok_or_else(|| missing("weight_u"))?;
        let v = v.ok_or_else(|| missing("weight_v"))?;
        let folded = divide(&weight, &u, &v).map_err(|error| error.context(part("weight_orig")))?;
        tensors.insert(part("weight"), folded)?;
    }
    Ok(())
}

fn divide(weight: &TensorData, u: &TensorData, v: &TensorData) -> Result<TensorData> {
    let shape = weight.shape();
    let (rows, columns) = (u.len(), v.len());
    if weight.is_empty() {
        return Err(Error::Model(format!("shape {shape:?} holds no values")));
    }
    let area: usize = shape.iter().skip(2).product();
    // The rows of the matrix are the output channels: the first side of a convolution's weight, the second side of
    // a transposed convolution's.
    let transposed = match *shape {
        [out, input, ..] if out == rows && input * area == columns => false,
        [input, out, ..] if out == rows && input * area == columns => true,
        _ => {
            return Err(Error::Model(format!(
                "shape {shape:?} does not fit its weight_u of {rows} and its weight_v of {columns} values"
            )));
        }
    };
    let (values, u, v) = (weight.to_f32(), u.to_f32(), v.to_f32());
    let mut sigma = 0.0f64;
    if transposed {
        // `W[i][o][tap]` is in row `o`, column `(i, tap)`.
        for (input, block) in values.chunks_exact((rows * area).max(1)).enumerate() {
            let v = v.get(input * area..(input + 1) * area).unwrap_or_default();
            for (row, &u) in block.chunks_exact(area.max(1)).zip(&u) {
                sigma += f64::from(u) * dot(row, v);
            }
        }
    } else {
        for (row, &u) in values.chunks_exact(columns.max(1)).zip(&u) {
            sigma += f64::from(u) * dot(row, &v);
        }
    }
    if !sigma.is_finite() || sigma == 0.0 {
        return Err(Error::Model(format!(
            "its singular value is {sigma}: the checkpoint is damaged or was never trained"
        )));
    }
    let divisor = sigma as f32;
    let quotient: Vec<f32> = values.into_iter().map(|value| value / divisor).collect();
    TensorData::from_f32(shape.to_vec(), &quotient)
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors(parts: &[(&str, &[usize], &[f32])]) -> Tensors {
        let mut tensors = Tensors::new();
        for &(name, shape, values) in parts {
            tensors.insert_f32(name, shape.to_vec(), values.to_vec()).unwrap();
        }
        tensors
    }

    #[test]
    fn weights_are_divided_by_their_singular_value() {
        // Two 1x1 filters over one channel, [3, 4]: the singular value is 5.
        let parts: [(&str, &[usize], &[f32]); 4] = [
            ("c.bias", &[2], &[7.0, 8.0]),
            ("c.weight_orig", &[2, 1, 1, 1], &[3.0, 4.0]),
            ("c.weight_u", &[2], &[0.6, 0.8]),
            ("c.weight_v", &[1], &[1.0]),
        ];
        let mut folded = tensors(&parts);
        fold(&mut folded).unwrap();
        assert_eq!(folded.names().collect::<Vec<_>>(), ["c.bias", "c.weight"]);
        let found = folded.get("c.weight").unwrap().to_f32();
        assert!((found[0] - 0.6).abs() < 1e-6 && (found[1] - 0.8).abs() < 1e-6, "{found:?}");

        let mut without_v = tensors(&parts[..3]);
        let message = fold(&mut without_v).unwrap_err().to_string();
        assert!(message.contains("c.weight_v"), "{message}");
        let mut other_shape = tensors(&parts[..3]);
        other_shape.insert_f32("c.weight_v", vec![3], vec![1.0; 3]).unwrap();
        let message = fold(&mut other_shape).unwrap_err().to_string();
        assert!(message.contains("c.weight_orig") && message.contains("[2, 1, 1, 1]"), "{message}");
        let mut never = tensors(&parts[..2]);
        never.insert_f32("c.weight_u", vec![2], vec![0.0; 2]).unwrap();
        never.insert_f32("c.weight_v", vec![1], vec![0.0]).unwrap();
        assert!(fold(&mut never).unwrap_err().to_string().contains("singular value is 0"));
    }

    #[test]
    fn the_older_form_holds_the_quotient() {
        let mut folded = tensors(&[
            ("c.weight", &[2, 1, 1, 1], &[1.0, 2.0]),
            ("c.weight_orig", &[2, 1, 1, 1], &[3.0, 4.0]),
            ("c.weight_u", &[2], &[0.6, 0.8]),
        ]);
        fold(&mut folded).unwrap();
        assert_eq!(folded.len(), 1);
        assert_eq!(folded.get("c.weight").unwrap().to_f32(), [1.0, 2.0]);
    }

    #[test]
    fn transposed_convolutions_have_their_outputs_second() {
        // One input channel, two output channels, kernel 1x1; rows are output channels.
        let mut folded = tensors(&[
            ("t.weight_orig", &[1, 2, 1, 1], &[3.0, 4.0]),
            ("t.weight_u", &[2], &[0.6, 0.8]),
            ("t.weight_v", &[1], &[1.0]),
        ]);
        fold(&mut folded).unwrap();
        let found = folded.get("t.weight").unwrap();
        assert_eq!(found.shape(), [1, 2, 1, 1]);
        assert!((found.to_f32()[1] - 0.8).abs() < 1e-6);
    }
}
