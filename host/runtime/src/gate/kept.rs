//! Who keeps how much in our store: read off the batch that changes it, by the tables that its rows lie in, so that no driver can forget to say it.

use std::sync::Arc;

use agentry_journal::Trail;
use agentry_kernel::budget::{Amounts, Resource};
use agentry_kernel::call::RunId;
use agentry_store::Batch;
use agentry_store::rows::usage;

use super::act::Behalf;
use super::{Gate, Inner};
use crate::run::context::RunContext;

/// What a batch of an agent does: by how much that one keeps more, and what else changes, for whom. Overwriting what one keeps counts the
/// difference, and overwriting or deleting what another keeps gives that one its bytes back.
pub(super) fn of(batch: &Batch, writer: &str) -> (u64, Vec<(String, i64)>) {
    let mut changes = usage::changes(batch);
    let grown = changes.get(writer).map_or(0, |bytes| u64::try_from(*bytes).unwrap_or(0));
    if grown > 0 {
        changes.remove(writer);
    }
    (grown, changes.into_iter().collect())
}

impl Inner {
    /// Gives back what is not kept any more, and counts what went back to where it lay. If the host dies before it is written down, the next
    /// one counts anew.
    pub(super) fn move_levels(&self, trail: &Arc<Trail>, changes: impl IntoIterator<Item = (String, i64)>) {
        for (agent, bytes) in changes {
            let of = Behalf { trail, payer: &agent };
            let amounts = Amounts::of(Resource::Storage, bytes.unsigned_abs());
            self.act(of, self.clock.now(), |act| {
                act.tell(|kernel| match bytes {
                    ..0 => kernel.free(&agent, &amounts),
                    0.. => kernel.keep(&agent, &amounts),
                });
            });
        }
    }

    /// Gives back what is not kept any more.
    pub(super) fn free(&self, run: &RunContext, freed: &[(String, u64)]) {
        let less = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX).saturating_neg();
        self.move_levels(&run.trail, freed.iter().map(|(author, bytes)| (author.clone(), less(*bytes))));
    }
}

impl Gate {
    /// A person changed our store, and with it what these agents keep.
    pub fn move_levels(&self, changes: impl IntoIterator<Item = (String, i64)>) {
        self.0.move_levels(&Arc::new(Trail::new(RunId::HOST)), changes);
    }
}
