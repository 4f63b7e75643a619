//! `agentry policy learn`: the tightest grant that an agent's recorded runs needed, to be reviewed. It grants nothing.

use std::process::ExitCode;
use std::sync::Arc;

use agentry_config::policies::PolicyFiles;
use agentry_kernel::Digest;
use agentry_kernel::inquiry::{Changed, Scenario, Suggestion, Verdict, learn, replay};
use agentry_kernel::policy::{Policy, Source};
use agentry_store::rows::run::RunRecord;
use anyhow::{Result, anyhow, bail};
use serde_json::json;

use super::past;
use super::scenario::{ScenarioArgs, scenario};
use crate::exit::Exit;
use crate::screen::{self, receipt, text, units};

/// Writes the tightest grant that an agent's recorded runs needed, with tests, ready to review
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry policy learn clerk > policies/50-clerk.toml
  agentry policy learn clerk --runs 20
  agentry policy learn clerk --json | jq -r .grant")]
pub struct Learn {
    /// The agent
    #[arg(value_name = "AGENT")]
    agent: String,
    /// How many of its newest runs are looked at
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    #[command(flatten)]
    scenario: ScenarioArgs,
}

/// Runs of all agents that are looked through for those of one.
const LOOKED_THROUGH_MAX: usize = 10_000;

/// That nothing is learned from what this agent did.
fn of_files(agent: &str) -> String {
    let agent = text::line(agent);
    format!(
        "agent `{agent}` has not run here: the runs of it came out of files, and nobody is granted anything for what those say\nhint: learn in the home where it ran, or let it run here"
    )
}

/// Reads the journal and writes the grant.
pub fn run(args: &Learn) -> Result<ExitCode> {
    let home = args.scenario.home.existing()?;
    let history = past::history(&home)?;
    // A run out of a file did what its maker wrote: nobody is granted anything for that.
    let own = |record: &RunRecord| record.agent == args.agent && record.imported.is_none();
    let all = history.runs(LOOKED_THROUGH_MAX)?;
    let records: Vec<_> = all.iter().filter(|record| own(record)).take(args.runs as usize).collect();
    let Some(newest) = records.first() else {
        if all.iter().any(|record| record.agent == args.agent) {
            bail!("{}", of_files(&args.agent));
        }
        let hint = text::meant(&args.agent, all.iter().map(|record| &*record.agent), "`agentry ps` lists what did");
        bail!("agent `{}` has not run here\nhint: {hint}", text::line(&args.agent));
    };
    let runs = records.iter().filter_map(|record| past::of(&home, &history, record.id).transpose());
    let mut runs = runs.collect::<Result<Vec<_>>>()?;
    let records: Vec<RunRecord> = records.iter().copied().cloned().collect();
    let pruned = history.receipts(&records)?.iter().flatten().count() as u64;
    if runs.is_empty() && pruned > 0 {
        let (agent, gone) = (text::line(&args.agent), units::plural(pruned, "run"));
        bail!(
            "nothing is left to learn from: the journals of {gone} of agent `{agent}` were pruned\nhint: let it run once more; or a backup from before has them: put it back beside this home"
        );
    }
    if runs.is_empty() {
        let trace =
            "hint: `agentry trace last` says why; under a grant that lets it begin there is something to learn from";
        bail!("no run of agent `{}` ever began\n{trace}", text::line(&args.agent));
    }
    let package = newest.package.split('@').next();
    let policy = args.scenario.files().ok().and_then(|files| files.parse().ok());
    let grant = learn(&Suggestion { agent: &args.agent, package, runs: &runs, policy: policy.as_ref() });
    runs.iter_mut().for_each(|run| run.calls.retain(|call| !call.is_void()));
    let scenario = past::with_script(scenario(&home, &PolicyFiles::default())?, &runs);
    let changed = check(&scenario, &grant, &runs)?;
    let missing: Vec<_> = changed.iter().filter(|change| change.was.is_none()).collect();
    for change in &missing {
        let call = change.call.map_or_else(|| "its start".to_owned(), |call| format!("syscall {call}"));
        let because = change.is.refusal().map(|refusal| refusal.because.as_str()).unwrap_or_default();
        screen::tell(&format!("warning: not covered: {call} of run {}: {}\n", change.run, text::line(because)));
    }
    if args.scenario.json {
        let tight = json!({"agent": args.agent, "runs": runs.len(), "grant": grant, "not_covered": missing.len()});
        screen::print_json(&tight)?;
    } else {
        screen::print(&grant)?;
        screen::tell(&format!(
            "learnt from {}; review it before you save it\n",
            units::plural(runs.len() as u64, "run")
        ));
        receipt::tell_pruned(pruned);
    }
    Ok(Exit::Done.into())
}

/// What the grant would have denied of what it was learnt from.
fn check(scenario: &Scenario, grant: &str, runs: &[agentry_kernel::inquiry::Past]) -> Result<Vec<Changed>> {
    let parsed = Policy::parse(&[Source { file: "the learnt grant", text: grant }], Digest::default());
    let policy = parsed.map_err(|mistakes| {
        let first = mistakes.first().map(ToString::to_string).unwrap_or_default();
        anyhow!("what was learnt cannot be said in the policy language: {first}\nhint: write the grant by hand: agentry inspect FILE --grant")
    })?;
    let changed = replay(&scenario.under(Arc::new(policy)), runs);
    Ok(changed.into_iter().filter(|change| !matches!(change.is, Verdict::Allowed { .. })).collect())
}
