//! Who keeps how much in our store: read off the batch that changes it, so that no driver can forget to say it.

use agentry_abi::driver::Kept;
use agentry_journal::Along;
use agentry_kernel::budget::{Amounts, Resource};
use agentry_store::rows::memory::keeper;
use agentry_store::{Batch, Expect};

use super::Inner;
use crate::run::context::RunContext;

/// What this batch of an agent does. A row is its author's: overwriting one's own counts the difference, and
/// overwriting or deleting another's gives that one its bytes back.
pub(super) fn of(batch: &Batch, writer: &str) -> Kept {
    let mut kept = Kept::default();
    for (place, row) in &batch.writes {
        let before = batch.expect.iter().find_map(|(key, expect)| match expect {
            Expect::Equals(old) if key == place => keeper(place, old),
            _ => None,
        });
        let after = row.as_ref().and_then(|row| keeper(place, row)).map_or(0, |(_, bytes)| bytes);
        let own = before.as_ref().filter(|(author, _)| author == writer).map_or(0, |(_, bytes)| *bytes);
        kept.grown = kept.grown.saturating_add(after.saturating_sub(own));
        if let Some((author, bytes)) = before {
            let freed = if author == writer { bytes.saturating_sub(after) } else { bytes };
            kept.freed.extend((freed > 0).then_some((author, freed)));
        }
    }
    kept
}

impl Inner {
    /// Gives back what is not kept any more. If the host dies before it is written down, the next one counts anew.
    pub(super) fn free(&self, run: &RunContext, freed: &[(String, u64)]) {
        for (author, bytes) in freed {
            let mut desk = self.desk.lock();
            desk.kernel.free(author, &Amounts::of(Resource::Storage, *bytes));
            let moved = desk.books_of(author);
            self.journal.append(&run.trail, &[], Along { moved, ..Along::default() });
        }
    }
}
