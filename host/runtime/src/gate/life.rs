//! The first and the last entry of a run: what it was given, how it ended, and all that it held given back.

use std::sync::Arc;
use std::time::Duration;

use agentry_journal::Extras;
use agentry_kernel::Resource;
use agentry_kernel::budget::Allowance;
use agentry_kernel::budget::Amounts;
use agentry_kernel::call::{CallId, RunId};
use agentry_kernel::journal::{Ended, Entry, Started, Status, Unfinished};
use agentry_kernel::kernel::{Adopted, Consequences, Kernel, Lost, Share, Start};
use agentry_kernel::labels::Labels;
use agentry_kernel::refusal::{Refusal, Rule};
use agentry_kernel::text::cut;
use agentry_kernel::time::Millis;
use agentry_store::StoreError;
use agentry_store::content::Content;
use agentry_store::limits::FAILURE_MAX_BYTES;
use agentry_store::rows::run::{Cause, Imported, RunRecord};
use tokio::time::Instant;

use super::act::Act;
use super::in_flight::past;
use super::outside::GRACE;
use super::{Gate, settle};
use crate::run::cause::Began;
use crate::run::context::RunContext;
use crate::run::events::Event;
use crate::run::parent::Below;

/// How a run begins.
#[derive(Debug)]
pub struct Opening {
    /// Its first entry. The gate fills in `at`, `input` and `held`.
    pub started: Started,
    /// What the kernel decides on.
    pub start: Start,
    /// The input JSON.
    pub input: Vec<u8>,
    /// What it rests on, if it is below another run.
    pub(crate) below: Option<Below>,
    /// Whether people can be asked on its behalf.
    pub attended: bool,
}

/// Whose past it is that a run goes on behind.
#[derive(Debug)]
pub(crate) enum Origin {
    /// Its own; and below another run, its share of that one's budget.
    Own(Option<Share>),
    /// Another run's, up to a call: these entries become its own.
    Another(Vec<Entry>),
}

/// How a run ends.
#[derive(Debug)]
pub struct Ending {
    /// In one word.
    pub status: Status,
    /// The output JSON, or the failure's sentence.
    pub output: Vec<u8>,
    /// Why it did not succeed.
    pub failure: Option<String>,
    /// What was in its way, where the host knows.
    pub cause: Option<Cause>,
    /// Fuel, wall time and memory that it used.
    pub used: Amounts,
}

/// Ends a run whose future is dropped before its end, so that nothing of it is held for ever: its calls are cancelled and settled,
/// its wall time is taken as it was and its fuel at the worst case, for the guest is gone and cannot be asked.
#[derive(Debug)]
pub(crate) struct Unended {
    gate: Gate,
    run: Arc<RunContext>,
    fuel: u64,
    over: bool,
}

impl Unended {
    /// The run ends in another way.
    pub(crate) fn over(mut self) {
        self.over = true;
    }
}

impl Drop for Unended {
    fn drop(&mut self) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        self.run.cancelled.cancel();
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            // The host itself is going down; the next one writes off what is held.
            return;
        };
        let (gate, run) = (self.gate.clone(), Arc::clone(&self.run));
        let began = run.record().map_or(Millis(0), |record| record.started);
        let wall_ms = gate.clock().now().since(began);
        let why = "the run was stopped";
        let ending = Ending {
            status: Status::Stopped,
            output: why.as_bytes().to_vec(),
            failure: Some(why.to_owned()),
            cause: None,
            used: Amounts::of(Resource::Fuel, self.fuel).with(Resource::WallTime, wall_ms),
        };
        runtime.spawn(async move {
            // Nobody is left to be told; the accounts are right in memory in any case.
            let _ = gate.end(&run, ending).await;
        });
    }
}

impl Gate {
    /// Ends this run, which has begun, if what is returned is dropped before it is told that the run is over.
    pub(crate) fn unended(&self, run: &Arc<RunContext>, allowance: &Allowance) -> Unended {
        Unended { gate: self.clone(), run: Arc::clone(run), fuel: allowance.fuel, over: false }
    }

    /// Begins a run and sets its deadline. Nothing is waited for: the first external effect makes it durable.
    ///
    /// # Errors
    /// The kernel's refusal. `ps` shows the run as denied or exhausted then, and it holds nothing.
    pub fn begin(&self, run: &Arc<RunContext>, opening: Opening) -> Result<Allowance, Box<Refusal>> {
        let gate = &*self.0;
        let now = gate.time(run.clock.advance(gate.clock.now()));
        let Opening { mut started, start, input, below, attended } = opening;
        let content = Content::of(input);
        let input = content.digest;
        let contents = vec![content];
        gate.audience.join(run);
        let parent = below.as_ref().map(|below| (below.parent.id, below.call));
        let above = below.as_ref().map(|below| Arc::clone(&below.parent.trail));
        let mut record = first_record(run, &started, parent, now);
        let begun = gate.act(&**run, now, |act| {
            let begun = act.ask(|kernel| match below {
                Some(below) => kernel.start_child(run.id, &start, below.share, now),
                None => kernel.start(run.id, &start, now),
            });
            // Whoever called it has left memory: it begins when that one goes on, and has come to no end.
            let allowance = begun.map_err(|no| (Box::new(no), above.is_some_and(|trail| trail.is_closed())))?;
            if attended {
                act.attend(run.id);
            }
            started.at = now;
            started.held = given(&allowance);
            started.input = input;
            act.note(Entry::Started(started));
            act.starts_by(run, now);
            record.labels = run.labels();
            act.store(contents);
            act.record(Some(record.clone()));
            run.set_record(record.clone());
            Ok((allowance, act.cell().leaves))
        });
        let (refusal, put_off) = match begun {
            Ok((allowance, leaves)) => {
                run.set_deadline(Instant::now() + Duration::from_millis(allowance.wall_ms));
                if leaves {
                    self.leave(run);
                }
                gate.counters.begins();
                return Ok(allowance);
            }
            Err(refused) => refused,
        };
        gate.audience.leave(run.id);
        if put_off {
            return Err(refusal);
        }
        record.status = refused_status(&refusal);
        gate.counters.ends(record.status);
        record.ended = Some(now);
        record.refused = 1;
        record.failure = Some(refusal.because.clone());
        record.cause = Some(cause_of(&refusal));
        gate.journal.append(&run.trail, &[], Extras { record: Some(record), ..Extras::default() });
        run.add_refusal(&refusal);
        run.observer.tell(Event::Refused(refusal.clone()));
        Err(refusal)
    }

    /// Goes on with a run behind its past, and sets its deadline anew: no time passed for it while no host had it. A past that is
    /// copied from another run becomes its own.
    ///
    /// # Errors
    /// The kernel's refusal; the run stays as it was then.
    pub(crate) fn reopen(
        &self,
        run: &Arc<RunContext>,
        start: &Start,
        record: RunRecord,
        (past, origin, attended): (&Unfinished, Origin, bool),
    ) -> Result<Allowance, Box<Refusal>> {
        let gate = &*self.0;
        let at = gate.clock.now();
        gate.audience.join(run);
        let revived = gate.act(&**run, at, |act| {
            let (share, copied) = match origin {
                Origin::Own(share) => (Some(share), Vec::new()),
                Origin::Another(entries) => (None, entries),
            };
            let revived = match share {
                _ if past.imported => act.ask(|kernel| adopt(kernel, run, start, past, at)),
                Some(share) => act.ask(|kernel| kernel.resume(run.id, start, past, share, at)).map(Revived::from),
                None => act.ask(|kernel| kernel.fork(run.id, start, past, at)).map(Revived::from),
            };
            let Revived { allowance, lost, adopts } = revived.map_err(Box::new)?;
            if attended {
                act.attend(run.id);
            }
            let new = lost.iter().filter(|lost| past.open.get(&lost.call).is_none_or(|open| !open.lost));
            let unknown = new.map(|lost| Entry::Unknown { call: lost.call, at, spent: lost.spent });
            let adopted = adopts.clone().map(|labels| Entry::Adopted { at, held: given(&allowance), labels });
            let resumed = adopted.into_iter().chain([Entry::Resumed { at }]);
            copied.into_iter().chain(resumed).chain(unknown).for_each(|entry| act.note(entry));
            let imported = record.imported.map(|imported| Imported { adopted: true, ..imported });
            let labels = adopts.as_ref().unwrap_or(&past.labels).clone();
            let record = RunRecord { status: Status::Running, imported, labels: labels.clone(), ..record };
            act.record(Some(record.clone()));
            let spent = lost.iter().fold(past.spent, |sum, lost| sum.plus(lost.spent));
            run.carry(spent, past.refused, &labels);
            run.recording().iter().for_each(|past| past.go_on(&lost));
            run.set_record(record);
            Ok::<_, Box<Refusal>>((allowance, act.cell().leaves))
        });
        let (allowance, leaves) = revived.inspect_err(|_| gate.audience.leave(run.id))?;
        gate.counters.begins();
        let left = Duration::from_millis(allowance.wall_ms.saturating_sub(past.wall_ms));
        run.set_deadline(Instant::now() + left);
        if leaves {
            self.leave(run);
        }
        Ok(allowance)
    }

    /// Ends a run: cancels what is in flight, waits for its settlement, gives back what is held and writes the last
    /// entry. Drop the guest before. The record is durable when it comes.
    ///
    /// # Errors
    /// When the store cannot be written; the accounts are right in memory then, and written when it can be.
    pub async fn end(&self, run: &Arc<RunContext>, ending: Ending) -> Result<RunRecord, StoreError> {
        self.let_go(run).await;
        run.cancelled.cancel();
        // An act that does not end even after it was dropped is not waited for; its permit ends with the run.
        let _ = tokio::time::timeout(GRACE + Duration::from_secs(1), run.acts.idle()).await;
        let record = self.write_last(run, ending);
        let written = self.0.journal.durable(&run.trail).await;
        self.tell_of_store(&written);
        written.map(|()| record)
    }

    /// Calls that reach outside and that the guest has no hand on any more go to their own end: when it chose to end must
    /// not be what cuts them. They end with the run's wall time, or when a person stops the run.
    async fn let_go(&self, run: &RunContext) {
        tokio::select! {
            biased;
            () = run.cancelled.cancelled() => {}
            () = past(run) => {}
            () = run.detached.idle() => {}
        }
    }

    fn write_last(&self, run: &Arc<RunContext>, ending: Ending) -> RunRecord {
        let gate = &*self.0;
        let now = gate.time(run.clock.advance(gate.clock.now()));
        let Ending { status, output, failure, cause, used } = ending;
        let output = Content::of(output);
        let name = output.digest;
        let contents = vec![output];
        let used = used.with(Resource::Written, settle::bytes(&contents));
        let record = gate.act(&**run, now, |act| {
            let settled = act.ask(|kernel| kernel.finish(run.id, used, now));
            run.add_spent(settled.spent);
            let tally = run.tally();
            let record = RunRecord {
                status,
                ended: Some(now),
                spent: tally.spent,
                calls: run.calls(),
                refused: tally.refused,
                failure,
                cause,
                labels: run.labels(),
                ..run.record_to_write().expect("a run ends after it has begun")
            };
            act.note(Entry::Ended(Ended { at: now, status, output: name, spent: tally.spent }));
            act.store(contents);
            act.record(Some(record.clone()));
            record
        });
        gate.audience.leave(run.id);
        gate.counters.ends(status);
        record
    }
}

/// What the kernel gives a run that goes on.
struct Revived {
    allowance: Allowance,
    lost: Vec<Lost>,
    /// The labels with which one out of a file begins here; none if it is not, or began here before.
    adopts: Option<Labels>,
}

impl From<(Allowance, Vec<Lost>)> for Revived {
    fn from((allowance, lost): (Allowance, Vec<Lost>)) -> Self {
        Self { allowance, lost, adopts: None }
    }
}

type Adopts = (Result<Revived, Refusal>, Consequences);

fn adopt(kernel: &mut Kernel, run: &RunContext, start: &Start, past: &Unfinished, at: Millis) -> Adopts {
    let asked = run.recording().into_iter().flat_map(|past| past.asked());
    let (adopted, follows) = kernel.adopt(run.id, start, past, asked, at);
    let revived = adopted.map(|adopted| {
        let Adopted { allowance, labels, lost } = adopted;
        Revived { allowance, lost, adopts: Some(labels) }
    });
    (revived, follows)
}

impl Act<'_> {
    /// What started a run by itself, and the labels that it brings: the run holds them before it has made a call.
    fn starts_by(&mut self, run: &RunContext, at: Millis) {
        let Some(Began { by, labels }) = &run.began else { return };
        self.note(Entry::Triggered { at, by: by.clone() });
        let gained = self.mark(run.id, labels);
        if !gained.is_empty() {
            run.relabel(CallId(0), &gained, &Labels::NONE);
            self.note(Entry::Labelled { call: CallId(0), at, labels: gained });
        }
    }
}

fn first_record(run: &RunContext, started: &Started, parent: Option<(RunId, CallId)>, now: Millis) -> RunRecord {
    RunRecord {
        id: run.id,
        agent: run.agent.clone(),
        package: started.package.clone(),
        component: started.component,
        status: Status::Running,
        started: now,
        ended: None,
        spent: Amounts::ZERO,
        calls: 0,
        refused: 0,
        failure: None,
        cause: None,
        labels: run.labels(),
        parent,
        imported: None,
        trigger: run.began.as_ref().map(|began| began.by.clone()),
        listed: None,
    }
}

fn given(allowance: &Allowance) -> Amounts {
    Amounts::of(Resource::Fuel, allowance.fuel)
        .with(Resource::WallTime, allowance.wall_ms)
        .with(Resource::Memory, allowance.memory_bytes)
}

/// Why a run did not begin, for whoever reads its record.
fn cause_of(refusal: &Refusal) -> Cause {
    let place = |rule: &Rule| format!(", {} in {}:{}", rule.id, rule.file, rule.line);
    let rule = refusal.rule.as_ref().map(place).unwrap_or_default();
    let text = format!("{}{rule}", refusal.because.trim_end_matches('.'));
    let (text, hint) = (cut(text, FAILURE_MAX_BYTES), cut(refusal.hint.clone(), FAILURE_MAX_BYTES));
    Cause { kind: refusal.code.word().to_owned(), text, hint }
}

fn refused_status(refusal: &Refusal) -> Status {
    match refusal.code {
        agentry_kernel::Code::Exhausted { .. } => Status::Exhausted,
        agentry_kernel::Code::Busy => Status::Unavailable,
        _ => Status::Denied,
    }
}
