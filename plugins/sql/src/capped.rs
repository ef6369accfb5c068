//! Functions whose results grow with a number that they are given: one wrong number in one row must
//! not take all memory.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, FieldRef};
use datafusion_common::{DataFusionError, Result};
use datafusion_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature,
};

/// The most bytes that a call makes, about, for all of its rows together. Rows that do not fit
/// together are computed in parts, so that in the end it holds for a single row.
const MOST: i128 = 64 << 20;
/// What an element of a list takes, about.
const ELEMENT: i128 = 8;

/// The same function with a bound on what it makes, if it is one that can make much of little.
pub(crate) fn capped(function: Arc<ScalarUDF>) -> Arc<ScalarUDF> {
    let growth = match function.name() {
        "repeat" => Growth::Copies,
        "array_repeat" => Growth::Elements,
        "array_resize" => Growth::Length,
        "lpad" | "rpad" => Growth::Characters,
        "range" => Growth::Steps { with_end: 0 },
        "generate_series" => Growth::Steps { with_end: 1 },
        _ => return function,
    };
    Arc::new(ScalarUDF::new_from_impl(Capped { function, growth }))
}

/// How the size of a result follows from the arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Growth {
    /// The text, so many times.
    Copies,
    /// A list of the value, so many times.
    Elements,
    /// A list of so many elements.
    Length,
    /// A text of so many characters.
    Characters,
    /// A list of the numbers from one to another.
    Steps { with_end: i128 },
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Capped {
    function: Arc<ScalarUDF>,
    growth: Growth,
}

impl Capped {
    /// About how many bytes the result has; 0 where that does not hang on whole numbers.
    fn size(&self, args: &ScalarFunctionArgs) -> Result<i128> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let numbers: Vec<Option<Int64Array>> = arrays.iter().map(numbers).collect();
        let number = |index: usize, row: usize| {
            let numbers = numbers.get(index)?.as_ref()?;
            numbers.is_valid(row).then(|| i128::from(numbers.value(row)))
        };
        let rows = arrays.first().map_or(0, |array| array.len());
        Ok((0..rows).filter_map(|row| self.row(&arrays, &|index| number(index, row), row)).sum())
    }

    fn row(
        &self,
        arrays: &[ArrayRef],
        number: &dyn Fn(usize) -> Option<i128>,
        row: usize,
    ) -> Option<i128> {
        let size = match self.growth {
            Growth::Copies => number(1)? * text(arrays.first()?, row)?,
            Growth::Elements => {
                number(1)? * (ELEMENT + text(arrays.first()?, row).unwrap_or_default())
            }
            Growth::Length => number(1)? * ELEMENT,
            Growth::Characters => number(1)?,
            Growth::Steps { with_end } => {
                let (start, stop) = match arrays.len() {
                    1 => (0, number(0)?),
                    _ => (number(0)?, number(1)?),
                };
                let step = if arrays.len() > 2 { number(2)? } else { 1 };
                ELEMENT * ((stop - start).checked_div(step)? + with_end)
            }
        };
        Some(size.max(0))
    }
}

/// Makes 0 of negative lengths: they mean the same, and the functions reserve memory for the lengths
/// as if there were none.
fn positive(args: &mut ScalarFunctionArgs) -> Result<()> {
    let Some(length) = args.args.get_mut(1) else { return Ok(()) };
    let array = length.to_array(args.number_rows)?;
    let Some(numbers) = array.as_primitive_opt::<Int64Type>() else { return Ok(()) };
    if numbers.iter().flatten().any(|number| number < 0) {
        let numbers: Int64Array = numbers.unary(|number| number.max(0));
        *length = ColumnarValue::Array(Arc::new(numbers));
    }
    Ok(())
}

fn numbers(array: &ArrayRef) -> Option<Int64Array> {
    let whole = array.data_type().is_integer();
    let strict = CastOptions { safe: true, ..CastOptions::default() };
    let cast = whole.then(|| cast_with_options(array, &DataType::Int64, &strict).ok())??;
    cast.as_primitive_opt::<Int64Type>().cloned()
}

/// The bytes of a text.
fn text(array: &ArrayRef, row: usize) -> Option<i128> {
    let length = match array.data_type() {
        _ if array.is_null(row) => return None,
        DataType::Utf8 => array.as_string::<i32>().value(row).len(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).len(),
        DataType::Utf8View => array.as_string_view().value(row).len(),
        _ => return None,
    };
    Some(length as i128)
}

impl ScalarUDFImpl for Capped {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn aliases(&self) -> &[String] {
        self.function.aliases()
    }

    fn signature(&self) -> &Signature {
        self.function.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.function.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.function.return_field_from_args(args)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.function.coerce_types(types)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.function.documentation()
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if self.size(&args)? > MOST {
            let name = self.name();
            return Err(DataFusionError::Execution(format!(
                "`{name}` would make more than {} MiB",
                MOST >> 20
            )));
        }
        if self.growth == Growth::Characters {
            positive(&mut args)?;
        }
        self.function.invoke_with_args(args)
    }
}
