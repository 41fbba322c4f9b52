// SPDX-License-Identifier: GPL-2.0-or-later
//! A list that the server steps through, with the items that it had when it was opened.

/// Items, and how far the server is.
pub(super) struct Cursor<T> {
    items: Vec<T>,
    at: usize,
}

impl<T> Cursor<T> {
    /// At the first of these items.
    pub(super) fn new(items: Vec<T>) -> Self {
        Self { items, at: 0 }
    }

    /// The item that it is at; `None` at the end.
    pub(super) fn current(&self) -> Option<&T> {
        self.items.get(self.at)
    }

    /// Steps to the next item, or onto the end; `None` at the end.
    pub(super) fn step(&mut self) -> Option<()> {
        self.current()?;
        self.at += 1;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_onto_the_end_succeeds_and_one_from_there_fails() {
        let mut cursor = Cursor::new(vec![1, 2]);
        assert_eq!((cursor.current().copied(), cursor.step()), (Some(1), Some(())));
        assert_eq!((cursor.current().copied(), cursor.step()), (Some(2), Some(())));
        assert_eq!((cursor.current().copied(), cursor.step(), cursor.step()), (None, None, None));
    }
}
