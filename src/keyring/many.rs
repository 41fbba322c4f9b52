// SPDX-License-Identifier: GPL-2.0-or-later
//! Stores many keys at once, all or none.

use super::memory::Dates;
use super::shared::Keyring;
use crate::audit::{Event, EventKind};
use crate::error::{BadRequest, Result};
use crate::format::records::KeyRecord;
use crate::key::check_length;
use hashbrown::HashSet;

impl Keyring {
    /// Stores all of `keys`, or none. Each copy is rewritten once.
    ///
    /// # Errors
    /// As [`Keyring::store`]; [`BadRequest::Exists`] also if two of them have the same name.
    pub fn store_all(&self, keys: &[KeyRecord<'_>]) -> Result<()> {
        let names: Vec<_> = keys.iter().map(|key| key.name.to_string()).collect();
        let event = Event::new(EventKind::KeysStored).with("count", names.len()).with("keys", names);
        self.counted(&event, || {
            let mut names = HashSet::new();
            for key in keys {
                check_length(key.data.len())?;
                if !names.insert(key.name.to_owned()) {
                    return Err(BadRequest::Exists { name: key.name.to_string() }.into());
                }
            }
            self.changing(|writer| {
                if let Some(taken) = keys.iter().find(|key| self.has_key(writer, &key.name, true)) {
                    return Err(BadRequest::Exists { name: taken.name.to_string() }.into());
                }
                let mut places = Vec::with_capacity(keys.len());
                let stored = keys
                    .iter()
                    .try_for_each(|key| {
                        places.push(self.write_memory().reserve(key.data.len(), |place| {
                            place.copy_from_slice(key.data);
                            Ok(())
                        })?);
                        Ok(())
                    })
                    .and_then(|()| writer.add_all(&self.read_memory(), keys, &event));
                let mut memory = self.write_memory();
                for (key, place) in keys.iter().zip(places) {
                    match &stored {
                        Ok(()) => {
                            memory.link(key.name.to_owned(), key.key_type.clone(), Dates::of(key), place)
                        }
                        Err(_) => memory.release(place),
                    }
                }
                stored
            })
        })
        .inspect(|()| keys.iter().for_each(|_| self.counters.stored()))
    }
}
