//! Rows of mailboxes as they stand in the store, each behind its version.

use agentry_kernel::call::RunId;
use agentry_kernel::labels::Labels;
use agentry_kernel::time::Millis;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Page, Range, Store, StoreError, keys};

const FORMAT: u8 = 1;

const PAGE: Page = Page { rows: 256, bytes: 4 * 1024 * 1024 };

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
}

impl Waiting {
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

/// A row behind its version.
pub fn encode<T: Serialize>(row: &T) -> Vec<u8> {
    postcard::to_extend(row, vec![FORMAT]).expect("it is plain data, and memory grows")
}

/// What [`encode`] made.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    let row = bytes.strip_prefix(&[FORMAT]).and_then(|rest| postcard::from_bytes(rest).ok());
    row.ok_or_else(|| StoreError::Damaged { why: "a letter that does not decode".to_owned() })
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
    let mut range = Range::of(&mailbox.map_or_else(|| keys::MAIL.to_vec(), keys::mailbox));
    loop {
        let rows = store.scan(&range, PAGE)?;
        let Some((last, _)) = rows.last() else { return Ok(listed) };
        range = range.after(last);
        for (key, row) in &rows {
            let Some((mailbox, is_dead, number)) = keys::letter_of(key).filter(|(_, is_dead, _)| *is_dead == dead)
            else {
                continue;
            };
            let id = id(&mailbox, number);
            listed.push(if is_dead {
                let dead: Dead = decode(row)?;
                Listed { id, mailbox, letter: dead.letter.clone(), dead: Some(dead) }
            } else {
                Listed { id, mailbox, letter: decode(row)?, dead: None }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_of_this_version_stays_readable() {
        let letter = Waiting {
            sender: "mail".to_owned(),
            run: RunId(7),
            subject: "lunch".to_owned(),
            body: "{\"at\":12}".to_owned(),
            labels: Labels::of(["untrusted"]),
            at: Millis(1_800_000_000_000),
        };
        let dead = Dead { letter: letter.clone(), at: Millis(1_800_000_000_001), why: "nobody took it".to_owned() };
        let rows = [
            encode(&letter),
            encode(&Received { sender: "mail".to_owned(), subject: "lunch".to_owned() }),
            encode(&dead),
            encode(&Mailbox { next: 300, letters: 2, bytes: 18 }),
        ];
        let hex = |row: &Vec<u8>| row.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let lines: Vec<String> = rows.iter().map(hex).collect();
        expect_test::expect_file!["../../../../tests/golden/mail-1.hex"].assert_eq(&(lines.join("\n") + "\n"));
        assert_eq!(decode::<Waiting>(&rows[0]), Ok(letter));
        assert_eq!(decode::<Dead>(&rows[2]), Ok(dead));
        assert!(decode::<Waiting>(&[2]).is_err() && decode::<Waiting>(&[]).is_err());
    }
}
