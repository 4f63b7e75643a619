//! `agentry trace`: one run, syscall by syscall. It reads the journal and changes nothing.

use std::process::ExitCode;

use agentry_kernel::journal::Entry;
use agentry_kernel::{Labels, Resource};
use agentry_store::rows::receipt::Receipt;
use agentry_store::rows::run::RunRecord;
use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::ps;
use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::receipt;
use crate::screen::report;
use crate::screen::rows::{Row, rows};
use crate::screen::waterfall::{self, Span};
use crate::screen::{self, BOLD, DIM, HINT, status, styled, text, units};

/// Shows a run syscall by syscall: when, allowed or not, at what cost
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry trace last
  agentry trace 0gx3
  agentry trace last --json | jq '.calls[] | select(.decision != \"allowed\")'")]
pub struct Args {
    /// The run, the beginning of its id, or `last`
    #[arg(value_name = "RUN")]
    run: String,
    #[command(flatten)]
    home: HomeArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Reads the run's entries and prints them.
pub fn run(args: &Args) -> Result<ExitCode> {
    let Some(history) = args.home.existing()?.history()? else {
        bail!("there are no runs here\nhint: start one: agentry run FILE.wasm, or name another home with --home DIR");
    };
    let record = history.run(&args.run)?;
    let entries = history.entries(record.id)?;
    let rows = rows(&entries);
    let pruned = history.receipt(record.id)?;
    let more = More { removed: removed(&entries), trigger: trigger(&entries), rested: rested(&entries), pruned };
    if args.json {
        screen::print_json(&as_json(&record, &rows, &more))?;
    } else {
        screen::page(&page(&record, &rows, &more))?;
    }
    Ok(Exit::Done.into())
}

/// What the journal says of a run beside its calls.
#[derive(Default)]
pub struct More<'a> {
    /// What people took off the run, and why.
    pub removed: Vec<(&'a Labels, &'a str)>,
    /// What started it by itself.
    pub trigger: Option<&'a str>,
    /// How often it left memory while it waited.
    pub rested: u64,
    /// What is left of its journal, if that went.
    pub pruned: Option<Receipt>,
}

fn rested(entries: &[Entry]) -> u64 {
    entries.iter().filter(|entry| matches!(entry, Entry::Rested { .. })).count() as u64
}

/// What started it by itself.
fn trigger(entries: &[Entry]) -> Option<&str> {
    entries.iter().find_map(|entry| match entry {
        Entry::Triggered { by, .. } => Some(by.as_str()),
        _ => None,
    })
}

/// What people took off the run while it went on, and why.
fn removed(entries: &[Entry]) -> Vec<(&Labels, &str)> {
    let removed = entries.iter().filter_map(|entry| match entry {
        Entry::Unlabelled { labels, because, .. } => Some((labels, because.as_str())),
        _ => None,
    });
    removed.collect()
}

fn as_json(record: &RunRecord, rows: &[Row], more: &More<'_>) -> Value {
    let mut run = ps::as_json(record);
    run["trigger"] = json!(more.trigger);
    run["rested"] = json!(more.rested);
    run["pruned"] = json!(more.pruned.as_ref().map(receipt::as_json));
    run["calls"] = json!(rows.iter().map(|row| row.as_json(record.started)).collect::<Vec<_>>());
    let removed = more.removed.iter().map(|(labels, because)| json!({"labels": labels, "because": because}));
    run["unlabelled"] = json!(removed.collect::<Vec<_>>());
    run
}

/// The whole run, for people.
pub fn page(record: &RunRecord, rows: &[Row], more: &More<'_>) -> String {
    let last = rows.iter().map(|row| row.until.unwrap_or(row.at)).max().unwrap_or(record.started);
    let ended = record.ended.unwrap_or(last).max(last);
    let (word, style) = status::shown(record.status);
    let mut page = format!(
        "{} {} {}\n",
        styled(BOLD, format_args!("run {}", record.id)),
        text::line(&record.package),
        styled(style, word)
    );
    let facts = [
        format!("began {} UTC", units::moment(record.started.0)),
        format!("took {}", units::duration(ended.since(record.started))),
        units::plural(u64::from(record.calls), "syscall"),
        format!("{} refused", record.refused),
        units::plural(record.spent[Resource::Tokens], "token"),
        units::dollars(record.spent[Resource::Usd]),
        format!("{} fuel", units::rough(record.spent[Resource::Fuel])),
        format!("labels: {}", if record.labels.is_empty() { "none".to_owned() } else { record.labels.to_string() }),
    ];
    page.push_str(&format!("{}\n", styled(DIM, facts.join(" · "))));
    if let Some(imported) = &record.imported {
        let more = if imported.adopted { "; it went on here" } else { "; it did nothing here" };
        page.push_str(&format!("{}{more}\n", styled(HINT, ps::imported(imported))));
    }
    if let Some(by) = more.trigger {
        page.push_str(&format!("{}\n", styled(DIM, format_args!("started by {}", text::line(by)))));
    }
    if more.rested > 0 {
        let times = units::plural(more.rested, "time");
        page.push_str(&format!("{}\n", styled(DIM, format_args!("left memory {times} while it waited"))));
    }
    if let Some(pruned) = &more.pruned {
        page.push_str(&format!("{}\n", styled(HINT, receipt::line(pruned))));
    }
    page.push('\n');
    page.push_str(&waterfall::picture(rows, Span { began: record.started, ended }, screen::fold::columns()));
    for (labels, because) in &more.removed {
        page.push_str(&format!("\na person took {labels} off it: {}\n", text::line(because)));
    }
    if let Some(failure) = &record.failure {
        page.push_str(&format!("\n{}\n", text::whole(failure)));
    }
    if let Some(cause) = &record.cause {
        page.push_str(&report::cause(cause, record.failure.as_deref().unwrap_or_default(), true));
    }
    page
}
