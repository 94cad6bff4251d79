//! Memory for feature maps, reused between pictures.

/// Buffers that are not in use. They are reused because fresh memory costs as much as the arithmetic on it: the
/// system maps it page by page.
#[derive(Debug, Default)]
pub(super) struct Buffers(Vec<Vec<f32>>);

impl Buffers {
    /// A buffer of `len` values with arbitrary contents.
    pub(super) fn take(&mut self, len: usize) -> Vec<f32> {
        let fits = |(index, buffer): (usize, &Vec<f32>)| (buffer.capacity() >= len).then(|| (buffer.capacity(), index));
        if let Some((_, index)) = self.0.iter().enumerate().filter_map(fits).min() {
            let mut buffer = self.0.swap_remove(index);
            buffer.resize(len, 0.0);
            return buffer;
        }
        // Drop the largest buffer if even that is too small: sizes of pictures then do not accumulate, and memory
        // stays at what the largest needs.
        if let Some(last) = (0..self.0.len()).max_by_key(|&index| self.0.get(index).map(Vec::capacity)) {
            drop(self.0.swap_remove(last));
        }
        vec![0.0; len]
    }

    /// Bytes of all buffers that are not in use.
    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(|buffer| buffer.capacity() * size_of::<f32>()).sum()
    }

    /// Returns a buffer for reuse.
    pub(super) fn give(&mut self, buffer: Vec<f32>) {
        // Rings that were never needed give none back; kept, they would add up from picture to picture.
        if buffer.capacity() > 0 {
            self.0.push(buffer);
        }
    }

    /// Number of buffers that are not in use.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}
