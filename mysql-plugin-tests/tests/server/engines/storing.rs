// SPDX-License-Identifier: GPL-2.0-or-later
//! A program beside the server that generates keys in the same keyring without a pause, whatever fails, and tells of
//! each whether it was acknowledged, its bytes, and how long it waited.

use keyring_external::config::{AuditConfig, Config};
use keyring_external::key::{KeyType, NameRef};
use keyring_external::keyring::{Keyring as Open, Trust};
use keyring_external::store::file::fs::Fs;
use keyring_external::store::file::real::RealFs;
use keyring_external::store::places::Places;
use keyring_external::unlock::UnlockSource;
use mysql_plugin_tests::rig::{Keyring, wait_until};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Says that this process is one, and of which keyring.
const STORING: &str = "KX_STORING";
/// Owner of its keys.
const OWNER: &[u8] = b"beside";
/// Between two keys.
const PAUSE: Duration = Duration::from_millis(100);
/// After a refusal. Nodes that are all away refuse connections at once, and SeaweedFS takes some ten seconds to start:
/// asking ten times a second meanwhile shows nothing more.
pub const AFTER_REFUSAL: Duration = Duration::from_secs(1);

/// Does the work if this process is to.
pub fn work_if_asked() -> Option<ExitCode> {
    let setting = std::env::var(STORING).ok()?;
    let fields: Vec<&str> = setting.split('|').collect();
    let [secret, remotes, path] = fields[..] else { return Some(ExitCode::from(2)) };
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let config = Config {
        path: path.into(),
        mirrors: Vec::new(),
        remotes: remotes.into(),
        min_copies: 1,
        unlock: UnlockSource::File(secret.into()),
        read_only: false,
        allow_same_device: true,
        auto_create: false,
        wait: 0,
        audit: AuditConfig::default(),
        datadir: None,
    };
    // As a server opens it: it adopts what another program changes.
    let places = Places::new(fs, Path::new(remotes));
    let (open, _) = Open::open(&places, &config, Trust::Witness, |_, _| {}).unwrap_or_else(|e| panic!("{e}"));
    // It ends when nobody listens.
    let mut told = true;
    let mut out = std::io::stdout();
    for n in 0.. {
        if !told {
            break;
        }
        let id = format!("s{n}");
        let began = Instant::now();
        let done = open.generate(name(&id), &KeyType::new(b"AES").unwrap(), 32);
        let took = began.elapsed();
        let millis = took.as_millis();
        let (line, pause) = match done {
            Ok(()) => (format!("= {id} {millis} {}", hex(&open, &id).expect("it was generated")), PAUSE),
            Err(e) => (format!("! {id} {millis} {}", e.to_string().replace('\n', " ")), AFTER_REFUSAL),
        };
        told = writeln!(out, "{line}").and_then(|()| out.flush()).is_ok();
        std::thread::sleep(pause);
    }
    Some(ExitCode::SUCCESS)
}

fn name(id: &str) -> NameRef<'_> {
    NameRef::new(id.as_bytes(), OWNER).unwrap()
}

fn hex(open: &Open, id: &str) -> Option<String> {
    open.fetch(&name(id), |key| key.data.iter().map(|b| format!("{b:02x}")).collect())
}

/// What it told.
#[derive(Debug, Default)]
pub struct Told {
    /// The acknowledged keys and their bytes.
    pub keys: BTreeMap<String, String>,
    /// What the others failed with.
    pub errors: BTreeMap<String, String>,
    pub longest: Duration,
}

/// The program, running.
#[derive(Debug)]
pub struct Storing {
    child: Child,
    told: Arc<Mutex<Told>>,
    reading: Option<JoinHandle<()>>,
}

impl Storing {
    pub fn start(keyring: &Keyring) -> Storing {
        let remotes = keyring.remotes.as_ref().expect("a keyring at a remote");
        let setting =
            format!("{}|{}|{}", keyring.secret.display(), remotes.display(), keyring.path.display());
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env(STORING, setting)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let told = Arc::<Mutex<Told>>::default();
        let telling = Arc::clone(&told);
        let reading = std::thread::spawn(move || {
            for line in lines {
                let fields: Vec<&str> = line.splitn(4, ' ').collect();
                let [mark, id, took, rest] = fields[..] else { panic!("the program said {line}") };
                let mut told = telling.lock().unwrap();
                told.longest = told.longest.max(Duration::from_millis(took.parse().unwrap()));
                let which = if mark == "=" { &mut told.keys } else { &mut told.errors };
                which.insert(id.to_owned(), rest.to_owned());
            }
        });
        let storing = Storing { child, told, reading: Some(reading) };
        storing.goes_on(1);
        storing
    }

    /// What it told so far.
    pub fn look<R>(&self, at: impl FnOnce(&Told) -> R) -> R {
        at(&self.told.lock().unwrap())
    }

    /// Waits until so many more keys are acknowledged.
    pub fn goes_on(&self, more: usize) {
        let count = || self.look(|told| told.keys.len());
        let from = count();
        let done = wait_until(Duration::from_secs(120), || count() >= from + more);
        assert!(
            done,
            "no key is stored any more: {:?}",
            self.look(|told| told.errors.iter().last().map(|e| e.1.clone()))
        );
    }

    /// Every key that is acknowledged by now is in the keyring, byte for byte. Returns how many.
    pub fn check(&self, keyring: &Keyring, when: &str) -> usize {
        let keys = self.look(|told| told.keys.clone());
        let open = keyring.open();
        for (id, bytes) in &keys {
            assert_eq!(hex(&open, id).as_ref(), Some(bytes), "{when}: {id}");
        }
        keys.len()
    }

    /// Ends it.
    pub fn end(mut self) -> Told {
        self.stop();
        std::mem::take(&mut self.told.lock().unwrap())
    }

    fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reading) = self.reading.take() {
            let _ = reading.join();
        }
    }
}

impl Drop for Storing {
    fn drop(&mut self) {
        self.stop();
    }
}
