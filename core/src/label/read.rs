//! Turns decoded pictures into label maps by finding the class of each stored value or colour.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::classes::ClassTable;
use super::decode::{self, Picture, Stored};
use super::map::LabelMap;
use super::nearest::{self, NONE};
use super::policy::{ColorPolicy, ReadOptions};
use super::report::{ClassCount, ColorCount, Found, IdCount, IdTally, KEPT_COLORS, ReadAs, Report, Source, place};
use crate::error::{Error, Result};
use crate::memory;
use crate::picture::{PixelFormat, Pixels};

/// Alpha from which a pixel counts as opaque.
const OPAQUE: u8 = 128;

/// The value of unlabelled pixels in many data sets.
const NO_LABEL: u16 = 255;

/// The result of reading a label picture: a report and, if every pixel has a class, the label map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelReading {
    map: Option<LabelMap>,
    report: Report,
}

impl LabelReading {
    /// The report, which exists even if the picture cannot be used.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The label map.
    ///
    /// # Errors
    /// [`Error::UnknownLabels`] if pixels have no class or an ambiguous one.
    pub fn map(&self) -> Result<LabelMap> {
        self.map.clone().ok_or_else(|| self.report.error())
    }

    /// The label map, if every pixel has a class, and the report.
    pub fn into_parts(self) -> (Option<LabelMap>, Report) {
        (self.map, self.report)
    }
}

pub(super) fn stored_ids(path: &Path) -> Result<LabelMap> {
    ids_of(decode::open(path)?).map_err(|error| error.context(path.display()))
}

/// Numbers the colours of a picture by their first pixels, if it is one of colours.
pub(super) fn instances(path: &Path) -> Result<LabelMap> {
    let picture = decode::open(path)?;
    let numbered = |colors: Vec<[u8; 4]>| -> Result<Vec<u16>> {
        let mut numbers = HashMap::new();
        let number = |color| {
            let next = numbers.len();
            let number = *numbers.entry(color).or_insert(next);
            u16::try_from(number).map_err(|_| {
                Error::Labels("more than 65536 colours: an instance map has one colour for each instance".into())
            })
        };
        colors.into_iter().map(number).collect()
    };
    let (width, height) = (picture.width, picture.height);
    let ids = match picture.pixels {
        Stored::Values { values, .. } => Ok(values),
        Stored::Colors(colors) => numbered(colors),
    };
    ids.and_then(|ids| LabelMap::new(width, height, ids)).map_err(|error| error.context(path.display()))
}

pub(super) fn ids_from_bytes(bytes: &[u8]) -> Result<LabelMap> {
    ids_of(decode::decode(bytes)?)
}

fn ids_of(picture: Picture) -> Result<LabelMap> {
    match picture.pixels {
        Stored::Values { values, .. } => LabelMap::new(picture.width, picture.height, values),
        Stored::Colors(_) => Err(no_ids()),
    }
}

pub(super) fn no_ids() -> Error {
    Error::Labels("this is a picture of colours, without ids".into())
}

pub(super) fn read(path: &Path, classes: &ClassTable, options: ReadOptions) -> Result<LabelReading> {
    let picture = decode::open(path)?;
    let mut reading = finish(picture, classes, options).map_err(|e| e.context(path.display()))?;
    reading.report.context = format!("{}: ", path.display());
    Ok(reading)
}

pub(super) fn from_image_bytes(bytes: &[u8], classes: &ClassTable, options: ReadOptions) -> Result<LabelReading> {
    finish(decode::decode(bytes)?, classes, options)
}

pub(super) fn from_pixels(pixels: &Pixels<'_>, classes: &ClassTable, options: ReadOptions) -> Result<LabelReading> {
    let (width, height) = (pixels.width(), pixels.height());
    // Colours, positions in the table, and ids.
    memory::ask_for(width * height, 4 + 2 + 1, "the label map")?;
    let mut colors = Vec::with_capacity(width * height);
    for row in pixels.rows() {
        match pixels.format() {
            PixelFormat::Rgb8 => colors.extend(row.as_chunks::<3>().0.iter().map(|&[r, g, b]| [r, g, b, 255])),
            PixelFormat::Rgba8 => colors.extend_from_slice(row.as_chunks::<4>().0),
        }
    }
    let (colors, pixels) = (Vec::new(), Stored::Colors(colors));
    finish(Picture { width, height, source: Source::Memory, colors, pixels }, classes, options)
}

fn finish(picture: Picture, classes: &ClassTable, options: ReadOptions) -> Result<LabelReading> {
    let (width, height) = (picture.width, picture.height);
    if picture.source == Source::Jpeg && options.read_as == Some(ReadAs::Ids) {
        return Err(Error::Labels("JPEG changes values a little, so it cannot keep ids: save them as grey PNG".into()));
    }
    let (mut positions, report) = classify(picture, classes, options)?;
    if !report.is_usable() {
        return Ok(LabelReading { map: None, report });
    }
    let ids: Vec<u16> = classes.iter().map(|c| c.id).collect();
    for position in &mut positions {
        *position = ids.get(usize::from(*position)).copied().unwrap_or_default();
    }
    Ok(LabelReading { map: Some(LabelMap::new(width, height, positions)?), report })
}

/// The index in the table of each pixel's class, or [`NONE`].
pub(super) type Positions = Vec<u16>;

fn classify(picture: Picture, classes: &ClassTable, options: ReadOptions) -> Result<(Positions, Report)> {
    let Picture { width, height, source, colors, pixels } = picture;
    let mut survey = Survey::new(source, options, [width, height], classes);
    survey.add(&pixels);
    let (legend, mut report) = survey.finish(&colors);
    let mut positions = legend.positions(pixels);
    if report.needs_filling() {
        report.filled = nearest::fill(&mut positions, width)?;
        let mut counts = Counts::new(classes);
        for &position in &positions {
            counts.add(position, 1);
        }
        counts.note(classes, &mut report);
    }
    Ok((positions, report))
}

/// Pixels per class of a table, by its index there.
struct Counts {
    classes: Vec<u64>,
    /// Pixels without a class.
    none: u64,
}

impl Counts {
    fn new(classes: &ClassTable) -> Self {
        Self { classes: vec![0; classes.len()], none: 0 }
    }

    fn add(&mut self, position: u16, pixels: u64) {
        *self.classes.get_mut(usize::from(position)).unwrap_or(&mut self.none) += pixels;
    }

    fn note(&self, classes: &ClassTable, report: &mut Report) {
        report.classes = self.of(classes);
        report.unclassified = self.none;
    }

    fn of(&self, classes: &ClassTable) -> Vec<ClassCount> {
        let counted = classes.iter().zip(&self.classes);
        counted.map(|(c, &pixels)| ClassCount { id: c.id, name: c.name.clone(), pixels }).collect()
    }
}

/// The first look at a picture: counts its values or colours, as a whole or row by row, then decides what they mean.
/// Memory does not depend on the size of the picture.
pub(super) struct Survey<'a> {
    classes: &'a ClassTable,
    read_as: Option<ReadAs>,
    report: Report,
    values: IdTally,
    colors: ColorTally<'a>,
    /// Number of pixels seen.
    seen: usize,
}

impl<'a> Survey<'a> {
    pub(super) fn new(source: Source, options: ReadOptions, size: [usize; 2], classes: &'a ClassTable) -> Self {
        let policy = options.policy;
        let mut report = Report::new(source, ReadAs::Colors, policy, size);
        report.is_chosen = options.read_as.is_some();
        report.safe_tolerance = safe_tolerance(classes);
        Self {
            classes,
            read_as: options.read_as,
            report,
            values: IdTally::new(size[0]),
            colors: ColorTally::new(classes, policy.tolerance(), TRACKED_COLORS),
            seen: 0,
        }
    }

    /// Counts the next pixels.
    pub(super) fn add(&mut self, pixels: &Stored) {
        match pixels {
            Stored::Values { values, alpha } if alpha.is_empty() => {
                for &value in values {
                    self.values.add(value);
                }
            }
            Stored::Values { values, alpha } => {
                for (index, (&value, &alpha)) in (self.seen..).zip(values.iter().zip(alpha)) {
                    note_alpha(alpha, index, &mut self.report);
                    if alpha < OPAQUE { self.values.skip() } else { self.values.add(value) }
                }
            }
            Stored::Colors(colors) => {
                for (index, &[r, g, b, alpha]) in (self.seen..).zip(colors) {
                    if alpha < 255 {
                        note_alpha(alpha, index, &mut self.report);
                        if alpha < OPAQUE {
                            continue;
                        }
                    }
                    if self.read_as == Some(ReadAs::Ids) {
                        // An RGB picture of ids has them as greys. Others are no ids of any table.
                        if r == g && g == b {
                            self.values.add_at(u16::from(r), index);
                        } else {
                            self.colors.add([r, g, b], index);
                        }
                    } else {
                        self.colors.add([r, g, b], index);
                    }
                }
            }
        }
        self.seen += pixels.len();
    }

    /// The class of each value or colour, and the report, in which no pixel is filled yet. `colors` has the colour of
    /// each value.
    pub(super) fn finish(self, colors: &[[u8; 3]]) -> (Legend, Report) {
        let Self { classes, read_as, mut report, values, colors: tally, .. } = self;
        let mut counts = Counts::new(classes);
        counts.none = report.transparent.map_or(0, |found| found.pixels);
        let legend = if matches!(report.source, Source::IndexedPng { .. } | Source::GreyPng { .. }) {
            Legend::Values(classify_values(&values, colors, classes, read_as, tally, &mut counts, &mut report))
        } else if read_as == Some(ReadAs::Ids) {
            let greys = classify_values(&values, &[], classes, read_as, tally.none(), &mut counts, &mut report);
            tally.add_unknown(&mut counts, &mut report);
            Legend::Greys(greys)
        } else {
            report.looks_like_ids = tally.looks_like_ids();
            Legend::Colors(tally.finish(&mut counts, &mut report))
        };
        report.looks_like_ids &= report.unknown_color_count > 0;
        counts.note(classes, &mut report);
        (legend, report)
    }
}

/// The class of each value or colour of a picture, as its index in the table, or [`NONE`].
pub(super) enum Legend {
    /// By value.
    Values(Vec<u16>),
    /// By level, for greys of an RGB picture.
    Greys(Vec<u16>),
    Colors(ColorLegend),
}

impl Legend {
    /// The class of each pixel; transparent pixels have none.
    pub(super) fn positions(&self, pixels: Stored) -> Positions {
        match (self, pixels) {
            (Self::Values(by_value), Stored::Values { mut values, alpha }) => {
                for value in &mut values {
                    *value = by_value.get(usize::from(*value)).copied().unwrap_or(NONE);
                }
                for (value, alpha) in values.iter_mut().zip(alpha) {
                    if alpha < OPAQUE {
                        *value = NONE;
                    }
                }
                values
            }
            (Self::Colors(legend), Stored::Colors(colors)) => {
                // Neighbouring pixels usually have the same colour.
                let mut last = ([0; 3], legend.position([0; 3]));
                let position = |[r, g, b, alpha]: [u8; 4]| {
                    if alpha < OPAQUE {
                        return NONE;
                    }
                    if last.0 != [r, g, b] {
                        last = ([r, g, b], legend.position([r, g, b]));
                    }
                    last.1
                };
                colors.into_iter().map(position).collect()
            }
            (Self::Greys(by_level), Stored::Colors(colors)) => {
                let level = |[r, g, b, alpha]: [u8; 4]| (alpha >= OPAQUE && r == g && g == b).then_some(r);
                let position = |color| level(color).and_then(|r| by_level.get(usize::from(r)).copied()).unwrap_or(NONE);
                colors.into_iter().map(position).collect()
            }
            // No picture has both.
            (_, pixels) => vec![NONE; pixels.len()],
        }
    }
}

/// The share of pixels, in percent, that must have class colours for a palette to be one of class colours: the rest are
/// soft edges and padding. More are needed where values have no class.
const PLAUSIBLE: u64 = 50;
const MOSTLY: u64 = 90;
/// How far the colours of such a palette may be off: what a colour profile or the choice of a palette does.
const NEARLY: u8 = 8;

/// The index in the table of the class of each value. `tally` counts colours.
fn classify_values(
    values: &IdTally,
    colors: &[[u8; 3]],
    classes: &ClassTable,
    read_as: Option<ReadAs>,
    mut tally: ColorTally<'_>,
    counts: &mut Counts,
    report: &mut Report,
) -> Vec<u16> {
    let used: Vec<IdCount> = values.found().collect();
    let position_of_value = |value: u16| {
        let as_dont_care = || classes.dont_care().filter(|_| value == NO_LABEL).and_then(|c| classes.position(c.id));
        classes.position(value).or_else(as_dont_care)
    };
    let color_of = |value: u16| colors.get(usize::from(value)).copied();
    let close = NEARLY.min(report.safe_tolerance);
    let class_of = |u: &IdCount| -> Option<u16> {
        let nearest = nearest_class(color_of(u.id)?, classes, close);
        (nearest.difference <= close).then(|| classes.iter().nth(usize::from(nearest.position)))?.map(|class| class.id)
    };
    let exact = |u: &IdCount| color_of(u.id).is_some_and(|color| classes.iter().any(|class| class.color == color));
    let mut by_color: HashMap<u16, u16> = used.iter().filter_map(|u| Some((u.id, class_of(u)?))).collect();
    if by_color.values().collect::<HashSet<_>>().len() < by_color.len() {
        // Several entries near one class colour are the dark end of a grey ramp, say, and no class colours.
        by_color.retain(|value, _| used.iter().any(|u| u.id == *value && exact(u)));
    }
    let class_of = |u: &IdCount| by_color.get(&u.id).copied();
    let unknown: Vec<IdCount> = used.iter().filter(|u| position_of_value(u.id).is_none()).copied().collect();
    let pixels = |some: &mut dyn Iterator<Item = &IdCount>| some.map(|u| u.found.pixels).sum::<u64>();
    let (all, painted) = (pixels(&mut used.iter()), pixels(&mut used.iter().filter(|u| class_of(u).is_some())));

    // Image editors that choose the palette themselves write class colours in any order, with padding, a transparent
    // entry or blended strays. A grey ramp or a colour map does not say what the values mean.
    let indexed = matches!(report.source, Source::IndexedPng { .. });
    let covers = |share: u64| indexed && !is_ramp(colors) && 100 * painted >= share * all;
    let mostly = covers(MOSTLY);
    let several = by_color.values().min() != by_color.values().max() || by_color.len() == used.len();
    if covers(PLAUSIBLE) && several && all > 0 {
        let wrong = used.iter().filter_map(|u| class_of(u).map(|class| (u.id, class)));
        report.palette_conflict = wrong
            .filter(|(value, class)| position_of_value(*value) != classes.position(*class))
            .find(|(value, _)| position_of_value(*value).is_some());
    }
    let trusted = report.policy != ColorPolicy::Refuse;
    let by_colors = match read_as {
        Some(read_as) => read_as == ReadAs::Colors,
        None if all == 0 => false,
        // Colours contradict values that have a class.
        None if unknown.is_empty() => report.palette_conflict.is_some() && trusted,
        None => used.iter().all(exact) || mostly && (trusted || report.palette_conflict.is_some() || unknown.len() > 1),
    };

    let ids: Vec<u16> =
        (0..=u16::MAX).map(|value| position_of_value(value).map_or(NONE, |position| position as u16)).collect();
    let width = report.width;
    let mut other = Counts::new(classes);
    let chosen = if by_colors {
        for u in &used {
            other.add(ids.get(usize::from(u.id)).copied().unwrap_or(NONE), u.found.pixels);
            match color_of(u.id) {
                Some(color) => {
                    tally.add_many(color, u.found.first.0 + width * u.found.first.1, u.found.pixels);
                }
                // Beyond the palette.
                None => {
                    counts.add(NONE, u.found.pixels);
                    report.unknown_ids.push(*u);
                }
            }
        }
        let legend = tally.finish(counts, report);
        (0..=u16::MAX).map(|value| color_of(value).map_or(NONE, |color| legend.position(color))).collect()
    } else {
        report.read_as = ReadAs::Ids;
        report.unknown_ids = unknown;
        if classes.get(NO_LABEL).is_none() && classes.dont_care().is_some() {
            report.dont_care_255 = used.iter().find(|u| u.id == NO_LABEL).map_or(0, |u| u.found.pixels);
        }
        for u in &used {
            counts.add(ids.get(usize::from(u.id)).copied().unwrap_or(NONE), u.found.pixels);
            let class = class_of(u).and_then(|class| classes.position(class));
            other.add(class.map_or(NONE, |position| position as u16), u.found.pixels);
        }
        ids
    };
    if report.palette_conflict.is_some() {
        report.other_reading = other.of(classes);
    }
    chosen
}

/// Whether a palette holds evenly spaced greys: a grey picture in the form of an indexed one.
fn is_ramp(palette: &[[u8; 3]]) -> bool {
    let last = palette.len().saturating_sub(1).max(1);
    let is_grey = |(i, [r, g, b]): (usize, &[u8; 3])| {
        let even = (i * 255 / last) as u8;
        r == g && g == b && (usize::from(*r) == i || r.abs_diff(even) <= 1)
    };
    palette.len() > 2 && palette.iter().enumerate().all(is_grey)
}

/// Half the distance between the two most similar class colours, per channel.
fn safe_tolerance(classes: &ClassTable) -> u8 {
    /// Tables with more classes than this have similar colours in any case.
    const MANY: usize = 1000;
    if classes.len() > MANY {
        return 0;
    }
    let distance = |a: [u8; 3], b: [u8; 3]| a.iter().zip(b).map(|(a, b)| a.abs_diff(b)).max().unwrap_or(0);
    let pairs = classes.iter().enumerate().flat_map(|(i, a)| classes.iter().skip(i + 1).map(move |b| (a, b)));
    pairs.map(|(a, b)| distance(a.color, b.color)).min().map_or(u8::MAX, |least| least.saturating_sub(1) / 2)
}

fn note_alpha(alpha: u8, index: usize, report: &mut Report) {
    let note = match alpha {
        255 => return,
        OPAQUE.. => &mut report.semi_transparent,
        _ => &mut report.transparent,
    };
    note.get_or_insert(Found { pixels: 0, first: place(index, report.width) }).pixels += 1;
}

/// How many different colours are counted one by one.
const TRACKED_COLORS: usize = 1 << 20;

/// The class whose colour is nearest to a colour.
#[derive(Clone, Copy)]
struct Nearest {
    /// Its index in the table.
    position: u16,
    /// The largest difference per channel to its colour.
    difference: u8,
}

impl Nearest {
    /// The class's index in the table if its colour is within the tolerance, else [`NONE`].
    fn within(self, tolerance: u8) -> u16 {
        if self.difference <= tolerance { self.position } else { NONE }
    }
}

/// Information about one colour of a picture.
struct Seen {
    color: [u8; 3],
    nearest: Nearest,
    pixels: u64,
    first: usize,
}

/// Counts the colours of a picture. Those after the first `limit` different ones are only counted together, so that
/// memory is bounded.
struct ColorTally<'a> {
    classes: &'a ClassTable,
    tolerance: u8,
    limit: usize,
    slots: HashMap<[u8; 3], usize>,
    seen: Vec<Seen>,
    /// Neighbouring pixels usually have the same colour.
    last: Option<([u8; 3], usize)>,
    rest: Option<Rest>,
}

/// The colours after the first ones.
struct Rest {
    nearest: NearestTable,
    /// Pixels and different colours per class and difference.
    found: HashMap<(u16, u8), (u64, usize)>,
}

impl<'a> ColorTally<'a> {
    fn new(classes: &'a ClassTable, tolerance: u8, limit: usize) -> Self {
        Self { classes, tolerance, limit, slots: HashMap::new(), seen: Vec::new(), last: None, rest: None }
    }

    /// Counts the pixel number `index`.
    fn add(&mut self, color: [u8; 3], index: usize) {
        self.add_many(color, index, 1);
    }

    /// Another tally for the same classes, of nothing.
    fn none(&self) -> Self {
        Self::new(self.classes, self.tolerance, self.limit)
    }

    /// Whether nearly all pixels are greys whose levels are ids, and several of them.
    fn looks_like_ids(&self) -> bool {
        let is_id = |[r, g, b]: [u8; 3]| r == g && g == b && self.classes.get(u16::from(r)).is_some();
        let all: u64 = self.seen.iter().map(|seen| seen.pixels).sum();
        let ids = self.seen.iter().filter(|seen| is_id(seen.color));
        let (levels, pixels) = ids.fold((0, 0), |(levels, pixels), seen| (levels + 1, pixels + seen.pixels));
        self.rest.is_none() && levels > 1 && 100 * pixels >= 99 * all
    }

    /// Notes all colours as unknown.
    fn add_unknown(self, counts: &mut Counts, report: &mut Report) {
        let mut seen = self.seen;
        if seen.is_empty() {
            return;
        }
        for seen in &mut seen {
            seen.nearest.difference = seen.nearest.difference.max(1);
        }
        let all = Self { seen, rest: self.rest, ..Self::new(self.classes, 0, self.limit) };
        all.finish(counts, report);
    }

    /// Counts pixels, of which the first is number `index`.
    fn add_many(&mut self, color: [u8; 3], index: usize, count: u64) {
        let slot = match self.last {
            Some((same, slot)) if same == color => Some(slot),
            _ => self.slots.get(&color).copied(),
        };
        let nearest = || nearest_class(color, self.classes, self.tolerance);
        let slot = match slot {
            Some(slot) => slot,
            None if self.seen.len() < self.limit => {
                let slot = self.seen.len();
                self.seen.push(Seen { color, nearest: nearest(), pixels: 0, first: index });
                self.slots.insert(color, slot);
                slot
            }
            None => {
                let Rest { nearest: table, found } =
                    self.rest.get_or_insert_with(|| Rest { nearest: NearestTable::new(), found: HashMap::new() });
                let known = table.get(color);
                let nearest = known.unwrap_or_else(nearest);
                let (pixels, colors) = found.entry((nearest.position, nearest.difference)).or_default();
                *pixels += count;
                if known.is_none() {
                    table.insert(color, nearest);
                    *colors += 1;
                }
                return;
            }
        };
        self.last = Some((color, slot));
        if let Some(seen) = self.seen.get_mut(slot) {
            seen.pixels += count;
        }
    }

    fn finish(self, counts: &mut Counts, report: &mut Report) -> ColorLegend {
        let Self { classes, tolerance, slots, seen, rest, .. } = self;
        let (rest, found) = rest.map_or_else(Default::default, |rest| (Some(rest.nearest), rest.found));
        let position = |slot: usize| seen.get(slot).map_or(NONE, |seen| seen.nearest.within(tolerance));
        let positions = slots.into_iter().map(|(color, slot)| (color, position(slot))).collect();
        let legend = ColorLegend { positions, rest, tolerance };
        let of_rest = found
            .into_iter()
            .map(|((position, difference), (pixels, colors))| (Nearest { position, difference }, pixels, colors));
        for (nearest, pixels, colors) in seen.iter().map(|seen| (seen.nearest, seen.pixels, 1)).chain(of_rest) {
            counts.add(nearest.within(tolerance), pixels);
            report.needed_tolerance = report.needed_tolerance.max(nearest.difference);
            if nearest.difference > tolerance {
                report.unknown_color_count += colors;
                report.unknown_color_pixels += pixels;
            } else if nearest.difference > 0 {
                report.near += pixels;
            }
        }
        let mut unknown: Vec<Seen> = seen.into_iter().filter(|s| s.nearest.difference > tolerance).collect();
        unknown.sort_by_key(|s| (std::cmp::Reverse(s.pixels), s.first));
        let width = report.width;
        let color_count = |s: Seen| ColorCount {
            color: s.color,
            found: Found { pixels: s.pixels, first: place(s.first, width) },
            nearest: classes.iter().nth(usize::from(s.nearest.position)).map_or(0, |c| c.id),
            difference: s.nearest.difference,
        };
        report.unknown_colors = unknown.into_iter().take(KEPT_COLORS).map(color_count).collect();
        legend
    }
}

/// The class of each colour of a picture, as its index in the table.
pub(super) struct ColorLegend {
    positions: HashMap<[u8; 3], u16>,
    rest: Option<NearestTable>,
    tolerance: u8,
}

impl ColorLegend {
    /// [`NONE`] for a colour without a class, or one that is not in the picture.
    fn position(&self, color: [u8; 3]) -> u16 {
        let of_rest = || self.rest.as_ref().and_then(|rest| rest.get(color)).map(|n| n.within(self.tolerance));
        self.positions.get(&color).copied().or_else(of_rest).unwrap_or(NONE)
    }
}

/// The nearest class of any number of colours: 64 MiB, of which the system provides what is used.
struct NearestTable(Vec<u32>);

impl NearestTable {
    /// Marks a place as used.
    const USED: u32 = 1 << 31;

    fn new() -> Self {
        Self(vec![0; 1 << 24])
    }

    fn place([r, g, b]: [u8; 3]) -> usize {
        usize::from(r) << 16 | usize::from(g) << 8 | usize::from(b)
    }

    fn get(&self, color: [u8; 3]) -> Option<Nearest> {
        let entry = self.0.get(Self::place(color)).copied().filter(|entry| entry & Self::USED != 0)?;
        Some(Nearest { position: (entry >> 8) as u16, difference: entry as u8 })
    }

    fn insert(&mut self, color: [u8; 3], nearest: Nearest) {
        if let Some(entry) = self.0.get_mut(Self::place(color)) {
            *entry = Self::USED | u32::from(nearest.position) << 8 | u32::from(nearest.difference);
        }
    }
}

/// The class with the nearest colour. Colours within the tolerance come first, nearest by Euclidean distance; outside
/// it, the largest difference per channel decides. Ties go to the lower id.
fn nearest_class(color: [u8; 3], classes: &ClassTable, tolerance: u8) -> Nearest {
    let key = |candidate: [u8; 3]| {
        let differences = color.iter().zip(candidate).map(|(a, b)| a.abs_diff(b));
        let largest = differences.clone().max().unwrap_or(0);
        let square: u32 = differences.map(|d| u32::from(d).pow(2)).sum();
        (if largest <= tolerance { 0 } else { largest }, square, largest)
    };
    let best = (0..).zip(classes).map(|(position, c)| (key(c.color), position)).min();
    let none = Nearest { position: NONE, difference: u8::MAX };
    best.map_or(none, |((_, _, difference), position)| Nearest { position, difference })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::classes::Class;
    use super::super::testing::{RawPng, class, files, shared_data, table};
    use super::*;
    use crate::error::ErrorCode;
    use crate::picture::Image;
    use image::{Rgb, RgbImage};
    use proptest::prelude::*;

    const PIXEL: ColorPolicy = ColorPolicy::NearestPixel { tolerance: 0 };
    const BLACK: [u8; 3] = [0, 0, 0];
    const RED: [u8; 3] = [255, 0, 0];
    const GREEN: [u8; 3] = [0, 255, 0];

    fn read_bytes(bytes: &[u8], classes: &ClassTable, policy: ColorPolicy) -> Result<(Vec<u16>, Report)> {
        let reading = from_image_bytes(bytes, classes, policy.into())?;
        Ok((reading.map()?.ids().collect(), reading.report))
    }

    fn read_png(png: &RawPng, classes: &ClassTable, policy: ColorPolicy) -> Result<(Vec<u16>, Report)> {
        read_bytes(&png.bytes(), classes, policy)
    }

    fn from_rgb(image: &RgbImage, classes: &ClassTable, policy: ColorPolicy) -> Result<(LabelMap, Report)> {
        let reading = from_pixels(&Image::from_rgb(image.clone()).pixels(), classes, policy.into())?;
        Ok((reading.map()?, reading.report))
    }

    fn image(width: u32, pixels: &[[u8; 3]]) -> RgbImage {
        RgbImage::from_raw(width, pixels.len() as u32 / width, pixels.as_flattened().to_vec()).unwrap()
    }

    fn ids(result: Result<(LabelMap, Report)>) -> Vec<u16> {
        result.unwrap().0.ids().collect()
    }

    #[test]
    fn ids_without_a_class_are_listed() {
        let png = RawPng::new(3, 2, 8, 0, &[&[0, 7, 1], &[7, 255, 2]]);
        let message = read_png(&png, &table(None), PIXEL).unwrap_err().to_string();
        assert!(message.contains("3 pixels hold 2 ids without a class"), "{message}");
        assert!(message.contains("the table has 3 classes, the highest id is 2"), "{message}");
        assert!(message.contains("7 (2 px, first at (1, 0)), 255 (1 px, first at (1, 1))"), "{message}");
        assert!(message.contains("mark one class of the table as don't-care"), "{message}");
    }

    #[test]
    fn hints_fit_the_mistake() {
        let from_one = RawPng::new(3, 1, 8, 0, &[&[1, 2, 3]]);
        let message = read_png(&from_one, &table(None), PIXEL).unwrap_err().to_string();
        assert!(message.contains("count its ids from 1"), "{message}");
        let ramp: Vec<u8> = (0..200).collect();
        let message = read_png(&RawPng::new(200, 1, 8, 0, &[&ramp]), &table(None), PIXEL).unwrap_err().to_string();
        assert!(message.contains("look like a grey picture") && message.contains("and 189 more"), "{message}");
    }

    #[test]
    fn value_255_is_dont_care_only_where_there_is_one() {
        let png = RawPng::new(3, 1, 8, 0, &[&[0, 255, 3]]);
        let (ids, report) = read_png(&png, &table(Some(3)), ColorPolicy::Refuse).unwrap();
        assert_eq!((ids, report.dont_care_255), (vec![0, 3, 3], 1));
        let message = read_png(&png, &table(None), ColorPolicy::Refuse).unwrap_err().to_string();
        assert!(message.contains("255 (1 px"), "{message}");
        let png = RawPng::new(2, 1, 8, 0, &[&[0, 255]]);
        let (ids, report) = read_png(&png, &table(Some(255)), ColorPolicy::Refuse).unwrap();
        assert_eq!((ids, report.dont_care_255), (vec![0, 255], 0));
        // If a class has id 255, the value 255 is not don't-care.
        let void = Class { dont_care: true, ..class(1, "void", RED) };
        let own = ClassTable::new(vec![class(0, "a", BLACK), void, class(255, "b", GREEN)]).unwrap();
        assert_eq!(read_png(&png, &own, ColorPolicy::Refuse).unwrap().0, [0, 255]);
        let wide = RawPng::new(1, 1, 16, 0, &[&[0, 255]]);
        assert_eq!(read_png(&wide, &table(Some(3)), ColorPolicy::Refuse).unwrap().0, [3]);
    }

    #[test]
    fn sixteen_bit_ids() {
        let classes = ClassTable::new(vec![class(0, "a", BLACK), class(65535, "b", RED)]).unwrap();
        let png = RawPng::new(2, 1, 16, 0, &[&[0xff, 0xff, 0, 0]]);
        assert_eq!(read_png(&png, &classes, ColorPolicy::Refuse).unwrap().0, [65535, 0]);
    }

    #[test]
    fn foreign_palettes_do_not_change_ids() {
        let png = RawPng::new(3, 1, 8, 3, &[&[2, 1, 0]]).palette(&[[9; 3], [8; 3], [7; 3]]);
        let (ids, report) = read_png(&png, &table(None), ColorPolicy::Refuse).unwrap();
        assert_eq!((ids, report.read_as, report.palette_conflict), (vec![2, 1, 0], ReadAs::Ids, None));
        // One class colour at the index of another id proves nothing if other palette entries are no class colours.
        let png = RawPng::new(3, 1, 8, 3, &[&[2, 1, 0]]).palette(&[RED, [8; 3], [7; 3]]);
        assert_eq!(read_png(&png, &table(None), PIXEL).unwrap().0, [2, 1, 0]);
    }

    #[test]
    fn a_palette_in_another_order_is_not_guessed_at() {
        let png = RawPng::new(4, 1, 8, 3, &[&[0, 1, 1, 2]]).palette(&[RED, BLACK, GREEN]);
        let message = read_png(&png, &table(None), ColorPolicy::Refuse).unwrap_err().to_string();
        assert!(message.contains("value 0, say, is painted in the colour of class 1 (roof)"), "{message}");
        let (ids, report) = read_png(&png, &table(None), PIXEL).unwrap();
        assert_eq!((ids, report.read_as), (vec![1, 0, 0, 2], ReadAs::Colors));
        assert!(report.to_string().contains("read by colour"), "{report}");
        // Unused palette entries prove nothing.
        let png = RawPng::new(2, 1, 8, 3, &[&[2, 2]]).palette(&[RED, BLACK, GREEN]);
        assert_eq!(read_png(&png, &table(None), ColorPolicy::Refuse).unwrap().0, [2, 2]);
    }

    #[test]
    fn values_out_of_range_are_read_by_colour_where_all_have_a_class_colour() {
        let mut palette = vec![[50, 60, 70]; 12];
        palette[5] = GREEN;
        palette[10] = RED;
        palette[0] = BLACK;
        let png = RawPng::new(3, 1, 8, 3, &[&[0, 5, 10]]).palette(&palette);
        let (ids, report) = read_png(&png, &table(None), ColorPolicy::Refuse).unwrap();
        assert_eq!((ids, report.read_as), (vec![0, 2, 1], ReadAs::Colors));
        let png = RawPng::new(3, 1, 8, 3, &[&[0, 5, 11]]).palette(&palette);
        assert!(read_png(&png, &table(None), ColorPolicy::Refuse).unwrap_err().to_string().contains("11 (1 px"));
        // A black and white mask.
        let mask = ClassTable::new(vec![class(0, "out", BLACK), class(1, "in", [255; 3])]).unwrap();
        let png = RawPng::new(3, 1, 8, 0, &[&[0, 255, 0]]);
        assert_eq!(read_png(&png, &mask, ColorPolicy::Refuse).unwrap().0, [0, 1, 0]);
    }

    #[test]
    fn refuse_names_colour_count_place_and_ways_out() {
        let picture = image(3, &[RED, [250, 1, 0], BLACK, [250, 1, 0], [9, 9, 9], GREEN]);
        let message = from_rgb(&picture, &table(None), ColorPolicy::Refuse).unwrap_err().to_string();
        assert!(message.contains("3 of 6 pixels have no class; 2 colours are no class's colour"), "{message}");
        assert!(
            message.contains("rgb(250, 1, 0) (2 px, first at (1, 0); nearest is class 1 (roof), 5 off)"),
            "{message}"
        );
        assert!(message.contains("a tolerance of 9"), "{message}");
    }

    #[test]
    fn nearest_colour_keeps_to_its_tolerance() {
        let picture = image(3, &[RED, [250, 1, 0], [9, 9, 9]]);
        let policy = |tolerance| ColorPolicy::NearestColor { tolerance };
        let (map, report) = from_rgb(&picture, &table(None), policy(9)).unwrap();
        assert_eq!((map.ids().collect::<Vec<_>>(), report.near), (vec![1, 1, 0], 2));
        let message = from_rgb(&picture, &table(None), policy(8)).unwrap_err().to_string();
        assert!(
            message.contains("1 of 3 pixels") && message.contains("within 8") && message.contains("tolerance of 9")
        );
        // Ties go to the lower id.
        let two = ClassTable::new(vec![class(4, "a", [10, 0, 0]), class(3, "b", [14, 0, 0])]).unwrap();
        assert_eq!(ids(from_rgb(&image(1, &[[12, 0, 0]]), &two, policy(2))), [3]);
    }

    #[test]
    fn soft_edges_make_no_ghost_classes_under_nearest_pixel() {
        // Blending red into green passes near a third class, brown.
        let classes =
            ClassTable::new(vec![class(0, "a", RED), class(1, "b", GREEN), class(2, "brown", [128, 128, 0])]).unwrap();
        let edge: Vec<[u8; 3]> = (0..9).map(|i: i32| [(255 - i * 255 / 8) as u8, (i * 255 / 8) as u8, 0]).collect();
        let ghosts = ids(from_rgb(&image(9, &edge), &classes, ColorPolicy::NearestColor { tolerance: 64 }));
        assert!(ghosts.contains(&2), "{ghosts:?}");
        let (map, report) = from_rgb(&image(4, &edge[..4]), &classes, PIXEL).unwrap();
        assert_eq!((map.ids().collect::<Vec<_>>(), report.filled), (vec![0; 4], 3));
        let mut edge = edge;
        edge[4] = [127, 120, 3];
        assert_eq!(ids(from_rgb(&image(9, &edge), &classes, PIXEL)), [0, 0, 0, 0, 0, 1, 1, 1, 1]);
    }

    #[test]
    fn nearest_pixel_needs_one_certain_pixel() {
        let message = from_rgb(&image(2, &[[1, 9, 1], [2, 9, 2]]), &table(None), PIXEL).unwrap_err().to_string();
        assert!(message.contains("2 of 2 pixels") && message.contains("no pixel has a class colour"), "{message}");
    }

    #[test]
    fn transparent_pixels_have_no_class() {
        let png = RawPng::new(4, 1, 8, 6, &[&[255, 0, 0, 255, 255, 0, 0, 0, 0, 255, 0, 127, 0, 255, 0, 128]]);
        let message = read_png(&png, &table(None), ColorPolicy::Refuse).unwrap_err().to_string();
        assert!(
            message.contains("transparent pixels (alpha below 128) have no class: 2 px, first at (1, 0)"),
            "{message}"
        );
        assert!(message.contains("nearest-pixel policy to fill"), "{message}");
        let near = ColorPolicy::NearestColor { tolerance: 255 };
        assert!(read_png(&png, &table(None), near).is_err());
        let (ids, report) = read_png(&png, &table(None), PIXEL).unwrap();
        assert_eq!((ids, report.filled), (vec![1, 1, 2, 2], 2));
        assert_eq!(report.semi_transparent, Some(Found { pixels: 1, first: (3, 0) }));
        let grey = RawPng::new(3, 1, 8, 4, &[&[1, 255, 200, 0, 2, 255]]);
        assert!(read_png(&grey, &table(None), ColorPolicy::Refuse).unwrap_err().to_string().contains("transparent"));
        assert_eq!(read_png(&grey, &table(None), PIXEL).unwrap().0, [1, 1, 2]);
        let clear = RawPng::new(1, 1, 8, 4, &[&[1, 0]]);
        assert!(read_png(&clear, &table(None), PIXEL).is_err());
    }

    #[test]
    fn jpeg_is_read_by_colour() {
        let picture = RgbImage::from_fn(32, 32, |x, _| Rgb(if x < 16 { RED } else { GREEN }));
        let mut bytes = Vec::new();
        image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 95).encode_image(&picture).unwrap();
        assert!(read_bytes(&bytes, &table(None), ColorPolicy::Refuse).is_err());
        let policy = ColorPolicy::NearestPixel { tolerance: 20 };
        let (ids, report) = read_bytes(&bytes, &table(None), policy).unwrap();
        assert_eq!(report.source, Source::Jpeg);
        assert!(ids.iter().enumerate().all(|(i, &id)| id == if i % 32 < 16 { 1 } else { 2 }));
    }

    #[test]
    fn the_report_says_what_happened() {
        let png = RawPng::new(4, 1, 8, 6, &[&[255, 0, 0, 255, 0, 1, 0, 200, 0, 255, 0, 127, 9, 9, 90, 255]]);
        let policy = ColorPolicy::NearestPixel { tolerance: 2 };
        let (_, report) = read_png(&png, &table(None), policy).unwrap();
        assert_eq!(
            report.to_string(),
            "4x1 pixels, 8-bit RGBA PNG, read as class colours\n\
             \x20     0 ground          3 px  75.00 %\n\
             \x20     1 roof            1 px  25.00 %\n\
             \x20 absent: 2 tree\n\
             \x20 nearly a class colour (within 2 per channel): 1 px\n\
             \x20 semi-transparent (alpha 128 to 254), read as opaque: 1 px, first at (1, 0)\n\
             \x20 transparent (alpha below 128): 1 px, first at (2, 0)\n\
             \x20 1 unknown colour, 1 px: rgb(9, 9, 90) (1 px, first at (3, 0); nearest is class 0 (ground), 90 off)\n\
             \x20 took the class of the nearest pixel: 2 px\n\
             \x20 every pixel has a class"
        );
    }

    #[test]
    fn a_reading_reports_what_it_refuses() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("l.png");
        fs::write(&path, RawPng::new(2, 1, 8, 0, &[&[0, 9]]).bytes()).unwrap();
        let reading = LabelMap::read(&path, &table(None), PIXEL).unwrap();
        let report = reading.report();
        assert_eq!(report.unknown_ids, [IdCount { id: 9, found: Found { pixels: 1, first: (1, 0) } }]);
        assert_eq!(report.unclassified, 1);
        assert!(report.to_string().contains("cannot be used: 1 pixel holds 1 id without"), "{report}");
        assert!(matches!(reading.map(), Err(Error::UnknownLabels { code: ErrorCode::UnknownIds, pixels: 1, .. })));
        assert_eq!(reading.clone().into_parts(), (None, report.clone()));
        let error = LabelMap::open(&path, &table(None)).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("l.png: 1 pixel holds") && !message.contains("cannot be used"), "{message}");
        assert!(error.context("mine").to_string().starts_with("mine: "));
        assert!(LabelMap::read(folder.path().join("absent.png"), &table(None), PIXEL).is_err());
    }

    #[test]
    fn codes_tell_what_stands_in_the_way() {
        let code = |png: &RawPng, policy| read_png(png, &table(None), policy).unwrap_err().code();
        assert_eq!(code(&RawPng::new(2, 1, 8, 0, &[&[0, 9]]), PIXEL), ErrorCode::UnknownIds);
        assert_eq!(code(&RawPng::new(1, 1, 8, 2, &[&[9, 9, 9]]), ColorPolicy::Refuse), ErrorCode::UnknownColors);
        assert_eq!(code(&RawPng::new(1, 1, 8, 6, &[&[255, 0, 0, 0]]), ColorPolicy::Refuse), ErrorCode::UnknownColors);
        let swapped = RawPng::new(2, 1, 8, 3, &[&[0, 1]]).palette(&[RED, BLACK, GREEN]);
        assert_eq!(code(&swapped, ColorPolicy::Refuse), ErrorCode::UnclearPalette);
        let in_memory = LabelMap::filled(1, 1, 7).unwrap().check(&table(None)).unwrap_err();
        assert_eq!(in_memory.code(), ErrorCode::UnknownIds);
        assert_eq!(read_bytes(b"", &table(None), PIXEL).unwrap_err().code(), ErrorCode::Labels);
    }

    #[test]
    fn only_so_many_colours_are_kept() {
        let pixels: Vec<[u8; 3]> = (0..200).map(|i| [i, 77, 77]).collect();
        let decoded = Picture {
            width: 20,
            height: 10,
            source: Source::Memory,
            colors: Vec::new(),
            pixels: Stored::Colors(pixels.iter().map(|&[r, g, b]| [r, g, b, 255]).collect()),
        };
        let (_, report) = classify(decoded, &table(None), ColorPolicy::Refuse.into()).unwrap();
        assert_eq!((report.unknown_colors.len(), report.unknown_color_count), (KEPT_COLORS, 200));
        assert_eq!(report.unknown_color_pixels, 200);
        assert!(report.check().unwrap_err().to_string().contains("and 192 more"));
    }

    #[test]
    fn colours_beyond_the_limit_are_counted_all_the_same() {
        let classes = table(None);
        // Three grey levels that are near a class, others that are not, all more than once.
        let pixels: Vec<[u8; 3]> = (0..300_usize).map(|i| [(i * 7 % 50) as u8; 3]).chain([RED, GREEN]).collect();
        let tally = |limit| {
            let mut tally = ColorTally::new(&classes, 2, limit);
            for (index, &color) in pixels.iter().enumerate() {
                tally.add(color, index);
            }
            assert!(tally.slots.len() <= limit && tally.seen.len() <= limit);
            assert_eq!(tally.rest.is_some(), limit < 52);
            let policy = ColorPolicy::NearestColor { tolerance: 2 };
            let mut report = Report::new(Source::Memory, ReadAs::Colors, policy, [pixels.len(), 1]);
            let mut counts = Counts::new(&classes);
            let legend = tally.finish(&mut counts, &mut report);
            counts.note(&classes, &mut report);
            let positions: Vec<u16> = pixels.iter().map(|&color| legend.position(color)).collect();
            (positions, report)
        };
        let (positions, report) = tally(usize::MAX);
        assert_eq!((report.near, report.unknown_color_count, report.unknown_color_pixels), (12, 47, 282));
        for limit in [0, 1, 20, 51, 52] {
            let (same, limited) = tally(limit);
            assert_eq!(same, positions);
            assert!(limited.unknown_colors.len() <= limit);
            assert_eq!(Report { unknown_colors: report.unknown_colors.clone(), ..limited }, report);
        }
    }

    #[test]
    fn real_label_maps_read_as_they_are() {
        for (set, labels) in
            [("facades", "val_label"), ("camvid", "val_label"), ("dubai", "label"), ("terrain_recife", "")]
        {
            let Some(folder) = shared_data(set) else { continue };
            let classes = ClassTable::open(folder.join("classes.json")).unwrap();
            for path in files(&folder.join(labels), "png", 3) {
                let (map, report) = LabelMap::read(&path, &classes, ColorPolicy::Refuse).unwrap().into_parts();
                let map = map.unwrap();
                assert_eq!(report.read_as, ReadAs::Ids);
                assert_eq!(report.classes.iter().map(|c| c.pixels).sum::<u64>() as usize, map.width() * map.height());
                // Drawing the map in class colours and reading it back gives the same map.
                let painted = map.to_rgb(&classes);
                assert_eq!(
                    from_rgb(painted.as_rgb(), &classes, ColorPolicy::Refuse).unwrap().0,
                    map,
                    "{}",
                    path.display()
                );
                let wrong = ClassTable::new(vec![class(60000, "far away", [1, 2, 3])]).unwrap();
                assert!(LabelMap::open(&path, &wrong).is_err(), "{}", path.display());
            }
        }
    }

    #[test]
    fn real_grey_label_maps() {
        for (set, labels, highest) in [("celebamask", "", 18), ("coco_stuff", "val_label", 181)] {
            let Some(folder) = shared_data(set) else { continue };
            let grid = |id: u16| class(id, &format!("c{id}"), [7, id as u8, 200]);
            let void = Class { dont_care: true, ..class(highest + 1, "void", [1, 2, 3]) };
            let classes = ClassTable::new((0..=highest).map(grid).chain([void]).collect()).unwrap();
            for path in files(&folder.join(labels), "png", 4) {
                let (map, report) = LabelMap::read(&path, &classes, ColorPolicy::Refuse).unwrap().into_parts();
                let map = map.unwrap();
                assert!(matches!(report.source, Source::GreyPng { bits: 8, alpha: false }));
                assert!(map.ids().all(|id| id <= highest + 1));
                assert_eq!(report.classes.last().unwrap().pixels, report.dont_care_255);
            }
        }
    }

    #[test]
    fn jpeg_labels_agree_with_their_snapped_form() {
        let Some(folder) = shared_data("facades") else { return };
        let classes = ClassTable::cmp_facades();
        for path in files(&folder.join("val"), "jpg", 3) {
            assert!(LabelMap::open(&path, &classes).is_err());
            let pair = image::open(&path).unwrap().into_rgb8();
            let painted = image::imageops::crop_imm(&pair, 256, 0, 256, 256).to_image();
            let (map, report) = from_rgb(&painted, &classes, ColorPolicy::NearestPixel { tolerance: 32 }).unwrap();
            let label = folder.join("val_label").join(path.with_extension("png").file_name().unwrap());
            let snapped = LabelMap::open(label, &classes).unwrap();
            let agree = map.ids().zip(snapped.ids()).filter(|(a, b)| a == b).count() as f64 / 65536.0;
            assert!(agree > 0.9, "{}: {agree:.3}\n{report}", path.display());
        }
    }

    proptest! {
        /// With alpha, and with padded rows.
        #[test]
        fn pixels_in_memory_read_as_a_file_does(
            width in 1_usize..9,
            pixels in proptest::collection::vec((0_u8..4, any::<u8>()), 1..60),
            padding in 0_usize..6,
            policy in prop_oneof![Just(ColorPolicy::Refuse), Just(PIXEL)],
        ) {
            let height = pixels.len() / width;
            prop_assume!(height > 0);
            let classes = table(None);
            let rgba: Vec<u8> = pixels
                .iter()
                .flat_map(|&(pick, alpha)| {
                    let [r, g, b] = classes.get(u16::from(pick)).map_or([9, 9, 90], |c| c.color);
                    [r, g, b, alpha]
                })
                .take(4 * width * height)
                .collect();
            for format in [PixelFormat::Rgb8, PixelFormat::Rgba8] {
                let keep = format.bytes_per_pixel();
                let packed: Vec<u8> = rgba.chunks(4).flat_map(|pixel| &pixel[..keep]).copied().collect();
                let rows: Vec<&[u8]> = packed.chunks(keep * width).collect();
                let color = if keep == 3 { 2 } else { 6 };
                let png = RawPng::new(width as u32, height as u32, 8, color, &rows).bytes();
                let file = from_image_bytes(&png, &classes, policy.into()).unwrap();
                let padded: Vec<u8> =
                    rows.iter().flat_map(|row| row.iter().copied().chain(std::iter::repeat_n(7, padding))).collect();
                let view = Pixels::new(format, width, height, keep * width + padding, &padded).unwrap();
                let memory = LabelMap::from_pixels(&view, &classes, policy).unwrap();
                prop_assert_eq!(&file.map, &memory.map);
                prop_assert_eq!(Report { source: Source::Memory, ..file.report }, memory.report);
            }
        }

        #[test]
        fn reports_account_for_every_pixel(
            width in 1_u32..12,
            pixels in proptest::collection::vec((0_u8..5, any::<[u8; 3]>(), any::<u8>()), 1..100),
            tolerance in any::<u8>(),
            kind in 0..3,
        ) {
            let classes = table(Some(9));
            let policy = match kind {
                0 => ColorPolicy::Refuse,
                1 => ColorPolicy::NearestColor { tolerance },
                _ => ColorPolicy::NearestPixel { tolerance },
            };
            let height = pixels.len() / width as usize;
            prop_assume!(height > 0);
            let color = |&(pick, other, alpha): &(u8, [u8; 3], u8)| {
                let [r, g, b] = classes.iter().nth(usize::from(pick)).map_or(other, |c| c.color);
                [r, g, b, alpha | if pick % 2 == 0 { 0xff } else { 0 }]
            };
            let colors: Vec<[u8; 4]> = pixels.iter().take(height * width as usize).map(color).collect();
            let picture = Picture { width: width as usize, height, source: Source::Memory, colors: Vec::new(), pixels: Stored::Colors(colors.clone()) };
            let (positions, report) = classify(picture, &classes, policy.into()).unwrap();
            let counted: u64 = report.classes.iter().map(|c| c.pixels).sum();
            prop_assert_eq!(counted + report.unclassified, colors.len() as u64);
            let transparent = report.transparent.map_or(0, |f| f.pixels);
            prop_assert_eq!(report.unclassified + report.filled, report.unknown_color_pixels + transparent);
            prop_assert_eq!(report.check().is_ok(), !positions.contains(&NONE));
            prop_assert_eq!(report.is_usable(), report.error().to_string().is_empty());
            // Certain pixels keep their class under every policy.
            for (color, position) in colors.iter().zip(&positions) {
                if let (Some(at), 255) = (classes.iter().position(|c| c.color == color[..3]), color[3]) {
                    prop_assert_eq!(usize::from(*position), at);
                }
            }
            prop_assert!(!report.to_string().is_empty());
        }
    }
}
