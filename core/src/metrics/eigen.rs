//! Symmetric matrices in 64 bits: products, a factor of a covariance, eigenvalues.

use rayon::prelude::*;

/// A square matrix, row-major.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Matrix {
    pub(super) side: usize,
    pub(super) values: Vec<f64>,
}

impl Matrix {
    pub(super) fn zeros(side: usize) -> Self {
        Self { side, values: vec![0.0; side * side] }
    }

    pub(super) fn row(&self, index: usize) -> &[f64] {
        &self.values[index * self.side..][..self.side]
    }

    pub(super) fn trace(&self) -> f64 {
        (0..self.side).map(|index| self.row(index)[index]).sum()
    }
}

/// The sum of products, in eight running sums so that the compiler can use SIMD.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let ((a, rest_a), (b, rest_b)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = rest_a.iter().zip(rest_b).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}

/// Vectors `f` with `S = sum f fᵀ` for a symmetric positive semidefinite `S`: Cholesky's decomposition with pivots,
/// which ends at the rank of `S` (Higham 1990).
pub(super) fn factor(matrix: &Matrix) -> Vec<Vec<f64>> {
    let side = matrix.side;
    let mut left: Vec<f64> = (0..side).map(|index| matrix.row(index)[index]).collect();
    let largest = left.iter().copied().fold(0.0, f64::max);
    // What is left below this is rounding.
    let least = largest * side as f64 * f64::EPSILON;
    // Row by row, so that the products run along memory.
    let mut rows: Vec<Vec<f64>> = vec![Vec::new(); side];
    for _ in 0..side {
        let Some((pivot, &value)) = left.iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b)) else { break };
        if value <= least || value <= 0.0 {
            break;
        }
        let (root, of_pivot) = (value.sqrt(), rows[pivot].clone());
        rows.par_iter_mut().zip(&mut left).enumerate().for_each(|(index, (row, left))| {
            let entry = if index == pivot {
                root
            } else if *left <= 0.0 {
                0.0
            } else {
                (matrix.row(pivot)[index] - dot(row, &of_pivot)) / root
            };
            *left = if index == pivot { 0.0 } else { *left - entry * entry };
            row.push(entry);
        });
    }
    let rank = rows.first().map_or(0, Vec::len);
    (0..rank).map(|column| rows.iter().map(|row| row[column]).collect()).collect()
}

/// `[fᵢᵀ S fⱼ]` for vectors `f` and a symmetric `S`.
pub(super) fn form(vectors: &[Vec<f64>], matrix: &Matrix) -> Matrix {
    let side = vectors.len();
    let products: Vec<Vec<f64>> = vectors
        .par_iter()
        .map(|vector| (0..matrix.side).map(|index| dot(matrix.row(index), vector)).collect())
        .collect();
    let mut values = vec![0.0; side * side];
    values.par_chunks_mut(side.max(1)).zip(vectors).for_each(|(row, vector)| {
        for (value, product) in row.iter_mut().zip(&products) {
            *value = dot(vector, product);
        }
    });
    Matrix { side, values }
}

/// The eigenvalues of a symmetric matrix, in no order: Householder's reduction to a tridiagonal matrix, then QL steps
/// with implicit shifts (Golub & Van Loan, *Matrix Computations*, §8.3).
pub(super) fn eigenvalues(matrix: Matrix) -> Vec<f64> {
    let (mut diagonal, mut beside) = tridiagonal(matrix);
    let count = diagonal.len();
    for first in 0..count {
        // Convergence takes two or three steps; the limit only keeps values that are not finite from looping.
        for _ in 0..60 {
            let small = |index: usize, beside: &[f64], diagonal: &[f64]| {
                beside[index].abs() <= f64::EPSILON * (diagonal[index].abs() + diagonal[index + 1].abs())
            };
            let last = (first..count - 1).find(|&index| small(index, &beside, &diagonal)).unwrap_or(count - 1);
            if last == first {
                break;
            }
            ql_step(&mut diagonal, &mut beside, first, last);
        }
    }
    diagonal
}

/// One implicit QL step on the block `first..=last` of a tridiagonal matrix.
fn ql_step(diagonal: &mut [f64], beside: &mut [f64], first: usize, last: usize) {
    let half = (diagonal[first + 1] - diagonal[first]) / (2.0 * beside[first]);
    let shift = beside[first] / (half + half.hypot(1.0).copysign(half));
    let (mut sine, mut cosine, mut carried) = (1.0, 1.0, 0.0);
    // Wilkinson's shift, then a bulge that is chased upwards.
    let mut bulge = diagonal[last] - diagonal[first] + shift;
    for index in (first..last).rev() {
        let (off, kept) = (sine * beside[index], cosine * beside[index]);
        let length = off.hypot(bulge);
        beside[index + 1] = length;
        if length == 0.0 {
            // The block has come apart: the next step works on a smaller one.
            diagonal[index + 1] -= carried;
            beside[last] = 0.0;
            return;
        }
        sine = off / length;
        cosine = bulge / length;
        let base = diagonal[index + 1] - carried;
        let turned = (diagonal[index] - base) * sine + 2.0 * cosine * kept;
        carried = sine * turned;
        diagonal[index + 1] = base + carried;
        bulge = cosine * turned - kept;
    }
    diagonal[first] -= carried;
    beside[first] = bulge;
    beside[last] = 0.0;
}

/// The diagonal of a similar tridiagonal matrix, and the values beside it followed by a zero.
fn tridiagonal(mut matrix: Matrix) -> (Vec<f64>, Vec<f64>) {
    let side = matrix.side;
    let mut beside = vec![0.0; side];
    for (column, below) in beside.iter_mut().enumerate().take(side.saturating_sub(2)) {
        let start = column + 1;
        // The reflection that leaves only the first value of this column below the diagonal.
        let mut axis: Vec<f64> = matrix.row(column)[start..].to_vec();
        let scale = axis[1..].iter().fold(0.0, |most: f64, value| most.max(value.abs()));
        if scale == 0.0 {
            *below = axis[0];
            continue;
        }
        let scale = scale.max(axis[0].abs());
        for value in &mut axis {
            *value /= scale;
        }
        let length = dot(&axis, &axis).sqrt().copysign(axis[0]);
        *below = -length * scale;
        axis[0] += length;
        // I - axis axisᵀ / norm
        let norm = axis[0] * length;
        let rest = &mut matrix.values[start * side..];
        let mut product: Vec<f64> = rest.par_chunks(side).map(|row| dot(&row[start..], &axis) / norm).collect();
        let overlap = dot(&product, &axis) / (2.0 * norm);
        product.iter_mut().zip(&axis).for_each(|(value, axis)| *value -= overlap * axis);
        rest.par_chunks_mut(side).zip(axis.par_iter().zip(&product)).for_each(|(row, (&on_axis, &on_product))| {
            for (value, (axis, product)) in row[start..].iter_mut().zip(axis.iter().zip(&product)) {
                *value -= on_axis * product + on_product * axis;
            }
        });
    }
    if side > 1 {
        beside[side - 2] = matrix.row(side - 2)[side - 1];
    }
    ((0..side).map(|index| matrix.row(index)[index]).collect(), beside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn symmetric(side: usize, seed: u64) -> Matrix {
        let mut rng = Rng::new(seed);
        let mut matrix = Matrix::zeros(side);
        for row in 0..side {
            for column in 0..=row {
                let value = rng.normal();
                matrix.values[row * side + column] = value;
                matrix.values[column * side + row] = value;
            }
        }
        matrix
    }

    fn sorted(mut values: Vec<f64>) -> Vec<f64> {
        values.sort_by(f64::total_cmp);
        values
    }

    fn close(found: &[f64], expected: &[f64], tolerance: f64) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() <= tolerance, "{found} is not {expected}");
        }
    }

    #[test]
    fn known_eigenvalues() {
        close(&sorted(eigenvalues(Matrix { side: 2, values: vec![2.0, 1.0, 1.0, 2.0] })), &[1.0, 3.0], 1e-14);
        close(&eigenvalues(Matrix { side: 1, values: vec![5.0] }), &[5.0], 0.0);
        assert!(eigenvalues(Matrix::zeros(0)).is_empty());
        close(&eigenvalues(Matrix::zeros(4)), &[0.0; 4], 0.0);
        // Second differences: 2 - 2 cos(k pi / (n + 1)).
        for side in [3, 10, 41] {
            let mut matrix = Matrix::zeros(side);
            for row in 0..side {
                for column in 0..side {
                    let value = [2.0, -1.0].get(row.abs_diff(column)).copied().unwrap_or(0.0);
                    matrix.values[row * side + column] = value;
                }
            }
            let angle = |k: usize| k as f64 * std::f64::consts::PI / (side + 1) as f64;
            let expected: Vec<f64> = (1..=side).map(|k| 2.0 - 2.0 * angle(k).cos()).collect();
            close(&sorted(eigenvalues(matrix)), &sorted(expected), 1e-12);
        }
    }

    /// The sums of the powers of the eigenvalues are the traces of the powers of the matrix.
    #[test]
    fn eigenvalues_of_random_matrices() {
        for side in [2, 5, 17, 64] {
            let matrix = symmetric(side, side as u64);
            let found = eigenvalues(matrix.clone());
            let columns: Vec<Vec<f64>> = (0..side).map(|row| matrix.row(row).to_vec()).collect();
            let cube = form(&columns, &matrix);
            let squares: f64 = matrix.values.iter().map(|value| value * value).sum();
            let tolerance = 1e-10 * side as f64;
            let sum = |power: i32| found.iter().map(|value| value.powi(power)).sum::<f64>();
            assert!((sum(1) - matrix.trace()).abs() < tolerance);
            assert!((sum(2) - squares).abs() < tolerance * 10.0);
            assert!((sum(3) - cube.trace()).abs() < tolerance * 1000.0);
        }
    }

    #[test]
    fn a_factor_gives_the_matrix_back_and_has_its_rank() {
        let mut rng = Rng::new(3);
        for (side, rank) in [(1, 1), (6, 2), (20, 20), (24, 7)] {
            let vectors: Vec<Vec<f64>> = (0..rank).map(|_| (0..side).map(|_| rng.normal()).collect()).collect();
            let mut matrix = Matrix::zeros(side);
            for vector in &vectors {
                for row in 0..side {
                    for column in 0..side {
                        matrix.values[row * side + column] += vector[row] * vector[column];
                    }
                }
            }
            let found = factor(&matrix);
            assert_eq!(found.len(), rank);
            for row in 0..side {
                for column in 0..side {
                    let value: f64 = found.iter().map(|vector| vector[row] * vector[column]).sum();
                    assert!((value - matrix.row(row)[column]).abs() < 1e-10);
                }
            }
        }
        assert!(factor(&Matrix::zeros(5)).is_empty());
    }
}
