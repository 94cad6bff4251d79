//! Fréchet distance of two sets of features.

use rayon::prelude::*;

use super::eigen::{Matrix, eigenvalues, factor, form};
use crate::error::{Error, Result};

/// Mean and covariance of feature vectors, accumulated one by one in 64 bits (Welford 1962).
#[derive(Clone, Debug)]
pub struct FeatureStatistics {
    count: usize,
    mean: Vec<f64>,
    /// Sums of products of deviations from the mean; both halves are kept.
    products: Matrix,
}

impl FeatureStatistics {
    /// No vectors yet; each will have `length` values.
    pub fn new(length: usize) -> Self {
        Self { count: 0, mean: vec![0.0; length], products: Matrix::zeros(length) }
    }

    /// Adds the features of one picture.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the vector has another length, [`Error::Data`] if a value is not finite. Nothing is
    /// added then.
    pub fn add(&mut self, features: &[f32]) -> Result<()> {
        let (found, length) = (features.len(), self.mean.len());
        if found != length {
            return Err(Error::Argument(format!("a vector of {found} features: this set has vectors of {length}")));
        }
        if !features.iter().all(|value| value.is_finite()) {
            return Err(Error::Data(
                "a feature is not finite: the weights of the network that computes it are damaged, or do not fit it"
                    .into(),
            ));
        }
        self.count += 1;
        let deviations: Vec<f64> =
            features.iter().zip(&self.mean).map(|(&value, mean)| f64::from(value) - mean).collect();
        let count = self.count as f64;
        self.mean.iter_mut().zip(&deviations).for_each(|(mean, deviation)| *mean += deviation / count);
        let weight = (count - 1.0) / count;
        self.products.values.par_chunks_mut(length.max(1)).zip(&deviations).for_each(|(row, deviation)| {
            let factor = weight * deviation;
            row.iter_mut().zip(&deviations).for_each(|(product, deviation)| *product += factor * deviation);
        });
        Ok(())
    }

    /// Number of vectors.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Number of values in a vector.
    pub fn length(&self) -> usize {
        self.mean.len()
    }

    /// The mean, `[length]`.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// The covariance with the factor `1 / (count - 1)`, `[length, length]`, row-major; `None` for fewer than two
    /// vectors.
    pub fn covariance(&self) -> Option<Vec<f64>> {
        self.matrix().map(|matrix| matrix.values)
    }

    fn matrix(&self) -> Option<Matrix> {
        let freedom = self.count.checked_sub(1).filter(|&freedom| freedom > 0)? as f64;
        let values = self.products.values.iter().map(|value| value / freedom).collect();
        Some(Matrix { side: self.products.side, values })
    }
}

/// The squared Fréchet distance of two normal distributions with the means and covariances of two sets of features
/// (Dowson & Landau 1982; Heusel et al. 2017): `|m1 - m2|² + tr S1 + tr S2 - 2 tr sqrt(S1 S2)`, at least 0.
///
/// With features of [`Inception`](super::Inception) it is called FID. It depends on the number of pictures: fewer give
/// a larger distance, so compare only sets of one size.
///
/// The last trace is the sum of the square roots of the eigenvalues of `Fᵀ S2 F` with `F Fᵀ = S1`, which are those of
/// `sqrt(S1) S2 sqrt(S1)` and of `S1 S2`. This needs no inverse, so sets of fewer pictures than features are no special
/// case.
///
/// # Errors
///
/// [`Error::Data`] if a set has fewer than two vectors, [`Error::Argument`] if their lengths differ.
pub fn frechet_distance(a: &FeatureStatistics, b: &FeatureStatistics) -> Result<f64> {
    if a.length() != b.length() {
        let (a, b) = (a.length(), b.length());
        return Err(Error::Argument(format!("features of different networks cannot be compared: {a} and {b} values")));
    }
    let (Some(covariance_a), Some(covariance_b)) = (a.matrix(), b.matrix()) else {
        let (a, b) = (a.count, b.count);
        return Err(Error::Data(format!(
            "a Fréchet distance needs at least two pictures on both sides, there are {a} and {b}"
        )));
    };
    let means: f64 = a.mean.iter().zip(&b.mean).map(|(a, b)| (a - b).powi(2)).sum();
    // The smaller set has the smaller factor.
    let (few, many) = if a.count <= b.count { (&covariance_a, &covariance_b) } else { (&covariance_b, &covariance_a) };
    let roots: f64 = eigenvalues(form(&factor(few), many)).into_iter().map(|value| value.max(0.0).sqrt()).sum();
    Ok((means + covariance_a.trace() + covariance_b.trace() - 2.0 * roots).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn statistics(vectors: &[Vec<f32>]) -> FeatureStatistics {
        let mut statistics = FeatureStatistics::new(vectors[0].len());
        for vector in vectors {
            statistics.add(vector).unwrap();
        }
        statistics
    }

    fn random(count: usize, length: usize, seed: u64) -> Vec<Vec<f32>> {
        let mut rng = Rng::new(seed);
        (0..count).map(|_| (0..length).map(|_| rng.normal() as f32).collect()).collect()
    }

    #[test]
    fn mean_and_covariance_by_definition() {
        // A large mean, where sums of squares would cancel.
        let vectors: Vec<Vec<f32>> =
            random(9, 4, 1).into_iter().map(|vector| vector.iter().map(|value| value + 1000.0).collect()).collect();
        let found = statistics(&vectors);
        let mean = |index: usize| vectors.iter().map(|vector| f64::from(vector[index])).sum::<f64>() / 9.0;
        let covariance = found.covariance().unwrap();
        for i in 0..4 {
            assert!((found.mean()[i] - mean(i)).abs() < 1e-10);
            for j in 0..4 {
                let product = |v: &Vec<f32>| (f64::from(v[i]) - mean(i)) * (f64::from(v[j]) - mean(j));
                let expected = vectors.iter().map(product).sum::<f64>() / 8.0;
                assert!((covariance[i * 4 + j] - expected).abs() < 1e-10);
            }
        }
    }

    /// In one dimension: (m1 - m2)² + (s1 - s2)².
    #[test]
    fn one_dimension() {
        let (a, b) = (statistics(&[vec![1.0], vec![3.0]]), statistics(&[vec![-5.0], vec![5.0]]));
        let (s1, s2) = (2f64.sqrt(), 50f64.sqrt());
        assert!((frechet_distance(&a, &b).unwrap() - (4.0 + (s1 - s2).powi(2))).abs() < 1e-12);
    }

    /// Independent features: the sum of the distances of each.
    #[test]
    fn diagonal_covariances() {
        // ±p and ±q along the axes give diagonal covariances with 2 p² / 3 and 2 q² / 3.
        let cross = |p: f32, q: f32, x: f32, y: f32| {
            statistics(&[vec![x + p, y], vec![x - p, y], vec![x, y + q], vec![x, y - q]])
        };
        let (a, b) = (cross(1.0, 3.0, 0.0, 0.0), cross(2.0, 1.0, 4.0, -1.0));
        let expected = 17.0 + 2.0 / 3.0 * ((1.0f64 - 2.0).powi(2) + (3.0f64 - 1.0).powi(2));
        for (a, b) in [(&a, &b), (&b, &a)] {
            assert!((frechet_distance(a, b).unwrap() - expected).abs() < 1e-10);
        }
    }

    /// In two dimensions the trace of the root has a closed form: tr sqrt(M) = sqrt(tr M + 2 sqrt(det M)).
    #[test]
    fn two_dimensions_with_correlation() {
        let (a, b) = (statistics(&random(7, 2, 5)), statistics(&random(11, 2, 6)));
        let (s, t) = (a.covariance().unwrap(), b.covariance().unwrap());
        let product = [
            s[0] * t[0] + s[1] * t[2],
            s[0] * t[1] + s[1] * t[3],
            s[2] * t[0] + s[3] * t[2],
            s[2] * t[1] + s[3] * t[3],
        ];
        let determinant = product[0] * product[3] - product[1] * product[2];
        let root = (product[0] + product[3] + 2.0 * determinant.sqrt()).sqrt();
        let means: f64 = a.mean().iter().zip(b.mean()).map(|(a, b)| (a - b).powi(2)).sum();
        let expected = means + s[0] + s[3] + t[0] + t[3] - 2.0 * root;
        assert!((frechet_distance(&a, &b).unwrap() - expected).abs() < 1e-10);
    }

    /// Fewer vectors than values: covariances without an inverse.
    #[test]
    fn few_vectors() {
        let vectors = random(5, 40, 2);
        let a = statistics(&vectors);
        assert!(frechet_distance(&a, &a).unwrap() < 1e-6);
        let shifted: Vec<Vec<f32>> =
            vectors.iter().map(|vector| vector.iter().map(|value| value + 0.5).collect()).collect();
        assert!((frechet_distance(&a, &statistics(&shifted)).unwrap() - 10.0).abs() < 1e-4);
        // Twice the deviations: S2 = 4 S1, so tr S1 + tr S2 - 2 tr sqrt(4 S1²) = tr S1.
        let mean: Vec<f64> = a.mean().to_vec();
        let twice: Vec<Vec<f32>> = vectors
            .iter()
            .map(|vector| vector.iter().zip(&mean).map(|(v, m)| (2.0 * f64::from(*v) - m) as f32).collect())
            .collect();
        let trace: f64 = (0..40).map(|i| a.covariance().unwrap()[i * 41]).sum();
        assert!((frechet_distance(&a, &statistics(&twice)).unwrap() - trace).abs() < 1e-4);
    }

    #[test]
    fn what_cannot_be_compared_is_an_error() {
        let two = statistics(&random(2, 3, 1));
        let message = frechet_distance(&two, &statistics(&random(1, 3, 1))).unwrap_err().to_string();
        assert!(message.contains("at least two pictures"), "{message}");
        assert!(frechet_distance(&two, &statistics(&random(2, 4, 1))).is_err());
        let mut statistics = FeatureStatistics::new(2);
        assert!(statistics.add(&[1.0]).is_err() && statistics.add(&[1.0, f32::NAN]).is_err());
        assert_eq!(statistics.count(), 0);
    }
}
