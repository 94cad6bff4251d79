//! The label map type.

use std::path::Path;
use std::sync::Arc;

use image::RgbImage;

use super::classes::ClassTable;
use super::policy::{ColorPolicy, ReadOptions};
use super::read::LabelReading;
use super::{read, report, resize, write};
use crate::error::{Error, Result};
use crate::memory;
use crate::picture::{self, Image, Pixels, check_rows};
pub use crate::picture::{MAX_AREA, MAX_SIDE};

/// The colour of pixels without a class in [`LabelMap::to_rgb`].
pub(super) const NO_CLASS_COLOR: [u8; 3] = [255, 0, 255];

/// The class id of each pixel of a picture, row by row from the top left.
///
/// Sides are 1 to [`MAX_SIDE`] pixels, the area is at most [`MAX_AREA`]. Clones share the ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelMap {
    width: usize,
    height: usize,
    ids: Ids,
}

/// Ids take 8 bits unless one of them needs 16, so equal maps are equal in memory. Comparing two handles of the
/// same ids is fast: `Arc` compares addresses first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ids {
    U8(Arc<[u8]>),
    U16(Arc<[u16]>),
}

impl Ids {
    fn narrowed(ids: Vec<u16>) -> Self {
        if ids.iter().all(|&id| id <= 255) {
            Self::U8(ids.into_iter().map(|id| id as u8).collect())
        } else {
            Self::U16(ids.into())
        }
    }

    fn at(&self, index: usize) -> Option<u16> {
        match self {
            Self::U8(ids) => ids.get(index).map(|&id| u16::from(id)),
            Self::U16(ids) => ids.get(index).copied(),
        }
    }
}

/// Checks the size of a label map before any memory of that size is allocated.
pub(super) fn check_size(width: usize, height: usize) -> Result<()> {
    picture::check_size("a label map", width, height)
}

/// Copies rows that start `stride` ids apart, without the padding between them.
fn packed<T: Copy>(ids: &[T], width: usize, height: usize, stride: usize) -> Result<Vec<T>> {
    check_size(width, height)?;
    check_rows("ids", height, width, stride, ids.len())?;
    // Packed and shared copies.
    memory::ask_for(width * height, 2 * size_of::<T>(), "the label map")?;
    let mut out = Vec::with_capacity(width * height);
    for row in ids.chunks(stride.max(1)).take(height) {
        out.extend(row.iter().take(width));
    }
    Ok(out)
}

impl LabelMap {
    /// Makes a map from `width * height` ids, row by row from the top left.
    ///
    /// # Errors
    /// [`Error::Argument`] if a side is 0 or the number of ids is not `width * height`; [`Error::Limit`] if a side
    /// is over [`MAX_SIDE`] or the area over [`MAX_AREA`].
    pub fn new(width: usize, height: usize, ids: Vec<u16>) -> Result<Self> {
        check_size(width, height)?;
        if ids.len() != width * height {
            return Err(Error::Argument(format!(
                "{} ids do not fill a label map of {width}x{height} = {} pixels",
                ids.len(),
                width * height
            )));
        }
        Ok(Self { width, height, ids: Ids::narrowed(ids) })
    }

    /// Copies a map of 8-bit ids from the caller's memory: `height` rows from top to bottom, each starting `stride`
    /// ids after the previous one. The last row needs no padding.
    ///
    /// # Errors
    /// [`Error::Argument`] if a side is 0, `stride` is less than `width`, or there are too few ids;
    /// [`Error::Limit`] if a side is over [`MAX_SIDE`] or the area over [`MAX_AREA`], or there is too little memory.
    pub fn from_u8(ids: &[u8], width: usize, height: usize, stride: usize) -> Result<Self> {
        packed(ids, width, height, stride).map(|ids| Self { width, height, ids: Ids::U8(ids.into()) })
    }

    /// As [`from_u8`](Self::from_u8), for 16-bit ids; `stride` counts ids, not bytes.
    ///
    /// # Errors
    /// As for [`LabelMap::from_u8`].
    pub fn from_u16(ids: &[u16], width: usize, height: usize, stride: usize) -> Result<Self> {
        packed(ids, width, height, stride).map(|ids| Self { width, height, ids: Ids::narrowed(ids) })
    }

    /// Makes a map with the same id everywhere.
    ///
    /// # Errors
    /// As for [`LabelMap::new`].
    pub fn filled(width: usize, height: usize, id: u16) -> Result<Self> {
        check_size(width, height)?;
        let len = width * height;
        let wide = |_| Ids::U16(vec![id; len].into());
        let ids = u8::try_from(id).map_or_else(wide, |id| Ids::U8(vec![id; len].into()));
        Ok(Self { width, height, ids })
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The id in column `x` from the left and row `y` from the top; `None` outside the map.
    pub fn get(&self, x: usize, y: usize) -> Option<u16> {
        if x < self.width && y < self.height { self.ids.at(y * self.width + x) } else { None }
    }

    /// The ids, row by row from the top left.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = u16> + '_ {
        (0..self.width * self.height).map(|i| self.ids.at(i).unwrap_or_default())
    }

    pub(super) fn storage(&self) -> &Ids {
        &self.ids
    }

    /// Checks that all ids have a class.
    ///
    /// # Errors
    /// [`Error::UnknownLabels`] with the ids that have none, the number of pixels and the first position of each.
    pub fn check(&self, classes: &ClassTable) -> Result<()> {
        report::check_ids(self, classes)
    }

    /// Resizes by nearest neighbour with source index `floor(i * from / to)`, which `PyTorch` calls `nearest`. It
    /// shifts the map by up to half a source pixel, and networks trained with it expect that.
    ///
    /// # Errors
    /// [`Error::Argument`] for a side of 0; [`Error::Limit`] for a size beyond the limits.
    pub fn resize_floor(&self, width: usize, height: usize) -> Result<Self> {
        check_size(width, height)?;
        Ok(self.gather(
            &resize::floor_indices(self.width, width).collect::<Vec<_>>(),
            &resize::floor_indices(self.height, height).collect::<Vec<_>>(),
        ))
    }

    /// Resizes by nearest neighbour with source index `floor((i + 1/2) * from / to)`, which PIL calls `NEAREST`.
    ///
    /// # Errors
    /// [`Error::Argument`] for a side of 0; [`Error::Limit`] for a size beyond the limits.
    pub fn resize_centered(&self, width: usize, height: usize) -> Result<Self> {
        check_size(width, height)?;
        Ok(self.gather(
            &resize::centered_indices(self.width, width).collect::<Vec<_>>(),
            &resize::centered_indices(self.height, height).collect::<Vec<_>>(),
        ))
    }

    /// The part of `width` by `height` pixels whose top left pixel is (`x`, `y`).
    ///
    /// # Errors
    /// [`Error::Argument`] if a side is 0 or the part is not inside the map.
    pub fn crop(&self, x: usize, y: usize, width: usize, height: usize) -> Result<Self> {
        let inside = |at: usize, len: usize, side: usize| len > 0 && at.checked_add(len).is_some_and(|end| end <= side);
        if !inside(x, width, self.width) || !inside(y, height, self.height) {
            return Err(Error::Argument(format!(
                "a crop of {width}x{height} pixels at ({x}, {y}) is not inside a label map of {}x{} pixels",
                self.width, self.height
            )));
        }
        Ok(self.gather(&(x..x + width).collect::<Vec<_>>(), &(y..y + height).collect::<Vec<_>>()))
    }

    /// The map, enlarged by repeating its last column and row.
    ///
    /// # Errors
    /// [`Error::Argument`] for a side of 0; [`Error::Limit`] for a size beyond the limits.
    pub(crate) fn extended(&self, width: usize, height: usize) -> Result<Self> {
        check_size(width, height)?;
        let indices = |side: usize, to: usize| (0..to).map(|i| i.min(side - 1)).collect::<Vec<_>>();
        Ok(self.gather(&indices(self.width, width), &indices(self.height, height)))
    }

    /// The map mirrored left to right.
    #[must_use]
    pub fn flip_horizontal(&self) -> Self {
        self.gather(&(0..self.width).rev().collect::<Vec<_>>(), &(0..self.height).collect::<Vec<_>>())
    }

    /// The map with the classes of each pair in each other's place.
    #[cfg(feature = "train")]
    pub(crate) fn swap(self, pairs: &[(u16, u16)]) -> Result<Self> {
        if pairs.is_empty() {
            return Ok(self);
        }
        let other = |id: u16| {
            let partner = |(a, b): &(u16, u16)| (*a == id).then_some(*b).or((*b == id).then_some(*a));
            pairs.iter().find_map(partner).unwrap_or(id)
        };
        Self::new(self.width, self.height, self.ids().map(other).collect())
    }

    /// Appends the ids of row `y` at these columns, all of which must be inside the map.
    pub(crate) fn sample_row(&self, y: usize, columns: &[usize], out: &mut Vec<u16>) {
        fn pick<T: Copy + Into<u16>>(row: Option<&[T]>, columns: &[usize], out: &mut Vec<u16>) {
            let row = row.unwrap_or_default();
            out.extend(columns.iter().filter_map(|&x| row.get(x)).map(|&id| id.into()));
        }
        let row = y * self.width..(y + 1) * self.width;
        match &self.ids {
            Ids::U8(ids) => pick(ids.get(row), columns, out),
            Ids::U16(ids) => pick(ids.get(row), columns, out),
        }
    }

    /// Copies the ids of row `y` from column `x` on, as many as fit into `out`; all must be inside the map.
    pub(super) fn copy_row(&self, x: usize, y: usize, out: &mut [u16]) {
        let start = y * self.width + x;
        let part = start..start + out.len();
        match &self.ids {
            Ids::U8(ids) => {
                for (to, &id) in out.iter_mut().zip(ids.get(part).unwrap_or_default()) {
                    *to = u16::from(id);
                }
            }
            Ids::U16(ids) => out.copy_from_slice(ids.get(part).unwrap_or_default()),
        }
    }

    /// A map whose pixel (i, j) is this map's (`columns[i]`, `rows[j]`); all indices must be inside the map.
    fn gather(&self, columns: &[usize], rows: &[usize]) -> Self {
        fn pick<T: Copy>(ids: &[T], width: usize, columns: &[usize], rows: &[usize]) -> Vec<T> {
            let mut out = Vec::with_capacity(columns.len() * rows.len());
            for &y in rows {
                let row = ids.get(y * width..(y + 1) * width).unwrap_or_default();
                out.extend(columns.iter().filter_map(|&x| row.get(x)));
            }
            out
        }
        let ids = match &self.ids {
            Ids::U8(ids) => Ids::U8(pick(ids, self.width, columns, rows).into()),
            // The ids that need 16 bits may all have been left out.
            Ids::U16(ids) => Ids::narrowed(pick(ids, self.width, columns, rows)),
        };
        Self { width: columns.len(), height: rows.len(), ids }
    }

    /// A picture of the map in the class colours; ids without a class are magenta (255, 0, 255).
    pub fn to_rgb(&self, classes: &ClassTable) -> Image {
        let mut colors = vec![NO_CLASS_COLOR; 1 << 16];
        for class in classes {
            if let Some(color) = colors.get_mut(usize::from(class.id)) {
                *color = class.color;
            }
        }
        let mut image = RgbImage::new(self.width as u32, self.height as u32);
        for (pixel, id) in image.pixels_mut().zip(self.ids()) {
            pixel.0 = colors.get(usize::from(id)).copied().unwrap_or(NO_CLASS_COLOR);
        }
        Image::from_rgb(image)
    }

    /// Reads a label picture that must be unambiguous: [`LabelMap::read`] with [`ColorPolicy::Refuse`].
    ///
    /// # Errors
    /// As for [`LabelMap::read`]; [`Error::UnknownLabels`] if pixels have no class or an ambiguous one, with the
    /// values, their counts and first positions.
    pub fn open(path: impl AsRef<Path>, classes: &ClassTable) -> Result<Self> {
        Self::read(path, classes, ColorPolicy::Refuse)?.map()
    }

    /// Reads a label picture: a PNG or JPEG file; the format is detected from its content.
    ///
    /// * Indexed and grey PNG, 1 to 16 bits: the stored value is the class id. The value 255 is the don't-care
    ///   class if the table has one and no class has id 255. If some values have no class, but the colours of all
    ///   values (palette entries or greys) are class colours, the picture is read by colour instead.
    /// * Indexed PNG with a palette of class colours only, but not in the order of the ids (image editors that
    ///   choose the palette themselves write such files): gives no map under [`ColorPolicy::Refuse`], and is read
    ///   by colour under the other policies.
    /// * RGB and RGBA PNG, JPEG: read by colour, with `policy` for colours that belong to no class. 16-bit channels
    ///   are rounded to 8 bits.
    /// * A pixel with alpha below 128 is transparent: whatever its colour, it has no class, and only
    ///   [`ColorPolicy::NearestPixel`] gives it one. Alpha of 128 or more counts as opaque. Transparency in indexed
    ///   pictures is ignored.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read; [`Error::Limit`] if it is over [`MAX_SIDE`] or [`MAX_AREA`],
    /// before memory of that size is allocated; [`Error::Labels`] if it is damaged or has another format. Pixels
    /// without a class are not an error of this function, but of [`LabelReading::map`].
    pub fn read(path: impl AsRef<Path>, classes: &ClassTable, options: impl Into<ReadOptions>) -> Result<LabelReading> {
        read::read(path.as_ref(), classes, options.into())
    }

    /// As [`read`](Self::read), for the content of a PNG or JPEG file.
    ///
    /// # Errors
    /// As for [`LabelMap::read`].
    pub fn from_image_bytes(
        bytes: &[u8],
        classes: &ClassTable,
        options: impl Into<ReadOptions>,
    ) -> Result<LabelReading> {
        read::from_image_bytes(bytes, classes, options.into())
    }

    /// Reads pixels in class colours, with `policy` for other colours. Alpha is treated as in [`LabelMap::read`].
    ///
    /// # Errors
    /// As for [`LabelMap::new`]; [`Pixels::new`] has already made those checks. Pixels without a class are not an
    /// error of this function, but of [`LabelReading::map`].
    pub fn from_pixels(
        pixels: &Pixels<'_>,
        classes: &ClassTable,
        options: impl Into<ReadOptions>,
    ) -> Result<LabelReading> {
        read::from_pixels(pixels, classes, options.into())
    }

    /// Reads the stored values of an indexed or grey picture without interpreting them, such as an instance map.
    ///
    /// # Errors
    /// As for [`LabelMap::read`]; [`Error::Labels`] for an RGB picture.
    pub fn open_ids(path: impl AsRef<Path>) -> Result<Self> {
        read::stored_ids(path.as_ref())
    }

    /// Reads an instance map: as [`open_ids`](Self::open_ids), or a picture with a colour for each instance. Only which
    /// pixels are equal matters.
    ///
    /// # Errors
    /// As for [`LabelMap::read`]; [`Error::Labels`] if there are more than 65536 colours.
    pub fn open_instances(path: impl AsRef<Path>) -> Result<Self> {
        read::instances(path.as_ref())
    }

    /// Like [`open_ids`](Self::open_ids), from the content of a file.
    ///
    /// # Errors
    /// As for [`LabelMap::from_image_bytes`]; [`Error::Labels`] for a picture of colours.
    pub fn ids_from_image_bytes(bytes: &[u8]) -> Result<Self> {
        read::ids_from_bytes(bytes)
    }

    /// Writes the map as a PNG that [`LabelMap::open`] can read: 8-bit indexed (value = id, palette = class
    /// colours) if all ids are below 256, otherwise 16-bit grey.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>, classes: &ClassTable) -> Result<()> {
        write::save(self, path.as_ref(), classes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::table;
    use super::*;
    use proptest::prelude::*;

    fn any_map() -> impl Strategy<Value = LabelMap> {
        (1_usize..20, 1_usize..20, any::<bool>()).prop_flat_map(|(width, height, wide)| {
            let highest: u16 = if wide { u16::MAX } else { 255 };
            proptest::collection::vec(0..=highest, width * height)
                .prop_map(move |ids| LabelMap::new(width, height, ids).unwrap())
        })
    }

    #[test]
    fn checks_sizes() {
        assert!(matches!(LabelMap::new(0, 3, vec![]), Err(Error::Argument(_))));
        assert!(matches!(LabelMap::new(2, 2, vec![0; 3]), Err(Error::Argument(m)) if m.contains("3 ids")));
        assert!(matches!(LabelMap::filled(MAX_SIDE + 1, 1, 0), Err(Error::Limit(_))));
        assert!(matches!(LabelMap::filled(MAX_SIDE, MAX_SIDE, 0), Err(Error::Limit(_))));
        assert!(matches!(LabelMap::filled(usize::MAX, usize::MAX, 0), Err(Error::Limit(_))));
        let map = LabelMap::filled(MAX_SIDE, 1, 3).unwrap();
        assert!(matches!(map.resize_floor(MAX_SIDE, MAX_SIDE), Err(Error::Limit(_))));
        assert!(map.resize_centered(0, 1).is_err());
        assert!(matches!(map.resize_centered(1, 1), Ok(m) if m.get(0, 0) == Some(3)));
    }

    #[test]
    fn access_stays_inside() {
        let map = LabelMap::new(2, 2, vec![1, 2, 3, 400]).unwrap();
        assert_eq!([map.get(1, 0), map.get(0, 1), map.get(1, 1)], [Some(2), Some(3), Some(400)]);
        assert_eq!([map.get(2, 0), map.get(0, 2), map.get(usize::MAX, 1)], [None; 3]);
        assert_eq!(map.ids().len(), 4);
    }

    #[test]
    fn crops_inside_only() {
        let map = LabelMap::new(3, 2, vec![0, 1, 2, 3, 4, 500]).unwrap();
        let part = map.crop(1, 0, 1, 2).unwrap();
        assert_eq!(part, LabelMap::new(1, 2, vec![1, 4]).unwrap());
        for (x, y, w, h) in [(0, 0, 4, 1), (3, 0, 1, 1), (0, 0, 0, 1), (usize::MAX, 0, 2, 1), (0, 1, 1, 2)] {
            assert!(matches!(map.crop(x, y, w, h), Err(Error::Argument(_))), "{x} {y} {w} {h}");
        }
    }

    #[test]
    fn resizes_both_axes_by_the_rule() {
        let map = LabelMap::new(10, 2, (0..20).collect()).unwrap();
        let floor: Vec<u16> = map.resize_floor(4, 1).unwrap().ids().collect();
        let centered: Vec<u16> = map.resize_centered(4, 1).unwrap().ids().collect();
        assert_eq!(floor, [0, 2, 5, 7]);
        assert_eq!(centered, [11, 13, 16, 18]);
    }

    #[test]
    fn paints_unknown_ids_magenta() {
        let image = LabelMap::new(3, 1, vec![1, 9, 60000]).unwrap().to_rgb(&table(None));
        assert_eq!(image.into_bytes(), [255, 0, 0, 255, 0, 255, 255, 0, 255]);
    }

    #[test]
    fn check_names_values_counts_and_places() {
        let map = LabelMap::new(3, 2, vec![0, 1, 7, 2, 7, 300]).unwrap();
        let message = map.check(&table(None)).unwrap_err().to_string();
        assert!(message.contains("3 pixels hold 2 ids"), "{message}");
        assert!(message.contains("7 (2 px, first at (2, 0)), 300 (1 px, first at (2, 1))"), "{message}");
        assert!(LabelMap::filled(2, 2, 2).unwrap().check(&table(None)).is_ok());
    }

    #[test]
    fn borrowed_ids_that_are_too_few_are_named() {
        let text = |result: Result<LabelMap>| result.unwrap_err().to_string();
        assert!(
            text(LabelMap::from_u8(&[0; 5], 2, 3, 2)).contains("5 ids are too few: 3 rows with a stride of 2 take 6")
        );
        assert!(text(LabelMap::from_u16(&[0; 99], 4, 3, 3)).contains("a stride of 3 ids is too short: a row takes 4"));
        assert!(text(LabelMap::from_u8(&[], 0, 3, 9)).contains("a label map of 0x3 pixels is empty"));
        assert!(matches!(LabelMap::from_u16(&[], MAX_SIDE, MAX_SIDE, MAX_SIDE), Err(Error::Limit(_))));
        assert!(LabelMap::from_u8(&[0; 9], 2, 2, usize::MAX).is_err());
    }

    #[test]
    fn clones_share_their_ids() {
        for id in [7, 700] {
            let map = LabelMap::filled(3, 2, id).unwrap();
            let shared = match (&map.ids, &map.clone().ids) {
                (Ids::U8(a), Ids::U8(b)) => Arc::ptr_eq(a, b),
                (Ids::U16(a), Ids::U16(b)) => Arc::ptr_eq(a, b),
                _ => false,
            };
            assert!(shared, "id {id}");
        }
    }

    proptest! {
        #[test]
        fn borrowed_ids_are_those_of_an_owned_map(
            map in any_map(),
            padding in 0_usize..5,
            junk in any::<u8>(),
            cut in any::<bool>(),
        ) {
            let (width, height) = (map.width(), map.height());
            let ids: Vec<u16> = map.ids().collect();
            let mut rows = Vec::new();
            for row in ids.chunks(width) {
                rows.extend_from_slice(row);
                rows.extend(std::iter::repeat_n(u16::from(junk) << 4, padding));
            }
            if cut {
                rows.truncate(rows.len() - padding);
            }
            prop_assert_eq!(&LabelMap::from_u16(&rows, width, height, width + padding).unwrap(), &map);
            let bytes: Vec<u8> = rows.iter().map(|&id| id as u8).collect();
            let low = LabelMap::new(width, height, ids.iter().map(|id| id % 256).collect()).unwrap();
            prop_assert_eq!(&LabelMap::from_u8(&bytes, width, height, width + padding).unwrap(), &low);
        }

        #[test]
        fn sampled_rows_are_those_of_the_resized_map(map in any_map(), width in 1_usize..30, height in 1_usize..30) {
            let columns: Vec<usize> = resize::centered_indices(map.width(), width).collect();
            let mut ids = vec![9];
            for y in resize::centered_indices(map.height(), height) {
                map.sample_row(y, &columns, &mut ids);
            }
            prop_assert_eq!(ids.remove(0), 9);
            prop_assert_eq!(LabelMap::new(width, height, ids).unwrap(), map.resize_centered(width, height).unwrap());
        }

        #[test]
        fn flipping_twice_changes_nothing(map in any_map()) {
            let flipped = map.flip_horizontal();
            prop_assert_eq!(flipped.get(0, 0), map.get(map.width() - 1, 0));
            prop_assert_eq!(flipped.flip_horizontal(), map);
        }

        #[test]
        fn the_same_size_changes_nothing(map in any_map()) {
            let (w, h) = (map.width(), map.height());
            prop_assert_eq!(&map.resize_floor(w, h).unwrap(), &map);
            prop_assert_eq!(&map.resize_centered(w, h).unwrap(), &map);
            prop_assert_eq!(&map.crop(0, 0, w, h).unwrap(), &map);
        }

        #[test]
        fn whole_upscaling_can_be_undone(map in any_map(), k in 1_usize..5) {
            let large = map.resize_floor(map.width() * k, map.height() * k).unwrap();
            prop_assert_eq!(&large.resize_floor(map.width(), map.height()).unwrap(), &map);
            prop_assert_eq!(&large.resize_centered(map.width(), map.height()).unwrap(), &map);
        }

        #[test]
        fn ids_agree_with_get(map in any_map()) {
            for (i, id) in map.ids().enumerate() {
                prop_assert_eq!(map.get(i % map.width(), i / map.width()), Some(id));
            }
            let again = LabelMap::new(map.width(), map.height(), map.ids().collect()).unwrap();
            prop_assert_eq!(again, map);
        }
    }
}
