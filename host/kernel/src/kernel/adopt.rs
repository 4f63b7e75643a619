//! How a run goes on here that came out of a file. Its calls and their answers are its past; what it is given, what it holds and which
//! labels it carries are decided here, as for a run that begins. It must never take an amount, a time or a right from that past.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::runs::worded;
use super::{Consequences, Kernel, Lost, Start};
use crate::budget::{Allowance, Amounts};
use crate::call::Call;
use crate::call::RunId;
use crate::journal::Unfinished;
use crate::labels::{Labels, UNTRUSTED};
use crate::pattern::name_fits;
use crate::policy::{Duty, Grant, Subject};
use crate::refusal::Refusal;
use crate::time::Millis;
use crate::url::Url;

/// A run out of a file, as it goes on here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// What this home gives it.
    pub allowance: Allowance,
    /// What it carries.
    pub labels: Labels,
    /// What becomes of its calls without an answer. Nothing was held for them here, so nothing of them is spent.
    pub lost: Vec<Lost>,
}

impl Kernel {
    /// Begins a run behind a past that came out of a file; `asked` are the calls of that past.
    ///
    /// # Errors
    /// A refusal as of [`Kernel::start`]. Nothing has changed then.
    pub fn adopt<'a>(
        &mut self,
        id: RunId,
        start: &Start,
        past: &Unfinished,
        asked: impl Iterator<Item = &'a Call>,
        now: Millis,
    ) -> (Result<Adopted, Refusal>, Consequences) {
        let begun = self.begin(id, start, None, now).map_err(|no| worded(no, start));
        let adopted = begun.map(|allowance| {
            let labels = asked.fold(past.labels.and(&Labels::of([UNTRUSTED])), |labels, call| {
                labels.and(&self.labels_of(start, call))
            });
            let labels = match self.runs.get_mut(&id) {
                Some(run) => {
                    run.labels = run.labels.and(&labels);
                    run.calls = past.calls;
                    run.labels.clone()
                }
                None => labels,
            };
            let lost = past.open.iter().map(|(call, open)| Lost {
                call: *call,
                then: self.afterwards(open),
                spent: Amounts::ZERO,
            });
            Adopted { allowance, labels, lost: lost.collect() }
        });
        (adopted, self.follows())
    }

    /// Every label that this home may put on the answer to a call, whether it would allow the call or not: those of all rules about the
    /// thing that it names. What takes a label off, and on which condition one is put on, is not looked at.
    fn labels_of(&self, start: &Start, call: &Call) -> Labels {
        let policy = Arc::clone(&self.policy);
        let granted = policy.find(&start.agent, &start.manifest, start.signer);
        let granted = granted.and_then(|grant| policy.grants.get(grant));
        let mut labels = granted.map_or(Labels::NONE, |grant| labels_of_grant(grant, call));
        if let Call::ToolsCall { name, .. } = call
            && let Some(tool) = self.tool(name)
        {
            labels = labels.and(&tool.labels);
        }
        let subject = Subject::of(call, &self.tools);
        policy.rules_about(&subject, |rule| {
            if let Duty::Mark { adds, .. } = &rule.duty
                && rule.agent.as_deref().is_none_or(|only| only == start.agent)
                && rule.target.covers(&subject)
            {
                labels = labels.and(adds);
            }
        });
        labels
    }
}

fn labels_of_grant(grant: &Grant, call: &Call) -> Labels {
    let rights = &grant.rights;
    let all = |each: &mut dyn Iterator<Item = &Labels>| each.fold(Labels::NONE, |all, labels| all.and(labels));
    match call {
        Call::MemoryGet { .. } | Call::MemoryList { .. } | Call::Memory { .. } => {
            all(&mut rights.memory.iter().map(|right| &right.labels))
        }
        Call::FilesRead(place) | Call::FilesStat(place) | Call::FilesList(place) => {
            let fitting = rights.files.iter().filter(|right| right.root == place.root);
            all(&mut fitting.map(|right| &right.labels))
        }
        Call::ToolsCall { name, .. } => {
            let fitting = rights.tools.iter().filter(|right| name_fits(&right.tool, name));
            all(&mut fitting.map(|right| &right.extra.labels))
        }
        Call::Fetch(fetch) => {
            let Ok(url) = Url::parse(&fetch.url) else { return Labels::NONE };
            let fitting = rights.http.iter().filter(|right| right.to.fits(&url));
            all(&mut fitting.map(|right| &right.extra.labels))
        }
        // What these bring comes with the answer alone, and stands in the file or is `untrusted`.
        Call::AgentsCall(_) | Call::AgentsReceive { .. } | Call::AgentsFind { .. } | Call::Agents(_) => Labels::NONE,
        Call::LlmComplete(_) | Call::LlmStream(_) | Call::LlmEmbed { .. } => Labels::NONE,
        // These tell a run nothing that anybody marked.
        Call::LlmModels | Call::LlmCountTokens { .. } | Call::ToolsList | Call::Context(_) => Labels::NONE,
        Call::MemoryPut { .. } | Call::MemoryDelete { .. } | Call::FilesWrite { .. } | Call::FilesDelete(_) => {
            Labels::NONE
        }
        Call::HttpFetch { .. } | Call::AgentsSend(_) | Call::AgentsReply { .. } => Labels::NONE,
        Call::Human(_) | Call::HumanAsk { .. } | Call::HumanNotify { .. } | Call::LogEvent { .. } => Labels::NONE,
        Call::TimersNow | Call::TimersSleep { .. } | Call::TimersDeadline => Labels::NONE,
        Call::BudgetRemaining | Call::BudgetSplit => Labels::NONE,
    }
}
