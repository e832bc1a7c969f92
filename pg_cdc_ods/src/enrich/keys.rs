//! Keys of rows of an enriched table, as many as a batch makes dirty.

use cdc_core::KeyForm;
use pgrx::datum::DatumWithOid;

use crate::apply::parameter;
use crate::spi_rows::Rows;

/// Keys of one table, all in the form in which its statements take them.
#[derive(Debug, Clone)]
pub(super) enum Keys {
    /// Of the type `bigint`, or smaller.
    Integers(Vec<i64>),
    /// Of any type.
    Texts(Vec<String>),
}

impl Keys {
    /// The keys that a statement gives as one array.
    pub(super) fn read(rows: &Rows<'_>, form: KeyForm) -> pgrx::spi::SpiResult<Self> {
        Ok(match form {
            KeyForm::Integer => Self::Integers(rows.one()?.unwrap_or_default()),
            KeyForm::Text => Self::Texts(rows.one()?.unwrap_or_default()),
        })
    }

    pub(super) fn form(&self) -> KeyForm {
        match self {
            Self::Integers(_) => KeyForm::Integer,
            Self::Texts(_) => KeyForm::Text,
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Integers(keys) => keys.len(),
            Self::Texts(keys) => keys.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds keys of the same table.
    pub(super) fn extend(&mut self, other: Self) {
        if let (Self::Integers(keys), Self::Integers(others)) = (&mut *self, &other) {
            keys.extend(others);
            return;
        }
        let mut texts = std::mem::replace(self, Self::Texts(Vec::new())).into_texts();
        texts.extend(other.into_texts());
        *self = Self::Texts(texts);
    }

    /// Leaves each key once, in an order that finds neighbours together.
    pub(super) fn sort(&mut self) {
        fn sort<T: Ord>(keys: &mut Vec<T>) {
            keys.sort_unstable();
            keys.dedup();
        }
        match self {
            Self::Integers(keys) => sort(keys),
            Self::Texts(keys) => sort(keys),
        }
    }

    /// Leaves the keys that are not among others, which are sorted.
    pub(super) fn retain_others(&mut self, sorted: &Self) {
        match (self, sorted) {
            (Self::Integers(keys), Self::Integers(sorted)) => {
                keys.retain(|key| sorted.binary_search(key).is_err());
            }
            (Self::Texts(keys), Self::Texts(sorted)) => keys.retain(|key| sorted.binary_search(key).is_err()),
            _ => (),
        }
    }

    /// Two halves.
    pub(super) fn halves(&self) -> (Self, Self) {
        match self {
            Self::Integers(keys) => {
                let (left, right) = keys.split_at(keys.len() / 2);
                (Self::Integers(left.to_vec()), Self::Integers(right.to_vec()))
            }
            Self::Texts(keys) => {
                let (left, right) = keys.split_at(keys.len() / 2);
                (Self::Texts(left.to_vec()), Self::Texts(right.to_vec()))
            }
        }
    }

    /// The keys as a parameter of a statement.
    pub(super) fn parameter(&self) -> DatumWithOid<'static> {
        match self {
            Self::Integers(keys) => parameter("bigint", keys.iter().copied().map(Some).collect()).datum,
            Self::Texts(keys) => parameter("text", keys.iter().map(|key| Some(key.as_str())).collect()).datum,
        }
    }

    pub(super) fn into_texts(self) -> Vec<String> {
        match self {
            Self::Integers(keys) => keys.iter().map(i64::to_string).collect(),
            Self::Texts(keys) => keys,
        }
    }
}
