// SPDX-License-Identifier: GPL-2.0-or-later
//! The status variables of the component, what comes of them if the server has no such service or fails, and a plugin
//! and a component in one server.

use crate::component::store;
use crate::hosts::{Component, Dir, Plugin};
use crate::{stubs, variables};
use keyring_external::abi::sys::kx_registry;
use std::ffi::{c_char, c_int, c_void};
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::sync::{Arc, RwLock};
use std::time::Duration;

/// Far longer than any step here takes.
const HANG: Duration = Duration::from_secs(120);

/// The names after `Keyring_external_`; those of numbers.
const TEXTS: [&str; 4] = ["copies", "id", "last_error", "state"];
const NUMBERS: [&str; 10] = [
    "attached",
    "audit_failures",
    "copies_configured",
    "copies_current",
    "failures",
    "fetches",
    "generation",
    "keys",
    "retired_fetches",
    "stores",
];

fn names_of(shown: &[(String, String, bool)], numbers: bool) -> Vec<String> {
    let mut names: Vec<_> = shown
        .iter()
        .filter(|(.., number)| *number == numbers)
        .map(|(name, ..)| name.strip_prefix("Keyring_external_").unwrap().to_owned())
        .collect();
    names.sort();
    names
}

fn values<const N: usize>(names: [&str; N]) -> [String; N] {
    names.map(variables::value)
}

/// In a server that shows status variables; init was called.
fn component_in_server(dir: &Dir) -> Component {
    let component = Component::open(dir);
    component.link(&variables::REGISTRY);
    assert_eq!(component.init(), 0);
    component
}

#[test]
fn the_component_shows_the_variables_of_the_plugin_from_its_first_load_to_its_end() {
    let _turn = variables::turn();
    let dir = Dir::new();
    let component = component_in_server(&dir);
    assert_eq!(variables::names(), [""; 0], "it is not the server's keyring yet");

    assert_eq!(component.load(), 1, "there is no configuration");
    let shown = variables::show();
    assert_eq!(
        (names_of(&shown, false), names_of(&shown, true)),
        (TEXTS.map(String::from).to_vec(), NUMBERS.map(String::from).to_vec())
    );
    let seen = ["state", "attached", "copies", "copies_current", "copies_configured", "keys"];
    assert_eq!(values(seen), ["UNAVAILABLE", "0", "0/0", "0", "0", "0"]);
    assert!(variables::value("last_error").contains("cannot read config file"));

    let mirror = dir.path().join("mirror");
    dir.configure_with_mirror(&mirror);
    for _ in 0..3 {
        assert_eq!(component.load(), 0);
        assert_eq!(variables::names().len(), TEXTS.len() + NUMBERS.len(), "once");
    }
    assert_eq!(values(seen), ["ATTACHED", "1", "2/2", "2", "2", "0"]);
    assert_eq!(variables::value("last_error"), "");
    std::fs::remove_file(&mirror).unwrap();
    assert_eq!(store(&component, c"k", b"data"), 0);
    assert_eq!(values(seen), ["DEGRADED", "0", "1/2", "1", "2", "1"]);
    std::fs::write(dir.path().join("component_keyring_external.cnf"), "{").unwrap();
    assert_eq!(component.load(), 1);
    assert_eq!(values(seen), ["DEGRADED", "0", "1/2", "1", "2", "1"], "the old one stays in use");
    assert!(variables::value("last_error").contains("has not valid format"));
    assert_eq!(component.deinit(), 0);
    assert_eq!(variables::names(), [""; 0]);

    let dir = Dir::new();
    let plugin = Plugin::set_up(&dir);
    plugin.link_registry(&variables::PLUGIN_REGISTRY);
    assert_eq!(plugin.init(), 0);
    variables::add_those_of(plugin.descriptor);
    let of_plugin = variables::show();
    let names = |shown: &[(String, String, bool)]| shown.iter().map(|(n, ..)| n.clone()).collect::<Vec<_>>();
    assert_eq!(names(&of_plugin), names(&shown));
    assert_eq!(values(["state", "attached", "copies_current"]), ["ATTACHED", "1", "1"]);
    plugin.set_bool("read_only", true);
    variables::remove_those_of(plugin.descriptor);
    assert_eq!((plugin.deinit(), plugin.init()), (0, 0));
    variables::add_those_of(plugin.descriptor);
    assert_eq!(values(["state", "attached"]), ["READ_ONLY", "1"], "that is how it is meant to be");
    variables::remove_those_of(plugin.descriptor);
    assert_eq!(plugin.deinit(), 0);
}

#[test]
fn the_component_works_in_a_program_without_status_variables() {
    let _turn = variables::turn();
    variables::MISSING.store(true, Ordering::SeqCst);
    let dir = Dir::new();
    dir.configure_well();
    let component = component_in_server(&dir);
    assert_eq!(component.load(), 0);
    assert!(stubs::logged("there are no status variables Keyring_external_*"));
    assert_eq!(store(&component, c"k", b"data"), 0);
    assert_eq!(component.row("State"), "ATTACHED");
    assert_eq!(unsafe { (*component.variables).are_registered.unwrap()() }, 0);
    assert_eq!(component.deinit(), 0);
}

#[test]
fn the_component_works_when_the_server_refuses_its_status_variables() {
    let _turn = variables::turn();
    variables::REFUSES.store(true, Ordering::SeqCst);
    let dir = Dir::new();
    dir.configure_well();
    let component = component_in_server(&dir);
    assert_eq!(component.load(), 0);
    assert!(stubs::logged("the server refused the status variables"));
    assert_eq!(variables::names(), [""; 0], "those that it took are gone");
    assert_eq!(store(&component, c"k", b"data"), 0);
    // The next load asks once more.
    variables::REFUSES.store(false, Ordering::SeqCst);
    assert_eq!(component.load(), 0);
    assert_eq!(values(["state", "keys"]), ["ATTACHED", "1"]);
    assert_eq!(component.deinit(), 0);
}

/// A library whose functions are in the server's list must not be unmapped, and a failed deinit keeps it.
#[test]
fn deinit_fails_when_the_server_keeps_the_status_variables() {
    let _turn = variables::turn();
    let dir = Dir::new();
    dir.configure_well();
    let component = component_in_server(&dir);
    assert_eq!(component.load(), 0);
    variables::KEEPS.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        assert_eq!(component.deinit(), 1);
        assert!(!component.is_active());
        assert_eq!(values(["state", "attached", "keys"]), ["UNAVAILABLE", "0", "0"]);
    }
    assert_eq!((component.init(), component.load()), (0, 0));
    assert_eq!(variables::names().len(), TEXTS.len() + NUMBERS.len(), "once");
    assert_eq!(values(["state", "attached"]), ["ATTACHED", "1"]);
    variables::KEEPS.store(false, Ordering::SeqCst);
    assert_eq!(component.deinit(), 0);
}

/// The server removes variables by name: it must never have those of both.
#[test]
fn a_plugin_beside_the_component_shows_no_status_variables() {
    let _turn = variables::turn();
    let (dir, other) = (Dir::new(), Dir::new());
    dir.configure_well();
    let component = component_in_server(&dir);
    assert_eq!(component.load(), 0);
    variables::OF_COMPONENT.store(component.variables.cast_mut(), Ordering::SeqCst);
    let all = TEXTS.len() + NUMBERS.len();

    let plugin = Plugin::set_up(&other);
    plugin.link_registry(&variables::PLUGIN_REGISTRY);
    assert_eq!(plugin.init(), 0);
    assert!(stubs::logged("are those of component_keyring_external, which is loaded too"));
    variables::add_those_of(plugin.descriptor);
    assert_eq!(variables::names().len(), all, "once");
    assert_eq!(store(&component, c"k", b"data"), 0);
    assert_eq!(variables::value("keys"), "1", "the component's");
    variables::remove_those_of(plugin.descriptor);
    assert_eq!(plugin.deinit(), 0);
    assert_eq!(variables::names().len(), all, "the plugin's end removes none of the component's");
    plugin.set("data", "/nowhere");
    assert_eq!(plugin.init(), 1);
    variables::remove_those_of(plugin.descriptor);
    assert_eq!(variables::names().len(), all, "nor does a failed init");
    plugin.set("data", other.keyring().to_str().unwrap());

    assert_eq!(component.deinit(), 0);
    assert_eq!(variables::names(), [""; 0]);
    assert_eq!(plugin.init(), 0, "without variables of the component, the plugin shows its own");
    variables::add_those_of(plugin.descriptor);
    assert_eq!(values(["state", "keys"]), ["ATTACHED", "0"]);
    variables::remove_those_of(plugin.descriptor);
    assert_eq!(plugin.deinit(), 0);
}

static LOCK: RwLock<()> = RwLock::new(());

unsafe extern "C" fn acquire(name: *const c_char, service: *mut *mut c_void) -> c_int {
    let _lock = LOCK.read();
    unsafe { variables::acquire(name, service) }
}

unsafe extern "C" fn release(service: *mut c_void) -> c_int {
    let _lock = LOCK.read();
    unsafe { variables::release(service) }
}

static LOCKED_REGISTRY: kx_registry =
    kx_registry { acquire: Some(acquire), acquire_related: None, release: Some(release) };

/// MySQL 8.0 and 8.4 hold the registry's lock while they call deinit, which waits for the query that is in progress.
#[test]
fn a_status_query_ends_while_the_registry_is_locked() {
    let _turn = variables::turn();
    let dir = Dir::new();
    let mirror = dir.path().join("mirror");
    dir.configure_with_mirror(&mirror);
    let component = Arc::new(Component::open(&dir));
    component.link(&LOCKED_REGISTRY);
    assert_eq!((component.init(), component.load()), (0, 0));
    // The query finds that out and logs a line.
    std::fs::remove_file(&mirror).unwrap();
    let locked = LOCK.write().unwrap();
    let (send, ended) = channel();
    let asking = {
        let send = send.clone();
        std::thread::spawn(move || {
            // What was seen less than a second ago is not looked at again.
            while variables::value("state") != "DEGRADED" {
                std::thread::sleep(Duration::from_millis(50));
            }
            send.send(0)
        })
    };
    assert_eq!(ended.recv_timeout(HANG), Ok(0), "the query waits for the registry");
    let ending = std::thread::spawn({
        let component = Arc::clone(&component);
        move || send.send(component.deinit())
    });
    assert_eq!(ended.recv_timeout(HANG), Ok(0), "deinit waits for the registry");
    drop(locked);
    assert!(asking.join().unwrap().is_ok() && ending.join().unwrap().is_ok());
    assert!(
        !stubs::logged(&format!("the copy {} is out of use", mirror.display())),
        "that went to standard error"
    );
}
