//! Numbers that tell whether inputs have changed.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use image::RgbImage;

use crate::error::{Error, Result};
use crate::label::LabelMap;

/// A 128-bit hash of inputs: two lanes of 64 bits with different constants. It recognises changes, not attacks.
#[derive(Clone, Debug)]
pub(super) struct Fingerprint([u64; 2]);

impl Fingerprint {
    pub(super) fn new() -> Self {
        Self([0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344])
    }

    pub(super) fn number(mut self, number: u64) -> Self {
        const FACTORS: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f];
        for (lane, factor) in self.0.iter_mut().zip(FACTORS) {
            let mixed = (*lane ^ number).wrapping_mul(factor);
            *lane = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9).rotate_left(17);
        }
        self
    }

    /// Bytes and their number.
    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self = self.number(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.number(u64::from_le_bytes(last)).number(bytes.len() as u64)
    }

    pub(super) fn picture(self, picture: &RgbImage) -> Self {
        let (width, height) = picture.dimensions();
        self.number(u64::from(width)).number(u64::from(height)).bytes(picture.as_raw())
    }

    pub(super) fn labels(mut self, labels: &LabelMap) -> Self {
        for id in labels.ids() {
            self = self.number(u64::from(id));
        }
        self.number(labels.width() as u64)
    }

    /// The content of a file.
    pub(super) fn file(mut self, path: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(Error::io(path))?;
        let mut buffer = vec![0; 1 << 20];
        loop {
            // Full blocks whatever the system returns, so that the same content gives the same number.
            let mut filled = 0;
            while filled < buffer.len() {
                match file.read(&mut buffer[filled..]).map_err(Error::io(path))? {
                    0 => break,
                    count => filled += count,
                }
            }
            self = self.bytes(&buffer[..filled]);
            if filled < buffer.len() {
                return Ok(self);
            }
        }
    }

    pub(super) fn text(&self) -> String {
        let [a, b] = self.0;
        format!("{a:016x}{b:016x}")
    }

    /// Half of it.
    pub(super) fn value(&self) -> u64 {
        self.0[0]
    }
}
