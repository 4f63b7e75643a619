//! `agentry trace`: one run, syscall by syscall, or one syscall with what was said in it. It reads the journal and changes nothing.

mod one;

use std::process::ExitCode;

use agentry_journal::history::History;
use agentry_kernel::journal::Entry;
use agentry_kernel::{Labels, Millis, Resource, RunId};
use agentry_store::StoreError;
use agentry_store::rows::receipt::Receipt;
use agentry_store::rows::run::RunRecord;
use anyhow::{Context, Result, bail};
use serde_json::json;

use super::filter::CallArgs;
use super::ps;
use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::receipt;
use crate::screen::report;
use crate::screen::rows::{Row, Rows};
use crate::screen::stream::Stream;
use crate::screen::waterfall::{self, Span};
use crate::screen::{self, BOLD, DIM, HINT, status, styled, text, units};

/// Shows a run syscall by syscall: when, allowed or not, at what cost
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry trace last
  agentry trace last/7                             # one call: what was asked, and what was answered
  agentry trace 0gx3 --decision no-grant,forbidden
  agentry trace 0gx3 --limit 100 --after 300       # calls 301 to 400
  agentry trace last --json | jq '.calls[] | select(.decision != \"allowed\")'")]
pub struct Args {
    /// The run, the beginning of its id, or `last`; behind a `/` one of its calls
    #[arg(value_name = "RUN[/CALL]")]
    run: String,
    #[command(flatten)]
    home: HomeArgs,
    #[command(flatten)]
    calls: CallArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Reads the run's entries and prints them, as it reads.
pub fn run(args: &Args) -> Result<ExitCode> {
    let Some(history) = args.home.existing()?.history()? else {
        bail!("there are no runs here\nhint: start one: agentry run FILE.wasm, or name another home with --home DIR");
    };
    if let Some((run, call)) = args.run.split_once('/') {
        return one::run(&history, &history.run(run)?, call, args.json);
    }
    let record = history.so_far(history.run(&args.run)?)?;
    let (more, rows) = More::read(&history, record.id)?;
    let span = Span { began: record.started, ended: ended(&record, rows.last()) };
    let (mut out, mut picked) = (Stream::new(), args.calls.picked());
    let [before, behind] =
        if args.json { around(&record, &more)? } else { [head(&record, span, &more), tail(&record, &more)] };
    let columns = screen::fold::columns();
    let mut give = |out: &mut Stream, rows: Vec<Row>| -> Result<()> {
        let rows: Vec<_> = rows.into_iter().filter(|row| picked.takes(row)).collect();
        if args.json {
            return rows.iter().try_for_each(|row| out.item(&row.as_json(record.started)));
        }
        out.lines(&waterfall::picture(&rows, span, columns))
    };
    if args.json {
        out.raw(&before)?
    } else {
        out.lines(&before)?
    }
    each_row(&history, record.id, rows, |rows| give(&mut out, rows))?;
    if args.json {
        out.last(&behind)?
    } else {
        out.lines(&behind)?
    }
    out.end()?;
    picked.tell(&record.id.to_string(), args.json);
    Ok(Exit::Done.into())
}

/// The rows of a run in the order of its calls, some at a time; `rows` has seen its journal once, or nothing where it is to be read once.
pub fn each_row(history: &History, run: RunId, rows: Rows, mut give: impl FnMut(Vec<Row>) -> Result<()>) -> Result<()> {
    let mut rows = rows.again();
    for part in history.parts(run) {
        part?.iter().for_each(|entry| rows.take(entry));
        give(rows.ready())?;
    }
    give(rows.rest())
}

/// What the journal says of a run beside its calls.
#[derive(Default)]
pub struct More {
    /// What people took off the run while it went on, and why.
    pub removed: Vec<(Labels, String)>,
    /// What started it by itself.
    pub trigger: Option<String>,
    /// How often it left memory while it waited.
    pub rested: u64,
    /// What is left of its journal, if that went.
    pub pruned: Option<Receipt>,
}

impl More {
    /// Reads the journal a first time.
    fn read(history: &History, run: RunId) -> Result<(Self, Rows), StoreError> {
        let (mut more, mut rows) = (Self { pruned: history.receipt(run)?, ..Self::default() }, Rows::default());
        for part in history.parts(run) {
            for entry in part? {
                rows.take(&entry);
                match entry {
                    Entry::Unlabelled { labels, because, .. } => more.removed.push((labels, because)),
                    Entry::Triggered { by, .. } => more.trigger = more.trigger.take().or(Some(by)),
                    Entry::Rested { .. } => more.rested += 1,
                    _ => {}
                }
            }
            rows.ready();
        }
        Ok((more, rows))
    }
}

/// The one document of a run, as it stands around the items of its calls.
fn around(record: &RunRecord, more: &More) -> Result<[String; 2]> {
    const HERE: &str = "\"calls\":[";
    let mut run = ps::as_json(record);
    run["trigger"] = json!(more.trigger);
    run["rested"] = json!(more.rested);
    run["pruned"] = json!(more.pruned.as_ref().map(receipt::as_json));
    run["calls"] = json!([]);
    let removed = more.removed.iter().map(|(labels, because)| json!({"labels": labels, "because": because}));
    run["unlabelled"] = json!(removed.collect::<Vec<_>>());
    let whole = serde_json::to_string(&run)?;
    // No text in JSON has a quote that is not escaped, so this is the key.
    let at = whole.find(HERE).map(|at| at + HERE.len()).context("a run has calls")?;
    Ok([whole[..at].to_owned(), whole[at..].to_owned()])
}

/// When a run ended: no call of it ends later.
fn ended(record: &RunRecord, last: Millis) -> Millis {
    let last = last.max(record.started);
    record.ended.unwrap_or(last).max(last)
}

/// The whole run, for people.
#[cfg(test)]
pub fn page(record: &RunRecord, rows: &[Row], more: &More) -> String {
    let last = rows.iter().map(|row| row.until.unwrap_or(row.at)).max().unwrap_or_default();
    let span = Span { began: record.started, ended: ended(record, last) };
    let calls = waterfall::picture(rows, span, screen::fold::columns());
    [head(record, span, more), calls, tail(record, more)].concat()
}

/// What stands above the calls.
fn head(record: &RunRecord, span: Span, more: &More) -> String {
    let (word, style) = status::shown(record.status);
    let mut page = format!(
        "{} {} {}\n",
        styled(BOLD, format_args!("run {}", record.id)),
        text::line(&record.package),
        styled(style, word)
    );
    let took = |told: String| if ps::took_here(record) { told } else { String::new() };
    let facts = [
        format!("began {} UTC", units::moment(record.started.0)),
        format!("took {}", units::duration(span.ended.since(span.began))),
        units::plural(u64::from(record.calls), "syscall"),
        format!("{} refused", record.refused),
        took(units::plural(record.spent[Resource::Tokens], "token")),
        took(units::dollars(record.spent[Resource::Usd])),
        // Until its end it is held, and not taken.
        took(record.ended.map_or_else(String::new, |_| format!("{} fuel", units::rough(record.spent[Resource::Fuel])))),
        format!("labels: {}", if record.labels.is_empty() { "none".to_owned() } else { record.labels.to_string() }),
    ];
    let facts: Vec<_> = facts.into_iter().filter(|fact| !fact.is_empty()).collect();
    page.push_str(&format!("{}\n", styled(DIM, facts.join(" · "))));
    if let Some(imported) = &record.imported {
        let more = if imported.adopted { "; it went on here" } else { "; it did nothing here" };
        page.push_str(&format!("{}{more}\n", styled(HINT, ps::imported(imported))));
    }
    if let Some(by) = &more.trigger {
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
    page
}

/// What stands below them.
fn tail(record: &RunRecord, more: &More) -> String {
    let mut page = String::new();
    for (labels, because) in &more.removed {
        page.push_str(&format!("\na person took {labels} off it: {}\n", text::line(because)));
    }
    if let Some(failure) = &record.failure {
        page.push_str(&format!("\n{}", report::failure(failure)));
    }
    if let Some(cause) = &record.cause {
        page.push_str(&report::cause(cause, record.failure.as_deref().unwrap_or_default(), true));
    }
    page
}
