//! `agentry policy simulate`: what a changed policy would have said to calls that were made. It makes none of them again.

use std::process::ExitCode;
use std::sync::Arc;

use agentry_config::policies::{PoliciesError, PolicyFiles};
use agentry_journal::history::History;
use agentry_kernel::RunId;
use agentry_kernel::inquiry::{Changed, Past, Scenario, Verdict, amend, diff, replay, show_call, unknown};
use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};

use super::diff as changes;
use super::past;
use super::scenario::{ScenarioArgs, call_as_json, verdict_as_json, word};
use crate::exit::Exit;
use crate::screen::{self, BOLD, DIM, receipt, styled, text, units};

/// Runs that are simulated at most; a policy is not judged by more.
const RUNS_MAX: usize = 1_000;

/// Says which recorded calls another policy would have denied or allowed
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry policy simulate --against last
  agentry policy simulate --against all --policies new-policies/
  agentry policy simulate --against 0gx3,0gx4 --set site/pay-cap.max=80000
  agentry policy simulate --call last/17 --set site/pay-cap.max=80000

--set RULE.KEY=VALUE changes one value that stands in the policy, for this question alone; RULE is a rule's id, an agent's name \
or site/ceiling; budgets stand below both: clerk.usd_day, site/ceiling.usd_day. What else the change would allow is \
shown too. Exit code 1 if an answer changes, or if nobody knows of one:
arguments of refused calls are kept within bounds.")]
pub struct Simulate {
    /// Runs: ids or their beginnings with commas between, `last` or `all`
    #[arg(long, value_name = "RUNS", required_unless_present = "call", conflicts_with = "call")]
    against: Option<String>,
    /// One syscall instead of whole runs
    #[arg(long, value_name = "RUN/CALL")]
    call: Option<String>,
    /// Change a value of the policy; may be given more than once
    #[arg(long, value_name = "RULE.KEY=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    scenario: ScenarioArgs,
}

/// Simulates, and prints what would be different.
pub fn run(args: &Simulate) -> Result<ExitCode> {
    let files = args.scenario.files()?;
    let home = args.scenario.home.existing()?;
    let before = super::scenario::scenario(&home, &files)?;
    let changed = set(&files, &args.set)?.parse().map_err(PoliciesError::Mistakes);
    let after = changed.with_context(|| match args.set.as_slice() {
        [] => "this is no policy".to_owned(),
        set => format!("with `--set {}` this is no policy", text::line(&set.join(" --set "))),
    })?;
    let after = before.under(Arc::new(after));
    let (mut pruned, mut is_all) = (0, true);
    let (past, changed) = match &args.call {
        Some(reference) => {
            let (past, place) = past::reference(&home, reference)?;
            one(&past::with_script(after.clone(), std::slice::from_ref(&past)), (past, place))
        }
        None => {
            let history = past::history(&home)?;
            let runs;
            (runs, pruned, is_all) = self::runs(&history, args.against.as_deref().unwrap_or("last"))?;
            let past = runs.into_iter().filter_map(|run| past::of(&home, &history, run).transpose());
            let past = past.collect::<Result<Vec<_>>>()?;
            let changed = replay(&past::with_script(after.clone(), &past), &past);
            (past, changed)
        }
    };
    if args.scenario.json {
        let mut told = as_json(&before, &after, &past, &changed);
        (told["pruned_runs"], told["all"]) = (json!(pruned), json!(is_all));
        screen::print_json(&told)?;
    } else {
        screen::page(&page(&before, &after, &past, &changed, !args.set.is_empty()))?;
        receipt::tell_pruned(pruned);
        if !is_all {
            let newest =
                format!("the newest {} runs alone: the others were not looked at", units::count(RUNS_MAX as u64));
            screen::tell(&format!("{}\n", styled(DIM, newest)));
        }
    }
    let sure = changed.is_empty() && unknown(&past).is_empty();
    Ok(if sure { Exit::Done } else { Exit::Failed }.into())
}

/// One call of a run, and what would be answered to it otherwise. The calls before it are made again for what they read and cost.
fn one(scenario: &Scenario, (mut past, place): (Past, usize)) -> (Vec<Past>, Vec<Changed>) {
    past.calls.truncate(place + 1);
    let asked = past.calls.last().map(|replay| replay.call);
    let mut changed = replay(scenario, std::slice::from_ref(&past));
    changed.retain(|change| change.call.is_none() || change.call == asked);
    past.calls.drain(..place);
    (vec![past], changed)
}

/// The runs that are named, of how many others the journals went, and whether these are all that were meant.
fn runs(history: &History, names: &str) -> Result<(Vec<RunId>, u64, bool)> {
    if names != "all" {
        let named = names.split(',').map(|name| Ok(history.whole_run(name.trim())?.id));
        return Ok((named.collect::<Result<_>>()?, 0, true));
    }
    let mut newest = history.runs(RUNS_MAX + 1)?;
    let is_all = newest.len() <= RUNS_MAX;
    newest.truncate(RUNS_MAX);
    let pruned = history.receipts(&newest)?.iter().flatten().count() as u64;
    Ok((newest.into_iter().map(|record| record.id).collect(), pruned, is_all))
}

/// The files with values changed.
fn set(files: &PolicyFiles, changes: &[String]) -> Result<PolicyFiles> {
    let mut files = files.clone();
    for change in changes {
        let hint = "hint: --set RULE.KEY=VALUE, for example --set site/pay-cap.max=80000";
        let (target, value) =
            change.split_once('=').with_context(|| format!("`{}` sets nothing\n{hint}", text::line(change)))?;
        let (mut found, mut flaw) = (false, None);
        files = files.revised(|_, text| match amend(text, target, value) {
            Ok(changed) => {
                found |= changed.is_some();
                changed
            }
            Err(error) => {
                flaw = Some(error);
                None
            }
        });
        if let Some(flaw) = flaw {
            return Err(if flaw.contains("\nhint: ") { anyhow!("{flaw}") } else { anyhow!("{flaw}\n{hint}") });
        }
        if !found {
            bail!("no rule or agent is called as `{}` says\n{hint}", text::line(target));
        }
    }
    Ok(files)
}

fn page(before: &Scenario, after: &Scenario, past: &[Past], changed: &[Changed], set: bool) -> String {
    let mut page = String::new();
    for change in changed {
        let call = change.call.map_or_else(|| "start".to_owned(), |call| call.to_string());
        let what = change.what.as_ref().map_or_else(|| "the run itself".to_owned(), |what| show_call(what).to_string());
        let was = change.was_word();
        let line = format!("{}/{call}  {}  {}", change.run, change.agent, text::cut(&what, 240));
        page.push_str(&format!("{}\n  was {was}, is {}", text::line(&line), word(&change.is)));
        if let Some(refusal) = change.is.refusal() {
            page.push_str(&format!(":{} {}", refusal.code.word(), text::line(&refusal.because)));
            if let Some(rule) = &refusal.rule {
                page.push_str(&format!("   {}", styled(DIM, text::line(&super::scenario::place(rule)))));
            }
        }
        page.push_str("\n\n");
    }
    let calls: usize = past.iter().map(|past| past.calls.len()).sum();
    let unknown = unknown(past);
    for (run, call) in &unknown {
        page.push_str(&format!("{run}/{call}  unknown: its arguments were not kept\n"));
    }
    let (runs, calls) = (units::plural(past.len() as u64, "run"), units::plural(calls as u64, "syscall"));
    let counts = match (changed.len() as u64, unknown.len() as u64) {
        (changes, 0) => format!("{runs}, {calls}: {} would change", units::plural(changes, "answer")),
        (0, unknown) => format!("{runs}, {calls}: of {unknown} nobody knows, the others would not change"),
        (changes, unknown) => {
            format!("{runs}, {calls}: {} would change, of {unknown} nobody knows", units::plural(changes, "answer"))
        }
    };
    page.push_str(&format!("{}\n", styled(BOLD, counts)));
    if set {
        page.push_str(&format!("\n{}\n{}", styled(BOLD, "and beyond these runs"), changes::page(&diff(before, after))));
    }
    page
}

fn as_json(before: &Scenario, after: &Scenario, past: &[Past], changed: &[Changed]) -> Value {
    let told = |change: &Changed| {
        json!({
            "run": change.run.to_string(),
            "agent": change.agent,
            "call": change.call.map(|call| call.0),
            "what": change.what.as_ref().map(call_as_json),
            "was": change.was_word(),
            "is": verdict_as_json(&change.is),
        })
    };
    let denied = changed.iter().filter(|change| !matches!(change.is, Verdict::Allowed { .. })).count();
    json!({
        "runs": past.len(),
        "calls": past.iter().map(|past| past.calls.len()).sum::<usize>(),
        "unknown": unknown(past).iter().map(|(run, call)| format!("{run}/{call}")).collect::<Vec<_>>(),
        "denied": denied,
        "allowed": changed.len() - denied,
        "changed": changed.iter().map(told).collect::<Vec<_>>(),
        "diff": changes::as_json(&diff(before, after)),
    })
}
