//! What was in the way of a run that did not succeed: the syscall's error that its agent passed on, with the kernel's words, or the
//! budget that ended it, with its limit and the line that sets it. It words; it decides nothing.

use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::fault;
use agentry_drivers::{files, human};
use agentry_kernel::budget::Allowance;
use agentry_kernel::budget::{Resource, Window};
use agentry_kernel::journal::Status;
use agentry_kernel::policy::{Budget, Policy};
use agentry_kernel::refusal::{Code, Refusal};
use agentry_kernel::text::cut;
use agentry_store::StoreError;
use agentry_store::limits::FAILURE_MAX_BYTES;
use agentry_store::rows::run::Cause;

use crate::dispatch::Cut;
use crate::run::context::RunContext;
use crate::run::end::{End, Why, in_two};

/// The cause of an end, if there is one to tell.
pub(super) fn of(
    end: &End,
    run: &RunContext,
    policy: &Policy,
    allowance: &Allowance,
    truncated: Option<Cut>,
) -> Option<Cause> {
    let cause = match &end.why {
        Why::Call(error) => Some(of_call(error, run)),
        Why::Budget(what) => Some(of_budget(*what, run, policy, allowance)),
        Why::Store(error) => Some(of_store(error)),
        Why::Itself => None,
    };
    // An agent that fails over half an answer seldom says that it was half.
    let cause =
        cause.or_else(|| truncated.filter(|_| end.status == Status::Failed).map(|cut| of_cut(&cut, run, policy)))?;
    Some(Cause {
        text: self::cut(cause.text, FAILURE_MAX_BYTES),
        hint: self::cut(cause.hint, FAILURE_MAX_BYTES),
        ..cause
    })
}

/// An error of a syscall, in the kernel's words where it was a refusal.
fn of_call(error: &Error, run: &RunContext) -> Cause {
    let refusals = run.tally().refusals;
    let at = |refusal: &Refusal| refusal.reference.map(|(run, call)| format!("{run}/{call}")).unwrap_or_default();
    let refusal = match error {
        Error::Denied(denial) => refusals.iter().rev().find(|refusal| at(refusal) == denial.reference),
        Error::Exhausted(_) => refusals.iter().rev().find(|refusal| matches!(refusal.code, Code::Exhausted { .. })),
        _ => None,
    };
    let kind = fault::kind(error).to_owned();
    let Some(refusal) = refusal else { return Cause { kind, text: fault::words(error), hint: next(error, run) } };
    let rule =
        refusal.rule.as_ref().map(|rule| format!(", {} in {}:{}", rule.id, rule.file, rule.line)).unwrap_or_default();
    let because = refusal.because.trim_end_matches('.');
    let text = format!("{} {}: {because}{rule}", refusal.wanted, at(refusal));
    Cause { kind, text, hint: refusal.hint.clone() }
}

/// Where the host's own words are of what a guest is told little about.
fn next(error: &Error, run: &RunContext) -> String {
    match error {
        Error::Unavailable(told) if human::is_declined(&told.reason) => {
            "a person decided so; asked again, they may answer otherwise".to_owned()
        }
        Error::Unavailable(_) | Error::TimedOut | Error::Denied(_) => format!(
            "`agentry trace {}` has the host's own words of it; `agentry doctor` looks at models, tools and secrets",
            run.id
        ),
        Error::Exhausted(_) | Error::Cancelled => String::new(),
        Error::NotFound(told) => files::not_given(told)
            .map_or_else(String::new, |root| format!("name the directory that it stands for: --root {root}=DIR")),
        Error::Invalid(_) | Error::Conflict(_) | Error::Interrupted(_) => String::new(),
    }
}

/// A store that could not be written.
fn of_store(error: &StoreError) -> Cause {
    let (text, hint) = in_two(error);
    Cause { kind: "unavailable".to_owned(), text, hint }
}

/// A budget that the engine enforces.
fn of_budget(what: Resource, run: &RunContext, policy: &Policy, allowance: &Allowance) -> Cause {
    let (amount, key) = match what {
        Resource::Fuel => (allowance.fuel, "fuel_run"),
        Resource::Memory => (allowance.memory_bytes, "memory_mb"),
        _ => (allowance.wall_ms, "wall_run"),
    };
    let kind = "exhausted".to_owned();
    let shown = what.show(amount);
    let grant = policy.grants.iter().find(|grant| grant.agent == run.agent);
    let budgets = grant.map(|grant| &grant.budget).into_iter().chain([&policy.budget]);
    let set = budgets.flat_map(|budget| [Window::Run, Window::Minute, Window::Day].map(|window| (budget, window)));
    let is_it = |(budget, window): &(&Budget, Window)| budget.limits(*window).get(what) == Some(amount);
    let mut set = set.filter(is_it);
    if let Some((budget, window)) = set.next() {
        let (word, rule) = budget.word(what, window);
        let word = word.unwrap_or(key);
        let text = format!("{}: the limit is {shown}, `{word}` in {}:{}", what.name(), rule.file, rule.line);
        let hint = format!("raise it in {}:{}, for example `{}`", rule.file, rule.line, line(word, what, amount));
        return Cause { kind, text, hint };
    }
    let day = grant.filter(|grant| grant.budget.day.get(what).is_some_and(|day| day > amount));
    let file = grant.map_or("the agent's grant", |grant| &grant.rule.file);
    match day {
        Some(grant) => {
            let (word, rule) = grant.budget.word(what, Window::Day);
            let word = word.unwrap_or(key);
            let text = format!("{}: {shown} were left of `{word}` in {}:{}", what.name(), rule.file, rule.line);
            Cause {
                kind,
                text,
                hint: format!("wait for the next day (UTC), or raise `{word}` in {}:{}", rule.file, rule.line),
            }
        }
        None => {
            let text = format!("{}: the limit is {shown}, which holds where no file sets another", what.name());
            Cause { kind, text, hint: format!("add `{}` below [budget] in {file}", line(key, what, amount)) }
        }
    }
}

/// A line of `[budget]` with twice as much.
fn line(word: &str, what: Resource, amount: u64) -> String {
    let twice = amount.saturating_mul(2);
    match what {
        Resource::Memory => format!("{word} = {}", twice >> 20),
        Resource::WallTime => format!("{word} = \"{}s\"", twice.div_ceil(1000)),
        _ => format!("{word} = {}", digits(twice)),
    }
}

/// A number as TOML lets one read it: `5_000_000`.
fn digits(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            shown.push('_');
        }
        shown.push(digit);
    }
    shown
}

/// The last answer of a model was cut at its longest.
fn of_cut(cut: &Cut, run: &RunContext, policy: &Policy) -> Cause {
    let Cut { model, tokens, asked } = cut;
    let text = format!("the last answer of model `{model}` reached max-output: it was cut at {tokens} tokens");
    let grant = policy.grants.iter().find(|grant| grant.agent == run.agent);
    let granted = grant.and_then(|grant| Some((grant, grant.rights.llm.as_ref()?.max_tokens?)));
    let hint = match granted {
        Some((grant, most)) if asked.is_none_or(|asked| asked >= most) => {
            format!("raise `max_tokens = {}` of `llm` in {}", digits(most.saturating_mul(2)), grant.rule.file)
        }
        _ => "its author asks for more: `max_tokens` of the request in the agent's code".to_owned(),
    };
    Cause { kind: "max-output".to_owned(), text, hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_that_a_policy_reads() {
        assert_eq!(line("fuel_run", Resource::Fuel, 1_500), "fuel_run = 3_000");
        assert_eq!(line("memory_mb", Resource::Memory, 64 << 20), "memory_mb = 128");
        assert_eq!(line("wall_run", Resource::WallTime, 1_500), "wall_run = \"3s\"");
    }
}
