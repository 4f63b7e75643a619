//! `agentry logs`: what a run says and what comes of its calls, line by line, also while it goes on. It reads the journal and changes nothing.

use std::collections::BTreeMap;
use std::process::ExitCode;

use agentry_kernel::call::{Call, CallId};
use agentry_kernel::journal::{Entry, Outcome};
use agentry_kernel::time::Millis;
use anstyle::Style;
use anyhow::Result;
use serde_json::{Value, json};

use super::followed::{Followed, PAUSE};
use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::receipt;
use crate::screen::report;
use crate::screen::rows::{Decision, Row, rows};
use crate::screen::{self, BAD, BOLD, DIM, HINT, amounts, status, styled, text, units};

/// Of what is said with a call, a line has room for so much.
const SAID_COLUMNS: usize = 120;

/// Shows what a run says and what comes of its calls
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry logs last
  agentry logs 0gx3 -f
  agentry logs 0gx3 --json | jq -r 'select(.kind == \"log\").text'")]
pub struct Args {
    /// The run, the beginning of its id, or `last`
    #[arg(value_name = "RUN")]
    run: String,
    /// Go on until the run is over
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    home: HomeArgs,
    /// Print a JSON object a line
    #[arg(long)]
    json: bool,
}

/// Prints what there is, and then what comes.
pub fn run(args: &Args) -> Result<ExitCode> {
    let mut followed = Followed::find(args.home.existing()?, &args.run)?;
    let record = followed.record()?;
    let mut log = Log { asked: BTreeMap::new(), began: record.started };
    if let Some(pruned) = followed.read(|history, run| history.receipt(run))? {
        if args.json {
            let mut line = receipt::as_json(&pruned);
            line["kind"] = json!("pruned");
            screen::print_json(&line)?;
        } else {
            screen::page(&format!("{}\n", styled(HINT, receipt::line(&pruned))))?;
        }
    }
    let mut place = None;
    loop {
        // Asked before it is read: what a run that is over has said is all there.
        let over = if args.follow { followed.over()? } else { Some(followed.record()?) };
        let (entries, behind) = followed.read(|history, run| {
            let mut place = place;
            Ok((history.entries_behind(run, &mut place)?, place))
        })?;
        place = behind;
        for entry in entries {
            let Some(line) = log.line(&mut followed, entry)? else { continue };
            if args.json {
                screen::print_json(&line.json)?;
            } else {
                screen::page(&format!("{} {}\n", styled(DIM, units::moment(line.at.0)), line.shown()))?;
            }
        }
        if let Some(record) = over {
            if let (false, Some(failure)) = (args.json, &record.failure) {
                screen::page(&report::failure(failure))?;
                let cause = record.cause.as_ref().map(|cause| report::cause(cause, failure, true));
                screen::page(&cause.unwrap_or_default())?;
            }
            return Ok(Exit::Done.into());
        }
        std::thread::sleep(PAUSE);
    }
}

/// What is needed of the lines before to understand the next.
struct Log {
    asked: BTreeMap<CallId, Entry>,
    began: Millis,
}

/// One thing that was said or happened.
pub struct Line {
    pub at: Millis,
    pub word: String,
    pub style: Style,
    pub text: String,
    pub json: Value,
}

impl Line {
    /// As people read it: what has several lines has further ones behind a margin.
    pub fn shown(&self) -> String {
        let (word, said) = (styled(self.style, text::line(&self.word)), text::whole(&self.text));
        if said.is_empty() { word } else { format!("{word} {said}") }
    }
}

impl Log {
    fn line(&mut self, followed: &mut Followed, entry: Entry) -> Result<Option<Line>> {
        Ok(match entry {
            Entry::Started(started) => Some(Line {
                at: started.at,
                word: "began".to_owned(),
                style: BOLD,
                text: started.package.clone(),
                json: json!({"kind": "began", "at_ms": started.at.0, "package": started.package}),
            }),
            Entry::Ended(ended) => {
                let (word, style) = status::shown(ended.status);
                let record = followed.record().ok();
                let cause = record.as_ref().and_then(|record| record.cause.as_ref()).map(report::cause_as_json);
                let failure = record.as_ref().and_then(|record| record.failure.clone());
                let json = json!({
                    "kind": "ended", "at_ms": ended.at.0, "status": ended.status, "failure": failure, "cause": cause,
                });
                Some(Line { at: ended.at, word: word.to_owned(), style, text: String::new(), json })
            }
            Entry::Called { at, what, outcome: Outcome::Inline(_), .. } => {
                told(at, &what, followed.read(|history, _| history.said(&what))?.unwrap_or_default())
            }
            Entry::Imported { at, signer } => {
                let signer = signer.map(|key| key.to_string());
                let text = format!(
                    "all above, {}",
                    signer.as_ref().map_or("unsigned".to_owned(), |key| format!("signed by {key}"))
                );
                let json = json!({"kind": "imported", "at_ms": at.0, "signer": signer});
                Some(Line { at, word: "came out of a file".to_owned(), style: HINT, text, json })
            }
            Entry::Adopted { at, labels, .. } => {
                let json = json!({"kind": "resumed-here", "at_ms": at.0, "labels": labels});
                let text = format!("labels: {labels}");
                Some(Line { at, word: "goes on here".to_owned(), style: BOLD, text, json })
            }
            Entry::Noted { call, at, note } => {
                let json = json!({"kind": "note", "at_ms": at.0, "call": call.0, "text": note});
                Some(Line {
                    at,
                    word: "notes".to_owned(),
                    style: HINT,
                    text: format!("call {call}: {}", note.replace("\nhint: ", "; ")),
                    json,
                })
            }
            Entry::Asked { call, .. } => {
                self.asked.insert(call, entry);
                None
            }
            Entry::Answered { call, at, .. } => {
                let Some(asked) = self.asked.remove(&call) else { return Ok(None) };
                let said = match &asked {
                    Entry::Asked { what, .. } => followed.read(|history, _| history.said(what))?,
                    _ => None,
                };
                rows(&[asked, entry]).pop().map(|row| self.call(at, &row, said))
            }
            // What the host's guard refuses was asked before, and its answer says no more.
            Entry::Called { call, at, outcome: Outcome::Error { .. }, .. } | Entry::Refused { call, at, .. } => {
                self.asked.remove(&call);
                rows(&[entry]).pop().map(|row| self.call(at, &row, None))
            }
            _ => None,
        })
    }

    /// What came of a call, and what was said with it.
    fn call(&self, at: Millis, row: &Row, said: Option<String>) -> Line {
        let style = if row.decision == Decision::Done { DIM } else { BAD };
        let took = row.until.map_or(0, |until| until.since(row.at));
        let why = match &row.decision {
            Decision::Broke { text, .. } => text.clone(),
            Decision::Refused(refusal) => refusal.because.clone(),
            _ => amounts::bill(&row.spent),
        };
        let mut json = row.as_json(self.began);
        json["kind"] = json!("call");
        json["at_ms"] = json!(at.0);
        if let Some(said) = &said {
            json["text"] = json!(said);
        }
        let said = text::cut(&said.unwrap_or_default(), SAID_COLUMNS);
        let parts = [row.detail.clone(), said, units::duration(took), why];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        Line { at, word: format!("{} {}", row.word(), row.name), style, text: parts.join("  "), json }
    }
}

/// What was told in one step: to the log, to people, to other agents. Whatever else is done in one step is not worth a line.
fn told(at: Millis, what: &Call, said: String) -> Option<Line> {
    let (kind, word) = if let Call::LogEvent { .. } = what {
        return Some(said_by_guest(at, &said));
    } else if let Call::HumanNotify { .. } = what {
        ("notice", "tells people".to_owned())
    } else if let Call::AgentsSend(post) | Call::AgentsReply { post, .. } = what {
        ("letter", format!("writes to {}", post.agent))
    } else {
        return None;
    };
    let json = json!({"kind": kind, "at_ms": at.0, "text": said});
    Some(Line { at, word, style: BOLD, text: said, json })
}

/// A line of the log: how much it matters, and its text.
fn said_by_guest(at: Millis, said: &str) -> Line {
    let (level, said) = said.split_once(' ').unwrap_or(("info", said));
    let style = match level {
        "warn" => HINT,
        "error" => BAD,
        _ => DIM,
    };
    let json = json!({"kind": "log", "at_ms": at.0, "level": level, "text": said});
    Line { at, word: level.to_owned(), style, text: said.to_owned(), json }
}
