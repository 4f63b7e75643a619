//! What a site file says, as plain data: its ceiling and its rules. Nothing below the site overrides them.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::approval::Required;
use crate::constraint::{Constraint, covers};
use crate::fold;
use crate::json::Value;
use crate::labels::Labels;
use crate::pattern::name_fits;
use crate::refusal::Rule;
use crate::rights::Origin;
use crate::tool::Effect;

use super::subject::{Act, Subject};

/// The outer bound of every grant: what it does not list, no grant gives. What it does not mention, it leaves alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ceiling {
    /// Where it stands.
    pub rule: Rule,
    /// Models, as in a grant.
    pub models: Option<Vec<String>>,
    /// Tools, as in a grant.
    pub tools: Option<Vec<String>>,
    /// Hosts that may be reached by `http`.
    pub egress: Option<Vec<Origin>>,
    /// True if it only records what it would deny.
    pub observed: bool,
}

/// A rule of the site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteRule {
    /// Its id and where it stands.
    pub rule: Rule,
    /// What it does.
    pub duty: Duty,
    /// What it is about.
    pub target: Target,
    /// The agent that it is for; every one if none.
    pub agent: Option<String>,
    /// It applies only where this holds.
    pub when: When,
    /// It does not apply where all of these fit; empty lifts nothing.
    pub unless: Vec<(String, Constraint)>,
    /// Why it is there; empty if nobody said.
    pub why: String,
    /// True if it only records what it would deny.
    pub observed: bool,
}

/// What a rule of the site does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Duty {
    /// Says no.
    Forbid,
    /// Asks people first.
    Require(Required),
    /// Marks what is read.
    Mark {
        /// Labels that the run gains.
        adds: Labels,
        /// Labels of the answer that it does not gain: the rule vouches for what comes out.
        removes: Labels,
    },
}

/// What a rule of the site is about. What lies below a name that it covers, it covers too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// Tools by name: `pay.send`, `pay.*`.
    Tool(String),
    /// Tools by what they do; `egress` is the web, too.
    Effect(Effect),
    /// Models by alias.
    Model(String),
    /// Memory: `team/secret` and all below.
    Memory {
        /// The top; empty for all.
        namespace: String,
        /// Which acts; all if empty.
        acts: Vec<Act>,
    },
    /// Files: a subtree of a root.
    Files {
        /// The root's name.
        root: String,
        /// The top, in the root.
        at: String,
        /// Which acts; all if empty.
        acts: Vec<Act>,
    },
    /// The web.
    Http {
        /// `evil.org` and what lies below, `*.evil.org`, or `*`.
        host: String,
        /// All if empty.
        methods: Vec<String>,
        /// Subtrees; all if empty.
        paths: Vec<String>,
    },
}

/// A condition. All of it must hold; an empty one does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct When {
    /// The run holds one of these, if there are any.
    pub labels_any: Labels,
    /// The run holds all of these.
    pub labels_all: Labels,
    /// Arguments that could be taken for what the rule names.
    pub args: Vec<(String, Constraint)>,
}

impl SiteRule {
    /// Whether it applies to what an agent wants, holding these labels.
    pub(crate) fn applies(&self, agent: &str, subject: &Subject<'_>, labels: &Labels) -> bool {
        self.agent.as_ref().is_none_or(|only| only == agent)
            && self.target.covers(subject)
            && self.when.holds(subject, labels)
            && !self.is_lifted(subject)
    }

    /// True if it tests what the run has read.
    pub fn tests_labels(&self) -> bool {
        !self.when.labels_any.is_empty() || !self.when.labels_all.is_empty()
    }

    fn is_lifted(&self, subject: &Subject<'_>) -> bool {
        let arguments = subject.arguments();
        let fits = |(name, constraint): &(String, Constraint)| {
            arguments.and_then(|arguments| arguments.get(name)).is_some_and(|value| constraint.fits(value))
        };
        !self.unless.is_empty() && self.unless.iter().all(fits)
    }

    /// The first argument on which `unless` fails: what would have to change.
    pub(crate) fn obstacle<'a>(
        &'a self,
        subject: &Subject<'a>,
    ) -> Option<(&'a str, Option<&'a Value>, &'a Constraint)> {
        self.unless.iter().find_map(|(name, constraint)| {
            let value = subject.arguments().and_then(|arguments| arguments.get(name));
            let fits = value.is_some_and(|value| constraint.fits(value));
            (!fits).then_some((name.as_str(), value, constraint))
        })
    }
}

impl Target {
    /// Whether it is about this.
    pub(crate) fn covers(&self, subject: &Subject<'_>) -> bool {
        match (self, subject) {
            (Self::Tool(pattern), Subject::Tool { name, .. }) => name_fits(pattern, name),
            (Self::Effect(effect), Subject::Tool { effect: theirs, .. }) => effect == theirs,
            (Self::Effect(effect), Subject::Http { .. }) => *effect == Effect::Egress,
            (Self::Model(pattern), Subject::Model { alias }) => name_fits(pattern, alias),
            (Self::Memory { namespace, acts }, Subject::Memory { namespace: theirs, act }) => {
                is_among(acts, *act) && fold::covers(namespace, theirs)
            }
            (Self::Files { root, at, acts }, Subject::Files { place, act }) => {
                *root == place.root && is_among(acts, *act) && fold::covers(at, &place.path)
            }
            (Self::Http { host, methods, paths }, Subject::Http { method, url }) => {
                covers(host, url.name)
                    && (methods.is_empty() || methods.iter().any(|theirs| theirs.eq_ignore_ascii_case(method)))
                    && (paths.is_empty() || paths.iter().any(|top| fold::covers(top, url.path)))
            }
            _ => false,
        }
    }
}

/// No list of acts is every act.
fn is_among(acts: &[Act], act: Act) -> bool {
    acts.is_empty() || acts.contains(&act)
}

impl When {
    fn holds(&self, subject: &Subject<'_>, labels: &Labels) -> bool {
        let may_fit = |(name, constraint): &(String, Constraint)| {
            let value = subject.arguments().and_then(|arguments| arguments.get(name));
            value.is_some_and(|value| constraint.may_fit(value))
        };
        (self.labels_any.is_empty() || labels.has_any(&self.labels_any))
            && labels.has_all(&self.labels_all)
            && self.args.iter().all(may_fit)
    }
}
