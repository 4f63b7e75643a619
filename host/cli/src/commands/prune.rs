//! `agentry prune`: journals of runs that are over go, at a person's word, beside a host that serves or without one. Records, books and the chain stay.

use std::process::ExitCode;
use std::time::Duration;

use agentry_journal::prune::Pruned;
use agentry_kernel::retention::{Keep, Retention};
use agentry_runtime::config::Config;
use agentry_serve::pruning;
use anyhow::{Context, Result, bail};

use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::{self, BOLD, DIM, GOOD, span, styled, units};

/// Lets journals go of runs that were over long ago; what they were and cost stays
///
/// A run that goes on, waits or rests keeps its journal, and so do runs that letters, entries of memory and causes name. Of each journal that
/// goes, a receipt stays: the run, its status, its cost and the digest of what went; `agentry audit verify` still proves the log.
#[derive(clap::Args)]
#[command(after_help = "\
Words of --keep: approved (a person said yes in it), done, failed, denied, exhausted, unavailable, stopped. \
The room is used again by what comes; `agentry compact` gives it back to the disk.

Examples:
  agentry prune --older-than 90d --keep failed,approved --dry-run
  agentry prune --older-than 90d --keep failed,approved
  agentry prune                       # as [retention] in agentry.toml says")]
pub struct Args {
    /// Journals of runs that have been over for so long go [default: `ended` of [retention] in agentry.toml]
    #[arg(long, value_name = "TIME", value_parser = span::parse)]
    older_than: Option<Duration>,
    /// But those of runs that ended so stay
    #[arg(long, value_name = "WORDS", value_delimiter = ',', requires = "older_than")]
    keep: Vec<String>,
    /// Say what would go, and let nothing go
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    home: HomeArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Prunes.
pub fn run(args: &Args) -> Result<ExitCode> {
    let home = args.home.existing()?;
    let retention = match args.older_than {
        Some(age) => {
            Retention { ended_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX), keep: keep(&args.keep)? }
        }
        None => match Config::load(home.path())?.retention {
            Some(retention) => retention,
            None => bail!(
                "nothing says how old is old\nhint: add --older-than 90d, or `ended` under [retention] in agentry.toml"
            ),
        },
    };
    if home.history()?.is_none() {
        bail!("nothing ever ran here\nhint: name another home with --home DIR");
    }
    let threads = tokio::runtime::Runtime::new().context("cannot start")?;
    let pruned = threads.block_on(pruning::prune(home.path(), retention, args.dry_run, |_| {}))?;
    if args.json {
        let mut pruned = serde_json::to_value(pruned)?;
        pruned["dry_run"] = args.dry_run.into();
        screen::print_json(&pruned)?;
    } else {
        screen::print(&page(&pruned, args.dry_run))?;
    }
    Ok(Exit::Done.into())
}

fn keep(words: &[String]) -> Result<Keep> {
    let mut keep = Keep::default();
    for word in words {
        if !keep.add(word) {
            bail!("`{word}` is no way for a run to end\nhint: one of {}", Keep::WORDS.join(", "));
        }
    }
    Ok(keep)
}

fn page(pruned: &Pruned, dry: bool) -> String {
    let Pruned { runs, segments, journal_bytes, contents, content_bytes, kept } = *pruned;
    let word = if dry { styled(BOLD, "would go") } else { styled(GOOD, "pruned") };
    let journals = format!("{}, {}", units::plural(runs, "journal"), units::bytes(journal_bytes));
    let contents = format!("{}, {}", units::plural(contents, "content"), units::bytes(content_bytes));
    let keep = if kept == 1 { "keeps its own" } else { "keep theirs" };
    let stays = format!("{} {keep}", units::plural(kept, "run"));
    let facts = [units::plural(segments, "segment"), stays].join(" · ");
    format!("{word}  {journals} · {contents}\n{}\n", styled(DIM, facts))
}
