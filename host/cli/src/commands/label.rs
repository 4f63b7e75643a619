//! `agentry label`: what a person takes off what is kept, or off a run that goes on. It is journaled, and it is the one way back besides a named rule.

use std::path::PathBuf;
use std::process::ExitCode;

use agentry_kernel::journal::Status;
use agentry_kernel::labels::{self, Labels};
use agentry_serve::api::{Labelled, Unlabel, UnlabelRun};
use agentry_serve::error::OpError;
use agentry_serve::offline;
use anyhow::{Context, Result, bail};

use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::{self, styled, text};

/// Takes labels off what agents have written, and off runs
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    Remove(Remove),
}

/// Takes labels off a file or an entry of memory: from here on, who reads it does not gain them. Or off a run that goes on
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry label remove untrusted --file reports/week-12.md --because \"I read it\"
  agentry label remove secret --namespace team/board --key todo --because \"it says nothing of the merger\"
  agentry label remove untrusted --run last --because \"I read the mail that it has read\"")]
struct Remove {
    /// The labels; `*` where it has lost track of its own
    #[arg(value_name = "LABEL", required = true)]
    labels: Vec<String>,
    /// The file or directory
    #[arg(long, value_name = "PATH", conflicts_with_all = ["namespace", "key"],
          required_unless_present_any = ["namespace", "run"])]
    file: Option<PathBuf>,
    /// The namespace of the entry
    #[arg(long, value_name = "NAMESPACE", requires = "key")]
    namespace: Option<String>,
    /// The entry
    #[arg(long, value_name = "KEY", requires = "namespace")]
    key: Option<String>,
    /// A run that goes on: its id, the beginning of it, or `last`
    #[arg(long, value_name = "RUN", conflicts_with_all = ["file", "namespace", "key"])]
    run: Option<String>,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    because: String,
    #[command(flatten)]
    home: HomeArgs,
}

/// Does what the second verb says.
pub fn run(args: Args) -> Result<ExitCode> {
    let Verb::Remove(remove) = args.verb;
    for label in remove.labels.iter().filter(|label| *label != "*") {
        if let Err(flaw) = labels::check(label) {
            bail!("a label {flaw}: {}\nhint: `agentry trace` shows the labels that a run gained", text::line(label));
        }
    }
    if let Some(run) = &remove.run {
        return off_run(run, &remove);
    }
    let from = match (remove.file, remove.namespace, remove.key) {
        (Some(file), ..) => {
            let path = file.canonicalize().with_context(|| {
                format!("cannot find {}\nhint: name the file as it lies on this machine", file.display())
            })?;
            Labelled::File(path.display().to_string())
        }
        (None, Some(namespace), Some(key)) => Labelled::Entry { namespace, key },
        _ => bail!("nothing is named\nhint: --file PATH, or --namespace NAMESPACE --key KEY"),
    };
    let home = remove.home.existing()?;
    let unlabel = Unlabel { from, labels: Labels::of(remove.labels), because: remove.because };
    let threads = tokio::runtime::Runtime::new().context("cannot start")?;
    let taken = threads.block_on(offline::act(home.path(), unlabel))?;
    if taken.is_empty() {
        screen::tell("it had none of them\n");
    } else {
        screen::tell(&format!("{}  {}\n", styled(screen::GOOD, "taken off"), taken));
    }
    Ok(Exit::Done.into())
}

/// Off a run that goes on: a label that it does not hold is a mistake, because whoever names it thinks that it does.
fn off_run(name: &str, remove: &Remove) -> Result<ExitCode> {
    let home = remove.home.existing()?;
    let Some(history) = home.history()? else {
        bail!("there are no runs here\nhint: start one: agentry run FILE.wasm, or name another home with --home DIR");
    };
    let record = history.run(name)?;
    if record.status != Status::Running {
        return Err(OpError::not_running(record.id).into());
    }
    let labels = Labels::of(remove.labels.iter().cloned());
    let unlabel = UnlabelRun { run: record.id, labels: labels.clone(), because: remove.because.clone() };
    let taken = offline::unlabel_run(home.path(), unlabel)?;
    if taken.is_empty() {
        let held = if record.labels.is_empty() { "none at all".to_owned() } else { record.labels.to_string() };
        bail!("run {} does not hold {labels}\nhint: it holds {held}", record.id);
    }
    screen::tell(&format!("{}  {taken}  off run {}\n", styled(screen::GOOD, "taken off"), record.id));
    Ok(Exit::Done.into())
}
