//! Values by their size: in fixed buckets, and on request in buckets that grow by powers of two.

use wirespan_signals::{Exemplar, Exponential, Histogram};

/// The most buckets of an exponential histogram (Metrics SDK, *Base2 Exponential Bucket Histogram Aggregation*).
const MAX_BUCKETS: usize = 160;
/// Its finest resolution (the same).
const MAX_SCALE: i32 = 20;
/// Values are not told apart below what a scale of -10 does.
const MIN_SCALE: i32 = -10;
const EXEMPLAR: usize = size_of::<Exemplar>();

/// What an exponential histogram takes at most: a list has up to twice the room that it needs.
pub(crate) const EXPONENTIAL_BYTES: usize = size_of::<Exponential>() + 2 * MAX_BUCKETS * size_of::<u64>();

/// No value yet.
pub(crate) fn empty(bounds: &'static [f64], exponential: bool) -> Histogram {
    let exponential = exponential.then(|| Box::new(Exponential { scale: MAX_SCALE, ..Exponential::default() }));
    let counts = vec![0; bounds.len() + 1].into_boxed_slice();
    Histogram { bounds, counts, sum: 0.0, range: None, exponential, exemplars: Vec::new() }
}

/// Counts a value, which is finite and not below 0. Returns the bytes by which the histogram grew.
pub(crate) fn record(histogram: &mut Histogram, value: f64, exemplar: Option<Exemplar>) -> usize {
    let bucket = histogram.bounds.partition_point(|bound| *bound < value);
    histogram.counts[bucket] += 1;
    histogram.sum += value;
    histogram.range = Some(histogram.range.map_or((value, value), |(low, high)| (low.min(value), high.max(value))));
    let mut grown = 0;
    if let Some(exponential) = &mut histogram.exponential {
        // (What its buckets take is counted from the beginning.)
        count(exponential, value);
    }
    if let Some(exemplar) = exemplar {
        let same = |known: &&mut Exemplar| histogram.bounds.partition_point(|bound| *bound < known.value) == bucket;
        match histogram.exemplars.iter_mut().find(same) {
            Some(known) => *known = exemplar,
            None => {
                let before = histogram.exemplars.capacity();
                histogram.exemplars.push(exemplar);
                grown += (histogram.exemplars.capacity() - before) * EXEMPLAR;
            }
        }
    }
    grown
}

/// The bucket of a value at a scale: the greatest whole number that is less than the logarithm (Metrics data model,
/// *Exponential Buckets*: bounds belong to the bucket below).
fn index(value: f64, scale: i32) -> i32 {
    let (exponent, exact) = exponent(value);
    if scale <= 0 {
        return (exponent - i32::from(exact)) >> -scale;
    }
    if exact {
        // A power of two is a bound at every scale, and the logarithm could miss it.
        return (exponent << scale) - 1;
    }
    let low = exponent << scale;
    let high = low + (1 << scale) - 1;
    let fine = (value.log2() * f64::from(scale).exp2()).ceil() as i32 - 1;
    fine.clamp(low, high)
}

/// The power of two that is not greater than a value, and whether it is the value. (What is subnormal counts as the least
/// normal number.)
fn exponent(value: f64) -> (i32, bool) {
    let bits = value.max(f64::MIN_POSITIVE).to_bits();
    let exponent = (bits >> 52 & 0x7ff) as i32 - 1023;
    (exponent, bits & ((1 << 52) - 1) == 0)
}

fn count(all: &mut Exponential, value: f64) {
    if value == 0.0 {
        all.zero += 1;
        return;
    }
    let mut bucket = index(value, all.scale);
    if all.counts.is_empty() {
        all.offset = bucket;
    }
    let spread = |all: &Exponential, bucket: i32| {
        let last = i64::from(all.offset) + all.counts.len() as i64 - 1;
        last.max(bucket.into()) - i64::from(all.offset.min(bucket)) + 1
    };
    while spread(all, bucket) > MAX_BUCKETS as i64 && all.scale > MIN_SCALE {
        coarsen(all, all.scale - 1);
        bucket = index(value, all.scale);
    }
    if bucket < all.offset {
        let missing = (all.offset - bucket) as usize;
        all.counts.splice(0..0, std::iter::repeat_n(0, missing));
        all.offset = bucket;
    }
    let at = (bucket - all.offset) as usize;
    if at >= all.counts.len() {
        all.counts.resize(at + 1, 0);
    }
    all.counts[at] += 1;
}

/// Brings the buckets to a scale that is not finer than theirs.
pub(crate) fn coarsen(all: &mut Exponential, scale: i32) {
    let by = all.scale - scale;
    if by <= 0 {
        return;
    }
    let first = all.offset >> by;
    let mut counts: Vec<u64> = Vec::with_capacity(all.counts.len());
    for (at, n) in all.counts.iter().enumerate() {
        let to = (((all.offset + at as i32) >> by) - first) as usize;
        if to >= counts.len() {
            counts.resize(to + 1, 0);
        }
        counts[to] += n;
    }
    *all = Exponential { scale, zero: all.zero, offset: first, counts };
}

/// What came since an earlier reading of the same histogram.
pub fn since(now: &Histogram, before: &Histogram) -> Histogram {
    let counts = now.counts.iter().zip(&before.counts).map(|(now, before)| now.saturating_sub(*before)).collect();
    let exponential = now.exponential.as_deref().map(|now| {
        let mut earlier = before.exponential.as_deref().cloned().unwrap_or_default();
        coarsen(&mut earlier, now.scale);
        let mut rest = now.clone();
        rest.zero = rest.zero.saturating_sub(earlier.zero);
        for (at, n) in earlier.counts.iter().enumerate() {
            let place = usize::try_from(earlier.offset + at as i32 - rest.offset).ok();
            if let Some(count) = place.and_then(|place| rest.counts.get_mut(place)) {
                *count = count.saturating_sub(*n);
            }
        }
        Box::new(rest)
    });
    let new = |one: &&Exemplar| !before.exemplars.contains(one);
    let exemplars = now.exemplars.iter().filter(new).copied().collect();
    // (Of the values that came since, neither the least nor the greatest is known.)
    Histogram { bounds: now.bounds, counts, sum: now.sum - before.sum, range: None, exponential, exemplars }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: &[f64] = &[1.0, 2.0, 5.0];

    fn of(values: &[f64], exponential: bool) -> Histogram {
        let mut histogram = empty(BOUNDS, exponential);
        for value in values {
            record(&mut histogram, *value, None);
        }
        histogram
    }

    #[test]
    fn a_bound_belongs_to_its_bucket_and_what_is_beyond_all_has_one_too() {
        let histogram = of(&[0.0, 1.0, 1.1, 2.0, 5.0, 5.1, 100.0], false);
        assert_eq!(*histogram.counts, [2, 2, 1, 2]);
        assert_eq!((histogram.count(), histogram.range), (7, Some((0.0, 100.0))));
        assert!((histogram.sum - 114.2).abs() < 1e-9);
    }

    #[test]
    fn of_each_bucket_the_newest_example_is_kept() {
        let mut histogram = empty(BOUNDS, false);
        let exemplar = |value, n| Exemplar { value, time_unix_nano: n, trace_id: [1; 16], span_id: [n as u8; 8] };
        for (value, n) in [(0.5, 1), (4.0, 2), (0.7, 3)] {
            record(&mut histogram, value, Some(exemplar(value, n)));
        }
        record(&mut histogram, 0.1, None);
        assert_eq!(histogram.exemplars, [exemplar(0.7, 3), exemplar(4.0, 2)]);
    }

    /// The bounds of a bucket, as the data model defines them.
    fn bounds(all: &Exponential, at: usize) -> (f64, f64) {
        let base = f64::from(-all.scale).exp2().exp2();
        let number = all.offset + at as i32;
        (base.powi(number), base.powi(number + 1))
    }

    #[test]
    fn every_value_lies_within_the_bounds_of_an_exponential_bucket() {
        let values: Vec<f64> = (0..4000).map(|n| 1e-6 * 1.005_f64.powi(n)).collect();
        let histogram = of(&values, true);
        let all = histogram.exponential.as_deref().unwrap();
        assert!(all.counts.len() <= MAX_BUCKETS, "{}", all.counts.len());
        assert_eq!(all.counts.iter().sum::<u64>(), 4000);
        for (at, n) in all.counts.iter().enumerate() {
            let (low, high) = bounds(all, at);
            let inside = values.iter().filter(|v| **v > low * (1.0 - 1e-9) && **v <= high * (1.0 + 1e-9)).count();
            assert_eq!(inside as u64, *n, "bucket {at} from {low} to {high}");
        }
    }

    #[test]
    fn powers_of_two_belong_to_the_bucket_below() {
        for scale in [-2, -1, 0, 1, 5, 20] {
            for power in -20..20_i32 {
                let (at, above) =
                    (index(f64::from(power).exp2(), scale), index(f64::from(power).exp2() * 1.000_01, scale));
                let expected = if scale <= 0 { (power - 1) >> -scale } else { (power << scale) - 1 };
                assert_eq!(at, expected, "2^{power} at {scale}");
                assert!(above >= at);
            }
        }
    }

    #[test]
    fn zeros_are_counted_apart_and_the_range_of_all_numbers_fits() {
        let histogram = of(&[0.0, f64::MIN_POSITIVE, 1e300, 1.0], true);
        let all = histogram.exponential.unwrap();
        assert_eq!((all.zero, all.counts.iter().sum::<u64>()), (1, 3));
        assert!(all.counts.len() <= MAX_BUCKETS);
    }

    #[test]
    fn what_came_since_is_what_one_began_anew_would_have() {
        let (first, second) = ([0.5, 3.0, 0.0], [7.0, 0.001, 3.0, 900.0]);
        let before = of(&first, true);
        let all: Vec<f64> = first.iter().chain(&second).copied().collect();
        let (rest, anew) = (since(&of(&all, true), &before), of(&second, true));
        assert_eq!(rest.counts, anew.counts);
        assert!((rest.sum - anew.sum).abs() < 1e-9);
        let (rest, mut anew) = (rest.exponential.unwrap(), *anew.exponential.unwrap());
        coarsen(&mut anew, rest.scale);
        assert_eq!(rest.zero, anew.zero);
        let told = |all: &Exponential| -> Vec<(i32, u64)> {
            let each = all.counts.iter().enumerate().map(|(at, n)| (all.offset + at as i32, *n));
            each.filter(|(_, n)| *n > 0).collect()
        };
        assert_eq!(told(&rest), told(&anew));
    }
}
