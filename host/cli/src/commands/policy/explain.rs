//! `agentry policy explain`: what policy says to one call, why, and what would change it. It makes no call.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use agentry_kernel::call::Call;
use agentry_kernel::inquiry::{
    Explanation, Packaged, Past, Question, Scenario, Verdict, explain_past, read_call, show_call,
};
use agentry_kernel::json;
use agentry_kernel::labels::Labels;
use agentry_kernel::refusal::Refusal;
use agentry_kernel::text::nearest;
use agentry_packages::signers::Signers;
use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json as object};

use super::past;
use super::scenario::{self, ScenarioArgs, place, rule_as_json, verdict_as_json, word};
use crate::exit::Exit;
use crate::package;
use crate::screen::{self, BOLD, DIM, styled, text};

/// Says which rule decides a call, where it stands and what would change the answer
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry policy explain --agent clerk tool=pay.send cents=80000
  agentry policy explain --agent clerk '{\"tool\": \"mail.send\", \"args\": {\"to\": [\"ops@example.org\"]}}'
  agentry policy explain --agent clerk http=https://api.example.org/v1 --label secret
  agentry policy explain last/17

A call names one of tool, model, memory, root, http (an address), agent, letter (to whom) or human (ask, notify). Beside them stand act (read, write, delete), path, method and \
secret; every other word is an argument of the tool. Exit code 3 if the answer is not a plain yes.")]
pub struct Explain {
    /// The call as words or as JSON, or a syscall of a run as RUN/CALL
    #[arg(value_name = "CALL", required = true)]
    call: Vec<String>,
    /// Who asks [default: the one agent that has a grant]
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// What the run has read so far; may be given more than once
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,
    /// The agent's package: what it does not ask for, it does not get
    #[arg(long, value_name = "FILE")]
    package: Option<PathBuf>,
    #[command(flatten)]
    scenario: ScenarioArgs,
}

/// Asks, and prints the answer.
pub fn run(args: &Explain) -> Result<ExitCode> {
    let scenario = args.scenario.scenario()?;
    args.scenario.tell_lock()?;
    let Asked { question, then, known, scenario } = question(args, scenario)?;
    if !known {
        return unknown(args, &question, then.as_ref());
    }
    let explanation = explain_past(&scenario, &question, then.as_ref());
    if args.scenario.json {
        let mut answer = as_json(&question, &explanation, then.as_ref());
        answer["locked"] = args.scenario.lock_as_json()?;
        screen::print_json(&answer)?;
    } else {
        screen::page(&page(&question, &explanation, then.as_ref()))?;
    }
    let plain = matches!(explanation.verdict, Verdict::Allowed { .. });
    Ok(if plain { Exit::Done } else { Exit::Denied }.into())
}

/// What is asked about.
struct Asked {
    question: Question,
    /// Why it was refused when it was made, if it was.
    then: Option<Refusal>,
    /// Whether its arguments are known.
    known: bool,
    /// What the answer rests on: of a call that was made, with its model.
    scenario: Scenario,
}

/// Says that nobody knows what was asked for: an answer about other arguments would be about another call.
fn unknown(args: &Explain, question: &Question, then: Option<&Refusal>) -> Result<ExitCode> {
    let because = "the arguments of this call were not kept, so nobody can say what policy says to it now";
    if args.scenario.json {
        let mut answer = object!({"answer": "unknown", "because": because, "agent": question.agent});
        answer["call"] = scenario::call_as_json(&question.call);
        answer["then"] = told(then);
        answer["locked"] = args.scenario.lock_as_json()?;
        screen::print_json(&answer)?;
    } else {
        let call = question.call.name();
        let agent = text::line(&question.agent);
        let mut page = format!("{}  {agent} → {call}\n  because   {because}\n", styled(BOLD, "unknown"));
        page.push_str(&said(then));
        page.push_str(&format!(
            "  hint      say it in words: agentry policy explain --agent {agent} tool=NAME ARGUMENT=VALUE\n"
        ));
        screen::page(&page)?;
    }
    Ok(Exit::Denied.into())
}

/// What was said when the call was made.
fn said(then: Option<&Refusal>) -> String {
    let Some(refusal) = then else { return String::new() };
    let rule = refusal.rule.as_ref().map(|rule| format!(" ({})", rule.id)).unwrap_or_default();
    format!("  then      {}: {}{}\n", refusal.code.word(), text::line(&refusal.because), text::line(&rule))
}

fn told(then: Option<&Refusal>) -> Value {
    then.map_or(Value::Null, |refusal| {
        object!({"code": refusal.code.word(), "because": refusal.because, "rule": rule_as_json(refusal.rule.as_ref())})
    })
}

fn question(args: &Explain, scenario: Scenario) -> Result<Asked> {
    for label in &args.labels {
        agentry_kernel::labels::check(label)
            .map_err(|flaw| anyhow!("label `{}` {flaw}\nhint: lowercase letters, digits and `-`", text::line(label)))?;
    }
    let labels = Labels::of(args.labels.iter().cloned());
    let package = args.package.as_ref().map(|file| {
        let package = package::of_file(file)?;
        let signer = Signers::at(args.scenario.home.resolve()?.path()).of(package.digest);
        Ok::<_, anyhow::Error>(Packaged { manifest: Arc::new(package.manifest), signer })
    });
    let package = package.transpose()?;
    if let [reference] = args.call.as_slice()
        && !reference.starts_with('{')
        && !reference.contains('=')
    {
        let (past, place) = past::reference(&args.scenario.home.existing()?, reference)?;
        if let Some(agent) = args.agent.as_ref().filter(|agent| **agent != past.agent) {
            let (agent, other, run) = (text::line(agent), text::line(&past.agent), past.run);
            bail!(
                "run {run} is one of `{other}`, and --agent says `{agent}`\nhint: leave --agent out, or say the call in words"
            )
        }
        let scenario = past::with_script(scenario, std::slice::from_ref(&past));
        return Ok(of_past(scenario, &past, place, (&labels, package)));
    }
    let agent = match &args.agent {
        Some(agent) => known(&scenario, agent)?,
        None => only_agent(&scenario)?,
    };
    let question = Question { agent, package, labels, call: call(&args.call)? };
    Ok(Asked { question, then: None, known: true, scenario })
}

/// A call that was made, with what its run had read by then.
fn of_past(scenario: Scenario, past: &Past, place: usize, more: (&Labels, Option<Packaged>)) -> Asked {
    let (more, package) = more;
    let labels = past.labels_at(place).and(more);
    let replay = past.calls.get(place);
    let call = replay.map_or(Call::TimersNow, |replay| replay.what.clone());
    let package = package.or_else(|| past.package.clone());
    let question = Question { agent: past.agent.clone(), package, labels, call };
    let known = replay.is_none_or(|replay| replay.known);
    Asked { question, then: replay.and_then(|replay| replay.refusal.clone()), known, scenario }
}

/// An agent without a grant may be asked about; one that is nearly called as one that has it was misspelt.
fn known(scenario: &Scenario, agent: &str) -> Result<String> {
    let granted = || scenario.policy.grants.iter().map(|grant| &*grant.agent);
    match nearest(agent, granted()).filter(|_| granted().all(|known| known != agent)) {
        Some(near) => {
            bail!("no policy file grants anything to agent `{}`\nhint: did you mean `{near}`?", text::line(agent))
        }
        None => Ok(agent.to_owned()),
    }
}

fn only_agent(scenario: &Scenario) -> Result<String> {
    match scenario.policy.grants.as_slice() {
        [grant] => Ok(grant.agent.clone()),
        [] => bail!("who asks?\nhint: no policy file grants anything to anybody; name the agent with --agent NAME"),
        several => {
            let names: Vec<&str> = several.iter().take(8).map(|grant| &*grant.agent).collect();
            bail!("who asks?\nhint: name the agent, --agent NAME; there is {}", names.join(", "))
        }
    }
}

/// A call as JSON or as words.
fn call(words: &[String]) -> Result<Call> {
    const KEYS: [&str; 11] =
        ["tool", "model", "memory", "root", "path", "act", "http", "method", "agent", "letter", "human"];
    let hint = "for example `tool=mail.send subject=hello`, or one JSON object";
    let joined = words.join(" ");
    let value = if joined.trim_start().starts_with('{') {
        json::parse(&joined).map_err(|flaw| anyhow!("the call is not JSON that is taken: {flaw}\nhint: {hint}"))?
    } else {
        let (mut entries, mut arguments) = (serde_json::Map::new(), serde_json::Map::new());
        let of_tool = words.iter().any(|word| word.starts_with("tool="));
        for word in words {
            let (key, value) = word
                .split_once('=')
                .with_context(|| format!("`{}` is no word of a call\nhint: {hint}", text::line(word)))?;
            // What reads as JSON is meant as it; the rest is text.
            let read = || serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
            match key.strip_prefix("args.") {
                Some(argument) => arguments.insert(argument.to_owned(), read()),
                None if of_tool && key != "tool" => arguments.insert(key.to_owned(), read()),
                None if KEYS.contains(&key) || key == "secret" || !of_tool => {
                    entries.insert(key.to_owned(), Value::String(value.to_owned()))
                }
                None => None,
            };
        }
        if of_tool {
            entries.insert("args".to_owned(), Value::Object(arguments));
        }
        json::parse(&Value::Object(entries).to_string())
            .map_err(|flaw| anyhow!("the call cannot be read: {flaw}\nhint: {hint}"))?
    };
    read_call(&value).map_err(|error| anyhow!("{error}\nhint: {}", misspelt(words).unwrap_or_else(|| hint.to_owned())))
}

/// What a call is about that names nothing that there is, if it nearly does.
fn misspelt(words: &[String]) -> Option<String> {
    const ABOUT: [&str; 8] = ["tool", "model", "memory", "root", "http", "agent", "letter", "human"];
    let pairs: Vec<(&str, &str)> = words.iter().filter_map(|word| word.split_once('=')).collect();
    let (near, value) = pairs.iter().find_map(|(key, value)| Some((nearest(key, ABOUT.into_iter())?, *value)))?;
    let named = pairs.iter().any(|(key, _)| ABOUT.contains(key));
    (!named).then(|| format!("did you mean `{}`?", text::line(&format!("{near}={value}"))))
}

fn page(question: &Question, explanation: &Explanation, then: Option<&Refusal>) -> String {
    let Explanation { verdict, also, given_by, otherwise } = explanation;
    let mut page = format!(
        "{}  {} → {}\n",
        word(verdict),
        text::line(&question.agent),
        text::cut(&show_call(&question.call).to_string(), 400)
    );
    if !question.labels.is_empty() {
        page.push_str(&format!("  has read  {}\n", question.labels));
    }
    if let Some(refusal) = verdict.refusal() {
        page.push_str(&format!("  because   {}\n", text::line(&refusal.because)));
        if let Some(rule) = &refusal.rule {
            page.push_str(&format!("  rule      {}\n", text::line(&place(rule))));
        }
        if let Some(argument) = &refusal.argument {
            let shown = format!("{} = {}, allowed {}", argument.name, argument.value, argument.allowed);
            page.push_str(&format!("  arg       {}\n", text::line(&shown)));
        }
        if !refusal.hint.is_empty() {
            page.push_str(&format!("  hint      {}\n", text::line(&refusal.hint)));
        }
    }
    for refusal in also {
        let rule = refusal.rule.as_ref().map(|rule| format!("   {}", place(rule))).unwrap_or_default();
        page.push_str(&format!("  and       {}{}\n", text::line(&refusal.because), styled(DIM, text::line(&rule))));
    }
    if !also.is_empty() {
        page.push_str("            what the hint says is not enough: what stands behind it is in the way too\n");
    }
    page.push_str(&said(then.filter(|then| verdict.refusal().is_none_or(|now| now.because != then.because))));
    if let Some(rule) = given_by {
        page.push_str(&format!("  given by  {}\n", text::line(&place(rule))));
    }
    if !otherwise.is_empty() {
        page.push_str(&format!("\n{}\n", styled(BOLD, "what would change it")));
    }
    for other in otherwise {
        let rule = other.verdict.refusal().and_then(|refusal| refusal.rule.as_ref()).map(place).unwrap_or_default();
        let line = format!("{:<44}", text::cut(&other.what, 80));
        page.push_str(&format!("  {line} {}   {}\n", word(&other.verdict), styled(DIM, text::line(&rule))));
    }
    page
}

fn as_json(question: &Question, explanation: &Explanation, then: Option<&Refusal>) -> Value {
    let mut answer = verdict_as_json(&explanation.verdict);
    if let Some(argument) = explanation.verdict.refusal().and_then(|refusal| refusal.argument.as_ref()) {
        answer["argument"] = object!({"name": argument.name, "value": argument.value, "allowed": argument.allowed});
    }
    answer["agent"] = object!(question.agent);
    answer["call"] = scenario::call_as_json(&question.call);
    answer["labels"] = object!(question.labels.iter().collect::<Vec<_>>());
    answer["also"] = Value::Array(explanation.also.iter().map(|refusal| told(Some(refusal))).collect());
    answer["then"] = told(then);
    answer["given_by"] = rule_as_json(explanation.given_by.as_ref());
    let otherwise = explanation.otherwise.iter().map(|other| {
        let mut told = verdict_as_json(&other.verdict);
        told["what"] = object!(other.what);
        told
    });
    answer["otherwise"] = Value::Array(otherwise.collect());
    answer
}
