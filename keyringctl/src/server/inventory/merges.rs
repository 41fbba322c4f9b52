// SPDX-License-Identifier: GPL-2.0-or-later
//! MERGE tables: each reads several MyISAM tables as one, and cannot be read any more when one of them has another engine.

use super::table::{Table, TableLocation};
use crate::error::{Error, Result};
use crate::server::{Session, full_name, quoted};

/// A MERGE table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MergeTable {
    schema: String,
    name: String,
    /// Schema and name of each table that it reads.
    members: Vec<(String, String)>,
}

impl MergeTable {
    /// Asks the server for all of them, without those that cannot be read now.
    pub(super) fn all(session: &mut Session, tables: &[Table]) -> Result<Vec<MergeTable>> {
        let mut all = Vec::new();
        let is_merge =
            |table: &&Table| matches!(&table.place, TableLocation::Engine(engine) if engine == "MRG_MYISAM");
        for table in tables.iter().filter(is_merge) {
            let query = format!("SHOW CREATE TABLE {}", table.quoted());
            let statement = match session.columns::<String>(&query, &["Create Table"]) {
                Ok(shown) => shown.into_iter().flatten().flatten().next().unwrap_or_default(),
                Err(Error::Server(e)) if e.code != 0 => continue,
                Err(e) => return Err(e),
            };
            let (schema, name) = (table.schema.clone(), table.name.clone());
            let members = members(&statement, &schema);
            all.push(MergeTable { schema, name, members });
        }
        Ok(all)
    }

    /// Whether it reads a table.
    pub fn reads(&self, table: &Table) -> bool {
        self.members.iter().any(|(schema, name)| *schema == table.schema && *name == table.name)
    }

    /// `schema.table`, as it is shown.
    pub fn full_name(&self) -> String {
        full_name(&self.schema, &self.name)
    }

    /// The statements that replace it with a view of the same rows. It has none of its own.
    pub fn to_view(&self) -> [String; 2] {
        let name = format!("{}.{}", quoted(&self.schema), quoted(&self.name));
        let rows = self.members.iter().map(|(s, t)| format!("SELECT * FROM {}.{}", quoted(s), quoted(t)));
        let rows = rows.collect::<Vec<_>>().join(" UNION ALL ");
        [format!("DROP TABLE {name};"), format!("CREATE VIEW {name} AS {rows};")]
    }
}

/// Returns the tables in the UNION option of the server's CREATE TABLE statement. The server leaves out the MERGE table's own
/// schema, `schema`.
fn members(statement: &str, schema: &str) -> Vec<(String, String)> {
    let Some((_, options)) = statement.rsplit_once("\n)") else { return Vec::new() };
    let mut members = Vec::new();
    let mut chars = options.chars();
    // What is outside of texts, such as that of COMMENT.
    let mut outside = String::new();
    let mut in_text = false;
    while let Some(c) = chars.next() {
        match c {
            '\'' => in_text = !in_text,
            '\\' if in_text => drop(chars.next()),
            _ if in_text => {}
            _ => outside.push(c),
        }
        if outside.ends_with(" UNION=(") {
            break;
        }
    }
    let mut names: Vec<String> = Vec::new();
    let mut chars = chars.peekable();
    while let Some(c) = chars.next() {
        match c {
            '`' => {
                let mut name = String::new();
                while let Some(c) = chars.next() {
                    if c == '`' && chars.next_if_eq(&'`').is_none() {
                        break;
                    }
                    name.push(c);
                }
                names.push(name);
            }
            ',' | ')' => {
                if let Some(name) = names.pop() {
                    members.push((names.pop().unwrap_or_else(|| schema.to_owned()), name));
                }
                if c == ')' {
                    break;
                }
            }
            _ => {}
        }
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_members_are_found_in_a_create_table_statement() {
        let found = |options: &str| {
            members(&format!("CREATE TABLE `m` (\n  `a UNION=(``x``)` int\n){options}"), "bio")
        };
        let pair = |schema: &str, name: &str| (schema.to_owned(), name.to_owned());
        let all = " ENGINE=MRG_MyISAM COMMENT='it''s \\' UNION=(`no`)' INSERT_METHOD=LAST UNION=(`m1`,`b,)o`.`m``2`)";
        assert_eq!(found(all), [pair("bio", "m1"), pair("b,)o", "m`2")]);
        assert_eq!(found(" ENGINE=MRG_MyISAM"), []);
    }

    #[test]
    fn a_view_replaces_it() {
        let members = vec![("a".to_owned(), "x".to_owned()), ("b".to_owned(), "y`".to_owned())];
        let merge = MergeTable { schema: "a".to_owned(), name: "m".to_owned(), members };
        assert_eq!(
            merge.to_view(),
            [
                "DROP TABLE `a`.`m`;",
                "CREATE VIEW `a`.`m` AS SELECT * FROM `a`.`x` UNION ALL SELECT * FROM `b`.`y```;"
            ]
        );
    }
}
