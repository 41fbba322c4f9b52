// SPDX-License-Identifier: GPL-2.0-or-later
//! The tables of a run: those that are left to do, the largest first, and those that workers are at.
//!
//! Two tables that a foreign key joins, or that foreign keys join to the same table, are never rewritten at once. The
//! server locks a table and all that are joined to it until the ALTER TABLE ends, and gives each of these locks to one
//! statement only: the other would wait until it times out, or be ended as a deadlock. Tables that together need more space
//! than is free are rewritten one after the other.

use crate::server::{ForeignKey, Table};
use std::collections::{BTreeSet, VecDeque};

/// A table that is left to do.
#[derive(Clone, Copy)]
pub(super) struct Todo<'t> {
    pub table: &'t Table,
    /// Which time this is, from 1.
    pub attempt: u32,
}

/// What a worker does next.
pub(super) enum Next<'t> {
    Table {
        todo: Todo<'t>,
        /// Whether no other waits for a worker.
        is_last: bool,
    },
    /// Something, but not now: what is left must wait for other workers.
    Later,
    Nothing,
}

/// The tables of a run.
pub(super) struct Queue<'t> {
    todo: VecDeque<Todo<'t>>,
    running: Vec<&'t Table>,
    foreign_keys: &'t [ForeignKey],
    /// Bytes that a table needs while it is rewritten.
    needs: fn(u64) -> u64,
    pub all: usize,
    pub ended: usize,
    /// Whether a worker has ended with an error, so that no table is begun any more.
    pub is_over: bool,
}

impl<'t> Queue<'t> {
    pub(super) fn new(
        tables: &[&'t Table],
        foreign_keys: &'t [ForeignKey],
        needs: fn(u64) -> u64,
    ) -> Queue<'t> {
        let mut sorted = tables.to_vec();
        sorted.sort_by_key(|table| std::cmp::Reverse(table.bytes));
        let todo: VecDeque<_> = sorted.into_iter().map(|table| Todo { table, attempt: 1 }).collect();
        let all = todo.len();
        Queue { todo, running: Vec::new(), foreign_keys, needs, all, ended: 0, is_over: false }
    }

    /// Takes the first table that can be rewritten beside those that workers are at. `free`: bytes that are free, if that is
    /// known. Alone, a table is taken in any case.
    pub(super) fn take(&mut self, free: Option<u64>) -> Next<'t> {
        if self.is_empty() {
            return Next::Nothing;
        }
        // What the others have written is not free any more, but counts nevertheless: they may need as much again.
        let reserved =
            self.running.iter().map(|table| (self.needs)(table.bytes)).fold(0, u64::saturating_add);
        let fits = |table: &Table| {
            self.running.is_empty()
                || free.is_none_or(|free| (self.needs)(table.bytes).saturating_add(reserved) <= free)
        };
        let may_run = |todo: &Todo<'_>| fits(todo.table) && !self.is_related(todo.table);
        let Some(todo) = self.todo.iter().position(may_run).and_then(|at| self.todo.remove(at)) else {
            return Next::Later;
        };
        self.running.push(todo.table);
        Next::Table { todo, is_last: self.todo.is_empty() }
    }

    /// Whether no table is to be begun any more.
    pub(super) fn is_empty(&self) -> bool {
        self.is_over || self.todo.is_empty()
    }

    /// Whether the server locks the same table for this one and for one that a worker is at.
    fn is_related(&self, table: &'t Table) -> bool {
        let locked = self.locked_with(table);
        self.running.iter().any(|running| self.locked_with(running).iter().any(|name| locked.contains(name)))
    }

    /// The tables that the server locks to rewrite this one.
    fn locked_with(&self, table: &'t Table) -> BTreeSet<(&'t str, &'t str)> {
        fn named((schema, name): &(String, String)) -> (&str, &str) {
            (schema, name)
        }
        let keys = self.foreign_keys.iter().filter(|key| key.joins(&table.schema, &table.name));
        let joined = keys.flat_map(|key| [named(&key.child), named(&key.parent)]);
        joined.chain([(table.schema.as_str(), table.name.as_str())]).collect()
    }

    /// A table is done or has failed. Returns how many have ended.
    pub(super) fn end(&mut self, todo: Todo<'t>) -> usize {
        self.leave(todo);
        self.ended += 1;
        self.ended
    }

    /// A table is to be tried again after all others.
    pub(super) fn put_last(&mut self, todo: Todo<'t>) {
        self.leave(todo);
        self.todo.push_back(Todo { attempt: todo.attempt + 1, ..todo });
    }

    /// A table is to be tried again at once.
    pub(super) fn put_first(&mut self, todo: Todo<'t>) {
        self.leave(todo);
        self.todo.push_front(todo);
    }

    fn leave(&mut self, todo: Todo<'t>) {
        self.running.retain(|table| !std::ptr::eq(*table, todo.table));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::TableLocation;

    fn table(name: &str, bytes: u64) -> Table {
        Table {
            schema: "a".to_owned(),
            name: name.to_owned(),
            place: TableLocation::Own,
            bytes,
            parts: Vec::new(),
        }
    }

    fn key(child: &str, parent: &str) -> ForeignKey {
        let of = |name: &str| ("a".to_owned(), name.to_owned());
        ForeignKey { child: of(child), parent: of(parent) }
    }

    /// What a worker gets next: a name, or `later` or `nothing`.
    fn take<'t>(queue: &mut Queue<'t>, free: Option<u64>) -> (Option<Todo<'t>>, &'t str) {
        match queue.take(free) {
            Next::Table { todo, .. } => (Some(todo), todo.table.name.as_str()),
            Next::Later => (None, "later"),
            Next::Nothing => (None, "nothing"),
        }
    }

    #[test]
    fn the_largest_table_is_first_and_one_that_must_wait_last() {
        let tables = [table("s", 1), table("l", 3), table("m", 2)];
        let mut queue = Queue::new(&tables.each_ref(), &[], |bytes| bytes);
        let (Some(first), "l") = take(&mut queue, None) else { panic!("not the largest") };
        queue.put_last(first);
        assert_eq!(take(&mut queue, None).1, "m");
        let (Some(second), "s") = take(&mut queue, None) else { panic!("not the smallest") };
        queue.put_first(second);
        assert_eq!(take(&mut queue, None).1, "s");
        let (Some(again), "l") = take(&mut queue, None) else { panic!("not tried again") };
        assert_eq!(again.attempt, 2);
        assert_eq!((queue.end(again), queue.all), (1, 3));
        assert_eq!(take(&mut queue, None).1, "nothing");
    }

    #[test]
    fn tables_that_a_foreign_key_joins_do_not_run_at_once() {
        let tables = [table("parent", 9), table("child", 8), table("own", 7), table("other", 1)];
        let keys = [key("child", "parent"), key("own", "own")];
        let mut queue = Queue::new(&tables.each_ref(), &keys, |bytes| bytes);
        let (Some(parent), "parent") = take(&mut queue, None) else { panic!("not the largest") };
        assert_eq!(take(&mut queue, None).1, "own", "a key to itself joins it to no other");
        assert_eq!(take(&mut queue, None).1, "other");
        assert_eq!(take(&mut queue, None).1, "later");
        queue.end(parent);
        assert_eq!(take(&mut queue, None).1, "child");
    }

    #[test]
    fn two_children_of_a_parent_do_not_run_at_once() {
        let tables = [table("one", 9), table("two", 8), table("grandchild", 7)];
        let keys = [key("one", "parent"), key("two", "parent"), key("grandchild", "two")];
        let mut queue = Queue::new(&tables.each_ref(), &keys, |bytes| bytes);
        let (Some(one), "one") = take(&mut queue, None) else { panic!("not the largest") };
        assert_eq!(take(&mut queue, None).1, "grandchild", "no lock in common");
        assert_eq!(take(&mut queue, None).1, "later");
        queue.end(one);
        assert_eq!(take(&mut queue, None).1, "later", "its child is still at work");
    }

    #[test]
    fn tables_run_at_once_only_if_there_is_room_for_all() {
        let tables = [table("l", 50), table("m", 40), table("s", 10)];
        let mut queue = Queue::new(&tables.each_ref(), &[], |bytes| 2 * bytes);
        let (Some(large), "l") = take(&mut queue, Some(120)) else { panic!("alone, it is tried") };
        let (Some(small), "s") = take(&mut queue, Some(120)) else { panic!("there is room for it") };
        assert_eq!(take(&mut queue, Some(120)).1, "later");
        queue.end(large);
        queue.end(small);
        assert_eq!(take(&mut queue, Some(1)).1, "m", "alone, it says itself what is missing");
    }

    #[test]
    fn nothing_is_begun_after_an_error() {
        let tables = [table("t", 1)];
        let mut queue = Queue::new(&tables.each_ref(), &[], |bytes| bytes);
        queue.is_over = true;
        assert_eq!(take(&mut queue, None).1, "nothing");
    }
}
