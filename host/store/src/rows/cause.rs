//! What a trigger has noticed and whose run has not ended yet: kept until then, through stops and kills of its host. One that no run could be begun
//! for, often enough, stays as a dead one until a person lets it try again.

use agentry_kernel::call::RunId;
use agentry_kernel::labels::Labels;
use agentry_kernel::time::Millis;
use serde::{Deserialize, Serialize};

use crate::{Batch, Expect, Key, Page, Range, Store, StoreError, Value, keys};

/// The version byte of such a row.
const FORMAT: u8 = 1;

/// The same of one that says why none could be begun: behind what the other has stands that text.
const FORMAT_WITH_WHY: u8 = 2;

const PAGE: Page = Page { rows: 256, bytes: 4 * 1024 * 1024 };

/// One cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingCause {
    /// The trigger: its agent and what it waits for, as people read it.
    pub trigger: String,
    /// When it was noticed.
    pub at: Millis,
    /// The input JSON of its run.
    pub input: String,
    /// What its run carries from the start.
    pub labels: Labels,
    /// The run that is begun for it; it may not have begun yet.
    pub run: RunId,
    /// How often none could be begun.
    pub tries: u32,
    /// Why none is tried any more.
    pub dead: Option<String>,
    /// Why the last one could not be begun, while others are tried.
    #[serde(skip)]
    pub why: Option<String>,
}

impl PendingCause {
    /// Reads one.
    ///
    /// # Errors
    /// When it is none.
    pub fn decode(row: &[u8]) -> Result<Self, StoreError> {
        let read = match row {
            [FORMAT, rest @ ..] => postcard::from_bytes(rest).ok(),
            [FORMAT_WITH_WHY, rest @ ..] => {
                let both: Option<(Self, String)> = postcard::from_bytes(rest).ok();
                both.map(|(cause, why)| Self { why: Some(why), ..cause })
            }
            _ => None,
        };
        read.ok_or_else(|| StoreError::Damaged { why: "a cause of a trigger that does not decode".to_owned() })
    }

    /// As it is stored.
    pub fn encode(&self) -> Value {
        let row = match &self.why {
            None => postcard::to_extend(self, vec![FORMAT]),
            Some(why) => postcard::to_extend(&(self, why), vec![FORMAT_WITH_WHY]),
        };
        row.expect("it is plain data, and memory grows")
    }
}

/// The oldest that this trigger has noticed and that waits for its run; none if nothing does.
///
/// # Errors
/// When the store cannot be read.
pub fn first(store: &dyn Store, trigger: &str) -> Result<Option<(Key, PendingCause)>, StoreError> {
    let rows = store.scan(&Range::of(&keys::causes(trigger)), Page { rows: 1, ..PAGE })?;
    let first = rows.into_iter().next().map(|(key, row)| Ok((key, PendingCause::decode(&row)?))).transpose()?;
    // Dead ones lie behind all that wait.
    Ok(first.filter(|(_, cause)| cause.dead.is_none()))
}

/// All that this trigger has noticed, or every one, oldest first for each; with the key under which it lies.
///
/// # Errors
/// When the store cannot be read.
pub fn all(store: &dyn Store, trigger: Option<&str>) -> Result<Vec<(Key, PendingCause)>, StoreError> {
    let prefix = trigger.map_or_else(|| keys::CAUSES.to_vec(), keys::causes);
    let (mut range, mut found) = (Range::of(&prefix), Vec::new());
    loop {
        let rows = store.scan(&range, PAGE)?;
        let Some((last, _)) = rows.last() else { return Ok(found) };
        range = range.after(last);
        for (key, row) in rows {
            found.push((key, PendingCause::decode(&row)?));
        }
    }
}

/// What a person calls a cause: the beginning of where it lies.
pub fn name(key: &[u8]) -> String {
    let number = keys::number(key).unwrap_or(0);
    let trigger: String = key.iter().skip(1).take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{trigger}-{number}")
}

/// Lets a dead one try again. Nothing is in the batch if it is not dead any more.
pub fn revive(key: &Key, dead: &PendingCause, run: RunId) -> Batch {
    let mut batch = Batch::default();
    batch.expect(key.clone(), Expect::Equals(dead.encode()));
    batch.put(key.clone(), PendingCause { run, tries: 0, dead: None, why: None, ..dead.clone() }.encode());
    batch
}

/// Forgets one, dead or not. Nothing is in the batch if it has changed meanwhile.
pub fn forget(key: &Key, cause: &PendingCause) -> Batch {
    let mut batch = Batch::default();
    batch.expect(key.clone(), Expect::Equals(cause.encode()));
    batch.remove(key.clone());
    batch
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RedbStore;

    #[tokio::test]
    async fn causes_of_a_trigger_stand_in_the_order_in_which_they_came_and_are_read_as_they_were_written() {
        let home = tempfile::tempdir().unwrap();
        let store = RedbStore::open(home.path()).unwrap();
        let cause = |trigger: &str, n: u64| PendingCause {
            trigger: trigger.to_owned(),
            at: Millis(n),
            input: format!("{n}"),
            labels: Labels::of(["untrusted"]),
            run: RunId(n + 7),
            tries: 0,
            dead: None,
            why: None,
        };
        let mut batch = Batch::default();
        for n in [300, 2, 1] {
            batch.put(keys::cause("a", n), cause("a", n).encode());
        }
        batch.put(keys::cause("b", 1), cause("b", 1).encode());
        store.commit(batch).await.unwrap();
        let of_a: Vec<_> = all(&store, Some("a")).unwrap().into_iter().map(|(_, cause)| cause.at.0).collect();
        assert_eq!((of_a, all(&store, None).unwrap().len()), (vec![1, 2, 300], 4));
        let hex: String = cause("a", 1).encode().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "0101610101310109756e74727573746564080000");
        let tried = PendingCause { tries: 1, why: Some("no".to_owned()), ..cause("a", 1) };
        let hex: String = tried.encode().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "0201610101310109756e74727573746564080100026e6f");
        assert_eq!(PendingCause::decode(&tried.encode()), Ok(tried));
        assert!(PendingCause::decode(&[3]).is_err() && PendingCause::decode(&[]).is_err());
        let (key, dead) =
            (keys::cause("b", 1), PendingCause { tries: 9, dead: Some("no".to_owned()), ..cause("b", 1) });
        assert_eq!(store.commit(revive(&key, &dead, RunId(9))).await, Err(StoreError::Conflict));
        assert!(name(&key).ends_with("-1") && name(&key).len() == 10);
    }
}
