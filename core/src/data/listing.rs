//! Lists the pictures of a folder in natural order.

use std::cmp::Ordering;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use unicode_normalization::UnicodeNormalization as _;

use crate::error::Result;
use crate::picture::PictureFolder;

/// The type of a picture, by its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Jpeg,
    Png,
}

/// A picture file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Picture {
    /// The file name without extension, in composed form (NFC).
    pub(super) stem: String,
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
}

/// The JPEG and PNG files directly in `dir`, in natural order; hidden files and other types are skipped. A file is what
/// its content says; one without known content is what its extension says, and is found wanting when it is read.
pub(super) fn pictures(dir: &Path) -> Result<Vec<Picture>> {
    let mut found = Vec::new();
    for path in PictureFolder::list(dir)?.pictures {
        let Some(stem) = path.file_stem() else { continue };
        let stem = stem.to_string_lossy().nfc().collect();
        let is_png = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png"));
        let kind = match starts(&path) {
            Some(image::ImageFormat::Png) => Kind::Png,
            Some(image::ImageFormat::Jpeg) => Kind::Jpeg,
            _ if is_png => Kind::Png,
            _ => Kind::Jpeg,
        };
        found.push(Picture { stem, path, kind });
    }
    found.sort_by(|a, b| natural_order(&a.stem, &b.stem).then_with(|| a.path.cmp(&b.path)));
    Ok(found)
}

/// The names without extension and the paths of [`pictures`].
pub(crate) fn pictures_in(dir: &Path) -> Result<Vec<(String, PathBuf)>> {
    Ok(pictures(dir)?.into_iter().map(|picture| (picture.stem, picture.path)).collect())
}

/// The format that the first bytes of a file announce.
fn starts(path: &Path) -> Option<image::ImageFormat> {
    let mut start = [0; 16];
    let length = fs::File::open(path).and_then(|mut file| file.read(&mut start)).ok()?;
    image::guess_format(start.get(..length)?).ok()
}

/// Compares runs of digits by their value, so that 2 comes before 10. This is a total order.
pub(crate) fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut rest_a, mut rest_b) = (a, b);
    loop {
        let (digits_a, digits_b) = (digits(rest_a), digits(rest_b));
        if !digits_a.is_empty() && !digits_b.is_empty() {
            let (value_a, value_b) = (digits_a.trim_start_matches('0'), digits_b.trim_start_matches('0'));
            // Works for any number of digits: without leading zeros, the longer number is the larger one.
            let order = value_a.len().cmp(&value_b.len()).then_with(|| value_a.cmp(value_b));
            if order != Ordering::Equal {
                return order;
            }
            (rest_a, rest_b) = (&rest_a[digits_a.len()..], &rest_b[digits_b.len()..]);
            continue;
        }
        let (mut chars_a, mut chars_b) = (rest_a.chars(), rest_b.chars());
        match (chars_a.next(), chars_b.next()) {
            (Some(x), Some(y)) if x == y => (rest_a, rest_b) = (chars_a.as_str(), chars_b.as_str()),
            // Equal except for leading zeros: fall back to the plain order, so that the order is total.
            (None, None) => return a.cmp(b),
            (x, y) => return x.cmp(&y),
        }
    }
}

fn digits(text: &str) -> &str {
    &text[..text.bytes().take_while(u8::is_ascii_digit).count()]
}

#[cfg(test)]
mod tests {
    use super::{Kind, natural_order, pictures};
    use proptest::prelude::*;
    use std::cmp::Ordering;
    use std::fs;

    #[test]
    fn two_comes_before_ten() {
        let mut names = ["b2", "10", "a10", "b", "2", "a2", "b10x", "b10", "007", "a02", "b99999999999999999999999"];
        names.sort_by(|a, b| natural_order(a, b));
        assert_eq!(names, ["2", "007", "10", "a02", "a2", "a10", "b", "b2", "b10", "b10x", "b99999999999999999999999"]);
    }

    #[test]
    fn lists_only_visible_pictures() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["10.JPG", "9.jpeg", "1.Png", ".hidden.jpg", "._2.jpg", ".jpg", "notes.txt", "3", "4.xml"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        fs::create_dir(dir.path().join("5.jpg")).unwrap();
        let found = pictures(dir.path()).unwrap();
        let names: Vec<_> = found.iter().map(|p| (p.stem.as_str(), p.kind)).collect();
        assert_eq!(names, [("1", Kind::Png), ("9", Kind::Jpeg), ("10", Kind::Jpeg)]);
        assert!(pictures(&dir.path().join("none")).unwrap_err().to_string().contains("none"));
    }

    proptest! {
        #[test]
        fn the_order_is_total(a in "[a01é2]{0,6}", b in "[a01é2]{0,6}", c in "[a01é2]{0,6}") {
            prop_assert_eq!(natural_order(&a, &b), natural_order(&b, &a).reverse());
            prop_assert_eq!(natural_order(&a, &b) == Ordering::Equal, a == b);
            if natural_order(&a, &b).is_le() && natural_order(&b, &c).is_le() {
                prop_assert!(natural_order(&a, &c).is_le());
            }
        }

        #[test]
        fn numbers_sort_by_value(a in any::<u32>(), b in any::<u32>()) {
            prop_assert_eq!(natural_order(&format!("x{a}y"), &format!("x{b}y")), a.cmp(&b));
        }
    }
}
