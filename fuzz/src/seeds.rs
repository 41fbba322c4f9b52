// SPDX-License-Identifier: GPL-2.0-or-later
//! The inputs with which fuzzing begins. They are made from the golden vectors and from samples of real files.

use super::innodb::{BINLOG, REDO, TABLE};
use super::vectors::Vector;
use keyring_external::format::crypto::{DataKeys, IV_LEN};
use keyring_external::format::header;
use keyring_external::format::layout::{FIXED_LEN, HEADER_LEN};
use keyring_external::format::unlocking::Unlocking;
use keyring_external::secret::{Locked, UnlockSecret};
use keyring_external::store::remote::head::{Head, Piece, PieceName};
use keyringctl::legacy::{Key, component_keyring_file};
use std::fs;
use std::path::Path;

/// The seeds of a target.
///
/// # Panics
/// If the target does not exist.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "image" => image(),
        "header" => vectors().into_iter().filter_map(|v| Some(v.file.get(..HEADER_LEN)?.to_vec())).collect(),
        "records" => records(),
        "head" => heads(),
        "keyring_file" => keyring_file(),
        "component_keyring_file" => json(),
        "percona" => percona(),
        "tablespace" => tablespace(),
        "redo" => redo(),
        "binlog" => vec![BINLOG.to_vec(), BINLOG[..512].to_vec(), b"\xfebin\0".to_vec()],
        "archive" => super::archive::seeds(),
        "config" => config(),
        "option_file" => option_file(),
        "host" => host(),
        _ => panic!("there is no target {target}"),
    }
}

/// The heads that stand for the vectors at a remote, each with what follows the front in two pieces.
fn heads() -> Vec<Vec<u8>> {
    let head = |vector: Vector| {
        let mut head = Head::of_front(vector.file.get(..FIXED_LEN)?, [7; 16], 5)?;
        let rest = (vector.file.len() - FIXED_LEN) as u32;
        let piece = |random, len| Piece { name: PieceName { base: 4, random }, len };
        head.pieces =
            [piece(1, rest / 2), piece(2, rest - rest / 2)].into_iter().filter(|p| p.len > 0).collect();
        head.encode()
    };
    vectors().into_iter().filter_map(head).collect()
}

fn vectors() -> Vec<Vector> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|above| above.join("tests/vectors"))
        .find(|directory| directory.is_dir())
        .expect("the golden vectors are there");
    let mut paths: Vec<_> =
        fs::read_dir(directory).expect("readable").map(|entry| entry.expect("readable").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "vector"));
    paths.sort();
    let read = |path: &std::path::PathBuf| {
        let text = fs::read_to_string(path).expect("readable");
        Vector::parse(&text).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
    };
    paths.iter().map(read).collect()
}

/// The keys of a vector; `None` if its secret does not open it, or is text and would run Argon2id.
fn keys(vector: &Vector) -> Option<DataKeys> {
    let secret = UnlockSecret::new(Locked::copy_of(&vector.secret).ok()?);
    if secret.is_text() {
        return None;
    }
    let copies = header::read(vector.file.get(..2 * HEADER_LEN)?).ok()?;
    copies.readable.first()?.unlock(&Unlocking::new(secret)).ok().map(|(keys, ..)| keys)
}

/// The plaintext bodies of the records in a file, each with its offset.
fn bodies(file: &[u8], keys: &DataKeys) -> Vec<(usize, Vec<u8>)> {
    let mut bodies = Vec::new();
    let mut at = FIXED_LEN;
    while let Some(record) = file.get(at..).filter(|record| record.len() > 4 + IV_LEN) {
        let len = u32::from_le_bytes(record[..4].try_into().expect("four bytes")) as usize;
        let iv = record[4..4 + IV_LEN].try_into().expect("sixteen bytes");
        let Some(body) = record.get(4 + IV_LEN..).and_then(|rest| rest.get(..len)) else { break };
        let mut body = body.to_vec();
        keys.record_encryption().apply(iv, &mut body).expect("memory");
        bodies.push((at + 4 + IV_LEN, body));
        at += 4 + IV_LEN + len + 32;
    }
    bodies
}

/// Every vector as it is, and with plaintext record bodies.
fn image() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for vector in vectors() {
        if let Some(keys) = keys(&vector) {
            let mut file = vector.file.clone();
            for (at, body) in bodies(&vector.file, &keys) {
                file[at..at + body.len()].copy_from_slice(&body);
            }
            seeds.push(file);
        }
        seeds.push(vector.file);
    }
    seeds
}

fn records() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for vector in vectors() {
        let Some(keys) = keys(&vector) else { continue };
        let bodies = bodies(&vector.file, &keys);
        for (flags, committed, cut) in [
            (0, bodies.len() as u8, 0_u16),
            (0, 0, 0),
            (16, 0, 0),
            (1, 1, 0),
            (2, 1, 0),
            (0, 1, 9),
            (16, 1, 9),
        ] {
            let mut seed = vec![flags, committed];
            seed.extend(cut.to_le_bytes());
            seed.extend(1_u64.to_le_bytes());
            for (_, body) in &bodies {
                seed.extend((body.len() as u16).to_le_bytes());
                seed.extend(body);
            }
            seeds.push(seed);
        }
    }
    seeds
}

/// User, id, type and bytes.
type Sample = (&'static [u8], &'static [u8], &'static [u8], &'static [u8]);

const SAMPLES: [Sample; 4] = [
    (b"", b"INNODBKey-1", b"AES", &[9; 32]),
    (b"anna@%", b"short", b"SECRET", b"x"),
    (b"anna@%", b"\xff\"\\\n", b"RSA", &[1; 25]),
    (b"", b"empty", b"AES", b""),
];

fn keyring_file() -> Vec<Vec<u8>> {
    const XOR: &[u8] = b"*305=Ljt0*!@$Hnm(*-9-w;:";
    let mut seeds = vec![b"Keyring file version:2.0EOF".to_vec(), b"Keyring file version:1.0EOF".to_vec()];
    for (word, big) in [(8, false), (4, false), (8, true), (4, true)] {
        let number = |n: usize| {
            let mut bytes = n.to_le_bytes()[..word].to_vec();
            if big {
                bytes.reverse();
            }
            bytes
        };
        let mut records = Vec::new();
        for (user, id, key_type, data) in SAMPLES {
            let hidden: Vec<u8> = data.iter().zip(XOR.iter().cycle()).map(|(byte, x)| byte ^ x).collect();
            let parts = [id, key_type, user, &hidden];
            let bare = 5 * word + parts.iter().map(|part| part.len()).sum::<usize>();
            let total = bare.next_multiple_of(word);
            records.extend(number(total));
            parts.iter().for_each(|part| records.extend(number(part.len())));
            parts.iter().for_each(|part| records.extend_from_slice(part));
            records.resize(records.len() + total - bare, 0);
        }
        seeds.push([b"Keyring file version:1.0", &records[..], b"EOF"].concat());
        seeds.push([b"Keyring file version:2.0", &records[..], b"EOF", &[0; 32]].concat());
    }
    seeds
}

fn json() -> Vec<Vec<u8>> {
    let write = |samples: &[Sample]| {
        let (file, len) = component_keyring_file::write(|put| {
            for (user, id, key_type, data) in samples {
                put(Key { id, user, key_type, data });
            }
        })
        .expect("memory");
        file[..len].to_vec()
    };
    let other = br#"{"x":[1,-2.5e9,true,null,{}],"version":"1.0","elements":[{"user":"\u00e9","data_id":"k","data_type":"AES","data":"0aB","extension":[]}]}"#;
    vec![write(&[]), write(&SAMPLES[..1]), write(&SAMPLES), other.to_vec()]
}

fn percona() -> Vec<Vec<u8>> {
    let front = [&[1][..], &[5; 32], &[0, 0, 0, 1], &[6; 16], &[7; 64]].concat();
    json().into_iter().chain([front]).collect()
}

fn tablespace() -> Vec<Vec<u8>> {
    let with = |flags: u8, file: &[u8]| [&[flags], file].concat();
    let mut seeds: Vec<_> =
        [16, 24, 24 | 128, 16 | 1, 16 | 3, 16 | 4, 16 | 5, 24 | 64].map(|flags| with(flags, TABLE)).to_vec();
    seeds.extend(pages_to_encrypt().map(|pages| with(8 | 16 | 32, &pages)));
    // Page 0 of other page sizes.
    for code in [4_u16, 6, 0, 3 << 6 | 3 << 1] {
        let mut page = TABLE[..4096].to_vec();
        let flags = if code < 16 { 1 << 13 | code << 6 } else { 1 << 13 | code };
        page[56..58].copy_from_slice(&flags.to_be_bytes());
        page.resize(16384, 0);
        seeds.push(with(64, &page));
    }
    seeds
}

/// The table with a plaintext page in place of its own: an ordinary page, one of an R-tree, one compressed with zlib, one
/// compressed with LZ4.
fn pages_to_encrypt() -> [Vec<u8>; 4] {
    const DATA: usize = 38;
    // The compressed data are zeros, then the constant that stands for no checksum, then the lower half of the LSN.
    const LSN: [u8; 4] = [1, 2, 3, 4];
    const NO_CHECKSUM: [u8; 4] = [0xde, 0xad, 0xbe, 0xef];
    let zlib = *b"\x78\xda\xed\xc1\x01\x0d\x00\x20\x08\x00\x30\x50\xfa\x37\xb1\x82\x51\xa8\x40\x05\x73\xb8\xfd\x8f\x00\x00\x00\x00\xfe\xd3\xe7\x4e\xae\x5d\x0f\x24\xb8\x03\x43";
    let lz4 = [&[0x1f, 0, 1, 0][..], &[0xff; 15], &[205, 0x80], &NO_CHECKSUM, &LSN].concat();
    [(15_u16, 0, &b"a row"[..]), (17, 0, b"a place"), (16, 1, &zlib[..]), (16, 2, &lz4)].map(
        |(kind, algorithm, data)| {
            let mut pages = TABLE.to_vec();
            let page = &mut pages[4096..];
            page[..4].copy_from_slice(&NO_CHECKSUM);
            page[20..24].copy_from_slice(&LSN);
            page[24..26].copy_from_slice(&kind.to_be_bytes());
            // Version, algorithm, original type, original length, compressed length.
            page[26..34].copy_from_slice(&[1, algorithm, 0x45, 0xbf, 0x0f, 0xda, 0, data.len() as u8]);
            page[DATA..].fill(0);
            page[DATA..DATA + data.len()].copy_from_slice(data);
            pages
        },
    )
}

fn redo() -> Vec<Vec<u8>> {
    [1, 1 | 2, 1 | 2 | 4, 1 | 8, 4, 1 | 128].map(|flags| [&[flags], REDO].concat()).to_vec()
}

fn config() -> Vec<Vec<u8>> {
    let texts: [&[u8]; 10] = [
        br#"{"path": "/mnt/a/main.keyring", "unlock": "file:/etc/mysql/keyring.secret"}"#,
        br#"{"path": "/k", "mirrors": ["/m"], "min_copies": 2, "unlock": "credential:kx", "wait": 9}"#,
        br#"{"path": "/k", "unlock": "command:/usr/bin/get --key 1", "read_only": true, "auto_create": true}"#,
        b"{\"read_local_config\": true}\0{\"path\": \"/k\", \"unlock\": \"env:KX\", \"allow_same_device\": false}",
        b"file:/etc/mysql/keyring.secret",
        b"credential:name",
        b"env:NAME",
        b"command:/usr/bin/get --key 1",
        b"{\"path\": 1}",
        b"KX1-",
    ];
    let mut seeds: Vec<_> = texts.iter().map(|text| text.to_vec()).collect();
    // Recovery keys as people type them.
    seeds.extend(vectors().into_iter().map(|vector| vector.secret).filter(|secret| secret.is_ascii()));
    seeds
}

fn option_file() -> Vec<Vec<u8>> {
    let texts: [&[u8]; 3] = [
        b"# a comment\n[client]\nuser=anna\npassword = \"a #b\\sc\"\nport=3307\nssl_mode=VERIFY_CA # yes\n[mysqld]\nloose-keyring_external_path=/k\nskip-networking\n",
        b"[client]\n!includedir /more\n!include /more/1.cnf\nprotocol='tcp'\n\0[mysql]\nsocket=/run/s\nhost=h\\\\\\n\\t\\q\n\0; x\nssl-ca=/ca\n",
        b"!include /my.cnf\n[a\n=\n\"=\"\nname",
    ];
    texts.iter().map(|text| text.to_vec()).collect()
}

fn host() -> Vec<Vec<u8>> {
    let texts: [&[u8]; 6] = [
        b"@{run} = /run /var/run\nalias /a/ -> /b/,\n#include <tunables/global>\n/usr/sbin/mysqld flags=(complain) {\n  #include \"self\"\n  capability chown,\n  owner @{run}/mysqld/*.sock rwk, # x\n  deny /mnt/{a,b{c,d}}/**/[^a-z]?x\\* rw,\n  /etc/mysql/** r,\n  \"/mnt/my stick/**\" rwk,\n}\n",
        b"[Unit]\nRequiresMountsFor=/mnt/my\\x20stick \\\n  /mnt/a\nAfter=mnt-a.mount\n[Service]\nUser=mysql\nLimitMEMLOCK=64M:infinity\nLoadCredential=kx:/etc/k%%\nProtectSystem=strict\nReadWritePaths=-/var\nEnvironment=\"KX=1\"\nUser=\n",
        b"22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n30 22 8:17 / /mnt/my\\040stick rw,nosuid shared:2 - ext4 /dev/sdb1 rw\n",
        b"UUID=1 / ext4 errors=remount-ro 0 1\nUUID=2\t/mnt/my\\040stick ext4 nofail 0 2\n",
        b"root:x:0:0::/:/bin/sh\nmysql:x:27:27::/:/bin/false\n",
        br#"{"components": "file://component_keyring_external,file://component_keyring_file", "read_local_manifest": true}"#,
    ];
    texts.iter().map(|text| text.to_vec()).collect()
}
