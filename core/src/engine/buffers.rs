//! Memory for feature maps, kept from picture to picture.

/// Buffers that are not in use. Fresh memory costs as much as the arithmetic on it, because the system hands it out page
/// by page.
#[derive(Debug, Default)]
pub(super) struct Buffers(Vec<Vec<f32>>);

impl Buffers {
    /// A buffer of `len` values, whatever they are.
    pub(super) fn take(&mut self, len: usize) -> Vec<f32> {
        let fits = |(index, buffer): (usize, &Vec<f32>)| (buffer.capacity() >= len).then(|| (buffer.capacity(), index));
        if let Some((_, index)) = self.0.iter().enumerate().filter_map(fits).min() {
            let mut buffer = self.0.swap_remove(index);
            buffer.resize(len, 0.0);
            return buffer;
        }
        // One that is too small makes room: pictures of all sizes together take no more than the largest.
        if let Some(last) = (0..self.0.len()).max_by_key(|&index| self.0.get(index).map(Vec::capacity)) {
            drop(self.0.swap_remove(last));
        }
        vec![0.0; len]
    }

    /// Gives a buffer back.
    pub(super) fn give(&mut self, buffer: Vec<f32>) {
        self.0.push(buffer);
    }
}
