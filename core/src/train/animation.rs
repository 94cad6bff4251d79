//! An animation of a run: its contact sheets one after the other, as an animated PNG.

use std::path::{Path, PathBuf};

use image::RgbImage;

use super::Files;
use crate::error::{Error, Result};
use crate::files::{WholeFile, read_picture};

/// Most pictures of an animation; of more contact sheets, some are left out at equal distances.
const FRAMES: usize = 100;
/// How long each picture is shown, in tenths of a second; the last one longer.
const TENTHS: (u16, u16) = (2, 20);

/// Writes the contact sheets of a run as an animated PNG at `path`, from the first to that of the final model, and returns
/// the number of its pictures. Programs that know no animated PNG show the first picture. Of more than 100 contact
/// sheets, 100 are taken; those of another size than the last one are left out.
///
/// # Errors
///
/// [`Error::Data`] if the run has no contact sheets yet or one cannot be read; [`Error::Io`] if a file cannot be read or
/// written.
pub fn animation(files: &Files, path: impl AsRef<Path>) -> Result<usize> {
    let path = path.as_ref();
    let mut sheets = samples(files)?;
    sheets.extend(Some(files.sheet()).filter(|sheet| sheet.is_file()));
    let Some(last) = sheets.last() else {
        let folder = files.sheet().parent().map(Path::to_path_buf).unwrap_or_default();
        return Err(Error::Data(format!(
            "{}: there are no contact sheets to animate: train first, or lower sample_every",
            folder.display()
        )));
    };
    let size = read(last)?.dimensions();
    sheets.retain(|sheet| image::image_dimensions(sheet).is_ok_and(|other| other == size));
    let sheets = thinned(sheets);

    let failed = |error: png::EncodingError| Error::io(path)(std::io::Error::other(error));
    let mut file = WholeFile::create(path)?;
    {
        let mut encoder = png::Encoder::new(&mut file, size.0, size.1);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_animated(sheets.len() as u32, 0).map_err(failed)?;
        encoder.set_frame_delay(TENTHS.0, 10).map_err(failed)?;
        let mut writer = encoder.write_header().map_err(failed)?;
        for (index, sheet) in sheets.iter().enumerate() {
            if index + 1 == sheets.len() {
                writer.set_frame_delay(TENTHS.1, 10).map_err(failed)?;
            }
            writer.write_image_data(&read(sheet)?).map_err(failed)?;
        }
        writer.finish().map_err(failed)?;
    }
    file.finish()?;
    Ok(sheets.len())
}

/// The contact sheets of single steps, in their order.
fn samples(files: &Files) -> Result<Vec<PathBuf>> {
    let first = files.sample(0);
    let Some(folder) = first.parent().filter(|folder| folder.is_dir()) else { return Ok(Vec::new()) };
    let entries = std::fs::read_dir(folder).map_err(Error::io(folder))?;
    let mut sheets = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::io(folder))?.path();
        let name = path.file_stem().and_then(|name| name.to_str());
        let step = name.and_then(|name| name.strip_prefix("step-")?.parse::<u64>().ok());
        if let Some(step) = step.filter(|_| path.extension().is_some_and(|extension| extension == "png")) {
            sheets.push((step, path));
        }
    }
    sheets.sort();
    Ok(sheets.into_iter().map(|(_, path)| path).collect())
}

fn read(path: &Path) -> Result<RgbImage> {
    let picture = image::load_from_memory(&read_picture(path)?);
    picture.map(|picture| picture.to_rgb8()).map_err(|error| Error::Data(format!("{}: {error}", path.display())))
}

/// At most [`FRAMES`] of them, the first and the last included.
fn thinned(sheets: Vec<PathBuf>) -> Vec<PathBuf> {
    let count = sheets.len();
    if count <= FRAMES {
        return sheets;
    }
    let kept = |index: usize| (0..FRAMES).any(|frame| frame * (count - 1) / (FRAMES - 1) == index);
    sheets.into_iter().enumerate().filter(|(index, _)| kept(*index)).map(|(_, sheet)| sheet).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::save_picture;
    use image::{AnimationDecoder as _, Rgb};

    fn gray(size: (u32, u32), value: u8) -> RgbImage {
        RgbImage::from_pixel(size.0, size.1, Rgb([value; 3]))
    }

    #[test]
    fn sheets_follow_each_other_in_order_of_steps() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path());
        let path = folder.path().join("training.png");
        let message = animation(&files, &path).unwrap_err().to_string();
        assert!(message.contains("no contact sheets") && !path.exists(), "{message}");

        std::fs::create_dir(folder.path().join("samples")).unwrap();
        // More digits than usual, another size, and a file that is none of ours.
        for (step, value) in [(100, 1), (20_000_000, 3), (3000, 2)] {
            save_picture(&gray((6, 4), value), &files.sample(step)).unwrap();
        }
        save_picture(&gray((6, 5), 9), &files.sample(200)).unwrap();
        std::fs::write(folder.path().join("samples/notes.txt"), "x").unwrap();
        save_picture(&gray((6, 4), 4), &files.sheet()).unwrap();
        assert_eq!(animation(&files, &path).unwrap(), 4);

        let bytes = std::io::Cursor::new(std::fs::read(&path).unwrap());
        let decoder = image::codecs::png::PngDecoder::new(bytes).unwrap().apng().unwrap();
        let frames = decoder.into_frames().collect_frames().unwrap();
        let found: Vec<_> =
            frames.iter().map(|frame| (frame.buffer()[(5, 3)].0[0], frame.delay().numer_denom_ms())).collect();
        assert_eq!(found, [(1, (200, 1)), (2, (200, 1)), (3, (200, 1)), (4, (2000, 1))]);
    }

    #[test]
    fn long_runs_are_thinned_between_first_and_last() {
        let many: Vec<PathBuf> = (0..1234).map(|index: usize| index.to_string().into()).collect();
        let some = thinned(many.clone());
        assert_eq!((some.len(), &some[0], &some[99]), (FRAMES, &many[0], &many[1233]));
        assert_eq!(thinned(many[..100].to_vec()).len(), 100);
    }
}
