//! Several deliveries in one request.

use std::num::NonZeroUsize;

use bytes::{BufMut, Bytes, BytesMut};

use crate::delivery::Delivery;

/// Most deliveries in one request. Their event ids go into one header, and many servers refuse more than 8 KB of
/// headers: a hundred ids take less than half of it.
pub const MOST_BATCH_ITEMS: usize = 100;

/// How an endpoint takes batches: as a JSON object with one member, an array of the documents.
///
/// ```
/// use cdc_push::BatchOptions;
///
/// let batch = BatchOptions::new("events", 50, 1 << 20)?;
/// # Ok::<(), cdc_push::InvalidBatch>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchOptions {
    member: String,
    max_items: NonZeroUsize,
    max_bytes: usize,
}

/// A batch cannot be made as described.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBatch {
    /// The member's name would need escapes in JSON.
    #[error("{0:?} cannot be the name of a batch's member; use letters, digits and underscores")]
    Member(String),
    /// Too few or too many items.
    #[error("a batch cannot have up to {0} items; give 1 to {MOST_BATCH_ITEMS}")]
    Items(usize),
}

impl BatchOptions {
    /// Batches `{"member": […]}` of at most `max_items` deliveries whose documents have at most `max_bytes` bytes
    /// together. A document that is larger than that goes alone.
    ///
    /// # Errors
    /// If the member's name has other characters than letters, digits and underscores, or `max_items` is not 1 to
    /// [`MOST_BATCH_ITEMS`].
    pub fn new(member: &str, max_items: usize, max_bytes: usize) -> Result<Self, InvalidBatch> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if member.is_empty() || !member.bytes().all(plain) {
            return Err(InvalidBatch::Member(member.to_owned()));
        }
        match NonZeroUsize::new(max_items) {
            Some(items) if max_items <= MOST_BATCH_ITEMS => {
                Ok(Self { member: member.to_owned(), max_items: items, max_bytes })
            }
            _ => Err(InvalidBatch::Items(max_items)),
        }
    }

    /// Most deliveries in a batch.
    pub fn max_items(&self) -> usize {
        self.max_items.get()
    }

    pub(crate) fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// The body of a request with these deliveries.
    pub(crate) fn body<'a>(&self, deliveries: impl Iterator<Item = &'a Delivery> + Clone) -> Bytes {
        let documents: usize = deliveries.clone().map(|delivery| delivery.body.len() + 1).sum();
        let mut body = BytesMut::with_capacity(documents + self.member.len() + r#"{"":[]}"#.len());
        body.put_slice(br#"{""#);
        body.put_slice(self.member.as_bytes());
        body.put_slice(br#"":["#);
        for (number, delivery) in deliveries.enumerate() {
            if number > 0 {
                body.put_u8(b',');
            }
            body.put_slice(&delivery.body);
        }
        body.put_slice(b"]}");
        body.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_become_an_array() {
        let batch = BatchOptions::new("events", 10, 1000).unwrap();
        let deliveries = [r#"{"a":1}"#, "2"].map(|body| Delivery::example(1, body));
        assert_eq!(batch.body(deliveries.iter()), r#"{"events":[{"a":1},2]}"#);
    }

    #[test]
    fn only_sensible_batches_are_taken() {
        assert!(BatchOptions::new("events", MOST_BATCH_ITEMS, 1).is_ok());
        for items in [0, MOST_BATCH_ITEMS + 1] {
            assert_eq!(BatchOptions::new("events", items, 1), Err(InvalidBatch::Items(items)));
        }
        for member in ["", "a\"b", "a b"] {
            assert_eq!(BatchOptions::new(member, 1, 1), Err(InvalidBatch::Member(member.to_owned())));
        }
    }
}
