// SPDX-License-Identifier: GPL-2.0-or-later
//! Hands out the shares of custodians: each once, on a page of its own. On a terminal, only one is on the screen at a time.

mod about;
mod page;

use super::output::Output;
use crate::error::{Error, Result};
use crate::show::{Shown, exact_paths};
use about::{About, COMMAND, lines, text};
use keyring_external::custodians::Share;
use keyring_external::format::header::ClaimedHeader;
use serde_json::{Value, json};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Asks a question, and returns when it was answered.
pub(super) type Wait<'a> = &'a mut dyn FnMut(&str) -> io::Result<()>;

/// Shares to hand out.
pub(super) struct Handout<'a> {
    shares: &'a [Share],
    about: About,
    /// The directory for printable pages, if they were asked for.
    pages: Option<&'a Path>,
}

impl<'a> Handout<'a> {
    /// `header` is what the keyring says of itself, and `created` is when the shares were made.
    pub(super) fn new(
        shares: &'a [Share],
        header: &'a ClaimedHeader,
        created: u64,
        pages: Option<&'a Path>,
    ) -> Self {
        Self { shares, about: About::new(shares, header, created), pages }
    }

    /// Prints the output so far and then the shares, or writes their pages. `document` is the document of the command,
    /// which gets them. `wait` asks a question and returns when it was answered; without it, all shares are shown at once.
    ///
    /// # Errors
    /// A share could not be shown or written. The pages that were written are removed.
    pub(super) fn deliver(
        &self,
        document: &mut Value,
        out: &mut Output,
        wait: Option<Wait<'_>>,
    ) -> io::Result<()> {
        let written = self.pages.map(|dir| self.write_pages(dir)).transpose()?;
        document["custodians"] = self.document(written.as_deref());
        out.document(document);
        if let (Some(files), false) = (&written, out.is_json()) {
            self.tell_of_pages(files, out);
        }
        let remove = |_: &io::Error| written.iter().flatten().for_each(|file| drop(fs::remove_file(file)));
        if written.is_some() || out.is_json() {
            return out.deliver().inspect_err(remove);
        }
        self.show(out, wait)
    }

    fn document(&self, pages: Option<&[PathBuf]>) -> Value {
        let (needed, all) = self.about.needed();
        let mut document = json!({
            "threshold": needed,
            "shares": all,
            "set": self.about.set(),
        });
        match pages {
            Some(pages) => document["pages"] = json!(exact_paths(pages)),
            None => {
                let shares = self
                    .shares
                    .iter()
                    .map(|share| json!({ "number": share.number(), "share": *text(share) }));
                document["printed"] = shares.collect();
            }
        }
        document
    }

    fn show(&self, out: &mut Output, wait: Option<Wait<'_>>) -> io::Result<()> {
        let (needed, all) = self.about.needed();
        out.line("");
        out.line(format_args!(
            "Any {needed} of {all} custodians unlock the keyring together if the unlock secret is lost. Each gets one share, \
             which is shown only once. If this is interrupted, remove the slot and add it again."
        ));
        let Some(wait) = wait.filter(|_| out.shows_pages()) else {
            self.shares.iter().for_each(|share| self.show_one(share, out));
            return out.deliver();
        };
        out.deliver()?;
        wait("Let the custodian of share 1 look at the screen alone. Enter shows it")?;
        for share in self.shares {
            out.clear_screen()?;
            self.show_one(share, out);
            out.deliver()?;
            let next = if share.number() < all {
                format!("Enter clears the screen, for the custodian of share {}", share.number() + 1)
            } else {
                "Enter clears the screen".to_owned()
            };
            wait(&next)?;
        }
        out.clear_screen()
    }

    /// A share as text.
    fn show_one(&self, share: &Share, out: &mut Output) {
        out.line("");
        out.line(self.about.title(share));
        out.line("");
        for (name, value) in self.about.facts() {
            out.field(name, value);
        }
        out.line("");
        let text = text(share);
        for (name, groups) in lines(&text) {
            out.verbatim(format_args!("    {name:<13} {}", *groups));
        }
        out.line("");
        self.about.advice().into_iter().for_each(|line| out.line(line));
        out.line(format_args!("    {COMMAND}"));
        out.line("");
    }

    fn tell_of_pages(&self, files: &[PathBuf], out: &mut Output) {
        let (needed, all) = self.about.needed();
        out.line("");
        out.line(format_args!(
            "Any {needed} of {all} custodians unlock the keyring together if the unlock secret is lost. Each has a page of their \
             own:"
        ));
        files.iter().for_each(|file| out.line(format_args!("    {}", file.shown())));
        out.line("Let each custodian print theirs. Then remove the files, because they are the secret: shred -u FILE");
    }

    /// Writes the pages, all or none.
    fn write_pages(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let mut written = Vec::new();
        for share in self.shares {
            let name = format!(
                "share-{}-of-{}-set-{}.html",
                share.number(),
                self.about.needed().1,
                self.about.set()
            );
            let path = dir.join(name);
            let page = page::page(&self.about, share);
            let done = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).and_then(
                |mut file| {
                    written.push(path.clone());
                    file.write_all(page.as_bytes())?;
                    file.sync_all()
                },
            );
            if let Err(e) = done {
                written.iter().for_each(|file| drop(fs::remove_file(file)));
                return Err(io::Error::new(e.kind(), format!("cannot write {}: {e}", path.shown())));
            }
        }
        File::open(dir)?.sync_all()?;
        Ok(written)
    }
}

/// Makes the directory for pages if there is none, before anything is changed.
///
/// # Errors
/// It cannot be made, or cannot be written.
pub(super) fn prepare(pages: Option<&Path>) -> Result<()> {
    let Some(dir) = pages else { return Ok(()) };
    let made = match DirBuilder::new().mode(0o700).create(dir) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            return Err(Error::Usage(format!(
                "--pages {} is a file: name a directory for the pages. Nothing was changed",
                dir.shown()
            )));
        }
        made => made,
    };
    let probe = || {
        let probe = dir.join(format!(".keyringctl-{}", std::process::id()));
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&probe)?;
        fs::remove_file(probe)
    };
    made.and_then(|()| probe()).map_err(|e| Error::io("write pages to", dir, e))
}

/// Waits on standard input.
pub(super) fn wait_for_enter(question: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    write!(stdout, "{question}: ")?;
    stdout.flush()?;
    let mut line = String::new();
    match io::stdin().read_line(&mut line)? {
        0 => Err(io::Error::other("the input ended before all shares were shown")),
        _ => Ok(()),
    }
}
