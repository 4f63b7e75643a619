//! Policy files, alone and together: a mistake is told well, and what is read means one thing.

use std::sync::Arc;

use agentry_kernel::Millis;
use agentry_kernel::inquiry::{DiffVerdict, Scenario, diff};
use agentry_kernel::limits::MISTAKES_MAX;
use agentry_kernel::policy::{Mistake, Policy};

use crate::{BETWEEN, is_plain, parse};

/// An input is the files of one policy.
pub fn holds(text: &str) {
    let files: Vec<&str> = text.split(BETWEEN).collect();
    match parse(&files) {
        Err(mistakes) => {
            assert!((1..=MISTAKES_MAX).contains(&mistakes.len()), "{} mistakes", mistakes.len());
            mistakes.iter().for_each(|mistake| told(mistake, &files));
        }
        Ok(policy) => {
            policy.warnings().iter().for_each(|warning| told(warning, &files));
            policy.failed_tests(Vec::new()).iter().for_each(|failed| told(failed, &files));
            means_one_thing(policy, &files);
        }
    }
}

/// It points at a line that is there, and does no more to a terminal than to be read.
fn told(mistake: &Mistake, files: &[&str]) {
    let lines = files.iter().map(|file| file.split('\n').count()).max().unwrap_or(1);
    assert!((1..=lines).contains(&(mistake.line as usize)), "line {} of {lines}", mistake.line);
    assert!(mistake.column >= 1 && !mistake.message.is_empty());
    assert!(is_plain(&mistake.to_string()), "{mistake:?}");
}

/// A comment changes nothing, and nothing is wider than itself.
fn means_one_thing(policy: Policy, files: &[&str]) {
    let commented: Vec<String> = files.iter().map(|file| format!("{file}\n# a comment\n")).collect();
    let commented: Vec<&str> = commented.iter().map(String::as_str).collect();
    let again = parse(&commented).unwrap_or_else(|mistakes| panic!("a comment is a mistake: {}", mistakes[0]));
    assert_eq!(format!("{:?}", policy.grants), format!("{:?}", again.grants));
    assert_eq!((&policy.ceilings, &policy.rules), (&again.ceilings, &again.rules));
    let scenario =
        Scenario { policy: Arc::new(policy), models: Vec::new(), tools: Vec::new(), at: Millis(1_800_000_000_000) };
    assert_eq!(diff(&scenario, &scenario.under(Arc::new(again))).verdict(), DiffVerdict::Same);
}
