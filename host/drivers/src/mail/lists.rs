//! How a person throws one letter away, waiting or dead.

use agentry_store::rows::mail::{Waiting, of_id};
use agentry_store::{Batch, Expect, Store, StoreError, keys};

use super::MailboxChange;

/// The batch that throws a letter away, waiting or dead; none if there is none of this id.
///
/// # Errors
/// When the store cannot be read.
pub fn discard(store: &dyn Store, id: &str) -> Result<Option<Batch>, StoreError> {
    let Some((mailbox, number)) = of_id(store, id)? else { return Ok(None) };
    let (waiting, dead) = (keys::letter(mailbox, number), keys::dead_letter(mailbox, number));
    if let Some(row) = store.get(&waiting)? {
        let mut change = MailboxChange::of(store, mailbox)?;
        let letter = Waiting::decode(&row)?;
        change.remove(number, row, &letter);
        return Ok(Some(change.end()));
    }
    let mut batch = Batch::default();
    Ok(store.get(&dead)?.map(|row| {
        batch.expect(dead.clone(), Expect::Equals(row));
        batch.remove(dead);
        batch
    }))
}
