//! Every option of every verb stands in `surface.toml` with a test that uses it and one in which it is refused.

use std::collections::BTreeSet;

use crate::stage::{agentry, end};

const SURFACE: &str = include_str!("surface.toml");

/// The verbs, and how their help is asked for.
const VERBS: &[&[&str]] = &[
    &["setup"],
    &["doctor"],
    &["completions"],
    &["man"],
    &["budget"],
    &["run"],
    &["serve"],
    &["ps"],
    &["wait"],
    &["logs"],
    &["kill"],
    &["pause"],
    &["unpause"],
    &["trace"],
    &["replay"],
    &["export"],
    &["fork"],
    &["import"],
    &["resume"],
    &["resolve"],
    &["approvals"],
    &["approve"],
    &["deny"],
    &["questions"],
    &["answer"],
    &["notices"],
    &["approver", "add"],
    &["approver", "list"],
    &["approver", "remove"],
    &["inspect"],
    &["models"],
    &["tools"],
    &["agents"],
    &["mail"],
    &["mail", "drop"],
    &["policy", "check"],
    &["policy", "lock"],
    &["policy", "unlock"],
    &["audit", "verify"],
    &["backup"],
    &["restore"],
    &["prune"],
    &["compact"],
    &["audit", "calls"],
    &["status"],
    &["label", "remove"],
    &["clock"],
    &["clock", "accept"],
    &["triggers"],
    &["triggers", "requeue"],
    &["triggers", "drop"],
    &["triggers", "list"],
    &["triggers", "pause"],
    &["triggers", "resume"],
    &["triggers", "run-now"],
    &["search"],
    &["info"],
    &["install"],
    &["list"],
    &["update"],
    &["rollback"],
    &["uninstall"],
    &["verify"],
    &["key", "new"],
    &["key", "list"],
    &["key", "trust"],
    &["key", "revoke"],
    &["publish"],
    &["yank"],
    &["index", "init"],
    &["index", "add"],
    &["index", "remove"],
    &["index", "sign"],
    &["index", "rotate"],
    &["index", "build"],
    &["new"],
    &["build"],
    &["policy", "explain"],
    &["policy", "can"],
    &["policy", "diff"],
    &["policy", "simulate"],
    &["policy", "learn"],
    &["policy", "test"],
];

#[test]
fn every_option_is_listed_and_every_listed_option_is_there() {
    let mut found = BTreeSet::new();
    for &verb in VERBS {
        let help = end(agentry().args(verb).arg("--help")).with(0).stdout;
        let name = verb.join(" ");
        found.insert(name.clone());
        for line in help.lines().map(str::trim).filter(|line| line.starts_with('-')) {
            let option = line.split([' ', ',', '=']).find(|word| word.starts_with("--")).unwrap_or_default();
            if option != "--help" {
                found.insert(format!("{name} {option}"));
            }
        }
    }
    let section = SURFACE.split("[cli]\n").nth(1).expect("the surface has [cli]");
    let section = section.split("\n[").next().unwrap_or_default();
    let listed: BTreeSet<String> =
        section.lines().filter_map(|line| Some(line.split('"').nth(1)?.to_owned())).collect();
    assert_eq!(found, listed);
}
