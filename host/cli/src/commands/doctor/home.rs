//! This home: its directory, its policy, its models, tools, people and agents, and what has grown in it. It reads and changes nothing.

use std::fs;
use std::path::Path;

use agentry_config::policies::{self, PoliciesError, PolicyFiles};
use agentry_drivers::secrets::Secrets;
use agentry_drivers::tools::Tools;
use agentry_drivers::tools::config::ToolsConfig;
use agentry_engine::confine;
use agentry_llm::silent::silent;
use agentry_llm::{Entry, Models};
use agentry_packages::config::PackagesConfig;
use agentry_packages::lock::{Lock, digest_of_path};
use agentry_packages::set::verified;
use agentry_runtime::config::{AgentsConfig, Config, Isolation};
use agentry_runtime::host::{OpenError, clock_watch, policy_watch, set_back};
use agentry_runtime::triggers;
use agentry_serve::api::LookAtClock;
use agentry_serve::socket::{self, Client, ControlError};
use agentry_store::{disk, rows};
use anyhow::{Context, Result};

use super::{Finding, growth};
use crate::commands::models::could_be_asked;
use crate::commands::policy::{beside, locked, tools};
use crate::commands::{self, starts};
use crate::home::{Home, can_write};
use crate::screen::{text, units};

/// Looks at all of it.
pub fn look(home: &Home) -> Vec<Finding> {
    let there = directory(home.path());
    let begun = there.state == super::State::Good;
    let mut findings = vec![there];
    if !begun {
        return findings;
    }
    findings.extend(of("models", models(home)));
    findings.extend(of("isolation", isolation(home)));
    findings.extend(of("tools", registry(home)));
    findings.extend(of("secrets", secrets(home)));
    findings.extend(of("policy", policy(home)));
    findings.extend(of("agents", agents(home)));
    findings.extend(of("packages", packages(home)));
    findings.extend(of("audit", second_place(home)));
    findings.extend(of("time", clock(home)));
    findings.push(host(home.path()));
    findings.extend(of("growth", growth::look(home)));
    // What is wrong with one file is in the way of many things, and is one mistake.
    let mut told: Vec<String> = Vec::new();
    findings.retain(|finding| {
        let first = !told.contains(&finding.found);
        told.push(finding.found.clone());
        first
    });
    findings
}

fn of(about: &'static str, looked: Result<Vec<Finding>>) -> Vec<Finding> {
    looked.unwrap_or_else(|error| vec![Finding::error(about, &error)])
}

fn directory(home: &Path) -> Finding {
    let shown = home.display();
    let Ok(is) = fs::metadata(home) else {
        return Finding::wrong(
            "home",
            format!("{shown} is not there"),
            format!("agentry setup --home {}", text::word(home.display())),
        );
    };
    if !is.is_dir() {
        return Finding::wrong("home", format!("{shown} is no directory"), "choose another one: --home DIR");
    }
    if let Err(error) = policies::home_is_ours(home) {
        return Finding::error("home", &error.into());
    }
    if let Err(error) = can_write(home) {
        return Finding::wrong("home", format!("this user cannot write {shown}: {error}"), disk::mend(&error));
    }
    Finding::good("home", shown.to_string())
}

/// What stands between agents and the process that has the keys of this home.
fn isolation(home: &Home) -> Result<Vec<Finding>> {
    let here = "`isolation = \"process\"` under [engine] in agentry.toml, or no such line";
    Ok(vec![match Config::load(home.path())?.isolation() {
        Isolation::None => {
            let found =
                "agents are executed in the host's process, which has the keys: the engine alone stands between";
            Finding::odd("isolation", found, here)
        }
        Isolation::Process if !confine::has_seccomp() => {
            let mend = "a kernel with seccomp filters; or `isolation = \"none\"` under [engine] in agentry.toml, which is weaker";
            Finding::wrong("isolation", "this system cannot keep calls from a process, so no agent is executed", mend)
        }
        Isolation::Process if !confine::has_landlock() => {
            let found =
                "agents have processes of their own, which are kept from files by their calls alone: no Landlock";
            Finding::odd("isolation", found, "boot Linux 5.13 or later with `landlock` in its `lsm=`")
        }
        Isolation::Process => {
            let found = "agents have processes of their own, without files, network and most calls of the system";
            Finding::good("isolation", found)
        }
    }])
}

fn models(home: &Home) -> Result<Vec<Finding>> {
    let config = Config::load(home.path())?;
    let models = Models::open(&config.models, &home.models(), None)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let silent = runtime.block_on(silent(&config.models, |alias| could_be_asked(&models, alias)));
    runtime.shutdown_background();
    let trouble_of = |entry: &'_ Entry| entry.trouble.as_ref().or_else(|| silent.get(&entry.model.alias)).cloned();
    let mut findings = Vec::new();
    let ready = models.list().filter(|entry| trouble_of(entry).is_none()).count() as u64;
    for entry in models.list() {
        let default = entry.model.alias == models.default_alias();
        let Some(trouble) = trouble_of(entry) else { continue };
        let mut lines = trouble.lines();
        let why = format!("`{}`: {}", entry.model.alias, lines.next().unwrap_or_default());
        let mend = lines.map(|line| line.trim_start_matches("hint: ")).collect::<Vec<_>>().join("; ");
        let mend = if mend.is_empty() { "`agentry models` says more".to_owned() } else { mend };
        findings.push(if default { Finding::wrong("models", why, mend) } else { Finding::odd("models", why, mend) });
    }
    if ready > 0 {
        findings.push(Finding::good(
            "models",
            format!("{} to ask; `{}` is the default", units::plural(ready, "model"), models.default_alias()),
        ));
    }
    Ok(findings)
}

/// Where heads of the log go as well: a host that cannot write there does not begin.
fn second_place(home: &Home) -> Result<Vec<Finding>> {
    let Some(heads) = Config::load(home.path())?.heads else { return Ok(Vec::new()) };
    let place = home.path().join(heads);
    if let Some(directory) = place.parent().filter(|directory| !directory.is_dir()) {
        let why = format!("heads of the log go to {}, whose directory is not there: no host begins", place.display());
        return Ok(vec![Finding::wrong("audit", why, format!("mkdir -p {}", text::word(directory.display())))]);
    }
    let Some(history) = home.history()? else { return Ok(Vec::new()) };
    // A host that runs has been let in, and its newest heads may be on their way.
    if Client::connect(home.path()).is_ok() {
        return Ok(Vec::new());
    }
    match set_back(&**history.store(), rows::host::HOME, &place)? {
        0 => Ok(Vec::new()),
        missing => Err(OpenError::Older { file: place.display().to_string(), missing }.into()),
    }
}

/// The time that the home goes by, where it is not the machine's.
fn clock(home: &Home) -> Result<Vec<Finding>> {
    let reading = match socket::ask(home.path(), LookAtClock) {
        Ok(reading) => reading,
        Err(_) => {
            let Some(history) = home.history()? else { return Ok(Vec::new()) };
            let store = &**history.store();
            clock_watch::of_store(store, rows::host::named(store, rows::host::HOME)?)?.reading()
        }
    };
    let off = commands::clock::off(&reading);
    Ok(off.map(|off| Finding::odd("time", off, commands::clock::MEND)).into_iter().collect())
}

fn registry(home: &Home) -> Result<Vec<Finding>> {
    let config = Config::load(home.path())?;
    let tools = Tools::registered(&config.secrets, config.hosts.clone(), ToolsConfig::load(home.path())?).registry();
    let mut findings = Vec::new();
    for tool in tools.list() {
        if let Some(trouble) = &tool.trouble {
            let (why, mend) = trouble.split_once("\nhint: ").unwrap_or((trouble.as_str(), "`agentry tools` says more"));
            findings.push(Finding::odd("tools", format!("`{}`: {why}", tool.name()), mend));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::good("tools", units::plural(tools.list().count() as u64, "tool")));
    }
    Ok(findings)
}

/// What could be given to nobody, though it is named here.
fn secrets(home: &Home) -> Result<Vec<Finding>> {
    let secrets = Secrets::open(&Config::load(home.path())?.secrets);
    let troubles = secrets.troubles().map(|(handle, trouble)| {
        let (why, mend) = trouble.split_once("\nhint: ").unwrap_or((trouble, ""));
        Finding::odd("secrets", format!("`{handle}`: {why}"), mend)
    });
    Ok(troubles.collect())
}

/// What `packages.toml` says, and whether each component is what was installed.
fn packages(home: &Home) -> Result<Vec<Finding>> {
    PackagesConfig::load(home.path())?;
    let lock = Lock::load(home.path())?;
    let wrong = lock.agents.values().filter_map(|installed| verified(home.path(), &installed.now).err());
    Ok(wrong.map(|fault| Finding::wrong("packages", fault.message, fault.hint)).collect())
}

fn policy(home: &Home) -> Result<Vec<Finding>> {
    let directory = home.policies();
    let files = match PolicyFiles::read(&directory) {
        Err(PoliciesError::Missing(_)) => {
            let mend =
                format!("mkdir -p {}, and save a grant in it: agentry inspect FILE --grant", directory.display());
            return Ok(vec![Finding::wrong("policy", "there is none, so nobody is granted anything", mend)]);
        }
        files => files?,
    };
    let policy = files.parse().map_err(PoliciesError::Mistakes)?;
    let failed = policy.failed_tests(tools(home)?);
    if !failed.is_empty() {
        return Err(PoliciesError::Mistakes(failed).into());
    }
    let mut findings = Vec::new();
    if let Some(lock) = policy_watch::lock(home.path()) {
        findings.push(Finding::wrong("policy", locked(&lock), "agentry policy unlock"));
    }
    let warnings = files.warnings_beside(&policy, &beside(home, &policy)?);
    for warning in policy.warnings().iter().chain(&warnings) {
        let found = format!("{}:{}: {}", warning.file, warning.line, warning.message);
        findings.push(Finding::odd("policy", found, warning.hint.clone()));
    }
    if findings.is_empty() {
        let grants = units::plural(policy.grants.len() as u64, "grant");
        findings.push(Finding::good("policy", format!("{}, {grants}", units::plural(files.len() as u64, "file"))));
    }
    Ok(findings)
}

fn agents(home: &Home) -> Result<Vec<Finding>> {
    let agents = AgentsConfig::load(home.path())?;
    let known = &agents.agents;
    let mut findings = Vec::new();
    // What is installed is looked at as such.
    let written = known.iter().filter(|line| digest_of_path(&line.component).is_none());
    for line in written.filter(|line| !line.component.exists()) {
        let mend = home.without_component(line);
        findings.push(Finding::wrong("agents", format!("`{}` of agents.toml has no component", line.name), mend));
    }
    for error in triggers::unreadable(&agents) {
        findings.push(Finding::error("agents", &error.into()));
    }
    for fault in starts::faults(home)? {
        let (found, mend) = fault.told.split_once("\nhint: ").unwrap_or((&fault.told, ""));
        findings.push(Finding::wrong("agents", found, mend));
    }
    let there = home.agents().len().max(known.len()) as u64;
    if findings.is_empty() {
        findings.push(Finding::good("agents", units::plural(there, "agent")));
    }
    Ok(findings)
}

fn host(home: &Path) -> Finding {
    match Client::connect(home) {
        Ok(_) => Finding::good("host", "one runs here"),
        Err(ControlError::NoHost { .. }) => {
            Finding::good("host", "none runs here; `agentry serve` starts one that takes many runs")
        }
        Err(error) => Finding::error("host", &error.into()),
    }
}
