//! People in the simulation, who are asked to add to budgets that ran out, and answer or do not.

use alloc::vec::Vec;

use super::{Books, Scenario, books, oracle};
use crate::approval::{ApprovalId, Approver, Facts};
use crate::budget::{Amounts, Window};
use crate::call::{Call, RunId};
use crate::digest::Digest;
use crate::kernel::{Answer, Unasked, Vote, Waiter};

/// A call that waits for them.
pub(super) struct Asking {
    run: RunId,
    waiter: Waiter,
    facts: Facts,
    id: ApprovalId,
    call: Call,
    row: Option<(u64, u64)>,
    /// What they are asked to add to the agent's minute and to its day.
    more: [Amounts; 2],
}

impl Scenario {
    pub(super) fn question(&mut self, run: RunId, unasked: Unasked, call: &Call, row: Option<(u64, u64)>) {
        assert!(unasked.held().is_zero() && !unasked.short().is_empty(), "only budgets ask here, and hold nothing");
        let more = [Window::Minute, Window::Day].map(|window| {
            let short = unasked.short().iter().filter(|short| short.window == window);
            short.fold(Amounts::ZERO, |sum, short| sum.plus(Amounts::of(short.what, short.more)))
        });
        self.last += 1;
        let id = ApprovalId(u64::from(self.last));
        let mut name = Digest::default();
        name.0[..4].copy_from_slice(&self.last.to_be_bytes());
        let facts = Facts { call: name, ..Facts::default() };
        if let Ok(asked) = self.kernel.ask(unasked, (id, None), facts, self.now) {
            self.asking.push(Asking { run, waiter: asked.waiter, facts, id, call: call.clone(), row, more });
        }
    }

    /// Somebody answers, or nobody does and the call gives up, or comes with no answer.
    pub(super) fn answer(&mut self) {
        let Some(at) = self.random.pick(self.asking.len()) else { return };
        let Asking { run, waiter, facts, id, call, row, more } = self.asking.swap_remove(at);
        let payer = self.payer(run);
        let who = Approver { name: "a".into(), groups: Vec::new(), proven: false };
        let vote = match self.random.below(8) {
            0 => return self.kernel.forgo(waiter, self.now),
            1 => None,
            2 => Some(Vote::No { because: "no".into() }),
            _ => Some(Vote::Yes),
        };
        let counted = vote.as_ref().map(|vote| self.kernel.answer(id, &who, vote, self.now));
        let said_yes = matches!((vote, counted), (Some(Vote::Yes), Some(Ok(_))));
        let given =
            |books: Option<Books>| books.map_or([Amounts::ZERO; 2], |books| [books.minute.given, books.day.given]);
        let before = given(self.refilled_books(payer));
        let answer = self.kernel.dispatch(waiter, facts, &call, self.now);
        let after = given(self.refilled_books(payer));
        let allowed = said_yes && !matches!(answer, Answer::Refused(_));
        for window in 0..2 {
            let most = if allowed { more[window] } else { Amounts::ZERO };
            let added = after[window].minus(before[window]);
            assert_eq!(added.minus(most), Amounts::ZERO, "a yes adds no more than was asked, and a no nothing");
        }
        match answer {
            Answer::Permit(permit) => self.take(permit, row),
            Answer::Wait(ticket) => assert!(self.waiting.insert(ticket), "a ticket is given once"),
            Answer::Ask(_) => panic!("an answer asks nobody"),
            Answer::Refused(_) => {}
        }
    }

    /// A run has ended, and with it all that it asked.
    pub(super) fn forget_questions(&mut self, of: RunId) {
        self.asking.retain(|asking| asking.run != of);
    }

    /// Nobody adds anything to what the site may spend.
    pub(super) fn check_site(&self) {
        let site = books(&self.kernel, oracle::SITE).expect("the site has books");
        assert!(site.minute.given.is_zero() && site.day.given.is_zero(), "the site's limits are never raised");
        for run in self.kernel.runs.values() {
            let (account, limits) = (self.kernel.ledger.account(run.account), self.kernel.ledger.limits(run.account));
            for what in crate::budget::Resource::ALL.into_iter().filter(|what| account.given[*what] > 0) {
                let most = self.kernel.policy().budget.run.get(what).unwrap_or(u64::MAX);
                assert!(
                    account.limit(limits, what).is_some_and(|limit| limit <= most),
                    "no run is raised above the site"
                );
            }
        }
    }

    fn refilled_books(&self, agent: &str) -> Option<Books> {
        let mut books = self.kernel.books(agent)?;
        books.minute.refill(self.now);
        books.day.refill(self.now);
        Some(books)
    }
}
