//! Texts into numbers, sizes, times and switches. Each error is the rest of a sentence that begins with the value.

use std::time::Duration;

/// `true`/`false` and the words that people use for them.
pub fn switch(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("is neither true nor false".to_string()),
    }
}

/// A whole number within limits.
pub fn count(text: &str, low: u64, high: u64) -> Result<u64, String> {
    let digits = text.trim().replace('_', "");
    let number = digits.parse::<u64>().map_err(|_| format!("is not a whole number; write one from {low} to {high}"))?;
    within(number, low, high, |n| n.to_string())
}

/// Bytes within limits: `65536`, `64KiB`, `8MiB`, `1GiB`; `K`, `M`, `G` mean the same.
pub fn size(text: &str, low: u64, high: u64) -> Result<u64, String> {
    let (number, unit) = split_unit(text);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "k" | "kib" | "kb" => Some(1 << 10),
        "m" | "mib" | "mb" => Some(1 << 20),
        "g" | "gib" | "gb" => Some(1 << 30),
        _ => None,
    };
    let bytes = number.zip(factor).and_then(|(number, factor): (f64, u64)| whole(number * factor as f64));
    let bytes = bytes.ok_or("is not a size; write bytes, or a number with KiB, MiB or GiB, such as 64KiB")?;
    within(bytes, low, high, show_size)
}

/// A time within limits, which are milliseconds: `250ms`, `2s`, `10m`, `1h`; a number alone is milliseconds.
pub fn time(text: &str, low: u64, high: u64) -> Result<Duration, String> {
    let (number, unit) = split_unit(text);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "ms" => Some(1.0),
        "s" | "sec" => Some(1e3),
        "m" | "min" => Some(6e4),
        "h" => Some(3.6e6),
        _ => None,
    };
    let millis = number.zip(factor).and_then(|(number, factor)| whole(number * factor));
    let millis = millis.ok_or("is not a time; write a number with ms, s, m or h, such as 250ms or 10s")?;
    within(millis, low, high, show_time).map(Duration::from_millis)
}

/// One of a few words.
pub fn choice(text: &str, words: &[&'static str]) -> Result<&'static str, String> {
    let text = text.trim();
    words
        .iter()
        .find(|word| word.eq_ignore_ascii_case(text))
        .copied()
        .ok_or_else(|| format!("is not one of {}", words.join(", ")))
}

fn split_unit(text: &str) -> (Option<f64>, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    (text[..end].parse().ok(), text[end..].trim())
}

/// A number without a fraction, if it is one and fits.
fn whole(number: f64) -> Option<u64> {
    (number.is_finite() && number.fract() == 0.0 && number < 9e15).then_some(number as u64)
}

fn within(number: u64, low: u64, high: u64, show: impl Fn(u64) -> String) -> Result<u64, String> {
    if (low..=high).contains(&number) {
        return Ok(number);
    }
    Err(format!("is out of range; choose from {} to {}", show(low), show(high)))
}

/// Bytes as people write them.
pub fn show_size(bytes: u64) -> String {
    match bytes {
        b if b >= 1 << 30 && b.is_multiple_of(1 << 30) => format!("{}GiB", b >> 30),
        b if b >= 1 << 20 && b.is_multiple_of(1 << 20) => format!("{}MiB", b >> 20),
        b if b >= 1 << 10 && b.is_multiple_of(1 << 10) => format!("{}KiB", b >> 10),
        b => b.to_string(),
    }
}

/// Milliseconds as people write them.
pub fn show_time(millis: u64) -> String {
    match millis {
        0 => "0ms".to_string(),
        t if t.is_multiple_of(3_600_000) => format!("{}h", t / 3_600_000),
        t if t.is_multiple_of(60_000) => format!("{}m", t / 60_000),
        t if t.is_multiple_of(1_000) => format!("{}s", t / 1_000),
        t => format!("{t}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_and_a_bare_number_is_milliseconds() {
        let parse = |text| time(text, 0, 86_400_000).map(|t| t.as_millis());
        assert_eq!(parse("250"), Ok(250));
        assert_eq!(parse("250ms"), Ok(250));
        assert_eq!(parse("1.5s"), Ok(1500));
        assert_eq!(parse(" 10 m "), Ok(600_000));
        assert_eq!(parse("1h"), Ok(3_600_000));
        for bad in ["", "soon", "1d", "-1s", "0.0001s", "1e3s", "."] {
            assert!(parse(bad).unwrap_err().contains("is not a time"), "{bad}");
        }
    }

    #[test]
    fn sizes_have_units() {
        let parse = |text| size(text, 0, 1 << 40);
        assert_eq!(parse("4096"), Ok(4096));
        assert_eq!(parse("64KiB"), Ok(65_536));
        assert_eq!(parse("0.5 MiB"), Ok(524_288));
        assert!(parse("8 megs").unwrap_err().contains("is not a size"));
    }

    #[test]
    fn what_is_out_of_range_is_told_the_range() {
        assert_eq!(size("1MiB", 64, 4096).unwrap_err(), "is out of range; choose from 64 to 4KiB");
        assert_eq!(time("2m", 0, 60_000).unwrap_err(), "is out of range; choose from 0ms to 1m");
        assert_eq!(count("x", 1, 9).unwrap_err(), "is not a whole number; write one from 1 to 9");
    }

    #[test]
    fn switches_know_the_usual_words() {
        for (text, value) in [("true", true), ("Yes", true), ("1", true), ("off", false), ("no", false)] {
            assert_eq!(switch(text), Ok(value));
        }
        assert!(switch("maybe").is_err());
    }
}
