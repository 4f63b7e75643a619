//! What another policy would have said to what runs did: their calls are put to a kernel once more, in order, each at its time
//! and with what it cost. Nothing is done again.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Packaged, Scenario, Verdict};
use crate::budget::Amounts;
use crate::call::{Call, CallId, RunId};
use crate::kernel::{Answer, Kernel};
use crate::labels::Labels;
use crate::refusal::{Code, Refusal, Rule};
use crate::time::Millis;

/// A run as its journal has it.
#[derive(Clone, Debug)]
pub struct Past {
    /// Which.
    pub run: RunId,
    /// The agent's name.
    pub agent: String,
    /// Its package; none if nobody knows any more, and then it asked for anything.
    pub package: Option<Packaged>,
    /// When it began.
    pub began: Millis,
    /// What it used of fuel and wall time.
    pub used: Amounts,
    /// The most that was spent and held at one time.
    pub peak: Amounts,
    /// What it held before its first call: of what began it.
    pub labels: Labels,
    /// Its calls, in order.
    pub calls: Vec<Replay>,
}

/// A call as the journal has it.
#[derive(Clone, Debug)]
pub struct Replay {
    /// Which.
    pub call: CallId,
    /// When.
    pub at: Millis,
    /// What was asked, with its arguments.
    pub what: Call,
    /// Whether its arguments are known: those of a refused call are kept within bounds only.
    pub known: bool,
    /// The rule for which people were asked, whatever they said.
    pub asked: Option<Rule>,
    /// Why it was refused, if it was.
    pub refusal: Option<Refusal>,
    /// The most that it could cost.
    pub held: Amounts,
    /// What it cost.
    pub spent: Amounts,
    /// How it failed, if it did, by the case of `types.error`.
    pub failed: Option<String>,
    /// Labels that the run gained by it.
    pub gained: Labels,
    /// Labels that a person took off the run before its next call.
    pub lost: Labels,
}

/// A call that would be answered otherwise.
#[derive(Clone, Debug)]
pub struct Changed {
    /// Of which run.
    pub run: RunId,
    /// The agent.
    pub agent: String,
    /// Which; none for the start of the run itself.
    pub call: Option<CallId>,
    /// What was asked.
    pub what: Option<Call>,
    /// The code with which it was refused; none if it was allowed.
    pub was: Option<Code>,
    /// True if it was allowed because people said yes to it.
    pub approved: bool,
    /// The answer now.
    pub is: Verdict,
}

impl Replay {
    /// True if it made no sense and so did nothing, under whatever policy.
    pub fn is_void(&self) -> bool {
        self.failed.as_deref() == Some("invalid")
    }
}

impl Past {
    /// What the run held when it made the call at this place.
    pub fn labels_at(&self, place: usize) -> Labels {
        let held = |labels: Labels, call: &Replay| labels.and(&call.gained).without(&call.lost);
        self.calls.iter().take(place).fold(self.labels.clone(), held)
    }
}

impl Changed {
    /// What was said then: `allow`, `ask` if people said yes to it, or the code of the refusal.
    pub fn was_word(&self) -> &'static str {
        match self.was {
            Some(code) => code.word(),
            None if self.approved => "ask",
            None => "allow",
        }
    }
}

/// Calls of these runs of which nobody knows what they would be answered, because their arguments are not kept.
pub fn unknown(past: &[Past]) -> Vec<(RunId, CallId)> {
    let of = |past: &Past| {
        past.calls.iter().filter(|call| !call.known).map(|call| (past.run, call.call)).collect::<Vec<_>>()
    };
    past.iter().flat_map(of).collect()
}

/// Puts the calls of runs to a kernel under this scenario's policy, in the order in which the runs began. A run that would not
/// start is told once. What a run read is what it read then.
pub fn replay(scenario: &Scenario, past: &[Past]) -> Vec<Changed> {
    let mut kernel = Kernel::new(Arc::clone(&scenario.policy), scenario.models.clone(), scenario.tools.clone());
    let mut order: Vec<&Past> = past.iter().collect();
    order.sort_by_key(|past| (past.began, past.run));
    let mut seen = BTreeSet::new();
    order.retain(|past| seen.insert(past.run));
    order.into_iter().flat_map(|past| replay_run(scenario, &mut kernel, past)).collect()
}

impl Past {
    /// True if people could be asked: somebody was.
    fn attended(&self) -> bool {
        self.calls.iter().any(|replay| replay.asked.is_some() || was_heard(replay))
    }
}

/// An agent's own question to people, when there were some.
fn was_heard(replay: &Replay) -> bool {
    matches!(replay.what, Call::HumanAsk { .. }) && replay.refusal.is_none()
}

fn replay_run(scenario: &Scenario, kernel: &mut Kernel, past: &Past) -> Vec<Changed> {
    let changed = |replay: Option<&Replay>, is| Changed {
        run: past.run,
        agent: past.agent.clone(),
        call: replay.map(|replay| replay.call),
        what: replay.map(|replay| replay.what.clone()),
        was: replay.and_then(|replay| replay.refusal.as_ref()).map(|refusal| refusal.code),
        approved: replay.is_some_and(|replay| replay.asked.is_some()),
        is,
    };
    let start = match &past.package {
        Some(package) => package.start(&past.agent),
        None => scenario.anything_starts(&past.agent, past.calls.iter().map(|call| &call.what)),
    };
    if let (Err(refusal), _) = kernel.start(past.run, &start, past.began) {
        return alloc::vec![changed(None, Verdict::Refused(refusal))];
    }
    if past.attended() {
        kernel.attend(past.run);
    }
    kernel.mark(past.run, &past.labels);
    let mut told = Vec::new();
    let mut last = past.began;
    for replay in past.calls.iter().filter(|replay| replay.known) {
        last = last.max(replay.at);
        let is = match kernel.admit(past.run, replay.call, &replay.what, replay.at).0 {
            Answer::Permit(mut permit) => {
                let (held, brings, private) = (*permit.held(), permit.brings().clone(), permit.private());
                permit.bring(&replay.gained);
                let _ = kernel.settle(permit, replay.spent, replay.at);
                match replay.refusal.as_ref().filter(|refusal| refusal.is_barred()) {
                    // No policy said it then, and none takes it back but by opening the host's own networks.
                    Some(bar) if !(private && bar.is_mended_by_private()) => Verdict::Refused(bar.clone()),
                    _ => Verdict::Allowed { held, brings },
                }
            }
            Answer::Wait(ticket) => {
                let _ = kernel.withdraw(ticket, replay.at);
                Verdict::Allowed { held: Amounts::ZERO, brings: Labels::NONE }
            }
            // Nobody is asked now. What people allowed then costs what it did then; any other call is over here and costs nothing.
            Answer::Ask(unasked) => {
                let asks = Verdict::asks(unasked.required(), &past.agent, &replay.what);
                if replay.asked.is_some() && replay.refusal.is_none() {
                    match kernel.approved(unasked, replay.at) {
                        Answer::Permit(mut permit) => {
                            permit.bring(&replay.gained);
                            let _ = kernel.settle(permit, replay.spent, replay.at);
                        }
                        Answer::Wait(ticket) => drop(kernel.withdraw(ticket, replay.at)),
                        // The site's limits are never raised.
                        Answer::Ask(_) | Answer::Refused(_) => {}
                    }
                } else {
                    let _ = kernel.decline(unasked, "", replay.at);
                }
                asks
            }
            // Whether somebody hears an agent's own question is no policy's to say.
            Answer::Refused(no) if no.code == Code::NotApproved && was_heard(replay) => {
                Verdict::Allowed { held: Amounts::ZERO, brings: Labels::NONE }
            }
            Answer::Refused(refusal) if refusal.code == Code::NotApproved => Verdict::Asks(refusal),
            Answer::Refused(refusal) => Verdict::Refused(refusal),
        };
        kernel.unlabel(past.run, &replay.lost);
        let was = replay.refusal.as_ref().map(|refusal| refusal.code);
        let same = match &is {
            // What nobody would be asked about any more is answered otherwise, as much as what nobody was asked about then.
            Verdict::Allowed { .. } => was.is_none() && replay.asked.is_none(),
            // What people allowed then, they would be asked for again.
            // So they would for what they did not allow.
            Verdict::Asks(_) => replay.asked.is_some() || was == Some(Code::NotApproved),
            Verdict::Refused(_) => was.is_some(),
        };
        if !same {
            told.push(changed(Some(replay), is));
        }
    }
    let _ = kernel.finish(past.run, past.used, last);
    told
}
