//! Numbers as people read them.

use std::time::Duration;

/// `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Rows in a time, as `12,345`, `1.23M`.
pub fn rate(rows: u64, time: Duration) -> String {
    per_second(rows as f64 / time.as_secs_f64().max(1e-9))
}

/// Rows per second, as `12,345`, `1.23M`.
pub fn per_second(rate: f64) -> String {
    match rate {
        rate if rate <= 0.0 || !rate.is_finite() => "0".to_owned(),
        rate if rate >= 1e9 => format!("{:.2}G", rate / 1e9),
        rate if rate >= 1e6 => format!("{:.2}M", rate / 1e6),
        rate if rate >= 10.0 => count(rate.round() as u64),
        rate => format!("{rate:.1}"),
    }
}

/// A time with three digits: `412ns`, `1.23ms`, `45.6s`.
pub fn time(time: Duration) -> String {
    let (value, unit) = match time.as_secs_f64() {
        s if s >= 1.0 => (s, "s"),
        s if s >= 1e-3 => (s * 1e3, "ms"),
        s if s >= 1e-6 => (s * 1e6, "µs"),
        s => (s * 1e9, "ns"),
    };
    match value {
        value if value >= 100.0 || unit == "ns" => format!("{value:.0}{unit}"),
        value if value >= 10.0 => format!("{value:.1}{unit}"),
        value => format!("{value:.2}{unit}"),
    }
}

/// Whole percents.
pub fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        let second = Duration::from_secs(1);
        assert_eq!(
            [0, 5, 12_345, 1_230_000].map(|n| rate(n, second)),
            ["0", "5.0", "12,345", "1.23M"]
        );
        let times = [412, 1_230, 45_600_000, 45_600_000_000].map(Duration::from_nanos);
        assert_eq!(times.map(time), ["412ns", "1.23µs", "45.6ms", "45.6s"]);
    }
}
