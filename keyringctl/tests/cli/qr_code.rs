// SPDX-License-Identifier: GPL-2.0-or-later
//! The QR codes on the pages of shares, read by a program that knows nothing of this one.

use super::{Place, UNLOCK};
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::Command;

/// The output of a program; `None` if it is missing, which is said past the test's captured output.
fn output(command: &mut Command, package: &str) -> Option<String> {
    match command.output() {
        Err(e) if e.kind() == ErrorKind::NotFound => {
            let program = command.get_program().to_string_lossy().into_owned();
            let _ = writeln!(
                std::io::stderr(),
                "\nskipped: QR codes of shares: needs {program} (Debian package {package}; scripts/packages.sh pages)"
            );
            None
        }
        output => {
            let output = output.unwrap();
            assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
            Some(String::from_utf8(output.stdout).unwrap())
        }
    }
}

/// Draws the picture of a page, and reads its QR code.
fn scanned(page: &str, picture: &Path) -> Option<String> {
    let svg = &page[page.find("<svg ").unwrap()..page.find("</svg>").unwrap() + 6];
    fs::write(picture.with_extension("svg"), svg).unwrap();
    let mut draw = Command::new("rsvg-convert");
    draw.args(["--width=480", "--output"]).arg(picture).arg(picture.with_extension("svg"));
    output(&mut draw, "librsvg2-bin")?;
    let mut read = Command::new("zbarimg");
    read.args(["--quiet", "--raw", "--nodbus", "-Sdisable", "-Sqrcode.enable"]).arg(picture);
    Some(output(&mut read, "zbar-tools")?.trim_end_matches('\n').to_owned())
}

#[test]
fn the_qr_code_of_each_page_is_its_share() {
    for of in ["2-of-3", "5-of-8"] {
        let place = Place::with_keyring();
        let added =
            place.run(&format!("slot add DIR/main.keyring {UNLOCK} --new-custodians {of} --pages DIR/pages"));
        assert_eq!(added.code, 0, "{}", added.stderr);
        let mut files: Vec<_> =
            fs::read_dir(place.path("pages")).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        let mut scans = Vec::new();
        for file in &files {
            let page = fs::read_to_string(file).unwrap();
            let groups = page.split("</small>").skip(1).map(|rest| rest.split('<').next().unwrap());
            let share = groups.collect::<Vec<_>>().join("-");
            let Some(scan) = scanned(&page, &place.path("picture.png")) else { return };
            assert_eq!(scan, share, "{}", file.display());
            scans.push(scan);
        }
        // What a scanner types unlocks the keyring.
        let needed: usize = of[..1].parse().unwrap();
        let typed = scans[scans.len() - needed..].join("\n") + "\n";
        let listed = place.run_with("list DIR/main.keyring --custodians", typed.as_bytes());
        assert_eq!(listed.code, 0, "{}", listed.stderr);
    }
}
