//! What a version of a package may do that another could not, and the other way round: decided by the kernel, as for an update, for
//! each thing that it asks for; told in the words of its rights. Nothing here compares texts.

use std::collections::BTreeMap;
use std::sync::Arc;

use agentry_config::policies;
use agentry_kernel::Millis;
use agentry_kernel::budget::words::Amount;
use agentry_kernel::inquiry::{self, Change, Diff, DiffVerdict, Scenario};
use agentry_kernel::manifest::{Manifest, Wants, WantsAgents, WantsHttp, WantsLlm, WantsMemory};
use agentry_kernel::policy::Grant;
use anyhow::Result;

use crate::commands::packages::{asks, drafted_costs};

/// What is other in a version.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// What it may do and the other could not.
    pub gained: Vec<String>,
    /// What the other could do and it may not.
    pub lost: Vec<String>,
    /// What it may cost, if that is other.
    pub costs: Option<String>,
}

impl Differences {
    /// Of a version beside another one.
    pub fn of(old: &Manifest, new: &Manifest) -> Result<Self> {
        let (mut gained, mut lost) = (beyond(old, new)?, beyond(new, old)?);
        let required = |one: &Manifest, other: &Manifest| -> Vec<String> {
            let others: Vec<_> = other.requirements().collect();
            one.requirements().filter(|what| !others.contains(what)).map(|what| format!("requires {what}")).collect()
        };
        gained.extend(required(new, old));
        lost.extend(required(old, new));
        let budgets = diff(&of_budget(old, new), &of_budget(new, old))?;
        let costs = (budgets.verdict() != DiffVerdict::Same).then(|| drafted_costs(new));
        let words = |changes: Vec<Change>| changes.into_iter().map(|change| change.what);
        gained.extend(words(budgets.opened));
        lost.extend(words(budgets.closed));
        Ok(Self { gained, lost, costs })
    }

    /// Whether both ask for the same.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// What one version asks for and another does not.
fn beyond(less: &Manifest, more: &Manifest) -> Result<Vec<String>> {
    let known: Vec<String> = parts(&less.wants).iter().filter_map(words).collect();
    let less = of_wants(less, less.wants.clone());
    let mut found = Vec::new();
    for part in parts(&more.wants) {
        let opened = diff(&less, &of_wants(more, part.clone()))?.opened;
        let is_open = left_to_a_grant(&part).any(|name| !left_to_a_grant(&less.wants).any(|other| other == name));
        if opened.is_empty() && !is_open {
            continue;
        }
        // What these words leave out, the kernel has words for.
        match words(&part).filter(|what| !known.contains(what)) {
            Some(what) => found.push(what),
            None if opened.is_empty() => found.push("asks for `context`, which no grant gives yet".to_owned()),
            None => found.extend(opened.into_iter().map(|change| change.what)),
        }
    }
    Ok(found)
}

fn words(part: &Wants) -> Option<String> {
    asks(part).pop().map(|line| line.what)
}

/// What the kernel says of two manifests, as grants that are made of them.
fn diff(old: &Manifest, new: &Manifest) -> Result<Diff> {
    let scenario = |manifest: &Manifest| -> Result<Scenario> {
        let policy = policies::parse(&[("grant.toml", &Grant::draft(manifest, None))])?;
        Ok(Scenario { policy: Arc::new(policy), models: Vec::new(), tools: Vec::new(), at: Millis(0) })
    };
    Ok(inquiry::diff(&scenario(old)?, &scenario(new)?))
}

/// A package that asks for this alone, under a budget that is the same for all.
fn of_wants(manifest: &Manifest, wants: Wants) -> Manifest {
    let budget =
        [("usd_day", "1.00"), ("egress_day", "1MiB")].map(|(key, text)| (key.to_owned(), Amount::Text(text.into())));
    let mut budget = BTreeMap::from(budget);
    budget.insert("tool_calls_run".to_owned(), Amount::Number(1));
    bare(manifest, wants, budget)
}

/// A package with its own budget, for all that one of both asks for: no limit comes or goes with what it is on.
fn of_budget(manifest: &Manifest, other: &Manifest) -> Manifest {
    let (own, others) = (&manifest.wants, &other.wants);
    let tools = if own.tools.is_empty() { &others.tools } else { &own.tools };
    let wants = Wants {
        llm: own.llm.clone().or_else(|| others.llm.clone()).map(|llm| WantsLlm {
            models: vec!["*".to_owned()],
            max_tokens: None,
            class: None,
            ..llm
        }),
        tools: tools
            .iter()
            .take(1)
            .map(|tool| agentry_kernel::manifest::WantsTool { tool: "*".to_owned(), ..tool.clone() })
            .collect(),
        http: own.http.clone().or_else(|| others.http.clone()).map(|http| WantsHttp {
            hosts: Vec::new(),
            methods: Vec::new(),
            ..http
        }),
        ..Wants::default()
    };
    bare(manifest, wants, manifest.budget.clone())
}

/// What of a manifest counts: neither its version nor its description is a right.
fn bare(manifest: &Manifest, wants: Wants, budget: BTreeMap<String, Amount>) -> Manifest {
    let version = "1.0.0".to_owned();
    Manifest { version, description: String::new(), wants, budget, requires: Vec::new(), ..manifest.clone() }
}

/// Interfaces for which a manifest names nothing, so that no drafted grant does.
fn left_to_a_grant(wants: &Wants) -> impl Iterator<Item = &'static str> {
    let nobody = |agents: &WantsAgents| agents.call.is_empty() && agents.send.is_empty() && agents.receive.is_empty();
    let open = [
        ("http", wants.http.as_ref().is_some_and(|http| http.hosts.is_empty())),
        ("agents", wants.agents.as_ref().is_some_and(nobody)),
        ("context", wants.context.is_some()),
    ];
    open.into_iter().filter_map(|(name, is_open)| is_open.then_some(name))
}

/// Each thing that it asks for, by itself.
fn parts(wants: &Wants) -> Vec<Wants> {
    let none = Wants::default;
    let mut parts: Vec<Wants> = wants.files.iter().map(|one| Wants { files: vec![one.clone()], ..none() }).collect();
    if let Some(llm) = &wants.llm {
        parts.extend(llm.models.iter().map(|model| {
            let llm = WantsLlm { models: vec![model.clone()], ..llm.clone() };
            Wants { llm: Some(llm), ..none() }
        }));
    }
    if let Some(memory) = &wants.memory {
        let one = |read: Vec<String>, write: Vec<String>| Wants {
            memory: Some(WantsMemory { read, write, ..memory.clone() }),
            ..none()
        };
        parts.extend(memory.write.iter().map(|pattern| one(Vec::new(), vec![pattern.clone()])));
        parts.extend(memory.read.iter().map(|pattern| one(vec![pattern.clone()], Vec::new())));
    }
    parts.extend(wants.tools.iter().map(|one| Wants { tools: vec![one.clone()], ..none() }));
    if let Some(agents) = &wants.agents {
        let of = |call: &[String], send: &[String], receive: &[String]| {
            let (call, send, receive) = (call.to_vec(), send.to_vec(), receive.to_vec());
            Wants { agents: Some(WantsAgents { call, send, receive, ..agents.clone() }), ..none() }
        };
        let before = parts.len();
        parts.extend(agents.call.iter().map(|name| of(std::slice::from_ref(name), &[], &[])));
        parts.extend(agents.send.iter().map(|name| of(&[], std::slice::from_ref(name), &[])));
        parts.extend(agents.receive.iter().map(|name| of(&[], &[], std::slice::from_ref(name))));
        if parts.len() == before {
            parts.push(of(&[], &[], &[]));
        }
    }
    parts.extend(wants.human.iter().map(|one| Wants { human: Some(one.clone()), ..none() }));
    if let Some(http) = &wants.http {
        let of = |hosts: Vec<String>| Wants { http: Some(WantsHttp { hosts, ..http.clone() }), ..none() };
        parts.extend(http.hosts.iter().map(|host| of(vec![host.clone()])));
        parts.extend(http.hosts.is_empty().then(|| of(Vec::new())));
    }
    parts.extend(wants.secrets.iter().map(|one| Wants { secrets: vec![one.clone()], ..none() }));
    parts.extend(wants.context.iter().map(|one| Wants { context: Some(one.clone()), ..none() }));
    parts
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn manifest(wants: Value, budget: Value) -> Manifest {
        serde_json::from_value(json!({"format": 1, "name": "acme:x", "version": "1.0.0", "wit": "0.1.0", "wants": wants, "budget": budget}))
            .expect("a manifest")
    }

    /// What is other in the second.
    fn told(old: Value, new: Value) -> (Vec<String>, Vec<String>) {
        let money = || json!({"usd_run": "0.05"});
        let found = Differences::of(&manifest(old, money()), &manifest(new, money())).expect("they can be compared");
        assert_eq!(found.costs, None);
        (found.gained, found.lost)
    }

    #[test]
    fn what_lies_within_another_is_nothing_new_and_the_rest_is_told_in_the_words_of_rights() {
        let nothing = (Vec::<String>::new(), Vec::<String>::new());
        let lists = |gained: &[&str], lost: &[&str]| {
            let owned = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
            (owned(gained), owned(lost))
        };
        let files = |access: &str| json!({"files": [{"root": "docs", "access": access, "why": "w"}]});
        assert_eq!(told(files("r"), files("r")), nothing);
        let writes = "reads, writes and deletes in the folder you name for `docs`";
        assert_eq!(told(files("r"), files("rw")), lists(&[writes], &[]));
        assert_eq!(told(files("rw"), files("r")), lists(&[], &[writes]));
        let memory = |read: &str| json!({"memory": {"read": [read], "write": [], "why": "w"}});
        assert_eq!(
            told(memory("team/**"), memory("team/notes/**")),
            lists(&[], &["reads what is remembered in team/**"])
        );
        let llm =
            |most: u64, class: &str| json!({"llm": {"models": ["*"], "max_tokens": most, "class": class, "why": "w"}});
        assert_eq!(
            told(llm(512, "normal"), llm(64, "normal")),
            lists(&[], &["asks a model, at most 512 tokens an answer"])
        );
        assert_eq!(told(llm(512, "normal"), llm(512, "interactive")), lists(&["may ask in class `interactive`"], &[]));
        let hosts = |hosts: &[&str]| json!({"http": {"hosts": hosts, "why": "w"}});
        let left = "reaches the hosts on the internet that you name in its grant";
        let named = "reaches https://a.example.org on the internet";
        assert_eq!(told(json!({}), hosts(&[])), lists(&[left], &[]));
        assert_eq!(told(hosts(&[]), hosts(&[])), nothing);
        assert_eq!(told(hosts(&["https://*.example.org"]), hosts(&["https://a.example.org"])).0, nothing.0);
        assert_eq!(told(hosts(&[]), hosts(&["https://a.example.org"])), lists(&[named], &[left]));
        let crm = |more: &[&str]| {
            let secret = |name: &&str| json!({"handle": name, "only_to": "https://a.example.org", "why": "w"});
            json!({"http": {"hosts": ["https://a.example.org"], "why": "w"}, "secrets": more.iter().map(secret).collect::<Vec<_>>()})
        };
        let sends = |name: &str| format!("sends the secret `{name}` of this home to https://a.example.org");
        assert_eq!(told(crm(&["crm"]), crm(&["crm"])), nothing);
        assert_eq!(told(crm(&[]), crm(&["crm"])), lists(&[&sends("crm")], &[]));
        assert_eq!(told(crm(&["a", "b"]), crm(&["b"])), lists(&[], &[&sends("a")]));
        let agents = |call: &[&str]| json!({"agents": {"call": call, "why": "w"}});
        assert_eq!(told(agents(&["a"]), agents(&["a", "b"])), lists(&["has work done by b"], &[]));
        let tools = json!({"tools": [{"tool": "notes.*", "why": "w"}]});
        assert_eq!(told(tools, json!({"tools": [{"tool": "notes.add", "why": "other"}]})).0, nothing.0);
        let context = "asks for `context`, which no grant gives yet";
        assert_eq!(told(json!({}), json!({"context": {"why": "w"}})), lists(&[context], &[]));
        assert_eq!(
            told(json!({"human": {"why": "w"}}), json!({})),
            lists(&[], &["asks you questions and tells you things"])
        );
    }

    #[test]
    fn money_and_limits_are_told_and_none_comes_or_goes_with_what_it_is_on() {
        let tools = || json!({"tools": [{"tool": "notes.*", "why": "w"}]});
        let of = |old, new| Differences::of(&old, &new).expect("they can be compared");
        let more = of(manifest(json!({}), json!({"usd_run": "0.05"})), manifest(json!({}), json!({"usd_run": "0.10"})));
        assert_eq!((more.gained, more.lost), (vec!["may use 0.10 USD in a run".to_owned()], vec![]));
        assert_eq!(more.costs.as_deref(), Some("at most 0.10 USD a run"));
        let less = of(manifest(tools(), json!({"tool_calls_run": 9})), manifest(tools(), json!({"tool_calls_run": 3})));
        assert_eq!((less.gained.len(), less.lost), (0, vec!["may use 9 tool calls in a run".to_owned()]));
        let gone = of(manifest(tools(), json!({"usd_run": "0.05"})), manifest(json!({}), json!({"usd_run": "0.05"})));
        assert_eq!((gone.gained.len(), gone.lost.len(), gone.costs), (0, 1, None));
        let same = manifest(tools(), json!({}));
        assert!(of(same.clone(), Manifest { version: "2.0.0".into(), ..same }).is_none());
    }
}
