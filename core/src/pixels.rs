//! Conversion between pictures and planes of values.

use image::RgbImage;

use crate::picture::PixelsMut;

/// Appends a picture as three planes with values in -1 to 1.
pub(crate) fn push_planes(image: &RgbImage, planes: &mut Vec<f32>) {
    for channel in 0..3 {
        planes.extend(image.pixels().map(|pixel| f32::from(pixel.0[channel]) / 127.5 - 1.0));
    }
}

/// Writes one picture, given as three planes with rows of `width`, into `out`: `range` maps to 0 to 255; values are
/// clamped, then truncated, as in the papers' code. `out` has the same size or a smaller one: the lower right
/// part that does not fit is cropped.
pub(crate) fn write_planes(planes: &[f32], width: usize, [low, high]: [f32; 2], out: &mut PixelsMut<'_>) {
    let byte = |value: &f32| ((value - low) / (high - low) * 255.0).clamp(0.0, 255.0) as u8;
    let area = planes.len() / 3;
    let (red, rest) = planes.split_at(area);
    let (green, blue) = rest.split_at(area);
    let pixel_bytes = out.format().bytes_per_pixel();
    let rows = red.chunks_exact(width).zip(green.chunks_exact(width)).zip(blue.chunks_exact(width));
    for (out, ((red, green), blue)) in out.rows_mut().zip(rows) {
        for (pixel, ((red, green), blue)) in out.chunks_exact_mut(pixel_bytes).zip(red.iter().zip(green).zip(blue)) {
            let bytes = [byte(red), byte(green), byte(blue), 255];
            pixel.copy_from_slice(&bytes[..pixel_bytes]);
        }
    }
}

/// Writes planes of values as pixels of red, green and blue, one after the other. `range` maps to 0 to 255, as in
/// [`write_planes`].
pub(crate) fn write_rgb(planes: &[f32], [low, high]: [f32; 2], out: &mut [u8]) {
    let byte = |value: &f32| ((value - low) / (high - low) * 255.0).clamp(0.0, 255.0) as u8;
    let (red, rest) = planes.split_at(planes.len() / 3);
    let (green, blue) = rest.split_at(red.len());
    for (pixel, ((red, green), blue)) in out.as_chunks_mut::<3>().0.iter_mut().zip(red.iter().zip(green).zip(blue)) {
        *pixel = [byte(red), byte(green), byte(blue)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::PixelFormat;

    #[test]
    fn bytes_are_truncated_and_clamped() {
        let planes = [-1.0f32, 1.0, 0.0, 0.5, -2.0, 3.0, 0.999, -0.999, 0.1, 0.2, 0.3, 0.4];
        let mut bytes = [0; 12];
        let mut out = PixelsMut::new(PixelFormat::Rgb8, 2, 2, 6, &mut bytes).unwrap();
        write_planes(&planes, 2, [-1.0, 1.0], &mut out);
        assert_eq!(bytes[..3], [0, 0, 140]);
        assert_eq!(bytes[3..6], [255, 255, 153]);
        // 0.0 maps to 127.5, which is truncated to 127.
        assert_eq!(bytes[6], 127);
    }
}
