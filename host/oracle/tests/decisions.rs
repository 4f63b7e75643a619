//! Our table against Cedar, and the widening check against a search for a call that is newly allowed. Seeded: a failure names
//! the seed of its policy, and the same seed fails everywhere.

use agentry_kernel::inquiry::{DiffVerdict, diff};
use agentry_oracle::Answer;
use agentry_oracle::cedar::Oracle;
use agentry_oracle::chance::Chance;
use agentry_oracle::universe::{parse, policy, question, scenario};

/// Policies, each asked so often: more than 100 000 decisions in all, in two tests because they run side by side.
const POLICIES: u64 = 210;
const QUESTIONS: u64 = 250;

/// Pairs of policies, each searched so long.
const PAIRS: u64 = 150;
const SEARCHED: u64 = 120;

#[test]
fn fifty_thousand_decisions_are_those_of_cedar() {
    decisions_are_those_of_cedar(0);
}

#[test]
fn fifty_thousand_other_decisions_are_those_of_cedar() {
    decisions_are_those_of_cedar(POLICIES);
}

fn decisions_are_those_of_cedar(first: u64) {
    let mut answers = [0u64; 3];
    for seed in first..first + POLICIES {
        let mut chance = Chance::of(seed);
        let files = policy(&mut chance);
        let (oracle, scenario) = (Oracle::of(&parse(&files)), scenario(parse(&files)));
        for _ in 0..QUESTIONS {
            let question = question(&mut chance);
            let ours = scenario.ask(&question);
            let theirs = oracle.answer(&question);
            assert_eq!(Answer::from(&ours), theirs, "seed {seed}\n{}\n{}\n{question:?}\n{ours:?}", files[0], files[1]);
            answers[theirs as usize] += 1;
        }
    }
    let [deny, ask, allow] = answers;
    println!("{deny} denied, {ask} asked, {allow} allowed");
    assert!(deny + ask + allow >= 50_000);
    assert!(answers.iter().all(|answers| *answers >= 500), "a kind of answer is hardly met: {answers:?}");
}

#[test]
fn what_cedar_newly_allows_the_widening_check_foretold() {
    let mut wider = 0u64;
    for seed in 0..PAIRS {
        let mut chance = Chance::of(1_000_000 + seed);
        let old = policy(&mut chance);
        let mut new = policy(&mut chance);
        // Mostly one file changes.
        match chance.below(3) {
            0 => new[0].clone_from(&old[0]),
            1 => new[1].clone_from(&old[1]),
            _ => {}
        }
        let (before, after) = (Oracle::of(&parse(&old)), Oracle::of(&parse(&new)));
        let verdict = diff(&scenario(parse(&old)), &scenario(parse(&new))).verdict();
        wider += u64::from(verdict == DiffVerdict::Wider);
        for _ in 0..SEARCHED {
            let question = question(&mut chance);
            let opened = after.answer(&question) > before.answer(&question);
            assert!(!opened || verdict == DiffVerdict::Wider, "seed {seed}\n{old:?}\n{new:?}\n{question:?}");
        }
    }
    println!("{wider} of {PAIRS} pairs are wider");
    assert!(wider > 0 && wider < PAIRS);
}
