//! `agentry audit calls`: the calls of all runs that fit, newest run first, as they were decided on. It reads, and prints as it reads.

use std::process::ExitCode;

use agentry_journal::history::History;
use agentry_store::rows::run::RunRecord;
use anyhow::{Result, bail};
use serde_json::json;

use crate::commands::filter::{self, CallArgs, FilterArgs, Picked};
use crate::commands::trace;
use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::rows::{Decision, Row, Rows};
use crate::screen::stream::Stream;
use crate::screen::{self, BAD, BOLD, DIM, receipt, styled, text, units};

/// Lists calls of all runs that fit, and how each was decided on
#[derive(clap::Args)]
#[command(after_help = "\
Calls of one run stand in the order in which they were made; the newest run stands first.

Examples:
  agentry audit calls --refused --since 1d
  agentry audit calls --agent researcher --syscall http --limit 100
  agentry audit calls --status denied --json | jq -r '.[] | [.run, .call.name, .call.decision] | @tsv'")]
pub struct Calls {
    #[command(flatten)]
    home: HomeArgs,
    #[command(flatten)]
    runs: FilterArgs,
    /// Only calls that were refused
    #[arg(long)]
    refused: bool,
    /// Only calls of which this came: allowed, open, waits, the case of an error or the code of a refusal; several with commas
    #[arg(long, value_name = "WORD", value_delimiter = ',', value_parser = filter::decision)]
    decision: Vec<String>,
    /// Only calls of this interface or syscall, such as llm or memory.put
    #[arg(long, value_name = "NAME", value_parser = filter::syscall)]
    syscall: Option<String>,
    /// The most calls to list
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = filter::limit)]
    limit: u64,
    /// Go on behind the runs of an earlier page: with the runs that are older than this one
    #[arg(long, value_name = "RUN")]
    after: Option<String>,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// Reads run after run.
pub fn run(args: &Calls) -> Result<ExitCode> {
    let home = args.home.existing()?;
    let Some(history) = home.history()? else {
        bail!(
            "nothing ever ran here\nhint: start an agent: agentry run FILE.wasm, or name another home with --home DIR"
        );
    };
    let after = args.after.as_ref().map(|after| history.run(after)).transpose()?;
    let picked = CallArgs::of(args.decision.clone(), args.syscall.clone(), args.limit);
    let mut list = List { out: Stream::new(), args, picked: picked.picked(), pruned: 0, told: 0 };
    if args.json {
        list.out.raw("[")?;
    }
    let mut last = None;
    for run in history.newest(args.runs.filter(), after.as_ref()) {
        if list.picked.is_full() {
            break;
        }
        let run = run?;
        list.calls_of(&history, &run)?;
        last = Some(run.id);
    }
    let (full, told, pruned) = (list.picked.is_full(), list.told, list.pruned);
    if args.json {
        list.out.last("]")?;
    }
    list.out.end()?;
    if let (Some(last), true, false) = (last, full, args.json) {
        let more =
            format!("there may be more: {}, or a higher --limit", screen::given::page_after(&last.to_string(), None));
        screen::tell(&format!("{}\n", styled(DIM, more)));
    }
    if !args.json && told == 0 && !full {
        screen::tell("no such calls\n");
        args.runs.tell_of_agent(&home)?;
    }
    if !args.json {
        receipt::tell_pruned(pruned);
    }
    Ok(Exit::Done.into())
}

struct List<'a> {
    out: Stream,
    args: &'a Calls,
    picked: Picked<'a>,
    /// Runs of which nothing but a receipt is left.
    pruned: u64,
    /// Calls that were listed.
    told: u64,
}

impl List<'_> {
    fn calls_of(&mut self, history: &History, run: &RunRecord) -> Result<()> {
        self.pruned += u64::from(history.receipt(run.id)?.is_some());
        let Self { out, args, picked, told: listed, .. } = self;
        let mut told = false;
        trace::each_row(history, run.id, Rows::default(), |rows| {
            for row in rows {
                let refused = matches!(row.decision, Decision::Refused(_));
                if (args.refused && !refused) || !picked.takes(&row) {
                    continue;
                }
                *listed += 1;
                if args.json {
                    out.item(
                        &json!({ "run": run.id.to_string(), "agent": run.agent, "call": row.as_json(run.started) }),
                    )?;
                } else {
                    let head = if std::mem::replace(&mut told, true) { String::new() } else { head(run) };
                    out.lines(&format!("{head}{}", line(&row)))?;
                }
            }
            Ok(())
        })
    }
}

/// Of which run the lines below are.
fn head(run: &RunRecord) -> String {
    format!("{} {}\n", styled(BOLD, run.id), text::cut(&run.agent, 40))
}

/// A call in a line; below it, why it was refused.
pub fn line(row: &Row) -> String {
    let what = text::cut(format!("{} {}", row.name, row.detail).trim_end(), 60);
    let (style, why) = match &row.decision {
        Decision::Refused(refusal) => (BAD, text::cut(&refusal.because, 100)),
        Decision::Broke { text, .. } => (BAD, text::cut(text, 100)),
        Decision::Open | Decision::Waits | Decision::Done => (DIM, String::new()),
    };
    let why = if why.is_empty() { why } else { format!("        {}\n", styled(DIM, why)) };
    let word = styled(style, format_args!("{:<12}", text::cut(row.word(), 24)));
    format!("  {:>4}  {}  {word}  {what}\n{why}", row.call.0, styled(DIM, units::moment(row.at.0)))
}
