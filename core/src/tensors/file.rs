//! Weights files on disk: detecting formats from the first bytes, and writing files atomically.

use std::fs::{self, File};
use std::path::Path;

use super::source::{ReadAt, Source};
use super::{Limits, Tensors, pytorch, safetensors};
use crate::error::{Error, Result};
use crate::files::write_whole;
use crate::memory;

/// Bytes read to detect the format: enough for the magic string of a tar archive.
const HEAD: u64 = 512;

impl Tensors {
    /// Opens a safetensors file or a `PyTorch` `state_dict`, within the default [`Limits`]. The format is detected
    /// from the content.
    ///
    /// Names in nested dictionaries and lists of a `PyTorch` file are joined with dots (`state_dict.conv1.weight`).
    /// Values that are not tensors are skipped.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read; [`Error::Model`] if it is malformed or in another format, saying
    /// which; [`Error::Limit`] beyond the limits.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_within(path, &Limits::default())
    }

    /// As [`Tensors::open`], with other limits.
    ///
    /// # Errors
    /// As [`Tensors::open`].
    pub fn open_within(path: impl AsRef<Path>, limits: &Limits) -> Result<Self> {
        let path = path.as_ref();
        let shown = path.display();
        let metadata = fs::metadata(path).map_err(Error::io(path))?;
        if !metadata.is_file() {
            let kind = if metadata.is_dir() { "a folder" } else { "not a regular file" };
            return Err(Error::Model(format!("{shown}: this is {kind}, expected a weights file")));
        }
        let file = File::open(path).map_err(Error::io(path))?;
        read(Source::new(file, metadata.len(), path), limits).map_err(|e| e.context(shown))
    }

    /// Writes a safetensors file atomically: first to a temporary file in the same folder, which then replaces
    /// `path`. After a failure `path` still has its old content.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be written; [`Error::Limit`] if [`open`](Self::open) would reject it.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.save_within(path, &Limits::default())
    }

    /// As [`save`](Self::save), for files that [`open_within`](Self::open_within) reads with these limits.
    ///
    /// # Errors
    /// As [`save`](Self::save).
    pub fn save_within(&self, path: impl AsRef<Path>, limits: &Limits) -> Result<()> {
        let path = path.as_ref();
        let plan = safetensors::Plan::new(self, limits).map_err(|e| e.context(path.display()))?;
        write_whole(path, |out| plan.write(out))
    }
}

fn read<R: ReadAt>(source: Source<R>, limits: &Limits) -> Result<Tensors> {
    limits.check_file(source.len())?;
    memory::ask(usize::try_from(source.len()).unwrap_or(usize::MAX), "reading the file")?;
    let head = source.read_at(0, source.len().min(HEAD), &|| "the start".into())?;
    if looks_like_safetensors(&head) {
        safetensors::read(&source, limits)
    } else if head.starts_with(b"PK\x03\x04") {
        pytorch::read_zip(&source, limits)
    } else if pytorch::is_legacy(&head) {
        pytorch::read_legacy(&source, limits)
    } else {
        Err(Error::Model(format!("{}; expected safetensors weights or a PyTorch state_dict", describe(&head))))
    }
}

fn looks_like_safetensors(head: &[u8]) -> bool {
    // A text file never matches: these four bytes would make the header length far larger than any limit.
    head.get(8) == Some(&b'{') && head.get(4..8) == Some(&[0; 4])
}

/// Describes the content of a file in an unsupported format, and what to do about it.
fn describe(head: &[u8]) -> String {
    const MAGIC: [(&[u8], &str); 18] = [
        (b"version https://git-lfs", "this is a git-lfs pointer, not the file itself (run `git lfs pull`)"),
        (b"PK\x05\x06", "this is an empty zip archive"),
        (b"\x1f\x8b", "this is compressed with gzip; unpack it first"),
        (b"BZh", "this is compressed with bzip2; unpack it first"),
        (b"\xfd7zXZ", "this is compressed with xz; unpack it first"),
        (b"\x28\xb5\x2f\xfd", "this is compressed with zstd; unpack it first"),
        (b"7z\xbc\xaf", "this is a 7z archive; unpack it first"),
        (b"Rar!", "this is a rar archive; unpack it first"),
        (b"\x89HDF", "this is an HDF5 file (Keras?)"),
        (b"\x93NUMPY", "this is a NumPy array"),
        (b"GGUF", "this is a GGUF file"),
        (b"\x89PNG", "this is a PNG image"),
        (b"\xff\xd8\xff", "this is a JPEG image"),
        (b"%PDF", "this is a PDF document"),
        (b"\x80\x02", "this is a plain pickle, not written by torch.save"),
        (b"\x80\x03", "this is a plain pickle, not written by torch.save"),
        (b"\x80\x04", "this is a plain pickle, not written by torch.save"),
        (b"\x80\x05", "this is a plain pickle, not written by torch.save"),
    ];
    if head.is_empty() {
        return "the file is empty".into();
    }
    if let Some((_, what)) = MAGIC.iter().find(|(magic, _)| head.starts_with(magic)) {
        return (*what).into();
    }
    if head.get(257..262) == Some(b"ustar") {
        return "this is a tar archive (or weights of PyTorch before 0.1.10; load and save them with a newer one)"
            .into();
    }
    let text = head.trim_ascii_start().to_ascii_lowercase();
    if [b"<!doctype".as_slice(), b"<html", b"<head", b"<!--"].iter().any(|tag| text.starts_with(tag)) {
        return "this is an HTML page, probably saved by a failed download".into();
    }
    if text.starts_with(b"<?xml") || text.starts_with(b"<") {
        return "this is an XML or HTML document, probably saved by a failed download".into();
    }
    if text.starts_with(b"{") || text.starts_with(b"[") {
        return "this is JSON text".into();
    }
    if head.iter().all(|&b| b == 0) {
        return "the file starts with nothing but zeros (an interrupted download?)".into();
    }
    if head.iter().all(|&b| b.is_ascii_graphic() || b.is_ascii_whitespace()) {
        return "this is a text file".into();
    }
    let start: Vec<String> = head.iter().take(8).map(|b| format!("{b:02x}")).collect();
    format!("the file starts with the bytes {}, which belong to no known weights format", start.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Tensors {
        let mut tensors = Tensors::new();
        tensors.insert_f32("w", vec![2], vec![1.0, -2.0]).unwrap();
        tensors.set_metadata("licence", "CC0-1.0");
        tensors
    }

    #[test]
    fn saved_files_open_and_leave_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let mut tensors = sample();
        tensors.save(&path).unwrap();
        assert_eq!(Tensors::open(&path).unwrap(), tensors);
        assert_eq!(fs::read(&path).unwrap(), tensors.to_safetensors().unwrap());
        tensors.insert_f16("v", vec![1], vec![0.5]).unwrap();
        tensors.save(&path).unwrap();
        assert_eq!(Tensors::open(&path).unwrap(), tensors, "an existing file is replaced");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_save_keeps_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        sample().save(&path).unwrap();
        let before = fs::read(&path).unwrap();
        let mut tensors = sample();
        tensors.set_metadata("k", "x".repeat(1 << 21));
        assert!(matches!(tensors.save(&path), Err(Error::Limit(_))));
        assert_eq!(fs::read(&path).unwrap(), before);
        let occupied = folder.path().join("folder");
        fs::create_dir(&occupied).unwrap();
        assert!(matches!(sample().save(&occupied), Err(Error::Io { .. })));
        assert!(matches!(sample().save(folder.path().join("missing/w.safetensors")), Err(Error::Io { .. })));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no temporary file is left");
        assert!(sample().save("/").is_err());
    }

    #[test]
    fn other_files_are_called_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.pth");
        let mut tar = vec![b'x'; 512];
        tar[257..262].copy_from_slice(b"ustar");
        for (content, expected) in [
            (b"".as_slice(), "empty"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "git-lfs"),
            (b"\n <!DOCTYPE html><html>", "HTML page"),
            (b"<?xml version=\"1.0\"?>", "XML"),
            (b"{\"error\": \"not found\"}", "JSON"),
            (b"Not Found", "text file"),
            (b"\x1f\x8b\x08\0\0\0", "gzip"),
            (b"\x89PNG\r\n\x1a\n", "PNG"),
            (b"\x89HDF\r\n", "HDF5"),
            (b"\x80\x04\x95\0\0\0", "plain pickle"),
            (b"PK\x03\x04 and then nothing of use", "cut short"),
            (&[0; 100], "zeros"),
            (&[0xde, 0xad, 0xbe, 0xef, 1, 2, 3, 4, 5], "de ad be ef 01"),
            (&tar, "tar archive"),
        ] {
            fs::write(&path, content).unwrap();
            let message = Tensors::open(&path).unwrap_err().to_string();
            assert!(message.contains(expected) && message.contains("weights.pth"), "{expected}: {message}");
        }
        assert!(Tensors::open(folder.path()).unwrap_err().to_string().contains("folder"));
        assert!(matches!(Tensors::open(folder.path().join("missing")), Err(Error::Io { .. })));
    }

    #[test]
    fn the_size_is_checked_before_reading() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("big");
        // A sparse file, far larger than the memory needed to read it.
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(matches!(Tensors::open(&path), Err(Error::Limit(_))));
        sample().save(&path).unwrap();
        let limits = Limits { max_file: 10, ..Limits::default() };
        assert!(matches!(Tensors::open_within(&path, &limits), Err(Error::Limit(_))));
        assert!(matches!(sample().save_within(&path, &limits), Err(Error::Limit(_))));
        assert_eq!(Tensors::open(&path).unwrap(), sample(), "a refused save must change nothing");
    }
}
