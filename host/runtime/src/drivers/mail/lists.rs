//! Mailboxes as a person looks at them: what waits, what is dead, and how one letter is thrown away.

use super::row::{Dead, Waiting, decode};
use super::{Change, id};
use crate::store::{Batch, Expect, Page, Range, Store, StoreError, keys};

const PAGE: Page = Page { rows: 256, bytes: 4 * 1024 * 1024 };

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

/// The batch that throws a letter away, waiting or dead; none if there is none of this id.
///
/// # Errors
/// When the store cannot be read.
pub fn discard(store: &dyn Store, id: &str) -> Result<Option<Batch>, StoreError> {
    let Some((mailbox, number)) = id.rsplit_once('/').and_then(|(name, digits)| Some((name, digits.parse().ok()?)))
    else {
        return Ok(None);
    };
    let (waiting, dead) = (keys::letter(mailbox, number), keys::dead_letter(mailbox, number));
    if let Some(row) = store.get(&waiting)? {
        let mut change = Change::of(store, mailbox)?;
        change.remove(number, &decode(&row)?);
        return Ok(Some(change.end()));
    }
    let mut batch = Batch::default();
    Ok(store.get(&dead)?.map(|row| {
        batch.expect(dead.clone(), Expect::Equals(row));
        batch.remove(dead);
        batch
    }))
}
