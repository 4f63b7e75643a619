//! Who keeps how much in our store: read off the batch that changes it, so that no driver can forget to say it.

use agentry_abi::driver::Kept;
use agentry_kernel::budget::{Amounts, Resource};
use agentry_store::rows::usage::keepers;
use agentry_store::{Batch, Expect};

use super::Inner;
use super::act::Behalf;
use crate::run::context::RunContext;

/// What this batch of an agent does, by the tables that its rows lie in. Overwriting what one keeps counts the difference, and
/// overwriting or deleting what another keeps gives that one its bytes back.
pub(super) fn of(batch: &Batch, writer: &str) -> Kept {
    let mut kept = Kept::default();
    for (place, row) in &batch.writes {
        let before = batch.expect.iter().find_map(|(key, expect)| match expect {
            Expect::Equals(old) if key == place => Some(keepers(place, old)),
            _ => None,
        });
        let before = before.unwrap_or_default();
        let after = row.as_ref().map(|row| keepers(place, row)).unwrap_or_default();
        let of = |all: &[(String, u64)], agent: &str| {
            all.iter().filter(|(keeper, _)| keeper == agent).fold(0, |sum: u64, (_, bytes)| sum.saturating_add(*bytes))
        };
        kept.grown = kept.grown.saturating_add(of(&after, writer).saturating_sub(of(&before, writer)));
        let freed = before.iter().map(|(keeper, bytes)| (keeper.clone(), bytes.saturating_sub(of(&after, keeper))));
        kept.freed.extend(freed.filter(|(_, bytes)| *bytes > 0));
    }
    kept
}

impl Inner {
    /// Gives back what is not kept any more. If the host dies before it is written down, the next one counts anew.
    pub(super) fn free(&self, run: &RunContext, freed: &[(String, u64)]) {
        for (author, bytes) in freed {
            let of = Behalf { trail: &run.trail, payer: author };
            let amounts = Amounts::of(Resource::Storage, *bytes);
            self.act(of, self.clock.now(), |act| act.tell(|kernel| kernel.free(author, &amounts)));
        }
    }
}
