//! Label pictures that are read by rows and need not fit into memory.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _};
use std::path::{Path, PathBuf};

use super::classes::ClassTable;
use super::decode::{self, PngRows};
use super::map::{LabelMap, MAX_AREA, MAX_SIDE, check_size};
use super::policy::ReadOptions;
use super::read::{self, Legend, Survey};
use super::report::{Report, Source};
use super::source::{LabelSource, Rect};
use crate::error::{Error, Result};
use crate::picture::check_size_by_rows;

/// How many ids of the last area are kept for the next one: 256 MiB.
const KEPT_IDS: usize = 1 << 27;

/// A label picture in a file as a [`LabelSource`], with the same ids as [`LabelMap::read`].
///
/// A PNG is read by rows and may be larger than memory: sides are up to
/// [`MAX_SIDE_BY_ROWS`](crate::picture::MAX_SIDE_BY_ROWS). [`open`](Self::open) goes through the file once, to decide
/// what its values or colours mean and whether every pixel has a class; ids are decoded again when they are asked for.
/// The file must not change in between.
///
/// These are read as a whole, with the limits of a [`LabelMap`] and about 10 bytes of memory per pixel while they are
/// opened, 1 or 2 thereafter:
///
/// * JPEG
/// * interlaced PNG
/// * PNG where [`ColorPolicy::NearestPixel`](super::ColorPolicy::NearestPixel) has to fill pixels: the pixels to take a class from can be anywhere
///
/// Areas are read fastest from top to bottom. The rows of the last area are kept, up to 256 MiB, so the next one may
/// overlap it. An area with rows above those is read too, but the file is then decoded again from its first row on.
pub struct LabelFile {
    path: PathBuf,
    width: usize,
    height: usize,
    report: Option<Report>,
    ids: Ids,
}

enum Ids {
    Whole(LabelMap),
    Rows(Box<Rows>),
}

impl LabelFile {
    /// Opens a label picture, a PNG or JPEG file, which is read as by [`LabelMap::read`].
    ///
    /// # Errors
    /// [`Error::UnknownLabels`] if pixels have no class or an ambiguous one, with the same report as
    /// [`LabelReading::map`](super::LabelReading::map) gives; [`Error::Io`] if the file cannot be read;
    /// [`Error::Labels`] if it is damaged, with the row, or has another format; [`Error::Limit`] if it is too large.
    pub fn open(path: impl AsRef<Path>, classes: &ClassTable, options: impl Into<ReadOptions>) -> Result<Self> {
        let (path, options) = (path.as_ref(), options.into());
        let by_rows = Rows::open(path, |png| survey(png, classes, options)).map_err(|e| e.context(path.display()))?;
        if let Some((rows, mut report)) = by_rows {
            report.context = format!("{}: ", path.display());
            report.check()?;
            return Ok(Self::by_rows(path, rows, Some(report)));
        }
        let (map, report) = read::read(path, classes, options).map_err(png_may_be_larger)?.into_parts();
        let map = map.ok_or_else(|| report.error())?;
        Ok(Self::whole(path, map, Some(report)))
    }

    /// Opens a picture whose stored values are the ids, such as an instance map; see [`LabelMap::open_ids`]. Its pixels
    /// are not looked at before they are read.
    ///
    /// # Errors
    /// As for [`open`](Self::open); [`Error::Labels`] for a picture of colours.
    pub fn open_ids(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let stored = |png: &mut Png| match png.source {
            Source::RgbPng { .. } => Err(read::no_ids()),
            _ => Ok(Some((None, ()))),
        };
        if let Some((rows, ())) = Rows::open(path, stored).map_err(|e| e.context(path.display()))? {
            return Ok(Self::by_rows(path, rows, None));
        }
        let map = read::stored_ids(path).map_err(png_may_be_larger)?;
        Ok(Self::whole(path, map, None))
    }

    fn by_rows(path: &Path, rows: Rows, report: Option<Report>) -> Self {
        Self { path: path.into(), width: rows.width, height: rows.height, report, ids: Ids::Rows(Box::new(rows)) }
    }

    fn whole(path: &Path, map: LabelMap, report: Option<Report>) -> Self {
        Self { path: path.into(), width: map.width(), height: map.height(), report, ids: Ids::Whole(map) }
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The report on the picture; `None` after [`open_ids`](Self::open_ids), which does not interpret it.
    pub fn report(&self) -> Option<&Report> {
        self.report.as_ref()
    }
}

impl LabelSource for LabelFile {
    fn read(&mut self, area: Rect, ids: &mut [u16]) -> Result<()> {
        let (width, height) = (self.width, self.height);
        let mut read = || {
            let (x, y) = area.place("a label picture", width, height, ids.len())?;
            if ids.is_empty() {
                return Ok(());
            }
            let out = ids.chunks_exact_mut(area.width as usize);
            match &mut self.ids {
                Ids::Whole(map) => (y..).zip(out).for_each(|(y, row)| map.copy_row(x, y, row)),
                Ids::Rows(rows) => rows.read(x, y, out)?,
            }
            Ok(())
        };
        read().map_err(|error: Error| error.context(self.path.display()))
    }
}

impl fmt::Debug for LabelFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LabelFile")
            .field("path", &self.path)
            .field("width", &self.width)
            .field("height", &self.height)
            .field("by_rows", &matches!(self.ids, Ids::Rows(_)))
            .finish_non_exhaustive()
    }
}

fn png_may_be_larger(error: Error) -> Error {
    match error {
        Error::Limit(text) => {
            Error::Limit(format!("{text}; or save it as PNG, which is read by rows and can be larger"))
        }
        other => other,
    }
}

/// Checks the size of a picture that cannot be read by rows.
fn check_whole(width: usize, height: usize, why: &str) -> Result<()> {
    check_size(width, height).map_err(|_| {
        Error::Limit(format!(
            "{width}x{height} pixels are too many for a picture that is not read by rows, with sides up to {MAX_SIDE} and \
             an area up to {MAX_AREA} pixels: {why}"
        ))
    })
}

/// Reads all rows of a picture to find out what its values or colours mean. Gives nothing if it takes the whole picture
/// to tell the class of a pixel.
fn survey(png: &mut Png, classes: &ClassTable, options: ReadOptions) -> Result<Option<(Option<Key>, Report)>> {
    let mut survey = Survey::new(png.source, options, [png.width, png.height], classes);
    for _ in 0..png.height {
        let mut row = png.buffer(png.width);
        png.next(&mut row)?;
        survey.add(&row);
    }
    png.finish()?;
    let (legend, report) = survey.finish(&png.colors);
    if report.needs_filling() {
        let why =
            "pixels take the class of the nearest pixel; paint all pixels in class colours, or choose another policy";
        check_whole(png.width, png.height, why)?;
        return Ok(None);
    }
    Ok(Some((Some(Key { legend, ids: classes.iter().map(|c| c.id).collect() }), report)))
}

type Png = PngRows<BufReader<File>>;

/// The class id of each stored value or colour.
struct Key {
    legend: Legend,
    /// Of each class in the table.
    ids: Vec<u16>,
}

/// A PNG that is read by rows.
struct Rows {
    path: PathBuf,
    file: File,
    width: usize,
    height: usize,
    source: Source,
    /// Without it, values are ids.
    key: Option<Key>,
    /// The file, decoded up to row `next`.
    png: Option<Png>,
    next: usize,
    /// The rows before `next`, as ids.
    kept: VecDeque<Vec<u16>>,
    /// How many rows are kept at most.
    limit: usize,
}

impl Rows {
    /// Opens a file. `look` finds out what pixels mean. Gives nothing if the file cannot be read by rows.
    fn open<T>(
        path: &Path,
        look: impl FnOnce(&mut Png) -> Result<Option<(Option<Key>, T)>>,
    ) -> Result<Option<(Self, T)>> {
        let mut file = File::open(path).map_err(Error::io(path))?;
        // What is no regular file has no start to go back to.
        if !file.metadata().map_err(Error::io(path))?.is_file() {
            return Ok(None);
        }
        let mut start = Vec::new();
        file.by_ref().take(decode::PNG.len() as u64).read_to_end(&mut start).map_err(Error::io(path))?;
        if start != decode::PNG {
            return Ok(None);
        }
        let mut png = decode_from_start(&file, path)?;
        let (width, height, source) = (png.width, png.height, png.source);
        if png.interlaced {
            check_whole(width, height, "the PNG is interlaced; save it without interlacing")?;
            return Ok(None);
        }
        let Some((key, found)) = look(&mut png)? else { return Ok(None) };
        let limit = (KEPT_IDS / width).max(1);
        let (path, kept) = (path.into(), VecDeque::new());
        Ok(Some((Self { path, file, width, height, source, key, png: None, next: 0, kept, limit }, found)))
    }

    /// Writes the ids from column `x` and row `y` on to rows of the same width. All must be inside the picture.
    fn read<'a>(&mut self, x: usize, y: usize, out: impl Iterator<Item = &'a mut [u16]>) -> Result<()> {
        let result = self.go_to(y).and_then(|()| {
            for (y, out) in (y..).zip(out) {
                if y == self.next {
                    self.decode()?;
                }
                let row = self.kept.get(y + self.kept.len() - self.next).map(Vec::as_slice).unwrap_or_default();
                out.copy_from_slice(row.get(x..x + out.len()).unwrap_or_default());
            }
            Ok(())
        });
        if result.is_err() {
            // Nothing is known of the decoder after an error.
            self.restart();
        }
        result
    }

    fn restart(&mut self) {
        (self.png, self.next) = (None, 0);
        self.kept.clear();
    }

    /// Goes on until row `y` is kept or is the next one, and lets go of the rows above it.
    fn go_to(&mut self, y: usize) -> Result<()> {
        if y + self.kept.len() < self.next {
            self.restart();
        }
        while !self.kept.is_empty() && self.next - self.kept.len() < y {
            self.kept.pop_front();
        }
        while self.next < y {
            self.png()?.skip()?;
            self.next += 1;
        }
        Ok(())
    }

    /// Decodes the next row and keeps it.
    fn decode(&mut self) -> Result<()> {
        let width = self.width;
        let png = self.png()?;
        let mut row = png.buffer(width);
        png.next(&mut row)?;
        let mut ids = match &self.key {
            Some(key) => key.legend.positions(row),
            None => row.into_values(),
        };
        if let Some(key) = &self.key {
            for id in &mut ids {
                // Opening the file made sure that all pixels have a class.
                *id = key.ids.get(usize::from(*id)).copied().ok_or_else(changed)?;
            }
        }
        if self.kept.len() == self.limit {
            self.kept.pop_front();
        }
        self.kept.push_back(ids);
        self.next += 1;
        Ok(())
    }

    /// The decoder, from the start of the file if there is none yet.
    fn png(&mut self) -> Result<&mut Png> {
        if self.png.is_none() {
            let png = decode_from_start(&self.file, &self.path)?;
            if (png.width, png.height, png.source, png.interlaced) != (self.width, self.height, self.source, false) {
                return Err(changed());
            }
            self.png = Some(png);
        }
        self.png.as_mut().ok_or_else(changed)
    }
}

fn decode_from_start(mut file: &File, path: &Path) -> Result<Png> {
    let rewound = file.rewind().and_then(|()| Ok((file.metadata()?.len(), file.try_clone()?)));
    let (length, file) = rewound.map_err(Error::io(path))?;
    PngRows::open(BufReader::with_capacity(1 << 16, file), length, path, |width, height| {
        check_size_by_rows("a label picture", width, height)
    })
}

fn changed() -> Error {
    Error::Labels("the file was changed while it was read; read it again when it is complete".into())
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write as _;

    use super::super::policy::ColorPolicy;
    use super::super::testing::{RawPng, table};
    use super::*;
    use crate::error::ErrorCode;
    use crate::picture::MAX_SIDE_BY_ROWS;
    use proptest::prelude::*;

    const RED: [u8; 3] = [255, 0, 0];
    const BLACK: [u8; 3] = [0, 0, 0];
    const GREEN: [u8; 3] = [0, 255, 0];
    const PIXEL: ColorPolicy = ColorPolicy::NearestPixel { tolerance: 0 };

    /// Colour type, bits per sample, samples per pixel.
    const KINDS: [(u8, u8, usize); 15] = [
        (0, 1, 1),
        (0, 2, 1),
        (0, 4, 1),
        (0, 8, 1),
        (0, 16, 1),
        (2, 8, 3),
        (2, 16, 3),
        (3, 1, 1),
        (3, 2, 1),
        (3, 4, 1),
        (3, 8, 1),
        (4, 8, 2),
        (4, 16, 2),
        (6, 8, 4),
        (6, 16, 4),
    ];

    /// First column and row, and steps, of the passes of an interlaced PNG.
    const PASSES: [[usize; 4]; 7] =
        [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]];

    fn packed(samples: impl Iterator<Item = u16>, bits: u8) -> Vec<u8> {
        let samples: Vec<u16> = samples.collect();
        match bits {
            16 => samples.iter().flat_map(|sample| sample.to_be_bytes()).collect(),
            _ => samples
                .chunks(usize::from(8 / bits))
                .map(|part| (0..).zip(part).map(|(i, &sample)| (sample as u8) << (8 - bits - i * bits)).sum())
                .collect(),
        }
    }

    /// A PNG of some kind. `pixels` pick what it stores, mostly values and colours of `table(Some(3))`.
    fn any_png(
        (width, height): (usize, usize),
        (color, bits, samples): (u8, u8, usize),
        pixels: &[(u8, u8)],
        (palette, keyed, interlaced): (usize, bool, bool),
    ) -> RawPng {
        let highest = ((1_u32 << bits) - 1) as u16;
        let scale = if bits == 16 { 257 } else { 1 };
        let pixel = |x: usize, y: usize| -> Vec<u16> {
            let (pick, alpha) = pixels[y * width + x];
            let alpha = [255, 255, 255, 255, 255, 130, 127, 0][usize::from(alpha % 8)] * scale;
            let value = [0, 1, 2, 3, 255, 128, 9, 0x1234][usize::from(pick)] & highest;
            let rgb = [BLACK, RED, GREEN, [128; 3], [250, 0, 0], [0, 0, 3], [90, 91, 92], [255; 3]][usize::from(pick)];
            match color {
                0 | 3 => vec![value],
                4 => vec![value, alpha],
                _ => rgb.map(|c| u16::from(c) * scale).into_iter().chain([alpha]).take(samples).collect(),
            }
        };
        let row = |y: usize, x: usize, step: usize| packed((x..width).step_by(step).flat_map(|x| pixel(x, y)), bits);
        let rows: Vec<Vec<u8>> = if interlaced {
            let pass = |[x, y, dx, dy]: [usize; 4]| (y..height).step_by(dy).map(move |y| row(y, x, dx));
            PASSES.iter().copied().filter(|[x, ..]| *x < width).flat_map(pass).collect()
        } else {
            (0..height).map(|y| row(y, 0, 1)).collect()
        };
        let rows: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
        let mut png = RawPng::new(width as u32, height as u32, bits, color, &rows);
        png.interlaced = interlaced;
        if color == 3 {
            let palettes = [[BLACK, RED, GREEN, [128; 3]], [RED, BLACK, [128; 3], GREEN], [RED, GREEN, BLACK, [7; 3]]];
            png.palette = palettes[palette][..4.min(1 << bits)].to_vec();
        } else if color == 2 && keyed {
            png.trns = GREEN.iter().flat_map(|&c| (u16::from(c) * scale).to_be_bytes()).collect();
        }
        png
    }

    fn file(folder: &tempfile::TempDir, bytes: &[u8]) -> PathBuf {
        let path = folder.path().join("labels.png");
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Writes a large 8-bit grey PNG whose pixel is the given function of the place.
    fn grey(path: &Path, (width, height): (u32, u32), bits: png::BitDepth, pixel: impl Fn(usize, usize) -> u8) {
        let mut encoder = png::Encoder::new(std::io::BufWriter::new(File::create(path).unwrap()), width, height);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(bits);
        encoder.set_compression(png::Compression::Fastest);
        let mut writer = encoder.write_header().unwrap();
        let mut stream = writer.stream_writer().unwrap();
        let length = (width as usize * bits as usize).div_ceil(8);
        for y in 0..height as usize {
            let row: Vec<u8> = (0..length).map(|x| pixel(x, y)).collect();
            stream.write_all(&row).unwrap();
        }
        stream.finish().unwrap();
        writer.finish().unwrap();
    }

    fn read(source: &mut LabelFile, x: usize, y: usize, width: usize, height: usize) -> Result<Vec<u16>> {
        let mut ids = vec![0; width * height];
        let area = Rect { x: x as i64, y: y as i64, width: width as u32, height: height as u32 };
        source.read(area, &mut ids).map(|()| ids)
    }

    fn rows(file: &mut LabelFile) -> &mut Rows {
        match &mut file.ids {
            Ids::Rows(rows) => rows,
            Ids::Whole(_) => panic!("read as a whole"),
        }
    }

    fn area() -> impl Strategy<Value = [prop::sample::Index; 4]> {
        any::<[prop::sample::Index; 4]>()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(600))]
        #[test]
        fn files_read_by_rows_have_the_ids_of_label_maps(
            size in (1_usize..12, 1_usize..12),
            kind in prop::sample::select(&KINDS[..]),
            pixels in prop_oneof![
                proptest::collection::vec((0_u8..3, 0_u8..5), 121),
                proptest::collection::vec((0_u8..6, 0_u8..6), 121),
                proptest::collection::vec((0_u8..8, 0_u8..8), 121),
            ],
            form in (0_usize..3, any::<bool>(), any::<bool>()),
            void in any::<bool>(),
            policy in prop_oneof![
                Just(ColorPolicy::Refuse),
                Just(ColorPolicy::NearestColor { tolerance: 8 }),
                Just(ColorPolicy::NearestColor { tolerance: 255 }),
                Just(PIXEL),
            ],
            areas in proptest::collection::vec(area(), 1..8),
            limit in 1_usize..12,
        ) {
            let (width, height) = size;
            let classes = table(void.then_some(3));
            let folder = tempfile::tempdir().unwrap();
            let path = file(&folder, &any_png(size, kind, &pixels, form).bytes());
            let whole = LabelMap::read(&path, &classes, policy).unwrap();
            let ids = match LabelFile::open(&path, &classes, policy) {
                Ok(file) => file,
                Err(error) => {
                    let expected = whole.map().unwrap_err();
                    prop_assert_eq!((error.to_string(), error.code()), (expected.to_string(), expected.code()));
                    return Ok(());
                }
            };
            prop_assert_eq!(ids.report(), Some(whole.report()));
            let by_rows = matches!(ids.ids, Ids::Rows(_));
            prop_assert_eq!(by_rows, !form.2 && whole.report().filled == 0);
            let stored =
                (kind.2 < 3).then(|| (LabelFile::open_ids(&path).unwrap(), LabelMap::open_ids(&path).unwrap()));
            for (mut file, map) in std::iter::once((ids, whole.map().unwrap())).chain(stored) {
                prop_assert_eq!((file.width(), file.height()), size);
                if by_rows {
                    rows(&mut file).limit = limit;
                }
                // In any order, and with rows that are gone.
                for [x, y, w, h] in &areas {
                    let (x, y) = (x.index(width), y.index(height));
                    let (w, h) = (w.index(width - x) + 1, h.index(height - y) + 1);
                    let expected: Vec<u16> = map.crop(x, y, w, h).unwrap().ids().collect();
                    prop_assert_eq!(read(&mut file, x, y, w, h).unwrap(), expected);
                    prop_assert!(!by_rows || rows(&mut file).kept.len() <= limit);
                }
            }
        }

    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        #[test]
        fn damaged_files_never_panic(
            kind in prop::sample::select(&KINDS[..]),
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            later in any::<bool>(),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let mut bytes = any_png((9, 9), kind, &[(1, 0); 81], (0, false, false)).bytes();
            let path = file(&folder, &bytes);
            let opened = LabelFile::open(&path, &table(None), ColorPolicy::NearestColor { tolerance: 255 });
            for (at, value) in damage {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            std::fs::write(&path, &bytes).unwrap();
            if later {
                if let Ok(mut file) = opened {
                    let _ = read(&mut file, 0, 0, 9, 9);
                }
            } else if let Ok(mut file) = LabelFile::open(&path, &table(None), PIXEL) {
                let (width, height) = (file.width(), file.height());
                read(&mut file, 0, 0, width, height).unwrap();
            }
        }
    }

    #[test]
    fn only_the_rows_of_the_last_area_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large.png");
        grey(&path, (20_000, 2000), png::BitDepth::Eight, |x, y| ((x / 100 + y / 10) % 3) as u8);
        let id = |x: usize, y: usize| ((x / 100 + y / 10) % 3) as u16;
        let mut file = LabelFile::open(&path, &table(None), ColorPolicy::Refuse).unwrap();
        assert_eq!((file.width(), file.height()), (20_000, 2000));
        assert_eq!(file.report().unwrap().classes.iter().map(|c| c.pixels).sum::<u64>(), 40_000_000);
        assert!(rows(&mut file).kept.is_empty() && rows(&mut file).limit == KEPT_IDS / 20_000);
        for top in (0..2000 - 96).step_by(64) {
            for left in [0, 7000, 19_500] {
                let ids = read(&mut file, left, top, 500, 96).unwrap();
                assert!(ids.iter().enumerate().all(|(i, &got)| got == id(left + i % 500, top + i / 500)));
                let rows = rows(&mut file);
                assert_eq!((rows.kept.len(), rows.next), (96, top + 96));
                assert!(rows.kept.iter().all(|row| row.len() == 20_000));
            }
        }
        // A tall area does not stay.
        rows(&mut file).limit = 10;
        let ids = read(&mut file, 13, 0, 1, 2000).unwrap();
        assert!((0..).zip(ids).all(|(y, got)| got == id(13, y)));
        assert_eq!(rows(&mut file).kept.len(), 10);
    }

    #[test]
    fn overlapping_areas_do_not_start_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large.png");
        grey(&path, (3000, 900), png::BitDepth::Eight, |x, y| ((x * y) % 3) as u8);
        let mut file = LabelFile::open(&path, &table(None), ColorPolicy::Refuse).unwrap();
        read(&mut file, 0, 100, 10, 20).unwrap();
        // Without its start, the file can only go on.
        let mut damaged = OpenOptions::new().write(true).open(&path).unwrap();
        damaged.write_all(&[0; 16]).unwrap();
        for (top, height) in [(100, 20), (110, 10), (110, 790), (300, 1), (899, 1)] {
            let ids = read(&mut file, 2999, top, 1, height).unwrap();
            assert!((top..).zip(ids).all(|(y, id)| usize::from(id) == (2999 * y) % 3), "{top}");
        }
        let error = read(&mut file, 0, 898, 1, 1).unwrap_err().to_string();
        assert!(error.contains("large.png: damaged"), "{error}");
    }

    #[test]
    fn areas_beyond_a_label_map_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("huge.png");
        grey(&path, (32_768, 8200), png::BitDepth::One, |_, y| if y < 8199 { 0 } else { 0b0100_0000 });
        let too_large = |result: Result<LabelFile>| match result.unwrap_err() {
            Error::Limit(text) => text,
            other => panic!("{other}"),
        };
        assert!(matches!(LabelMap::open(&path, &table(None)), Err(Error::Limit(_))));
        let mut file = LabelFile::open(&path, &table(None), PIXEL).unwrap();
        assert_eq!(file.report().unwrap().classes[1].pixels, 4096);
        assert_eq!(read(&mut file, 8, 8198, 3, 2).unwrap(), [0, 0, 0, 0, 1, 0]);
        // One of the two values has no class, but filling takes a label map.
        let one = ClassTable::new(vec![super::super::testing::class(5, "white", [255; 3])]).unwrap();
        assert_eq!(LabelFile::open(&path, &one, PIXEL).unwrap_err().code(), ErrorCode::UnknownIds);
        let mut png = RawPng::new(MAX_SIDE_BY_ROWS as u32 + 1, 1, 1, 0, &[&vec![0; MAX_SIDE_BY_ROWS / 8 + 1]]);
        let message = too_large(LabelFile::open(self::file(&folder, &png.bytes()), &one, PIXEL));
        assert!(message.contains("labels.png: 1048577x1 pixels are too many"), "{message}");
        (png.width, png.interlaced) = (40_000, true);
        let message = too_large(LabelFile::open(self::file(&folder, &png.bytes()), &one, PIXEL));
        assert!(message.contains("labels.png: 40000x1 pixels") && message.contains("without interlacing"), "{message}");
        let row: Vec<u8> = (0..40_000 * 3).map(|i| if i == 0 { 9 } else { 0 }).collect();
        let png = RawPng::new(40_000, 1, 8, 2, &[&row]);
        let message = too_large(LabelFile::open(self::file(&folder, &png.bytes()), &table(None), PIXEL));
        assert!(message.contains("labels.png: 40000x1 pixels") && message.contains("another policy"), "{message}");
    }

    #[test]
    fn other_formats_are_read_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.jpg");
        let picture = image::RgbImage::from_fn(32, 32, |x, _| image::Rgb(if x < 16 { RED } else { GREEN }));
        picture.save(&path).unwrap();
        let policy = ColorPolicy::NearestPixel { tolerance: 20 };
        let mut file = LabelFile::open(&path, &table(None), policy).unwrap();
        assert_eq!(file.report().unwrap().source, Source::Jpeg);
        assert!(matches!(file.ids, Ids::Whole(_)));
        assert_eq!(read(&mut file, 15, 31, 2, 1).unwrap(), [1, 2]);
        let error = read(&mut file, 15, 31, 2, 2).unwrap_err().to_string();
        assert!(
            error.ends_with(
                "labels.jpg: an area of 2x2 pixels at (15, 31) is not inside a label picture of 32x32 pixels"
            )
        );
        assert!(LabelFile::open(folder.path(), &table(None), policy).is_err());
        std::fs::write(&path, b"GIF89a").unwrap();
        assert!(LabelFile::open(&path, &table(None), policy).unwrap_err().to_string().contains("this is a GIF"));
        assert!(matches!(LabelFile::open_ids(folder.path().join("absent.png")), Err(Error::Io { .. })));
        let png = RawPng::new(1, 1, 8, 2, &[&[0, 0, 0]]).bytes();
        let error = LabelFile::open_ids(self::file(&folder, &png)).unwrap_err().to_string();
        assert!(error.ends_with("labels.png: this is a picture of colours, without ids"), "{error}");
    }

    #[test]
    fn a_truncated_file_is_an_error_with_its_row() {
        let folder = tempfile::tempdir().unwrap();
        let pixels: Vec<Vec<u8>> = (0..40_usize).map(|y| (0..3000).map(|x| ((x * y) % 3) as u8).collect()).collect();
        let pixels: Vec<&[u8]> = pixels.iter().map(Vec::as_slice).collect();
        let bytes = RawPng::new(3000, 40, 8, 0, &pixels).bytes();
        for length in (300..bytes.len() - 100).step_by(997) {
            let path = file(&folder, &bytes[..length]);
            let error = LabelFile::open(&path, &table(None), ColorPolicy::Refuse).unwrap_err().to_string();
            assert!(error.contains("labels.png: damaged or truncated PNG in row "), "{error}");
            let row: usize = error.split("in row ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
            assert!(row.abs_diff(length / 3001) <= 1, "{length} bytes: {error}");
            assert!(error.contains(" of 40 (") && error.contains("export it again"), "{error}");
        }
    }

    #[test]
    fn a_file_that_changes_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, &RawPng::new(2, 2, 8, 0, &[&[0, 1], &[2, 0]]).bytes());
        let mut file = LabelFile::open(&path, &table(None), ColorPolicy::Refuse).unwrap();
        for other in
            [RawPng::new(2, 2, 8, 0, &[&[0, 1], &[7, 0]]), RawPng::new(2, 3, 8, 0, &[&[0, 1], &[2, 0], &[0, 0]])]
        {
            std::fs::write(&path, other.bytes()).unwrap();
            let error = read(&mut file, 0, 0, 2, 2).unwrap_err().to_string();
            assert!(error.contains("labels.png: the file was changed"), "{error}");
        }
        std::fs::write(&path, RawPng::new(2, 2, 8, 0, &[&[1, 1], &[2, 0]]).bytes()).unwrap();
        assert_eq!(read(&mut file, 0, 0, 2, 2).unwrap(), [1, 1, 2, 0]);
        // A new file at the same place is another one.
        std::fs::rename(&path, folder.path().join("moved.png")).unwrap();
        assert_eq!(read(&mut file, 0, 0, 1, 2).unwrap(), [1, 2]);
    }
}
