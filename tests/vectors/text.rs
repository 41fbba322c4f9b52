// SPDX-License-Identifier: GPL-2.0-or-later
//! A vector as text: lines `word: value`, then the file's bytes as lines `@offset hex`, 32 bytes each
//! from an offset that 32 divides, those that are all zero left out.

use std::fmt::Write;

const LINE: usize = 32;

#[derive(PartialEq, Eq, Debug)]
pub struct Vector {
    pub name: String,
    /// What is special about it.
    pub note: String,
    pub secret: Vec<u8>,
    pub expect: Expect,
    pub file: Vec<u8>,
}

/// What opening the file comes to.
#[derive(PartialEq, Eq, Debug)]
pub enum Expect {
    Opened(Opened),
    Damaged,
    NotAKeyring,
    Newer,
    WrongSecret,
}

/// What is in a file that opens.
#[derive(PartialEq, Eq, Debug, Default)]
pub struct Opened {
    pub id: String,
    pub label: String,
    pub created: u64,
    /// Kind and name of each.
    pub slots: Vec<String>,
    pub generation: u64,
    pub notes: Vec<String>,
    /// Ordered by user, then id.
    pub keys: Vec<Key>,
}

#[derive(PartialEq, Eq, Debug)]
pub struct Key {
    pub user: Vec<u8>,
    pub id: Vec<u8>,
    pub key_type: Vec<u8>,
    pub created: u64,
    /// 0 for a key in use.
    pub retired: u64,
    pub data: Vec<u8>,
}

impl Expect {
    pub fn word(&self) -> &'static str {
        match self {
            Expect::Opened(_) => "opened",
            Expect::Damaged => "damaged",
            Expect::NotAKeyring => "not_a_keyring",
            Expect::Newer => "newer",
            Expect::WrongSecret => "wrong_secret",
        }
    }
}

/// Hex digits; `-` for no bytes.
pub fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() { "-".into() } else { bytes.iter().map(|b| format!("{b:02x}")).collect() }
}

fn unhex(text: &str) -> Result<Vec<u8>, String> {
    if text == "-" {
        return Ok(Vec::new());
    }
    let digits: Vec<_> = text.chars().map(|c| c.to_digit(16)).collect::<Option<_>>().ok_or("no hex digit")?;
    Ok(digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | *digit as u8)).collect())
}

impl Vector {
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        let mut line = |word: &str, value: &str| writeln!(out, "{word}: {value}").unwrap();
        line("name", &self.name);
        line("note", &self.note);
        line("secret-hex", &hex(&self.secret));
        line("expect", self.expect.word());
        if let Expect::Opened(opened) = &self.expect {
            line("id", &opened.id);
            line("label", &format!("{:?}", opened.label));
            line("created", &opened.created.to_string());
            opened.slots.iter().for_each(|slot| line("slot", slot));
            line("generation", &opened.generation.to_string());
            opened.notes.iter().for_each(|note| line("opened-with", note));
            for k in &opened.keys {
                let dates = match k.retired {
                    0 => k.created.to_string(),
                    retired => format!("{}-{retired}", k.created),
                };
                let fields = [hex(&k.user), hex(&k.id), hex(&k.key_type), dates, hex(&k.data)];
                line("key", &fields.join(" "));
            }
        }
        line("length", &self.file.len().to_string());
        for (n, bytes) in self.file.chunks(LINE).enumerate().filter(|(_, b)| b.iter().any(|b| *b != 0)) {
            writeln!(out, "@{} {}", n * LINE, hex(bytes)).unwrap();
        }
        out
    }

    pub fn parse(text: &str) -> Result<Self, String> {
        let mut vector = Vector {
            name: "".into(),
            note: "".into(),
            secret: vec![],
            expect: Expect::Damaged,
            file: vec![],
        };
        let mut opened = Opened::default();
        for line in text.lines() {
            if let Some((offset, bytes)) = line.strip_prefix('@').and_then(|l| l.split_once(' ')) {
                let offset: usize = number(offset)?;
                let bytes = unhex(bytes)?;
                vector
                    .file
                    .get_mut(offset..offset + bytes.len())
                    .ok_or("beyond the end")?
                    .copy_from_slice(&bytes);
                continue;
            }
            let (word, value) = line.split_once(": ").ok_or_else(|| format!("what is {line:?}?"))?;
            match word {
                "name" => vector.name = value.into(),
                "note" => vector.note = value.into(),
                "secret-hex" => vector.secret = unhex(value)?,
                "expect" => {
                    vector.expect = match value {
                        "opened" => Expect::Opened(Opened::default()),
                        "damaged" => Expect::Damaged,
                        "not_a_keyring" => Expect::NotAKeyring,
                        "newer" => Expect::Newer,
                        "wrong_secret" => Expect::WrongSecret,
                        _ => return Err(format!("{value} is no expectation")),
                    }
                }
                "id" => opened.id = value.into(),
                "label" => opened.label = value.trim_matches('"').into(),
                "created" => opened.created = number(value)?,
                "slot" => opened.slots.push(value.into()),
                "generation" => opened.generation = number(value)?,
                "opened-with" => opened.notes.push(value.into()),
                "key" => opened.keys.push(Key::parse(value)?),
                "length" => vector.file = vec![0; number(value)?],
                _ => return Err(format!("what is {word}?")),
            }
        }
        if let Expect::Opened(place) = &mut vector.expect {
            *place = opened;
        }
        Ok(vector)
    }
}

impl Key {
    fn parse(text: &str) -> Result<Self, String> {
        let [user, id, key_type, dates, data] =
            text.split(' ').collect::<Vec<_>>().try_into().map_err(|_| "a key has five fields")?;
        let (created, retired) = dates.split_once('-').unwrap_or((dates, "0"));
        Ok(Key {
            user: unhex(user)?,
            id: unhex(id)?,
            key_type: unhex(key_type)?,
            created: number(created)?,
            retired: number(retired)?,
            data: unhex(data)?,
        })
    }
}

fn number<N: std::str::FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}
