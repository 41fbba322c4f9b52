// SPDX-License-Identifier: GPL-2.0-or-later
//! Tests on a real MySQL server: mysql-plugin-tests/server.sh builds and runs them.
//!
//! A test that cannot run here is counted as ignored, never as passed, and says so.

mod engines;
mod faults;
mod keys;
mod tools;
mod volumes;

use engines::{copies, endurance, network, partitions, storing, troubles};
use faults::{disk, eio, full, fuse, hung, kill, mounts, power, power_cut, rotation};
use keys::{
    audit_log, audit_log_faults, clear_text, component, cost, daemonize, everyday, memory, options, slots,
    status, threads,
};
use mysql_plugin_tests::rig::{self, Kind, Volume, Which};
use tools::{
    backup, check, container, drill, encrypt, migrate_offline, report, retention, retention_log, setup,
    verify_datadir,
};
use volumes::{diverged, mandatory_locks, mirrors, refusal, situations, volume_gone};

use libtest_mimic::{Arguments, Completion, Trial};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Instant;

/// What a test needs that not every machine and user has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    Nothing,
    /// Volumes of that kind.
    Mounts(Kind),
    /// Volumes of a filesystem of these tests.
    Fuse,
    /// gdb's gcore, and leave to use it.
    Gcore,
    /// A browser.
    Chromium,
    /// The Prometheus exporter for MySQL.
    Exporter,
    /// The files of MySQL's test suite.
    StdData,
    /// A host of its own, and strace.
    Guest,
    /// A host of its own.
    Container,
    /// logrotate.
    Logrotate,
    /// Network namespaces.
    Network,
    /// An engine for keyrings.
    Engine(Which),
    /// etcd, and network namespaces.
    EtcdInNetwork,
}

use Needs::{
    Chromium, Container, Engine, EtcdInNetwork, Exporter, Fuse, Gcore, Guest, Logrotate, Mounts, Network,
    Nothing, StdData,
};

#[allow(non_upper_case_globals)]
const Ext4: Needs = Mounts(Kind::Ext4);
const BTRFS: Needs = Mounts(Kind::Btrfs);
const XFS: Needs = Mounts(Kind::Xfs);

const ETCD: Needs = Engine(Which::Etcd);
const OPENBAO: Needs = Engine(Which::OpenBao);
const SEAWEEDFS: Needs = Engine(Which::SeaweedFs);

const TESTS: &[(&str, Needs, fn())] = &[
    ("check::states_of_the_plugin", Nothing, check::states_of_the_plugin),
    ("check::states_of_the_component", Nothing, check::states_of_the_component),
    ("check::failed_reload", Nothing, check::failed_reload),
    ("retention::from_need_to_destruction", Nothing, retention::from_need_to_destruction),
    ("retention::destroyed_with_a_log_and_without", Nothing, retention_log::destroyed_with_a_log_and_without),
    ("retention::killed_while_destroying", Nothing, retention::killed_while_destroying),
    ("check::hung", Mounts(Kind::Sshfs), check::hung),
    ("encrypt::under_load", Nothing, encrypt::under_load),
    ("encrypt::after_a_crash", Nothing, encrypt::after_a_crash),
    ("encrypt::killed_at_every_moment", Nothing, encrypt::killed_at_every_moment),
    ("encrypt::half_done", Nothing, encrypt::half_done),
    ("encrypt::refuses_to_start", Nothing, encrypt::refuses_to_start),
    (
        "encrypt::the_run_waits_while_a_limit_is_exceeded",
        Nothing,
        encrypt::the_run_waits_while_a_limit_is_exceeded,
    ),
    ("encrypt::in_use_and_left", Nothing, encrypt::in_use_and_left),
    ("encrypt::and_back", Nothing, encrypt::and_back),
    ("encrypt::every_question_is_asked", Nothing, encrypt::every_question_is_asked),
    ("encrypt::verify_finds_what_is_in_clear", Nothing, encrypt::verify_finds_what_is_in_clear),
    ("encrypt::definitions_stay_as_they_are", Nothing, encrypt::stay_as_they_are),
    (
        "encrypt::expressions_of_other_sessions_are_not_stored",
        Nothing,
        encrypt::expressions_of_other_sessions_are_not_stored,
    ),
    ("encrypt::what_is_left_is_done_step_by_step", Nothing, encrypt::what_is_left_is_done_step_by_step),
    ("encrypt::everything_at_once", Nothing, encrypt::everything_at_once),
    ("encrypt::one_count_and_no_false_done", Nothing, encrypt::one_count_and_no_false_done),
    ("encrypt::remedies_work_as_printed", Nothing, encrypt::remedies_work_as_printed),
    ("encrypt::success_is_a_state", Nothing, encrypt::is_a_state),
    ("encrypt::as_the_mysql_client", Nothing, encrypt::as_the_mysql_client),
    ("encrypt::every_place_is_searched_or_named", Nothing, encrypt::every_place_is_searched_or_named),
    ("encrypt::own_objects_depend_on_no_default", Nothing, encrypt::own_objects_depend_on_no_default),
    (
        "encrypt::without_the_canary_the_rest_is_verified",
        Nothing,
        encrypt::without_the_canary_the_rest_is_verified,
    ),
    ("encrypt::no_errant_transactions_on_a_replica", Nothing, encrypt::no_errant_transactions_on_a_replica),
    ("encrypt::a_source_asks_what_its_replicas_get", Nothing, encrypt::a_source_asks_what_its_replicas_get),
    ("encrypt::replicas_and_sources_go_online", Nothing, encrypt::replicas_and_sources_go_online),
    ("encrypt::what_applications_notice", Nothing, encrypt::what_applications_notice),
    ("encrypt::members_of_a_group", Nothing, encrypt::members_of_a_group),
    ("encrypt::hostile_names", Nothing, encrypt::hostile_names),
    ("encrypt::names_in_lower_case", Nothing, encrypt::names_in_lower_case),
    ("encrypt::lost_connections", Nothing, encrypt::lost_connections),
    ("encrypt::several_tables_at_once", Nothing, encrypt::several_tables_at_once),
    ("encrypt::hostile_session_defaults", Nothing, encrypt::hostile_session_defaults),
    ("encrypt::plan_says_which_way_each_table_goes", Nothing, encrypt::plan_says_which_way_each_table_goes),
    ("encrypt::each_partition_is_judged", Nothing, encrypt::each_partition_is_judged),
    ("encrypt::what_is_broken_ends_nothing", Nothing, encrypt::what_is_broken_ends_nothing),
    ("encrypt::what_is_in_use_ends_nothing", Nothing, encrypt::what_is_in_use_ends_nothing),
    (
        "encrypt::without_its_key_nothing_is_called_encrypted",
        Nothing,
        encrypt::without_its_key_nothing_is_called_encrypted,
    ),
    ("encrypt::what_is_not_visible_is_not_absent", Nothing, encrypt::what_is_not_visible_is_not_absent),
    (
        "encrypt::a_keyring_that_is_not_shown_is_not_absent",
        Nothing,
        encrypt::a_keyring_that_is_not_shown_is_not_absent,
    ),
    ("power_cut::acknowledged_keys_are_there", Ext4, power_cut::acknowledged_keys_are_there),
    (
        "power_cut::component_keyring_file_loses_the_instance",
        Ext4,
        power_cut::component_keyring_file_loses_the_instance,
    ),
    ("kill::while_rotating", Nothing, kill::while_rotating),
    ("clear_text::canary", Nothing, clear_text::canary),
    ("clear_text::keys", Nothing, clear_text::keys),
    ("everyday::restarts_and_rotations", Nothing, everyday::restarts_and_rotations),
    ("volume_gone::at_start", Nothing, || volume_gone::at_start(&Volume::directory())),
    ("volume_gone::at_start_ext4", Ext4, || volume_gone::at_start(&Volume::ext4())),
    ("volume_gone::while_running", Nothing, || volume_gone::while_running(&Volume::directory())),
    ("volume_gone::while_running_ext4", Ext4, || volume_gone::while_running(&Volume::ext4())),
    ("volume_gone::mounted_late", Nothing, || volume_gone::mounted_late(&Volume::directory())),
    ("volume_gone::mounted_late_ext4", Ext4, || volume_gone::mounted_late(&Volume::ext4())),
    ("audit_log::beside_keyringctl", Nothing, audit_log::beside_keyringctl),
    ("audit_log::rotated_in_use", Nothing, audit_log::rotated_in_use),
    ("audit_log::killed", Nothing, audit_log::killed),
    ("audit_log::not_writable", Nothing, audit_log::not_writable),
    ("audit_log::of_the_component", Nothing, audit_log::of_the_component),
    ("audit_log::full_disk", Ext4, audit_log_faults::full_disk),
    ("audit_log::read_only", Ext4, audit_log_faults::read_only),
    ("audit_log::hung", Mounts(Kind::Sshfs), audit_log_faults::hung),
    ("audit_log::rotated_by_logrotate", Logrotate, audit_log_faults::rotated_by_logrotate),
    ("options::spellings", Nothing, options::spellings),
    ("options::refused", Nothing, options::refused),
    ("refusal::at_start", Nothing, refusal::at_start),
    ("refusal::beside_the_data", Nothing, refusal::beside_the_data),
    ("refusal::without_force", Nothing, refusal::without_force),
    ("memory::no_key_in_a_core", Gcore, memory::no_key_in_a_core),
    ("component::migrated_by_the_tool", Nothing, component::migrated_by_the_tool),
    ("component::migrated_from_the_plugin", Nothing, component::migrated_from_the_plugin),
    ("component::migrated_to_the_plugin", Nothing, component::migrated_to_the_plugin),
    ("component::volume_gone_at_start", Nothing, component::volume_gone_at_start),
    (
        "migrate_offline::from_oracles_component_and_back",
        Nothing,
        migrate_offline::from_oracles_component_and_back,
    ),
    ("migrate_offline::real_files_of_keyring_file", StdData, migrate_offline::real_files_of_keyring_file),
    ("migrate_offline::real_data_of_keyring_file", StdData, migrate_offline::real_data_of_keyring_file),
    ("status::of_the_plugin", Nothing, status::of_the_plugin),
    ("status::of_the_component", Nothing, status::of_the_component),
    ("status::without_a_volume_at_start", Nothing, status::without_a_volume_at_start),
    ("status::plugin_beside_component", Nothing, status::plugin_beside_component),
    ("status::component_installed_beside_plugin", Nothing, status::component_installed_beside_plugin),
    ("status::plugin_in_mysqld_exporter", Exporter, status::plugin_in_mysqld_exporter),
    ("status::component_in_mysqld_exporter", Exporter, status::component_in_mysqld_exporter),
    ("cost::of_storing", Nothing, cost::of_storing),
    ("threads::fetches_while_storing", Nothing, threads::fetches_while_storing),
    ("threads::installing_while_fetching", Nothing, threads::installing_while_fetching),
    ("daemonize::component", Nothing, daemonize::component),
    ("daemonize::plugin", Nothing, daemonize::plugin),
    ("daemonize::component_in_a_container", Nothing, daemonize::component_in_a_container),
    ("daemonize::plugin_in_a_container", Nothing, daemonize::plugin_in_a_container),
    ("setup::component", Guest, setup::component),
    ("setup::plugin", Guest, setup::plugin),
    ("setup::oracle_rpm", Guest, setup::oracle_rpm),
    ("backup::which_keyring_belongs_to_which_data", Nothing, backup::which_keyring_belongs_to_which_data),
    ("backup::archived_binary_logs", Nothing, backup::archived_binary_logs),
    ("drill::a_copy_and_its_faults", Nothing, drill::a_copy_and_its_faults),
    ("drill::a_snapshot_is_recovered", Nothing, drill::a_snapshot_is_recovered),
    ("drill::a_dump_and_one_that_was_cut_off", Nothing, drill::a_dump_and_one_that_was_cut_off),
    ("drill::a_backup_whose_key_was_destroyed", Nothing, drill::a_backup_whose_key_was_destroyed),
    ("drill::a_backup_with_which_no_server_starts", Nothing, drill::a_backup_with_which_no_server_starts),
    (
        "drill::a_snapshot_whose_redo_log_needs_a_missing_key",
        Nothing,
        drill::a_snapshot_whose_redo_log_needs_a_missing_key,
    ),
    ("drill::unlocked_by_people", Nothing, drill::unlocked_by_people),
    (
        "drill::by_an_ordinary_user_with_other_directories",
        Nothing,
        drill::by_an_ordinary_user_with_other_directories,
    ),
    ("drill::a_dump_without_a_table_fails", Nothing, drill::a_dump_without_a_table_fails),
    ("drill::stopped_and_killed_in_the_middle", Nothing, drill::stopped_and_killed_in_the_middle),
    ("drill::no_space_for_the_copy", Mounts(Kind::Ext4), drill::no_space_for_the_copy),
    ("container::component", Container, container::component),
    ("container::plugin", Container, container::plugin),
    ("container::kubernetes", Container, container::stateful_set),
    ("diverged::found_and_merged", Nothing, diverged::found_and_merged),
    ("slots::changed_under_a_rotating_server", Nothing, slots::changed_under_a_rotating_server),
    ("slots::renewed_while_the_server_is_down", Nothing, slots::renewed_while_the_server_is_down),
    ("slots::keyringctl_killed", Nothing, slots::keyringctl_killed),
    ("slots::recovery_key", Nothing, slots::recovery_key),
    ("slots::custodians", Nothing, slots::custodians),
    ("mirrors::come_and_go", Ext4, mirrors::come_and_go),
    ("mirrors::dead_and_replaced", Ext4, mirrors::dead_and_replaced),
    ("mirrors::older_copy_while_running", Ext4, mirrors::older_copy_while_running),
    ("mirrors::away_over_a_restart", Ext4, mirrors::away_over_a_restart),
    ("mirrors::older_and_foreign_at_start", Nothing, mirrors::older_and_foreign_at_start),
    ("mirrors::too_few", Nothing, mirrors::too_few),
    ("mirrors::fork", Nothing, mirrors::fork),
    ("mirrors::damage", Nothing, mirrors::damage),
    ("faults_power::ext4", Ext4, || power::cuts(Kind::Ext4)),
    ("faults_power::xfs", XFS, || power::cuts(Kind::Xfs)),
    ("faults_power::mirrors", Ext4, power::cuts_of_mirrors),
    ("faults_power::beside_a_namespace", Ext4, power::cut_beside_a_namespace),
    ("faults_full::each_change_ext4", Ext4, || full::each_change(Kind::Ext4)),
    ("faults_full::each_change_xfs", XFS, || full::each_change(Kind::Xfs)),
    ("faults_full::each_change_btrfs", BTRFS, || full::each_change(Kind::Btrfs)),
    ("faults_full::server", Ext4, full::server),
    ("faults_disk::read_only_ext4", Ext4, || disk::read_only(Kind::Ext4)),
    ("faults_disk::read_only_xfs", XFS, || disk::read_only(Kind::Xfs)),
    ("faults_disk::pulled_ext4", Ext4, || disk::pulled(Kind::Ext4)),
    ("faults_disk::pulled_btrfs", BTRFS, || disk::pulled(Kind::Btrfs)),
    ("faults_disk::pulled_xfs", XFS, || disk::pulled(Kind::Xfs)),
    ("faults_mounts::everyday_xfs", XFS, || mounts::everyday(Kind::Xfs)),
    ("faults_mounts::everyday_btrfs", BTRFS, || mounts::everyday(Kind::Btrfs)),
    ("faults_mounts::everyday_ntfs", Mounts(Kind::Ntfs), || mounts::everyday(Kind::Ntfs)),
    ("faults_mounts::everyday_exfat", Mounts(Kind::Exfat), || mounts::everyday(Kind::Exfat)),
    ("faults_mounts::killed_exfat", Mounts(Kind::Exfat), || mounts::killed(Kind::Exfat)),
    ("faults_mounts::killed_sshfs", Mounts(Kind::Sshfs), || mounts::killed(Kind::Sshfs)),
    ("faults_hung::remote", Mounts(Kind::Sshfs), hung::remote),
    ("faults_hung::mirror", Mounts(Kind::Sshfs), hung::mirror),
    ("faults_hung::sticks", Mounts(Kind::Ntfs), hung::sticks),
    ("faults_mounts::killed_ntfs", Mounts(Kind::Ntfs), || mounts::killed(Kind::Ntfs)),
    ("faults_fuse::init", Fuse, fuse::init),
    ("faults_fuse::one_copy", Fuse, fuse::one_copy),
    ("faults_fuse::either_copy", Fuse, fuse::either_copy),
    ("faults_fuse::both_copies", Fuse, fuse::both_copies),
    ("faults_fuse::sync", Fuse, fuse::sync),
    ("faults_eio::power_cuts", Fuse, eio::power_cuts),
    ("faults_eio::while_rotating", Fuse, eio::while_rotating),
    ("mandatory_locks::refuse_others", Fuse, mandatory_locks::refuse_others),
    ("mandatory_locks::shared_by_server_and_tools", Fuse, mandatory_locks::shared_by_server_and_tools),
    ("report::half_and_whole", Nothing, report::half_and_whole),
    ("report::what_the_audit_log_tells", Nothing, report::what_the_audit_log_tells),
    ("report::doctor_names_who_can_read_the_secret", Nothing, report::doctor_names_who_can_read_the_secret),
    ("report::remedies_work_as_printed", Nothing, report::remedies_work_as_printed),
    ("report::in_a_browser", Chromium, report::in_a_browser),
    ("faults_server::cuts_ext4", Ext4, || faults::server::cuts(Kind::Ext4)),
    ("faults_server::cuts_xfs", XFS, || faults::server::cuts(Kind::Xfs)),
    ("faults_rotation::mirror_dies", Ext4, || rotation::mirror_dies(1)),
    ("faults_rotation::mirror_dies_both_needed", Ext4, || rotation::mirror_dies(2)),
    ("situations::older", Ext4, situations::older),
    ("situations::foreign", Nothing, situations::foreign),
    ("situations::fork", Ext4, situations::fork),
    ("situations::read_only", Ext4, situations::read_only),
    ("verify_datadir::std_data", StdData, verify_datadir::std_data),
    ("verify_datadir::as_innochecksum", Nothing, verify_datadir::as_innochecksum),
    ("verify_datadir::commands_agree", Nothing, verify_datadir::commands_agree),
    ("verify_datadir::forms_of_backups", Nothing, verify_datadir::forms_of_backups),
    ("verify_datadir::other_places", Nothing, verify_datadir::other_places),
    ("verify_datadir::every_kind", Nothing, verify_datadir::every_kind),
    ("verify_datadir::page_sizes", Nothing, verify_datadir::page_sizes),
    ("verify_datadir::one_key_missing", Nothing, verify_datadir::one_key_missing),
    ("verify_datadir::redo_log_needs_a_key", Nothing, verify_datadir::redo_log_needs_a_key),
    ("verify_datadir::while_running", Nothing, verify_datadir::while_running),
    ("engines_network::drops_what_it_is_told_to", Network, network::drops_what_it_is_told_to),
    ("engines_network::forwarder_swallows", Nothing, network::forwarder_swallows),
    ("engines_partitions::packets_dropped", EtcdInNetwork, partitions::packets_dropped),
    ("engines_partitions::resolver_hangs", EtcdInNetwork, partitions::resolver_hangs),
    // Those that take longest come first: two run at a time.
    ("engines_openbao::in_use_and_faults", OPENBAO, || engines::in_use(Which::OpenBao)),
    ("engines_etcd::in_use_and_faults", ETCD, || engines::in_use(Which::Etcd)),
    ("engines_seaweedfs::in_use_and_faults", SEAWEEDFS, || engines::in_use(Which::SeaweedFs)),
    ("engines_etcd::with_a_mirror", ETCD, || copies::with_a_mirror(Which::Etcd)),
    ("engines_etcd::troubles", ETCD, || troubles::of_an_engine(Which::Etcd)),
    ("engines_etcd::unloaded_while_it_hangs", ETCD, || troubles::unloaded_while_it_hangs(Which::Etcd)),
    ("engines_etcd::restored_from_a_backup", ETCD, || copies::restored_from_a_backup(Which::Etcd)),
    ("engines_etcd::full", ETCD, engines::full),
    ("engines_openbao::with_a_mirror", OPENBAO, || copies::with_a_mirror(Which::OpenBao)),
    ("engines_openbao::restored_from_a_backup", OPENBAO, || copies::restored_from_a_backup(Which::OpenBao)),
    ("engines_openbao::troubles", OPENBAO, || troubles::of_an_engine(Which::OpenBao)),
    ("engines_seaweedfs::with_a_mirror", SEAWEEDFS, || copies::with_a_mirror(Which::SeaweedFs)),
    ("engines_seaweedfs::restored_from_a_backup", SEAWEEDFS, || {
        copies::restored_from_a_backup(Which::SeaweedFs)
    }),
    ("engines_seaweedfs::troubles", SEAWEEDFS, || troubles::of_an_engine(Which::SeaweedFs)),
    ("engines_etcd::three_servers", ETCD, || endurance::three_servers(Which::Etcd)),
];

impl Needs {
    /// Why it isn't there, when it isn't.
    fn missing(self) -> Option<String> {
        match self {
            Nothing => None,
            Mounts(kind) => kind.why_not(),
            Fuse => rig::fuse::Fuse::why_not(),
            Gcore => memory::why_no_gcore(),
            Chromium => report::why_no_chromium(),
            Exporter => rig::exporter::why_not(),
            StdData => migrate_offline::why_no_std_data(),
            Guest => setup::why_not(),
            Container => container::why_not(),
            Logrotate => audit_log_faults::why_no_logrotate(),
            Network => rig::Network::why_not(),
            Engine(which) => which.why_not(),
            EtcdInNetwork => Which::Etcd.why_not().or_else(rig::Network::why_not),
        }
    }
}

/// Of the tests of `keyringctl encrypt`, these are repeated for a second user. The others do not depend on who runs them.
const REPEATED: [&str; 4] = [
    "encrypt::under_load",
    "encrypt::after_a_crash",
    "encrypt::refuses_to_start",
    "encrypt::as_the_mysql_client",
];

/// What is asked of etcd, whose nodes start at once, is asked of the other engines in the long run only.
const LONG: [&str; 6] = [
    "engines_openbao::with_a_mirror",
    "engines_openbao::restored_from_a_backup",
    "engines_openbao::troubles",
    "engines_seaweedfs::with_a_mirror",
    "engines_seaweedfs::restored_from_a_backup",
    "engines_seaweedfs::troubles",
];

/// Whether a run for a second user repeats this test. The remedies of the report change owners, which only root can do.
fn is_repeated(name: &str) -> bool {
    let once = name.starts_with("encrypt::")
        || name.starts_with("engines_")
        || name == "report::remedies_work_as_printed";
    !once || REPEATED.contains(&name)
}

fn main() -> ExitCode {
    if let Some(done) = rig::worker::work_if_asked().or_else(storing::work_if_asked) {
        return done;
    }
    in_own_mount_namespace();
    let mut args = Arguments::from_args();
    args.test_threads.get_or_insert(2);
    let run = match tempfile::Builder::new().prefix("kx").tempdir_in(short_directory()) {
        Ok(run) => run,
        Err(e) => return refuse(&format!("no directory for temporary files: {e}")),
    };
    if let Err(why) = rig::set_up(run.path()) {
        return refuse(&why);
    }
    eprintln!("MySQL {} as user id {}", rig::place().version, rustix::process::geteuid().as_raw());
    // Set by `make test` when it runs the tests once more, as another user.
    let second_run = std::env::var_os("KX_SECOND_RUN").is_some();
    if second_run {
        let left_out = TESTS.iter().filter(|(name, ..)| !is_repeated(name)).count();
        eprintln!("{left_out} tests do not depend on the user and are not repeated");
    }
    let is_long = rig::times(0, 1) == 1;
    if !is_long {
        eprintln!("{} tests of engines are for KX_LONG=1 only (make test-faults)", LONG.len());
    }
    let tests = TESTS
        .iter()
        .filter(|(name, ..)| !second_run || is_repeated(name))
        .filter(|(name, ..)| is_long || !LONG.contains(name));
    let trials = tests.map(|&(name, needs, test)| {
        Trial::ignorable_test(name, move || {
            if let Some(why) = needs.missing() {
                return Ok(skip(name, why));
            }
            let began = Instant::now();
            match rig::skipped(|| rig::as_test(name, test)) {
                Some(why) => Ok(skip(name, why)),
                None => {
                    if name.starts_with("engines_") {
                        eprintln!("{name} took {:.1} s", began.elapsed().as_secs_f64());
                    }
                    Ok(Completion::Completed)
                }
            }
        })
    });
    let conclusion = libtest_mimic::run(&args, trials.collect());
    if conclusion.has_failed() && rig::place().keeps_data() {
        eprintln!("the files of the servers are kept: {}", run.keep().display());
    }
    conclusion.exit_code()
}

/// Says why a test is skipped.
fn skip(name: &str, why: String) -> Completion {
    // In one piece: other threads write too.
    let line = format!("SKIPPED ({why}): {name}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
    Completion::ignored_with(why)
}

fn refuse(why: &str) -> ExitCode {
    eprintln!("server tests: {why}");
    ExitCode::from(2)
}

/// The directory for temporary files, unless a socket's path below it would be too long.
fn short_directory() -> PathBuf {
    let dir = std::env::temp_dir();
    if dir.as_os_str().len() <= 60 { dir } else { PathBuf::from("/tmp") }
}

/// Root gets mounts of its own: whatever happens, none is left when the last process here has ended. What is unmounted
/// here is also unmounted in the namespaces that tests make below it with `--propagation slave`. A copy that stayed
/// there would keep the filesystem in use, and mounting its image again would give the same filesystem, still without
/// power.
fn in_own_mount_namespace() {
    const DONE: &str = "KX_OWN_MOUNTS";
    if !rustix::process::geteuid().is_root() || std::env::var_os(DONE).is_some() {
        return;
    }
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "--"]);
        command.args(["sh", "-ec", "mount --make-rshared /; exec \"$@\"", "sh"]);
        command
    };
    if unshare().arg("true").output().is_ok_and(|o| o.status.success())
        && let Ok(this) = std::env::current_exe()
    {
        let e = unshare().arg(this).args(std::env::args_os().skip(1)).env(DONE, "1").exec();
        eprintln!("server tests: no mount namespace of their own: {e}");
    }
}
