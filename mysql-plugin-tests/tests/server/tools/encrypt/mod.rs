// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl encrypt` on a sample biobank.

mod applications;
mod biobank;
mod broken;
mod cached_expressions;
mod command;
mod connecting;
mod connections;
mod counting;
mod definitions;
mod finish;
mod half_done;
mod host;
mod hostile;
mod hostile_names;
mod kills;
mod limits;
mod load;
mod names;
mod own_objects;
mod partitions;
mod places;
mod questions;
mod remedies;
mod replication;
mod replication_online;
mod session_defaults;
mod several;
mod small;
mod success;
mod told_places;
#[path = "../../../../../tests/common/typing.rs"]
mod typing;
mod visibility;
mod ways;

pub use applications::what_applications_notice;
pub use biobank::under_load;
pub use broken::{
    what_is_broken_ends_nothing, what_is_in_use_ends_nothing, without_its_key_nothing_is_called_encrypted,
};
pub use cached_expressions::expressions_of_other_sessions_are_not_stored;
pub use connecting::as_the_mysql_client;
pub use connections::lost_connections;
pub use counting::one_count_and_no_false_done;
pub use definitions::stay_as_they_are;
pub use finish::what_is_left_is_done_step_by_step;
pub use half_done::half_done;
pub use hostile::everything_at_once;
pub use hostile_names::{hostile_names, names_in_lower_case};
pub use kills::killed_at_every_moment;
pub use limits::the_run_waits_while_a_limit_is_exceeded;
pub use own_objects::{own_objects_depend_on_no_default, without_the_canary_the_rest_is_verified};
pub use partitions::each_partition_is_judged;
pub use places::every_place_is_searched_or_named;
pub use questions::every_question_is_asked;
pub use remedies::remedies_work_as_printed;
pub use replication::{
    a_source_asks_what_its_replicas_get, members_of_a_group, no_errant_transactions_on_a_replica,
};
pub use replication_online::replicas_and_sources_go_online;
pub use session_defaults::hostile_session_defaults;
pub use several::several_tables_at_once;
pub use small::{after_a_crash, and_back, in_use_and_left, refuses_to_start, verify_finds_what_is_in_clear};
pub use success::is_a_state;
pub use visibility::{a_keyring_that_is_not_shown_is_not_absent, what_is_not_visible_is_not_absent};
pub use ways::plan_says_which_way_each_table_goes;
