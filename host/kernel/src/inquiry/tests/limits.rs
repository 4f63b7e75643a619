//! Limits beside what they are on.

use super::*;

#[test]
fn a_limit_that_goes_with_all_that_it_is_on_opens_nothing() {
    let (rights, budget) = CLERK.split_once("[[allow]]").expect("it has tools");
    let (_, budget) = budget.split_once("[budget]").expect("it has a budget");
    let limited = format!("{CLERK}tool_calls_run = 60\n");
    let without = format!("{rights}[budget]{budget}");
    assert_eq!(diff(&scenario(&[SITE, &limited]), &scenario(&[SITE, &without])).verdict(), DiffVerdict::Narrower);
    assert_eq!(diff(&scenario(&[SITE, &without]), &scenario(&[SITE, &limited])).verdict(), DiffVerdict::Wider);
    assert_eq!(diff(&scenario(&[SITE, &limited]), &scenario(&[SITE, CLERK])).verdict(), DiffVerdict::Wider);
    // Others may call tools for it.
    let delegates = without.replace("[budget]", "[agents]\ncall = [\"other\"]\nwhy = \"x\"\n\n[budget]");
    let calls = diff(&scenario(&[SITE, &limited]), &scenario(&[SITE, &delegates]));
    assert!(calls.opened.iter().any(|change| change.what.contains("without limit")), "{:?}", calls.opened);
}
