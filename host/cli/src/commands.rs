//! The verbs: one file each, with its arguments and what it does.

mod agents;
mod answer;
mod approvals;
mod approve;
mod approver;
mod asked_before;
mod audit;
mod backup;
mod budget;
mod build;
mod clock;
mod compact;
mod completions;
mod deny;
mod digits;
mod doctor;
mod export;
mod filter;
mod followed;
mod fork;
mod hosting;
mod import;
mod index;
mod info;
mod inspect;
mod install;
mod key;
mod kill;
mod label;
mod list;
mod logs;
mod mail;
mod man;
mod models;
mod new;
mod notices;
mod packages;
mod pause;
mod policy;
mod prune;
mod ps;
mod publish;
mod questions;
mod replay;
mod resolve;
mod restore;
mod resume;
mod rollback;
pub mod run;
#[cfg(test)]
mod screens;
mod search;
mod serve;
mod setup;
mod starts;
mod status;
mod target;
mod tools;
mod trace;
mod triggers;
mod uninstall;
mod unpause;
mod update;
mod verify;
mod wait;
mod yank;

use std::process::ExitCode;

use anyhow::Result;

pub use ps::waits;

/// A verb and its arguments.
#[derive(clap::Subcommand)]
pub enum Command {
    Setup(setup::Args),
    Doctor(doctor::Args),
    Run(run::Args),
    Serve(serve::Args),
    Status(status::Args),
    Ps(ps::Args),
    Wait(wait::Args),
    Logs(logs::Args),
    Kill(kill::Args),
    Pause(pause::Args),
    Unpause(unpause::Args),
    Trace(trace::Args),
    Replay(replay::Args),
    Resolve(resolve::Args),
    Resume(resume::Args),
    Fork(fork::Args),
    Export(export::Args),
    Import(import::Args),
    Approvals(approvals::Args),
    Approve(approve::Args),
    Deny(deny::Args),
    Approver(approver::Args),
    Questions(questions::Args),
    Answer(answer::Args),
    Notices(notices::Args),
    Budget(budget::Args),
    Inspect(inspect::Args),
    Models(models::Args),
    Tools(tools::Args),
    Agents(agents::Args),
    Mail(mail::Args),
    Policy(policy::Args),
    Audit(audit::Args),
    Backup(backup::Args),
    Restore(restore::Args),
    Prune(prune::Args),
    Compact(compact::Args),
    Label(label::Args),
    Clock(clock::Args),
    Triggers(triggers::Args),
    Search(search::Args),
    Info(info::Args),
    Install(install::Args),
    List(list::Args),
    Update(update::Args),
    Rollback(rollback::Args),
    Uninstall(uninstall::Args),
    Verify(verify::Args),
    Key(key::Args),
    New(new::Args),
    Build(build::Args),
    Publish(publish::Args),
    Yank(yank::Args),
    Index(index::Args),
    Completions(completions::Args),
    Man(man::Args),
}

impl Command {
    /// Does what the verb says.
    pub fn run(self) -> Result<ExitCode> {
        match self {
            Self::Setup(args) => setup::run(args),
            Self::Doctor(args) => doctor::run(&args),
            Self::Run(args) => run::run(args),
            Self::Serve(args) => serve::run(args),
            Self::Status(args) => status::run(&args),
            Self::Ps(args) => ps::run(&args),
            Self::Wait(args) => wait::run(&args),
            Self::Logs(args) => logs::run(&args),
            Self::Kill(args) => kill::run(args),
            Self::Pause(args) => pause::run(&args),
            Self::Unpause(args) => unpause::run(&args),
            Self::Trace(args) => trace::run(&args),
            Self::Replay(args) => replay::run(args),
            Self::Resolve(args) => resolve::run(args),
            Self::Resume(args) => resume::run(args),
            Self::Fork(args) => fork::run(args),
            Self::Export(args) => export::run(args),
            Self::Import(args) => import::run(args),
            Self::Approvals(args) => approvals::run(&args),
            Self::Approve(args) => approve::run(args),
            Self::Deny(args) => deny::run(args),
            Self::Approver(args) => approver::run(args),
            Self::Questions(args) => questions::run(&args),
            Self::Answer(args) => answer::run(args),
            Self::Notices(args) => notices::run(&args),
            Self::Budget(args) => budget::run(&args),
            Self::Inspect(args) => inspect::run(&args),
            Self::Models(args) => models::run(&args),
            Self::Tools(args) => tools::run(&args),
            Self::Agents(args) => agents::run(&args),
            Self::Mail(args) => mail::run(args),
            Self::Policy(args) => policy::run(&args),
            Self::Audit(args) => audit::run(&args),
            Self::Backup(args) => backup::run(&args),
            Self::Restore(args) => restore::run(args),
            Self::Prune(args) => prune::run(&args),
            Self::Compact(args) => compact::run(&args),
            Self::Label(args) => label::run(args),
            Self::Clock(args) => clock::run(&args),
            Self::Triggers(args) => triggers::run(&args),
            Self::Search(args) => search::run(&args),
            Self::Info(args) => info::run(&args),
            Self::Install(args) => install::run(&args),
            Self::List(args) => list::run(&args),
            Self::Update(args) => update::run(&args),
            Self::Rollback(args) => rollback::run(&args),
            Self::Uninstall(args) => uninstall::run(&args),
            Self::Verify(args) => verify::run(&args),
            Self::Key(args) => key::run(&args),
            Self::New(args) => new::run(args),
            Self::Build(args) => build::run(args),
            Self::Publish(args) => publish::run(&args),
            Self::Yank(args) => yank::run(&args),
            Self::Index(args) => index::run(&args),
            Self::Completions(args) => completions::run(&args),
            Self::Man(args) => man::run(&args),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Subcommand as _;

    use super::*;

    /// All commands below this one, with itself.
    fn all(command: &clap::Command) -> Vec<&clap::Command> {
        std::iter::once(command).chain(command.get_subcommands().flat_map(all)).collect()
    }

    #[test]
    fn prose_of_help_is_broken_by_the_screen_alone() {
        let command = Command::augment_subcommands(clap::Command::new("agentry"));
        for command in all(&command) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let lines: Vec<&str> = help.lines().collect();
            for pair in lines.windows(2) {
                let is_prose = pair.iter().all(|line| line.starts_with(|first: char| !first.is_whitespace()));
                assert!(!is_prose || pair[0].ends_with(':'), "{}: {}", command.get_name(), pair[0]);
            }
        }
    }
}
