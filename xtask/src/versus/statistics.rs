//! Medians and ratios.
use anyhow::{Context, Result};

/// The middle value, or the mean of the two in the middle; none of nothing.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    Some(if sorted.len() % 2 == 1 { upper } else { f64::midpoint(sorted[middle - 1], upper) })
}

/// The median of what was measured.
///
/// # Errors
/// Nothing was.
pub(crate) fn median_of(measured: &[f64]) -> Result<f64> {
    median(measured.iter().copied()).context("nothing was measured")
}

/// `left : right` with the smaller side 1.
pub(crate) fn ratio(left: f64, right: f64) -> String {
    if !(left > 0.0 && right > 0.0) {
        return "-".to_owned();
    }
    if left >= right { format!("{:.1} : 1", left / right) } else { format!("1 : {:.1}", right / left) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_stands_in_the_middle() {
        assert_eq!(median([]), None);
        assert_eq!(median([3.0]), Some(3.0));
        assert_eq!(median([9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 100.0]), Some(3.0));
    }

    #[test]
    fn the_smaller_side_is_one() {
        assert_eq!(ratio(30.0, 6.0), "5.0 : 1");
        assert_eq!(ratio(10.0, 25.0), "1 : 2.5");
        assert_eq!(ratio(7.0, 7.0), "1.0 : 1");
        assert_eq!(ratio(7.0, 0.0), "-");
    }
}
