//! `agentry backup`: a home as it stands at one moment, also while a host serves it. It changes nothing in the home.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use agentry_journal::backup::{self, Generation, ListedGeneration, Taken};
use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::table::{Cell, Table, left, right};
use crate::screen::{self, DIM, GOOD, fold, styled, text, units};

/// Letters of a head that tell it from others.
const HEAD_LETTERS: usize = 16;

/// Copies a home as it stands now, also while a host serves it, and proves the copy
///
/// A directory takes one generation after another; each copies only what is new. What is written is read back, each piece and the log of the home
/// are proven, and only then the generation counts: whatever a backup is cut by, those before it are whole.
#[derive(clap::Args)]
#[command(after_help = "\
What is in it: all that agents did and keep, budgets, questions, policies, configuration, agents. What is not: keys \
and secrets, which the configuration only names, `export.key`, the codes of approvers, the files of roots, and the \
second place of the heads.

Examples:
  agentry backup /mnt/elsewhere/agentry
  agentry backup --list /mnt/elsewhere/agentry
  agentry backup - | ssh elsewhere 'cat > home.backup'")]
pub struct Args {
    /// The directory of backups, which is made at need; `-` writes one whole backup to standard output
    #[arg(value_name = "DIR|-")]
    to: PathBuf,
    /// List the generations in DIR, and copy nothing
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    home: HomeArgs,
    /// Print JSON: one object, or an array with --list
    #[arg(long)]
    json: bool,
}

/// Copies, or lists what was copied.
pub fn run(args: &Args) -> Result<ExitCode> {
    let stream = args.to.as_os_str() == "-";
    if args.list {
        if stream {
            bail!("a stream has one generation\nhint: name the directory: agentry backup --list DIR");
        }
        return list(&args.to, args.json);
    }
    if stream && args.json {
        bail!("standard output is the backup\nhint: leave out --json, or name a directory");
    }
    let home = args.home.existing()?;
    let Some(history) = home.history()? else {
        bail!(
            "nothing ever ran in {}\nhint: `agentry run FILE.wasm` runs an agent, or name another home with --home DIR",
            text::line(&home.path().display().to_string())
        );
    };
    if !stream {
        outside(home.path(), &args.to)?;
    }
    let store = history.store().snapshot()?;
    let now = units::now();
    if stream {
        let taken = backup::take_as_stream(home.path(), &*store, io::stdout().lock(), now)?;
        tell(&taken, "as a stream");
        return Ok(Exit::Done.into());
    }
    let taken = backup::take(home.path(), &*store, &args.to, now)?;
    match &taken.generation {
        Some(generation) if args.json => screen::print_json(&as_json(generation))?,
        Some(generation) => {
            let place = text::line(&args.to.display().to_string());
            tell(&taken, &format!("as generation {} in {place}", generation.generation));
        }
        None => {}
    }
    Ok(Exit::Done.into())
}

/// Whoever loses a home loses what lies in it: a backup is elsewhere.
fn outside(home: &Path, to: &Path) -> Result<()> {
    // It may not be there yet; then the directory above it says where it will be.
    let to = std::path::absolute(to)?;
    let Some(real) = to.ancestors().find_map(|above| above.canonicalize().ok()) else { return Ok(()) };
    if home.canonicalize().is_ok_and(|home| real.starts_with(home)) {
        bail!(
            "{} lies in the home that it would be a backup of, and would be lost with it\nhint: name a directory elsewhere, on another disk",
            text::line(&to.display().to_string())
        );
    }
    Ok(())
}

fn tell(taken: &Taken, place: &str) {
    let (new, audit) = (units::count(taken.new), &taken.audit);
    let size = units::bytes(taken.new_bytes);
    let proven =
        format!("proven: {}, {}", units::plural(audit.segments, "segment"), units::plural(audit.contents, "content"));
    screen::tell(&format!("{}  {place}: {new} new, {size}\n", styled(GOOD, "backed up")));
    screen::tell(&format!("  {}\n", styled(DIM, proven)));
}

fn list(directory: &Path, json: bool) -> Result<ExitCode> {
    if !directory.is_dir() {
        let shown = text::line(&directory.display().to_string());
        bail!(
            "there is no directory `{shown}`\nhint: `agentry backup {}` makes it, and the first backup in it",
            text::word(directory.display())
        );
    }
    let all = backup::list(directory)?;
    if json {
        let listed = all.iter().map(|(number, read)| match read {
            Ok(generation) => as_json(generation),
            Err(why) => json!({ "generation": number, "damaged": why.to_string() }),
        });
        screen::print_json(&listed.collect::<Vec<_>>())?;
    } else if all.is_empty() {
        screen::tell("no backups yet\n");
    } else {
        screen::page(&page(&all))?;
    }
    let whole = all.iter().all(|(_, read)| read.is_ok());
    Ok(if whole { Exit::Done } else { Exit::Unavailable }.into())
}

fn as_json(generation: &Generation) -> Value {
    let Generation { generation, at, agentry, rows, files, bytes, new_bytes, heads, .. } = generation;
    json!({
        "generation": generation,
        "at_ms": at.0,
        "agentry": agentry,
        "rows": rows,
        "files": files,
        "bytes": bytes,
        "new_bytes": new_bytes,
        "heads": heads,
    })
}

/// A line a generation; below it what is wrong with one.
fn page(all: &[ListedGeneration]) -> String {
    let columns = [
        right("generation"),
        left("taken (UTC)"),
        right("holds"),
        right("new"),
        right("segments").goes(1),
        left("head of the log").goes(2),
    ];
    let mut table = Table::new(columns);
    for (number, read) in all {
        let generation = match read {
            Ok(generation) => generation,
            Err(why) => {
                let unknown = || Cell::of(DIM, "?");
                let cells = [number.to_string().into(), unknown(), unknown(), unknown(), unknown(), unknown()];
                table.row(cells, screen::trouble(&why.to_string()));
                continue;
            }
        };
        let first = generation.heads.values().next();
        let (segments, head) = first.map_or((0, ""), |reached| (reached.segments, reached.head.as_str()));
        let cells = [
            generation.generation.to_string().into(),
            units::moment(generation.at.0).into(),
            units::bytes(generation.bytes).into(),
            units::bytes(generation.new_bytes).into(),
            units::count(segments).into(),
            Cell::of(DIM, head.get(..HEAD_LETTERS).unwrap_or_default()),
        ];
        table.row(cells, String::new());
    }
    table.show(fold::columns())
}
