//! Reading and writing files; a crash during a write never leaves a partial file.

use std::fs::File;
use std::io::{self, BufWriter, Read as _, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// A file that appears at its path when it is finished. Until then it is a temporary file in the same folder, which
/// is removed if it is dropped: whatever happens, `path` has its old content or all of the new one.
pub(crate) struct WholeFile {
    path: PathBuf,
    out: BufWriter<NamedTempFile>,
}

impl WholeFile {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        #[cfg_attr(not(unix), expect(unused_mut, reason = "only Unix has permissions to set"))]
        let mut builder = tempfile::Builder::new();
        // Temporary files are private by default; this gives the usual permissions, subject to the umask.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(folder_of(path)).map_err(Error::io(path))?;
        Ok(Self { path: path.into(), out: BufWriter::new(file) })
    }

    /// A file on a disk without room.
    #[cfg(all(test, target_os = "linux"))]
    pub(crate) fn full(path: &Path) -> io::Result<Self> {
        let full = File::options().write(true).open("/dev/full")?;
        let file = NamedTempFile::from_parts(full, NamedTempFile::new()?.into_temp_path());
        Ok(Self { path: path.into(), out: BufWriter::new(file) })
    }

    /// Renames the file to its path.
    pub(crate) fn finish(self) -> Result<()> {
        let Self { path, out } = self;
        let rename = || {
            let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            Ok(())
        };
        rename().map_err(Error::io(&path))?;
        // Makes the rename itself durable where the system supports it; the content is safe either way.
        if cfg!(unix)
            && let Ok(folder) = File::open(folder_of(&path))
        {
            let _ = folder.sync_all();
        }
        Ok(())
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Seek for WholeFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.out.seek(to)
    }
}

/// The folder that holds a file.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes a [`WholeFile`]: after a failure `path` still has its old content.
pub(crate) fn write_whole(path: &Path, content: impl FnOnce(&mut WholeFile) -> io::Result<()>) -> Result<()> {
    let mut file = WholeFile::create(path)?;
    content(&mut file).map_err(Error::io(path))?;
    file.finish()
}

/// Largest picture file that is read: an uncompressed 16-bit RGBA picture of the largest area, plus some overhead.
const MAX_PICTURE: u64 = (1 << 31) + (1 << 26);

/// Reads a picture file into memory.
pub(crate) fn read_picture(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_PICTURE + 1).read_to_end(&mut bytes)).map_err(Error::io(path))?;
    if bytes.len() as u64 > MAX_PICTURE {
        let path = path.display();
        return Err(Error::Limit(format!(
            "{path}: the file is larger than {MAX_PICTURE} bytes, more than any picture needs"
        )));
    }
    Ok(bytes)
}

/// Whether the markers of a JPEG lead up to its end. The decoder fills missing data with grey, which must not
/// become labels or part of a photo.
pub(crate) fn jpeg_is_complete(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(2..).unwrap_or_default();
    loop {
        match rest {
            // Stuffed bytes, restart and stand-alone markers, fill bytes.
            [0xff, 0x00 | 0x01 | 0xd0..=0xd8, tail @ ..] => rest = tail,
            [0xff, 0xff, ..] => rest = rest.get(1..).unwrap_or_default(),
            [0xff, 0xd9, ..] => return true,
            [0xff, _, high, low, ..] => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                rest = rest.get(2 + length..).unwrap_or_default();
            }
            // Entropy-coded data.
            [_, tail @ ..] if rest.first() != Some(&0xff) => {
                let skip = tail.iter().position(|&b| b == 0xff).unwrap_or(tail.len());
                rest = tail.get(skip..).unwrap_or_default();
            }
            _ => return false,
        }
    }
}

/// Writes a picture in the format of its extension, which must be `.png`, `.jpg` or `.jpeg`.
pub(crate) fn save_picture(picture: &image::RgbImage, path: &Path) -> Result<()> {
    let format = picture_format(path)?;
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).map_err(|error| Error::io(path)(std::io::Error::other(error)))?;
    write_whole(path, |out| out.write_all(bytes.get_ref()))
}

/// The picture format that belongs to the extension of a path.
pub(crate) fn picture_format(path: &Path) -> Result<image::ImageFormat> {
    let extension = path.extension().and_then(|text| text.to_str()).map(str::to_ascii_lowercase);
    match extension.as_deref() {
        Some("png") => Ok(image::ImageFormat::Png),
        Some("jpg" | "jpeg") => Ok(image::ImageFormat::Jpeg),
        _ => Err(Error::Argument(format!("{}: pictures are written as .png or .jpg", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_keeps_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_whole(&path, |out| out.write_all(b"old")).unwrap();
        let failed = write_whole(&path, |out| {
            out.write_all(b"new")?;
            Err(std::io::Error::other("no more room"))
        });
        assert!(matches!(failed, Err(Error::Io { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "a temporary file was left");
    }

    #[test]
    fn a_file_that_is_not_finished_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = WholeFile::create(&folder.path().join("file")).unwrap();
        file.write_all(&vec![7; 100_000]).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        drop(file);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_unknown_extension_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("picture.webp");
        std::fs::write(&path, "precious").unwrap();
        let error = save_picture(&image::RgbImage::new(2, 2), &path).unwrap_err();
        assert!(error.to_string().contains(".png"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    }
}
