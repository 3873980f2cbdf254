//! The statistics of a noisy machine: medians, their bootstrap intervals, and how fast something grows.
//!
//! Nothing here assumes how the noise is distributed. The generator has a fixed seed: the same values always give the
//! same interval.

/// Resamples of one interval; twice as many move its ends by less than its last printed digit.
const RESAMPLES: usize = 10_000;
/// What [`interval`] covers.
const COVERAGE: f64 = 0.95;
/// Any will do; it must only stay the same.
const SEED: u64 = 0x7769_7265_7370_616e;

/// The value in the middle, or between the two in the middle; NaN of nothing.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.get(sorted.len().saturating_sub(1) / 2), sorted.get(sorted.len() / 2)) {
        (Some(low), Some(high)) => (low + high) / 2.0,
        _ => f64::NAN,
    }
}

/// The bootstrap interval of the median (percentile method, 95 %): what the median could as well have been, judged by the
/// values' own spread. `None` for fewer than two values.
///
/// Source: B. Efron, R. Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
pub fn interval(values: &[f64]) -> Option<(f64, f64)> {
    if values.len() < 2 {
        return None;
    }
    let mut random = Random(SEED);
    let mut resample = vec![0.0; values.len()];
    let mut medians: Vec<f64> = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        resample.fill_with(|| values[random.below(values.len())]);
        medians.push(median(&resample));
    }
    medians.sort_by(f64::total_cmp);
    let outside = (1.0 - COVERAGE) / 2.0 * RESAMPLES as f64;
    let tail = outside.round() as usize;
    Some((medians[tail], medians[RESAMPLES - 1 - tail]))
}

/// The element that `share` (0 to 1) of the sorted values do not exceed (nearest rank); 0 of nothing.
pub fn percentile(sorted: &[u64], share: f64) -> u64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// The slope of the line through the logarithms (least squares): 0 for what stays, 1 for what grows in proportion, 2 for
/// its square. All values must be positive.
pub fn log_slope(points: &[(f64, f64)]) -> f64 {
    let logs: Vec<(f64, f64)> = points.iter().map(|&(x, y)| (x.ln(), y.ln())).collect();
    let count = logs.len() as f64;
    let mean_x = logs.iter().map(|point| point.0).sum::<f64>() / count;
    let mean_y = logs.iter().map(|point| point.1).sum::<f64>() / count;
    let shared = logs.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>();
    shared / logs.iter().map(|(x, _)| (x - mean_x).powi(2)).sum::<f64>()
}

/// `splitmix64` (G. Steele, D. Lea, C. Flood, OOPSLA 2014): small, and good enough to draw with.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `end - 1`; its bias is below `end` ÷ 2^64.
    fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_between_the_two_in_the_middle() {
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn the_generator_gives_the_published_sequence() {
        let mut random = Random(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn an_interval_is_the_same_every_time_and_holds_the_median() {
        let values = [0.61, 0.64, 0.66, 0.58, 0.65, 0.63, 0.90, 0.62];
        let (low, high) = interval(&values).expect("eight values");
        assert_eq!(interval(&values), Some((low, high)));
        assert!(low < median(&values) && median(&values) < high, "{low} {high}");
        assert!(high < 0.9, "one outlier moves neither the median nor, alone, its interval: {high}");
    }

    #[test]
    fn an_interval_misses_the_truth_about_once_in_twenty() {
        let mut random = Random(7);
        let trials = 400;
        let mut hits = 0;
        for _ in 0..trials {
            // The median of what is uniform between 0 and 1 is one half.
            let values: Vec<f64> = (0..9).map(|_| random.next() as f64 / u64::MAX as f64).collect();
            let (low, high) = interval(&values).expect("nine values");
            hits += u32::from(low <= 0.5 && 0.5 <= high);
        }
        let share = f64::from(hits) / f64::from(trials);
        assert!((0.90..=0.99).contains(&share), "{share}");
    }

    #[test]
    fn one_value_has_no_interval() {
        assert_eq!(interval(&[1.0]), None);
        assert_eq!(interval(&[1.0, 1.0]), Some((1.0, 1.0)));
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let values: Vec<u64> = (1..=100).collect();
        assert_eq!((percentile(&values, 0.5), percentile(&values, 0.99), percentile(&values, 1.0)), (50, 99, 100));
        assert_eq!(percentile(&[], 0.5), 0);
    }

    #[test]
    fn the_slope_of_the_logarithms_is_the_exponent() {
        let power = |exponent: f64| [1.0, 10.0, 100.0].map(|x: f64| (x, 3.0 * x.powf(exponent)));
        assert!((log_slope(&power(2.0)) - 2.0).abs() < 1e-9);
        assert!(log_slope(&power(0.0)).abs() < 1e-9);
    }
}
