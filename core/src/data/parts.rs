//! Labels as one mask for each part, as CelebAMask-HQ is published.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::label::LabelMap;
use crate::picture::Image;

/// The parts of CelebAMask-HQ in official order; the first has class 1, and 0 is background. Later ones cover earlier ones
/// (Lee et al., "MaskGAN: Towards Diverse and Interactive Facial Image Manipulation", 2020).
pub(super) const CELEBA: [&str; 18] = [
    "skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear", "mouth", "u_lip", "l_lip", "hair",
    "hat", "ear_r", "neck_l", "neck", "cloth",
];

/// The class of a part, and the number of its photo, from a stem such as `00012_l_eye`.
pub(super) fn number_and_part(stem: &str) -> Option<(&str, u16)> {
    let (number, part) = stem.split_once('_')?;
    let index = CELEBA.iter().position(|known| *known == part)?;
    let digits = number.trim_start_matches('0');
    let all_digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| (if digits.is_empty() { "0" } else { digits }, index as u16 + 1))
}

/// Paints masks over one another, in this order. In a mask, black is not the part and all else is.
pub(super) fn read(parts: &[(u16, PathBuf)]) -> Result<LabelMap> {
    let mut whole: Option<(&Path, usize, usize, Vec<u16>)> = None;
    for (class, path) in parts {
        let mask = Image::open(path)?.into_rgb();
        let (width, height) = (mask.width() as usize, mask.height() as usize);
        let (first, w, h, ids) = whole.get_or_insert_with(|| (path, width, height, vec![0; width * height]));
        if (*w, *h) != (width, height) {
            let (first, path) = (first.display(), path.display());
            return Err(Error::Data(format!(
                "{path}: the mask is {width}x{height}, that of {first} is {w}x{h}; all masks of a photo have one size"
            )));
        }
        for (id, pixel) in ids.iter_mut().zip(mask.pixels()) {
            if pixel.0 != [0; 3] {
                *id = *class;
            }
        }
    }
    let (_, width, height, ids) = whole.ok_or_else(|| Error::Data("the photo has no masks".into()))?;
    LabelMap::new(width, height, ids)
}

#[cfg(test)]
mod tests {
    use super::number_and_part;

    #[test]
    fn stems_have_a_number_and_a_part() {
        assert_eq!(number_and_part("00012_l_eye"), Some(("12", 4)));
        assert_eq!(number_and_part("00000_skin"), Some(("0", 1)));
        assert_eq!(number_and_part("29999_cloth"), Some(("29999", 18)));
        for bad in ["00012", "00012_wing", "x_skin", "_skin"] {
            assert_eq!(number_and_part(bad), None, "{bad}");
        }
    }
}
