use std::collections::BTreeSet;

use image::Rgb;
use proptest::prelude::*;

use super::*;
use crate::data::{Procedural, Sample, Split};
use crate::rng::Rng;

/// Pictures whose colours say which one they are, and which class and place a pixel is of.
struct Coded {
    classes: ClassTable,
    maps: Vec<LabelMap>,
}

/// The colour of a pixel of class `id` in a picture.
fn colour(picture: usize, id: u16, x: usize, y: usize) -> [u8; 3] {
    [(picture * 16 + usize::from(id)) as u8, x as u8, y as u8]
}

/// The picture and the class of a colour.
fn decode(pixel: [u8; 3]) -> (usize, u16) {
    (usize::from(pixel[0] / 16), u16::from(pixel[0] % 16))
}

impl Coded {
    fn new(maps: Vec<LabelMap>) -> Self {
        Self { classes: ClassTable::cmp_facades(), maps }
    }

    fn photo(&self, index: usize) -> RgbImage {
        let map = &self.maps[index];
        RgbImage::from_fn(map.width() as u32, map.height() as u32, |x, y| {
            let (x, y) = (x as usize, y as usize);
            Rgb(colour(index, map.get(x, y).unwrap(), x, y))
        })
    }

    fn bank(&self, size: [usize; 2]) -> Bank {
        Bank::of(self, size, BankLimits::default()).unwrap()
    }
}

impl Dataset for Coded {
    fn classes(&self) -> &ClassTable {
        &self.classes
    }
    fn len(&self) -> usize {
        self.maps.len()
    }
    fn get(&self, index: usize) -> Result<Sample> {
        let (image, labels) = (self.photo(index), self.maps[index].clone());
        Ok(Sample { name: index.to_string(), image, labels, instances: None, style: None })
    }
    fn name(&self) -> String {
        "coded".into()
    }
    fn describe(&self) -> String {
        "coded".into()
    }
}

/// A map of rectangles over one another.
fn map([height, width]: [usize; 2], classes: u16, seed: u64) -> LabelMap {
    let mut rng = Rng::new(seed);
    let mut ids = vec![rng.below(usize::from(classes)) as u16; width * height];
    for _ in 0..8 {
        let id = rng.below(usize::from(classes)) as u16;
        let (x, y) = (rng.below(width), rng.below(height));
        let (wide, high) = (1 + rng.below(width - x), 1 + rng.below(height - y));
        for row in y..y + high {
            ids[row * width + x..][..wide].fill(id);
        }
    }
    LabelMap::new(width, height, ids).unwrap()
}

fn taken(collage: &Collage) -> impl Iterator<Item = (usize, [u8; 3])> {
    let pixels = collage.image().as_bytes().as_chunks::<3>().0;
    pixels.iter().copied().enumerate().zip(collage.missing()).filter(|(_, missing)| !**missing).map(|(pixel, _)| pixel)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every pixel is of a segment of its class, and none of a picture that is left out, for maps of any size.
    #[test]
    fn pixels_come_from_segments_of_their_class(
        pictures in 1usize..6,
        (height, width) in (1usize..50, 1usize..50),
        known in 1u16..5,
        seed in any::<u64>(),
        without in proptest::option::of(0usize..6),
    ) {
        let set = Coded::new((0..pictures as u64).map(|i| map([24, 40], known, seed.wrapping_add(i))).collect());
        let bank = set.bank([24, 40]);
        // Maps with classes that the bank may lack.
        let labels = map([height, width], 6, !seed);
        let collage = bank.collage(&labels, without).unwrap();
        prop_assert_eq!([collage.height(), collage.width()], [height, width]);
        let ids: Vec<u16> = labels.ids().collect();
        for (at, pixel) in taken(&collage) {
            let (picture, id) = decode(pixel);
            prop_assert_eq!(id, ids[at]);
            prop_assert!(Some(picture) != without && picture < pictures);
            prop_assert_eq!(set.maps[picture].get(usize::from(pixel[1]), usize::from(pixel[2])), Some(id));
        }
        prop_assert!(bank.collage(&labels, without).unwrap() == collage, "the same collage each time");
    }

    /// The labels of a picture in the bank bring back the photo, but for boundaries.
    #[test]
    fn a_picture_is_found_again(seed in any::<u64>(), size in 1usize..3) {
        let size = [24 * size, 40 * size];
        let set = Coded::new((0..4).map(|i| map(size, 5, seed.wrapping_add(i))).collect());
        let bank = set.bank(size);
        let mut missing = 0;
        for (index, labels) in set.maps.iter().enumerate() {
            let collage = bank.collage(labels, None).unwrap();
            let photo = set.photo(index);
            for (at, pixel) in taken(&collage) {
                prop_assert_eq!(pixel, pixels_of(&photo)[at]);
            }
            let edges = near_edges(&labels.ids().collect::<Vec<_>>(), &vec![0; size[0] * size[1]], size[1], 1);
            prop_assert_eq!(collage.missing(), &edges[..]);
            missing += edges.iter().filter(|edge| **edge).count();
        }
        prop_assert!(missing < 4 * size[0] * size[1]);
    }

    /// To learn from, there are pixels of the photo itself where a collage of other photos has some.
    #[test]
    fn simulated_collages_are_the_photo_in_the_shape_of_others(seed in any::<u64>()) {
        let set = Coded::new((0..4).map(|i| map([24, 40], 4, seed.wrapping_add(i))).collect());
        let bank = set.bank([24, 40]);
        let (photo, labels) = (set.photo(2), &set.maps[2]);
        let simulated = bank.simulated(&photo, labels, Some(2), seed).unwrap();
        let others = bank.collage(labels, Some(2)).unwrap();
        prop_assert_eq!(simulated.missing(), others.missing());
        let again = bank.simulated(&photo, labels, Some(2), seed).unwrap();
        prop_assert!(again == simulated);
    }
}

#[test]
fn some_segments_get_the_colours_of_others() {
    let set = Procedural::new(Split::Train, 3, 20, 64, 64);
    let bank = Bank::of(&set, [64, 64], BankLimits::default()).unwrap();
    let sample = set.get(4).unwrap();
    let numbers = Segments::of(&sample.labels).numbers;
    let (mut changed, mut all) = (0, 0);
    for seed in 0..20 {
        let collage = bank.simulated(&sample.image, &sample.labels, Some(4), seed).unwrap();
        let of = |change: bool| -> BTreeSet<u32> {
            let other = |(at, pixel): &(usize, [u8; 3])| !change || *pixel != pixels_of(&sample.image)[*at];
            taken(&collage).filter(other).map(|(at, _)| numbers[at]).collect()
        };
        (changed, all) = (changed + of(true).len(), all + of(false).len());
    }
    let share = changed as f64 / all as f64;
    assert!((0.2..0.4).contains(&share), "{share}");
    let skewed = RgbImage::new(63, 64);
    assert!(bank.simulated(&skewed, &sample.labels, None, 0).unwrap_err().to_string().contains("63x64"));
}

#[test]
fn recolouring_moves_mean_and_spread() {
    let pixels: Vec<[u8; 3]> = (0..100).map(|i| [100 + i % 2 * 20, 50, 200]).collect();
    let bounds = Bounds { x: 0, y: 0, width: 10, height: 10 };
    let from = Colours::of(&pixels, 10, bounds, &[7; 100], 7);
    assert_eq!((from.mean, from.spread), ([110.0, 50.0, 200.0], [10.0, 0.0, 0.0]));
    let to = Colours { mean: [60.0, 80.0, 250.0], spread: [15.0, 9.0, 0.0] };
    let change = Recolouring { from, to };
    assert_eq!(change.apply([120, 50, 200]), [75, 80, 250]);
    assert_eq!(change.apply([120, 60, 220]), [75, 90, 255]);
}

#[test]
fn a_map_of_one_class_and_one_of_none() {
    let set = Coded::new(vec![map([16, 16], 3, 1), map([16, 16], 3, 2)]);
    let bank = set.bank([16, 16]);
    let present = set.maps[0].get(0, 0).unwrap();
    let whole = bank.collage(&LabelMap::filled(20, 30, present).unwrap(), None).unwrap();
    assert!(taken(&whole).count() > 0 && taken(&whole).all(|(_, pixel)| decode(pixel).1 == present));
    for (width, height) in [(20, 30), (1, 1), (1, 9)] {
        let collage = bank.collage(&LabelMap::filled(width, height, 9).unwrap(), None).unwrap();
        assert!(collage.missing().iter().all(|missing| *missing) && collage.width() == width);
    }
    // One pixel of a class in a picture of one pixel has no boundary.
    let single = bank.collage(&LabelMap::filled(1, 1, present).unwrap(), None).unwrap();
    assert_eq!(taken(&single).count(), 1);
    // Without the only picture there is nothing.
    let one = Coded::new(vec![map([16, 16], 3, 1)]);
    let nothing = one.bank([16, 16]).collage(&one.maps[0], Some(0)).unwrap();
    assert_eq!(taken(&nothing).count(), 0);
    assert!(Bank::of(&Coded::new(vec![]), [16, 16], BankLimits::default()).is_err());
}

/// A chessboard: every segment is a single pixel, and lies at a boundary.
#[test]
fn single_pixels_are_lost_at_their_boundaries() {
    let ids = (0..16 * 16).map(|i| ((i + i / 16) % 2) as u16).collect();
    let set = Coded::new(vec![LabelMap::new(16, 16, ids).unwrap()]);
    let bank = set.bank([16, 16]);
    assert_eq!(bank.segments(), 256);
    assert_eq!(taken(&bank.collage(&set.maps[0], None).unwrap()).count(), 0);
}

#[test]
fn limits_hold_and_choose_the_same_each_time() {
    let set = Procedural::new(Split::Train, 1, 30, 64, 64);
    let bank = |limits| Bank::of(&set, [64, 64], limits).unwrap();
    let all = bank(BankLimits::default());
    assert_eq!(all.photos(), 30);
    let few = || bank(BankLimits { per_class: 5, ..BankLimits::default() });
    assert!(few().by_class.values().all(|entries| entries.len() <= 5) && few().segments() > 40);
    let chosen = |bank: &Bank| -> Vec<(usize, u32)> {
        bank.by_class.values().flatten().map(|entry| (entry.photo, entry.number)).collect()
    };
    assert_eq!(chosen(&few()), chosen(&few()));
    // Not the first ones only.
    assert!(few().by_class.values().flatten().any(|entry| entry.photo > 15));
    let small = bank(BankLimits { bytes: 64 * 64 * 7 * 10, ..BankLimits::default() });
    assert_eq!((small.photos(), bank(BankLimits { photos: 3, ..BankLimits::default() }).photos()), (10, 3));
    assert!(small.photos.iter().any(|photo| photo.index >= 10));
    assert_eq!(all.digest(), bank(BankLimits::default()).digest());
    assert!(all.digest() != small.digest() && all.digest() != few().digest());
}

#[test]
fn edges_reach_as_far_as_told() {
    let ids: Vec<u16> = (0..7 * 9).map(|i| u16::from(i % 9 > 3)).collect();
    for reach in 1..4 {
        let edges = near_edges(&ids, &[0; 63], 9, reach);
        let expected: Vec<bool> = (0..63).map(|i| (4 - reach..4 + reach).contains(&(i % 9))).collect();
        assert_eq!(edges, expected);
    }
    assert_eq!([[64, 64], [128, 256], [256, 256], [1024, 512]].map(elision), [1, 1, 2, 4]);
}

#[test]
#[ignore = "measures time"]
fn time_of_a_collage() {
    let set = Procedural::new(Split::Train, 0, 400, 128, 128);
    let started = std::time::Instant::now();
    let bank = Bank::of(&set, [128, 128], BankLimits::default()).unwrap();
    println!("{bank:?} in {:.2} s", started.elapsed().as_secs_f64());
    let val = Procedural::new(Split::Val, 0, 50, 128, 128);
    let maps: Vec<LabelMap> = (0..50).map(|index| val.get(index).unwrap().labels).collect();
    let started = std::time::Instant::now();
    let segments: usize = maps.iter().map(|labels| Segments::of(labels).all.len()).sum();
    for labels in &maps {
        bank.collage(labels, None).unwrap();
    }
    println!("{:.2} ms per collage of {} segments", started.elapsed().as_secs_f64() * 20.0, segments / 50);
}
