//! Combining styles.
//!
//! Everything is computed in 64-bit floats and rounded once. So nothing overflows, a mixture lies between its
//! parts, and a mixture of equal values is that value.

use std::borrow::Borrow;
use std::sync::Arc;

use super::form::Form;
use super::{Row, Style};
use crate::error::{Error, Result};

impl Style {
    /// Replaces one class by a class of another style. `from_class` usually equals `class`, but can differ: to make
    /// hair look like the other style's cloth, for example.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the styles cannot be combined, or if the class does not exist or is absent in `from`.
    pub fn with_class(&self, class: u16, from: &Self, from_class: u16) -> Result<Self> {
        let form = self.0.form.join(&from.0.form)?;
        let (to, at) = (form.index(class)?, form.index(from_class)?);
        match &from.0.rows[at] {
            Some(row) => Ok(self.replaced(form, to, Some(row.clone()))),
            None => Err(Error::Argument(format!(
                "{} is absent in the style it is to be taken from: take another style, or fill it first with `or`",
                form.call(at)
            ))),
        }
    }

    /// Makes a class absent.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the class does not exist.
    pub fn without(&self, class: u16) -> Result<Self> {
        let index = self.0.form.index(class)?;
        Ok(self.replaced(self.0.form.clone(), index, None))
    }

    /// Blends with another style: `(1 - weight) * self + weight * other`.
    ///
    /// A class that is absent in one of the styles is taken from the other. The ends are exact: weights 0 and 1
    /// give `self.or(other)` and `other.or(self)`, bit for bit.
    ///
    /// Styles of the whole picture are interpolated linearly too, as in the papers' code. The middle between two
    /// random styles is closer to 0, which is the average look, than random styles are.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the styles cannot be combined or `weight` is outside 0 to 1.
    pub fn blend(&self, other: &Self, weight: f32) -> Result<Self> {
        let form = self.0.form.join(&other.0.form)?;
        check_weight(weight)?;
        Ok(self.blended(form, other, weight))
    }

    /// As [`blend`](Self::blend), for one class; the other classes stay as they are.
    ///
    /// # Errors
    ///
    /// As [`blend`](Self::blend), and [`Error::Argument`] if the class does not exist or both styles lack it.
    pub fn blend_class(&self, class: u16, other: &Self, weight: f32) -> Result<Self> {
        let form = self.0.form.join(&other.0.form)?;
        let index = form.index(class)?;
        check_weight(weight)?;
        match blend_row(&self.0.rows[index], &other.0.rows[index], weight) {
            None => Err(Error::Argument(format!("{} is absent in both styles", form.call(index)))),
            row => Ok(self.replaced(form, index, row)),
        }
    }

    /// `count` styles in equal steps from this style to another, both included: number *k* is `blend(other, k /
    /// (count - 1))`. Each is computed on demand.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the styles cannot be combined, or `count` is less than 2.
    pub fn interpolate(
        &self,
        other: &Self,
        count: usize,
    ) -> Result<impl ExactSizeIterator<Item = Self> + DoubleEndedIterator + use<>> {
        let form = self.0.form.join(&other.0.form)?;
        if count < 2 {
            return Err(Error::Argument(format!("{count} styles cannot hold both ends: ask for 2 or more")));
        }
        let (from, to) = (self.clone(), other.clone());
        let weight = move |k: usize| (k as f64 / (count - 1) as f64) as f32;
        Ok((0..count).map(move |k| from.blended(form.clone(), &to, weight(k))))
    }

    /// Fills in absent classes from another style, such as the mean of many styles, as SEAN's code does.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the styles cannot be combined.
    pub fn or(&self, fallback: &Self) -> Result<Self> {
        let form = self.0.form.join(&fallback.0.form)?;
        let rows =
            self.0.rows.iter().zip(&fallback.0.rows).map(|(row, other)| row.as_ref().or(other.as_ref()).cloned());
        Ok(Self::new(form, rows.collect()))
    }

    /// The mean of styles. Each class is averaged over the styles that have it, and is absent if none has it.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if there are no styles, or if they cannot be combined.
    pub fn mean(styles: impl IntoIterator<Item = impl Borrow<Self>>) -> Result<Self> {
        let mut styles = styles.into_iter();
        let first = styles.next().ok_or_else(|| Error::Argument("no styles, so there is no mean of them".into()))?;
        let first: &Self = first.borrow();
        let mut form = first.0.form.clone();
        let mut means: Vec<Mean> = first.0.rows.iter().map(Mean::new).collect();
        for style in styles {
            let style: &Self = style.borrow();
            form = form.join(&style.0.form)?;
            means.iter_mut().zip(&style.0.rows).for_each(|(mean, row)| mean.add(row));
        }
        Ok(Self::new(form, means.iter().map(Mean::row).collect()))
    }

    fn replaced(&self, form: Form, index: usize, row: Row) -> Self {
        let mut rows = self.0.rows.clone();
        rows[index] = row;
        Self::new(form, rows)
    }

    fn blended(&self, form: Form, other: &Self, weight: f32) -> Self {
        let rows = self.0.rows.iter().zip(&other.0.rows).map(|(a, b)| blend_row(a, b, weight));
        Self::new(form, rows.collect())
    }
}

fn check_weight(weight: f32) -> Result<()> {
    if (0.0..=1.0).contains(&weight) {
        return Ok(());
    }
    Err(Error::Argument(format!("weight {weight} is not within 0 to 1")))
}

/// The ends are special cases, because the formula turns -0 into 0.
fn blend_row(a: &Row, b: &Row, weight: f32) -> Row {
    match (a, b) {
        (Some(a), Some(b)) if weight > 0.0 && weight < 1.0 => {
            let weight = f64::from(weight);
            let mix = |(&a, &b): (&f32, &f32)| ((1.0 - weight) * f64::from(a) + weight * f64::from(b)) as f32;
            Some(a.iter().zip(b.iter()).map(mix).collect())
        }
        (Some(a), Some(b)) => Some(Arc::clone(if weight > 0.0 { b } else { a })),
        (a, b) => a.as_ref().or(b.as_ref()).cloned(),
    }
}

/// Accumulates a mean; `sums` is empty before the first row that is present.
struct Mean {
    sums: Vec<f64>,
    count: usize,
}

impl Mean {
    fn new(row: &Row) -> Self {
        let mut mean = Self { sums: Vec::new(), count: 0 };
        mean.add(row);
        mean
    }

    fn add(&mut self, row: &Row) {
        let Some(row) = row else { return };
        // Sums start at -0, the only number that leaves every other number unchanged when added.
        self.sums.resize(row.len(), -0.0);
        self.sums.iter_mut().zip(row.iter()).for_each(|(sum, &value)| *sum += f64::from(value));
        self.count += 1;
    }

    fn row(&self) -> Row {
        (self.count > 0).then(|| self.sums.iter().map(|sum| (sum / self.count as f64) as f32).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::StyleKind;
    use super::super::testing::{assert_same, bits, regions, style, styles, table};
    use super::*;
    use proptest::prelude::*;

    fn fault<T>(result: Result<T>) -> String {
        match result.map(drop).unwrap_err() {
            Error::Argument(message) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_blend_is_the_formula() {
        let (a, b) = (regions(&[&[1.0, -2.0], &[8.0, 8.0], &[]]), regions(&[&[3.0, 2.0], &[], &[]]));
        let blend = a.blend(&b, 0.25).unwrap();
        assert_same(&blend, &regions(&[&[1.5, -1.0], &[8.0, 8.0], &[]]));
        assert_same(&a.blend_class(0, &b, 0.25).unwrap(), &blend);
        // The largest numbers, and both zeros, which `==` cannot tell apart.
        let edge = Style::global(vec![f32::MAX, f32::MAX, -0.0, f32::MIN_POSITIVE]).unwrap();
        let other = Style::global(vec![f32::MAX, -f32::MAX, 0.0, 0.0]).unwrap();
        assert_eq!(edge.blend(&other, 0.5).unwrap().to_rows(), [f32::MAX, 0.0, 0.0, f32::MIN_POSITIVE / 2.0]);
        assert_same(&edge.blend(&other, 0.0).unwrap(), &edge);
        assert_same(&edge.blend(&other, 1.0).unwrap(), &other);
    }

    #[test]
    fn classes_are_replaced_one_by_one() {
        let (a, b) = (regions(&[&[1.0], &[2.0], &[3.0]]), regions(&[&[4.0], &[], &[6.0]]));
        assert_same(&a.with_class(2, &b, 2).unwrap(), &regions(&[&[1.0], &[2.0], &[6.0]]));
        assert_same(&a.with_class(2, &b, 0).unwrap(), &regions(&[&[1.0], &[2.0], &[4.0]]));
        assert_same(&b.with_class(1, &b, 0).unwrap(), &regions(&[&[4.0], &[4.0], &[6.0]]));
        assert_same(&a.without(1).unwrap(), &regions(&[&[1.0], &[], &[3.0]]));
        assert_same(&a.without(0).unwrap().blend_class(0, &b, 0.1).unwrap(), &regions(&[&[4.0], &[2.0], &[3.0]]));
    }

    #[test]
    fn faults_name_the_class() {
        let a = regions(&[&[1.0], &[], &[3.0]]);
        let named = a.with_names(&table(&["skin", "hair", "cloth"])).unwrap();
        assert!(fault(a.with_class(0, &named, 1)).contains("class 1 (\"hair\") is absent"));
        assert!(fault(a.with_class(0, &a, 1)).contains("class 1 is absent"));
        assert!(fault(a.blend_class(1, &named, 0.5)).contains("class 1 (\"hair\") is absent in both"));
        let beyond = [
            fault(a.with_class(3, &a, 0)),
            fault(a.with_class(0, &a, 3)),
            fault(a.blend_class(3, &a, 0.0)),
            fault(a.without(3)),
        ];
        for message in beyond {
            assert!(message.contains("no class 3") && message.contains("3 classes"), "{message}");
        }
        let whole = Style::global(vec![1.0]).unwrap();
        for message in
            [fault(whole.with_class(0, &whole, 0)), fault(whole.blend_class(0, &whole, 0.5)), fault(whole.without(0))]
        {
            assert!(message.contains("has no classes"), "{message}");
        }
    }

    #[test]
    fn styles_of_different_models_are_refused_by_everything() {
        let a = regions(&[&[1.0, 2.0], &[3.0, 4.0]]);
        let others = [
            (regions(&[&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]]), ["2 classes with 2 values", "2 classes with 3 values"]),
            (regions(&[&[1.0, 2.0]]), ["2 classes with 2 values", "1 classes with 2 values"]),
            (Style::global(vec![1.0, 2.0]).unwrap(), ["2 classes with 2 values", "whole picture with 2 values"]),
        ];
        for (b, parts) in others {
            for message in [
                fault(a.blend(&b, 0.0)),
                fault(a.blend_class(0, &b, 0.5)),
                fault(a.interpolate(&b, 3)),
                fault(a.or(&b)),
                fault(b.or(&a)),
                fault(a.with_class(0, &b, 0)),
                fault(Style::mean([&a, &b])),
            ] {
                assert!(parts.iter().all(|part| message.contains(part)), "{message}");
            }
        }
    }

    #[test]
    fn one_class_is_not_the_whole_picture() {
        let (one, whole) = (regions(&[&[1.0, 2.0]]), Style::global(vec![1.0, 2.0]).unwrap());
        let message = fault(one.blend(&whole, 0.5));
        assert!(message.contains("1 classes with 2") && message.contains("whole picture with 2"), "{message}");
    }

    #[test]
    fn names_are_compared_and_passed_on() {
        let plain = regions(&[&[1.0], &[2.0]]);
        let named = plain.with_names(&table(&["sea", "sky"])).unwrap();
        let other = plain.with_names(&table(&["sky", "sea"])).unwrap();
        assert!(fault(named.or(&other)).contains("class 0 is \"sea\" in one and \"sky\" in the other"));
        assert!(fault(Style::mean([&plain, &named, &plain, &other])).contains("class 0"));
        for mixed in
            [plain.or(&named).unwrap(), named.blend(&plain, 1.0).unwrap(), Style::mean([&plain, &named]).unwrap()]
        {
            assert_eq!(mixed.name(1), Some("sky"));
        }
    }

    #[test]
    fn weights_and_counts_are_checked() {
        let a = Style::global(vec![1.0]).unwrap();
        for weight in [-0.1, 1.1, f32::NAN, f32::INFINITY] {
            assert!(fault(a.blend(&a, weight)).contains(&weight.to_string()));
        }
        assert!(fault(regions(&[&[1.0]]).blend_class(0, &regions(&[&[1.0]]), 2.0)).contains("weight 2"));
        assert!(a.blend(&a, -0.0).is_ok());
        for count in [0, 1] {
            assert!(fault(a.interpolate(&a, count)).contains("2 or more"));
        }
        assert!(fault(Style::mean(Vec::<Style>::new())).contains("no styles"));
    }

    #[test]
    fn interpolation_takes_equal_steps() {
        let (a, b) = (Style::global(vec![0.0, 1.0]).unwrap(), Style::global(vec![4.0, -1.0]).unwrap());
        let all = a.interpolate(&b, 5).unwrap();
        assert_eq!(all.len(), 5);
        let rows: Vec<Vec<f32>> = all.map(|style| style.to_rows()).collect();
        assert_eq!(rows, [[0.0, 1.0], [1.0, 0.5], [2.0, 0.0], [3.0, -0.5], [4.0, -1.0]]);
        // Nothing is computed before it is needed.
        assert_same(&a.interpolate(&b, usize::MAX).unwrap().next_back().unwrap(), &b);
    }

    #[test]
    fn means_skip_absent_classes() {
        let styles = [regions(&[&[1.0], &[], &[5.0]]), regions(&[&[2.0], &[], &[]]), regions(&[&[6.0], &[], &[2.0]])];
        assert_same(&Style::mean(&styles).unwrap(), &regions(&[&[3.0], &[], &[3.5]]));
        // Sums of 32-bit floats would overflow, or lose small values one by one.
        let large = Style::global(vec![f32::MAX, 16_777_216.0]).unwrap();
        let small = Style::global(vec![f32::MAX, 1.0]).unwrap();
        let mean = Style::mean([&large, &small, &small, &small, &small]).unwrap();
        assert_eq!(mean.to_rows(), [f32::MAX, 3_355_444.0]);
    }

    proptest! {
        #[test]
        fn the_ends_of_a_blend_are_exact([a, b] in styles::<2>()) {
            assert_same(&a.blend(&b, 0.0)?, &a.or(&b)?);
            assert_same(&a.blend(&b, 1.0)?, &b.or(&a)?);
        }

        #[test]
        fn ends_are_the_styles_themselves_where_nothing_is_absent([a, b] in styles::<2>(), count in 2usize..9) {
            let (a, b) = (a.or(&b)?, b.or(&a)?);
            assert_same(&a.blend(&b, 0.0)?, &a);
            assert_same(&a.blend(&b, 1.0)?, &b);
            let line: Vec<Style> = a.interpolate(&b, count)?.collect();
            prop_assert_eq!(line.len(), count);
            assert_same(&line[0], &a);
            assert_same(&line[count - 1], &b);
            for (k, between) in (0..).zip(&line) {
                assert_same(between, &a.blend(&b, k as f32 / (count - 1) as f32)?);
            }
        }

        #[test]
        fn a_blend_lies_between_and_has_two_sides([a, b] in styles::<2>(), part in 0u16..=1024) {
            let weight = f32::from(part) / 1024.0;
            let blend = a.blend(&b, weight)?;
            assert_same(&blend, &b.blend(&a, 1.0 - weight)?);
            for class in 0..blend.rows() as u16 {
                match (a.row(class), b.row(class), blend.row(class)) {
                    (Some(a), Some(b), Some(mix)) => {
                        let mut triples = a.iter().zip(b).zip(mix);
                        prop_assert!(triples.all(|((a, b), mix)| a.min(*b) <= *mix && *mix <= a.max(*b)));
                    }
                    (one, other, mix) => prop_assert_eq!(mix.map(bits), one.or(other).map(bits)),
                }
            }
        }

        #[test]
        fn mixing_a_style_with_itself_changes_nothing(a in style(), weight in 0f32..=1.0, count in 1usize..9) {
            assert_same(&a.blend(&a, weight)?, &a);
            assert_same(&a.or(&a)?, &a);
            assert_same(&Style::mean(vec![&a; count])?, &a);
        }

        #[test]
        fn class_by_class_gives_the_whole_blend([a, b] in styles::<2>(), weight in 0f32..=1.0) {
            prop_assume!(a.kind() == StyleKind::Regions);
            let all = a.blend(&b, weight)?;
            let mut present = (0..a.rows() as u16).filter(|&class| all.is_present(class));
            let one_by_one = present.try_fold(a, |style, class| style.blend_class(class, &b, weight))?;
            assert_same(&one_by_one, &all);
        }

        #[test]
        fn filling_up_is_idempotent_and_associative([a, b, c] in styles::<3>()) {
            let filled = a.or(&b)?;
            assert_same(&filled.or(&b)?, &filled);
            assert_same(&filled.or(&c)?, &a.or(&b.or(&c)?)?);
            for class in 0..a.rows() as u16 {
                prop_assert_eq!(filled.row(class), a.row(class).or(b.row(class)));
            }
        }

        #[test]
        fn the_mean_of_two_is_half_way([a, b] in styles::<2>()) {
            assert_same(&Style::mean([&a, &b])?, &a.blend(&b, 0.5)?);
        }

        #[test]
        fn replacing_and_removing_touch_one_class([a, b] in styles::<2>(), class in 0u16..4, from in 0u16..4) {
            for (changed, expected) in [(a.with_class(class, &b, from), b.row(from)), (a.without(class), None)] {
                let Ok(changed) = changed else { continue };
                for other in 0..a.rows() as u16 {
                    prop_assert_eq!(changed.row(other), if other == class { expected } else { a.row(other) });
                }
            }
        }
    }
}
