//! The one place in which the kernel is changed: what follows from it is carried out in the same step, under its lock. Entries and books go to
//! the journal, whoever's turn has come is let in, whoever waited for people is woken. It decides nothing and waits for nothing.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use agentry_journal::{Balances, Extras, Trail};
use agentry_kernel::approval::ApprovalId;
use agentry_kernel::budget::Amounts;
use agentry_kernel::call::RunId;
use agentry_kernel::journal::Entry;
use agentry_kernel::kernel::{Balance, Consequences, Kernel, Lock, Permit, Ready, Statement, Ticket, Waiter};
use agentry_kernel::labels::Labels;
use agentry_kernel::time::Millis;
use agentry_store::content::Content;
use agentry_store::keys;
use agentry_store::rows::approval::Question;
use agentry_store::rows::run::RunRecord;
use tokio::sync::oneshot;

use super::{Inner, Turn};
use crate::run::context::RunContext;

/// The kernel and those who wait for it. Behind one lock, never held across an await or what a driver does.
pub(super) struct KernelCell {
    kernel: Kernel,
    waiting: HashMap<Ticket, oneshot::Sender<Permit>>,
    /// Calls that wait for people, and what these are asked.
    asked: HashMap<Waiter, oneshot::Sender<()>>,
    pub(super) questions: BTreeMap<ApprovalId, Question>,
    /// Questions that are closed, oldest first.
    pub(super) closed: VecDeque<ApprovalId>,
    /// The host stops: whatever begins or goes on now leaves memory at once.
    pub(super) leaves: bool,
}

/// On whose behalf the kernel is changed: in whose journal it stands, and on whose books.
#[derive(Clone, Copy)]
pub(super) struct Behalf<'a> {
    pub(super) trail: &'a Arc<Trail>,
    pub(super) payer: &'a str,
}

impl<'a> Behalf<'a> {
    /// The host's own: on nobody's books. A flush that fails breaks this trail alone.
    pub(super) fn host(trail: &'a Arc<Trail>) -> Self {
        Self { trail, payer: keys::SITE }
    }
}

impl<'a> From<&'a RunContext> for Behalf<'a> {
    fn from(run: &'a RunContext) -> Self {
        Self { trail: &run.trail, payer: run.payer() }
    }
}

/// A step under the lock: what is asked of the kernel in it, and what is to be written with what follows.
pub(super) struct Act<'d> {
    cell: &'d mut KernelCell,
    follows: Consequences,
    /// The last entry, apart from those before it, so that one alone needs no list.
    entry: Option<Entry>,
    contents: Vec<Content>,
    record: Option<RunRecord>,
}

impl Inner {
    /// Changes the kernel on somebody's behalf, and carries out what follows.
    pub(super) fn act<'a, R>(
        &self,
        of: impl Into<Behalf<'a>>,
        now: Millis,
        change: impl FnOnce(&mut Act<'_>) -> R,
    ) -> R {
        let mut cell = self.cell.lock();
        let mut act =
            Act { cell: &mut cell, follows: Consequences::default(), entry: None, contents: Vec::new(), record: None };
        let result = change(&mut act);
        let Act { follows, entry, contents, record, .. } = act;
        let Consequences { mut entries, rated, ready, closed, books } = follows;
        let of = of.into();
        let unclaimed = cell.let_in(ready, now);
        self.close_questions(&mut cell, closed);
        let balances = if books { cell.books(of.payer) } else { None };
        let extras = Extras { balances, rated, contents, record };
        if entries.is_empty() {
            self.write(of.trail, entry.as_slice(), extras);
        } else {
            entries.extend(entry);
            self.write(of.trail, &entries, extras);
        }
        for payer in &unclaimed {
            self.write(of.trail, &[], Extras { balances: cell.books(payer), ..Extras::default() });
        }
        result
    }

    fn write(&self, trail: &Arc<Trail>, entries: &[Entry], extras: Extras<'_>) {
        if !entries.is_empty() || !extras.is_empty() {
            self.journal.append(trail, entries, extras);
        }
    }
}

impl Act<'_> {
    /// The kernel as it stands.
    pub(super) fn kernel(&self) -> &Kernel {
        &self.cell.kernel
    }

    /// Whoever waits, and what they wait for.
    pub(super) fn cell(&mut self) -> &mut KernelCell {
        self.cell
    }

    /// Asks the kernel for something; what follows is carried out at the end of the step.
    pub(super) fn ask<R>(&mut self, act: impl FnOnce(&mut Kernel) -> (R, Consequences)) -> R {
        let (answer, follows) = act(&mut self.cell.kernel);
        if let Some(entry) = self.entry.take_if(|_| !follows.entries.is_empty()) {
            self.follows.entries.push(entry);
        }
        self.follows.join(follows);
        answer
    }

    /// Tells the kernel something that has no answer.
    pub(super) fn tell(&mut self, act: impl FnOnce(&mut Kernel) -> Consequences) {
        self.ask(|kernel| ((), act(kernel)));
    }

    // From these nothing follows for anybody.

    /// Somebody can be asked on behalf of this run.
    pub(super) fn attend(&mut self, run: RunId) {
        self.cell.kernel.attend(run);
    }

    /// A run gains labels of what started it; those that are new to it.
    pub(super) fn mark(&mut self, run: RunId, labels: &Labels) -> Labels {
        self.cell.kernel.mark(run, labels)
    }

    /// A person takes labels off a run; those that it held, or none if it does not go on.
    pub(super) fn unlabel(&mut self, run: RunId, labels: &Labels) -> Option<Labels> {
        self.cell.kernel.unlabel(run, labels)
    }

    /// Every new effect is denied from here on, or none because of a lock.
    pub(super) fn lock(&mut self, lock: Option<Lock>) {
        self.cell.kernel.lock(lock);
    }

    /// A child that ended under an earlier host took this of the accounts of its caller.
    pub(super) fn remember(&mut self, parent: RunId, spent: &Amounts) {
        self.cell.kernel.remember(parent, spent);
    }

    /// Writes an entry down, behind those that followed so far.
    pub(super) fn note(&mut self, entry: Entry) {
        if let Some(before) = self.entry.replace(entry) {
            self.follows.entries.push(before);
        }
    }

    /// Stores contents that the entries name.
    pub(super) fn store(&mut self, contents: Vec<Content>) {
        self.contents = contents;
    }

    /// Stores the run's record.
    pub(super) fn record(&mut self, record: Option<RunRecord>) {
        self.record = record;
    }

    /// A place in the queue of a model.
    pub(super) fn line_up(&mut self, ticket: Ticket) -> Turn {
        let (sender, receiver) = oneshot::channel::<Permit>();
        self.cell.waiting.insert(ticket, sender);
        Turn::Later(ticket, receiver)
    }

    /// Gives a turn back that nobody will use. It costs nothing.
    pub(super) fn give_up(&mut self, turn: Turn, now: Millis) {
        match turn {
            Turn::People(asked) => self.forgo(asked.waiter, now),
            Turn::Now(permit) => drop(self.ask(|kernel| kernel.give_back(permit, now))),
            Turn::Later(ticket, mut receiver) => match self.cell.waiting.remove(&ticket) {
                Some(_) => self.tell(|kernel| kernel.withdraw(ticket, now)),
                // Its turn came in the same moment.
                None => {
                    if let Ok(permit) = receiver.try_recv() {
                        self.ask(|kernel| kernel.give_back(permit, now));
                    }
                }
            },
        }
    }

    /// A call waits for people; what is given back tells when they have answered.
    pub(super) fn await_people(&mut self, waiter: Waiter) -> oneshot::Receiver<()> {
        let (sender, woken) = oneshot::channel();
        self.cell.asked.insert(waiter, sender);
        woken
    }

    /// It waits for them no more, and dispatches or gives up.
    pub(super) fn stop_waiting(&mut self, waiter: Waiter) {
        self.cell.asked.remove(&waiter);
    }

    /// A call that waits for people no more, before anybody answered.
    pub(super) fn forgo(&mut self, waiter: Waiter, now: Millis) {
        self.stop_waiting(waiter);
        self.tell(|kernel| kernel.forgo(waiter, now));
    }
}

impl KernelCell {
    pub(super) fn new(kernel: Kernel) -> Self {
        Self {
            kernel,
            waiting: HashMap::new(),
            asked: HashMap::new(),
            questions: BTreeMap::new(),
            closed: VecDeque::new(),
            leaves: false,
        }
    }

    /// The kernel as it stands.
    pub(super) fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// What is left of every limit that binds a run.
    pub(super) fn balances(&mut self, run: RunId, now: Millis) -> Vec<Balance> {
        self.kernel.balances(run, now)
    }

    /// The books of the site and of all agents.
    pub(super) fn statements(&mut self, now: Millis) -> Vec<Statement> {
        self.kernel.statements(now)
    }

    /// Whoever waited for people and need not any more.
    pub(super) fn wake(&mut self, waiters: Vec<Waiter>) {
        for waiter in waiters {
            if let Some(sender) = self.asked.remove(&waiter) {
                // Whoever has gone in the meantime gives up by itself.
                let _ = sender.send(());
            }
        }
    }

    /// Hands permits to those who wait for them. Whoever has gone away gives its turn to the next; who pays for those that have.
    fn let_in(&mut self, ready: Vec<Ready>, now: Millis) -> Vec<String> {
        let (mut queue, mut payers) = (ready, Vec::new());
        while let Some(Ready { ticket, permit }) = queue.pop() {
            let unclaimed = match self.waiting.remove(&ticket) {
                Some(sender) => sender.send(permit).err(),
                None => Some(permit),
            };
            if let Some(permit) = unclaimed {
                payers.extend(self.kernel.payer(permit.run()).map(str::to_owned));
                let (_, follows) = self.kernel.give_back(permit, now);
                queue.extend(follows.ready);
            }
        }
        payers
    }

    /// The books of an agent as they stand, and the site's.
    pub(super) fn books<'a>(&self, agent: &'a str) -> Option<Balances<'a>> {
        let books = self.kernel.books(agent)?;
        Some(Balances { agent, books, site: self.kernel.site_books() })
    }
}
