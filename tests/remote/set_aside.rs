// SPDX-License-Identifier: GPL-2.0-or-later
//! Making room at a prefix: whatever happens meanwhile, each object that was there is kept, under its name or where kept
//! objects are, and the prefix is free afterwards.

use crate::common::{Op, Rng, contents, data, take_into_use};
use crate::engine::{DEATHS, Engine, Fault, UNKNOWN, What};
use crate::rig::{HEAD_ONE, ONE, World, store};
use keyring_external::error::{BadRequest, Error};
use keyring_external::keyring::KeyringState;
use keyring_external::store::remote::head::{HEAD, is_mark};
use keyring_external::store::remote::objects::{Cause, Trouble};
use keyring_external::store::remote::set_aside::Remains;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

const PREFIX: &str = "fleet/db1";

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// A keyring in several pieces, whose head somebody has damaged, or not.
fn world(head: Option<&[u8]>) -> World {
    let (world, _) = World::filled(&[ONE], Rng(91));
    let keyring = world.program().load(&[ONE], 1).unwrap();
    for (n, id) in ["large0", "large1", "large2"].into_iter().enumerate() {
        let op = Op::Store { id, user: "", key_type: "SECRET", data: data(n as u64, 16000) };
        op.run(&keyring).unwrap();
    }
    if let Some(bytes) = head {
        world.one.overwrite(HEAD_ONE, Some(bytes));
    }
    assert!(world.one.names().len() > 2);
    world
}

/// Sets aside what is there. Returns where it is kept, if something was.
fn set_aside(world: &World) -> Result<Option<String>, Trouble> {
    let program = world.program();
    let Some(remains) = Remains::find(program.one.as_ref(), PREFIX, soon())? else { return Ok(None) };
    remains.set_aside(program.one.as_ref(), soon())?;
    Ok(Some(remains.kept().to_owned()))
}

/// Each of these objects is under its name, or where kept objects are.
fn all_are_there(engine: &Engine, before: &BTreeMap<String, Vec<u8>>, what: &str) {
    let now = engine.objects();
    for (name, bytes) in before {
        let within = name.strip_prefix(&format!("{PREFIX}/")).unwrap();
        let kept = (1..9).map(|n| format!("{PREFIX}/kept-{n}/{within}"));
        let mut places = kept.chain([name.clone()]);
        assert!(places.any(|place| now.get(&place) == Some(bytes)), "{what}: {name} is lost");
    }
}

/// What is at the prefix itself: nothing but a mark.
fn is_free(engine: &Engine) -> bool {
    let below = format!("{PREFIX}/");
    let own = |name: &&String| name.starts_with(&below) && !name.contains("/kept-");
    let names = engine.names();
    let own: Vec<_> = names.iter().filter(own).collect();
    own.is_empty() || own == [HEAD_ONE] && is_mark(&engine.object(HEAD_ONE).unwrap())
}

#[test]
fn what_was_there_is_kept_and_a_copy_can_be_created() {
    for head in [Some(&b"<html>"[..]), None] {
        let world = world(head);
        let before = world.one.objects();
        let kept = set_aside(&world).unwrap().unwrap();
        assert_eq!(kept, "fleet/db1/kept-1");
        let now = world.one.objects();
        for (name, bytes) in &before {
            assert_eq!(now.get(&name.replace(PREFIX, &kept)), Some(bytes), "{name}");
        }
        assert!(is_free(&world.one), "{:?}", world.one.names());
        assert_eq!(set_aside(&world).unwrap(), None);
        // Nothing that a new copy does reaches what is kept.
        world.program().create(&[ONE]).unwrap();
        let keyring = world.program().load(&[ONE], 1).unwrap();
        for op in [store("new"), Op::Rekey, store("other"), Op::Remove { id: "new", user: "" }] {
            op.run(&keyring).unwrap();
        }
        assert_eq!(world.found(&[ONE]).unwrap(), contents(&keyring));
        for (name, bytes) in &before {
            assert_eq!(world.one.object(&name.replace(PREFIX, &kept)).as_ref(), Some(bytes), "{name}");
        }
        world.one.overwrite(HEAD_ONE, Some(b"damaged again"));
        assert_eq!(set_aside(&world).unwrap().unwrap(), "fleet/db1/kept-2");
        assert_eq!(world.one.object("fleet/db1/kept-2/head").unwrap(), b"damaged again");
        all_are_there(&world.one, &before, "after the second time");
    }
}

#[test]
fn pieces_without_a_head_are_set_aside() {
    let world = world(None);
    world.one.overwrite(HEAD_ONE, None);
    let before = world.one.objects();
    let refused = world.program().create(&[ONE]).unwrap_err();
    assert!(
        matches!(refused, Error::BadRequest(BadRequest::PiecesWithoutHead { .. })),
        "nothing is created there: {refused:?}"
    );
    set_aside(&world).unwrap().unwrap();
    all_are_there(&world.one, &before, "pieces");
    assert!(is_free(&world.one));
    world.program().create(&[ONE]).unwrap();
}

/// An intact copy that is set aside can be read where it is kept.
#[test]
fn a_copy_that_was_set_aside_opens_with_its_keys() {
    let world = world(None);
    let keys = world.found(&[ONE]).unwrap();
    set_aside(&world).unwrap().unwrap();
    world.found(&[ONE]).unwrap_err();
    assert_eq!(world.found(&["@one/fleet/db1/kept-1"]).unwrap(), keys);
}

#[test]
fn no_object_is_lost_whatever_fails() {
    let faults = UNKNOWN.into_iter().chain([Fault::Refused(Cause::Unwell)]);
    let faults: Vec<_> = faults.chain(DEATHS.into_iter().map(Fault::Death)).collect();
    let mut runs = 0;
    for head in [Some(&b"<html>"[..]), None] {
        let world = world(head);
        let before = world.one.objects();
        let counted = world.fork();
        counted.one.plan(&[]);
        set_aside(&counted).unwrap().unwrap();
        let requests = counted.one.requests().len();
        assert!(requests > 8, "{requests}");
        for (at, fault) in (1..=requests).flat_map(|at| faults.iter().map(move |fault| (at, *fault))) {
            let what = format!("request {at}, {fault:?}");
            let world = world.fork();
            world.one.hold_delayed();
            world.one.plan(&[(at, fault)]);
            // It fails, dies, or has asked again.
            let first = catch_unwind(AssertUnwindSafe(|| set_aside(&world)));
            all_are_there(&world.one, &before, &what);
            if first.is_ok_and(|done| done.is_ok()) {
                assert!(is_free(&world.one), "{what}: it said that the prefix is free");
            }
            world.one.deliver();
            all_are_there(&world.one, &before, &what);
            set_aside(&world).unwrap();
            world.one.deliver();
            all_are_there(&world.one, &before, &what);
            assert!(is_free(&world.one), "{what}: {:?}", world.one.names());
            world.program().create(&[ONE]).unwrap();
            runs += 1;
        }
    }
    println!("{runs} runs");
}

/// A server that stores a key after the look at the copy is told, or the other program is: never are both done.
#[test]
fn a_change_in_between_is_not_set_aside_unseen() {
    let world = world(None);
    let server = world.program().serve(&[ONE], 1).unwrap();
    take_into_use(&server);
    let program = world.program();
    let remains = Remains::find(program.one.as_ref(), PREFIX, soon()).unwrap().unwrap();
    store("meanwhile").run(&server).unwrap();
    let refused = remains.set_aside(program.one.as_ref(), soon()).unwrap_err();
    assert!(refused.told.contains("somebody changed the keyring meanwhile"), "{refused}");
    assert_eq!(world.found(&[ONE]).unwrap(), contents(&server));
    // The other way round: what the server has begun fails, and what it reads stays.
    let (other, at) = (world.clone(), std::sync::atomic::AtomicBool::new(false));
    let program = world.program();
    let server = program.serve(&[ONE], 1).unwrap();
    take_into_use(&server);
    let keys = contents(&server);
    program.one.before(move |request| {
        let is_change = request.what == What::Put && request.name.ends_with(HEAD);
        if is_change && !at.swap(true, std::sync::atomic::Ordering::SeqCst) {
            set_aside(&other).unwrap().unwrap();
        }
    });
    store("late").run(&server).unwrap_err();
    assert_eq!(server.status().state, KeyringState::Detached);
    assert_eq!(contents(&server), keys);
    assert!(world.one.names().iter().any(|name| name.contains("/kept-2/")), "{:?}", world.one.names());
}
