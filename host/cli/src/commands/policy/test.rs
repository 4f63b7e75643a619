//! `agentry policy test`: every `[[test]]` of a policy, with what came out. It changes nothing.

use std::process::ExitCode;

use agentry_kernel::inquiry::show_call;
use agentry_kernel::policy::{Expect, Mistake, Trial};
use anyhow::Result;
use serde_json::{Value, json};

use super::scenario::{ScenarioArgs, call_as_json};
use crate::exit::Exit;
use crate::screen::{self, BAD, DIM, GOOD, styled, text, units};

/// Holds the tests that stand in policy files, and shows each with what came out
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry policy test
  agentry policy test --policies new-policies/ --json

Exit code 2 if one fails: a policy whose tests fail is not loaded.")]
pub struct Test {
    #[command(flatten)]
    scenario: ScenarioArgs,
}

/// Holds them.
pub fn run(args: &Test) -> Result<ExitCode> {
    let scenario = args.scenario.scenario()?;
    let failed = scenario.policy.failed_tests(scenario.tools.clone());
    let of = |trial: &Trial| {
        failed.iter().find(|mistake| (&mistake.file, mistake.line) == (&trial.place.file, trial.place.line))
    };
    if args.scenario.json {
        let tests: Vec<Value> = scenario.policy.trials.iter().map(|trial| as_json(trial, of(trial))).collect();
        screen::print_json(&json!({"tests": tests, "failed": failed.len()}))?;
    } else {
        let lines: String = scenario.policy.trials.iter().map(|trial| told(trial, of(trial))).collect();
        let tests = units::plural(scenario.policy.trials.len() as u64, "test");
        let verdict = match failed.len() {
            0 => styled(GOOD, format_args!("{tests}: all hold")),
            many => styled(BAD, format_args!("{tests}: {many} failed")),
        };
        screen::page(&format!("{lines}{verdict}\n"))?;
    }
    Ok(if failed.is_empty() { Exit::Done } else { Exit::Usage }.into())
}

fn expected(expect: Expect) -> String {
    match expect {
        Expect::Allow => "allow".into(),
        Expect::Ask => "ask".into(),
        Expect::Deny(None) => "deny".into(),
        Expect::Deny(Some(code)) => format!("deny:{}", code.word()),
    }
}

fn told(trial: &Trial, failure: Option<&Mistake>) -> String {
    let mark = if failure.is_none() { styled(GOOD, "ok    ") } else { styled(BAD, "FAILED") };
    let place = format!("{}:{}", trial.place.file, trial.place.line);
    let labels = if trial.labels.is_empty() { String::new() } else { format!(" having read {}", trial.labels) };
    let call = text::cut(&format!("{} {}{labels}", trial.agent, show_call(&trial.call)), 200);
    let mut line = format!("{mark} {:<14} {call}   {}\n", expected(trial.expect), styled(DIM, text::line(&place)));
    if let Some(failure) = failure {
        line.push_str(&format!("       {}\n", text::line(&failure.message)));
    }
    line
}

fn as_json(trial: &Trial, failure: Option<&Mistake>) -> Value {
    json!({
        "agent": trial.agent,
        "call": call_as_json(&trial.call),
        "labels": trial.labels.iter().collect::<Vec<_>>(),
        "expect": expected(trial.expect),
        "holds": failure.is_none(),
        "message": failure.map(|failure| &failure.message),
        "file": trial.place.file,
        "line": trial.place.line,
    })
}
