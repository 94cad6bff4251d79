//! Reads the size of a picture from its first bytes, so that opening a large data set does not read all of it. A photo
//! that says how to turn it (EXIF orientation) has the size it has upright.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

use image::metadata::Orientation;

use crate::error::{Error, Result};

/// Width and height of a JPEG or PNG file in pixels, upright. The type is detected from the content, not the extension.
pub(super) fn size(path: &Path) -> Result<(u32, u32)> {
    let file = File::open(path).map_err(Error::io(path))?;
    let empty = file.metadata().is_ok_and(|data| data.len() == 0);
    match read_size(&mut BufReader::new(file)) {
        Ok(Some(size)) => Ok(size),
        Ok(None) => Err(unreadable(path, "is neither a JPEG nor a PNG picture; export it as one")),
        Err(_) if empty => Err(unreadable(path, "is empty (0 bytes); export or copy it again")),
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => {
            Err(unreadable(path, "is cut short, before its picture size; export or copy it again"))
        }
        Err(e) => Err(Error::io(path)(e)),
    }
}

/// Whether a file is a JPEG of four colour components: CMYK, or YCCK, which is turned into it.
pub(super) fn is_cmyk(path: &Path) -> bool {
    let components = || -> std::io::Result<Option<u8>> {
        let mut reader = BufReader::new(File::open(path)?);
        match bytes::<2>(&mut reader)? {
            [0xff, 0xd8] => Ok(jpeg_frame(&mut reader)?.map(|frame| frame.components)),
            _ => Ok(None),
        }
    };
    matches!(components(), Ok(Some(4)))
}

fn unreadable(path: &Path, what: &str) -> Error {
    Error::Data(format!("{} {what}", path.display()))
}

fn read_size(reader: &mut BufReader<File>) -> std::io::Result<Option<(u32, u32)>> {
    match bytes::<2>(reader)? {
        [0x89, b'P'] => {
            let head = bytes::<14>(reader)?;
            let side = |b: [u8; 4]| u32::from_be_bytes(b);
            let size = (side(bytes(reader)?), side(bytes(reader)?));
            if !(head.starts_with(b"NG\r\n\x1a\n") && head.ends_with(b"IHDR")) {
                return Ok(None);
            }
            // The rest of the header, and its checksum.
            reader.seek_relative(5 + 4)?;
            // What is cut short is found when it is read.
            Ok(Some(upright(size, png_exif(reader).unwrap_or_default().as_deref())))
        }
        [0xff, 0xd8] => Ok(jpeg_frame(reader)?.map(|frame| frame.size)),
        _ => Ok(None),
    }
}

/// How the EXIF segment of a JPEG begins.
const EXIF: &[u8] = b"Exif\0\0";

/// What a JPEG says of its frame.
struct Frame {
    /// Width and height, upright.
    size: (u32, u32),
    /// 1 for grey, 3 for colours, 4 for CMYK.
    components: u8,
}

/// Follows the marker segments to the start of frame.
fn jpeg_frame(reader: &mut BufReader<File>) -> std::io::Result<Option<Frame>> {
    let mut exif = None;
    loop {
        if bytes::<1>(reader)? != [0xff] {
            return Ok(None);
        }
        let [mut marker] = bytes::<1>(reader)?;
        while marker == 0xff {
            [marker] = bytes::<1>(reader)?;
        }
        match marker {
            // Markers without a body.
            0x01 | 0xd0..=0xd8 => continue,
            // Start of pixel data or end of file: there was no frame header.
            0xd9 | 0xda => return Ok(None),
            _ => {}
        }
        let length = u16::from_be_bytes(bytes(reader)?);
        let Some(body) = length.checked_sub(2) else { return Ok(None) };
        if matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc) {
            let [_precision, h1, h0, w1, w0, components] = bytes::<6>(reader)?;
            let size = (u16::from_be_bytes([w1, w0]).into(), u16::from_be_bytes([h1, h0]).into());
            return Ok(Some(Frame { size: upright(size, exif.as_deref()), components }));
        }
        if marker == 0xe1 && usize::from(body) > EXIF.len() && exif.is_none() {
            let mut segment = vec![0; body.into()];
            reader.read_exact(&mut segment)?;
            exif = segment.strip_prefix(EXIF).map(<[u8]>::to_vec);
            continue;
        }
        reader.seek_relative(body.into())?;
    }
}

/// The EXIF data of a PNG, if they come before its pixels.
fn png_exif(reader: &mut BufReader<File>) -> std::io::Result<Option<Vec<u8>>> {
    loop {
        let (length, name) = (u32::from_be_bytes(bytes(reader)?), bytes::<4>(reader)?);
        match &name {
            b"eXIf" if length < 1 << 20 => {
                let mut chunk = vec![0; length as usize];
                reader.read_exact(&mut chunk)?;
                return Ok(Some(chunk));
            }
            b"IDAT" | b"IEND" => return Ok(None),
            _ => reader.seek_relative(i64::from(length) + 4)?,
        }
    }
}

fn upright((width, height): (u32, u32), exif: Option<&[u8]>) -> (u32, u32) {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    match exif.and_then(Orientation::from_exif_chunk) {
        Some(Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH) => (height, width),
        _ => (width, height),
    }
}

fn bytes<const N: usize>(reader: &mut impl Read) -> std::io::Result<[u8; N]> {
    let mut buffer = [0; N];
    reader.read_exact(&mut buffer)?;
    Ok(buffer)
}

#[cfg(test)]
mod tests {
    use super::size;
    use image::RgbImage;
    use std::fs;

    #[test]
    fn reads_jpeg_and_png_whatever_the_extension() {
        let dir = tempfile::tempdir().unwrap();
        RgbImage::new(37, 21).save(dir.path().join("a.jpg")).unwrap();
        RgbImage::new(300, 2).save(dir.path().join("b.png")).unwrap();
        fs::copy(dir.path().join("b.png"), dir.path().join("c.jpg")).unwrap();
        assert_eq!(size(&dir.path().join("a.jpg")).unwrap(), (37, 21));
        assert_eq!(size(&dir.path().join("b.png")).unwrap(), (300, 2));
        assert_eq!(size(&dir.path().join("c.jpg")).unwrap(), (300, 2));
    }

    #[test]
    fn skips_segments_before_the_frame() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.jpg");
        RgbImage::new(37, 21).save(&path).unwrap();
        let plain = fs::read(&path).unwrap();
        let mut padded = plain[..2].to_vec();
        // A comment of 50 000 bytes that contains what looks like a frame header, and fill bytes.
        padded.extend([0xff, 0xff, 0xfe, 0xc3, 0x52]);
        padded.extend([0xff, 0xc0, 0, 11, 8, 0, 1, 0, 1].iter().cycle().take(50_000));
        padded.extend(&plain[2..]);
        fs::write(&path, padded).unwrap();
        assert_eq!(size(&path).unwrap(), (37, 21));
    }

    #[test]
    fn refuses_what_is_cut_short_or_no_picture() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.jpg");
        RgbImage::new(37, 21).save(&path).unwrap();
        let whole = fs::read(&path).unwrap();
        for bad in
            [&whole[..20], b"", b"GIF89a", b"\xff\xd8\xff\xd9", b"\xff\xd8\xff\xe0\0\0\0\0\0", b"\x89PNG\r\n\x1a\n"]
        {
            fs::write(&path, bad).unwrap();
            let message = size(&path).unwrap_err().to_string();
            assert!(message.contains("a.jpg"), "{message}");
        }
        assert!(size(&dir.path().join("none.png")).is_err());
    }
}
