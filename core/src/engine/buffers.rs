//! Memory for feature maps, kept from picture to picture.

/// Buffers that are not in use. Fresh memory costs as much as the arithmetic on it, because the system hands it out page
/// by page.
#[derive(Debug, Default)]
pub(super) struct Buffers(Vec<Vec<f32>>);

impl Buffers {
    /// A buffer of `len` values, whatever they are.
    pub(super) fn take(&mut self, len: usize) -> Vec<f32> {
        let fits = |(index, buffer): (usize, &Vec<f32>)| (buffer.capacity() >= len).then(|| (buffer.capacity(), index));
        let best = self.0.iter().enumerate().filter_map(fits).min();
        let mut buffer = best.map(|(_, index)| self.0.swap_remove(index)).unwrap_or_default();
        buffer.resize(len, 0.0);
        buffer
    }

    /// Gives a buffer back.
    pub(super) fn give(&mut self, buffer: Vec<f32>) {
        self.0.push(buffer);
    }
}
