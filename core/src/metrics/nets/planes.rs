//! Pictures as tensors.

use burn::tensor::{Device, Tensor, TensorData};
use image::RgbImage;

/// `[1, 3, height, width]`, with the channels in the order of `channels` (0 is red); `value` takes the channel and a
/// value in 0 to 255.
pub(super) fn tensor(
    image: &RgbImage,
    channels: [usize; 3],
    value: impl Fn(usize, f32) -> f32,
    device: &Device,
) -> Tensor<4> {
    let mut planes = Vec::with_capacity(image.as_raw().len());
    for channel in channels {
        planes.extend(image.pixels().map(|pixel| value(channel, f32::from(pixel.0[channel]))));
    }
    let shape = [1, 3, image.height() as usize, image.width() as usize];
    Tensor::from_data(TensorData::new(planes, shape), device)
}

/// The planes of a picture, resized to `side` by `side` with bilinear interpolation between the four nearest pixels,
/// whose centres are at half coordinates; values in 0 to 255. Shrinking does not average over more pixels.
pub(super) fn resized(image: &RgbImage, side: usize) -> Vec<f32> {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let (columns, rows) = (taps(width, side), taps(height, side));
    let raw = image.as_raw();
    let at = |x: usize, y: usize, channel: usize| f32::from(raw[3 * (y * width + x) + channel]);
    let mut planes = Vec::with_capacity(3 * side * side);
    for channel in 0..3 {
        for &(top, bottom, down) in &rows {
            planes.extend(columns.iter().map(|&(left, right, along)| {
                let upper = at(left, top, channel) * (1.0 - along) + at(right, top, channel) * along;
                let lower = at(left, bottom, channel) * (1.0 - along) + at(right, bottom, channel) * along;
                upper * (1.0 - down) + lower * down
            }));
        }
    }
    planes
}

/// For each of `to` places along a side of `from` pixels: the two nearest pixels and the weight of the second.
fn taps(from: usize, to: usize) -> Vec<(usize, usize, f32)> {
    let scale = from as f64 / to as f64;
    let tap = |place: usize| {
        let position = ((place as f64 + 0.5) * scale - 0.5).max(0.0);
        let first = (position as usize).min(from - 1);
        (first, (first + 1).min(from - 1), (position - first as f64) as f32)
    };
    (0..to).map(tap).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    fn red(width: u32, values: &[u8]) -> RgbImage {
        RgbImage::from_fn(width, values.len() as u32 / width, |x, y| Rgb([values[(y * width + x) as usize], 0, 9]))
    }

    /// Values worked out by hand with the formula of PyTorch's `interpolate` (bilinear, `align_corners=False`).
    #[test]
    fn resizing_is_that_of_pytorch() {
        // Enlarging two pixels to four: centres at 0 (clamped), 0.25, 0.75, 1 (clamped).
        let planes = resized(&red(2, &[0, 100, 0, 100]), 4);
        assert_eq!(planes[..4], [0.0, 25.0, 75.0, 100.0]);
        assert_eq!(planes[32..], [9.0; 16]);
        // Shrinking eight to two looks at pixels 1 and 2, then 5 and 6, only.
        let row = [0, 10, 30, 255, 255, 40, 60, 255];
        let planes = resized(&red(8, &row.repeat(8)), 2);
        assert_eq!(planes[..2], [20.0, 50.0]);
        // Five to three: scale 5/3, centres 1/3, 2, 11/3.
        let planes = resized(&red(5, &[0, 30, 60, 90, 120].repeat(5)), 3);
        for (found, expected) in planes[..3].iter().zip([10.0, 60.0, 110.0]) {
            assert!((found - expected).abs() < 1e-4, "{found}");
        }
        // The same size changes nothing.
        assert_eq!(resized(&red(2, &[1, 2, 3, 4]), 2)[..4], [1.0, 2.0, 3.0, 4.0]);
    }
}
