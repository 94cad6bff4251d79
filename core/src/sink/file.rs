//! Pictures that are written to a file by rows.

use std::fmt;
use std::path::{Path, PathBuf};

use super::png_rows::PngRows;
use super::tiff_rows::TiffRows;
use super::{RowSink, check_length, no_row};
use crate::error::{Error, Result};
use crate::files::WholeFile;
use crate::picture::check_size_by_rows;

/// A picture file as a [`RowSink`]: 8-bit RGB, compressed without loss. Memory is a few rows.
///
/// The extension decides the format:
///
/// * `.png`
/// * `.tif`, `.tiff`: strips of rows, with deflate compression and horizontal prediction; BigTIFF if the file may exceed
///   4 GB
///
/// Rows must come from top to bottom. They go to a temporary file in the same folder, which [`finish`](Self::finish)
/// renames: until then the path keeps its old content. Dropping an unfinished file removes it.
pub struct PictureFile {
    path: PathBuf,
    width: usize,
    height: usize,
    /// The row that comes next.
    next: usize,
    /// None after a failure.
    encoder: Option<Encoder>,
}

enum Format {
    Png,
    Tiff,
}

enum Encoder {
    Png(Box<PngRows>),
    Tiff(TiffRows),
}

impl PictureFile {
    /// Begins a picture of `width` by `height` pixels.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] for another extension or a side of 0; [`Error::Limit`] if a side is over
    /// [`MAX_SIDE_BY_ROWS`](crate::picture::MAX_SIDE_BY_ROWS); [`Error::Io`] if the folder cannot be written to.
    pub fn create(path: impl AsRef<Path>, width: usize, height: usize) -> Result<Self> {
        let path = path.as_ref();
        let format = format(path)?;
        check_size_by_rows("a picture", width, height).map_err(|error| error.context(path.display()))?;
        let file = WholeFile::create(path)?;
        let (columns, rows) = (width as u32, height as u32);
        let encoder = match format {
            Format::Png => PngRows::new(file, columns, rows).map(Box::new).map(Encoder::Png),
            Format::Tiff => TiffRows::new(file, columns, rows).map(Encoder::Tiff),
        };
        Ok(Self { path: path.into(), width, height, next: 0, encoder: Some(encoder.map_err(Error::io(path))?) })
    }

    /// Checks that [`create`](Self::create) supports the extension of a path, before a picture is computed.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if it does not.
    pub fn check_path(path: impl AsRef<Path>) -> Result<()> {
        format(path.as_ref()).map(drop)
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Completes the file and moves it to its path.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if rows are missing; [`Error::Io`] if the file cannot be written. Then the path keeps its old
    /// content.
    pub fn finish(self) -> Result<()> {
        let Self { path, height, next, encoder, .. } = self;
        let file = match encoder {
            None => return Err(failed_before(&path)),
            Some(_) if next < height => {
                let path = path.display();
                return Err(Error::Argument(format!(
                    "{path}: only {next} of {height} rows were written, so there is no picture"
                )));
            }
            Some(Encoder::Png(rows)) => rows.finish(),
            Some(Encoder::Tiff(rows)) => rows.finish(),
        };
        file.map_err(Error::io(&path))?.finish()
    }
}

impl RowSink for PictureFile {
    fn write(&mut self, y: usize, rgb: &[u8]) -> Result<()> {
        let (width, height, next) = (self.width, self.height, self.next);
        let encoder = self.encoder.as_mut().ok_or_else(|| failed_before(&self.path))?;
        let check = || {
            if y >= height {
                return Err(no_row(y, width, height));
            }
            if y != next {
                return Err(Error::Argument(format!(
                    "row {y} came where row {next} belongs: rows go from top to bottom, each once"
                )));
            }
            check_length(width, rgb)
        };
        check().map_err(|error| error.context(self.path.display()))?;
        let written = match encoder {
            Encoder::Png(rows) => rows.write(rgb),
            Encoder::Tiff(rows) => rows.write(rgb),
        };
        if let Err(error) = written {
            // The temporary file goes at once: the disk may be full.
            self.encoder = None;
            return Err(Error::io(&self.path)(error));
        }
        self.next += 1;
        Ok(())
    }
}

impl fmt::Debug for PictureFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PictureFile")
            .field("path", &self.path)
            .field("width", &self.width)
            .field("height", &self.height)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

fn format(path: &Path) -> Result<Format> {
    let extension = path.extension().and_then(|text| text.to_str()).map(str::to_ascii_lowercase);
    match extension.as_deref() {
        Some("png") => Ok(Format::Png),
        Some("tif" | "tiff") => Ok(Format::Tiff),
        _ => {
            Err(Error::Argument(format!("{}: pictures are written row by row as .png, .tif or .tiff", path.display())))
        }
    }
}

fn failed_before(path: &Path) -> Error {
    Error::io(path)(std::io::Error::other("an earlier row could not be written, so there is no picture"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Cursor;

    use super::*;
    use crate::picture::Image;
    use proptest::prelude::*;
    use tiff::decoder::{Decoder, DecodingResult};
    use tiff::tags::Tag;

    const FORMATS: [&str; 3] = ["png", "tif", "TIFF"];

    fn message<T: fmt::Debug>(result: Result<T>) -> String {
        match result.unwrap_err() {
            Error::Argument(message) => message,
            other => panic!("{other:?}"),
        }
    }

    /// Width, height and pixels of a file, by other decoders than the library's.
    fn read(path: &Path) -> (usize, usize, Vec<u8>) {
        let bytes = fs::read(path).unwrap();
        if path.extension().unwrap() == "png" {
            let image = image::load_from_memory(&bytes).unwrap();
            assert_eq!(image.color(), image::ColorType::Rgb8);
            return (image.width() as usize, image.height() as usize, image.into_bytes());
        }
        let mut decoder = Decoder::new(Cursor::new(bytes)).unwrap();
        let (width, height) = decoder.dimensions().unwrap();
        assert_eq!(decoder.colortype().unwrap(), tiff::ColorType::RGB(8));
        match decoder.read_image().unwrap() {
            DecodingResult::U8(pixels) => (width as usize, height as usize, pixels),
            _ => panic!("no bytes"),
        }
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..length).map(|_| next()).collect()
    }

    fn files(folder: &tempfile::TempDir) -> Vec<String> {
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn files_appear_when_they_are_finished() {
        for extension in FORMATS {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("picture").with_extension(extension);
            fs::write(&path, "old").unwrap();
            let mut file = PictureFile::create(&path, 5, 2).unwrap();
            assert_eq!((file.width(), file.height()), (5, 2));
            for (y, row) in noise(30).chunks(15).enumerate() {
                file.write(y, row).unwrap();
                assert_eq!(fs::read(&path).unwrap(), b"old");
            }
            file.finish().unwrap();
            assert_eq!(read(&path), (5, 2, noise(30)));
            assert_eq!(files(&folder).len(), 1);
        }
    }

    #[test]
    fn nothing_is_left_of_an_unfinished_picture() {
        for extension in FORMATS {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("picture").with_extension(extension);
            drop(PictureFile::create(&path, 3, 3).unwrap());
            let mut file = PictureFile::create(&path, 300, 300).unwrap();
            assert_eq!(files(&folder).len(), 1, "the temporary file");
            for y in 0..299 {
                file.write(y, &noise(900)).unwrap();
            }
            let text = message(file.finish());
            assert!(text.ends_with("only 299 of 300 rows were written, so there is no picture"), "{text}");
            assert!(text.contains("picture."), "{text}");
            assert_eq!(files(&folder), [""; 0]);
        }
    }

    #[test]
    fn rows_in_another_order_are_refused() {
        for extension in FORMATS {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("picture").with_extension(extension);
            let mut file = PictureFile::create(&path, 2, 3).unwrap();
            let row = [7; 6];
            assert!(message(file.write(1, &row)).contains("row 1 came where row 0 belongs"));
            file.write(0, &row).unwrap();
            assert!(message(file.write(0, &row)).contains("row 0 came where row 1 belongs"));
            assert!(message(file.write(3, &row)).contains("there is no row 3 in a picture of 2x3 pixels"));
            assert!(message(file.write(1, &row[..5])).contains("5 bytes are no row of 2 pixels, which takes 6"));
            // What was refused is not part of the picture.
            file.write(1, &row).unwrap();
            file.write(2, &row).unwrap();
            assert!(message(file.write(3, &row)).contains("there is no row 3"));
            file.finish().unwrap();
            assert_eq!(read(&path), (2, 3, vec![7; 18]));
        }
    }

    #[test]
    fn paths_and_sizes_are_checked_first() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["picture.jpg", "picture", "png"] {
            let path = folder.path().join(name);
            assert!(message(PictureFile::create(&path, 2, 2)).contains(".png, .tif or .tiff"), "{name}");
            assert!(PictureFile::check_path(&path).is_err());
        }
        let path = folder.path().join("picture.png");
        PictureFile::check_path(&path).unwrap();
        assert!(message(PictureFile::create(&path, 0, 2)).contains("picture.png: a picture of 0x2 pixels is empty"));
        let too_large = PictureFile::create(&path, 1, (1 << 20) + 1).unwrap_err();
        assert!(matches!(&too_large, Error::Limit(text) if text.contains("picture.png: 1x1048577")), "{too_large}");
        let absent = folder.path().join("absent").join("picture.tif");
        assert!(matches!(PictureFile::create(absent, 2, 2), Err(Error::Io { .. })));
        assert_eq!(files(&folder), [""; 0]);
    }

    /// A device without room takes what fits into buffers, and nothing more.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_an_error() {
        for extension in FORMATS {
            for height in [1, 400] {
                let path = Path::new("/dev/full").with_extension(extension);
                let file = WholeFile::full(&path).unwrap();
                let encoder = if extension == "png" {
                    PngRows::new(file, 999, height).map(Box::new).map(Encoder::Png)
                } else {
                    TiffRows::new(file, 999, height).map(Encoder::Tiff)
                };
                let height = height as usize;
                let mut file = PictureFile { path, width: 999, height, next: 0, encoder: Some(encoder.unwrap()) };
                let pixels = noise(2997 * height);
                let failed = (0..).zip(pixels.chunks(2997)).find_map(|(y, row)| file.write(y, row).err());
                assert_eq!(failed.is_some(), height > 1, "{extension}");
                let again = file.next < height;
                if again {
                    assert!(file.write(file.next, &noise(2997)).unwrap_err().to_string().contains("an earlier row"));
                }
                let last = file.finish().unwrap_err();
                assert_eq!(last.to_string().contains("an earlier row"), again, "{last}");
                assert_eq!(failed.unwrap_or(last).code(), crate::ErrorCode::StorageFull);
            }
        }
    }

    #[test]
    fn large_tiffs_are_bigtiffs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("picture.tif");
        for ((width, height), big) in [((40_000, 30_000), false), ((40_000, 35_000), true), ((1 << 20, 1 << 20), true)]
        {
            drop(PictureFile::create(&path, width, height).unwrap());
            let file = TiffRows::new(WholeFile::create(&path).unwrap(), width as u32, height as u32).unwrap();
            assert_eq!(file.big, big, "{width}x{height}");
        }
    }

    #[test]
    fn strips_have_a_bounded_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("picture.tif");
        let row = noise(3 * 3000);
        let mut file = TiffRows::new(WholeFile::create(&path).unwrap(), 3000, 500).unwrap();
        for _ in 0..500 {
            file.write(&row).unwrap();
            assert!(file.strip.len() <= 1 << 20);
        }
        file.finish().unwrap().finish().unwrap();
        let mut decoder = Decoder::new(Cursor::new(fs::read(&path).unwrap())).unwrap();
        assert_eq!(decoder.strip_count().unwrap(), 500_u32.div_ceil(116));
        assert_eq!(decoder.get_tag_u32(Tag::RowsPerStrip).unwrap(), 116);
        assert_eq!(read(&path), (3000, 500, row.repeat(500)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn pictures_are_read_back_as_they_were_written(
            (width, height) in prop_oneof![(1_usize..40, 1_usize..40), (1_usize..5000, 1_usize..4), (1_usize..3, 1_usize..3000)],
            flat in any::<bool>(),
            seed in any::<usize>(),
            big in any::<bool>(),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let length = 3 * width * height;
            let noise = noise(length + 100)[seed % 100..][..length].to_vec();
            let bytes = if flat { noise.iter().map(|value| value / 200).collect() } else { noise };
            let image = Image::new(width, height, bytes).unwrap();
            for extension in ["png", "tif"] {
                let path = folder.path().join("picture").with_extension(extension);
                let mut file = PictureFile::create(&path, width, height).unwrap();
                if big && let Some(Encoder::Tiff(rows)) = &mut file.encoder {
                    *rows = TiffRows::of_kind(WholeFile::create(&path).unwrap(), width as u32, height as u32, true).unwrap();
                }
                for (y, row) in image.pixels().rows().enumerate() {
                    file.write(y, row).unwrap();
                }
                file.finish().unwrap();
                prop_assert_eq!(read(&path), (width, height, image.as_bytes().to_vec()));
                if extension == "tif" {
                    prop_assert_eq!(fs::read(&path).unwrap()[2], if big { 43 } else { 42 });
                }
            }
        }
    }
}
