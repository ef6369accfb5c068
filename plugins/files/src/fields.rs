//! Records of CSV with the wanted fields alone.
//!
//! The decoder of CSV takes a record apart byte by byte, also the fields that nobody asked for. Here
//! their ends are looked for, many bytes at once.

use std::ops::Range;

use memchr::memchr;

use crate::decode::without_end;

/// The fields at these places of each record, in this order, as CSV. `None` when a record does not
/// have `width` fields, or is too odd: the decoder tells what is wrong with it.
pub(crate) fn narrow(
    text: &[u8],
    records: &[Range<usize>],
    delimiter: u8,
    width: usize,
    wanted: &[usize],
) -> Option<Vec<u8>> {
    let mut narrow = Vec::new();
    let mut spans: Vec<Range<usize>> = vec![0..0; width];
    for record in records {
        let record = without_end(&text[record.clone()]);
        if record.is_empty() {
            continue;
        }
        cut(record, delimiter, &mut spans)?;
        for (n, at) in wanted.iter().enumerate() {
            if n > 0 {
                narrow.push(delimiter);
            }
            match &record[spans.get(*at)?.clone()] {
                // An empty line would be no record.
                [] if wanted.len() == 1 => narrow.extend_from_slice(b"\"\""),
                field => narrow.extend_from_slice(field),
            }
        }
        narrow.push(b'\n');
    }
    Some(narrow)
}

/// Finds the fields of a record, with their quotes.
fn cut(record: &[u8], delimiter: u8, fields: &mut [Range<usize>]) -> Option<()> {
    let mut start = 0;
    let (last, others) = fields.split_last_mut()?;
    for field in others {
        let end = start + end(&record[start..], delimiter)?;
        *field = start..end;
        start = end + 1;
    }
    *last = start..record.len();
    end(&record[start..], delimiter).is_none().then_some(())?;
    // A quote that is open at the end has taken a line end with it, or the end of the file.
    let rest = &record[start..];
    (!rest.starts_with(b"\"") || closed(rest).is_some()).then_some(())
}

/// Where the delimiter after the first field is.
fn end(record: &[u8], delimiter: u8) -> Option<usize> {
    let from = match record.first() {
        Some(b'"') => closed(record)?,
        _ => 0,
    };
    memchr(delimiter, &record[from..]).map(|at| from + at)
}

/// What follows the quotes that the text begins with; two in a row stand for one inside.
fn closed(text: &[u8]) -> Option<usize> {
    let mut from = 1;
    loop {
        let quote = from + memchr(b'"', text.get(from..)?)?;
        if text.get(quote + 1) != Some(&b'"') {
            return Some(quote + 1);
        }
        from = quote + 2;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_schema::{DataType, Field, Schema};
    use proptest::prelude::*;

    use super::*;
    use crate::decode::Csv;
    use crate::records::{Ends, Part, Records};

    const NAMES: [&str; 3] = ["a", "b", "c"];

    /// The records of a text, and the text that their ranges are of.
    fn records(text: &str) -> (Vec<u8>, Vec<Range<usize>>) {
        let input = Box::new(std::io::Cursor::new(text.as_bytes().to_vec()));
        let mut all = Records::new(input, Ends::Csv { delimiter: b',' }, 1 << 20);
        match all.next(1000, 1 << 20).expect("in memory") {
            Part::Records { records, .. } => (all.text().to_vec(), records),
            _ => (Vec::new(), Vec::new()),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

        #[test]
        fn narrow_records_have_the_values_of_whole_ones(
            text in prop::collection::vec(
                prop::sample::select(vec![",", ",", "\"", "\"\"", "\n", "\r\n", "x", "1", "ü", " "]),
                0..40,
            ).prop_map(|parts| parts.concat()),
            wanted in prop::sample::subsequence(vec![0, 1, 2], 1..3),
        ) {
            let (text, records) = records(&text);
            let names = NAMES.map(str::to_owned);
            let field = |at: &usize| Field::new(NAMES[*at], DataType::Utf8, true);
            let schema = Arc::new(Schema::new(wanted.iter().map(field).collect::<Vec<_>>()));
            let csv = Csv::new(schema, &names, b',').expect("the columns are there");
            for record in &records {
                let record = std::slice::from_ref(record);
                if let Some(narrow) = narrow(&text, record, b',', 3, &wanted) {
                    let whole = csv.whole(&text[record[0].clone()], 1);
                    prop_assert_eq!(csv.narrowed().whole(&narrow, 1), whole);
                }
            }
        }
    }

    #[test]
    fn most_records_can_be_narrowed() {
        let text = b"1,\"a,\"\"b\"\"\",\n\n2,c\"d,\"\"\r\n";
        let records = [0..13, 13..14, 14..23];
        let narrow = |wanted: &[usize]| narrow(text, &records, b',', 3, wanted);
        assert_eq!(narrow(&[1]).as_deref(), Some(&b"\"a,\"\"b\"\"\"\nc\"d\n"[..]));
        assert_eq!(narrow(&[2]).as_deref(), Some(&b"\"\"\n\"\"\n"[..]));
        assert_eq!(narrow(&[2, 0]).as_deref(), Some(&b",1\n\"\",2\n"[..]));
        assert_eq!(super::narrow(text, &records, b',', 4, &[0]), None);
    }
}
