//! Keys that are compared or hashed by their bits: one zero and one NaN.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray, make_array};
use arrow_schema::{ArrowError, DataType};

type Half = <Float16Type as ArrowPrimitiveType>::Native;

/// The column with 0.0 for every -0.0 and one NaN for all, also inside of lists and structs. So keys
/// that are equal have equal bits, wherever they are compared: in a group, or by their hash on the
/// way to one of several workers.
///
/// # Errors
/// When the column is of a type that Arrow cannot put together again.
pub fn canonical(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    Ok(match column.data_type() {
        DataType::Float16 => {
            unify::<Float16Type>(column, |x| if x.is_nan() { Half::NAN } else { x + Half::ZERO })
        }
        DataType::Float32 => {
            unify::<Float32Type>(column, |x| if x.is_nan() { f32::NAN } else { x + 0.0 })
        }
        DataType::Float64 => {
            unify::<Float64Type>(column, |x| if x.is_nan() { f64::NAN } else { x + 0.0 })
        }
        nested if has_floats(nested) => {
            let data = column.to_data();
            let parts = data.child_data().iter().cloned();
            let parts = parts
                .map(|part| Ok(canonical(&make_array(part))?.to_data()))
                .collect::<Result<Vec<_>, ArrowError>>()?;
            make_array(data.into_builder().child_data(parts).build()?)
        }
        _ => Arc::clone(column),
    })
}

fn unify<T: ArrowPrimitiveType>(
    column: &ArrayRef,
    value: impl Fn(T::Native) -> T::Native,
) -> ArrayRef {
    let unified: PrimitiveArray<T> = column.as_primitive::<T>().unary(value);
    Arc::new(unified)
}

/// Whether values of the type are, or hold, floating-point numbers.
fn has_floats(data_type: &DataType) -> bool {
    match data_type {
        DataType::Struct(fields) => fields.iter().any(|field| has_floats(field.data_type())),
        DataType::Union(fields, _) => fields.iter().any(|(_, field)| has_floats(field.data_type())),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _)
        | DataType::RunEndEncoded(_, item) => has_floats(item.data_type()),
        DataType::Dictionary(_, values) => has_floats(values),
        other => other.is_floating(),
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::builder::{Float64Builder, ListBuilder};
    use arrow_array::{Float32Array, Float64Array, StructArray};
    use arrow_schema::Field;

    use super::*;

    fn bits(column: &ArrayRef) -> Vec<u64> {
        canonical(column)
            .expect("canonical")
            .as_primitive::<Float64Type>()
            .values()
            .iter()
            .map(|x| x.to_bits())
            .collect()
    }

    #[test]
    fn equal_keys_have_equal_bits() {
        let other_nan = f64::from_bits(f64::NAN.to_bits() | 1);
        let keys = [0.0, -0.0, f64::NAN, -f64::NAN, other_nan, 1.5];
        let column: ArrayRef = Arc::new(Float64Array::from(keys.to_vec()));
        let expected = [0.0, 0.0, f64::NAN, f64::NAN, f64::NAN, 1.5].map(f64::to_bits);
        assert_eq!(bits(&column), expected);

        let field = Arc::new(Field::new("x", DataType::Float64, true));
        let structs: ArrayRef = Arc::new(StructArray::from(vec![(field, column)]));
        let inner = canonical(&structs).expect("canonical").as_struct().column(0).clone();
        assert_eq!(bits(&inner), expected);

        let mut lists = ListBuilder::new(Float64Builder::new());
        lists.values().append_slice(&keys);
        lists.append(true);
        let lists: ArrayRef = Arc::new(lists.finish());
        let inner = canonical(&lists).expect("canonical").as_list::<i32>().value(0);
        assert_eq!(bits(&inner), expected);

        let narrow: ArrayRef = Arc::new(Float32Array::from(vec![-0.0, -f32::NAN]));
        let narrow = canonical(&narrow).expect("canonical");
        let narrow = narrow.as_primitive::<Float32Type>().values().to_vec();
        assert_eq!(
            narrow.iter().map(|x| x.to_bits()).collect::<Vec<_>>(),
            [0.0, f32::NAN].map(f32::to_bits)
        );
    }
}
