//! Whether one policy allows more than another, by their shape; and where it might, one call that shows it, put to both kernels.
//! What is the same in both costs nothing to compare.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use self::calls::{about, bounds_of_models, within_bounds};
use self::pair::Pair;
use super::candidates::{Calls, Candidates};
use super::{Question, Scenario, Verdict as Answer};
use crate::call::{Call, Class};
use crate::labels::Labels;
use crate::policy::{Act, Ceiling, Duty, Grant, SiteRule};
use crate::refusal::Rule;
use crate::rights::{Access, FilesRight, LlmRight, MemoryRight, Origin};
use crate::within;

mod calls;
mod limits;
mod others;
mod pair;
mod strength;

use strength::{at_least, reaches};

/// Changes for which a call is looked for; whoever changes more at once has seen that it is wider.
const SHOWN_MAX: usize = 64;

/// What became of a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// What the new one may allow and the old one does not.
    pub opened: Vec<Change>,
    /// What the old one may allow and the new one does not.
    pub closed: Vec<Change>,
}

/// The answer in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiffVerdict {
    /// Every call gets the same answer.
    Same,
    /// Nothing is newly allowed, and something is no longer.
    Narrower,
    /// Something is newly allowed.
    Wider,
}

/// One place in which they differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The agent that it is about; all of them if none.
    pub agent: Option<String>,
    /// One sentence.
    pub what: String,
    /// Where it stands, in the policy that has it.
    pub rule: Option<Rule>,
    /// A call that shows it. Without one it could not be told apart from nothing, or it is an amount, a time or a mark.
    pub example: Option<Example>,
    /// The rule of the site that refuses the calls by which it was to be shown: the grant says more, and nothing more passes.
    pub blocked: Option<Rule>,
}

/// A call that one policy refuses and the other does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The call.
    pub call: Call,
    /// What its run holds.
    pub labels: Labels,
    /// The answer of the policy that says less.
    pub less: Answer,
    /// The answer of the policy that says more.
    pub more: Answer,
}

impl Diff {
    /// The rules of the site because of which nothing that is newly granted passes; none if something does, or might.
    pub fn blocked(&self) -> Vec<&Rule> {
        let mut rules: Vec<&Rule> = self.opened.iter().filter_map(|change| change.blocked.as_ref()).collect();
        if rules.len() < self.opened.len() {
            rules.clear();
        }
        rules.dedup();
        rules
    }

    /// The answer in one word. What is both wider and narrower is wider.
    pub fn verdict(&self) -> DiffVerdict {
        match (self.opened.is_empty(), self.closed.is_empty()) {
            (false, _) => DiffVerdict::Wider,
            (true, false) => DiffVerdict::Narrower,
            (true, true) => DiffVerdict::Same,
        }
    }
}

impl DiffVerdict {
    /// `same`, `narrower` or `wider`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Narrower => "narrower",
            Self::Wider => "wider",
        }
    }
}

/// Compares what two policies allow.
pub fn diff(old: &Scenario, new: &Scenario) -> Diff {
    Diff { opened: openings(old, new, Told::Opened), closed: openings(new, old, Told::Closed) }
}

/// Which way a change is told: what the policy that says more gives, as it was opened, or as it went.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Opened,
    Closed,
}

/// Where a policy may give more: what to look at, and calls that would show it.
struct Suspect<'a> {
    agent: Option<String>,
    what: String,
    rule: Option<Rule>,
    doubt: Doubt<'a>,
}

/// Makes calls, once somebody wants to see one.
type Making<'a> = Box<dyn FnOnce() -> Calls<'a> + 'a>;

/// How a suspicion is settled.
enum Doubt<'a> {
    /// There is nothing to show: an amount, a time, a mark.
    None,
    /// By calls of this agent. If none shows it, it stays in doubt.
    Calls { agent: &'a str, calls: Making<'a> },
    /// By calls of these agents; if none shows it, it is nothing, for nobody is granted what it is about.
    Site { calls: Vec<(&'a str, Making<'a>)> },
}

fn openings(old: &Scenario, new: &Scenario, told: Told) -> Vec<Change> {
    let mut finder = Finder { candidates: Candidates { old, new }, suspects: Vec::new(), told };
    for grant in &new.policy.grants {
        finder.grant(old.grant(&grant.agent), grant);
    }
    finder.site();
    let Finder { candidates, suspects, .. } = finder;
    if suspects.is_empty() {
        return Vec::new();
    }
    let labels = candidates.labels();
    suspects
        .into_iter()
        .enumerate()
        .filter_map(|(place, suspect)| settle(old, new, &labels, suspect, place < SHOWN_MAX))
        .collect()
}

fn settle(old: &Scenario, new: &Scenario, labels: &[Labels], suspect: Suspect<'_>, look: bool) -> Option<Change> {
    let Suspect { agent, what, rule, doubt } = suspect;
    let change = |example, blocked| Change { agent, what, rule, example, blocked };
    // The first call that the old policy answers with less than the new one; else the first one that was tried.
    let show = |agent: &str, calls: Making<'_>| {
        let mut pair = Pair::new(old, new, agent, labels);
        let mut tried = None;
        let shown = calls().find_map(|call| {
            let shown = pair.compare(&call);
            tried.get_or_insert(call);
            shown
        });
        (shown, tried)
    };
    match doubt {
        Doubt::Calls { agent, calls } if look => {
            let (shown, tried) = show(agent, calls);
            let blocked = tried.filter(|_| shown.is_none()).and_then(|call| forbidden(new, agent, call));
            Some(change(shown, blocked))
        }
        Doubt::Site { calls } if look => {
            let mut shown = calls.into_iter().filter_map(|(agent, calls)| show(agent, calls).0);
            shown.next().map(|example| change(Some(example), None))
        }
        _ => Some(change(None, None)),
    }
}

/// The rule of the site that refuses this call, whatever its agent is granted.
fn forbidden(scenario: &Scenario, agent: &str, call: Call) -> Option<Rule> {
    let mut scenario = scenario.clone();
    scenario.complete(&call);
    let question = Question { agent: agent.into(), package: None, labels: Labels::NONE, call };
    let rule = scenario.ask(&question).refusal()?.rule.clone()?;
    let policy = &scenario.policy;
    let of_site =
        policy.rules.iter().map(|of_site| &of_site.rule).chain(policy.ceilings.iter().map(|ceiling| &ceiling.rule));
    of_site.into_iter().any(|of_site| *of_site == rule).then_some(rule)
}

fn made<'a>(make: impl FnOnce() -> Vec<Call> + 'a) -> Making<'a> {
    Box::new(|| Box::new(make().into_iter()))
}

struct Finder<'a> {
    candidates: Candidates<'a>,
    suspects: Vec<Suspect<'a>>,
    told: Told,
}

impl<'a> Finder<'a> {
    /// The words for what the newer of both policies does.
    fn words<'w>(&self, opened: &'w str, closed: &'w str) -> &'w str {
        if self.told == Told::Opened { opened } else { closed }
    }

    fn suspect(&mut self, grant: &'a Grant, what: String, rule: Rule, calls: Option<Making<'a>>) {
        let doubt = calls.map_or(Doubt::None, |calls| Doubt::Calls { agent: &grant.agent, calls });
        self.suspects.push(Suspect { agent: Some(grant.agent.clone()), what, rule: Some(rule), doubt });
    }

    fn grant(&mut self, old: Option<&'a Grant>, new: &'a Grant) {
        let rights = old.map(|old| &old.rights);
        self.llm(rights.and_then(|rights| rights.llm.as_ref()), new);
        self.memory(rights.and_then(|rights| rights.memory.as_ref()), new);
        self.files(rights.map_or(&[], |rights| &rights.files), new);
        self.tools(old, new);
        self.http(old, new);
        self.agents(old, new);
        self.human(old, new);
        let Some(old) = old else { return };
        self.bounds(old, new);
        let of = (Some(new.agent.as_str()), &new.rule);
        self.budget(&old.budget, &new.budget, of, |what| limits::spends(&new.rights, what));
    }

    fn llm(&mut self, old: Option<&LlmRight>, grant: &'a Grant) {
        let Some(new) = &grant.rights.llm else { return };
        let rule = place(grant, "llm", new.line);
        for pattern in &new.models {
            if !old.is_some_and(|old| old.models.iter().any(|wide| within::name(pattern, wide))) {
                let candidates = self.candidates;
                let calls = made(move || candidates.models(&grant.agent, pattern));
                self.suspect(grant, format!("may ask models `{pattern}`"), rule.clone(), Some(calls));
            }
        }
        let Some(old) = old else { return };
        let candidates = self.candidates;
        let of = move |pattern: &'a String| candidates.models(&grant.agent, pattern);
        let calls = || made(move || new.models.iter().flat_map(of).collect());
        let most = |right: &LlmRight| right.max_tokens.unwrap_or(u64::MAX);
        let class = |right: &LlmRight| right.class.unwrap_or(Class::Normal);
        let mut found = Vec::new();
        if most(new) > most(old) {
            let length = new.max_tokens.map_or_else(|| "of any length".into(), |most| format!("of {most} tokens"));
            found.push((format!("may want answers {length}"), calls()));
        }
        if new.retries > old.retries {
            found.push((format!("may make a call {} times", new.retries.saturating_add(1)), calls()));
        }
        if class(new) < class(old) {
            found.push((format!("may ask in class `{}`", class(new).word()), calls()));
        }
        for (what, calls) in found {
            self.suspect(grant, what, rule.clone(), Some(calls));
        }
    }

    fn memory(&mut self, old: Option<&MemoryRight>, grant: &'a Grant) {
        let Some(new) = &grant.rights.memory else { return };
        let rule = place(grant, "memory", new.line);
        for (write, acts) in [(false, &[Act::Read][..]), (true, &[Act::Write, Act::Delete])] {
            for pattern in new.patterns(write) {
                let old = old.map_or(&[][..], |old| old.patterns(write));
                if !old.iter().any(|wide| within::namespace(pattern, wide)) {
                    let verb = if write { "write" } else { "read" };
                    let candidates = self.candidates;
                    let calls = made(move || candidates.memory(pattern, acts));
                    self.suspect(grant, format!("may {verb} memory `{pattern}`"), rule.clone(), Some(calls));
                }
            }
        }
        if let Some(old) = old.filter(|old| !new.labels.has_all(&old.labels)) {
            let gains = self.words("no longer gains", "now gains");
            let what = format!("{gains} {} from memory", old.labels.without(&new.labels));
            self.suspect(grant, what, rule, None);
        }
    }

    fn files(&mut self, old: &[FilesRight], grant: &'a Grant) {
        for right in &grant.rights.files {
            let covers = |wide: &&FilesRight| {
                wide.root == right.root
                    && within::subtree(&right.at, &wide.at)
                    && (wide.access == right.access || wide.access == Access::ReadWrite)
            };
            let marked = |wide: &FilesRight| right.labels.has_all(&wide.labels);
            let rule = place(grant, "files", right.line);
            let verb = if right.access == Access::ReadWrite { "read and write" } else { "read" };
            if !old.iter().any(|wide| covers(&wide)) {
                let acts = if right.access == Access::ReadWrite { &Act::ALL[..] } else { &[Act::Read] };
                let candidates = self.candidates;
                let calls = made(move || candidates.files(&right.root, &right.at, acts));
                let what = format!("may {verb} `{}` of root `{}`", right.at, right.root);
                self.suspect(grant, what, rule, Some(calls));
            } else if !old.iter().filter(covers).any(marked) {
                let gains = self.words("no longer gains all labels", "now gains more labels");
                let what = format!("{gains} from root `{}`", right.root);
                self.suspect(grant, what, rule, None);
            }
        }
    }

    fn tools(&mut self, old: Option<&Grant>, grant: &'a Grant) {
        for right in &grant.rights.tools {
            let near: Vec<_> = old.into_iter().flat_map(|old| old.tools(&right.tool)).map(|(_, right)| right).collect();
            if within::tool_among(right, &near) {
                continue;
            }
            let candidates = self.candidates;
            let calls: Making<'a> = Box::new(move || candidates.tools(&grant.agent, &right.tool));
            let rule = Rule { id: right.id.clone(), file: grant.rule.file.clone(), line: right.line };
            self.suspect(grant, format!("may call tool `{}` as `{}` says", right.tool, right.id), rule, Some(calls));
        }
    }

    fn http(&mut self, old: Option<&Grant>, grant: &'a Grant) {
        for right in &grant.rights.http {
            let near: Vec<_> =
                old.into_iter().flat_map(|old| old.http(&right.to.host)).map(|(_, right)| right).collect();
            if within::http_among(right, &near) {
                continue;
            }
            let candidates = self.candidates;
            let calls = made(move || candidates.of_http(right));
            let rule = Rule { id: right.id.clone(), file: grant.rule.file.clone(), line: right.line };
            self.suspect(grant, format!("may reach `{}` as `{}` says", right.to, right.id), rule, Some(calls));
        }
        for secret in &grant.rights.secrets {
            let theirs = old.map_or(&[][..], |old| &old.rights.secrets);
            let given = theirs
                .iter()
                .any(|wide| wide.handle == secret.handle && within::origin(&secret.only_to, &wide.only_to));
            if !given {
                let candidates = self.candidates;
                let calls = made(move || {
                    let (methods, paths) = (["GET".to_string()], ["/**".to_string()]);
                    let rights = grant.rights.http.iter().flat_map(|right| {
                        candidates.http(&right.to, &right.methods, &right.paths, Some(&secret.handle))
                    });
                    let own = candidates.http(&secret.only_to, &methods, &paths, Some(&secret.handle));
                    own.into_iter().chain(rights).collect()
                });
                let what = format!("may have secret `{}` sent to `{}`", secret.handle, secret.only_to);
                self.suspect(grant, what, place(grant, "secrets", secret.line), Some(calls));
            }
        }
    }

    fn site(&mut self) {
        let (old, new) = (&self.candidates.old.policy, &self.candidates.new.policy);
        let ceilings = old.ceilings.iter().filter(|ceiling| !ceiling.observed);
        for ceiling in ceilings {
            self.ceiling(ceiling);
        }
        let mut places = alloc::collections::BTreeMap::new();
        for rule in &new.rules {
            places.entry(rule.rule.id.as_str()).or_insert(rule);
        }
        for rule in old.rules.iter().filter(|rule| !rule.observed) {
            let same = places.get(rule.rule.id.as_str()).is_some_and(|new| at_least(new, rule));
            if !same && !new.rules.iter().any(|new| at_least(new, rule)) {
                self.loosened(rule);
            }
        }
        for rule in new.rules.iter().filter(|rule| !rule.observed) {
            let Duty::Mark { removes, .. } = &rule.duty else { continue };
            let took = |old: &SiteRule| matches!(&old.duty, Duty::Mark { removes: took, .. } if took.has_all(removes));
            if !removes.is_empty() && !old.rules.iter().any(|old| took(old) && reaches(old, rule)) {
                let takes = self.words("takes", "no longer takes");
                let what = format!("rule `{}` {takes} {removes} off what is read", rule.rule.id);
                let rule = Some(rule.rule.clone());
                self.suspects.push(Suspect { agent: None, what, rule, doubt: Doubt::None });
            }
        }
        let rule = Rule { id: "site".into(), file: new.budget.rule.file.clone(), line: new.budget.rule.line };
        self.budget(&old.budget, &new.budget, (None, &rule), |_| true);
    }

    /// What an old ceiling kept out, if no new one does.
    fn ceiling(&mut self, old: &'a Ceiling) {
        let new = &self.candidates.new.policy.ceilings;
        let mut now = new.iter().filter(|ceiling| !ceiling.observed);
        let names = |new: &Option<Vec<String>>, old: &Option<Vec<String>>| match (new, old) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(new), Some(old)) => within::each(new, old, |new, old| within::name(new, old)),
        };
        let egress = |new: &Option<Vec<Origin>>, old: &Option<Vec<Origin>>| match (new, old) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(new), Some(old)) => within::each(new, old, within::origin),
        };
        let models = now.clone().any(|new| names(&new.models, &old.models));
        let tools = now.clone().any(|new| names(&new.tools, &old.tools));
        let egress = now.any(|new| egress(&new.egress, &old.egress));
        for (kept, what) in [(models, "models"), (tools, "tools"), (egress, "egress")] {
            if !kept {
                let calls = self.granted(what);
                let higher = self.words("higher", "lower");
                let (what, rule) = (format!("the ceiling of {what} is {higher}"), Some(old.rule.clone()));
                self.suspects.push(Suspect { agent: None, what, rule, doubt: Doubt::Site { calls } });
            }
        }
    }

    /// Calls of all agents within what they are granted of one kind.
    fn granted(&self, kind: &'static str) -> Vec<(&'a str, Making<'a>)> {
        let candidates = self.candidates;
        let of = move |grant: &'a Grant| -> Calls<'a> {
            match kind {
                "models" => {
                    let patterns =
                        grant.rights.llm.iter().flat_map(|right| &right.models).chain(bounds_of_models(candidates));
                    Box::new(patterns.flat_map(move |pattern| candidates.models(&grant.agent, pattern)))
                }
                "tools" => {
                    let patterns = grant.rights.tools.iter().map(|right| right.tool.as_str());
                    Box::new(patterns.flat_map(move |pattern| candidates.tools(&grant.agent, pattern)))
                }
                _ => Box::new(grant.rights.http.iter().flat_map(move |right| within_bounds(candidates, right))),
            }
        };
        let grants = candidates.new.policy.grants.iter();
        grants.map(|grant| (grant.agent.as_str(), Box::new(move || of(grant)) as Making<'a>)).collect()
    }

    /// A rule that stands no more, or not as wide.
    fn loosened(&mut self, rule: &'a SiteRule) {
        let candidates = self.candidates;
        let agents = candidates.new.policy.grants.iter().map(|grant| grant.agent.as_str());
        let agents = agents.filter(|agent| rule.agent.as_ref().is_none_or(|only| only == agent));
        let calls = |agent: &'a str| (agent, Box::new(move || about(candidates, rule, agent)) as Making<'a>);
        let (verb, doubt) = match &rule.duty {
            Duty::Forbid => ("forbids", Doubt::Site { calls: agents.map(calls).collect() }),
            Duty::Require(_) => ("asks people for", Doubt::Site { calls: agents.map(calls).collect() }),
            Duty::Mark { .. } => ("marks", Doubt::None),
        };
        let id = &rule.rule.id;
        let what = match self.told {
            Told::Opened => format!("rule `{id}` no longer {verb} all that it did"),
            Told::Closed => format!("rule `{id}` now {verb} what it did not"),
        };
        self.suspects.push(Suspect { agent: None, what, rule: Some(rule.rule.clone()), doubt });
    }
}

fn place(grant: &Grant, key: &str, line: u32) -> Rule {
    Rule { id: format!("{}/{key}", grant.agent), file: grant.rule.file.clone(), line }
}
