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
mod set_aside;

use libtest_mimic::{Arguments, Completion, Trial};
use mysql_plugin_tests::rig::engines::etcd::Etcd;
use mysql_plugin_tests::rig::engines::openbao::OpenBao;
use mysql_plugin_tests::rig::engines::seaweedfs::SeaweedFs;
use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

/// Why an engine cannot run here, if it cannot.
type WhyNot = fn() -> Option<String>;

/// Name, why it cannot run here, and the test. What each engine promises is in the modules without an engine's name; a
/// module of an engine's name starts it for them, and asks what only that engine has.
const TESTS: &[(&str, WhyNot, fn())] = &[
    // Those that take longest come first: two run at a time.
    ("openbao::faults_and_restored", OpenBao::why_not, openbao::faults_and_restored),
    ("openbao::promises_and_tokens", OpenBao::why_not, openbao::promises_and_tokens),
    ("seaweedfs::promises_and_faults", SeaweedFs::why_not, seaweedfs::promises_and_faults),
    ("etcd::promises_and_faults", Etcd::why_not, etcd::promises_and_faults),
    ("etcd::logins_are_renewed", Etcd::why_not, etcd::logins_are_renewed),
    ("etcd::full_and_restored", Etcd::why_not, etcd::full_and_restored),
    ("seaweedfs::full_and_restored", SeaweedFs::why_not, seaweedfs::full_and_restored),
    ("seaweedfs::a_bucket_that_keeps_versions", SeaweedFs::why_not, seaweedfs::a_bucket_that_keeps_versions),
];

fn main() -> ExitCode {
    if let Some(code) = set_aside::as_keyringctl() {
        return code;
    }
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
                let began = Instant::now();
                test();
                println!("{name} took {:.1} s", began.elapsed().as_secs_f64());
                Ok(Completion::Completed)
            }
        })
    });
    libtest_mimic::run(&args, trials.collect()).exit_code()
}
