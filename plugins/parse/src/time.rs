//! Times: layouts as in `strftime`, and the zone of those that name none.

use arrow_array::timezone::Tz;
use arrow_cast::parse::string_to_datetime;
use chrono::format::{Item, Parsed, StrftimeItems};
use chrono::{LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc};
use gristmill_stage::{Error, Result};

/// The layout of access logs, which is read by hand: it is the slowest field of the line otherwise.
pub(crate) const ACCESS_LOG: &str = "%d/%b/%Y:%H:%M:%S %z";
const MICROS: i64 = 1_000_000;

/// The zone of times that are written without one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Zone(Option<Tz>);

impl Zone {
    /// The zone that stands at `path` in the options.
    pub(crate) fn new(name: Option<&str>, path: &str) -> Result<Self> {
        let Some(name) = name else {
            return Ok(Self(None));
        };
        match name.parse() {
            Ok(zone) => Ok(Self(Some(zone))),
            Err(_) => Err(Error::option(path, format!("`{name}` is not a time zone"))
                .help("write it like `Europe/Berlin` or `+02:00`")),
        }
    }

    /// Microseconds since 1970 of this time of day in the zone. None for a time that is left out
    /// when clocks are set forward.
    pub(crate) fn micros(self, local: NaiveDateTime) -> Option<i64> {
        let Some(zone) = self.0 else {
            return Some(local.and_utc().timestamp_micros());
        };
        match zone.from_local_datetime(&local) {
            LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => {
                Some(time.timestamp_micros())
            }
            LocalResult::None => None,
        }
    }

    /// The time in RFC 3339, or like it but without an offset.
    pub(crate) fn rfc3339(self, text: &str) -> Option<i64> {
        let micros = match self.0 {
            None => string_to_datetime(&Utc, text).ok()?.timestamp_micros(),
            Some(zone) => string_to_datetime(&zone, text).ok()?.timestamp_micros(),
        };
        Some(micros)
    }

    /// The time of day in the zone.
    pub(crate) fn local(self, time: chrono::DateTime<Utc>) -> NaiveDateTime {
        match self.0 {
            None => time.naive_utc(),
            Some(zone) => time.with_timezone(&zone).naive_local(),
        }
    }
}

/// A `strftime` layout, taken apart once.
#[derive(Debug, Clone)]
pub(crate) enum TimeLayout {
    /// That of access logs, and for what is written a little differently the same as any other.
    AccessLog(Vec<Item<'static>>),
    Items(Vec<Item<'static>>),
}

impl TimeLayout {
    /// None when it is not a layout.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let items = StrftimeItems::new(text).parse_to_owned().ok()?;
        Some(if text == ACCESS_LOG { Self::AccessLog(items) } else { Self::Items(items) })
    }

    fn read(items: &[Item<'static>], text: &str) -> Option<Parsed> {
        let mut parsed = Parsed::new();
        chrono::format::parse(&mut parsed, text, items.iter()).ok()?;
        Some(parsed)
    }

    /// Microseconds since 1970.
    pub(crate) fn micros(&self, text: &str, zone: Zone) -> Option<i64> {
        let items = match self {
            Self::AccessLog(items) => match access_log(text) {
                Some((local, offset)) => return Some(local - offset),
                None => items,
            },
            Self::Items(items) => items,
        };
        let parsed = Self::read(items, text)?;
        match parsed.to_datetime() {
            Ok(time) => Some(time.timestamp_micros()),
            // A layout without an offset, or without a time of day.
            Err(_) if parsed.offset().is_none() => {
                if let Some(seconds) = parsed.timestamp() {
                    let nanos = i64::from(parsed.nanosecond().unwrap_or_default());
                    return seconds.checked_mul(MICROS)?.checked_add(nanos / 1000);
                }
                match parsed.to_naive_datetime_with_offset(0) {
                    Ok(time) => zone.micros(time),
                    Err(_) if parsed.minute().is_none() && parsed.hour_mod_12().is_none() => {
                        zone.micros(parsed.to_naive_date().ok()?.and_time(NaiveTime::MIN))
                    }
                    Err(_) => None,
                }
            }
            Err(_) => None,
        }
    }

    /// Days since 1970, of the date as it is written.
    pub(crate) fn days(&self, text: &str) -> Option<i32> {
        let items = match self {
            Self::AccessLog(items) => match access_log(text) {
                Some((local, _)) => return i32::try_from(local.div_euclid(86_400 * MICROS)).ok(),
                None => items,
            },
            Self::Items(items) => items,
        };
        days_since_1970(Self::read(items, text)?.to_naive_date().ok()?)
    }
}

fn days_since_1970(date: NaiveDate) -> Option<i32> {
    let epoch = NaiveDate::from_ymd_opt(1970, 1, 1)?;
    i32::try_from(date.signed_duration_since(epoch).num_days()).ok()
}

/// `10/Oct/2000:13:55:36 -0700`: the time as written and its offset, both in microseconds.
fn access_log(text: &str) -> Option<(i64, i64)> {
    let b: &[u8; 26] = text.as_bytes().try_into().ok()?;
    let marks = [b[2], b[6], b[11], b[14], b[17], b[20]];
    if marks != *b"//::: " {
        return None;
    }
    let date = days(number(&b[7..11])?, month(&b[3..6])?, number(&b[..2])?)?;
    let (hour, minute, second) = (number(&b[12..14])?, number(&b[15..17])?, number(&b[18..20])?);
    let (east, minutes) = (number(&b[22..24])?, number(&b[24..26])?);
    // 60 is a leap second.
    if hour > 23 || minute > 59 || second > 60 || east > 23 || minutes > 59 {
        return None;
    }
    let offset = (east * 60 + minutes) * 60;
    let offset = match b[21] {
        b'+' => offset,
        b'-' => -offset,
        _ => return None,
    };
    let seconds = i64::from(date) * 86_400 + i64::from((hour * 60 + minute) * 60 + second);
    Some((seconds * MICROS, i64::from(offset) * MICROS))
}

/// A number of digits alone.
pub(crate) fn number(digits: &[u8]) -> Option<i32> {
    digits.iter().try_fold(0_i32, |sum, digit| {
        digit.is_ascii_digit().then(|| sum * 10 + i32::from(digit - b'0'))
    })
}

/// `Jan` is 1.
pub(crate) fn month(name: &[u8]) -> Option<i32> {
    const NAMES: [&[u8; 3]; 12] = [
        b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov",
        b"Dec",
    ];
    let at = NAMES.iter().position(|known| *known == name)?;
    i32::try_from(at + 1).ok()
}

fn days(year: i32, month: i32, day: i32) -> Option<i32> {
    let date = NaiveDate::from_ymd_opt(year, u32::try_from(month).ok()?, u32::try_from(day).ok()?)?;
    days_since_1970(date)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chrono(text: &str) -> Option<(i64, i32)> {
        let items = StrftimeItems::new(ACCESS_LOG).parse_to_owned().ok()?;
        let layout = TimeLayout::Items(items);
        Some((layout.micros(text, Zone::default())?, layout.days(text)?))
    }

    #[test]
    fn zones_hold_for_times_without_one() {
        let berlin = Zone::new(Some("Europe/Berlin"), "zone").expect("a zone");
        let layout = TimeLayout::new("%Y-%m-%d %H:%M").expect("a layout");
        let minutes = |text: &str| layout.micros(text, berlin).map(|micros| micros / 60 / MICROS);
        assert_eq!(minutes("1970-01-01 01:00"), Some(0));
        // In 2026 clocks skip from 2:00 to 3:00 on 29 March, and have 2:30 twice on 25 October.
        assert_eq!(minutes("2026-03-29 02:30"), None);
        let early = TimeLayout::new("%Y-%m-%d %H:%M %z").expect("a layout");
        assert_eq!(
            layout.micros("2026-10-25 02:30", berlin),
            early.micros("2026-10-25 02:30 +0200", berlin)
        );
        assert_eq!(berlin.rfc3339("1970-01-01T01:00:00"), Some(0));
        assert_eq!(berlin.rfc3339("1970-01-01T01:00:00Z"), Some(3600 * MICROS));
        let seconds = TimeLayout::new("%s").expect("a layout");
        assert_eq!(seconds.micros("7", berlin), Some(7 * MICROS));
        assert!(Zone::new(Some("Mars/Olympus"), "zone").is_err());
        assert!(Zone::new(Some("+02:00"), "zone").is_ok());
    }

    #[test]
    fn access_log_times_may_be_written_a_little_differently() {
        let layout = TimeLayout::new(ACCESS_LOG).expect("a layout");
        let usual = layout.micros("01/Jan/1970:01:00:00 +0100", Zone::default());
        assert_eq!(
            (usual, layout.micros("1/jan/1970:01:00:00 +01:00", Zone::default())),
            (Some(0), usual)
        );
    }

    proptest! {
        #[test]
        fn access_log_times_are_read_as_chrono_reads_them(
            day in 0..33, month in 0..12_usize, year in 1900..2100, hour in 0..25, minute in 0..61,
            second in 0..60, east in 0..24, west in any::<bool>(),
        ) {
            let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
            let sign = if west { '-' } else { '+' };
            let name = names[month];
            let text = format!("{day:02}/{name}/{year}:{hour:02}:{minute:02}:{second:02} {sign}{east:02}30");
            let own = access_log(&text)
                .map(|(local, offset)| (local - offset, (local.div_euclid(86_400 * MICROS)) as i32));
            prop_assert_eq!(own, chrono(&text), "{}", text);
        }
    }
}
