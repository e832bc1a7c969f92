//! Topic subscriptions and which topics they match.

use std::fmt;

/// The topic of a message sent straight to a queue is this prefix and the queue's name.
pub(crate) const QUEUE_DESTINATION_PREFIX: &str = "#P2P/QUE/";

/// Longest topic or subscription in bytes, as on real brokers.
const MAX_TOPIC_BYTES: usize = 250;

/// A topic subscription in Solace syntax.
///
/// Levels are split at `/`. A level `*` matches any one level, a level that ends in `*` matches every
/// level that begins with what stands before it, and `>` as the last level matches one or more levels.
///
/// ```
/// use smf_loopback::Subscription;
///
/// let orders = Subscription::parse("cdc/*/SALES/ORD*/>")?;
/// assert!(orders.matches("cdc/oracle/SALES/ORDERS/insert"));
/// assert!(!orders.matches("cdc/oracle/SALES/ORDERS"));
/// # Ok::<(), smf_loopback::SubscriptionError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subscription {
    levels: Box<[Level]>,
    text: Box<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Level {
    Exact(Box<str>),
    Prefix(Box<str>),
    OneOrMore,
}

/// Why a text is not a topic subscription.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubscriptionError {
    /// There is nothing to subscribe to.
    #[error("a topic subscription must not be empty")]
    Empty,
    /// Longer than brokers take.
    #[error("a topic subscription of {bytes} bytes is too long: at most {MAX_TOPIC_BYTES} are allowed")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

impl Subscription {
    /// Reads a subscription.
    ///
    /// # Errors
    /// If it is empty or longer than 250 bytes.
    pub fn parse(text: &str) -> Result<Self, SubscriptionError> {
        if text.is_empty() {
            return Err(SubscriptionError::Empty);
        }
        if text.len() > MAX_TOPIC_BYTES {
            return Err(SubscriptionError::TooLong { bytes: text.len() });
        }
        let last = text.split('/').count() - 1;
        let levels = text.split('/').enumerate().map(|(position, level)| match level {
            ">" if position == last => Level::OneOrMore,
            _ => match level.strip_suffix('*') {
                Some(prefix) => Level::Prefix(prefix.into()),
                None => Level::Exact(level.into()),
            },
        });
        Ok(Self { levels: levels.collect(), text: text.into() })
    }

    /// Whether a message on `topic` is meant.
    pub fn matches(&self, topic: &str) -> bool {
        let mut rest = topic.split('/');
        for level in &self.levels {
            let Some(actual) = rest.next() else { return false };
            let fits = match level {
                Level::OneOrMore => return true,
                Level::Prefix(prefix) => actual.starts_with(&**prefix),
                Level::Exact(exact) => actual == &**exact,
            };
            if !fits {
                return false;
            }
        }
        rest.next().is_none()
    }

    /// The subscription as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(subscription: &str, topic: &str) -> bool {
        Subscription::parse(subscription).unwrap().matches(topic)
    }

    #[test]
    fn matching_follows_the_table() {
        let table = [
            ("a/b", "a/b", true),
            ("a/b", "a/c", false),
            ("a/b", "a", false),
            ("a/b", "a/b/c", false),
            ("a", "a/b", false),
            (">", "a", true),
            (">", "a/b/c", true),
            ("a/>", "a/b", true),
            ("a/>", "a/b/c", true),
            ("a/>", "a", false),
            ("a/>/c", "a/>/c", true),
            ("a/>/c", "a/b/c", false),
            ("*", "a", true),
            ("*", "a/b", false),
            ("a/*/c", "a/b/c", true),
            ("a/*/c", "a/b/b/c", false),
            ("a/*", "a", false),
            ("ab*", "abc", true),
            ("ab*", "ab", true),
            ("ab*", "ac", false),
            ("a/b*/c", "a/bcd/c", true),
            ("a/b*/c", "a/cbd/c", false),
            ("a*b", "a*b", true),
            ("a*b", "axb", false),
            ("*/>", "a/b", true),
            ("*/>", "a", false),
            ("a//b", "a//b", true),
            ("a/*/b", "a//b", true),
        ];
        for (subscription, topic, expected) in table {
            assert_eq!(matches(subscription, topic), expected, "{subscription} against {topic}");
        }
    }

    #[test]
    fn empty_subscription_is_refused() {
        assert_eq!(Subscription::parse(""), Err(SubscriptionError::Empty));
    }

    #[test]
    fn length_is_bounded_at_250_bytes() {
        assert!(Subscription::parse(&"a".repeat(249)).is_ok());
        assert!(Subscription::parse(&"a".repeat(250)).is_ok());
        assert_eq!(Subscription::parse(&"a".repeat(251)), Err(SubscriptionError::TooLong { bytes: 251 }));
    }
}
