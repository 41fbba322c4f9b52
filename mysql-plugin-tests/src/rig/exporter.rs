// SPDX-License-Identifier: GPL-2.0-or-later
//! The Prometheus exporter for MySQL, from Debian's package prometheus-mysqld-exporter, beside a server.

use super::Server;
use super::place::dying_with_us;
use super::programs::wait_until;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PROGRAM: &str = "prometheus-mysqld-exporter";
/// Longest time until it serves its page.
const LIMIT: Duration = Duration::from_secs(60);

/// Why there is no exporter here, when there is none.
pub fn why_not() -> Option<String> {
    let there = Command::new(PROGRAM).arg("--version").stdin(Stdio::null()).output().is_ok();
    (!there).then(|| format!("needs {PROGRAM}, from the package of that name"))
}

/// A running exporter. It ends with this value.
#[derive(Debug)]
pub struct Exporter {
    child: Child,
    address: SocketAddr,
}

impl Exporter {
    /// Starts one that asks the server, on a free port of the loopback interface, with an account that has what its
    /// manual says.
    pub fn start(server: &Server) -> Exporter {
        server.sql(
            "CREATE USER IF NOT EXISTS exporter@localhost IDENTIFIED BY 'numbers';
             GRANT PROCESS, REPLICATION CLIENT ON *.* TO exporter@localhost;
             GRANT SELECT ON performance_schema.* TO exporter@localhost",
        );
        let dir = server.datadir().parent().unwrap().to_owned();
        let account = dir.join("exporter.cnf");
        let socket = dir.join("s");
        let text = format!("[client]\nuser=exporter\npassword=numbers\nsocket={}\n", socket.display());
        fs::write(&account, text).unwrap();
        fs::set_permissions(&account, fs::Permissions::from_mode(0o600)).unwrap();
        let log = dir.join("exporter.log");
        // Another program may take the port first: then the exporter ends.
        for _ in 0..5 {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
            let out = fs::File::create(&log).unwrap();
            let child = dying_with_us(PROGRAM.as_ref())
                .arg(format!("--config.my-cnf={}", account.display()))
                .arg(format!("--web.listen-address={free}"))
                .env_remove("DATA_SOURCE_NAME")
                .stdin(Stdio::null())
                .stdout(out.try_clone().unwrap())
                .stderr(out)
                .spawn()
                .unwrap();
            let mut exporter = Exporter { child, address: free };
            let ready = wait_until(LIMIT, || exporter.has_ended() || exporter.get("/").is_ok());
            if ready && !exporter.has_ended() {
                return exporter;
            }
        }
        panic!("the exporter does not start: {}", fs::read_to_string(&log).unwrap_or_default());
    }

    fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    fn get(&self, path: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(LIMIT))?;
        let address = self.address;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut page = String::new();
        stream.read_to_string(&mut page)?;
        Ok(page)
    }

    /// The page that Prometheus reads.
    pub fn metrics(&self) -> String {
        let page = self.get("/metrics").unwrap();
        assert!(page.lines().next().is_some_and(|line| line.contains(" 200 ")), "{page}");
        page
    }

    /// The value of one status variable on that page, as it is there.
    pub fn value(page: &str, variable: &str) -> Option<String> {
        let metric = format!("mysql_global_status_{variable} ");
        let mut values = page.lines().filter_map(|line| line.strip_prefix(&metric));
        let value = values.next().map(str::to_owned);
        assert_eq!(values.next(), None, "{variable} is there twice");
        value
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        // An error says that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
