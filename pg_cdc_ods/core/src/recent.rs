//! The few things that were met last.

/// A short list of things that are met again and again, searched from its beginning. A new one takes the place of the
/// one that was added first, once there are [`Recent::LEN_MAX`].
#[derive(Debug)]
pub(crate) struct Recent<T> {
    items: Vec<T>,
    /// The place of the next one.
    next: usize,
}

impl<T> Recent<T> {
    /// How many are kept: beyond that a search costs more than it saves.
    const LEN_MAX: usize = 256;

    pub(crate) fn find(&self, is_it: impl Fn(&T) -> bool) -> Option<&T> {
        self.items.iter().find(|item| is_it(item))
    }

    /// Finds one, or makes it.
    pub(crate) fn find_or_add(&mut self, is_it: impl Fn(&T) -> bool, make: impl FnOnce() -> T) -> &T {
        let place = match self.items.iter().position(is_it) {
            Some(place) => place,
            None => self.add(make()),
        };
        &self.items[place]
    }

    /// Adds one; returns its place.
    pub(crate) fn add(&mut self, item: T) -> usize {
        let place = self.next;
        if place == self.items.len() {
            self.items.push(item);
        } else {
            self.items[place] = item;
        }
        self.next = (place + 1) % Self::LEN_MAX;
        place
    }
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self { items: Vec::new(), next: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_found() {
        let mut recent = Recent::default();
        let count = 2 * Recent::<usize>::LEN_MAX + 3;
        for item in 0..count {
            recent.find_or_add(|known| *known == item, || item);
        }
        let found = (0..count).filter(|item| recent.find(|known| known == item).is_some());
        assert!(found.eq(count - Recent::<usize>::LEN_MAX..count));
    }
}
