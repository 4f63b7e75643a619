//! `agentry trace RUN/CALL`: one syscall, with what the agent said, wrote or sent in it and what it heard. It reads the journal and changes nothing.

use std::process::ExitCode;

use agentry_journal::history::History;
use agentry_kernel::Digest;
use agentry_kernel::call::{Call, CallId};
use agentry_kernel::journal::{Entry, Outcome};
use agentry_runtime::gate::shown;
use agentry_store::StoreError;
use agentry_store::content::Content;
use agentry_store::rows::run::RunRecord;
use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::screen::rows::{Row, rows};
use crate::screen::waterfall::{self, Span};
use crate::screen::{self, BOLD, DIM, styled, text};

/// Bytes of a text that are shown to people; programs get all of it.
const SHOWN_MAX_BYTES: usize = 16 * 1024;

/// Finds the call and prints it.
pub fn run(history: &History, record: &RunRecord, call: &str, as_json: bool) -> Result<ExitCode> {
    let id = record.id;
    let number: u32 = call.parse().ok().with_context(|| {
        format!(
            "`{}` is no number of a syscall\nhint: `agentry trace {id}` numbers them, as in {id}/7",
            text::line(call)
        )
    })?;
    let entries = history.entries(id)?;
    let row = rows(&entries).into_iter().find(|row| row.call == CallId(number));
    let row =
        row.with_context(|| format!("run {id} has no syscall {number}\nhint: `agentry trace {id}` lists them"))?;
    let told = Told::read(history, &row, &entries)?;
    if as_json {
        let mut object = row.as_json(record.started);
        object["asked"] = told.asked.map_or(Value::Null, |(_, asked)| json!(asked));
        object["answer"] = json!(told.answer);
        screen::print_json(&object)?;
    } else {
        screen::page(&page(record, &row, &told))?;
    }
    Ok(Exit::Done.into())
}

/// What was said in a call.
struct Told {
    /// Its title, and all that it was given; none if that is no text, or was not kept.
    asked: Option<(String, String)>,
    /// None if it is no text, or nothing came.
    answer: Option<String>,
}

impl Told {
    fn read(history: &History, row: &Row, entries: &[Entry]) -> Result<Self, StoreError> {
        let content = |digest: &Digest| history.blob(digest);
        let mut contents = Vec::new();
        for digest in &row.contents {
            contents.extend(content(digest)?.map(|bytes| Content { digest: *digest, bytes }));
        }
        let what = entries.iter().filter_map(asked).find(|(call, _)| *call == row.call).map(|(_, what)| what);
        let outcome = entries.iter().filter_map(outcome).find(|(call, _)| *call == row.call);
        let encoded = match outcome.map(|(_, outcome)| outcome) {
            Some(Outcome::Inline(bytes)) => Some(bytes.clone()),
            Some(Outcome::Stored { content: digest, .. }) => content(digest)?,
            Some(Outcome::Error { .. }) | None => None,
        };
        Ok(Self {
            asked: what.and_then(|what| shown::call(what, &contents)),
            answer: what.zip(encoded).and_then(|(what, encoded)| shown::answer(what, &encoded)),
        })
    }
}

fn asked(entry: &Entry) -> Option<(CallId, &Call)> {
    match entry {
        Entry::Asked { call, what, .. }
        | Entry::Refused { call, what, .. }
        | Entry::Called { call, what, .. }
        | Entry::Questioned { call, what, .. }
        | Entry::Queued { call, what, .. } => Some((*call, what)),
        _ => None,
    }
}

fn outcome(entry: &Entry) -> Option<(CallId, &Outcome)> {
    match entry {
        Entry::Answered { call, outcome, .. } | Entry::Called { call, outcome, .. } => Some((*call, outcome)),
        _ => None,
    }
}

fn page(record: &RunRecord, row: &Row, told: &Told) -> String {
    let last = record.ended.unwrap_or(row.until.unwrap_or(row.at));
    let line = waterfall::picture(
        std::slice::from_ref(row),
        Span { began: record.started, ended: last },
        screen::fold::columns(),
    );
    let title = told.asked.as_ref().map_or(&row.name, |(title, _)| title);
    let mut page = format!("{} of run {}\n{line}", styled(BOLD, text::line(title)), record.id);
    page.push_str(&part("asked", told.asked.as_ref().map(|(_, asked)| asked)));
    page.push_str(&part("answered", told.answer.as_ref()));
    page
}

/// A text behind a margin; what is too long for a screen says so.
fn part(name: &str, said: Option<&String>) -> String {
    let head = styled(DIM, name);
    let Some(said) = said.filter(|said| !said.is_empty()) else {
        let why = match said {
            Some(_) => "an empty text",
            None => "no text: what there is stands in the line above, or was not kept",
        };
        return format!("{head}\n  {}\n", styled(DIM, why));
    };
    let end = said.floor_char_boundary(SHOWN_MAX_BYTES);
    let more = if end < said.len() {
        format!("  {}\n", styled(DIM, format_args!("{} bytes more: --json has all of it", said.len() - end)))
    } else {
        String::new()
    };
    format!("{head}\n{}\n{more}", text::quoted(&said[..end]))
}
