//! The end of a run that is not in memory and does not go on: what it held is given back, and its journal gets its last entry. No guest is needed
//! for that, no grant and no room, so nothing can keep such a run from ending. All below it ends with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use agentry_abi::bindings::agentry::agent::agents::Letter;
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_drivers::mail::Mail;
use agentry_journal::{Trail, log, payer};
use agentry_kernel::call::{Call, CallId, RunId};
use agentry_kernel::journal::{Ended, Entry, Outcome, Status, Unfinished};
use agentry_kernel::limits::TEXT_MAX_BYTES;
use agentry_kernel::text::cut;
use agentry_kernel::time::Millis;
use agentry_store::content::Content;
use agentry_store::rows::parked::{self, OpenRun};
use agentry_store::rows::run::RunRecord;
use agentry_store::rows::usage;
use agentry_store::{Batch, StoreError, rows};

use super::Gate;
use super::act::Behalf;
use super::again::decode;
use crate::run::recording::Recording;

/// How often a letter is tried to be given back that others get in the way of.
const TRIES_MAX: usize = 16;

/// A run that has not ended and that no host has in memory.
struct AbsentRun {
    record: RunRecord,
    past: Unfinished,
    entries: Vec<Entry>,
}

impl Gate {
    /// Ends a run of this host that is not in memory, for this reason, and all that works for it; whoever waits for it above is brought back.
    /// False if there is no such run. It is durable when this returns.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub(crate) async fn end_absent(&self, run: RunId, why: &str, mail: &Mail) -> Result<bool, StoreError> {
        let journal = &self.0.journal;
        // What is known of it may have been written a moment ago.
        journal.flush().await?;
        let Some(first) = self.absent(run)? else { return Ok(false) };
        let above = first.record.parent;
        let mut next = vec![first];
        while let Some(run) = next.pop() {
            let below = run.past.below.values().copied().collect::<Vec<_>>();
            self.give_letters_back(&run, mail).await?;
            self.end_of_absent(run, why);
            for run in below {
                next.extend(self.absent(run)?);
            }
        }
        journal.flush().await?;
        if let Some((above, _)) = above {
            self.wake_above(above).await?;
        }
        Ok(true)
    }

    /// Ends those runs below this one, which is over, that are not in memory: they worked for it.
    ///
    /// # Errors
    /// As [`Gate::end_absent`].
    pub(crate) async fn end_below(&self, spawned: &[RunId], mail: &Mail) -> Result<(), StoreError> {
        for run in spawned {
            self.end_absent(*run, "the run that it worked for is over", mail).await?;
        }
        Ok(())
    }

    fn absent(&self, run: RunId) -> Result<Option<AbsentRun>, StoreError> {
        let (store, at) = (self.0.journal.store(), self.0.journal.at());
        if self.0.audience.find(run).is_some() {
            return Ok(None);
        }
        let suspended = rows::run::of(&**store, run)?.filter(|record| record.status == Status::Suspended);
        let ours = OpenRun::of(&**store, run)?.is_some_and(|open| open.at.host == at.host);
        let Some(record) = suspended.filter(|_| ours) else { return Ok(None) };
        let entries = log::entries(&**store, run)?;
        let past = Unfinished::of(&entries);
        Ok(past.map(|past| AbsentRun { record, past, entries }))
    }

    fn end_of_absent(&self, run: AbsentRun, why: &str) {
        let gate = &*self.0;
        let (at, AbsentRun { record, mut past, .. }) = (gate.clock.now(), run);
        past.goes_on(at);
        let why = cut(why.to_owned(), TEXT_MAX_BYTES);
        let output = Content::of(why.clone().into_bytes());
        let name = output.digest;
        let contents = vec![output];
        let trail = Arc::new(Trail::new(record.id));
        // A journal whose caller cannot be found draws on its own agent's books.
        let payer = payer(&**gate.journal.store(), &record).unwrap_or_else(|_| record.agent.clone());
        gate.act(Behalf { trail: &trail, payer: &payer }, at, |act| {
            let (lost, taken) = act.ask(|kernel| kernel.end_absent(&payer, &past, at));
            let new = lost.iter().filter(|lost| past.open.get(&lost.call).is_none_or(|open| !open.lost));
            let unknown = new.map(|lost| Entry::Unknown { call: lost.call, at, spent: lost.spent });
            [Entry::Resumed { at }].into_iter().chain(unknown).for_each(|entry| act.note(entry));
            let (status, spent) = (Status::Stopped, past.spent.plus(taken));
            act.note(Entry::Ended(Ended { at, status, output: name, spent }));
            act.store(contents);
            act.record(Some(RunRecord { status, ended: Some(at), spent, failure: Some(why), ..record }));
        });
    }

    /// A letter that came at the last moment and that its guest has not seen goes back to its mailbox.
    async fn give_letters_back(&self, run: &AbsentRun, mail: &Mail) -> Result<(), StoreError> {
        let (gate, store) = (&*self.0, self.0.journal.store());
        let unseen: Vec<_> = unseen_letters(&run.entries).collect();
        if unseen.is_empty() {
            return Ok(());
        }
        let past = Recording::of(Arc::clone(store), run.entries.clone())?;
        let (trail, agent) = (Arc::new(Trail::new(run.record.id)), &run.record.agent);
        let _alone = mail.locks.lock(agent).await;
        for (call, at, outcome) in unseen {
            let Ok(Some(letter)) = decode::<Option<Letter>, Error>(&past, outcome)? else { continue };
            let Some(taken) = mail.taken_before(agent, letter, at) else { continue };
            for _ in 0..TRIES_MAX {
                let batch = mail.put_back(&taken)?;
                let changes = usage::changes(&batch);
                match gate.journal.commit(&trail, &[Entry::Observed { call, dropped: true }], batch).await {
                    Err(StoreError::Conflict) => {}
                    Err(error) => return Err(error),
                    Ok(()) => {
                        gate.move_levels(&trail, changes);
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Brings the run back that waits for one which is over, if it rests.
    async fn wake_above(&self, above: RunId) -> Result<(), StoreError> {
        let store = self.0.journal.store();
        for _ in 0..TRIES_MAX {
            let mut batch = Batch::default();
            parked::wake_now(&**store, above, &mut batch)?;
            match store.commit(batch).await {
                Err(StoreError::Conflict) => {}
                woken => return woken,
            }
        }
        Ok(())
    }
}

/// Letters that a run was given and that its guest has neither seen nor let go of.
fn unseen_letters(entries: &[Entry]) -> impl Iterator<Item = (CallId, Millis, &Outcome)> {
    let (mut asked, mut unseen) = (BTreeSet::new(), BTreeMap::new());
    for entry in entries {
        match entry {
            Entry::Asked { call, what: Call::AgentsReceive { .. }, .. } => drop(asked.insert(*call)),
            Entry::Called { call, at, what: Call::AgentsReceive { .. }, outcome, .. } => {
                unseen.insert(*call, (*at, outcome));
            }
            Entry::Answered { call, at, outcome, .. } if asked.contains(call) => {
                unseen.insert(*call, (*at, outcome));
            }
            Entry::Observed { call, .. } => drop(unseen.remove(call)),
            // Nothing else gives or shows a letter.
            _ => {}
        }
    }
    unseen.into_iter().map(|(call, (at, outcome))| (call, at, outcome))
}
