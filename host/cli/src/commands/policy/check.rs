//! `agentry policy check`: is a policy well formed, do its own tests hold, and what in it is probably not meant? It changes nothing.

use std::path::PathBuf;
use std::process::ExitCode;

use agentry_config::policies::PolicyFiles;
use agentry_kernel::policy::{Mistake, Policy};
use agentry_runtime::host::policy_watch;
use agentry_serve::socket::Client;
use anyhow::Result;
use serde_json::{Value, json};

use super::scenario;
use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::{self, BAD, BOLD, GOOD, HINT, styled, text, units};

/// Reads a policy as a run would, holds its tests, and says what is wrong with it
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry policy check
  agentry policy check --policies policies/
  agentry policy check 50-researcher.toml --json

Exit code 2 if there is a mistake or a test fails: such a policy is not used. Of single files, those tests are held whose \
agent has its grant among them; name the directory for all of them.")]
pub struct Check {
    /// A policy directory, or files of one [default: the home's policies]
    #[arg(value_name = "DIR|FILE")]
    paths: Vec<PathBuf>,
    /// The same, as other commands name it
    #[arg(long, value_name = "DIR|FILE", conflicts_with = "paths")]
    policies: Option<PathBuf>,
    #[command(flatten)]
    home: HomeArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Check {
    /// What was named; nothing if the home's policy is meant.
    fn named(&self) -> &[PathBuf] {
        self.policies.as_ref().map_or(&self.paths, std::slice::from_ref)
    }
}

/// What was found.
struct Found {
    files: usize,
    policy: Policy,
    mistakes: Vec<Mistake>,
    warnings: Vec<Mistake>,
    /// Tests that were held.
    held: usize,
}

/// Checks, and prints what was found.
pub fn run(check: &Check) -> Result<ExitCode> {
    let found = find(check)?;
    let place = check.home.resolve().ok().filter(|_| check.named().is_empty());
    let locked = place.as_ref().and_then(|home| policy_watch::lock(home.path()));
    if let Some(lock) = &locked {
        screen::tell(&format!("{}\n", styled(BAD, text::line(&super::locked(lock)))));
    }
    if !found.mistakes.is_empty() && place.is_some_and(|home| Client::connect(home.path()).is_ok()) {
        screen::tell(&format!("{}\n", styled(BAD, "the host that runs here keeps the last good policy")));
    }
    if check.json {
        let mut told = as_json(&found);
        told["locked"] = locked.as_ref().map_or(Value::Null, super::scenario::lock_as_json);
        screen::print_json(&told)?;
    } else {
        screen::page(&page(&found))?;
    }
    Ok(if found.mistakes.is_empty() { Exit::Done } else { Exit::Usage }.into())
}

/// Reads the files; and where they are well formed, holds their tests.
fn find(check: &Check) -> Result<Found> {
    let (files, whole) = match check.named() {
        [] => (PolicyFiles::read(&check.home.existing()?.policies())?, true),
        [directory] if directory.is_dir() => (PolicyFiles::read(directory)?, true),
        paths => (PolicyFiles::of(paths)?, false),
    };
    let count = files.len();
    let mut policy = match files.parse() {
        Ok(policy) => policy,
        Err(mistakes) => {
            return Ok(Found { files: count, policy: Policy::default(), mistakes, warnings: Vec::new(), held: 0 });
        }
    };
    let mut warnings = policy.warnings().to_vec();
    let home = check.home.resolve()?;
    if home.path().is_dir() {
        warnings.extend(files.warnings_beside(&policy, &scenario::beside(&home, &policy)?));
    }
    if !whole {
        // What the missing files say would change what comes out.
        let granted: Vec<String> = policy.grants.iter().map(|grant| grant.agent.clone()).collect();
        policy.trials.retain(|trial| granted.contains(&trial.agent));
    }
    let held = policy.trials.len();
    let mistakes = match held {
        0 => Vec::new(),
        _ => policy.failed_tests(scenario::tools(&home)?),
    };
    Ok(Found { files: count, policy, mistakes, warnings, held })
}

fn page(found: &Found) -> String {
    let Found { files, policy, mistakes, warnings, held } = found;
    let mut page = String::new();
    for mistake in mistakes {
        page.push_str(&format!("{}: {}\n\n", styled(BAD, "error"), text::ours(&mistake.to_string())));
    }
    for warning in warnings {
        page.push_str(&format!("{}: {}\n\n", styled(HINT, "warning"), text::ours(&warning.to_string())));
    }
    for grant in &policy.grants {
        let package = grant.package.as_ref().map_or_else(|| "any package of this name".to_owned(), ToString::to_string);
        let place = format!("{}:{}", grant.rule.file, grant.rule.line);
        let line = format!("{:<20} {package:<32} {place}", grant.agent);
        page.push_str(&format!("{}\n", text::line(&line)));
    }
    let mut read = units::plural(*files as u64, "file");
    if *held > 0 {
        read.push_str(&format!(", {}", units::plural(*held as u64, "test")));
    }
    let verdict = match (mistakes.len() as u64, warnings.len() as u64) {
        (0, 0) if *files == 0 => styled(BOLD, format_args!("{read}: nothing is granted to anybody")),
        (0, 0) => styled(GOOD, format_args!("{read}: nothing is wrong")),
        (0, warnings) => styled(BOLD, format_args!("{read}: {}", units::plural(warnings, "warning"))),
        (mistakes, _) => {
            styled(BAD, format_args!("{read}: {}, so none of it is used", units::plural(mistakes, "mistake")))
        }
    };
    page.push_str(&format!("{verdict}\n"));
    page
}

fn as_json(found: &Found) -> Value {
    let told = |mistake: &Mistake| {
        let Mistake { file, line, column, message, hint, .. } = mistake;
        json!({"file": file, "line": line, "column": column, "message": message, "hint": hint})
    };
    let grants = found.policy.grants.iter().map(|grant| {
        let package = grant.package.as_ref().map(ToString::to_string);
        json!({"agent": grant.agent, "package": package, "file": grant.rule.file, "line": grant.rule.line})
    });
    json!({
        "files": found.files,
        "tests": found.held,
        "grants": grants.collect::<Vec<_>>(),
        "mistakes": found.mistakes.iter().map(told).collect::<Vec<_>>(),
        "warnings": found.warnings.iter().map(told).collect::<Vec<_>>(),
    })
}
