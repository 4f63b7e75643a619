//! Rows of mailboxes as they stand in the store, each behind its version.

use agentry_kernel::call::RunId;
use agentry_kernel::labels::Labels;
use agentry_kernel::limits::KEPT_HEAD_BYTES;
use agentry_kernel::time::Millis;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Range, Store, StoreError, keys, scan_all};

/// Letters know since version 2 who keeps them.
const FORMAT: u8 = 1;
const LETTER_FORMAT: u8 = 2;

/// A letter that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Who wrote it: the host's word, never the writer's.
    pub sender: String,
    /// In which run.
    pub run: RunId,
    /// What it is about.
    pub subject: String,
    /// JSON.
    pub body: String,
    /// What its writer held when it wrote.
    pub labels: Labels,
    /// When it was sent.
    pub at: Millis,
    /// On whose storage it lies until it is taken, or is gone: its writer's, or that of the agent which pays for its writer.
    pub owner: String,
}

/// A letter as version 1 wrote it: its writer keeps it.
#[derive(Deserialize)]
struct Waiting1 {
    sender: String,
    run: RunId,
    subject: String,
    body: String,
    labels: Labels,
    at: Millis,
}

impl From<Waiting1> for Waiting {
    fn from(Waiting1 { sender, run, subject, body, labels, at }: Waiting1) -> Self {
        Self { owner: sender.clone(), sender, run, subject, body, labels, at }
    }
}

impl Waiting {
    /// As it is stored.
    pub fn encode(&self) -> Vec<u8> {
        encode_as(LETTER_FORMAT, self)
    }

    /// Reads one.
    ///
    /// # Errors
    /// When it is none.
    pub fn decode(row: &[u8]) -> Result<Self, StoreError> {
        match row.strip_prefix(&[LETTER_FORMAT]) {
            Some(rest) => postcard::from_bytes(rest).map_err(|_| damaged()),
            None => decode::<Waiting1>(row).map(Self::from),
        }
    }

    /// What it takes of its owner's storage.
    pub fn kept(&self) -> u64 {
        self.bytes().saturating_add(KEPT_HEAD_BYTES)
    }

    /// What it takes of its mailbox.
    pub fn bytes(&self) -> u64 {
        u64::try_from(self.subject.len() + self.body.len()).unwrap_or(u64::MAX)
    }
}

/// What is kept of a letter once it was taken: enough to answer it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// To whom an answer goes.
    pub sender: String,
    /// What it was about.
    pub subject: String,
}

/// A letter that nobody took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dead {
    /// The letter.
    pub letter: Waiting,
    /// Since when.
    pub at: Millis,
    /// Why, for a person.
    pub why: String,
}

#[derive(Deserialize)]
struct Dead1 {
    letter: Waiting1,
    at: Millis,
    why: String,
}

impl Dead {
    /// As it is stored.
    pub fn encode(&self) -> Vec<u8> {
        encode_as(LETTER_FORMAT, self)
    }

    /// Reads one.
    ///
    /// # Errors
    /// When it is none.
    pub fn decode(row: &[u8]) -> Result<Self, StoreError> {
        match row.strip_prefix(&[LETTER_FORMAT]) {
            Some(rest) => postcard::from_bytes(rest).map_err(|_| damaged()),
            None => decode::<Dead1>(row).map(|Dead1 { letter, at, why }| Self { letter: letter.into(), at, why }),
        }
    }
}

/// Who keeps a letter that waits or is dead, and what it takes; nobody keeps what else is in a mailbox.
pub fn owner(place: &[u8], row: &[u8]) -> Option<(String, u64)> {
    let letter = match keys::letter_of(place)? {
        (_, true, _) => Dead::decode(row).ok()?.letter,
        (_, false, _) => Waiting::decode(row).ok()?,
    };
    let bytes = letter.kept();
    Some((letter.owner, bytes))
}

/// What is in a mailbox, and the number of the next letter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailbox {
    /// The number of the next letter.
    pub next: u64,
    /// How many wait.
    pub letters: u64,
    /// What those take that wait.
    pub bytes: u64,
}

/// A mailbox, or what is kept of a letter that was taken, behind its version.
pub fn encode<T: Serialize>(row: &T) -> Vec<u8> {
    encode_as(FORMAT, row)
}

fn encode_as<T: Serialize>(format: u8, row: &T) -> Vec<u8> {
    postcard::to_extend(row, vec![format]).expect("it is plain data, and memory grows")
}

/// What [`encode`] made.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    let row = bytes.strip_prefix(&[FORMAT]).and_then(|rest| postcard::from_bytes(rest).ok());
    row.ok_or_else(damaged)
}

fn damaged() -> StoreError {
    StoreError::Damaged { why: "a letter that does not decode".to_owned() }
}

/// `calendar/12`
pub fn id(mailbox: &str, number: u64) -> String {
    format!("{mailbox}/{number}")
}

/// A letter on a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// `calendar/12`
    pub id: String,
    /// Whose mailbox.
    pub mailbox: String,
    /// The letter.
    pub letter: Waiting,
    /// Since when it is dead, and why; none if it waits.
    pub dead: Option<Dead>,
}

/// All letters that wait, or all dead ones, by mailbox and in order; of one mailbox, if one is named.
///
/// # Errors
/// When the store cannot be read.
pub fn list(store: &dyn Store, mailbox: Option<&str>, dead: bool) -> Result<Vec<Listed>, StoreError> {
    let mut listed = Vec::new();
    let range = Range::of(&mailbox.map_or_else(|| keys::MAIL.to_vec(), keys::mailbox));
    for row in scan_all(store, range) {
        let (key, row) = row?;
        let Some((mailbox, is_dead, number)) = keys::letter_of(&key).filter(|(_, is_dead, _)| *is_dead == dead) else {
            continue;
        };
        let id = id(&mailbox, number);
        listed.push(if is_dead {
            let dead = Dead::decode(&row)?;
            Listed { id, mailbox, letter: dead.letter.clone(), dead: Some(dead) }
        } else {
            Listed { id, mailbox, letter: Waiting::decode(&row)?, dead: None }
        });
    }
    Ok(listed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter() -> Waiting {
        Waiting {
            sender: "mail".to_owned(),
            run: RunId(7),
            subject: "lunch".to_owned(),
            body: "{\"at\":12}".to_owned(),
            labels: Labels::of(["untrusted"]),
            at: Millis(1_800_000_000_000),
            owner: "office".to_owned(),
        }
    }

    fn dead(letter: Waiting) -> Dead {
        Dead { letter, at: Millis(1_800_000_000_001), why: "nobody took it".to_owned() }
    }

    #[test]
    fn a_letter_of_this_version_stays_readable() {
        let rows = [
            letter().encode(),
            encode(&Received { sender: "mail".to_owned(), subject: "lunch".to_owned() }),
            dead(letter()).encode(),
            encode(&Mailbox { next: 300, letters: 2, bytes: 18 }),
        ];
        let hex = |row: &Vec<u8>| row.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let lines: Vec<String> = rows.iter().map(hex).collect();
        expect_test::expect_file!["../../../../tests/golden/mail-2.hex"].assert_eq(&(lines.join("\n") + "\n"));
        assert_eq!(Waiting::decode(&rows[0]), Ok(letter()));
        assert_eq!(Dead::decode(&rows[2]), Ok(dead(letter())));
        for damaged in [b"\x02".as_slice(), b"\x01", b"\x09", b""] {
            assert!(Waiting::decode(damaged).is_err() && Dead::decode(damaged).is_err(), "{damaged:?}");
        }
    }

    #[test]
    fn a_letter_of_version_1_is_its_writers_to_keep() {
        let byte = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
        let golden = include_str!("../../../../tests/golden/mail-1.hex").lines();
        let rows: Vec<Vec<u8>> = golden.map(|line| line.as_bytes().chunks(2).map(byte).collect()).collect();
        let old = Waiting { owner: "mail".to_owned(), ..letter() };
        assert_eq!(Waiting::decode(&rows[0]), Ok(old.clone()));
        assert_eq!(Dead::decode(&rows[2]), Ok(dead(old)));
        assert_eq!(decode(&rows[1]), Ok(Received { sender: "mail".to_owned(), subject: "lunch".to_owned() }));
        for (place, row) in [(keys::letter("office", 1), &rows[0]), (keys::dead_letter("office", 1), &rows[2])] {
            assert_eq!(owner(&place, row), Some(("mail".to_owned(), 5 + 9 + KEPT_HEAD_BYTES)));
        }
        assert_eq!(owner(&keys::received("office", 1), &rows[1]), None);
        assert_eq!(owner(&keys::mailbox("office"), &rows[3]), None);
    }
}
