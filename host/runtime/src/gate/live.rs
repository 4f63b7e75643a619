//! Runs that go on, as people see them, and what people do to one: stop it, hold it, let it go. It decides nothing: a run that is held makes
//! no call, and one that goes on is looked at by the kernel as ever.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use agentry_kernel::call::{CallId, RunId};
use agentry_kernel::journal::{Entry, Status};
use agentry_kernel::limits::TEXT_MAX_BYTES;
use agentry_kernel::text::cut;
use agentry_kernel::time::Millis;
use agentry_store::limits::AGENTS_HELD_MAX;
use agentry_store::rows::run::RunRecord;

use super::act::Act;
use super::in_flight::past;
use super::{Gate, Inner};
use crate::run::activity::{Holder, Live};
use crate::run::context::RunContext;

/// Runs that are held because they wait for nothing but what comes anyway, and the calls that each waits for.
type Lying = BTreeMap<RunId, Vec<CallId>>;

/// Between two looks at whether all that is done for a run has been done, at first and at most.
const LOOKS: Duration = Duration::from_millis(2);
const LOOKS_MAX: Duration = Duration::from_millis(100);

impl Gate {
    /// Lets a run leave memory: it stands as suspended, and goes on by its journal when it is resumed. What it has in flight is cut, as
    /// if the host had been killed; those that work for it leave with it. False if no such run lives here, or if it works for one that does.
    pub fn suspend(&self, id: RunId) -> bool {
        let audience = &self.0.audience;
        let Some(run) = audience.find(id) else { return false };
        let above = run.record().and_then(|record| record.parent);
        if above.is_some_and(|(parent, _)| audience.find(parent).is_some()) {
            return false;
        }
        self.leave(&run)
    }

    /// Lets all runs leave memory, and every one that begins or goes on from now on. Those that only wait rest.
    pub fn suspend_all(&self) {
        self.0.cell.lock().leaves = true;
        for live in self.live() {
            let _ = self.rest(live.run) || self.suspend(live.run);
        }
    }

    /// Lets a run leave memory that waits for nothing but time, letters and people, and those that work for it with it: so nothing is cut,
    /// and what it waits for brings it back. False if it does anything else now, if a person holds it or if it works for another.
    pub fn rest(&self, id: RunId) -> bool {
        let audience = &self.0.audience;
        let top = |run: &Arc<RunContext>| run.record().is_some_and(|record| record.parent.is_none());
        let Some(run) = audience.find(id).filter(top) else { return false };
        let tree = self.tree(Arc::clone(&run));
        let lying: Lying = tree.iter().map_while(|run| run.try_quiesce().map(|calls| (run.id, calls))).collect();
        // Each call that runs another agent has its run among these.
        let below: usize = tree.iter().map(|run| run.activity.below()).sum();
        if lying.len() < tree.len() || below + 1 != tree.len() {
            release(tree.iter().filter(|run| lying.contains_key(&run.id)), Holder::Parking);
            return false;
        }
        let rests = self.leave_as(&run, &lying);
        if !rests {
            release(&tree, Holder::Parking);
        }
        rests
    }

    /// Lets a run whose guest was lost leave memory so that it goes on at once, with all above and below it. What is being done for them comes to
    /// its end before, so that nothing is done or paid twice. Returns when it has left, or when its time is over and it does not.
    pub(crate) async fn relocate(&self, run: &Arc<RunContext>) {
        let top = self.top(run);
        let mut over = std::pin::pin!(async {
            tokio::select! {
                () = run.cancelled.cancelled() => {}
                () = past(run) => {}
            }
        });
        // Several below one may be lost at once. One that is over brings the others nowhere: the next one has to.
        let _turn = tokio::select! {
            biased;
            () = &mut over => return,
            turn = top.relocating.lock() => turn,
        };
        if top.leaves.is_cancelled() {
            // With all that work for it; what does so no longer is over in a moment.
            return over.await;
        }
        top.set_moves(true);
        let quiet = async {
            let mut pause = LOOKS;
            loop {
                // Those who begin meanwhile are held as well.
                let tree = self.tree(Arc::clone(&top));
                for run in &tree {
                    run.activity.hold(Holder::Relocation, true);
                }
                if !tree.iter().any(|run| run.activity.acts()) {
                    return;
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LOOKS_MAX);
            }
        };
        tokio::select! {
            biased;
            () = &mut over => {}
            () = quiet => {
                if self.leave(&top) {
                    return;
                }
            }
        }
        release(&self.tree(Arc::clone(&top)), Holder::Relocation);
        if !top.leaves.is_cancelled() {
            top.set_moves(false);
        }
    }

    /// The run at the top of the tree in which this one works.
    fn top(&self, run: &Arc<RunContext>) -> Arc<RunContext> {
        let mut top = Arc::clone(run);
        while let Some(above) = top.record().and_then(|record| self.0.audience.find(record.parent?.0)) {
            top = above;
        }
        top
    }

    /// The runs that have waited for nothing but time, letters and people since some time, with those that work for them, and nobody
    /// watches; since when, and how many bytes they have.
    pub(crate) fn resting(&self) -> Vec<(RunId, Millis, u64)> {
        let top = |run: &Arc<RunContext>| run.record().is_some_and(|record| record.parent.is_none());
        let runs = self.0.audience.runs();
        let resting = runs.iter().filter(|run| top(run) && !run.observer.watches()).filter_map(|run| {
            let since = run.rests_since()?;
            let tree = self.tree(Arc::clone(run));
            let since = tree.iter().try_fold(since, |last, run| Some(last.max(run.rests_since()?)))?;
            Some((run.id, since, tree.iter().map(|run| run.activity.bytes()).sum()))
        });
        resting.collect()
    }

    /// How many runs go on, and how many bytes they have together.
    pub(crate) fn load(&self) -> (usize, u64) {
        let runs = self.0.audience.runs();
        (runs.len(), runs.iter().map(|run| run.activity.bytes()).sum())
    }

    /// A run and all below it that go on, each behind the one above.
    fn tree(&self, top: Arc<RunContext>) -> Vec<Arc<RunContext>> {
        let mut tree = vec![top];
        let mut next = 0;
        while let Some(run) = tree.get(next) {
            let children = run.children();
            tree.extend(children.into_iter().filter(|run| self.0.audience.find(run.id).is_some()));
            next += 1;
        }
        tree
    }

    pub(super) fn leave(&self, run: &Arc<RunContext>) -> bool {
        self.leave_as(run, &Lying::new())
    }

    fn leave_as(&self, run: &Arc<RunContext>, lying: &Lying) -> bool {
        let gate = &*self.0;
        let mut left = Vec::new();
        // All under one lock: nothing begins below a run that leaves, and nothing that has ended leaves.
        gate.act(&**run, gate.clock.now(), |act| {
            // Whom a person holds stays: nobody would hold it when it comes back.
            if lying.is_empty() || !self.tree(Arc::clone(run)).iter().any(|run| run.activity.is_held_by_person()) {
                gate.close(act, run, lying, &mut left);
            }
        });
        for run in &left {
            gate.audience.leave(run.id);
            // In this order: whoever sees the run cancelled sees that it leaves.
            run.leaves.cancel();
            run.cancelled.cancel();
        }
        !left.is_empty()
    }

    /// The runs that go on, in the order of their ids.
    pub fn live(&self) -> Vec<Live> {
        let mut live: Vec<_> = self.0.audience.runs().iter().map(|run| run.activity.look(run)).collect();
        live.sort_by_key(|live| live.run);
        live
    }

    /// Stops a run in good order, as a person wants it; false if it does not go on here.
    pub fn stop(&self, run: RunId, because: Option<&str>) -> bool {
        let Some(run) = self.0.audience.find(run) else { return false };
        if let Some(because) = because {
            run.activity.stopped_because(cut(because.to_owned(), TEXT_MAX_BYTES));
        }
        run.cancelled.cancel();
        true
    }

    /// Holds a run, or lets it go; none if it does not go on here, false if that is no news. Its deadlines go on and its calls in flight
    /// come to their end; its guest sees nothing of it and makes no new one.
    pub fn hold(&self, run: RunId, hold: bool) -> Option<bool> {
        // It does not leave memory meanwhile.
        let _cell = self.0.cell.lock();
        self.0.audience.find(run).map(|run| run.activity.hold(Holder::Person, hold))
    }

    /// Holds every run of an agent, also those that begin later, or lets them go; how many there are now. None if too many agents are held.
    pub fn hold_agent(&self, agent: &str, hold: bool) -> Option<usize> {
        let mut held = self.0.audience.held.lock();
        if !hold {
            held.remove(agent);
        } else if held.len() < AGENTS_HELD_MAX || held.contains(agent) {
            held.insert(agent.to_owned());
        } else {
            return None;
        }
        drop(held);
        let runs = self.0.audience.runs();
        let theirs: Vec<_> = runs.iter().filter(|run| run.agent == agent).collect();
        for run in &theirs {
            run.activity.hold(Holder::Person, hold);
        }
        Some(theirs.len())
    }

    /// Agents that are held.
    pub fn held(&self) -> Vec<String> {
        self.0.audience.held.lock().iter().cloned().collect()
    }
}

/// This holder lets go of them.
fn release<'r>(runs: impl IntoIterator<Item = &'r Arc<RunContext>>, holder: Holder) {
    for run in runs {
        run.activity.hold(holder, false);
    }
}

impl Inner {
    /// Closes the journal of a run, and before that those of all that work for it: what is cut with it is not written as if it had ended.
    fn close(&self, act: &mut Act<'_>, run: &Arc<RunContext>, lying: &Lying, left: &mut Vec<Arc<RunContext>>) {
        let (Some(record), Some(_)) = (run.record_to_write(), self.audience.find(run.id)) else { return };
        for below in run.children() {
            self.close(act, &below, lying, left);
        }
        let tally = run.tally();
        let (calls, refused, labels) = (run.calls(), tally.refused, run.labels());
        let record = RunRecord { status: Status::Suspended, spent: tally.spent, calls, refused, labels, ..record };
        let at = self.clock.now();
        let rests = lying.get(&run.id).map(|calls| Entry::Rested { at, calls: calls.clone() });
        self.journal.close(&run.trail, rests.as_slice(), record);
        act.tell(|kernel| kernel.suspend(run.id, at));
        left.push(Arc::clone(run));
    }
}
