//! `agentry restore`: a home out of a backup, at a place where nothing is. It never writes over anything.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use agentry_journal::backup::{self, Restored, Source, Which};
use agentry_kernel::time::Millis;
use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::{self, DIM, GOOD, styled, text, units, when};

/// Puts a home back out of a backup, and proves it
///
/// It is made beside its place, proven row by row together with its log, and only then stands there: whatever this is cut by, there is a
/// whole home or none. What its second place of heads knows and the backup does not is gone: a host refuses such a home until
/// `agentry serve --accept-older`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry restore /mnt/elsewhere/agentry --to ./home
  agentry restore /mnt/elsewhere/agentry --to ./home --at '2026-03-01 12:00:00'
  ssh elsewhere 'cat home.backup' | agentry restore - --to ./home")]
pub struct Args {
    /// A directory of backups, the file of a stream, or `-` for standard input
    #[arg(value_name = "FROM")]
    from: PathBuf,
    /// Where: a directory that is empty or not there [default: $AGENTRY_HOME, or the user's data directory]
    #[arg(long, alias = "home", value_name = "DIR")]
    to: Option<PathBuf>,
    /// The last generation that was taken by then, in UTC
    #[arg(long, value_name = "WHEN", value_parser = when::parse, conflicts_with = "generation")]
    at: Option<Millis>,
    /// The generation of this number [default: the last one]
    #[arg(long, value_name = "N")]
    generation: Option<u64>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// A home in another one would go with every backup and every mistake of that. Of a directory that is one itself, whoever fills it says that it is
/// not empty.
fn outside(to: &Path) -> Result<()> {
    let to = std::path::absolute(to)?;
    let real = to.ancestors().skip(1).find_map(|above| above.canonicalize().ok());
    let is_home = |above: &&Path| above.join("store.redb").exists() && above.join("policies").is_dir();
    if let Some(other) = real.as_deref().and_then(|real| real.ancestors().find(is_home)) {
        bail!(
            "{} lies in the home {}\nhint: name a directory outside of it: --to DIR",
            text::line(&to.display().to_string()),
            text::line(&other.display().to_string())
        );
    }
    Ok(())
}

/// Puts it back.
pub fn run(args: Args) -> Result<ExitCode> {
    let home = HomeArgs::at(args.to).resolve()?;
    let which = match (args.at, args.generation) {
        (Some(at), _) => Which::At(at),
        (None, Some(number)) => Which::Generation(number),
        (None, None) => Which::Newest,
    };
    outside(home.path())?;
    let from = text::line(&args.from.display().to_string());
    let source = if args.from.as_os_str() == "-" {
        Source::Stream { name: "standard input".to_owned(), bytes: Box::new(io::stdin().lock()) }
    } else if args.from.is_dir() {
        Source::Directory(args.from)
    } else {
        let file = File::open(&args.from);
        let file = file.with_context(|| format!("cannot read {from}\nhint: name a directory of backups, or a file"))?;
        Source::Stream { name: from, bytes: Box::new(file) }
    };
    if matches!(source, Source::Stream { .. }) && which != Which::Newest {
        bail!("a stream has one generation\nhint: leave out --at and --generation, or name a directory of backups");
    }
    let threads = tokio::runtime::Runtime::new().context("cannot start")?;
    // It waits for the store's writer, on this thread.
    let entered = threads.enter();
    let restored = backup::restore(source, which, home.path())?;
    drop(entered);
    let Restored { generation, at, rows, files, audit } = &restored;
    if args.json {
        screen::print_json(&json!({
            "home": home.path(),
            "generation": generation,
            "at_ms": at.map(|at| at.0),
            "rows": rows,
            "files": files,
            "segments": audit.segments,
            "head": audit.head,
        }))?;
        return Ok(Exit::Done.into());
    }
    let of = at.map_or_else(String::new, |at| format!(" of {} UTC", units::moment(at.0)));
    let which = generation.map_or_else(String::new, |number| format!("generation {number}"));
    let place = text::line(&home.path().display().to_string());
    let what = format!("{which}{of} to {place}");
    screen::tell(&format!("{}  {}\n", styled(GOOD, "restored"), what.trim_start()));
    let proven = [
        format!("proven: {}", units::plural(*rows, "row")),
        units::plural(*files, "file"),
        units::plural(audit.segments, "segment"),
    ];
    screen::tell(&format!("  {}\n", styled(DIM, proven.join(", "))));
    screen::tell(&format!("  {}\n", styled(DIM, "not in a backup: keys, the codes of approvers, files of roots")));
    Ok(Exit::Done.into())
}
