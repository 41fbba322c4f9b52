// SPDX-License-Identifier: GPL-2.0-or-later
//! How far a table is on its way through a scratch tablespace, and what comes next. Both follow from what the server says, so that
//! a run that was killed anywhere needs no state of its own.

/// Where a table is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Whereabouts {
    /// In the scratch tablespace.
    Inside,
    /// In a file of its own that is as it should be.
    Reached,
    /// In a file of its own that is not, or in the system tablespace.
    Outside,
    /// In a general tablespace of somebody else.
    Elsewhere,
}

/// What the server says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct State {
    /// Whether the scratch tablespace is as the table should be; `None`: it does not exist.
    pub scratch_reached: Option<bool>,
    pub table: Whereabouts,
}

/// The next statement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// Create the scratch tablespace.
    Create,
    /// Move the table into it.
    In,
    /// Encrypt or decrypt it.
    Turn,
    /// Move the table out of it.
    Out,
    /// Drop it.
    Drop,
    Finished,
    /// Somebody else has put the table into a tablespace of theirs.
    Gone,
}

impl State {
    /// Returns what comes next. `starts`: a table that is outside is to be moved in; otherwise only what was begun is ended.
    pub(super) fn next(self, starts: bool) -> Next {
        match (self.scratch_reached, self.table) {
            (None, Whereabouts::Outside) if starts => Next::Create,
            (None, Whereabouts::Elsewhere) => Next::Gone,
            (None, _) => Next::Finished,
            (Some(true), Whereabouts::Inside) => Next::Out,
            (Some(false), Whereabouts::Inside) => Next::Turn,
            // The server moves no table into a tablespace that is encrypted when the table is not.
            (Some(false), Whereabouts::Outside) if starts => Next::In,
            (Some(_), _) => Next::Drop,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Carries out the statements on a model of the server.
    fn follow(mut state: State, starts: bool) -> Vec<Next> {
        let mut all = Vec::new();
        loop {
            let next = state.next(starts);
            all.push(next);
            match next {
                Next::Create => state.scratch_reached = Some(false),
                Next::In => state.table = Whereabouts::Inside,
                Next::Turn => state.scratch_reached = Some(true),
                Next::Out => state.table = Whereabouts::Reached,
                Next::Drop => state.scratch_reached = None,
                Next::Finished | Next::Gone => return all,
            }
        }
    }

    #[test]
    fn a_table_arrives_from_whatever_state_it_is_in() {
        use Next::{Create, Drop, Finished, Gone, In, Out, Turn};
        use Whereabouts::{Elsewhere, Inside, Outside, Reached};
        let whole = [Create, In, Turn, Out, Drop, Finished];
        for (scratch_reached, table, starts, ways) in [
            (None, Outside, true, &whole[..]),
            (Some(false), Outside, true, &whole[1..]),
            (Some(false), Inside, true, &whole[2..]),
            (Some(true), Inside, true, &whole[3..]),
            (Some(true), Reached, true, &whole[4..]),
            (None, Reached, true, &whole[5..]),
            // A leftover of a run in the other direction.
            (Some(true), Outside, true, &[&[Drop][..], &whole].concat()),
            (Some(false), Reached, true, &[Drop, Finished]),
            (Some(false), Inside, false, &[Turn, Out, Drop, Finished]),
            (Some(true), Inside, false, &[Out, Drop, Finished]),
            (Some(false), Outside, false, &[Drop, Finished]),
            (Some(true), Outside, false, &[Drop, Finished]),
            (None, Outside, false, &[Finished]),
            (Some(false), Elsewhere, true, &[Drop, Gone]),
            (None, Elsewhere, true, &[Gone]),
        ] {
            let state = State { scratch_reached, table };
            assert_eq!(follow(state, starts), ways, "{state:?} {starts}");
        }
    }
}
