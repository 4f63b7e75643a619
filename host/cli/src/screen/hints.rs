//! What a person can do next after an error, in the verbs of this command. Errors of the crates below name none: each face has its own words.

use std::error::Error;
use std::io;

use agentry_journal::backup::BackupError;
use agentry_journal::history::NoRun;
use agentry_runtime::approvals::RosterError;
use agentry_serve::error::{Next, OpError};
use agentry_store::disk;

use super::text;

/// What to do about an error; none if its own text says it, or nothing helps.
pub fn of(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(error) = error.downcast_ref::<OpError>() {
        return error.next.as_ref().map(words);
    }
    if let Some(none) = error.downcast_ref::<NoRun>() {
        return OpError::from(none.clone()).next.as_ref().map(words);
    }
    match error.downcast_ref::<BackupError>() {
        Some(BackupError::None { .. }) => return Some("`agentry backup DIR` makes one".to_owned()),
        Some(BackupError::NoGeneration { place, .. }) => {
            return Some(format!("`agentry backup --list {}` shows those that there are", text::word(place)));
        }
        Some(BackupError::Broken { .. }) => return Some("`agentry audit verify` says more".to_owned()),
        _ => {}
    }
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return disk::is_full(error).then(|| "make room on that disk, or choose another".to_owned());
    }
    match error.downcast_ref::<RosterError>()? {
        RosterError::Unknown { .. } => Some(words(&Next::Approvers)),
        RosterError::Exists(name) => {
            Some(format!("`agentry approver remove {name}` first; their app's entry is useless then"))
        }
        RosterError::Name { .. }
        | RosterError::TooMany { .. }
        | RosterError::Reachable { .. }
        | RosterError::Damaged { .. }
        | RosterError::Io { .. }
        | RosterError::Random(_) => None,
    }
}

fn words(next: &Next) -> String {
    let words = match next {
        Next::OpenApprovals => "`agentry approvals` lists those that are open",
        Next::ClosedApprovals => "`agentry approvals --all` shows what became of it",
        Next::GiveCode => "add --code with the six digits of your authenticator app",
        Next::GiveCodeAndName => "add --code with the six digits of your authenticator app, and --as NAME",
        Next::GiveName => "add --as NAME; `agentry approver list` lists them",
        Next::Approvers => "`agentry approver list` lists them; `agentry approver add NAME` enrols one",
        Next::OpenQuestions => "`agentry questions` lists those that are open",
        Next::Runs => "`agentry ps` lists them; `last` is the newest",
        Next::LiveRuns => "`agentry ps` lists those that do",
        Next::LiveRunsOrKept => {
            "`agentry ps` lists those that do; off what it wrote, labels are taken with --file or --namespace"
        }
        Next::Trace(run) => return format!("`agentry trace {run}` shows each call and what came of it"),
        Next::Letters => "`agentry mail` and `agentry mail --dead` list them",
        Next::LetGo => "stop the host, or let some go: agentry unpause AGENT",
        Next::Run => "`agentry run FILE.wasm` runs an agent",
        Next::Serve => "start one: agentry serve, or name another home with --home DIR",
        Next::Triggers => "`agentry triggers list` shows them, each with its id",
        Next::ResumeTrigger(name) => return format!("let it go first: agentry triggers resume {name}"),
        Next::Causes => "`agentry triggers` lists those that are not done",
        Next::DropCause(name) => {
            return format!("`agentry triggers` says why; `agentry triggers drop {name}` throws it away");
        }
        Next::Kill(run) => return format!("`agentry kill {run}` ends it, and its cause with it"),
        Next::Resume(run) => return format!("agentry resume {run}, or start a host: agentry serve"),
        Next::RunsOrKey => "`agentry ps` lists what began; an order with --key KEY can be made again",
        Next::ServeInstead => "wait for its end, or stop it; `agentry serve` starts one that does",
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::text;

    #[test]
    fn an_error_of_a_crate_below_gets_the_verbs_of_this_command() {
        let error = anyhow::Error::from(NoRun::Never);
        let hint = "`agentry run FILE.wasm` runs an agent".to_owned();
        assert_eq!(text::explain(&error), ("nothing has run in this home yet".to_owned(), vec![hint]));
        let meant = "did you mean 0gx3?".to_owned();
        let error = NoRun::Unknown { name: "0gx4".to_owned(), meant: Some(meant.clone()) };
        assert_eq!(text::explain(&error.into()), ("there is no run `0gx4`".to_owned(), vec![meant]));
        let error = anyhow::Error::from(RosterError::Exists("bob".to_owned())).context("cannot enrol");
        assert!(text::explain(&error).1[0].contains("agentry approver remove bob"));
    }
}
