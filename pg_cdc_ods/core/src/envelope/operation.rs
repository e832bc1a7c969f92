//! What a change event says was done.

/// The operation of a change event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `c`: a row was inserted.
    Create,
    /// `u`: a row was updated.
    Update,
    /// `d`: a row was deleted.
    Delete,
    /// `r`: a row was read by a snapshot.
    Read,
    /// `t`: a table was emptied.
    Truncate,
}

impl Operation {
    /// Debezium's letter, as it stands in `source_op`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "c",
            Self::Update => "u",
            Self::Delete => "d",
            Self::Read => "r",
            Self::Truncate => "t",
        }
    }

    /// Debezium's letter.
    pub(super) fn from_letter(text: &str) -> Option<Self> {
        Some(match text {
            "c" => Self::Create,
            "u" => Self::Update,
            "d" => Self::Delete,
            "r" => Self::Read,
            "t" => Self::Truncate,
            _ => return None,
        })
    }

    /// A word, as in a topic or a user property: a letter, `insert`, `CREATE` and so on.
    pub(super) fn from_word(text: &str) -> Option<Self> {
        let word = text.trim().to_ascii_lowercase();
        Some(match word.as_str() {
            "i" | "insert" | "create" => Self::Create,
            "update" => Self::Update,
            "delete" => Self::Delete,
            "read" | "snapshot" => Self::Read,
            "truncate" => Self::Truncate,
            letter => return Self::from_letter(letter),
        })
    }

    /// The last level of a topic, if it is an operation.
    pub(super) fn from_topic(topic: &str) -> Option<Self> {
        topic.rsplit('/').next().and_then(Self::from_word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_letters_are_known() {
        assert_eq!(Operation::from_word("INSERT"), Some(Operation::Create));
        assert_eq!(Operation::from_word("d"), Some(Operation::Delete));
        assert_eq!(Operation::from_topic("cdc/oracle/SALES/ORDERS/update"), Some(Operation::Update));
        assert_eq!(Operation::from_topic("cdc/oracle/SALES/ORDERS"), None);
        assert_eq!(Operation::from_letter("insert"), None);
    }
}
