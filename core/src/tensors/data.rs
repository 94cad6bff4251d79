//! A tensor on the host: element type, shape and raw little-endian bytes.

use std::borrow::Cow;

use half::{bf16, f16};
use rayon::prelude::*;

use crate::error::{Error, Result};

/// Element type of a stored tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DType {
    /// 64-bit IEEE float.
    F64,
    /// 32-bit IEEE float.
    F32,
    /// 16-bit IEEE float.
    F16,
    /// 16-bit float with the exponent range of `F32`.
    BF16,
    /// Signed 64-bit integer.
    I64,
    /// Signed 32-bit integer.
    I32,
    /// Signed 16-bit integer.
    I16,
    /// Signed 8-bit integer.
    I8,
    /// Unsigned 8-bit integer.
    U8,
    /// One byte per element; zero is false, anything else is true.
    Bool,
}

impl DType {
    pub(super) const ALL: [Self; 10] =
        [Self::F64, Self::F32, Self::F16, Self::BF16, Self::I64, Self::I32, Self::I16, Self::I8, Self::U8, Self::Bool];

    /// Bytes per element.
    pub const fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::BF16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// The name in safetensors files, such as `F32`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F64 => "F64",
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
            Self::I64 => "I64",
            Self::I32 => "I32",
            Self::I16 => "I16",
            Self::I8 => "I8",
            Self::U8 => "U8",
            Self::Bool => "BOOL",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.name() == name)
    }

    /// The bytes of a dense tensor of this type; `None` on overflow.
    pub(super) fn byte_len(self, shape: &[usize]) -> Option<usize> {
        shape.iter().try_fold(self.size(), |total, &side| total.checked_mul(side))
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A dense row-major tensor, as stored in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorData {
    dtype: DType,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl TensorData {
    /// Makes a tensor from its little-endian bytes, in row-major order. An empty `shape` is a scalar.
    ///
    /// # Errors
    /// [`Error::Argument`] unless `bytes` has the length that `shape` and `dtype` require.
    pub fn new(dtype: DType, shape: Vec<usize>, bytes: Vec<u8>) -> Result<Self> {
        match dtype.byte_len(&shape) {
            Some(expected) if expected == bytes.len() => Ok(Self { dtype, shape, bytes }),
            Some(expected) => {
                let found = bytes.len();
                Err(Error::Argument(format!("{dtype} of shape {shape:?} takes {expected} bytes, got {found}")))
            }
            None => Err(Error::Argument(format!("shape {shape:?} has more elements than memory can hold"))),
        }
    }

    /// Makes a 32-bit float tensor from values in row-major order.
    ///
    /// # Errors
    /// [`Error::Argument`] if the number of values does not match `shape`.
    pub fn from_f32(shape: Vec<usize>, values: &[f32]) -> Result<Self> {
        check_count(&shape, values.len())?;
        Self::new(DType::F32, shape, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// Makes a 16-bit float tensor from 32-bit values, rounded to nearest (ties to even).
    ///
    /// # Errors
    /// [`Error::Argument`] if the number of values does not match `shape`, or if a finite value is beyond ±65504
    /// and would become infinite.
    pub fn from_f32_as_f16(shape: Vec<usize>, values: &[f32]) -> Result<Self> {
        check_count(&shape, values.len())?;
        let mut bytes = Vec::with_capacity(values.len() * 2);
        for (index, &value) in values.iter().enumerate() {
            let half = f16::from_f32(value);
            if half.is_infinite() && value.is_finite() {
                return Err(Error::Argument(format!(
                    "value {value} at index {index} is beyond half precision (±65504); store it as F32"
                )));
            }
            bytes.extend(half.to_le_bytes());
        }
        Self::new(DType::F16, shape, bytes)
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The sides, outermost first; empty for a scalar.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.dtype.size()
    }

    /// Whether there are no elements: a side is 0.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Raw little-endian bytes, row-major.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The values as 32-bit floats, in row-major order.
    ///
    /// Exact for `F32`, `F16`, `BF16`, `I16`, `I8`, `U8` and `Bool` (0 or 1); `F64`, `I64` and `I32` are rounded to
    /// the nearest 32-bit float.
    pub fn to_f32(&self) -> Vec<f32> {
        match self.dtype {
            DType::F64 => self.map(|b| f64::from_le_bytes(b) as f32),
            DType::F32 => self.map(f32::from_le_bytes),
            DType::F16 => self.map(|b| f16::from_le_bytes(b).to_f32()),
            DType::BF16 => self.map(|b| bf16::from_le_bytes(b).to_f32()),
            DType::I64 => self.map(|b| i64::from_le_bytes(b) as f32),
            DType::I32 => self.map(|b| i32::from_le_bytes(b) as f32),
            DType::I16 => self.map(|b| f32::from(i16::from_le_bytes(b))),
            DType::I8 => self.map(|b| f32::from(i8::from_le_bytes(b))),
            DType::U8 => self.map(|[b]| f32::from(b)),
            DType::Bool => self.map(|[b]| f32::from(u8::from(b != 0))),
        }
    }

    /// As [`to_f32`](Self::to_f32), without a copy if the bytes can be used as 32-bit floats directly.
    pub fn as_f32(&self) -> Cow<'_, [f32]> {
        let as_they_are = self.dtype == DType::F32 && cfg!(target_endian = "little");
        match bytemuck::try_cast_slice(&self.bytes) {
            Ok(values) if as_they_are => Cow::Borrowed(values),
            _ => Cow::Owned(self.to_f32()),
        }
    }

    /// Whether all values are finite.
    pub fn is_finite(&self) -> bool {
        const EXPONENT: u32 = 0x7F80_0000;
        match self.dtype {
            DType::F32 => {
                let values = self.bytes.as_chunks::<4>().0;
                values.par_chunks(1 << 16).all(|values| {
                    // The inner loop has no early exit, so the compiler can vectorize it.
                    values
                        .iter()
                        .fold(true, |finite, &bytes| finite & (u32::from_le_bytes(bytes) & EXPONENT != EXPONENT))
                })
            }
            _ => self.to_f32().iter().all(|value| value.is_finite()),
        }
    }

    fn map<const N: usize>(&self, convert: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        self.bytes.as_chunks::<N>().0.iter().map(|&chunk| convert(chunk)).collect()
    }
}

fn check_count(shape: &[usize], found: usize) -> Result<()> {
    match DType::U8.byte_len(shape) {
        Some(expected) if expected == found => Ok(()),
        Some(expected) => Err(Error::Argument(format!("shape {shape:?} takes {expected} values, got {found}"))),
        None => Err(Error::Argument(format!("shape {shape:?} has more elements than memory can hold"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_survives_the_way_through_f32() {
        let halves: Vec<u16> = (0..=u16::MAX).filter(|&bits| !f16::from_bits(bits).is_nan()).collect();
        let values: Vec<f32> = halves.iter().map(|&bits| f16::from_bits(bits).to_f32()).collect();
        let tensor = TensorData::from_f32_as_f16(vec![values.len()], &values).unwrap();
        let bytes: Vec<u8> = halves.iter().flat_map(|bits| bits.to_le_bytes()).collect();
        assert_eq!(tensor.bytes(), bytes);
        let back = tensor.to_f32();
        assert!(back.iter().zip(&values).all(|(a, b)| a.to_bits() == b.to_bits()));
    }

    #[test]
    fn one_value_that_is_not_finite_is_found() {
        for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for at in [0, 70_000, 99_999] {
                let mut values = vec![f32::MAX; 100_000];
                assert!(TensorData::from_f32(vec![values.len()], &values).unwrap().is_finite());
                values[at] = bad;
                assert!(!TensorData::from_f32(vec![values.len()], &values).unwrap().is_finite());
            }
        }
        assert!(!TensorData::from_f32_as_f16(vec![1], &[f32::NAN]).unwrap().is_finite());
        assert!(TensorData::from_f32_as_f16(vec![1], &[-1.0]).unwrap().is_finite());
    }

    #[test]
    fn halves_round_to_nearest_even() {
        // Halves near 1 are 2^-10 apart: half a step rounds to the even neighbour, anything above it up.
        let step = 2f32.powi(-10);
        let tensor =
            TensorData::from_f32_as_f16(vec![4], &[1.0 + step / 2.0, 1.0 + 1.5 * step, 1.0 + 0.501 * step, 65519.0])
                .unwrap();
        assert_eq!(tensor.to_f32(), [1.0, 1.0 + 2.0 * step, 1.0 + step, 65504.0]);
        let nonfinite = TensorData::from_f32_as_f16(vec![2], &[f32::INFINITY, f32::NAN]).unwrap().to_f32();
        assert!(nonfinite[0].is_infinite() && nonfinite[1].is_nan());
        let error = TensorData::from_f32_as_f16(vec![2], &[0.0, -65520.0]).unwrap_err().to_string();
        assert!(error.contains("-65520") && error.contains("index 1"), "{error}");
    }

    #[test]
    fn every_type_reads_as_f32() {
        let cases: [(DType, Vec<u8>, f32); 10] = [
            (DType::F64, (-1.5f64).to_le_bytes().to_vec(), -1.5),
            (DType::F32, 0.1f32.to_le_bytes().to_vec(), 0.1),
            (DType::F16, f16::from_f32(0.25).to_le_bytes().to_vec(), 0.25),
            (DType::BF16, bf16::from_f32(3.0e38).to_le_bytes().to_vec(), bf16::from_f32(3.0e38).to_f32()),
            (DType::I64, (-7i64).to_le_bytes().to_vec(), -7.0),
            (DType::I32, 123_456i32.to_le_bytes().to_vec(), 123_456.0),
            (DType::I16, (-300i16).to_le_bytes().to_vec(), -300.0),
            (DType::I8, vec![0xff], -1.0),
            (DType::U8, vec![0xff], 255.0),
            (DType::Bool, vec![2], 1.0),
        ];
        for (dtype, bytes, expected) in cases {
            assert_eq!(DType::from_name(dtype.name()), Some(dtype));
            let tensor = TensorData::new(dtype, vec![], bytes).unwrap();
            let values = tensor.to_f32();
            assert_eq!(*tensor.as_f32(), values);
            assert_eq!(values.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), [expected.to_bits()], "{dtype}");
        }
    }

    #[test]
    fn shapes_and_lengths_must_agree() {
        assert!(TensorData::new(DType::F32, vec![2, 3], vec![0; 24]).is_ok());
        assert!(TensorData::new(DType::F32, vec![2, 3], vec![0; 23]).is_err());
        assert!(TensorData::new(DType::F32, vec![usize::MAX, 2], vec![]).is_err());
        assert!(TensorData::from_f32(vec![2], &[1.0]).is_err());
        assert!(TensorData::from_f32_as_f16(vec![2], &[1.0]).is_err());
        let empty = TensorData::new(DType::F32, vec![4, 0], vec![]).unwrap();
        assert!(empty.is_empty() && empty.to_f32().is_empty());
    }
}
