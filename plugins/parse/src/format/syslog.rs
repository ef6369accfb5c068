//! Lines of syslog. The two standards, and what daemons make of them, are told apart by their
//! beginning: a priority and a version, or a priority (or none) and a time.

use std::time::SystemTime;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use gristmill_stage::Result;
use gristmill_stage::option::ColumnType;

use super::parts::{Part, Takers};
use super::{Extract, Found, Locator, line};
use crate::cells::{Cells, Misfit};
use crate::options::Options;
use crate::time::{Zone, month, number};

const FACILITY: usize = 0;
const SEVERITY: usize = 1;
const TIME: usize = 2;
const HOST: usize = 3;
const APP: usize = 4;
const PID: usize = 5;
const MSGID: usize = 6;
const DATA: usize = 7;
const MESSAGE: usize = 8;
const PRIORITY: usize = 9;
const VERSION: usize = 10;

const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];
const SEVERITIES: [&str; 8] =
    ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];
/// How far a clock elsewhere may be ahead of ours, when a time has no year.
const AHEAD: TimeDelta = TimeDelta::days(1);

/// Checks the fields.
pub(super) fn compile(options: &Options) -> Result<Found> {
    let parts = [
        Part::new("facility"),
        Part::new("severity"),
        Part::of("time", ColumnType::Timestamp),
        Part::new("host"),
        Part::new("app"),
        Part::new("pid"),
        Part::new("msgid"),
        Part::of("data", ColumnType::Json),
        Part::new("message"),
        Part::of("priority", ColumnType::Int64).hidden(),
        Part::of("version", ColumnType::Int64).hidden(),
    ];
    let (fields, takers) = Takers::new(options, Locator::Key, &parts)?;
    let extract = Syslog { takers, now: DateTime::UNIX_EPOCH, data: String::new() };
    Ok(Found { fields, extract: Box::new(extract) })
}

struct Syslog {
    takers: Takers,
    now: DateTime<Utc>,
    /// The structured data at hand as JSON.
    data: String,
}

impl Extract for Syslog {
    fn now(&mut self, time: SystemTime) {
        self.now = time.into();
    }

    fn extract(&mut self, text: &str, cells: &mut Cells) -> Result<(), Misfit> {
        let (priority, rest) = priority(line(text))?;
        if let Some((text, number)) = priority {
            self.takers.put(FACILITY, FACILITIES.get(number / 8).unwrap_or(&"unknown"), cells)?;
            self.takers.put(SEVERITY, SEVERITIES[number % 8], cells)?;
            self.takers.put(PRIORITY, text, cells)?;
        }
        match rest.split_once(' ') {
            Some((version, rest)) if priority.is_some() && is_version(version) => {
                self.takers.put(VERSION, version, cells)?;
                self.structured(rest, cells)
            }
            _ => self.traditional(rest, cells),
        }
    }
}

impl Syslog {
    /// RFC 5424, after the version.
    fn structured(&mut self, text: &str, cells: &mut Cells) -> Result<(), Misfit> {
        let mut rest = text;
        for (part, what) in
            [(TIME, "time"), (HOST, "host"), (APP, "app"), (PID, "pid"), (MSGID, "msgid")]
        {
            let (word, after) = rest.split_once(' ').ok_or_else(|| {
                Misfit(format!("the line is not RFC 5424: it ends before or with its {what}"))
            })?;
            self.takers.put(part, word, cells)?;
            rest = after;
        }
        let message = match rest.strip_prefix('-') {
            Some(after) => after,
            None => {
                self.data.clear();
                let after = structured_data(rest, &mut self.data)
                    .ok_or_else(|| Misfit("the structured data is not closed".to_owned()))?;
                self.takers.put(DATA, &self.data, cells)?;
                after
            }
        };
        match message.strip_prefix(' ') {
            None if message.is_empty() => Ok(()),
            None => Err(Misfit("the structured data goes on after its end".to_owned())),
            Some(message) => {
                let message = message.strip_prefix('\u{feff}').unwrap_or(message);
                self.takers.put(MESSAGE, message, cells)
            }
        }
    }

    /// RFC 3164, after the priority: a time, a host, and a message that begins with `app[pid]:`.
    fn traditional(&mut self, text: &str, cells: &mut Cells) -> Result<(), Misfit> {
        let none = || Misfit("the line is not syslog: it does not begin with a time".to_owned());
        let (time, rest) = time_of(text).ok_or_else(none)?;
        let now = self.now;
        for index in self.takers.of(TIME) {
            cells.put_time(*index, time, |zone| match moment(time) {
                Some(moment) => with_year(moment, now, zone),
                None => zone.rfc3339(time),
            })?;
        }
        let (host, message) = rest
            .split_once(' ')
            .ok_or_else(|| Misfit("the line is not syslog: it ends with its host".to_owned()))?;
        self.takers.put(HOST, host, cells)?;
        let (app, pid, message) = tag(message);
        for (part, text) in [(APP, app), (PID, pid), (MESSAGE, Some(message))] {
            if let Some(text) = text {
                self.takers.put(part, text, cells)?;
            }
        }
        Ok(())
    }
}

/// A priority, as text and as a number.
type Priority<'a> = Option<(&'a str, usize)>;

/// The priority in `<…>`, if the text begins with one; and the rest.
fn priority(text: &str) -> Result<(Priority<'_>, &str), Misfit> {
    let Some(inside) = text.strip_prefix('<') else {
        return Ok((None, text));
    };
    let wrong = || Misfit("the line is not syslog: `<` is not followed by a priority".to_owned());
    let (digits, rest) = inside.split_once('>').ok_or_else(wrong)?;
    if digits.is_empty() || digits.len() > 3 {
        return Err(wrong());
    }
    let number =
        number(digits.as_bytes()).and_then(|n| usize::try_from(n).ok()).ok_or_else(wrong)?;
    if number >= 8 * FACILITIES.len() {
        return Err(Misfit(format!("the priority {number} is larger than 191")));
    }
    Ok((Some((digits, number)), rest))
}

fn is_version(text: &str) -> bool {
    text.len() <= 2 && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The time at the start of a line, and what follows the space after it.
fn time_of(text: &str) -> Option<(&str, &str)> {
    if text.as_bytes().first()?.is_ascii_digit() {
        return text.split_once(' ');
    }
    // `Oct  9 22:14:15`, always 15 bytes.
    let (time, rest) = (text.get(..15)?, text.get(15..)?);
    moment(time)?;
    // Some daemons put a colon after the time.
    Some((time, rest.strip_prefix(':').unwrap_or(rest).strip_prefix(' ')?))
}

/// Month, day, and seconds of the day.
#[derive(Clone, Copy)]
struct Moment {
    month: u32,
    day: u32,
    time: chrono::NaiveTime,
}

fn moment(text: &str) -> Option<Moment> {
    let b: &[u8; 15] = text.as_bytes().try_into().ok()?;
    if [b[3], b[6], b[9], b[12]] != *b"  ::" {
        return None;
    }
    let two = |at: usize| number(&b[at..at + 2]).and_then(|n| u32::try_from(n).ok());
    let day = match b[4] {
        b' ' => number(&b[5..6]).and_then(|n| u32::try_from(n).ok())?,
        _ => two(4)?,
    };
    let month = u32::try_from(month(&b[..3])?).ok()?;
    let time = chrono::NaiveTime::from_hms_opt(two(7)?, two(10)?, two(13)?)?;
    // Any leap year will do to see that there is such a day.
    NaiveDate::from_ymd_opt(2000, month, day)?;
    Some(Moment { month, day, time })
}

/// The last time of that name that is not in the future.
fn with_year(moment: Moment, now: DateTime<Utc>, zone: Zone) -> Option<i64> {
    let latest: NaiveDateTime = zone.local(now).checked_add_signed(AHEAD)?;
    let year = latest.year();
    // A 29 February may be eight years away.
    let time = (year - 8..=year).rev().find_map(|year| {
        let date = NaiveDate::from_ymd_opt(year, moment.month, moment.day)?;
        Some(date.and_time(moment.time)).filter(|time| *time <= latest)
    })?;
    zone.micros(time)
}

/// `app[pid]: message`, taken apart; all is message when it does not begin like this.
fn tag(text: &str) -> (Option<&str>, Option<&str>, &str) {
    let end = text.find([':', '[', ' ']).unwrap_or(text.len());
    let (app, rest) = text.split_at(end);
    let plain = (None, None, text);
    if app.is_empty() {
        return plain;
    }
    let (pid, rest) = match rest.strip_prefix('[') {
        None => (None, rest),
        Some(inside) => match inside.split_once(']') {
            Some((pid, rest)) if !pid.contains(' ') => (Some(pid), rest),
            _ => return plain,
        },
    };
    match rest.strip_prefix(':') {
        Some(message) => (Some(app), pid, message.strip_prefix(' ').unwrap_or(message)),
        None if pid.is_some() => (Some(app), pid, rest.strip_prefix(' ').unwrap_or(rest)),
        None => plain,
    }
}

/// Writes `[id name="value" …]…` as JSON, an object of objects. What follows it, if it is closed.
fn structured_data<'a>(text: &'a str, json: &mut String) -> Option<&'a str> {
    let mut rest = text;
    json.push('{');
    while let Some(inside) = rest.strip_prefix('[') {
        if json.len() > 1 {
            json.push(',');
        }
        let end = inside.find([' ', ']'])?;
        push_json(json, &inside[..end]);
        json.push_str(":{");
        rest = &inside[end..];
        let mut first = true;
        loop {
            rest = rest.trim_start_matches(' ');
            if let Some(after) = rest.strip_prefix(']') {
                rest = after;
                break;
            }
            let (name, after) = rest.split_once("=\"")?;
            let (value, after) = value(after)?;
            if !first {
                json.push(',');
            }
            first = false;
            push_json(json, name);
            json.push(':');
            push_json(json, &value);
            rest = after;
        }
        json.push('}');
    }
    json.push('}');
    (json.len() > 2).then_some(rest)
}

/// The value up to its quote. A backslash stands before `"`, `\` and `]` that are meant.
fn value(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let at = memchr::memchr2(b'"', b'\\', rest.as_bytes())?;
        value.push_str(&rest[..at]);
        let mark = rest.as_bytes()[at];
        rest = &rest[at + 1..];
        if mark == b'"' {
            return Some((value, rest));
        }
        if !rest.starts_with(['"', '\\', ']']) {
            value.push('\\');
            continue;
        }
        value.push_str(&rest[..1]);
        rest = &rest[1..];
    }
}

fn push_json(json: &mut String, text: &str) {
    // A text is always JSON.
    json.push_str(&serde_json::to_string(text).unwrap_or_default());
}
