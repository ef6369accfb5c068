//! Rows as JSON, with nothing lost that JSON has no number for.
//!
//! A null stands there as `null`. A floating-point number that is none, and the infinities, are the
//! texts `"NaN"`, `"Infinity"` and `"-Infinity"`, as in Protobuf's JSON: `null` would be another
//! value. Decimals have all their digits. Binary is in hex.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Float64Type};
use arrow_array::{Array, ArrowPrimitiveType, PrimitiveArray, RecordBatch};
use arrow_json::writer::{LineDelimited, NullableEncoder, WriterBuilder};
use arrow_json::{Encoder, EncoderFactory, EncoderOptions};
use arrow_schema::{ArrowError, DataType, FieldRef};

use crate::Result;

/// Adds a JSON object for each row to `bytes`, each with a line end.
///
/// # Errors
/// When a column has a type that JSON has no form for.
pub fn write_lines(rows: &RecordBatch, bytes: &mut Vec<u8>) -> Result<()> {
    let builder =
        WriterBuilder::new().with_explicit_nulls(true).with_encoder_factory(Arc::new(Floats));
    Ok(builder.build::<_, LineDelimited>(bytes).write(rows)?)
}

/// How single values are written in the same way.
pub fn options() -> EncoderOptions {
    EncoderOptions::default().with_explicit_nulls(true).with_encoder_factory(Arc::new(Floats))
}

/// Makes the encoders of floating-point numbers.
#[derive(Debug)]
struct Floats;

impl EncoderFactory for Floats {
    fn make_default_encoder<'a>(
        &self,
        _: &'a FieldRef,
        array: &'a dyn Array,
        _: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let encoder: Box<dyn Encoder + 'a> = match array.data_type() {
            DataType::Float16 => numbers::<Float16Type>(array, |value, out| {
                float(value.to_f32(), value.to_f32().into(), out);
            }),
            DataType::Float32 => {
                numbers::<Float32Type>(array, |value, out| float(value, value.into(), out))
            }
            DataType::Float64 => {
                numbers::<Float64Type>(array, |value, out| float(value, value, out))
            }
            _ => return Ok(None),
        };
        Ok(Some(NullableEncoder::new(encoder, array.nulls().cloned())))
    }
}

struct Numbers<'a, T: ArrowPrimitiveType, F> {
    array: &'a PrimitiveArray<T>,
    write: F,
}

fn numbers<'a, T: ArrowPrimitiveType>(
    array: &'a dyn Array,
    write: impl FnMut(T::Native, &mut Vec<u8>) + 'a,
) -> Box<dyn Encoder + 'a> {
    Box::new(Numbers { array: array.as_primitive::<T>(), write })
}

impl<T: ArrowPrimitiveType, F: FnMut(T::Native, &mut Vec<u8>)> Encoder for Numbers<'_, T, F> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        (self.write)(self.array.value(row), out);
    }
}

/// Writes `value`, which is `wide` with as many digits as its own type needs.
fn float(value: impl serde::Serialize, wide: f64, out: &mut Vec<u8>) {
    if wide.is_nan() {
        out.extend_from_slice(b"\"NaN\"");
    } else if wide == f64::INFINITY {
        out.extend_from_slice(b"\"Infinity\"");
    } else if wide == f64::NEG_INFINITY {
        out.extend_from_slice(b"\"-Infinity\"");
    } else {
        // Writing a number into memory cannot fail.
        let _ = serde_json::to_writer(out, &value);
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::types::Int32Type;
    use arrow_array::{
        ArrayRef, Decimal128Array, DictionaryArray, Float32Array, Float64Array, Int32Array,
        ListArray,
    };

    use super::*;

    #[test]
    fn no_value_becomes_another() {
        let floats = vec![Some(1e300), Some(f64::NAN), Some(f64::NEG_INFINITY), None];
        let narrow = vec![0.1, f32::INFINITY, -0.0, f32::MIN_POSITIVE];
        let lists = [Some(vec![Some(f64::INFINITY)]), None, Some(vec![None]), Some(vec![])];
        let words = Arc::new(Float64Array::from(vec![0.5, f64::NAN]));
        let keys = Int32Array::from(vec![1, 0, 1, 0]);
        let decimals = Decimal128Array::from(vec![12_345_678_901_234_567_890_123_456_789; 4]);
        let rows = RecordBatch::try_from_iter_with_nullable([
            ("f", Arc::new(Float64Array::from(floats)) as ArrayRef, true),
            ("n", Arc::new(Float32Array::from(narrow)), true),
            ("l", Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(lists)), true),
            ("w", Arc::new(DictionaryArray::<Int32Type>::new(keys, words)), true),
            ("d", Arc::new(decimals.with_precision_and_scale(38, 2).expect("decimals")), true),
        ])
        .expect("rows");
        let mut bytes = Vec::new();
        write_lines(&rows, &mut bytes).expect("written");
        let d = "123456789012345678901234567.89";
        let expected = [
            format!(r#"{{"f":1e+300,"n":0.1,"l":["Infinity"],"w":"NaN","d":{d}}}"#),
            format!(r#"{{"f":"NaN","n":"Infinity","l":null,"w":0.5,"d":{d}}}"#),
            format!(r#"{{"f":"-Infinity","n":-0.0,"l":[null],"w":"NaN","d":{d}}}"#),
            format!(r#"{{"f":null,"n":1.1754944e-38,"l":[],"w":0.5,"d":{d}}}"#),
        ];
        let text = String::from_utf8(bytes).expect("text");
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }
}
