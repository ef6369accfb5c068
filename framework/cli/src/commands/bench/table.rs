//! The result for a person at a terminal.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use gristmill_stage::option::ByteSize;

use super::job::duration;
use super::summary::{Round, Row, Spread, Verdict};
use crate::figures::{rate, time};

/// The columns.
pub const HEAD: [&str; 9] = [
    "variant",
    "rows/s",
    "spread",
    "ratio",
    "verdict",
    "p50/batch",
    "p99/batch",
    "CPU",
    "peak memory",
];

/// A row for each variant.
pub fn table(round: &Round) -> String {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_header(HEAD);
    for row in &round.variants {
        table.add_row(cells(row));
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        if index > 0 && index != 4 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

/// What the table says of a variant.
pub fn cells(row: &Row) -> [String; 9] {
    let name = row.variant.name.clone();
    if row.verdict == Verdict::Failed {
        let nothing = String::new;
        let words = row.verdict.words().to_owned();
        return [
            name,
            nothing(),
            nothing(),
            nothing(),
            words,
            nothing(),
            nothing(),
            nothing(),
            nothing(),
        ];
    }
    [
        name,
        per_second(row.rows_per_second.median),
        apart(row.rows_per_second),
        format!("{:.2}", row.ratio),
        row.verdict.words().to_owned(),
        seconds(row.p50_seconds),
        seconds(row.p99_seconds),
        format!("{} {}", seconds(row.cpu_seconds), apart(row.cpu_seconds)),
        format!("{} {}", bytes(row.peak_bytes.median), apart(row.peak_bytes)),
    ]
}

/// Rows per second.
pub fn per_second(value: f64) -> String {
    rate(value.round() as u64, duration(1.0))
}

/// A number of bytes in MiB.
pub fn bytes(value: f64) -> String {
    let whole = (value / f64::from(1 << 20)).round() as u64;
    ByteSize(whole << 20).to_string()
}

fn seconds(spread: Spread) -> String {
    time(duration(spread.median))
}

/// How far the least and the most lie from the middle.
fn apart(spread: Spread) -> String {
    let share = |value: f64| (value / spread.median.max(1e-12) - 1.0) * 100.0;
    format!("{:+.0}% {:+.0}%", share(spread.min), share(spread.max))
}
