//! Ids of the classes of the terrain, as in [`ClassTable::terrain`](crate::label::ClassTable::terrain).

pub(super) const DEEP_WATER: u16 = 0;
pub(super) const SHALLOW_WATER: u16 = 1;
pub(super) const SAND: u16 = 2;
pub(super) const DIRT: u16 = 3;
pub(super) const GRASS: u16 = 4;
pub(super) const FOREST: u16 = 5;
pub(super) const ROCK: u16 = 6;
pub(super) const SNOW: u16 = 7;
pub(super) const ROAD: u16 = 8;
pub(super) const ROOF: u16 = 9;
pub(super) const FIELD: u16 = 10;
pub(super) const WETLAND: u16 = 11;

/// Number of classes.
pub(super) const COUNT: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::ClassTable;

    /// Linear RGB as seen without one kind of cones (Machado et al. 2009, severity 1).
    const SIGHT: [[[f32; 3]; 3]; 4] = [
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        [[0.152_286, 1.052_583, -0.204_868], [0.114_503, 0.786_281, 0.099_216], [-0.003_882, -0.048_116, 1.051_998]],
        [[0.367_322, 0.860_646, -0.227_968], [0.280_085, 0.672_501, 0.047_413], [-0.011_820, 0.042_940, 0.968_881]],
        [[1.255_528, -0.076_749, -0.178_779], [-0.078_411, 0.930_809, 0.147_602], [0.004_733, 0.691_367, 0.303_900]],
    ];

    /// CIE L*a*b* of an sRGB colour.
    fn lab(color: [u8; 3], sight: &[[f32; 3]; 3]) -> [f32; 3] {
        let linear = color.map(|c| {
            let c = f32::from(c) / 255.0;
            if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        });
        let times = |rows: &[[f32; 3]; 3], v: [f32; 3]| rows.map(|row| (0..3).map(|i| row[i] * v[i]).sum::<f32>());
        let seen = times(sight, linear).map(|c| c.clamp(0.0, 1.0));
        let xyz = times(&[[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]], seen);
        let f = |t: f32| if t > 0.008_856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 };
        let [x, y, z] = [f(xyz[0] / 0.9505), f(xyz[1]), f(xyz[2] / 1.089)];
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
    }

    #[test]
    fn everybody_can_tell_the_colours_apart() {
        let table = ClassTable::terrain();
        for (kind, sight) in SIGHT.iter().enumerate() {
            for a in &table {
                for b in table.iter().take_while(|b| b.id < a.id) {
                    let (p, q) = (lab(a.color, sight), lab(b.color, sight));
                    let distance = (0..3).map(|i| (p[i] - q[i]).powi(2)).sum::<f32>().sqrt();
                    assert!(distance > 16.0, "sight {kind}: {} and {} differ by {distance} only", a.name, b.name);
                }
            }
        }
    }

    #[test]
    fn constants_are_the_ids_of_the_table() {
        let table = ClassTable::terrain();
        assert_eq!(table.len(), COUNT);
        for (id, name) in [(DEEP_WATER, "deep water"), (FOREST, "forest"), (ROOF, "roof"), (WETLAND, "wetland")] {
            assert_eq!(table.get(id).map(|class| class.name.as_str()), Some(name));
        }
    }
}
