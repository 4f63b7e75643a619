//! A tool that tells the time of this host, which policy can grant like any other. It changes nothing, and nothing leaves the machine.

use std::sync::Arc;

use agentry_abi::clock::date;
use agentry_config::ConfigError;
use agentry_config::reader::{Table, near_or_all};
use agentry_kernel::Permit;
use agentry_kernel::json::Value;
use agentry_kernel::time::Millis;
use agentry_kernel::tool::Effect;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::adapter::{Adapter, Reach, Wrong};
use super::answer::Said;
use super::config::ToolLine;

/// The keys of `clock`.
pub(super) const CLOCK_KEYS: [&str; 2] = ["offset", "format"];

const DAY_MS: i64 = 86_400_000;

/// The last moment that RFC 3339 can write anywhere on earth, in milliseconds: it has four digits for a year.
const LAST_MS: u64 = 253_402_300_799_999 - DAY_MS as u64;

/// What the time is told as, unless a call says otherwise.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClockLine {
    /// Minutes before UTC.
    offset_min: i16,
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// A date of RFC 3339 with milliseconds.
    Rfc3339,
    /// Milliseconds since 1970, whatever the offset.
    UnixMs,
}

impl Format {
    const ALL: [Self; 2] = [Self::Rfc3339, Self::UnixMs];

    fn word(self) -> &'static str {
        match self {
            Self::Rfc3339 => "rfc3339",
            Self::UnixMs => "unix_ms",
        }
    }

    fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.word() == word)
    }
}

/// Tells it.
struct Teller {
    line: ClockLine,
    shared: Arc<Shared>,
}

impl Reach for ClockLine {
    fn adapter(self: Arc<Self>, shared: &Arc<Shared>) -> Arc<dyn Adapter> {
        Arc::new(Teller { line: *self, shared: Arc::clone(shared) })
    }
}

impl Adapter for Teller {
    fn reach(&self) -> (&'static str, String) {
        ("clock", format!("of this host, at {}", zone(self.line.offset_min)))
    }

    fn call<'a>(
        &'a self,
        _: &'a ToolLine,
        _: &'a Permit,
        arguments: &'a Value,
        _: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<Said, Wrong>> {
        let told = self.line.asked(arguments).and_then(|line| line.tell(self.shared.clock.now()));
        std::future::ready(told.map(Said::text)).boxed()
    }
}

/// Reads `clock = { … }` of a tool.
pub(super) fn read(table: &Table<'_>, tool: &ToolLine, _: &Value) -> Result<Arc<dyn Reach>, ConfigError> {
    table.only(&CLOCK_KEYS)?;
    if tool.effect != Effect::Read {
        let said = tool.effect.word();
        return Err(table.mistake(format!("a clock is read, and `effect` says {said}"), "write effect = \"read\""));
    }
    let offset_min = match table.text("offset")? {
        None => 0,
        Some(text) => offset(text).ok_or_else(|| {
            let hint = "write +HH:MM, -HH:MM or Z: offset = \"+02:00\"";
            table.mistake_in("offset", format!("`{text}` is no offset from UTC"), hint)
        })?,
    };
    let format = match table.text("format")? {
        None => Format::Rfc3339,
        Some(word) => Format::of(word).ok_or_else(|| {
            let hint = near_or_all(word, &Format::ALL.map(Format::word));
            table.mistake_in("format", format!("unknown format `{word}`"), hint)
        })?,
    };
    Ok(Arc::new(ClockLine { offset_min, format }))
}

impl ClockLine {
    /// The same, as the arguments of a call want it.
    fn asked(self, arguments: &Value) -> Result<Self, Wrong> {
        let mut line = self;
        if let Some(wanted) = arguments.get("offset") {
            let unfit = || Wrong::Unfit("argument `offset` is not like +02:00, -05:30 or Z".to_owned());
            line.offset_min = wanted.as_str().and_then(offset).ok_or_else(unfit)?;
        }
        if let Some(wanted) = arguments.get("format") {
            let unfit = || Wrong::Unfit("argument `format` is not rfc3339 or unix_ms".to_owned());
            line.format = wanted.as_str().and_then(Format::of).ok_or_else(unfit)?;
        }
        Ok(line)
    }

    fn tell(self, now: Millis) -> Result<String, Wrong> {
        match self.format {
            Format::UnixMs => Ok(now.0.to_string()),
            Format::Rfc3339 if now.0 > LAST_MS => {
                Err(Wrong::NotBegun("the clock of this host stands behind the year 9999".to_owned()))
            }
            Format::Rfc3339 => {
                let local = i64::try_from(now.0).unwrap_or(i64::MAX) + i64::from(self.offset_min) * 60_000;
                let (year, month, day) = date(local.div_euclid(DAY_MS));
                let ms = local.rem_euclid(DAY_MS);
                let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
                let (millis, zone) = (ms % 1_000, zone(self.offset_min));
                Ok(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}{zone}"))
            }
        }
    }
}

/// Minutes of `Z`, `+HH:MM` or `-HH:MM`.
fn offset(text: &str) -> Option<i16> {
    if text == "Z" {
        return Some(0);
    }
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = digits.split_once(':')?;
    let number = |text: &str, below: i16| {
        let plain = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i16>().ok().filter(|number| plain && *number < below)
    };
    Some(sign * (number(hours, 24)? * 60 + number(minutes, 60)?))
}

fn zone(offset_min: i16) -> String {
    if offset_min == 0 {
        return "Z".to_owned();
    }
    let (sign, minutes) = (if offset_min < 0 { '-' } else { '+' }, offset_min.unsigned_abs());
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use agentry_kernel::json;

    use super::*;

    const LINE: ClockLine = ClockLine { offset_min: 120, format: Format::Rfc3339 };

    fn told(arguments: &str, now: u64) -> Result<String, Wrong> {
        LINE.asked(&json::parse(arguments).expect("JSON")).and_then(|line| line.tell(Millis(now)))
    }

    #[test]
    fn the_time_is_told_at_the_offset_and_in_the_form_that_a_call_wants() {
        let is = |text: &str| Ok(text.to_owned());
        assert_eq!(told("{}", 1_798_761_599_007), is("2027-01-01T01:59:59.007+02:00"));
        assert_eq!(told(r#"{"offset": "Z"}"#, 951_827_696_000), is("2000-02-29T12:34:56.000Z"));
        assert_eq!(told(r#"{"offset": "-05:30"}"#, 0), is("1969-12-31T18:30:00.000-05:30"));
        assert_eq!(told(r#"{"format": "unix_ms"}"#, 7), is("7"));
        assert_eq!(told(r#"{"offset": "+23:59"}"#, LAST_MS).expect("four digits").len(), 29);
    }

    #[test]
    fn what_is_no_offset_or_form_does_not_fit() {
        for bad in ["\"\"", "\"+2:00\"", "\"02:00\"", "\"+24:00\"", "\"+02:60\"", "\"+-1:00\"", "\"é\"", "2", "null"] {
            let told = told(&format!("{{\"offset\": {bad}}}"), 0);
            assert!(matches!(told, Err(Wrong::Unfit(_))), "{bad}: {told:?}");
        }
        assert!(matches!(told(r#"{"format": "iso"}"#, 0), Err(Wrong::Unfit(_))));
        assert!(matches!(told("{}", u64::MAX), Err(Wrong::NotBegun(_))));
    }
}
