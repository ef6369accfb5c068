//! Each kind beside the plain way to do the same with vectors and sets.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::cmp::Ordering;
use std::collections::HashSet;

use arrow_array::ListArray;
use arrow_array::types::Int64Type;
use proptest::prelude::*;
use serde_json::json;

use common::{Row, batch, cut, places, rows, start, through};

/// Of two values: nulls last or first, and the others perhaps the other way round.
fn by<T>(
    a: Option<&T>,
    b: Option<&T>,
    desc: bool,
    first: bool,
    cmp: impl Fn(&T, &T) -> Ordering,
) -> Ordering {
    match (a, b) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) if first => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => by(b, a, desc, first, cmp).reverse(),
        (Some(a), Some(b)) if desc => cmp(b, a),
        (Some(a), Some(b)) => cmp(a, b),
    }
}

/// NaN is the largest, and there is one zero and one NaN.
fn fractions(a: &f64, b: &f64) -> Ordering {
    a.partial_cmp(b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

#[derive(Debug, Clone, Copy)]
struct Term {
    column: &'static str,
    desc: bool,
    first: bool,
}

impl Term {
    fn text(self) -> String {
        let (direction, nulls) =
            (if self.desc { " desc" } else { "" }, if self.first { " nulls first" } else { "" });
        format!("{}{direction}{nulls}", self.column)
    }

    fn compare(self, a: &Row, b: &Row) -> Ordering {
        match self.column {
            "k" => by(a.1.as_ref(), b.1.as_ref(), self.desc, self.first, i64::cmp),
            "x" => by(a.2.as_ref(), b.2.as_ref(), self.desc, self.first, fractions),
            _ => by(a.3.as_ref(), b.3.as_ref(), self.desc, self.first, String::cmp),
        }
    }
}

fn terms() -> impl Strategy<Value = Vec<Term>> {
    let column = prop::sample::select(vec!["k", "x", "s"]);
    let term = (column, any::<bool>(), any::<bool>());
    prop::collection::vec(term.prop_map(|(column, desc, first)| Term { column, desc, first }), 1..4)
}

fn sorted(rows: &[Row], terms: &[Term]) -> Vec<Row> {
    let mut sorted = rows.to_vec();
    let compare = |a: &Row, b: &Row| {
        terms.iter().fold(Ordering::Equal, |order, term| order.then_with(|| term.compare(a, b)))
    };
    sorted.sort_by(compare);
    sorted
}

fn numbers(rows: impl IntoIterator<Item = Row>) -> Vec<i64> {
    rows.into_iter().map(|row| row.0).collect()
}

/// What tells a fraction from others: one zero, one NaN.
fn bits(x: Option<f64>) -> Option<u64> {
    x.map(|x| if x.is_nan() { u64::MAX } else { (x + 0.0).to_bits() })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn sort_is_a_stable_sort(rows in rows(120), terms in terms(), size in 1..50_usize, snapshots in any::<bool>()) {
        let by: Vec<String> = terms.iter().map(|term| term.text()).collect();
        let whole = batch(&rows);
        let mut stage = start("sort", &json!({ "by": by }), &whole.schema(), size);
        for batch in cut(&whole, size) {
            stage.process(batch).unwrap();
            // Rows that came so far go to disk with each.
            if snapshots {
                stage.snapshot().unwrap();
            }
        }
        stage.finish().unwrap();
        let found = places(&common::clean(stage.into_collected()));
        prop_assert_eq!(found, numbers(sorted(&rows, &terms)));
    }

    #[test]
    fn top_is_the_head_of_a_sort(rows in rows(120), terms in terms(), most in 1..9_usize, size in 1..50_usize) {
        let by: Vec<String> = terms.iter().map(|term| term.text()).collect();
        let batches = cut(&batch(&rows), size);
        let options = json!({ "by": by, "rows": most });
        let expected = sorted(&rows, &terms);
        let found = places(&through("top", &options, &batches, size));
        prop_assert_eq!(found, numbers(expected.iter().take(most).cloned()));

        let options = json!({ "by": by, "rows": most, "group_by": ["k"] });
        let found = places(&through("top", &options, &batches, size));
        // Groups are in their order; a null is before all.
        let mut groups: Vec<Option<i64>> = rows.iter().map(|row| row.1).collect();
        groups.sort_unstable();
        groups.dedup();
        let of = |group: Option<i64>| expected.iter().filter(move |row| row.1 == group).take(most).cloned();
        prop_assert_eq!(found, numbers(groups.into_iter().flat_map(of)));
    }

    #[test]
    fn dedupe_is_a_set(rows in rows(200), size in 1..50_usize, by in prop::sample::subsequence(vec!["k", "x", "s"], 1..4), bloom in any::<bool>()) {
        let mut options = json!({ "by": by });
        if bloom {
            // Of so few rows, none is taken for another.
            options["approximate"] = json!({ "false_positives": 1e-6 });
        }
        let found = places(&through("dedupe", &options, &cut(&batch(&rows), size), size));
        let mut seen = HashSet::new();
        let new = |row: &&Row| {
            let has = |name: &str| by.contains(&name);
            seen.insert((
                has("k").then_some(row.1),
                has("x").then_some(bits(row.2)),
                has("s").then_some(row.3.clone()),
            ))
        };
        let first: Vec<i64> = rows.iter().filter(new).map(|row| row.0).collect();
        prop_assert_eq!(found, first);
    }

    #[test]
    fn unnest_makes_as_many_rows_as_there_are_items(
        lists in prop::collection::vec(prop::option::weighted(0.8, prop::collection::vec(prop::option::of(0..9_i64), 0..7)), 1..40),
        size in 1..50_usize,
        keep in any::<bool>(),
    ) {
        let column = ListArray::from_iter_primitive::<Int64Type, _, _>(lists.clone());
        let n = arrow_array::Int64Array::from_iter_values(0..lists.len() as i64);
        let whole = arrow_array::RecordBatch::try_from_iter_with_nullable([
            ("n", std::sync::Arc::new(n) as arrow_array::ArrayRef, true),
            ("l", std::sync::Arc::new(column), true),
        ]).unwrap();
        let options = json!({ "column": "l", "keep_empty": keep, "position": "at" });
        let found = through("unnest", &options, &cut(&whole, size), size);
        let mut expected = Vec::new();
        for (n, list) in lists.iter().enumerate() {
            let items = list.iter().flatten().enumerate();
            expected.extend(items.map(|(at, item)| json!({ "n": n, "l": item, "at": at + 1 })));
            if keep && list.as_ref().is_none_or(Vec::is_empty) {
                expected.push(json!({ "n": n, "l": null, "at": null }));
            }
        }
        prop_assert_eq!(gristmill_testkit::json_rows(&found).unwrap(), expected);
    }

    #[test]
    fn limit_is_a_slice(count in 0..60_usize, size in 1..30_usize, limit in 0..70_usize, offset in 0..70_usize) {
        let rows: Vec<Row> = (0..count as i64).map(|n| (n, None, None, None)).collect();
        let found = places(&through("limit", &json!({ "rows": limit, "offset": offset }), &cut(&batch(&rows), size), size));
        prop_assert_eq!(found, numbers(rows.into_iter().skip(offset).take(limit)));
    }

    #[test]
    fn a_sample_is_of_the_size_asked_for_and_in_order(count in 0..400_usize, size in 1..90_usize, most in 1..50_usize, seed in any::<u64>()) {
        let rows: Vec<Row> = (0..count as i64).map(|n| (n, Some(n % 7), None, None)).collect();
        let batches = cut(&batch(&rows), size);
        let found = places(&through("sample", &json!({ "rows": most, "seed": seed }), &batches, size));
        prop_assert_eq!(found.len(), most.min(count));
        prop_assert!(found.is_sorted());
        let every = places(&through("sample", &json!({ "every": most }), &batches, size));
        prop_assert_eq!(every, (0..count as i64).step_by(most).collect::<Vec<_>>());
        // Rows that are equal in the columns stay or go together.
        let by = json!({ "rate": 0.5, "by": ["k"], "seed": seed });
        let found = places(&through("sample", &by, &batches, size));
        let kinds: HashSet<i64> = found.iter().map(|n| n % 7).collect();
        prop_assert_eq!(found, (0..count as i64).filter(|n| kinds.contains(&(n % 7))).collect::<Vec<_>>());
    }
}

/// All rows have the same chance: of 400 samples of 10 out of 100, each row is in about 40.
#[test]
fn a_sample_is_fair() {
    let rows: Vec<Row> = (0..100).map(|n| (n, None, None, None)).collect();
    let batches = cut(&batch(&rows), 33);
    for options in [json!({ "rows": 10 }), json!({ "rate": 0.1 })] {
        let mut counts = [0; 100];
        for seed in 0..400 {
            let mut options = options.clone();
            options["seed"] = json!(seed);
            for n in places(&through("sample", &options, &batches, 100)) {
                counts[n as usize] += 1;
            }
        }
        let total: i32 = counts.iter().sum();
        assert!((3700..4300).contains(&total), "{total}");
        // Six standard deviations of a binomial distribution.
        assert!(counts.iter().all(|count| (4..=76).contains(count)), "{counts:?}");
    }
}
