//! A kernel for tests that keeps what follows from its acts until somebody looks.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};

use super::{
    Adopted, Answer, Answered, Asked, Closed, Consequences, Kernel, Lost, Permit, Ready, Settled, Share, Start, Ticket,
    Unasked, Vote, Waiter,
};
use crate::approval::{ApprovalId, Approver, Facts, Unfit};
use crate::budget::Allowance;
use crate::budget::{Amounts, Limits};
use crate::call::{Call, CallId, RunId};
use crate::journal::{BasisId, Entry, Unfinished};
use crate::model::Model;
use crate::policy::Policy;
use crate::refusal::Refusal;
use crate::time::Millis;
use crate::tool::{Tool, ToolsChange};

#[derive(Debug)]
pub(crate) struct Tracked {
    kernel: Kernel,
    pub(crate) follows: Consequences,
}

impl Deref for Tracked {
    type Target = Kernel;

    fn deref(&self) -> &Kernel {
        &self.kernel
    }
}

impl DerefMut for Tracked {
    fn deref_mut(&mut self) -> &mut Kernel {
        &mut self.kernel
    }
}

impl Tracked {
    pub(crate) fn new(policy: Arc<Policy>, models: Vec<Model>, tools: Vec<Tool>) -> Self {
        Self { kernel: Kernel::new(policy, models, tools), follows: Consequences::default() }
    }
}

#[allow(clippy::result_large_err, reason = "as the kernel has them")]
impl Tracked {
    fn act<T>(&mut self, (answer, follows): (T, Consequences)) -> T {
        assert!(self.kernel.follows.is_empty(), "the kernel kept something for a later act");
        self.follows.join(follows);
        answer
    }

    /// Calls whose turn has come since this was last asked.
    pub(crate) fn ready(&mut self) -> Vec<Ready> {
        core::mem::take(&mut self.follows.ready)
    }

    /// Questions that were closed since.
    pub(crate) fn closed(&mut self) -> Vec<Closed> {
        core::mem::take(&mut self.follows.closed)
    }

    /// Entries that followed since.
    pub(crate) fn entries(&mut self) -> Vec<Entry> {
        core::mem::take(&mut self.follows.entries)
    }

    pub(crate) fn start(&mut self, id: RunId, start: &Start, now: Millis) -> Result<Allowance, Refusal> {
        let done = self.kernel.start(id, start, now);
        self.act(done)
    }

    pub(crate) fn start_child(
        &mut self,
        id: RunId,
        start: &Start,
        share: Share,
        now: Millis,
    ) -> Result<Allowance, Refusal> {
        let done = self.kernel.start_child(id, start, share, now);
        self.act(done)
    }

    pub(crate) fn resume(
        &mut self,
        id: RunId,
        start: &Start,
        past: &Unfinished,
        share: Option<Share>,
        now: Millis,
    ) -> Result<(Allowance, Vec<Lost>), Refusal> {
        let done = self.kernel.resume(id, start, past, share, now);
        self.act(done)
    }

    pub(crate) fn adopt<'a>(
        &mut self,
        id: RunId,
        start: &Start,
        past: &Unfinished,
        asked: impl Iterator<Item = &'a Call>,
        now: Millis,
    ) -> Result<Adopted, Refusal> {
        let done = self.kernel.adopt(id, start, past, asked, now);
        self.act(done)
    }

    pub(crate) fn admit(&mut self, run: RunId, call: CallId, what: &Call, now: Millis) -> Answer {
        let done = self.kernel.admit(run, call, what, now);
        self.act(done)
    }

    pub(crate) fn basis_of_no(&mut self, run: RunId) -> BasisId {
        let done = self.kernel.basis_of_no(run);
        self.act(done)
    }

    pub(crate) fn settle(&mut self, permit: Permit, spent: Amounts, now: Millis) -> Settled {
        let done = self.kernel.settle(permit, spent, now);
        self.act(done)
    }

    pub(crate) fn give_back(&mut self, permit: Permit, now: Millis) -> Settled {
        let done = self.kernel.give_back(permit, now);
        self.act(done)
    }

    pub(crate) fn forfeit(&mut self, permit: Permit, written: u64, now: Millis) -> Settled {
        let done = self.kernel.forfeit(permit, written, now);
        self.act(done)
    }

    pub(crate) fn withdraw(&mut self, ticket: Ticket, now: Millis) {
        let follows = self.kernel.withdraw(ticket, now);
        self.act(((), follows));
    }

    pub(crate) fn finish(&mut self, id: RunId, used: Amounts, now: Millis) -> Settled {
        let done = self.kernel.finish(id, used, now);
        self.act(done)
    }

    pub(crate) fn suspend(&mut self, id: RunId, now: Millis) {
        let follows = self.kernel.suspend(id, now);
        self.act(((), follows));
    }

    pub(crate) fn end_absent(&mut self, payer: &str, past: &Unfinished, now: Millis) -> (Vec<Lost>, Amounts) {
        let done = self.kernel.end_absent(payer, past, now);
        self.act(done)
    }

    pub(crate) fn ask(
        &mut self,
        unasked: Unasked,
        named: (ApprovalId, Option<Millis>),
        facts: Facts,
        now: Millis,
    ) -> Result<Asked, Refusal> {
        let done = self.kernel.ask(unasked, named, facts, now);
        self.act(done)
    }

    pub(crate) fn decline(&mut self, unasked: Unasked, why: &str, now: Millis) -> Refusal {
        let done = self.kernel.decline(unasked, why, now);
        self.act(done)
    }

    pub(crate) fn answer(
        &mut self,
        id: ApprovalId,
        who: &Approver,
        vote: &Vote,
        now: Millis,
    ) -> Result<Answered, Unfit> {
        let done = self.kernel.answer(id, who, vote, now);
        self.act(done)
    }

    pub(crate) fn dispatch(&mut self, waiter: Waiter, facts: Facts, what: &Call, now: Millis) -> Answer {
        let done = self.kernel.dispatch(waiter, facts, what, now);
        self.act(done)
    }

    pub(crate) fn forgo(&mut self, waiter: Waiter, now: Millis) {
        let follows = self.kernel.forgo(waiter, now);
        self.act(((), follows));
    }

    pub(crate) fn reload(&mut self, policy: Arc<Policy>) {
        let follows = self.kernel.reload(policy);
        self.act(((), follows));
    }

    pub(crate) fn set_tools(&mut self, tools: Vec<Tool>) -> ToolsChange {
        let done = self.kernel.set_tools(tools);
        self.act(done)
    }

    pub(crate) fn split(&mut self, id: RunId, share: Limits, fuel_left: u64, now: Millis) -> Result<Share, Refusal> {
        let done = self.kernel.split(id, share, fuel_left, now);
        self.act(done)
    }

    pub(crate) fn dissolve(&mut self, share: Share) {
        let follows = self.kernel.dissolve(share);
        self.act(((), follows));
    }

    pub(crate) fn free(&mut self, agent: &str, freed: &Amounts) {
        let follows = self.kernel.free(agent, freed);
        self.act(((), follows));
    }

    pub(crate) fn keep(&mut self, agent: &str, kept: &Amounts) {
        let follows = self.kernel.keep(agent, kept);
        self.act(((), follows));
    }

    pub(crate) fn set_back(&mut self, now: Millis) -> Vec<String> {
        let done = self.kernel.set_back(now);
        self.act(done)
    }

    pub(crate) fn take_back(&mut self, run: RunId, agent: &str, returned: &Amounts, since: Millis) {
        let follows = self.kernel.take_back(run, agent, returned, since);
        self.act(((), follows));
    }
}
