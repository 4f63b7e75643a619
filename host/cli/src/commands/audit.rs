//! `agentry audit`: is the log what was written, and what was decided in it? It reads and changes nothing.

pub mod calls;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use agentry_journal::audit::{Audit, heads};
use agentry_runtime::config::Config;
use anyhow::{Result, bail};

use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::{self, BAD, DIM, GOOD, HINT, styled, text, units};

/// Proves that nobody changed what happened; lists what was decided
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    Verify(Verify),
    Calls(calls::Calls),
}

/// Walks the log: each record in its place, unchanged, with all that it names
///
/// Without heads in a second place, a log that was cut at its end or written anew from the beginning looks whole.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry audit verify
  agentry audit verify --heads /mnt/elsewhere/heads
  agentry audit verify --json | jq .broken")]
struct Verify {
    /// The second place of the heads [default: `heads` of [audit] in agentry.toml]
    #[arg(long, value_name = "FILE")]
    heads: Option<PathBuf>,
    #[command(flatten)]
    home: HomeArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Does what the second verb says.
pub fn run(args: &Args) -> Result<ExitCode> {
    match &args.verb {
        Verb::Verify(args) => verify(args),
        Verb::Calls(args) => calls::run(args),
    }
}

/// Walks the log and says what it found.
fn verify(verify: &Verify) -> Result<ExitCode> {
    let home = verify.home.existing()?;
    let file = match &verify.heads {
        Some(file) => Some(file.clone()),
        None => configured(home.path())?,
    };
    // A place that the configuration names and that is not there vouches for nothing: whoever cuts the log takes it away too.
    let (file, gone) = match file {
        Some(file) if verify.heads.is_none() && !file.exists() => (None, Some(file)),
        file => (file, None),
    };
    // Before the log: a head that is written meanwhile is not missed in it.
    let known = file.as_deref().map(heads::read).transpose()?;
    let Some(history) = home.history()? else {
        bail!(
            "nothing ever ran here\nhint: start an agent: agentry run FILE.wasm, or name another home with --home DIR"
        );
    };
    let audit = history.audit(known.as_ref().map_or(&[], |known| known.heads.as_slice()))?;
    let torn = known.as_ref().map_or(0, |known| known.torn);
    if verify.json {
        let mut audit = serde_json::to_value(&audit)?;
        audit["torn_heads"] = torn.into();
        audit["heads_gone"] = gone.as_ref().map(|file| file.display().to_string()).into();
        screen::print_json(&audit)?;
    } else {
        screen::page(&page(&audit, known.is_some() || gone.is_some()))?;
        if let Some(file) = &gone {
            screen::page(&second_place_gone(file))?;
        }
        if torn > 0 {
            let lines = units::plural(torn, "line");
            screen::tell(&format!(
                "{}\n",
                styled(DIM, format_args!("{lines} of the second place are torn and say nothing"))
            ));
        }
    }
    Ok(if audit.broken.is_none() && gone.is_none() { Exit::Done } else { Exit::Failed }.into())
}

/// The file that the configuration names.
fn configured(home: &Path) -> Result<Option<PathBuf>> {
    Ok(Config::load(home)?.heads.map(|file| home.join(file)))
}

/// What is said of heads that should be there.
fn second_place_gone(file: &Path) -> String {
    let file = text::line(&file.display().to_string());
    format!(
        "{}  `heads` of [audit] names {file}, which is not there: a log that was cut at its end or written anew looks whole\n{}: bring it back from \
         where it was kept and verify again; a host makes it anew, without what it knew. If none has run since it was configured, there was \
         nothing in it yet\n",
        styled(BAD, "gone"),
        styled(HINT, "hint")
    )
}

/// What was found, for people.
pub fn page(audit: &Audit, with_heads: bool) -> String {
    let facts = [
        units::plural(audit.segments, "segment"),
        units::entries(audit.entries),
        units::plural(audit.contents, "content"),
        units::plural(audit.heads, "head") + " in the second place",
    ];
    let mut page = format!("{}\n", styled(DIM, facts.join(" · ")));
    if audit.pruned > 0 {
        let (segments, runs) = (units::plural(audit.pruned, "segment"), units::plural(audit.pruned_runs, "run"));
        let were = if audit.pruned == 1 { "was" } else { "were" };
        let gone = format!("{segments} of {runs} {were} pruned: places in the log and names stay");
        page.push_str(&format!("{}\n", styled(DIM, gone)));
    }
    if audit.imported > 0 {
        let runs = units::plural(audit.imported, "run");
        let strange = format!("{runs} came out of files: what happened before they came is what the files say");
        page.push_str(&format!("{}\n", styled(DIM, strange)));
    }
    if audit.unchained > 0 {
        let old = format!("the first {} were written by a version without a chain", audit.unchained);
        page.push_str(&format!("{}\n", styled(DIM, old)));
    }
    match &audit.broken {
        None => {
            page.push_str(&format!("{}  {}\n", styled(GOOD, "whole"), audit.head));
            for (host, head) in &audit.others {
                page.push_str(&format!("{}  {head}  host {host}\n", styled(GOOD, "whole")));
            }
        }
        Some(broken) => {
            let run = broken.run.as_ref().map(|run| format!(" of run {run}")).unwrap_or_default();
            let host = if broken.host.is_first() { String::new() } else { format!(" of host {}", broken.host) };
            let (word, what) = (styled(BAD, "broken"), text::line(&broken.what));
            page.push_str(&format!("{word}  segment {}{host}{run}: {what}\n", broken.segment));
        }
    }
    if !with_heads {
        let hint = "no heads in a second place: a log that was cut at its end or written anew would look whole";
        page.push_str(&format!("{}\n", styled(DIM, hint)));
    }
    page
}
