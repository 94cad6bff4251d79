//! Human-readable reports on label pictures.

use std::fmt;

use super::classes::ClassTable;
use super::map::LabelMap;
use super::policy::ColorPolicy;
use crate::error::{Error, ErrorCode, Result};

/// How many values or colours a message lists before "and N more".
const LISTED: usize = 8;

/// How many unknown colours a [`Report`] keeps.
pub(super) const KEPT_COLORS: usize = 64;

/// A picture with more unknown ids than this is probably no map of class ids.
const MANY_IDS: usize = 64;

/// The kind of picture that the labels came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// PNG with a palette.
    IndexedPng {
        /// Bits per pixel: 1, 2, 4 or 8.
        bits: u8,
    },
    /// Grey PNG.
    GreyPng {
        /// Bits per grey value: 1, 2, 4, 8 or 16.
        bits: u8,
        /// Whether it has an alpha channel.
        alpha: bool,
    },
    /// RGB PNG.
    RgbPng {
        /// Bits per channel: 8 or 16.
        bits: u8,
        /// Whether it has an alpha channel.
        alpha: bool,
    },
    /// JPEG.
    Jpeg,
    /// Pixels in memory: colours or ids.
    Memory,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IndexedPng { bits } => write!(f, "{bits}-bit indexed PNG"),
            Self::GreyPng { bits, alpha: false } => write!(f, "{bits}-bit grey PNG"),
            Self::GreyPng { bits, alpha: true } => write!(f, "{bits}-bit grey PNG with alpha"),
            Self::RgbPng { bits, alpha: false } => write!(f, "{bits}-bit RGB PNG"),
            Self::RgbPng { bits, alpha: true } => write!(f, "{bits}-bit RGBA PNG"),
            Self::Jpeg => write!(f, "JPEG"),
            Self::Memory => write!(f, "pixels in memory"),
        }
    }
}

/// How the pixels were interpreted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum ReadAs {
    /// As class ids.
    Ids,
    /// As class colours.
    Colors,
}

/// A number of pixels, and the position of the first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Number of pixels, at least 1.
    pub pixels: u64,
    /// Column and row of the first one, counted row by row from the top left.
    pub first: (usize, usize),
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} px, first at ({}, {})", self.pixels, self.first.0, self.first.1)
    }
}

/// The number of pixels of a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassCount {
    /// The class id.
    pub id: u16,
    /// The class name.
    pub name: String,
    /// Number of pixels in the map.
    pub pixels: u64,
}

/// An id without a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdCount {
    /// The value in the picture.
    pub id: u16,
    /// Number of pixels, and the first position.
    pub found: Found,
}

/// A colour that belongs to no class, under the tolerance of the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColorCount {
    /// The colour in the picture, as RGB.
    pub color: [u8; 3],
    /// Number of pixels, and the first position.
    pub found: Found,
    /// The id of the class with the nearest colour.
    pub nearest: u16,
    /// The largest difference per channel to that colour: the tolerance that would accept it.
    pub difference: u8,
}

/// The result of reading a label picture. `Display` gives a readable summary of several lines.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The kind of picture.
    pub source: Source,
    /// Whether it was read as ids or as colours.
    pub read_as: ReadAs,
    /// The policy for unknown colours.
    pub policy: ColorPolicy,
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Pixels per class of the table, in the order of ids, including classes without pixels.
    pub classes: Vec<ClassCount>,
    /// Ids that belong to no class, in ascending order; empty if the picture was read by colour.
    pub unknown_ids: Vec<IdCount>,
    /// Colours that belong to no class within the tolerance, most frequent first (then by first position); at most
    /// 64. Only the first 2^20 different colours of a picture are listed, more than any label picture should have.
    pub unknown_colors: Vec<ColorCount>,
    /// The number of different unknown colours, including those not listed.
    pub unknown_color_count: usize,
    /// Pixels with an unknown colour.
    pub unknown_color_pixels: u64,
    /// The tolerance that would accept all colours.
    pub needed_tolerance: u8,
    /// Pixels with alpha below 128, which have no class whatever their colour.
    pub transparent: Option<Found>,
    /// Pixels with alpha 128 to 254, which were read as opaque.
    pub semi_transparent: Option<Found>,
    /// Pixels whose colour is within the tolerance of a class colour but not equal to it.
    pub near: u64,
    /// Pixels that took the class of the nearest certain pixel.
    pub filled: u64,
    /// Pixels with the value 255 that were read as the table's don't-care class.
    pub dont_care_255: u64,
    /// Pixels without a class. The picture can be used if this is 0 and there is no `palette_conflict`.
    pub unclassified: u64,
    /// If the palette entries in use are class colours (but for few pixels), but not in the order of the ids: a used
    /// value whose colour belongs to another class, and the id of that class.
    pub palette_conflict: Option<(u16, u16)>,
    /// With a `palette_conflict`, pixels per class of the reading that was not chosen: by colour if it was read as ids.
    pub other_reading: Vec<ClassCount>,
    /// Whether colours without a class are greys whose levels are ids: ids stored as a grey RGB picture or JPEG.
    pub looks_like_ids: bool,
    /// Half the distance between the two most similar class colours, per channel: a larger tolerance could take one
    /// class for another.
    pub(super) safe_tolerance: u8,
    /// Whether the caller said what pixels mean.
    pub is_chosen: bool,
    /// Prefix for messages, with its colon: the file name.
    pub(crate) context: String,
}

impl Report {
    /// The report on a picture before its pixels are read.
    pub(super) fn new(source: Source, read_as: ReadAs, policy: ColorPolicy, [width, height]: [usize; 2]) -> Self {
        Self {
            source,
            read_as,
            policy,
            width,
            height,
            classes: Vec::new(),
            unknown_ids: Vec::new(),
            unknown_colors: Vec::new(),
            unknown_color_count: 0,
            unknown_color_pixels: 0,
            needed_tolerance: 0,
            transparent: None,
            semi_transparent: None,
            near: 0,
            filled: 0,
            dont_care_255: 0,
            unclassified: 0,
            palette_conflict: None,
            other_reading: Vec::new(),
            looks_like_ids: false,
            is_chosen: false,
            safe_tolerance: u8::MAX,
            context: String::new(),
        }
    }

    /// Whether the picture can be used as a label map.
    pub fn is_usable(&self) -> bool {
        self.unknown_ids.is_empty() && !self.is_unclear() && self.unclassified == 0
    }

    /// Whether pixels take the class of the nearest certain pixel.
    pub(super) fn needs_filling(&self) -> bool {
        let area = self.width as u64 * self.height as u64;
        // Ids without a class are a mistake in the picture or the table; they must not be filled in. If no pixel is
        // certain, there is nothing to take a class from.
        matches!(self.policy, ColorPolicy::NearestPixel { .. })
            && self.unknown_ids.is_empty()
            && (1..area).contains(&self.unclassified)
    }

    /// Whether it was read as ids that contradict its palette, and nobody said so.
    fn is_unclear(&self) -> bool {
        self.read_as == ReadAs::Ids && self.palette_conflict.is_some() && !self.is_chosen
    }

    /// Checks that the picture can be used as a label map.
    ///
    /// # Errors
    /// [`Error::UnknownLabels`] with the problems, their pixel counts and first positions, and what to do about
    /// them.
    pub fn check(&self) -> Result<()> {
        if self.is_usable() { Ok(()) } else { Err(self.error()) }
    }

    /// The problems as an error.
    pub(super) fn error(&self) -> Error {
        Error::UnknownLabels {
            code: self.code(),
            pixels: self.unclassified,
            message: self.context.clone() + &self.problem(),
        }
    }

    /// The error code for the problems.
    fn code(&self) -> ErrorCode {
        if !self.unknown_ids.is_empty() {
            ErrorCode::UnknownIds
        } else if self.is_unclear() {
            ErrorCode::UnclearPalette
        } else {
            ErrorCode::UnknownColors
        }
    }

    /// Describes the problems.
    fn problem(&self) -> String {
        let mut problems = Vec::new();
        if !self.unknown_ids.is_empty() {
            problems.push(self.unknown_ids_message());
        }
        if self.is_unclear()
            && let Some((value, class)) = self.palette_conflict
        {
            problems.push(format!(
                "it is not clear what the pixel values mean: the palette has class colours, but not in the order of the \
                 ids; value {value}, say, is painted in the colour of class {class}{}. Read as ids, the picture has {}; \
                 read as colours, {}. If the colours are right (an editor chose the palette), have it read as colours or \
                 convert it to RGB; if the values are right, have it read as ids or save it as grey",
                self.name_of(class),
                largest(&self.classes),
                largest(&self.other_reading),
            ));
        }
        if self.unclassified > 0 && self.unknown_ids.is_empty() {
            problems.push(self.unknown_pixels_message());
        }
        problems.join("; ")
    }

    fn name_of(&self, id: u16) -> String {
        self.classes.iter().find(|c| c.id == id).map(|c| format!(" ({})", c.name)).unwrap_or_default()
    }

    fn highest_id(&self) -> u16 {
        self.classes.last().map_or(0, |c| c.id)
    }

    fn unknown_ids_message(&self) -> String {
        let unknown = &self.unknown_ids;
        let pixels: u64 = unknown.iter().map(|u| u.found.pixels).sum();
        let classes = self.classes.len();
        let mut message = format!(
            "{} {} without a class (the table has {}, the highest id is {}): {}",
            if pixels == 1 { "1 pixel holds".into() } else { format!("{pixels} pixels hold") },
            plural(unknown.len(), "id"),
            if classes == 1 { "1 class".into() } else { format!("{classes} classes") },
            self.highest_id(),
            listed(unknown.iter().map(|u| format!("{} ({})", u.id, u.found)), LISTED, unknown.len())
        );
        if self.source == Source::Memory {
            return message + "; add these ids to the class table, or change them in the label map";
        }
        let only_255 = self.unknown_ids.iter().all(|u| u.id == 255);
        let has_255 = self.unknown_ids.iter().any(|u| u.id == 255);
        if has_255 {
            message +=
                "; 255 mostly means \"no label\": mark one class of the table as don't-care and 255 is read as it";
        }
        let from_one = self.classes.iter().all(|c| c.id != 0 || c.pixels == 0)
            && self.unknown_ids.iter().filter(|u| u.id != 255).map(|u| u.id).eq([self.highest_id().saturating_add(1)]);
        if from_one {
            message += "; the picture seems to count its ids from 1 and the table from 0: shift one of them";
        } else if self.unknown_ids.len() > MANY_IDS {
            message += "; so many different values look like a grey picture or an instance map, not like class ids";
        } else if !only_255 {
            message += "; add these ids to the class table, or change them in the picture";
        }
        message
    }

    fn unknown_pixels_message(&self) -> String {
        let area = self.width as u64 * self.height as u64;
        let mut parts = vec![format!("{} of {area} pixels have no class", self.unclassified)];
        let colors = self.unknown_color_count;
        if colors > 0 {
            let within = match self.policy.tolerance() {
                0 => String::new(),
                tolerance => format!(" within {tolerance} per channel"),
            };
            parts.push(format!(
                "{} {} no class's colour{within}: {}",
                plural(colors, "colour"),
                if colors == 1 { "is" } else { "are" },
                self.listed_colors(LISTED)
            ));
        }
        if let Some(found) = self.transparent {
            parts.push(format!("transparent pixels (alpha below 128) have no class: {found}"));
        }
        let tolerance = self.needed_tolerance;
        // Never advise what would take one class for another.
        let takes_all = if tolerance <= self.safe_tolerance {
            format!(" (a tolerance of {tolerance} takes all colours)")
        } else {
            String::new()
        };
        if self.looks_like_ids {
            let way_out = match self.source {
                Source::Jpeg => "JPEG changes them; save them as grey PNG",
                _ => "have it read as ids, or save it as grey or indexed PNG",
            };
            parts.push(format!("these greys look like ids that were saved as a picture of colours: {way_out}"));
            return parts.join("; ");
        }
        parts.push(match self.policy {
            // Filling leaves pixels over only if no pixel is certain.
            ColorPolicy::NearestPixel { .. } => {
                "no pixel has a class colour, so there is none to take a class from: does the class table belong to this \
                 picture?"
                    .into()
            }
            _ if colors == 0 => "paint them, or choose the nearest-pixel policy to fill them".into(),
            ColorPolicy::Refuse => format!(
                "paint them in class colours, add their colours to the class table, or choose a policy: nearest pixel for \
                 soft edges, or nearest colour{takes_all}"
            ),
            ColorPolicy::NearestColor { .. } if tolerance <= self.safe_tolerance => format!(
                "paint them in class colours, choose the nearest-pixel policy, or a tolerance of {tolerance}"
            ),
            ColorPolicy::NearestColor { .. } => "paint them in class colours, or choose the nearest-pixel policy; some are \
                 so far from all class colours that the class table may not belong to this picture"
                .into(),
        });
        parts.join("; ")
    }

    fn listed_colors(&self, limit: usize) -> String {
        let one = |c: &ColorCount| {
            format!(
                "{} ({}; nearest is class {}{}, {} off)",
                rgb(c.color),
                c.found,
                c.nearest,
                self.name_of(c.nearest),
                c.difference
            )
        };
        listed(self.unknown_colors.iter().map(one), limit, self.unknown_color_count)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let area = self.width as f64 * self.height as f64;
        let read_as = match self.read_as {
            ReadAs::Ids => "class ids",
            ReadAs::Colors => "class colours",
        };
        writeln!(f, "{}x{} pixels, {}, read as {read_as}", self.width, self.height, self.source)?;
        let used = self.classes.iter().filter(|c| c.pixels > 0);
        let name_width = used.clone().map(|c| c.name.chars().count()).max().unwrap_or(0);
        for ClassCount { id, name, pixels } in used {
            writeln!(f, "  {id:5} {name:name_width$} {pixels:10} px {:6.2} %", *pixels as f64 * 100.0 / area)?;
        }
        let absent: Vec<String> =
            self.classes.iter().filter(|c| c.pixels == 0).map(|c| format!("{} {}", c.id, c.name)).collect();
        if !absent.is_empty() {
            let count = absent.len();
            writeln!(f, "  absent: {}", listed(absent.into_iter(), 2 * LISTED, count))?;
        }
        if self.dont_care_255 > 0 {
            writeln!(f, "  value 255 read as don't-care: {} px", self.dont_care_255)?;
        }
        if let (ReadAs::Colors, Some((value, class))) = (self.read_as, self.palette_conflict) {
            writeln!(
                f,
                "  palette not in the order of the ids (value {value} has the colour of class {class}{}): read by colour",
                self.name_of(class)
            )?;
        } else if let (ReadAs::Ids, true, Some((value, class))) = (self.read_as, self.is_chosen, self.palette_conflict)
        {
            writeln!(
                f,
                "  palette not in the order of the ids (value {value} has the colour of class {class}{}): read as ids",
                self.name_of(class)
            )?;
        } else if self.read_as == ReadAs::Colors
            && matches!(self.source, Source::IndexedPng { .. } | Source::GreyPng { .. })
        {
            let why = if self.is_chosen {
                "as told"
            } else {
                "some values are no class's id, but their colours are class colours"
            };
            writeln!(f, "  {why}: read by colour")?;
        }
        if self.near > 0 {
            writeln!(f, "  nearly a class colour (within {} per channel): {} px", self.policy.tolerance(), self.near)?;
        }
        if let Some(found) = self.semi_transparent {
            writeln!(f, "  semi-transparent (alpha 128 to 254), read as opaque: {found}")?;
        }
        if let Some(found) = self.transparent {
            writeln!(f, "  transparent (alpha below 128): {found}")?;
        }
        if self.unknown_color_count > 0 {
            writeln!(
                f,
                "  {}, {} px: {}",
                plural(self.unknown_color_count, "unknown colour"),
                self.unknown_color_pixels,
                self.listed_colors(LISTED)
            )?;
        }
        if self.filled > 0 {
            writeln!(f, "  took the class of the nearest pixel: {} px", self.filled)?;
        }
        if self.is_usable() {
            write!(f, "  every pixel has a class")
        } else {
            write!(f, "  cannot be used: {}", self.problem())
        }
    }
}

/// Checks the ids of a map in memory.
pub(super) fn check_ids(map: &LabelMap, classes: &ClassTable) -> Result<()> {
    let mut tally = IdTally::new(map.width());
    for id in map.ids() {
        tally.add(id);
    }
    let unknown: Vec<IdCount> = tally.found().filter(|f| classes.get(f.id).is_none()).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let size = [map.width(), map.height()];
    let mut report = Report::new(Source::Memory, ReadAs::Ids, ColorPolicy::Refuse, size);
    report.classes =
        classes.iter().map(|c| ClassCount { id: c.id, name: c.name.clone(), pixels: tally.pixels(c.id) }).collect();
    report.unclassified = unknown.iter().map(|u| u.found.pixels).sum();
    report.unknown_ids = unknown;
    report.check()
}

/// Counts ids and records where each occurs first.
pub(super) struct IdTally {
    width: usize,
    seen: usize,
    /// By id: pixels and the first of them. For 256 ids, until there is a larger one.
    ids: Vec<(u64, usize)>,
}

impl IdTally {
    pub(super) fn new(width: usize) -> Self {
        Self { width, seen: 0, ids: vec![(0, 0); 1 << 8] }
    }

    /// Counts the id of pixel number `index`.
    pub(super) fn add_at(&mut self, id: u16, index: usize) {
        self.seen = index;
        self.add(id);
    }

    /// Counts the id of the next pixel.
    pub(super) fn add(&mut self, id: u16) {
        if usize::from(id) >= self.ids.len() {
            self.ids.resize(1 << 16, (0, 0));
        }
        if let Some((count, first)) = self.ids.get_mut(usize::from(id)) {
            if *count == 0 {
                *first = self.seen;
            }
            *count += 1;
        }
        self.seen += 1;
    }

    /// Skips the next pixel.
    pub(super) fn skip(&mut self) {
        self.seen += 1;
    }

    /// The number of pixels with this id.
    fn pixels(&self, id: u16) -> u64 {
        self.ids.get(usize::from(id)).map_or(0, |&(pixels, _)| pixels)
    }

    /// The ids that occur, in ascending order.
    pub(super) fn found(&self) -> impl Iterator<Item = IdCount> + '_ {
        (0..=u16::MAX)
            .zip(&self.ids)
            .filter(|(_, (pixels, _))| *pixels > 0)
            .map(|(id, &(pixels, first))| IdCount { id, found: Found { pixels, first: place(first, self.width) } })
    }
}

/// Column and row of pixel number `index`.
pub(super) fn place(index: usize, width: usize) -> (usize, usize) {
    (index % width.max(1), index / width.max(1))
}

/// A colour in the usual notation.
pub(super) fn rgb([r, g, b]: [u8; 3]) -> String {
    format!("rgb({r}, {g}, {b})")
}

/// The three largest classes.
fn largest(classes: &[ClassCount]) -> String {
    let mut used: Vec<&ClassCount> = classes.iter().filter(|class| class.pixels > 0).collect();
    used.sort_by_key(|class| std::cmp::Reverse(class.pixels));
    let total = used.len();
    listed(used.into_iter().map(|class| format!("{} px of {}", class.pixels, class.name)), 3, total)
}

fn plural(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn listed(items: impl Iterator<Item = String>, limit: usize, total: usize) -> String {
    let shown: Vec<String> = items.take(limit).collect();
    let more = total.saturating_sub(shown.len());
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}
