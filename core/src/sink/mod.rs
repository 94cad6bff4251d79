//! Where the rows of a picture go, so that a picture need not fit into memory.

mod file;
mod png_rows;
mod tiff_rows;

pub use file::PictureFile;

use std::fmt;

use crate::error::{Error, Result};
use crate::picture::{PixelFormat, PixelsMut};

/// Takes the rows of a picture, from top to bottom, each exactly once.
///
/// [`PixelsMut`] puts them into memory, [`PictureFile`] into a file, and [`from_fn`] makes a sink of a closure.
pub trait RowSink: Send {
    /// Takes row `y`, counted from 0 at the top: red, green and blue of each pixel, `3 * width` bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the row is not the one the sink expects or has another length; whatever keeps the sink
    /// from writing. After an error the picture is incomplete, and the writer stops.
    fn write(&mut self, y: usize, rgb: &[u8]) -> Result<()>;
}

impl<S: RowSink + ?Sized> RowSink for &mut S {
    fn write(&mut self, y: usize, rgb: &[u8]) -> Result<()> {
        (**self).write(y, rgb)
    }
}

impl<S: RowSink + ?Sized> RowSink for Box<S> {
    fn write(&mut self, y: usize, rgb: &[u8]) -> Result<()> {
        (**self).write(y, rgb)
    }
}

/// Checks the length of a row.
fn check_length(width: usize, rgb: &[u8]) -> Result<()> {
    let needed = 3 * width;
    if rgb.len() == needed {
        return Ok(());
    }
    Err(Error::Argument(format!("{} bytes are no row of {width} pixels, which takes {needed}", rgb.len())))
}

fn no_row(y: usize, width: usize, height: usize) -> Error {
    Error::Argument(format!("there is no row {y} in a picture of {width}x{height} pixels"))
}

/// Rows may come in any order. An alpha channel is set to 255; padding is not written.
impl RowSink for PixelsMut<'_> {
    fn write(&mut self, y: usize, rgb: &[u8]) -> Result<()> {
        let (width, height, format) = (self.width(), self.height(), self.format());
        check_length(width, rgb)?;
        let to = self.row_mut(y).ok_or_else(|| no_row(y, width, height))?;
        match format {
            PixelFormat::Rgb8 => to.copy_from_slice(rgb),
            PixelFormat::Rgba8 => {
                for (&[r, g, b], to) in rgb.as_chunks::<3>().0.iter().zip(to.as_chunks_mut::<4>().0) {
                    *to = [r, g, b, 255];
                }
            }
        }
        Ok(())
    }
}

/// A [`RowSink`] made of a closure; see [`from_fn`].
pub struct RowFn<F>(F);

impl<F> fmt::Debug for RowFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowFn").finish_non_exhaustive()
    }
}

impl<F: FnMut(usize, &[u8]) -> Result<()> + Send> RowSink for RowFn<F> {
    fn write(&mut self, y: usize, rgb: &[u8]) -> Result<()> {
        (self.0)(y, rgb)
    }
}

/// Makes a sink of a closure that takes a row's number and its bytes.
///
/// ```
/// use semsynth::sink::{RowSink, from_fn};
///
/// let mut rows = Vec::new();
/// let mut sink = from_fn(|y, rgb| {
///     rows.push((y, rgb.to_vec()));
///     Ok(())
/// });
/// sink.write(0, &[255, 0, 0])?;
/// assert_eq!(rows, [(0, vec![255, 0, 0])]);
/// # Ok::<(), semsynth::Error>(())
/// ```
pub fn from_fn<F: FnMut(usize, &[u8]) -> Result<()> + Send>(write: F) -> RowFn<F> {
    RowFn(write)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Image;
    use proptest::prelude::*;

    #[test]
    fn memory_refuses_rows_of_another_size() {
        let mut data = [7; 12];
        let mut out = PixelsMut::new(PixelFormat::Rgb8, 2, 2, 6, &mut data).unwrap();
        let text = |result: Result<()>| result.unwrap_err().to_string();
        assert!(text(out.write(0, &[0; 5])).contains("5 bytes are no row of 2 pixels, which takes 6"));
        assert!(text(out.write(2, &[0; 6])).contains("there is no row 2 in a picture of 2x2 pixels"));
        assert!(out.write(usize::MAX, &[0; 6]).is_err());
        assert_eq!(data, [7; 12]);
    }

    #[test]
    fn sinks_compose() {
        let mut data = [0; 6];
        let mut out = PixelsMut::new(PixelFormat::Rgb8, 1, 2, 3, &mut data).unwrap();
        let mut flipped = from_fn(|y, rgb| out.write(1 - y, rgb));
        let dynamic: &mut dyn RowSink = &mut flipped;
        let mut boxed: Box<dyn RowSink + '_> = Box::new(dynamic);
        boxed.write(0, &[1, 2, 3]).unwrap();
        boxed.write(1, &[4, 5, 6]).unwrap();
        drop(boxed);
        assert_eq!(data, [4, 5, 6, 1, 2, 3]);
    }

    proptest! {
        #[test]
        fn rows_into_memory_are_the_picture(
            (width, height, padding) in (1_usize..9, 1_usize..9, 0_usize..7),
            bytes in proptest::collection::vec(any::<u8>(), 192),
        ) {
            let image = Image::new(width, height, bytes[..3 * width * height].to_vec()).unwrap();
            for format in [PixelFormat::Rgb8, PixelFormat::Rgba8] {
                let row = width * format.bytes_per_pixel();
                let (mut whole, mut by_rows) = ([9; 600], [9; 600]);
                let view = |data| PixelsMut::new(format, width, height, row + padding, data).unwrap();
                image.write_into(&mut view(&mut whole)).unwrap();
                let mut out = view(&mut by_rows);
                for (y, rgb) in image.pixels().rows().enumerate() {
                    out.write(y, rgb).unwrap();
                }
                prop_assert_eq!(whole, by_rows);
            }
        }
    }
}
