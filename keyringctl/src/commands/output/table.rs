// SPDX-License-Identifier: GPL-2.0-or-later
//! Lays out a table for a terminal. No cell is cut, and no path in it is divided.

use crate::terminal::{Screen, columns_of, longest_piece, padded, wrap};

/// The spaces between two columns.
const GAP: usize = 2;
/// The least room in which the last column is wrapped.
const ROOM: usize = 24;
/// The indent of a last cell that has lines of its own.
const INDENT: usize = 4;

/// Returns the lines of a table. Without a terminal, each row is one line.
pub(super) fn lines(headings: &[&str], rows: &[Vec<String>], screen: Screen) -> Vec<String> {
    let heads: Vec<String> = headings.iter().map(|&h| h.to_owned()).collect();
    let widths: Vec<usize> = (0..heads.len())
        .map(|i| {
            let cells = rows.iter().filter_map(|row| row.get(i)).chain([&heads[i]]);
            cells.map(|cell| columns_of(cell)).max().unwrap_or(0)
        })
        .collect();
    let before_last: usize = widths.iter().rev().skip(1).map(|width| width + GAP).sum();
    let last = widths.last().copied().unwrap_or(0);
    let all = [&heads].into_iter().chain(rows);
    let Some(width) = screen.width.filter(|width| before_last + last > *width) else {
        return all.map(|row| line(row, &widths, screen)).collect();
    };
    let room = width.saturating_sub(before_last);
    // A piece that is wider than the terminal is a path, and does not fit anywhere.
    let longest =
        rows.iter().filter_map(|row| row.get(heads.len() - 1)).map(|cell| longest_piece(cell)).max();
    if room >= ROOM && longest.is_none_or(|longest| longest <= room || longest + INDENT > width) {
        return all.flat_map(|row| wrapped(row, &widths, room, before_last, screen)).collect();
    }
    if before_last <= width + GAP && last > 0 {
        return all.flat_map(|row| below(row, &widths, width, screen)).collect();
    }
    one_below_another(&heads, rows, width, screen)
}

/// A row as one line.
fn line(row: &[String], widths: &[usize], screen: Screen) -> String {
    let cells = row.iter().zip(widths).map(|(cell, width)| {
        let spaces = padded(cell, *width).split_off(cell.len());
        format!("{}{spaces}", screen.coloured(cell))
    });
    cells.collect::<Vec<_>>().join(&" ".repeat(GAP)).trim_end_matches(' ').to_owned()
}

/// A row whose last cell is wrapped under itself.
fn wrapped(row: &[String], widths: &[usize], room: usize, indent: usize, screen: Screen) -> Vec<String> {
    let mut row = row.to_vec();
    let text = row.last_mut().map(|cell| wrap_cell(cell, room)).unwrap_or_default();
    let mut cells = text.lines();
    if let Some(last) = row.last_mut() {
        *last = cells.next().unwrap_or_default().to_owned();
    }
    let rest: Vec<_> = cells.map(|cell| format!("{}{cell}", " ".repeat(indent))).collect();
    [line(&row, widths, screen)].into_iter().chain(rest).collect()
}

/// A row whose last cell has lines of its own below it.
fn below(row: &[String], widths: &[usize], width: usize, screen: Screen) -> Vec<String> {
    let Some((last, cells)) = row.split_last() else { return Vec::new() };
    let indent = " ".repeat(INDENT);
    let text = wrap_cell(last, width - INDENT);
    let rest = text.lines().map(|cell| format!("{indent}{}", screen.coloured(cell)));
    [line(cells, widths, screen)].into_iter().chain(rest).collect()
}

/// The cells of each row, one below another, with their headings before them.
fn one_below_another(heads: &[String], rows: &[Vec<String>], width: usize, screen: Screen) -> Vec<String> {
    let indent = heads.iter().map(|head| columns_of(head)).max().unwrap_or(0) + GAP;
    let mut out = Vec::new();
    for row in rows {
        if !out.is_empty() {
            out.push(String::new());
        }
        for (head, cell) in heads.iter().zip(row).filter(|(_, cell)| !cell.is_empty()) {
            let text = wrap_cell(cell, width.saturating_sub(indent));
            for (i, part) in text.lines().enumerate() {
                let head = padded(if i == 0 { head } else { "" }, indent);
                out.push(format!("{head}{}", if i == 0 { screen.coloured(part) } else { part.to_owned() }));
            }
        }
    }
    out
}

/// A cell in lines of this width, all of which begin in the same column.
fn wrap_cell(cell: &str, width: usize) -> String {
    wrap(cell, width).lines().map(|line| line.trim_start_matches(' ')).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(cells: &[&[&str]]) -> Vec<Vec<String>> {
        cells.iter().map(|row| row.iter().map(|&cell| cell.to_owned()).collect()).collect()
    }

    fn terminal(width: usize) -> Screen {
        Screen { width: Some(width), colour: false }
    }

    /// The lines of a table, none of which is wider than the terminal.
    #[track_caller]
    fn fitting(headings: &[&str], cells: &[&[&str]], width: usize) -> Vec<String> {
        let lines = lines(headings, &rows(cells), terminal(width));
        assert!(lines.iter().all(|line| columns_of(line) <= width), "{}", lines.join("\n"));
        lines
    }

    #[test]
    fn columns_are_as_wide_as_they_are_shown() {
        let name = "\u{60a3}\u{8005}.\u{691c}\u{4f53}";
        let lines = fitting(&["table", "size"], &[&[name, "1 kB"], &["e\u{301}", "2 kB"]], 60);
        assert_eq!(lines, ["table      size", &format!("{name}  1 kB"), "e\u{301}          2 kB"]);
    }

    #[test]
    fn the_last_column_wraps_under_itself() {
        let why = "its row format is COMPRESSED, which this server does not encrypt";
        let lines = fitting(&["table", "state", ""], &[&["clinic.patients", "unencrypted", why]], 60);
        assert_eq!(
            lines,
            [
                "table            state",
                "clinic.patients  unencrypted  its row format is COMPRESSED,",
                "                              which this server does not",
                "                              encrypt",
            ]
        );
    }

    #[test]
    fn a_last_column_without_room_has_lines_of_its_own() {
        let table = "\u{60a3}\u{8005}\u{60c5}\u{5831}.\u{691c}\u{4f53}_with_a_long_name";
        let lines = fitting(
            &["table", "state", "why"],
            &[&[table, "unencrypted", "one two three four five six"]],
            60,
        );
        let row = format!("{table}  unencrypted");
        assert_eq!(lines[2..], [row, "    one two three four five six".to_owned()]);
    }

    #[test]
    fn cells_that_do_not_fit_stand_one_below_another() {
        let id = "INNODBKey-0a3c5a5e-c9b8-11f0-9d5b-0242ac110002-1";
        let row: &[&str] = &[id, "", "AES", "32", "2026-11-26T18:00:00Z"];
        let lines = fitting(&["KEY ID", "USER", "TYPE", "BYTES", "STORED"], &[row, row], 60);
        assert_eq!(lines[0], format!("KEY ID  {id}"));
        assert_eq!(lines[1..5], ["TYPE    AES", "BYTES   32", "STORED  2026-11-26T18:00:00Z", ""]);
    }

    #[test]
    fn a_path_in_a_cell_is_not_divided() {
        let path = format!("/mnt/{}/main.keyring", "long/".repeat(20));
        for width in [40, 60, 80] {
            let cells = rows(&[&["copy", &format!("the copy {path} is behind the others, and so on")]]);
            let lines = lines(&["place", "state"], &cells, terminal(width));
            assert!(lines.iter().any(|line| line.contains(&path)), "{}", lines.join("\n"));
            assert!(
                lines.iter().all(|line| columns_of(line) <= width || line.trim() == path),
                "{}",
                lines.join("\n")
            );
        }
    }

    #[test]
    fn a_pipe_gets_one_line_a_row() {
        let long = "word ".repeat(40);
        let lines = lines(&["a", "b"], &rows(&[&["x", long.trim_end()]]), Screen::default());
        assert_eq!(lines, ["a  b".to_owned(), format!("x  {}", long.trim_end())]);
    }

    #[test]
    fn a_status_in_a_cell_is_coloured_and_stays_aligned() {
        let screen = Screen { width: None, colour: true };
        let lines = lines(&["state", "copy"], &rows(&[&["OK", "/a"], &["FAILED", "/b"]]), screen);
        assert_eq!(lines, ["state   copy", "\x1b[32mOK\x1b[0m      /a", "\x1b[31mFAILED\x1b[0m  /b"]);
    }
}
