//! A few rows as a table for people.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_cast::pretty::pretty_format_batches_with_options;
use arrow_schema::{DataType, Field, Schema};
use gristmill_stage::Result;

/// Characters of a cell that are shown.
const CELL: usize = 60;

/// The rows as a table, a line each: long values are cut, nulls say so, and control characters are
/// shown as escapes so that no value can disturb the terminal.
pub(crate) fn table(rows: &RecordBatch) -> Result<String> {
    let options = FormatOptions::default().with_null("null").with_display_error(true);
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (field, column) in rows.schema_ref().fields().iter().zip(rows.columns()) {
        let formatter = ArrayFormatter::try_new(column.as_ref(), &options)?;
        let cells: StringArray =
            (0..rows.num_rows()).map(|row| Some(cell(&formatter.value(row).to_string()))).collect();
        fields.push(Field::new(cell(field.name()), DataType::Utf8, false));
        columns.push(Arc::new(cells));
    }
    if columns.is_empty() {
        return Ok(format!("({} rows without columns)", rows.num_rows()));
    }
    let cells = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
    Ok(pretty_format_batches_with_options(&[cells], &options)?.to_string())
}

/// One line of at most [`CELL`] characters.
fn cell(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' => Cow::Borrowed("\\n"),
        '\t' => Cow::Borrowed("\\t"),
        '\r' => Cow::Borrowed("\\r"),
        c if c.is_control() => Cow::Owned(c.escape_default().to_string()),
        c => Cow::Owned(c.to_string()),
    };
    let mut cell: String = text.chars().take(CELL).map(shown).collect();
    if text.chars().nth(CELL).is_some() {
        cell.push('…');
    }
    cell
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Int64Array;

    #[test]
    fn a_table_is_as_wide_as_its_cells_and_safe_to_show() {
        let rows = RecordBatch::try_from_iter([
            (
                "text",
                Arc::new(StringArray::from(vec!["a\nb\u{1b}[31m", &"ä".repeat(100)])) as ArrayRef,
            ),
            ("n", Arc::new(Int64Array::from(vec![Some(7), None]))),
        ])
        .expect("batch");
        let text = table(&rows).expect("table");
        assert!(text.contains("a\\nb\\u{1b}[31m") && text.contains("null"), "{text}");
        assert!(
            text.contains(&format!("{}…", "ä".repeat(CELL))) && !text.contains('\u{1b}'),
            "{text}"
        );
        assert_eq!(text.lines().count(), 6);
    }

    #[test]
    fn rows_without_columns_have_a_table_too() {
        let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(3));
        let rows = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options);
        assert_eq!(table(&rows.expect("batch")).expect("table"), "(3 rows without columns)");
    }
}
