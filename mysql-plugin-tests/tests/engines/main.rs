// SPDX-License-Identifier: GPL-2.0-or-later
//! What keyrings at a remote rely on, asked of the real engines: mysql-plugin-tests/engines.sh builds and runs it. No
//! MySQL server is needed.
//!
//! An engine that is not there is skipped, never passed, and the test says so.

mod etcd;
mod faults;
mod mistakes;
mod openbao;
mod opened;
mod promises;
mod rights;
mod seaweedfs;

use libtest_mimic::{Arguments, Completion, Trial};
use mysql_plugin_tests::rig::engines::etcd::Etcd;
use mysql_plugin_tests::rig::engines::openbao::OpenBao;
use mysql_plugin_tests::rig::engines::seaweedfs::SeaweedFs;
use std::io::Write;
use std::process::ExitCode;

/// Why an engine cannot run here, if it cannot.
type WhyNot = fn() -> Option<String>;

/// Name, why it cannot run here, and the test. What each engine promises is in the modules without an engine's name; a
/// module of an engine's name starts it for them, and asks what only that engine has.
const TESTS: &[(&str, WhyNot, fn())] = &[
    ("etcd::promises", Etcd::why_not, etcd::promises),
    ("etcd::mistakes_and_rights", Etcd::why_not, etcd::mistakes_and_rights),
    ("etcd::nodes_fail", Etcd::why_not, etcd::nodes_fail),
    ("etcd::logins_are_renewed", Etcd::why_not, etcd::logins_are_renewed),
    ("etcd::full", Etcd::why_not, etcd::full),
    ("etcd::restored_from_a_snapshot", Etcd::why_not, etcd::restored_from_a_snapshot),
    ("openbao::promises", OpenBao::why_not, openbao::promises),
    ("openbao::nodes_fail", OpenBao::why_not, openbao::nodes_fail),
    ("openbao::sealed_and_restored", OpenBao::why_not, openbao::sealed_and_restored),
    ("openbao::tokens_end", OpenBao::why_not, openbao::tokens_end),
    ("seaweedfs::promises", SeaweedFs::why_not, seaweedfs::promises),
    ("seaweedfs::mistakes_and_rights", SeaweedFs::why_not, seaweedfs::mistakes_and_rights),
    ("seaweedfs::killed_and_paused", SeaweedFs::why_not, seaweedfs::killed_and_paused),
    ("seaweedfs::full", SeaweedFs::why_not, seaweedfs::full),
    ("seaweedfs::restored_from_a_snapshot", SeaweedFs::why_not, seaweedfs::restored_from_a_snapshot),
    ("seaweedfs::a_bucket_that_keeps_versions", SeaweedFs::why_not, seaweedfs::a_bucket_that_keeps_versions),
];

fn main() -> ExitCode {
    let mut args = Arguments::from_args();
    args.test_threads.get_or_insert(2);
    let trials = TESTS.iter().map(|&(name, why_not, test)| {
        Trial::ignorable_test(name, move || match why_not() {
            Some(why) => {
                // In one piece: other threads write too.
                let line = format!("SKIPPED ({why}): {name}\n");
                let _ = std::io::stderr().write_all(line.as_bytes());
                Ok(Completion::ignored_with(why))
            }
            None => {
                test();
                Ok(Completion::Completed)
            }
        })
    });
    libtest_mimic::run(&args, trials.collect()).exit_code()
}
