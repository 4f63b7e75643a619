//! Which piece of a tool call belongs to which call. Servers number them, or do not, or give all the same number; the meaning is certain
//! as long as each call begins with a name and one is whole before the next.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Carried;
use crate::TOOL_CALLS_MAX;
use crate::draft::{Draft, NoCall};
use crate::loose::{Count, Loose};
use crate::trouble::Trouble;

/// Calls of one answer.
#[derive(Default)]
pub(super) struct Calls {
    calls: Vec<Call>,
}

/// How far JSON that comes in pieces is open. What is no JSON may look whole; what is whole is never taken for open.
#[derive(Default)]
struct Open {
    depth: usize,
    in_text: bool,
    is_escaped: bool,
    any: bool,
}

impl Open {
    fn push(&mut self, more: &str) {
        for byte in more.bytes() {
            match byte {
                _ if std::mem::take(&mut self.is_escaped) => {}
                b'\\' => self.is_escaped = self.in_text,
                b'"' => self.in_text = !self.in_text,
                _ if self.in_text => {}
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
        self.any |= !more.trim_ascii().is_empty();
    }

    fn is_whole(&self) -> bool {
        self.depth == 0 && !self.in_text
    }
}

/// One call.
#[derive(Default)]
struct Call {
    /// The provider's number.
    number: Option<u64>,
    /// The provider's id; empty if it gave none.
    id: String,
    /// Its index in the draft, once it has a name.
    index: Option<usize>,
    name: String,
    /// Arguments that came before the name.
    early: String,
    /// All arguments that came.
    open: Open,
}

/// A piece of a call as it comes.
#[derive(Default, Deserialize)]
pub(super) struct CallLine<'a> {
    #[serde(default)]
    index: Count,
    #[serde(borrow, default)]
    id: Loose<'a>,
    #[serde(borrow, default)]
    function: Option<FunctionLine<'a>>,
    #[serde(borrow, default)]
    extra_content: Option<&'a RawValue>,
}

/// The function that is called.
#[derive(Default, Deserialize)]
pub(super) struct FunctionLine<'a> {
    #[serde(borrow, default)]
    name: Loose<'a>,
    #[serde(borrow, default)]
    arguments: Loose<'a>,
}

impl<'a> CallLine<'a> {
    /// A call in the form before calls were numbered.
    pub(super) fn old(function: FunctionLine<'a>) -> Self {
        Self { function: Some(function), ..Self::default() }
    }
}

impl Calls {
    /// Puts one piece into the draft.
    pub(super) fn take(&mut self, line: &CallLine<'_>, draft: &mut Draft) -> Result<(), Trouble> {
        let nothing = FunctionLine::default();
        let function = line.function.as_ref().unwrap_or(&nothing);
        let (id, name) = (line.id.written(), function.name.written());
        let id = if id == "null" { Cow::Borrowed("") } else { id };
        let arguments = match function.arguments.written() {
            // Nothing yet; what is meant may follow as text.
            empty if matches!(function.arguments, Loose::Other(_)) && empty == "{}" => Cow::Borrowed(""),
            arguments => arguments,
        };
        let place = match self.meant(line.index.0, &id, &name, &arguments) {
            Some(place) => place,
            // A place for a call, and none in it: some send one with each piece of text.
            None if id.is_empty() && name.is_empty() && arguments.is_empty() => return Ok(()),
            None if self.calls.len() == TOOL_CALLS_MAX => return Err(NoCall::TooMany.into()),
            None => {
                self.calls.push(Call { number: line.index.0, ..Call::default() });
                self.calls.len() - 1
            }
        };
        let Some(call) = self.calls.get_mut(place) else { return Ok(()) };
        if call.id.is_empty() {
            call.id = id.into_owned();
        }
        if call.name.is_empty() {
            call.name = name.into_owned();
        }
        call.early.push_str(&arguments);
        call.open.push(&arguments);
        if call.name.is_empty() {
            return Ok(());
        }
        let index = match call.index {
            Some(index) => index,
            None => *call.index.insert(draft.call(&call.id, &call.name)?),
        };
        draft.arguments(index, &std::mem::take(&mut call.early));
        if let (Some(extra), Some(call)) = (line.extra_content, draft.call_so_far(index)) {
            let carried =
                Carried { call: Some(call.id.clone()), extra_content: Some(extra.to_owned()), ..Carried::default() };
            carried.keep(draft);
        }
        Ok(())
    }

    /// Every call that came has its name.
    ///
    /// # Errors
    /// If one has none.
    pub(super) fn end(&self) -> Result<(), Trouble> {
        match self.calls.iter().all(|call| call.index.is_some()) {
            true => Ok(()),
            false => Err(NoCall::Nameless.into()),
        }
    }

    /// The call that a piece goes on with; none if it begins one.
    fn meant(&self, number: Option<u64>, id: &str, name: &str, arguments: &str) -> Option<usize> {
        let same = |call: &Call| match number {
            Some(number) => call.number == Some(number),
            None => !id.is_empty() && call.id == id,
        };
        let known = self.calls.iter().rposition(same);
        // What has no number and no known id goes on with the last call.
        let last = self.calls.len().checked_sub(1).filter(|_| number.is_none());
        let place = known.or(last)?;
        let call = self.calls.get(place)?;
        if call.index.is_none() {
            // It waits for its name; only another id is another call.
            return Some(place).filter(|_| id.is_empty() || call.id.is_empty() || call.id == id);
        }
        if name.is_empty() {
            return Some(place);
        }
        let has_begun = call.open.any;
        let is_whole = call.open.is_whole();
        let is_other = match (id.is_empty(), call.id.is_empty()) {
            (false, false) if call.id == id => false,
            (false, false) => is_whole,
            // Without ids, a call is another one if it has another name, or comes whole once more.
            _ => is_whole && (name != call.name || (has_begun && !arguments.is_empty())),
        };
        (!is_other).then_some(place)
    }
}
