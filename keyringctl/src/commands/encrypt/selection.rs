// SPDX-License-Identifier: GPL-2.0-or-later
//! The tables that `--only` and `--skip` select: whether there are any, and which of them apply does not rewrite.

use super::apply_report::FailedStep;
use super::direction::Direction;
use super::scope::Scope;
use crate::error::{Error, Result};
use crate::server::{
    DataPlace, Inventory, NameCase, Obstacle, Pattern, PlaceState, Remedy, Table, TableLocation, full_name,
    pasteable, quoted,
};
use crate::show::Shown;

/// The tables that a run is about.
#[derive(clap::Args)]
#[group(id = "selection")]
pub(super) struct Selection {
    /// Only these tables, and no settings or logs; * and ? are wildcards (repeatable)
    #[arg(long, value_name = "SCHEMA.TABLE")]
    pub only: Vec<Pattern>,
    /// Leave these tables out; * and ? are wildcards (repeatable). SCHEMA.* leaves the schema's default out too
    #[arg(long, value_name = "SCHEMA.TABLE")]
    pub skip: Vec<Pattern>,
}

impl Selection {
    /// What that asks for.
    pub(super) fn scope(&self, direction: Direction) -> Scope<'_> {
        Scope { only: &self.only, skip: &self.skip, direction }
    }

    /// Refuses names that select no table, or tables that their author may not have meant.
    ///
    /// # Errors
    /// [`Error::Usage`], with the nearest name.
    pub(super) fn check(&self, inventory: &Inventory) -> Result<()> {
        check("--only", self.only.iter(), inventory)?;
        // A pattern for tables that come and go may select none.
        check("--skip", self.skip.iter().filter(|pattern| pattern.is_name()), inventory)?;
        let names = inventory.tables.iter().map(|t| (t.schema.as_str(), t.name.as_str()));
        self.check_rest(names, inventory.name_case())
    }

    /// Refuses a `--skip` that leaves nothing of `--only`: such a run would do nothing and report success.
    fn check_rest<'t>(
        &self,
        mut tables: impl Iterator<Item = (&'t str, &'t str)>,
        case: NameCase,
    ) -> Result<()> {
        let matches =
            |patterns: &[Pattern], (s, t): (&str, &str)| patterns.iter().any(|p| p.matches(s, t, case));
        if self.only.is_empty() || tables.any(|t| matches(&self.only, t) && !matches(&self.skip, t)) {
            return Ok(());
        }
        let listed = |patterns: &[Pattern]| {
            patterns.iter().map(|pattern| pattern.to_string()).collect::<Vec<_>>().join(", ")
        };
        Err(Error::Usage(format!(
            "--skip {} leaves out every table that --only {} selects, so there is nothing to do. Nothing was changed. \
             Leave one of the two options out",
            listed(&self.skip),
            listed(&self.only)
        )))
    }
}

fn check<'p>(
    option: &str,
    mut patterns: impl Iterator<Item = &'p Pattern>,
    inventory: &Inventory,
) -> Result<()> {
    let case = inventory.name_case();
    let tables = || inventory.tables.iter().map(|t| (t.schema.as_str(), t.name.as_str()));
    let first = |pattern: &Pattern, case| tables().find(|(s, t)| pattern.matches(s, t, case));
    let wrong = patterns.find_map(|pattern| {
        if first(pattern, case).is_none() {
            if inventory.in_mysql.iter().any(|(schema, table)| pattern.matches(schema, table, case)) {
                return Some(format!(
                    "{option} {pattern}: this is in the tablespace mysql, which is encrypted as a whole, by keyringctl encrypt apply without --only"
                ));
            }
            let near = match first(pattern, NameCase::Folded) {
                Some((schema, table)) => {
                    let name = full_name(schema, table);
                    format!("; this server distinguishes capital letters, and has {name}")
                }
                None => did_you_mean(&pattern.to_string(), tables().map(|(s, t)| full_name(s, t))),
            };
            return Some(format!("{option} {pattern} matches no table{near}"));
        }
        let [one, other] = pattern.ambiguity(tables(), case)?;
        Some(format!(
            "{option} {pattern} may mean {one} or {other}: write the part with the dot in backticks"
        ))
    });
    match wrong {
        None => Ok(()),
        Some(wrong) => {
            let end = if wrong.ends_with('?') { "" } else { "." };
            Err(Error::Usage(format!(
                "{wrong}{end} Nothing was changed. `keyringctl encrypt plan --tables` lists all tables"
            )))
        }
    }
}

/// Names the nearest of these names, if one is near.
fn did_you_mean(name: &str, names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let nearest = similar::get_close_matches(name, &names, 1, 0.5);
    nearest.first().map(|near| format!(". Did you mean {near}?")).unwrap_or_default()
}

/// Returns the tables that `--only` selects, without those of `--skip`, and that are not as requested, but are not
/// rewritten, each with the reason.
pub(super) fn not_rewritten(
    only: &[Pattern],
    skip: &[Pattern],
    direction: Direction,
    inventory: &Inventory,
    items: &[DataPlace],
) -> Vec<FailedStep> {
    let case = inventory.name_case();
    let matches =
        |patterns: &[Pattern], t: &Table| patterns.iter().any(|p| p.matches(&t.schema, &t.name, case));
    let is_selected = |table: &&Table| matches(only, table) && !matches(skip, table);
    let why = |table: &Table| match &table.place {
        TableLocation::General(name) => {
            let space = inventory.tablespaces.iter().find(|space| space.name == *name)?;
            match &space.fault {
                Some(fault) => {
                    Some(format!("it is in the tablespace {}: {fault}. {}", name.shown(), fault.remedy()))
                }
                None if direction.is_reached(space.encrypted) => None,
                None => Some(in_tablespace(name, direction, inventory.before_by_hand)),
            }
        }
        _ if direction == Direction::Encrypt => {
            let is_clear =
                |item: &&DataPlace| item.name == table.full_name() && item.state == PlaceState::Clear;
            items.iter().find(is_clear).and_then(by_hand).or_else(|| {
                let Obstacle { why, remedy } = table.discarded_parts(inventory.before_by_hand)?;
                Some(format!("{why}: {remedy}"))
            })
        }
        _ => None,
    };
    let selected = inventory.tables.iter().filter(is_selected);
    selected
        .filter_map(|table| Some(FailedStep { why: why(table)?, what: table.full_name(), by_hand: true }))
        .collect()
}

fn in_tablespace(name: &str, direction: Direction, first: &str) -> String {
    format!(
        "it is in the tablespace {}, which is encrypted or decrypted as a whole: run apply without --only, or {first}{}",
        name.shown(),
        pasteable(&format!("ALTER TABLESPACE {} ENCRYPTION = '{}';", quoted(name), direction.letter()))
    )
}

fn by_hand(item: &DataPlace) -> Option<String> {
    match &item.remedy {
        Remedy::ByHand(how) => Some(format!("{}. {how}", item.about)),
        Remedy::Apply | Remedy::None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_table_is_named() {
        let names = || ["clinic.visits", "clinic.patients", "shop.orders"].map(str::to_owned).into_iter();
        assert_eq!(did_you_mean("clinic.vists", names()), ". Did you mean clinic.visits?");
        assert_eq!(did_you_mean("zzz.q", names()), "");
    }

    #[test]
    fn a_skip_that_leaves_nothing_of_only_is_refused() {
        let pattern = |text: &&str| text.parse::<Pattern>().unwrap();
        let tables = [("clinic", "pat"), ("clinic", "visits"), ("shop", "orders")];
        for (only, skip, is_refused) in [
            (&["clinic.pat"][..], &["clinic.*"][..], true),
            (&["clinic.*"], &["clinic.pat", "*.visits"], true),
            (&["clinic.*"], &["clinic.pat"], false),
            (&["clinic.pat", "shop.*"], &["clinic.*"], false),
            (&["clinic.pat"], &[], false),
            (&[], &["*.*"], false),
        ] {
            let selection = Selection {
                only: only.iter().map(pattern).collect(),
                skip: skip.iter().map(pattern).collect(),
            };
            let checked = selection.check_rest(tables.into_iter(), NameCase::Exact);
            assert_eq!(checked.is_err(), is_refused, "{only:?} {skip:?}");
            if let Err(e) = checked {
                let said = e.to_string();
                assert!(said.contains("leaves out every table that --only "), "{said}");
            }
        }
    }
}
