//! JSON arrays to the text of PostgreSQL's arrays.

use super::source_value::elements;
use super::{ColumnType, Value, ValueError};
use crate::row::Field;
use crate::schema::SemanticType;

/// Dimensions that PostgreSQL's arrays can have.
const DIMENSIONS_MAX: usize = 6;

/// The text of an array of `element`, e.g. `{1,NULL,"a b"}`.
pub(super) fn literal(
    element: &ColumnType,
    field: Field<'_>,
    error: &dyn Fn() -> ValueError,
) -> Result<String, ValueError> {
    let mut text = String::with_capacity(field.raw.len() + 8);
    push_array(&mut text, element, field, 1, error)?;
    Ok(text)
}

fn push_array(
    text: &mut String,
    element: &ColumnType,
    field: Field<'_>,
    dimension: usize,
    error: &dyn Fn() -> ValueError,
) -> Result<(), ValueError> {
    let items = elements(field.raw).filter(|_| dimension <= DIMENSIONS_MAX).ok_or_else(error)?;
    text.push('{');
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        let item = Field { raw: item.get(), semantic: SemanticType::of(field.semantic.meaning) };
        if item.raw.starts_with('[') && !matches!(element, ColumnType::Json | ColumnType::JsonText) {
            push_array(text, element, item, dimension + 1, error)?;
        } else {
            push_element(text, &element.convert(item)?);
        }
    }
    text.push('}');
    Ok(())
}

fn push_element(text: &mut String, value: &Value<'_>) {
    let Some(plain) = value.text() else { return text.push_str("NULL") };
    text.push('"');
    for character in plain.chars() {
        if matches!(character, '"' | '\\') {
            text.push('\\');
        }
        text.push(character);
    }
    text.push('"');
}
