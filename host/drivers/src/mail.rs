//! Mailboxes: letters between agents, kept until they are taken. It reads at once and gives changes as batches that the gate commits
//! together with the entry that tells of them, so that a letter is taken once; it never commits by itself.
//!
//! Letters of a mailbox have numbers in the order in which they were sent, and come out in that order. One that nobody takes in time is
//! dead: kept apart, for a person to look at.

mod lists;

use std::collections::HashMap;
use std::sync::Arc;

use agentry_abi::bindings::agentry::agent::agents::Letter;
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::driver::Write;
use agentry_abi::fault;
use agentry_kernel::call::RunId;
use agentry_kernel::kernel::Permit;
use agentry_kernel::labels::Labels;
use agentry_kernel::time::Millis;
use agentry_store::keyed_mutex::KeyedMutex;
use agentry_store::limits::{
    LETTER_TTL_MS, LETTERS_DEAD_MAX, LETTERS_EXPIRED_AT_ONCE_MAX, LETTERS_RECEIVED_MAX, LETTERS_WAITING_MAX,
    MAILBOX_MAX_BYTES,
};
use agentry_store::rows::mail::{Dead, IdKey, Mailbox, Received, Waiting, decode, encode, of_id};
use agentry_store::{Batch, Expect, Page, Range, Store, StoreError, Value, keys};
use parking_lot::Mutex;
use tokio::sync::Notify;

pub use self::lists::discard;

/// Every mailbox: no agent has an empty name.
const ANY: &str = "";

/// The driver.
pub struct Mail {
    store: Arc<dyn Store>,
    /// Who waits for letters, by mailbox.
    arrivals: Arc<Mutex<HashMap<String, Arc<Notify>>>>,
    /// For those who change a mailbox, by its name.
    pub locks: KeyedMutex,
}

/// Who writes, and when by the run's clock.
#[derive(Clone, Debug)]
pub struct Writer {
    /// The agent's name.
    pub agent: String,
    /// On whose storage its letters lie: its own, or the agent's which pays for it.
    pub owner: String,
    /// Its run.
    pub run: RunId,
    /// The run's time.
    pub now: Millis,
}

/// A letter that was taken, so that it can be put back if nobody sees it.
#[derive(Clone, Debug)]
pub struct Taken {
    /// What the guest gets.
    pub letter: Letter,
    mailbox: String,
    number: u64,
    row: Waiting,
}

impl Mail {
    /// Mailboxes in this store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, arrivals: Arc::default(), locks: KeyedMutex::default() }
    }

    /// Tells of the next letter that arrives in any mailbox. Ask for it before you look.
    pub fn any_arrival(&self) -> Arc<Notify> {
        self.arrival(ANY)
    }

    /// True if a letter waits in this mailbox.
    pub fn waits(&self, mailbox: &str) -> bool {
        let letters = self.store.scan(&Range::of(&keys::letters(mailbox)), Page { rows: 1, bytes: 1 });
        letters.is_ok_and(|letters| !letters.is_empty())
    }

    /// Tells of the next letter that arrives in this mailbox. Ask for it before you look.
    pub fn arrival(&self, mailbox: &str) -> Arc<Notify> {
        Arc::clone(self.arrivals.lock().entry(mailbox.to_owned()).or_default())
    }

    /// The batch that puts a letter into a mailbox, and its id. It carries what its writer held when it asked to send it.
    ///
    /// # Errors
    /// `unavailable` if the mailbox is full or the store cannot be read.
    pub fn send(&self, permit: &Permit, writer: &Writer, to: &str, subject: &str, body: &str) -> Write<String> {
        let letter = Waiting {
            sender: writer.agent.clone(),
            run: writer.run,
            subject: subject.to_owned(),
            body: body.to_owned(),
            labels: permit.carries().clone(),
            at: writer.now,
            owner: writer.owner.clone(),
        };
        let mut written = self.put(to, &letter);
        if let Ok((batch, _)) = &mut written {
            let (arrivals, to) = (Arc::clone(&self.arrivals), to.to_owned());
            batch.on_commit = Some(Box::new(move |sent| {
                if sent.is_ok() {
                    wake(&arrivals, &to);
                }
            }));
        }
        written.into()
    }

    /// To whom an answer to this letter goes, and what it was about.
    ///
    /// # Errors
    /// `not-found` if this mailbox never had such a letter, or has had many since.
    pub fn answers(&self, mailbox: &str, letter: &str) -> Result<(String, String), Error> {
        let none = || Error::NotFound(format!("there is no letter `{}` to answer", cut(letter)));
        let number = self.number(mailbox, letter).map_err(|error| fault::stored(&error))?.ok_or_else(none)?;
        let row = self.store.get(&keys::received(mailbox, number)).map_err(|error| fault::stored(&error))?;
        let row: Received = decode(&row.ok_or_else(none)?).map_err(|error| fault::stored(&error))?;
        Ok((row.sender, row.subject))
    }

    /// The batch that takes the oldest letter out of a mailbox, and the letter with its labels; none if there is none.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn take(&self, mailbox: &str, now: Millis) -> Result<Option<(Batch, Taken, Labels)>, StoreError> {
        let (mut change, first) = self.begin(mailbox, now)?;
        let Some((number, stored, row)) = first else {
            // Those that expired go when somebody sends or takes the next one.
            return Ok(None);
        };
        change.remove(number, stored, &row);
        let (sender, subject) = (row.sender.clone(), row.subject.clone());
        let received = Received { sender: sender.clone(), subject: subject.clone() };
        change.batch.put(keys::received(mailbox, number), encode(&received));
        if let Some(old) = number.checked_sub(LETTERS_RECEIVED_MAX) {
            change.batch.remove(keys::received(mailbox, old));
        }
        let labels = row.labels.clone();
        let letter = Letter {
            id: change.mailbox.key.id(mailbox, number),
            sender,
            subject,
            body_json: row.body.clone(),
            labels: labels.iter().map(str::to_owned).collect(),
        };
        Ok(Some((change.end(), Taken { letter, mailbox: mailbox.to_owned(), number, row }, labels)))
    }

    /// The batch that puts a letter back that was taken and that nobody saw; it is the oldest again.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn put_back(&self, taken: &Taken) -> Result<Batch, StoreError> {
        let Taken { mailbox, number, row, .. } = taken;
        let (mut change, _) = self.begin(mailbox, row.at)?;
        change.add(*number, row);
        change.batch.remove(keys::received(mailbox, *number));
        let mut batch = change.end();
        let (arrivals, mailbox) = (Arc::clone(&self.arrivals), mailbox.clone());
        batch.on_commit = Some(Box::new(move |put| {
            if put.is_ok() {
                wake(&arrivals, &mailbox);
            }
        }));
        Ok(batch)
    }

    /// The same letter as `take` gave it to an earlier host, which wrote down only what the guest gets: since when it waits, and in which
    /// run it was written, nobody knows any more.
    pub fn taken_before(&self, mailbox: &str, letter: Letter, at: Millis) -> Option<Taken> {
        let number = self.number(mailbox, &letter.id).ok().flatten()?;
        let row = Waiting {
            sender: letter.sender.clone(),
            run: RunId::HOST,
            subject: letter.subject.clone(),
            body: letter.body_json.clone(),
            labels: Labels::of(letter.labels.iter().map(String::as_str)),
            at,
            owner: letter.sender.clone(),
        };
        Some(Taken { letter, mailbox: mailbox.to_owned(), number, row })
    }

    fn put(&self, to: &str, letter: &Waiting) -> Result<(Batch, String), Error> {
        let (mut change, _) = self.begin(to, letter.at).map_err(|error| fault::stored(&error))?;
        // Counted by sender: nobody learns by it what others have sent.
        let wait = change.mailbox.waiting.get(&letter.sender).copied().unwrap_or_default();
        if wait.letters >= LETTERS_WAITING_MAX || wait.bytes.saturating_add(letter.bytes()) > MAILBOX_MAX_BYTES {
            let full = format!("the mailbox of agent `{to}` is full of letters of `{}`", letter.sender);
            return Err(fault::unavailable(&full, Some(60_000)));
        }
        let Mailbox { next, key, .. } = change.mailbox;
        change.add(next, letter);
        change.mailbox.next = next.saturating_add(1);
        Ok((change.end(), key.id(to, next)))
    }

    /// The number of a letter of this mailbox.
    fn number(&self, mailbox: &str, id: &str) -> Result<Option<u64>, StoreError> {
        Ok(of_id(&*self.store, id)?.filter(|(name, _)| *name == mailbox).map(|(_, number)| number))
    }

    /// A change of a mailbox, out of which what has waited too long goes first; and the oldest letter then.
    fn begin(&self, mailbox: &str, now: Millis) -> Result<(MailboxChange, Option<Oldest>), StoreError> {
        let mut change = MailboxChange::of(&*self.store, mailbox)?;
        let page = Page { rows: LETTERS_EXPIRED_AT_ONCE_MAX, bytes: usize::MAX };
        for (key, stored) in self.store.scan(&Range::of(&keys::letters(mailbox)), page)? {
            let (Some(number), row) = (keys::number(&key), Waiting::decode(&stored)?) else { continue };
            if now.since(row.at) < LETTER_TTL_MS {
                return Ok((change, Some((number, stored, row))));
            }
            change.bury(&*self.store, (number, stored, row), now, "nobody took it in time")?;
        }
        Ok((change, None))
    }
}

/// A letter is there now: whoever waits looks again.
fn wake(arrivals: &Mutex<HashMap<String, Arc<Notify>>>, mailbox: &str) {
    let arrivals = arrivals.lock();
    for notify in [mailbox, ANY].iter().filter_map(|mailbox| arrivals.get(*mailbox)) {
        notify.notify_waiters();
    }
}

/// The oldest letter of a mailbox: its number, its row as it is stored, and what that says.
type Oldest = (u64, Value, Waiting);

/// What becomes of one mailbox in one batch.
struct MailboxChange {
    name: String,
    mailbox: Mailbox,
    batch: Batch,
}

impl MailboxChange {
    /// Nothing, so far: it holds only while the mailbox is as it is now.
    fn of(store: &dyn Store, name: &str) -> Result<Self, StoreError> {
        let (row, mailbox) = Mailbox::read(store, name, new_key)?;
        let mut batch = Batch::default();
        batch.expect(keys::mailbox(name), row.map_or(Expect::Absent, Expect::Equals));
        Ok(Self { name: name.to_owned(), mailbox, batch })
    }

    fn add(&mut self, number: u64, letter: &Waiting) {
        self.batch.put(keys::letter(&self.name, number), letter.encode());
        self.mailbox.add(letter);
    }

    fn remove(&mut self, number: u64, stored: Value, letter: &Waiting) {
        let place = keys::letter(&self.name, number);
        // A mailbox that lost this one and got another of its size meanwhile looks as it did.
        self.batch.expect(place.clone(), Expect::Equals(stored));
        self.batch.remove(place);
        self.mailbox.remove(letter);
    }

    /// The letter is dead; of those, the newest are kept.
    fn bury(
        &mut self,
        store: &dyn Store,
        (number, stored, letter): Oldest,
        at: Millis,
        why: &str,
    ) -> Result<(), StoreError> {
        self.remove(number, stored, &letter);
        let dead = Dead { letter, at, why: why.to_owned() };
        self.batch.put(keys::dead_letter(&self.name, number), dead.encode());
        if let Some(old) = number.checked_sub(LETTERS_DEAD_MAX) {
            let place = keys::dead_letter(&self.name, old);
            // What goes is given back to whoever keeps it.
            if let Some(row) = store.get(&place)? {
                self.batch.expect(place.clone(), Expect::Equals(row));
                self.batch.remove(place);
            }
        }
        Ok(())
    }

    fn end(mut self) -> Batch {
        self.batch.put(keys::mailbox(&self.name), self.mailbox.encode());
        self.batch
    }
}

/// Nobody can guess it; without randomness ids count, and nothing else is worse.
fn new_key() -> IdKey {
    let mut key = [0; 16];
    let _ = getrandom::fill(&mut key);
    IdKey(key)
}

fn cut(id: &str) -> &str {
    &id[..id.floor_char_boundary(100)]
}

#[cfg(test)]
mod tests;
