//! Patterns of topics, as Solace subscriptions write them.

/// Topics whose levels, between slashes, match one by one. A `*` at the end of a level stands for its rest, and `>` as the
/// last level for one or more levels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPattern {
    levels: Vec<String>,
}

impl TopicPattern {
    /// Reads a pattern of at least two levels. `None` if a level is empty or a wildcard stands where none can.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let levels: Vec<String> = text.split('/').map(str::to_owned).collect();
        let last = levels.len() - 1;
        let is_valid = |(place, level): (usize, &String)| {
            let inner = level.strip_suffix('*').unwrap_or(level);
            !level.is_empty() && !inner.contains('*') && (level != ">" || place == last)
        };
        let valid = last > 0 && levels.iter().enumerate().all(is_valid);
        valid.then_some(Self { levels })
    }

    /// Whether a topic is one of those that it stands for.
    #[must_use]
    pub fn matches(&self, topic: &str) -> bool {
        let mut levels = topic.split('/');
        for pattern in &self.levels {
            let Some(level) = levels.next() else { return false };
            let matches = match pattern.strip_suffix('*') {
                _ if pattern == ">" => return true,
                Some(beginning) => level.starts_with(beginning),
                None => level == pattern,
            };
            if !matches {
                return false;
            }
        }
        levels.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, topic: &str) -> bool {
        TopicPattern::parse(pattern).unwrap().matches(topic)
    }

    #[test]
    fn levels_match_one_by_one() {
        for (pattern, topic, expected) in [
            ("cdc/oracle/SALES/ORDERS/insert", "cdc/oracle/SALES/ORDERS/insert", true),
            ("cdc/oracle/*/ORDERS/*", "cdc/oracle/HR/ORDERS/delete", true),
            ("cdc/oracle/*/ORDERS/*", "cdc/oracle/HR/ORDERS", false),
            ("cdc/oracle/*/ORD*/*", "cdc/oracle/HR/ORDER_ITEMS/delete", true),
            ("cdc/oracle/*/ORD*/*", "cdc/oracle/HR/PRODUCTS/delete", false),
            ("cdc/>", "cdc/oracle/HR", true),
            ("cdc/>", "cdc", false),
            ("cdc/oracle", "cdc/oracle/HR", false),
        ] {
            assert_eq!(matches(pattern, topic), expected, "{pattern} {topic}");
        }
    }

    #[test]
    fn wildcards_stand_where_solace_has_them() {
        for wrong in ["", "cdc", ">", "cdc//a", "cdc/>/a", "cdc/*a/b", "/cdc", "cdc/"] {
            assert_eq!(TopicPattern::parse(wrong), None, "{wrong:?}");
        }
    }
}
