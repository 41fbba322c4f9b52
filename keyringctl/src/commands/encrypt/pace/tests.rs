// SPDX-License-Identifier: GPL-2.0-or-later
use super::*;

const GB: u64 = 1_000_000_000;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn stage(percent: u64) -> Stage {
    Stage { name: "stage/sql/copy to tmp table".to_owned(), completed: percent, estimated: 100 }
}

/// What a status line shows.
fn text(pace: &Pace, now: Instant) -> String {
    let steps = pace.steps();
    let overall = pace.overall(now);
    if steps.is_empty() { overall } else { format!("{overall}: {}", steps.join(", ")) }
}

/// A step that one statement does, from `from` to `to` seconds after the start.
fn one_step(pace: &mut Pace, bytes: u64, start: Instant, (from, to): (u64, u64), succeeded: bool) {
    pace.begin(0, "a.t", bytes, WHOLE, start + seconds(from));
    pace.end_statement(0, succeeded, start + seconds(to));
    pace.end(0, bytes);
}

#[test]
fn time_left_counts_undo_and_redo_steps() {
    let start = Instant::now();
    let mut pace = Pace::new(start);
    pace.set_total(4 * GB, 3);
    pace.begin(0, "a.t", 2 * GB, WHOLE, start);
    assert_eq!(text(&pace, start), "0 %, 0 B of 4.0 GB: a.t", "nothing is known about the speed");
    pace.reach(0, Some(&stage(50)), start + seconds(10));
    assert_eq!(pace.left(start + seconds(10)), Some(seconds(30 + 3 * 5)));
    assert_eq!(text(&pace, start + seconds(10)), "23 %, 1.0 GB of 4.0 GB, 100 MB/s, 45 s left: a.t");
    pace.end_statement(0, true, start + seconds(20));
    pace.end(0, 2 * GB);
    one_step(&mut pace, 2 * GB, start, (20, 40), true);
    assert_eq!(pace.left(start + seconds(40)), Some(seconds(3 * 5)));
    pace.end_wait(seconds(60));
    assert_eq!(text(&pace, start + seconds(100)), "96 %, 4.0 GB of 4.0 GB, 2 min left");
    pace.end_wait(seconds(60));
    pace.end_wait(seconds(60));
    assert_eq!(text(&pace, start + seconds(220)), "100 %, 4.0 GB of 4.0 GB");
}

#[test]
fn progress_is_never_over_100_percent() {
    let start = Instant::now();
    let mut pace = Pace::new(start);
    pace.set_total(GB, 1);
    for _ in 0..3 {
        pace.begin(0, "a.t", 2 * GB, WHOLE, start);
        // The server's estimate was too low, and the table has grown since it was measured.
        pace.reach(0, Some(&stage(170)), start + seconds(5));
        assert!(pace.percent() <= 100 && pace.processed() <= GB);
        pace.end_statement(0, true, start + seconds(5));
        pace.end(0, 2 * GB);
        pace.end_wait(seconds(1));
        assert_eq!(text(&pace, start + seconds(5)), "100 %, 1.0 GB of 1.0 GB");
    }
    pace.end(0, u64::MAX);
    assert_eq!((pace.percent(), pace.processed()), (100, GB));
}

#[test]
fn a_run_without_tables_counts_its_steps() {
    let start = Instant::now();
    let mut pace = Pace::new(start);
    pace.begin(0, "settings", 0, WHOLE, start);
    assert_eq!(text(&pace, start), "0 %: settings");
    pace.set_total(0, 4);
    pace.end_wait(seconds(2));
    assert_eq!(text(&pace, start), "25 %, 6 s left");
}

#[test]
fn a_table_that_failed_is_left_out_of_the_speed() {
    let start = Instant::now();
    let mut pace = Pace::new(start);
    pace.set_total(4 * GB, 0);
    one_step(&mut pace, 2 * GB, start, (0, 50), false);
    assert_eq!((pace.percent(), pace.left(start + seconds(50))), (50, None));
    one_step(&mut pace, GB, start, (50, 60), true);
    assert_eq!(pace.left(start + seconds(60)), Some(seconds(10)));
}

#[test]
fn a_step_that_is_tried_again_does_not_turn_the_progress_back() {
    let start = Instant::now();
    let mut pace = Pace::new(start);
    pace.set_total(2 * GB, 0);
    pace.begin(0, "a.t", GB, WHOLE, start);
    pace.reach(0, Some(&stage(80)), start + seconds(8));
    assert_eq!(pace.percent(), 40);
    pace.end_statement(0, false, start + seconds(9));
    pace.give_up(0);
    assert_eq!(pace.percent(), 40);
    pace.begin(0, "a.t", GB, WHOLE, start + seconds(20));
    pace.reach(0, Some(&stage(10)), start + seconds(21));
    assert_eq!(pace.percent(), 40);
    pace.reach(0, Some(&stage(90)), start + seconds(29));
    assert_eq!(pace.percent(), 45);
}

#[test]
fn the_statements_of_a_table_count_with_their_shares() {
    let start = Instant::now();
    let mut pace = Pace::new(start);
    pace.set_total(GB, 0);
    pace.begin(0, "a.t", GB, 0.0..0.4, start);
    pace.reach(0, Some(&stage(50)), start + seconds(2));
    assert_eq!(pace.percent(), 20);
    pace.end_statement(0, true, start + seconds(4));
    // The load is too high in the meantime, which does not count.
    assert_eq!(pace.percent(), 40);
    pace.begin(0, "a.t", GB, 0.4..1.0, start + seconds(100));
    assert_eq!(pace.percent(), 40);
    pace.reach(0, Some(&stage(50)), start + seconds(103));
    assert_eq!(pace.percent(), 70);
    assert_eq!(pace.left(start + seconds(103)), Some(seconds(3)));
    // A run that goes on with the second statement has done less than the whole table.
    let mut pace = Pace::new(start);
    pace.set_total(2 * GB, 0);
    pace.begin(0, "a.t", GB, 0.5..1.0, start);
    pace.end_statement(0, true, start + seconds(5));
    pace.end(0, GB);
    assert_eq!(pace.left(start + seconds(5)), Some(seconds(10)));
}

#[test]
fn several_workers_are_faster_than_one_until_the_last_table() {
    let start = Instant::now();
    let mut pace = Pace::new(start);
    pace.set_total(4 * GB, 0);
    for (worker, what) in [(0, "a.t"), (1, "a.u")] {
        pace.begin(worker, what, GB, WHOLE, start);
        pace.reach(worker, Some(&stage(50)), start + seconds(10));
    }
    assert_eq!(
        text(&pace, start + seconds(10)),
        "25 %, 1.0 GB of 4.0 GB, 100 MB/s, 30 s left: a.t 50 %, a.u 50 %"
    );
    for worker in [0, 1] {
        pace.end_statement(worker, true, start + seconds(20));
        pace.end(worker, GB);
    }
    // 2 GB in one table: a worker alone processes half as much.
    pace.begin(0, "a.v", 2 * GB, WHOLE, start + seconds(20));
    pace.begin(1, "a.w", 0, WHOLE, start + seconds(20));
    assert_eq!(pace.left(start + seconds(20)), Some(seconds(40)));
}

#[test]
fn a_status_line_is_due_once_a_minute() {
    let start = Instant::now();
    let mut pace = Pace::new(start);
    let due: Vec<_> = (1..=180).filter(|s| pace.is_due(start + seconds(*s))).collect();
    assert_eq!(due, [60, 120, 180]);
}
