//! Rows of mailboxes as they stand in the store, each behind its version.

use std::collections::BTreeMap;
use std::fmt;

use agentry_kernel::call::RunId;
use agentry_kernel::labels::Labels;
use agentry_kernel::limits::KEPT_HEAD_BYTES;
use agentry_kernel::time::Millis;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{Range, Store, StoreError, Value, keys, scan_all};

/// Letters know since version 2 who keeps them, and mailboxes whose letters wait.
const FORMAT: u8 = 1;
const LETTER_FORMAT: u8 = 2;
const MAILBOX_FORMAT: u8 = 2;

/// Rounds of the permutation of ids.
const ROUNDS: u8 = 4;

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailbox {
    /// The number of the next letter.
    pub next: u64,
    /// What ids are made with, so that they tell nobody how many letters there were.
    pub key: IdKey,
    /// What waits, by its sender: how full a mailbox is for one tells nothing of the others.
    pub waiting: BTreeMap<String, Wait>,
}

/// What of one sender waits in a mailbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// Letters.
    pub letters: u64,
    /// What they take.
    pub bytes: u64,
}

/// A mailbox as version 1 wrote it: its ids are its numbers.
#[derive(Deserialize)]
struct Mailbox1 {
    next: u64,
    _letters: u64,
    _bytes: u64,
}

impl Mailbox {
    /// The mailbox of this name and its row, if it has one; a new key is asked for if it has none yet.
    ///
    /// # Errors
    /// When the store cannot be read or the row does not decode.
    pub fn read(
        store: &dyn Store,
        name: &str,
        new_key: impl FnOnce() -> IdKey,
    ) -> Result<(Option<Value>, Self), StoreError> {
        let Some(row) = store.get(&keys::mailbox(name))? else {
            return Ok((None, Self { next: 0, key: new_key(), waiting: BTreeMap::new() }));
        };
        if let Some(rest) = row.strip_prefix(&[MAILBOX_FORMAT]) {
            let mailbox = postcard::from_bytes(rest).map_err(|_| damaged())?;
            return Ok((Some(row), mailbox));
        }
        let Mailbox1 { next, .. } = decode(&row)?;
        let mut mailbox = Self { next, key: new_key(), waiting: BTreeMap::new() };
        for letter in scan_all(store, Range::of(&keys::letters(name))) {
            mailbox.add(&Waiting::decode(&letter?.1)?);
        }
        Ok((Some(row), mailbox))
    }

    /// One more waits.
    pub fn add(&mut self, letter: &Waiting) {
        let wait = self.waiting.entry(letter.sender.clone()).or_default();
        wait.letters = wait.letters.saturating_add(1);
        wait.bytes = wait.bytes.saturating_add(letter.bytes());
    }

    /// One less.
    pub fn remove(&mut self, letter: &Waiting) {
        let Some(wait) = self.waiting.get_mut(&letter.sender) else { return };
        wait.letters = wait.letters.saturating_sub(1);
        wait.bytes = wait.bytes.saturating_sub(letter.bytes());
        if wait.letters == 0 {
            self.waiting.remove(&letter.sender);
        }
    }

    /// As it is stored.
    pub fn encode(&self) -> Vec<u8> {
        encode_as(MAILBOX_FORMAT, self)
    }
}

/// What makes ids of numbers: a permutation that nobody knows without it.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdKey(pub [u8; 16]);

impl fmt::Debug for IdKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdKey")
    }
}

impl IdKey {
    /// The id of a letter: `calendar/` and 13 letters and digits.
    pub fn id(self, mailbox: &str, number: u64) -> String {
        let (mut left, mut right) = halves(number);
        for round in 0..ROUNDS {
            (left, right) = (right, left ^ self.mixed(round, right));
        }
        format!("{mailbox}/{}", RunId(whole(left, right)))
    }

    /// The number of the letter of this id; what stands behind the name of the mailbox.
    fn number(self, id: RunId) -> u64 {
        let (mut left, mut right) = halves(id.0);
        for round in (0..ROUNDS).rev() {
            (left, right) = (right ^ self.mixed(round, left), left);
        }
        whole(left, right)
    }

    /// The function of one round of a Feistel network (Luby and Rackoff, "How to construct pseudorandom permutations", 1988).
    fn mixed(self, round: u8, half: u32) -> u32 {
        let digest =
            Sha256::new().chain_update(self.0).chain_update([round]).chain_update(half.to_be_bytes()).finalize();
        u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
    }
}

fn halves(number: u64) -> (u32, u32) {
    ((number >> 32) as u32, number as u32)
}

fn whole(left: u32, right: u32) -> u64 {
    u64::from(left) << 32 | u64::from(right)
}

/// The mailbox and the number of the letter of this id, also of one that was given when ids were numbers; none if it is no id.
///
/// # Errors
/// When the store cannot be read.
pub fn of_id<'a>(store: &dyn Store, id: &'a str) -> Result<Option<(&'a str, u64)>, StoreError> {
    let Some((name, letter)) = id.rsplit_once('/') else { return Ok(None) };
    if let Ok(id) = letter.parse::<RunId>() {
        // Without a key no such id was ever given.
        let (_, key) = key_of(store, name)?;
        return Ok(key.map(|key| (name, key.number(id))));
    }
    let plain = !letter.is_empty() && letter.bytes().all(|byte| byte.is_ascii_digit());
    Ok(letter.parse().ok().filter(|_| plain).map(|number| (name, number)))
}

/// What is kept of a letter that was taken, behind its version.
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

/// A letter on a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// As [`IdKey::id`] makes it.
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
    let mut key = None;
    for row in scan_all(store, range) {
        let (place, row) = row?;
        let Some((mailbox, is_dead, number)) = keys::letter_of(&place).filter(|(_, is_dead, _)| *is_dead == dead)
        else {
            continue;
        };
        let known = key.take().filter(|(of, _)| *of == mailbox);
        let (_, its) = known.map_or_else(|| key_of(store, &mailbox), Ok)?;
        let id = its.map_or_else(|| format!("{mailbox}/{number}"), |key| key.id(&mailbox, number));
        key = Some((mailbox.clone(), its));
        listed.push(if is_dead {
            let dead = Dead::decode(&row)?;
            Listed { id, mailbox, letter: dead.letter.clone(), dead: Some(dead) }
        } else {
            Listed { id, mailbox, letter: Waiting::decode(&row)?, dead: None }
        });
    }
    Ok(listed)
}

/// A mailbox and what its ids are made with; none if they are its numbers still.
fn key_of(store: &dyn Store, mailbox: &str) -> Result<(String, Option<IdKey>), StoreError> {
    let row = store.get(&keys::mailbox(mailbox))?;
    let known = row.as_deref().and_then(|row| row.strip_prefix(&[MAILBOX_FORMAT]));
    let known = known.map(|row| postcard::from_bytes::<Mailbox>(row).map_err(|_| damaged())).transpose()?;
    Ok((mailbox.to_owned(), known.map(|mailbox| mailbox.key)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Batch, Expect, RedbStore};

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

    fn mailbox() -> Mailbox {
        let waiting = BTreeMap::from([("mail".to_owned(), Wait { letters: 2, bytes: 18 })]);
        Mailbox { next: 300, key: IdKey([7; 16]), waiting }
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
            mailbox().encode(),
        ];
        let hex = |row: &Vec<u8>| row.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let lines: Vec<String> = rows.iter().map(hex).collect();
        expect_test::expect_file!["../../../../tests/golden/mail-3.hex"].assert_eq(&(lines.join("\n") + "\n"));
        assert_eq!(Waiting::decode(&rows[0]), Ok(letter()));
        assert_eq!(Dead::decode(&rows[2]), Ok(dead(letter())));
        for damaged in [b"\x02".as_slice(), b"\x01", b"\x09", b""] {
            assert!(Waiting::decode(damaged).is_err() && Dead::decode(damaged).is_err(), "{damaged:?}");
        }
    }

    #[test]
    fn an_id_says_nothing_but_whose_letter_it_is() {
        let (key, other) = (IdKey([7; 16]), IdKey([8; 16]));
        for number in [0, 1, 2, 300, u64::MAX] {
            let id = key.id("office", number);
            let letters = id.strip_prefix("office/").unwrap();
            assert_eq!((letters.len(), key.number(letters.parse().unwrap())), (13, number));
            assert_ne!(other.id("office", number), id);
        }
        let first: Vec<_> = (0..1000).map(|number| key.id("office", number)).collect();
        assert!(!first.is_sorted(), "it does not count");
    }

    #[tokio::test]
    async fn a_mailbox_of_version_1_is_counted_anew_and_its_ids_stay_good() {
        let home = tempfile::tempdir().unwrap();
        let store = RedbStore::open(home.path()).unwrap();
        let golden = include_str!("../../../../tests/golden/mail-2.hex").lines().nth(3).unwrap();
        let byte = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
        let mut batch = Batch::default();
        batch.put(keys::mailbox("office"), golden.as_bytes().chunks(2).map(byte).collect());
        [298, 299].into_iter().for_each(|number| batch.put(keys::letter("office", number), letter().encode()));
        store.commit(batch).await.unwrap();
        let listed = list(&store, Some("office"), false).unwrap();
        assert_eq!(listed.iter().map(|listed| &*listed.id).collect::<Vec<_>>(), ["office/298", "office/299"]);
        let (row, read) = Mailbox::read(&store, "office", || IdKey([7; 16])).unwrap();
        assert_eq!(
            read,
            Mailbox { waiting: [("mail".to_owned(), Wait { letters: 2, bytes: 28 })].into(), ..mailbox() }
        );
        assert_eq!(of_id(&store, "office/0000000000001"), Ok(None), "no such id was given");

        let mut batch = Batch::default();
        batch.expect(keys::mailbox("office"), Expect::Equals(row.unwrap()));
        batch.put(keys::mailbox("office"), read.encode());
        store.commit(batch).await.unwrap();
        let id = list(&store, None, false).unwrap().remove(1).id;
        assert_eq!(
            (of_id(&store, &id), of_id(&store, "office/299")),
            (Ok(Some(("office", 299))), Ok(Some(("office", 299))))
        );
        for none in ["office/", "office/+1", "office/x", "office", "", "office/99999999999999999999"] {
            assert_eq!(of_id(&store, none), Ok(None), "{none}");
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
