//! Similarity of two pictures, pixel by pixel.

use image::RgbImage;

use crate::error::{Error, Result};

/// Peak signal-to-noise ratio in decibels over all three channels, with peak 255; infinite for equal pictures.
///
/// # Errors
///
/// [`Error::Argument`] if the sizes differ.
pub fn psnr(a: &RgbImage, b: &RgbImage) -> Result<f64> {
    Ok(10.0 * (255.0 * 255.0 / mean_square(a, b)?).log10())
}

/// Root of the mean squared difference over all three channels, with values scaled to 0 to 1: 0 for equal pictures, 1 for
/// black and white.
///
/// # Errors
///
/// [`Error::Argument`] if the sizes differ.
pub fn rmse(a: &RgbImage, b: &RgbImage) -> Result<f64> {
    Ok(mean_square(a, b)?.sqrt() / 255.0)
}

fn mean_square(a: &RgbImage, b: &RgbImage) -> Result<f64> {
    same_size(a, b)?;
    let squares: f64 = a.as_raw().iter().zip(b.as_raw()).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum();
    Ok(squares / a.as_raw().len() as f64)
}

/// Size of the Gaussian window of [`ssim`], and its standard deviation in pixels.
const WINDOW: (usize, f64) = (11, 1.5);

/// Structural similarity (Wang et al. 2004) of the luma (`0.299 R + 0.587 G + 0.114 B`), -1 to 1. It is the mean over
/// all 11x11 Gaussian windows (standard deviation 1.5) that lie inside the picture, with `K1` 0.01 and `K2` 0.03.
///
/// # Errors
///
/// [`Error::Argument`] if the sizes differ or a side is shorter than 11.
pub fn ssim(a: &RgbImage, b: &RgbImage) -> Result<f64> {
    same_size(a, b)?;
    let (width, height) = (a.width() as usize, a.height() as usize);
    if width < WINDOW.0 || height < WINDOW.0 {
        return Err(Error::Argument(format!(
            "SSIM needs pictures of at least 11x11 pixels, these have {width}x{height}"
        )));
    }
    let luma = |image: &RgbImage| -> Vec<f64> {
        let weights = [0.299, 0.587, 0.114];
        image
            .pixels()
            .map(|pixel| pixel.0.iter().zip(weights).map(|(&value, weight)| f64::from(value) * weight).sum())
            .collect()
    };
    let (a, b) = (luma(a), luma(b));
    let product = |a: &[f64], b: &[f64]| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a * b).collect() };
    let blur = |values: &[f64]| gaussian(values, width);
    let (mean_a, mean_b) = (blur(&a), blur(&b));
    let (square_a, square_b, cross) = (blur(&product(&a, &a)), blur(&product(&b, &b)), blur(&product(&a, &b)));
    let (c1, c2) = ((0.01f64 * 255.0).powi(2), (0.03f64 * 255.0).powi(2));
    let total: f64 = (0..mean_a.len())
        .map(|i| {
            let (ma, mb) = (mean_a[i], mean_b[i]);
            let (va, vb, cov) = (square_a[i] - ma * ma, square_b[i] - mb * mb, cross[i] - ma * mb);
            ((2.0 * ma * mb + c1) * (2.0 * cov + c2)) / ((ma * ma + mb * mb + c1) * (va + vb + c2))
        })
        .sum();
    Ok(total / mean_a.len() as f64)
}

/// Separable Gaussian filter over windows that lie inside; `width - 10` columns and `height - 10` rows remain.
fn gaussian(values: &[f64], width: usize) -> Vec<f64> {
    let (side, deviation) = WINDOW;
    let raw: Vec<f64> =
        (0..side).map(|i| (-((i as f64 - (side / 2) as f64).powi(2)) / (2.0 * deviation * deviation)).exp()).collect();
    let sum: f64 = raw.iter().sum();
    let kernel: Vec<f64> = raw.into_iter().map(|value| value / sum).collect();
    let weigh = |window: &[f64]| window.iter().zip(&kernel).map(|(value, weight)| value * weight).sum::<f64>();
    let rows: Vec<Vec<f64>> = values.chunks_exact(width).map(|row| row.windows(side).map(weigh).collect()).collect();
    let columns = width + 1 - side;
    rows.windows(side)
        .flat_map(|rows| {
            let kernel = &kernel;
            (0..columns).map(move |x| rows.iter().zip(kernel).map(|(row, weight)| row[x] * weight).sum::<f64>())
        })
        .collect()
}

pub(super) fn same_size(a: &RgbImage, b: &RgbImage) -> Result<()> {
    if a.dimensions() == b.dimensions() {
        return Ok(());
    }
    let ((aw, ah), (bw, bh)) = (a.dimensions(), b.dimensions());
    Err(Error::Argument(format!("pictures to compare must have one size: {aw}x{ah} and {bw}x{bh}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    fn ramp(offset: u8) -> RgbImage {
        RgbImage::from_fn(24, 20, |x, y| {
            Rgb([((x * 7 + y * 3) % 200) as u8 + offset, (x * y % 97) as u8 + offset, 40 + offset])
        })
    }

    #[test]
    fn psnr_of_a_constant_difference() {
        // A difference of 10 everywhere: 10 log10(255² / 100).
        assert!((psnr(&ramp(0), &ramp(10)).unwrap() - 28.130_803_6).abs() < 1e-6);
        assert!(psnr(&ramp(0), &ramp(0)).unwrap().is_infinite());
    }

    #[test]
    fn rmse_is_a_share_of_the_range() {
        let flat = |value| RgbImage::from_pixel(3, 2, Rgb([value; 3]));
        assert!((rmse(&flat(0), &flat(255)).unwrap() - 1.0).abs() < 1e-12);
        assert!((rmse(&ramp(0), &ramp(51)).unwrap() - 0.2).abs() < 1e-12);
        assert!(rmse(&ramp(0), &ramp(0)).unwrap().abs() < 1e-12);
        // One channel of one of two pixels differs by 51: sqrt(0.04 / 6).
        let mut one = RgbImage::new(2, 1);
        one.get_pixel_mut(0, 0).0[1] = 51;
        assert!((rmse(&one, &RgbImage::new(2, 1)).unwrap() - (0.04f64 / 6.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn ssim_is_one_for_equal_and_small_for_noise() {
        assert!((ssim(&ramp(0), &ramp(0)).unwrap() - 1.0).abs() < 1e-12);
        let noise = RgbImage::from_fn(24, 20, |x, y| Rgb([(x * 131 + y * 57 + x * y * 31) as u8; 3]));
        assert!(ssim(&ramp(0), &noise).unwrap() < 0.3);
    }

    #[test]
    fn ssim_of_flat_pictures_follows_the_formula() {
        let flat = |value| RgbImage::from_pixel(16, 16, Rgb([value; 3]));
        let c1 = 6.5025;
        let expected = (2.0 * 100.0 * 120.0 + c1) / (100.0 * 100.0 + 120.0 * 120.0 + c1);
        assert!((ssim(&flat(100), &flat(120)).unwrap() - expected).abs() < 1e-9);
    }

    #[test]
    fn sizes_must_agree() {
        let other = RgbImage::new(3, 3);
        assert!(psnr(&ramp(0), &other).is_err() && rmse(&ramp(0), &other).is_err() && ssim(&other, &other).is_err());
    }
}
