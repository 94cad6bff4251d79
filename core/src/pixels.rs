//! Pictures into tensors and out of them.

use burn::tensor::{DType, Tensor};
use image::RgbImage;

use crate::error::Result;
use crate::model::read_back;

/// Appends a picture as three planes in -1 to 1.
pub(crate) fn push_planes(image: &RgbImage, planes: &mut Vec<f32>) {
    for channel in 0..3 {
        planes.extend(image.pixels().map(|pixel| f32::from(pixel.0[channel]) / 127.5 - 1.0));
    }
}

/// Turns network output, `[batch, 3, height, width]`, into pictures: `range` is stretched to 0 to 255, cut off at both
/// ends and truncated, as the papers' code does it.
pub(crate) fn to_images(output: Tensor<4>, range: [f32; 2]) -> Result<Vec<RgbImage>> {
    let [_, channels, height, width] = output.dims();
    let values = read_back(output.cast(DType::F32))?;
    Ok(values.chunks_exact(channels * height * width).map(|planes| to_image(planes, width, range)).collect())
}

/// The same for one picture on the host, as three planes.
pub(crate) fn to_image(planes: &[f32], width: usize, [low, high]: [f32; 2]) -> RgbImage {
    let byte = |value: f32| ((value - low) / (high - low) * 255.0).clamp(0.0, 255.0) as u8;
    let area = planes.len() / 3;
    RgbImage::from_fn(width as u32, (area / width.max(1)) as u32, |x, y| {
        let pixel = y as usize * width + x as usize;
        image::Rgb([0, 1, 2].map(|channel: usize| byte(planes[channel * area + pixel])))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::TensorData;

    #[test]
    fn bytes_are_truncated_and_clamped() {
        let values = vec![-1.0f32, 1.0, 0.0, 0.5, -2.0, 3.0, 0.999, -0.999, 0.1, 0.2, 0.3, 0.4];
        let tensor = Tensor::<4>::from_data(TensorData::new(values, [1, 3, 2, 2]), &burn::tensor::Device::flex());
        let image = to_images(tensor, [-1.0, 1.0]).unwrap().remove(0);
        assert_eq!(image.get_pixel(0, 0).0, [0, 0, 140]);
        assert_eq!(image.get_pixel(1, 0).0, [255, 255, 153]);
        // 0.0 is 127.5 and becomes 127.
        assert_eq!(image.get_pixel(0, 1).0[0], 127);
    }
}
