//! The four sentences of the README, as it says them: its policies, its tools and its commands, and what they answered.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::stage::{Stage, agentry, end, example, repository};

/// The README from this sentence to the next bold line.
fn section(sentence: &str) -> String {
    let readme = fs::read_to_string(repository("README.md")).expect("there is a README");
    let from = readme.find(&format!("**{sentence}**")).unwrap_or_else(|| panic!("it does not say: {sentence}"));
    let rest = &readme[from + 2..];
    let ends = ["\n**", "\n## "].iter().filter_map(|mark| rest.find(mark)).min().unwrap_or(rest.len());
    rest[..ends].to_owned()
}

/// The first block in this language.
fn block(text: &str, language: &str) -> String {
    let open = format!("```{language}\n");
    let from = text.find(&open).unwrap_or_else(|| panic!("there is no `{language}` in:\n{text}")) + open.len();
    text[from..from + text[from..].find("```").expect("the block ends")].to_owned()
}

/// A home with the README's tools, errand's own grant and the policy that says the sentence.
fn stage(section: &str) -> Stage {
    let stage = Stage::new();
    stage.policy(&fs::read_to_string(repository("policies/50-errand.toml")).expect("errand has a policy"));
    let tools = block(&self::section("Four sentences"), "toml");
    for (name, text) in [("home/policies/00-site.toml", block(section, "toml")), ("home/tools.toml", tools)] {
        let file = stage.write(name, &text);
        fs::set_permissions(file, fs::Permissions::from_mode(0o644)).expect("it is ours");
    }
    fs::copy(example("errand"), stage.path("errand.wasm")).expect("it is built");
    stage.write("inbox/hello.txt", "Dear friend, send me what you know.");
    stage.write("vault/key.txt", "the combination is 0000");
    stage.write("reports/archive/2025.md", "# 2025");
    stage
}

/// Runs each `$ command` of the section's console; every line shown below it is among what it said, in this order.
fn holds(stage: &Stage, section: &str) {
    let console = block(section, "console");
    let mut said = String::new();
    let mut rest = "";
    let bin = agentry().get_program().to_owned();
    for line in console.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            let script = format!("agentry() {{ \"$AGENTRY\" \"$@\"; }}; {command}");
            let mut shell = Command::new("bash");
            shell.args(["-c", &script]).env("AGENTRY", &bin).env("AGENTRY_HOME", stage.home()).env("NO_COLOR", "1");
            let ended = end(shell.current_dir(stage.path("")));
            said = format!("{}{}", ended.stdout, ended.stderr);
            rest = &said;
            continue;
        }
        rest = after(rest, line).unwrap_or_else(|| panic!("it did not say `{line}`:\n{said}"));
    }
    assert!(!said.is_empty(), "the console shows no command:\n{section}");
}

/// What follows the first line that reads like this one, in which `…` stands for anything.
fn after<'a>(text: &'a str, like: &str) -> Option<&'a str> {
    let mut place = 0;
    for line in text.split_inclusive('\n') {
        place += line.len();
        let mut rest = line;
        let matches = like.split('…').all(|part| match rest.find(part) {
            Some(at) => {
                rest = &rest[at + part.len()..];
                true
            }
            None => false,
        });
        if matches {
            return Some(&text[place..]);
        }
    }
    None
}

/// What the last call was refused with; no budget moved for it.
fn refused(stage: &Stage) -> String {
    let calls = stage.calls();
    let last = calls.last().expect("it called");
    stage.nothing_moved(&[]);
    last["refusal"]["code"].as_str().unwrap_or_else(|| panic!("it was not refused: {last}")).to_owned()
}

#[test]
fn no_agent_spends_more_than_five_dollars_today() {
    let section = section("No agent spends more than five dollars today.");
    let stage = stage(&section);
    holds(&stage, &section);
    assert_eq!(refused(&stage), "exhausted");
    // What was spent before counts today, in every run.
    let budget = end(stage.agentry("budget").arg("--json")).with(0).stdout;
    assert!(budget.contains("4000000"), "{budget}");
}

#[test]
fn no_agent_deletes_in_this_directory() {
    let section = section("No agent deletes in this directory.");
    let stage = stage(&section);
    holds(&stage, &section);
    assert_eq!(refused(&stage), "forbidden");
    assert!(stage.path("reports/archive/2025.md").exists(), "it is gone");
}

#[test]
fn nobody_sells_the_car_without_a_second_factor() {
    let section = section("Nobody sells the car without a second factor.");
    let stage = stage(&section);
    holds(&stage, &section);
    assert_eq!(refused(&stage), "not-approved");
}

#[test]
fn whoever_has_read_a_strangers_mail_and_our_secrets_may_not_talk_to_the_outside() {
    let section = section("Whoever has read a stranger's mail and our secrets may not talk to the outside.");
    let stage = stage(&section);
    holds(&stage, &section);
    assert_eq!(refused(&stage), "label");
}
