//! What lies near a pixel: shares of classes in a neighbourhood, and the distance to a border.
//!
//! All sums are of integers, so a value does not depend on the part of the world that is painted.

/// How many of the pixels around each pixel are set, as a share from 0 to 1: two box filters of radius `radius` in a
/// row, which reach `2 * radius` pixels and have no corners that show. Pixels beyond the border count as not set.
pub(super) fn share(mask: impl Iterator<Item = bool>, width: usize, radius: usize) -> Vec<f32> {
    let mut values: Vec<u32> = mask.map(u32::from).collect();
    let mut other = vec![0; values.len()];
    for _ in 0..2 {
        rows(&values, &mut other, width, radius);
        columns(&other, &mut values, width, radius);
    }
    let side = (2 * radius + 1) as f32;
    let most = side * side * side * side;
    values.into_iter().map(|value| value as f32 / most).collect()
}

/// Sums of `2 * radius + 1` values of a row.
fn rows(from: &[u32], to: &mut [u32], width: usize, radius: usize) {
    for (from, to) in from.chunks_exact(width).zip(to.chunks_exact_mut(width)) {
        let mut sum: u32 = from[..radius.min(width)].iter().sum();
        for x in 0..width {
            if let Some(value) = from.get(x + radius) {
                sum += value;
            }
            to[x] = sum;
            if x >= radius {
                sum -= from[x - radius];
            }
        }
    }
}

/// Sums of `2 * radius + 1` values of a column.
fn columns(from: &[u32], to: &mut [u32], width: usize, radius: usize) {
    let height = from.len() / width;
    let mut sums = vec![0; width];
    let add = |sums: &mut [u32], y: usize| {
        for (sum, value) in sums.iter_mut().zip(&from[y * width..]) {
            *sum += value;
        }
    };
    for y in 0..radius.min(height) {
        add(&mut sums, y);
    }
    for y in 0..height {
        if y + radius < height {
            add(&mut sums, y + radius);
        }
        to[y * width..][..width].copy_from_slice(&sums);
        if y >= radius {
            for (sum, value) in sums.iter_mut().zip(&from[(y - radius) * width..]) {
                *sum -= value;
            }
        }
    }
}

/// The distance from each set pixel to the nearest one that is not set, in pixels, at most `limit`; 0 for pixels that
/// are not set. Steps along rows and columns count 1, diagonal ones 1.41.
pub(super) fn depth(mask: impl Iterator<Item = bool>, width: usize, limit: u16) -> Vec<f32> {
    const UNIT: u16 = 12;
    const DIAGONAL: u16 = 17;
    let mut values: Vec<u16> = mask.map(|set| if set { limit * UNIT } else { 0 }).collect();
    let height = values.len() / width;
    let relax = |values: &mut [u16], x: usize, y: usize, neighbours: [(i32, i32, u16); 4]| {
        let mut least = values[y * width + x];
        for (dx, dy, cost) in neighbours {
            let (i, j) = (x as i32 + dx, y as i32 + dy);
            if (0..width as i32).contains(&i) && (0..height as i32).contains(&j) {
                least = least.min(values[j as usize * width + i as usize] + cost);
            }
        }
        values[y * width + x] = least;
    };
    for y in 0..height {
        for x in 0..width {
            let before = [(-1, 0, UNIT), (0, -1, UNIT), (-1, -1, DIAGONAL), (1, -1, DIAGONAL)];
            relax(&mut values, x, y, before);
        }
    }
    for y in (0..height).rev() {
        for x in (0..width).rev() {
            let after = [(1, 0, UNIT), (0, 1, UNIT), (1, 1, DIAGONAL), (-1, 1, DIAGONAL)];
            relax(&mut values, x, y, after);
        }
    }
    values.into_iter().map(|value| f32::from(value) / f32::from(UNIT)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_those_of_a_neighbourhood() {
        let (width, height) = (30, 20);
        let half = share((0..width * height).map(|i| i % width < 15), width, 2);
        let middle = &half[10 * width..][..width];
        assert!((middle[6] - 1.0).abs() < 1e-6 && middle[25].abs() < 1e-6);
        assert!((middle[14] + middle[15] - 1.0).abs() < 1e-6, "{middle:?}");
        assert!(middle[4..26].windows(2).all(|pair| pair[0] >= pair[1]));
    }

    #[test]
    fn depth_is_the_distance_to_the_border() {
        let (width, height) = (21, 21);
        let inside = |i: usize| (3..18).contains(&(i % width)) && (3..18).contains(&(i / width));
        let found = depth((0..width * height).map(inside), width, 20);
        assert!(found[0].abs() < 1e-6 && (found[3 * width + 10] - 1.0).abs() < 1e-6);
        assert!((found[10 * width + 10] - 8.0).abs() < 1e-6);
        assert!(depth((0..width * height).map(inside), width, 4).iter().all(|&d| d <= 4.0));
    }
}
