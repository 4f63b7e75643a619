//! What questions about policy rest on: the policy in question, the models and the tools of the home. It opens nothing that acts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use std::{fs, io};

use agentry_config::policies::{PoliciesError, PolicyFiles};
use agentry_drivers::tools::Tools;
use agentry_drivers::tools::config::{ToolLine, ToolsConfig};
use agentry_kernel::Millis;
use agentry_kernel::inquiry::{Scenario, Verdict};
use agentry_kernel::kernel::Lock;
use agentry_kernel::policy::{Beside, Policy};
use agentry_kernel::refusal::Rule;
use agentry_kernel::tool::Tool;
use agentry_llm::Models;
use agentry_runtime::approvals::Roster;
use agentry_runtime::config::{AgentsConfig, Config};
use agentry_runtime::host::policy_watch;
use agentry_store::rows::run::RunRecord;
use anyhow::Result;
use serde_json::{Value, json};

use crate::home::{Home, HomeArgs};
use crate::package;
use crate::screen::{self, BAD, GOOD, HINT, styled, text};

/// Runs that are looked through for the agents that there are.
const RAN_MAX: usize = 1_000;

/// Packages that are read for what a grant says of their versions.
const PACKAGES_MAX: usize = 256;

/// The options of every question.
#[derive(clap::Args)]
pub struct ScenarioArgs {
    #[command(flatten)]
    pub home: HomeArgs,
    /// A policy directory, or one file of it [default: the home's policies]
    #[arg(long, value_name = "DIR|FILE")]
    policies: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

impl ScenarioArgs {
    /// The policy's files.
    pub fn files(&self) -> Result<PolicyFiles> {
        Ok(match &self.policies {
            None => PolicyFiles::read(&self.home.existing()?.policies())?,
            Some(path) => files(path)?,
        })
    }

    /// The scenario under that policy.
    pub fn scenario(&self) -> Result<Scenario> {
        scenario(&self.home.resolve()?, &self.files()?)
    }

    /// Says that the home is locked, if it is and its policy is meant: what policy would allow then, nobody gets.
    pub fn tell_lock(&self) -> Result<()> {
        if let Some(lock) = self.lock()? {
            screen::tell(&format!("{}\n", styled(BAD, text::line(&locked(&lock)))));
        }
        Ok(())
    }

    /// The same for other programs.
    pub fn lock_as_json(&self) -> Result<Value> {
        Ok(self.lock()?.as_ref().map_or(Value::Null, lock_as_json))
    }

    fn lock(&self) -> Result<Option<Lock>> {
        let home = self.home.resolve()?;
        Ok(policy_watch::lock(home.path()).filter(|_| self.policies.is_none()))
    }
}

/// What is said of a home that is locked.
pub fn locked(lock: &Lock) -> String {
    let why = if lock.because.is_empty() { String::new() } else { format!(": {}", lock.because) };
    format!("locked: no agent begins anything new{why}")
}

/// A lock for other programs.
pub fn lock_as_json(lock: &Lock) -> Value {
    json!({"since_ms": lock.since.0, "because": lock.because})
}

/// The files of a directory, or one file.
pub fn files(path: &Path) -> Result<PolicyFiles, PoliciesError> {
    if fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Err(PoliciesError::Absent(path.to_path_buf()));
    }
    if path.is_dir() { PolicyFiles::read(path) } else { PolicyFiles::of(&[path.to_path_buf()]) }
}

/// The scenario of a home under a policy; its tests are not held here, because that is a question of its own.
pub fn scenario(home: &Home, files: &PolicyFiles) -> Result<Scenario> {
    let policy: Policy = files.parse().map_err(PoliciesError::Mistakes)?;
    let config = Config::load(home.path())?;
    let models = Models::open(&config.models, &home.models(), None)?.kernel_models();
    let tools = registered(home, &config)?;
    Ok(Scenario { policy: Arc::new(policy), models, tools, at: now() })
}

/// The tools of a home, which are all that the tests of a policy need to know of it.
pub fn tools(home: &Home) -> Result<Vec<Tool>> {
    registered(home, &Config::load(home.path())?)
}

/// What there is in a home, beside what this policy says.
pub fn beside(home: &Home, policy: &Policy) -> Result<Beside> {
    let config = Config::load(home.path())?;
    let models = Models::open(&config.models, &home.models(), None)?.kernel_models();
    let lines = AgentsConfig::load(home.path())?.agents;
    let named: Vec<String> = lines.iter().map(|line| line.name.clone()).collect();
    let roster = Roster::of(home.path());
    let enrolled = roster.names()?.iter().map(|name| roster.find(name)).collect::<Result<Vec<_>, _>>()?;
    let ran = ran(home)?;
    let mut agents = named.clone();
    agents.extend(home.agents());
    agents.extend(ran.iter().map(|record| record.agent.clone()));
    Ok(Beside {
        at: now(),
        models,
        tools: registered(home, &config)?,
        arguments: arguments(home)?,
        kinds: kinds(home)?,
        secrets: config.secret_handles().map(str::to_owned).collect(),
        agents,
        packages: packages(home, policy, &ran),
        named,
        groups: enrolled.iter().flat_map(|one| one.groups.clone()).collect(),
        people: enrolled.into_iter().map(|one| one.name).collect(),
    })
}

/// The packages of agents whose grants name one: those that lie here, and of the others those that ran, the newest first.
fn packages(home: &Home, policy: &Policy, ran: &[RunRecord]) -> Vec<String> {
    let grants = policy.grants.iter().chain(&policy.observed).filter(|grant| grant.package.is_some());
    let mut found = Vec::new();
    for grant in grants.take(PACKAGES_MAX) {
        let installed = home.component(&grant.agent).ok().and_then(|file| package::of_file_in(home.path(), &file).ok());
        match installed {
            Some(package) => found.push(format!("{}@{}", package.manifest.name, package.manifest.version)),
            None => found
                .extend(ran.iter().filter(|record| record.agent == grant.agent).map(|record| record.package.clone())),
        }
    }
    found
}

/// Runs that were begun here, the newest first. A name in a file is no agent of this home.
fn ran(home: &Home) -> Result<Vec<RunRecord>> {
    let Some(history) = home.history()? else { return Ok(Vec::new()) };
    Ok(history.runs(RAN_MAX)?.into_iter().filter(|record| record.imported.is_none()).collect())
}

fn registered(home: &Home, config: &Config) -> Result<Vec<Tool>> {
    Ok(Tools::registered(&config.secrets, config.hosts.clone(), ToolsConfig::load(home.path())?).kernel_tools())
}

/// What each tool takes, where its schema lists it.
fn arguments(home: &Home) -> Result<BTreeMap<String, Vec<String>>> {
    let listed = |tool: ToolLine| {
        let schema: Value = serde_json::from_str(&tool.schema).ok()?;
        let properties = schema.get("properties")?.as_object().filter(|properties| !properties.is_empty())?;
        Some((tool.name, properties.keys().cloned().collect()))
    };
    Ok(ToolsConfig::load(home.path())?.tools.into_iter().filter_map(|known| listed(known.tool)).collect())
}

/// Of what kind arguments of tools are, where a schema says one.
fn kinds(home: &Home) -> Result<BTreeMap<(String, String), String>> {
    let mut kinds = BTreeMap::new();
    for known in ToolsConfig::load(home.path())?.tools {
        let schema = serde_json::from_str::<Value>(&known.tool.schema).unwrap_or_default();
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, is) in properties.into_iter().flatten() {
            if let Some(kind) = is.get("type").and_then(Value::as_str) {
                kinds.insert((known.tool.name.clone(), name.clone()), kind.to_owned());
            }
        }
    }
    Ok(kinds)
}

fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// `allow`, `ask` or `deny` in its colour.
pub fn word(verdict: &Verdict) -> String {
    let style = match verdict {
        Verdict::Allowed { .. } => GOOD,
        Verdict::Asks(_) => HINT,
        Verdict::Refused(_) => BAD,
    };
    styled(style, verdict.word())
}

/// `site/pay-cap   policies/00-site.toml:13`; a limit that no file of the policy sets stands nowhere.
pub fn place(rule: &Rule) -> String {
    if rule.file.is_empty() { rule.id.clone() } else { format!("{}   {}:{}", rule.id, rule.file, rule.line) }
}

/// A rule for other programs.
pub fn rule_as_json(rule: Option<&Rule>) -> Value {
    let place = |rule: &Rule| (!rule.file.is_empty()).then(|| (rule.file.clone(), rule.line)).unzip();
    rule.map_or(Value::Null, |rule| {
        let (file, line) = place(rule);
        json!({"id": rule.id, "file": file, "line": line})
    })
}

/// An answer for other programs.
pub fn verdict_as_json(verdict: &Verdict) -> Value {
    match verdict.refusal() {
        None => json!({"answer": verdict.word()}),
        Some(refusal) => json!({
            "answer": verdict.word(),
            "code": refusal.code.word(),
            "because": refusal.because,
            "rule": rule_as_json(refusal.rule.as_ref()),
            "hint": refusal.hint,
        }),
    }
}

/// A call for other programs, in the form that `explain` reads.
pub fn call_as_json(call: &agentry_kernel::Call) -> Value {
    let shown = agentry_kernel::inquiry::show_call(call).to_string();
    serde_json::from_str(&shown).unwrap_or(Value::String(shown))
}
