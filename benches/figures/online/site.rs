// SPDX-License-Identifier: GPL-2.0-or-later
//! The server with a biobank, as an administrator would run it, and the copy that every way of encrypting begins with.

use super::target::SCHEMA;
use crate::disk::run;
use mysql_plugin_tests::biobank::Biobank;
use mysql_plugin_tests::rig::{Host, Keyring, Server, Volume, host_that_persists, place};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The server's own defaults, which the tests' servers replace by cheaper values: everything is written durably.
pub const OPTIONS: [&str; 7] = [
    "--innodb-buffer-pool-size=128M",
    "--loose-innodb-redo-log-capacity=100M",
    "--innodb-flush-method=O_DIRECT",
    "--innodb-doublewrite=ON",
    "--innodb-use-native-aio=ON",
    "--sync-binlog=1",
    "--innodb-change-buffering=none",
];

/// How rows are filled in: nothing of this is measured.
const FILLING: [&str; 4] = [
    "--disable-log-bin",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=OFF",
    "--innodb-buffer-pool-size=512M",
];

/// A data directory with a biobank, its keyring, and copies of both from before anything was encrypted.
pub struct Site {
    host: Host,
    keyring: Keyring,
    clear: PathBuf,
    _volume: Volume,
    /// Bytes of the files of its tables.
    pub bytes: u64,
    pub biobank: Biobank,
}

impl Site {
    /// Makes them.
    pub fn new(scale: f64) -> Result<Site, String> {
        let volume = Volume::directory();
        let keyring = Keyring::init(&volume);
        let host = host_that_persists().keyring(&keyring);
        let host = OPTIONS.iter().fold(host, |host, option| host.option(*option));
        let server = FILLING.iter().fold(host.clone(), |host, option| host.option(*option)).start();
        let biobank = Biobank { schema: SCHEMA.to_owned(), scale, seed: 1 };
        biobank.make(server.connector(), 4).map_err(|e| format!("making the biobank: {e}"))?;
        wait_for_purge(&server);
        let bytes = server.value(
            "SELECT CAST(SUM(FILE_SIZE) AS UNSIGNED) FROM information_schema.INNODB_TABLESPACES WHERE NAME LIKE 'biobank%'",
        );
        server.stop();
        let clear = place().run.join("clear");
        fs::create_dir(&clear).map_err(|e| e.to_string())?;
        let site = Site { host, keyring, clear, _volume: volume, bytes, biobank };
        copy(&site.host.datadir(), &site.clear.join("data"))?;
        copy(&site.keyring.path, &site.clear.join("keyring"))?;
        Ok(site)
    }

    /// A server on a fresh copy: nothing in it is encrypted.
    pub fn start(&self) -> Result<(Host, Server), String> {
        let remove = |path: PathBuf| match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_dir() => fs::remove_dir_all(&path),
            Ok(_) => fs::remove_file(&path),
            Err(_) => Ok(()),
        };
        for path in [self.host.datadir(), self.keyring.path.clone(), self.host.log_path()] {
            remove(path.clone()).map_err(|e| format!("{}: {e}", path.display()))?;
        }
        copy(&self.clear.join("data"), &self.host.datadir())?;
        copy(&self.clear.join("keyring"), &self.keyring.path)?;
        crate::disk::settle(&self.host.datadir())?;
        Ok((self.host.clone(), self.host.start()))
    }

    /// `keyringctl encrypt ARGS` for its server.
    pub fn encrypt(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&place().keyringctl);
        command.arg("encrypt").args(args).args(["--no-defaults", "--user=root", "--socket"]);
        command.arg(self.host.socket());
        command
    }

    /// The option that opens its keyring.
    pub fn unlock(&self) -> String {
        format!("--unlock=file:{}", self.keyring.secret.display())
    }
}

/// Waits until old versions of rows have been removed, as long as that takes; a shutdown then has little to do.
pub fn wait_for_purge(server: &Server) {
    let query = "SELECT COUNT FROM information_schema.INNODB_METRICS WHERE NAME = 'trx_rseg_history_len'";
    for _ in 0..1200 {
        if server.value::<u64>(query) < 500 {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(250));
    }
}

fn copy(from: &std::path::Path, to: &std::path::Path) -> Result<(), String> {
    run(Command::new("cp").args(["-a", "--sparse=always"]).args([from, to])).map(drop)
}
