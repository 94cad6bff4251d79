//! Helpers for the tests of styles.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::Style;
use crate::label::{Class, ClassTable};

/// A style with these rows; an empty row makes its class absent.
pub(super) fn regions(rows: &[&[f32]]) -> Style {
    let length = rows.iter().map(|row| row.len()).max().unwrap();
    Style::regions(length, rows.iter().map(|row| (!row.is_empty()).then(|| row.to_vec())).collect()).unwrap()
}

/// A table that gives classes 0, 1, 2, … these names.
pub(super) fn table(names: &[&str]) -> ClassTable {
    let class =
        |(id, name): (u16, &&str)| Class { id, name: (*name).into(), color: [id as u8, 0, 0], dont_care: false };
    ClassTable::new((0..).zip(names).map(class).collect()).unwrap()
}

pub(super) fn bits(row: &[f32]) -> Vec<u32> {
    row.iter().map(|value| value.to_bits()).collect()
}

/// Equality that also tells 0 from -0.
#[track_caller]
pub(super) fn assert_same(a: &Style, b: &Style) {
    assert_eq!(a, b);
    for class in 0..a.rows() as u16 {
        assert_eq!(a.row(class).map(bits), b.row(class).map(bits), "class {class}");
    }
}

/// Any finite value; both zeros and the largest values are frequent.
fn value() -> impl Strategy<Value = f32> {
    let any = any::<u32>().prop_map(f32::from_bits).prop_filter("finite", |value| value.is_finite());
    prop_oneof![4 => any, 2 => -4f32..4.0, 1 => prop::sample::select(vec![0.0, -0.0, f32::MAX, f32::MIN, 1e-45])]
}

/// Styles that can be combined, of either kind.
pub(super) fn styles<const N: usize>() -> impl Strategy<Value = [Style; N]> {
    let regions = (1usize..5, 1usize..4).prop_flat_map(|(length, rows)| {
        let style = vec(proptest::option::of(vec(value(), length)), rows);
        prop::array::uniform(style.prop_map(move |rows| Style::regions(length, rows).unwrap()))
    });
    let whole = (1usize..5)
        .prop_flat_map(|length| prop::array::uniform(vec(value(), length).prop_map(|row| Style::global(row).unwrap())));
    prop_oneof![3 => regions, 1 => whole]
}

/// Any style.
pub(super) fn style() -> impl Strategy<Value = Style> {
    styles::<1>().prop_map(|[style]| style)
}

/// Copies of a file with several faults: bytes changed, removed or inserted, parts repeated, the end cut off.
pub(super) fn damaged(bytes: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let fault = (0..6u8, any::<Index>(), any::<Index>(), any::<u8>());
    vec(fault, 1..5).prop_map(move |faults| {
        let mut bytes = bytes.clone();
        for (what, at, other, value) in faults {
            if bytes.is_empty() {
                break;
            }
            let (at, other) = (at.index(bytes.len()), other.index(bytes.len()));
            match what {
                0 => bytes[at] = value,
                1 => bytes[at] ^= 1 << (value % 8),
                2 => drop(bytes.remove(at)),
                3 => bytes.insert(at, value),
                4 => bytes.truncate(at),
                _ => {
                    let piece = bytes[at..bytes.len().min(at + usize::from(value % 24))].to_vec();
                    bytes.splice(other..other, piece);
                }
            }
        }
        bytes
    })
}

/// All truncations of a file, and all changes of a single byte to an edge value.
pub(super) fn every_small_fault(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let cut = (0..bytes.len()).map(|end| bytes[..end].to_vec());
    let changed = (0..bytes.len()).flat_map(move |at| {
        [0, 1, 2, 0x7f, 0x80, 0xff, b'"', b'\'', b'(', b')', b'9', b',', b' ', !bytes[at]].map(|value| {
            let mut copy = bytes.to_vec();
            copy[at] = value;
            copy
        })
    });
    cut.chain(changed)
}
