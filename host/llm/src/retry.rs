//! When a provider says that asking again makes sense, in every spelling that is in use: `retry-after-ms`, `Retry-After` in seconds or as
//! a date (RFC 9110, 10.2.3), the headers that tell when a limit is reset, and the sentence of the refusal itself.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::HeaderMap;

use super::trouble::{Complaint, Trouble, TroubleKind};

/// Nobody waits longer: what a provider says beyond is cut to this.
const RETRY_MAX_MS: u64 = 24 * 60 * 60 * 1000;

/// Headers that tell of a limit: what is left of it, and when it is whole again.
const LIMITS: [(&str, &str); 9] = [
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"),
    ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
    ("anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset"),
    ("anthropic-ratelimit-output-tokens-remaining", "anthropic-ratelimit-output-tokens-reset"),
    ("x-ratelimit-remaining", "x-ratelimit-reset"),
    ("ratelimit-remaining", "ratelimit-reset"),
    ("x-ratelimit-remaining-req-minute", "x-ratelimit-reset-req-minute"),
];

/// Words before the time in a sentence that says when to come back.
const SENTENCES: [&str; 5] = ["try again in ", "retry after ", "retry in ", "retry-after: ", "again after "];

/// Nobody waits longer in a call; what takes longer is the guest's to wait for.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Before a call is made again for the first time, if nobody says; each time it doubles.
const PAUSE_MIN_MS: u64 = 500;

/// How long to wait before a call is made for one time more than `asked`; none if that makes no sense. Only what was turned away, or
/// never reached anybody, is asked again: it was not begun, and costs nothing.
pub(super) fn pause(asked: u64, trouble: &Trouble) -> Option<Duration> {
    let said = match trouble {
        Trouble::Unreached(_) => None,
        Trouble::Refused { status, retry_after_ms, complaint, .. } => match complaint.kind(Some(*status)) {
            TroubleKind::Busy | TroubleKind::Down => *retry_after_ms,
            TroubleKind::Invalid | TroubleKind::Setup | TroubleKind::Quota | TroubleKind::Unclear => return None,
        },
        Trouble::Cancelled
        | Trouble::Unset(_)
        | Trouble::Failed(_)
        | Trouble::Silent(_)
        | Trouble::Broken(_)
        | Trouble::Garbage(_) => return None,
    };
    let doubled = PAUSE_MIN_MS << asked.saturating_sub(1).min(10);
    let least = Duration::from_millis(said.unwrap_or(doubled / 2));
    // Those who were turned away together do not come back together.
    let spread = getrandom::u64().unwrap_or_default() % (doubled / 2).max(1);
    (least <= PAUSE_MAX).then(|| least + Duration::from_millis(spread))
}

/// Milliseconds from `now`, if the provider says.
pub(super) fn retry_after_ms(headers: &HeaderMap, complaint: &Complaint, now: SystemTime) -> Option<u64> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let in_ms = || number(text("retry-after-ms")?);
    let after = || wait_ms(text("retry-after")?, now);
    let detail = || span_ms(complaint.retry_after.as_deref()?);
    let sentence = || {
        let message = complaint.message.to_ascii_lowercase();
        SENTENCES.iter().find_map(|words| span_ms(message.split_once(words)?.1))
    };
    // Of the limits, those that are reached; if no header says which, the one that is whole again first.
    let limits = || {
        let resets = LIMITS.iter().filter_map(|(left, reset)| Some((text(left), wait_ms(text(reset)?, now)?)));
        let resets: Vec<_> = resets.collect();
        let reached = resets.iter().filter(|(left, _)| left.and_then(number) == Some(0.0)).map(|(_, ms)| *ms);
        let known = resets.iter().filter(|(left, _)| left.is_none()).map(|(_, ms)| *ms);
        reached.reduce(f64::max).or_else(|| known.reduce(f64::min))
    };
    let ms = in_ms().or_else(after).or_else(detail).or_else(limits).or_else(sentence)?;
    Some((ms.ceil() as u64).min(RETRY_MAX_MS))
}

/// A number that is one, and not below nothing.
fn number(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0)
}

/// Seconds, a span of time, or a moment.
fn wait_ms(text: &str, now: SystemTime) -> Option<f64> {
    let from_now = |moment: SystemTime| moment.duration_since(now).unwrap_or_default().as_millis() as f64;
    match number(text) {
        // So large a number is a moment: in seconds, or in milliseconds.
        Some(number) if number >= 1e12 => Some(from_now(UNIX_EPOCH + Duration::from_millis(number.min(1e16) as u64))),
        Some(number) if number >= 1e9 => Some(from_now(UNIX_EPOCH + Duration::from_secs(number as u64))),
        Some(seconds) => Some(seconds * 1000.0),
        None => span_ms(text).or_else(|| moment(text).map(from_now)),
    }
}

/// `7.66s`, `2m59.56s`, `250ms`, `1h2m`, `20 seconds`, at the beginning of a text.
fn span_ms(text: &str) -> Option<f64> {
    let mut rest = text.trim_start();
    let mut sum = None;
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let Some(count) = number(rest.get(..digits)?.trim_end_matches('.')) else { return sum };
        let behind = rest.get(digits..)?.trim_start();
        let letters = behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len());
        let unit = match behind.get(..letters)?.to_ascii_lowercase().as_str() {
            "ms" | "milliseconds" => 1.0,
            "s" | "sec" | "secs" | "second" | "seconds" => 1000.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60_000.0,
            "h" | "hour" | "hours" => 3_600_000.0,
            "d" | "day" | "days" => 86_400_000.0,
            _ => return sum,
        };
        sum = Some(sum.unwrap_or(0.0) + count * unit);
        rest = behind.get(letters..)?.trim_start();
    }
}

/// A date of HTTP in its three forms, or one of RFC 3339 in UTC.
fn moment(text: &str) -> Option<SystemTime> {
    if let Ok(date) = httpdate::parse_http_date(text) {
        return Some(date);
    }
    let (date, clock) = text.split_once(['T', 't', ' '])?;
    let clock = clock.trim_end_matches(['Z', 'z']).trim_end_matches("+00:00");
    let clock = clock.split('.').next()?;
    let date: Vec<u64> = date.split('-').map_while(|part| part.parse().ok()).collect();
    let clock: Vec<u64> = clock.split(':').map_while(|part| part.parse().ok()).collect();
    let ([year, month, day], [hour, minute, second]) = (date.get(..)?, clock.get(..)?) else { return None };
    let is_date = (1970..=9999).contains(year) && (1..=12).contains(month) && (1..=31).contains(day);
    if !is_date || *hour > 23 || *minute > 59 || *second > 60 {
        return None;
    }
    let seconds = ((days(*year, *month, *day) * 24 + hour) * 60 + minute) * 60 + second;
    Some(UNIX_EPOCH + Duration::from_secs(seconds))
}

/// Days since the epoch. Years are counted from March, so that the leap day is the last.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let since_year_0 = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    since_year_0 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At this moment: Sun, 06 Nov 1994 08:48:20 GMT.
    fn wait(pairs: &[(&'static str, &str)], message: &str) -> Option<u64> {
        let headers = pairs.iter().map(|(name, value)| ((*name).try_into().unwrap(), value.parse().unwrap())).collect();
        let complaint = Complaint::read(message.as_bytes());
        retry_after_ms(&headers, &complaint, UNIX_EPOCH + Duration::from_secs(784_111_700))
    }

    #[track_caller]
    fn check(name: &'static str, value: &str, ms: u64) {
        assert_eq!(wait(&[(name, value)], ""), Some(ms), "{name}: {value}");
    }

    #[test]
    fn seconds_milliseconds_and_dates_are_understood() {
        check("retry-after", "3", 3000);
        check("retry-after", "0.5", 500);
        check("retry-after", "1.5", 1500);
        check("retry-after", "2s", 2000);
        assert_eq!(wait(&[("retry-after-ms", "250"), ("retry-after", "9")], ""), Some(250));
        check("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT", 77_000);
        check("retry-after", "Sunday, 06-Nov-94 08:49:37 GMT", 77_000);
        check("retry-after", "Sun Nov  6 08:49:37 1994", 77_000);
        check("retry-after", "1994-11-06T08:49:37Z", 77_000);
    }

    #[test]
    fn a_limit_that_is_reached_says_when_it_is_whole_again() {
        check("x-ratelimit-reset-requests", "2m59.56s", 179_560);
        check("x-ratelimit-reset-tokens", "120ms", 120);
        check("anthropic-ratelimit-requests-reset", "1994-11-06T08:49:00Z", 40_000);
        let both = [
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "6m0s"),
            ("x-ratelimit-remaining-tokens", "900"),
            ("x-ratelimit-reset-tokens", "1s"),
        ];
        assert_eq!(wait(&both, ""), Some(360_000));
        assert_eq!(wait(&both[2..], "Please try again in 7.66s."), Some(7660));
    }

    #[test]
    fn the_refusal_itself_may_say_it() {
        assert_eq!(
            wait(&[], r#"{"error":{"message":"Rate limit. Please try again in 1m7.66s. Visit"}}"#),
            Some(67_660)
        );
        assert_eq!(wait(&[], "Please retry after 20 seconds."), Some(20_000));
        let details = r#"{"error":{"code":429,"message":"x","details":[{"@type":"a"},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34.07s"}]}}"#;
        assert_eq!(wait(&[], details), Some(34_070));
    }

    #[test]
    fn a_moment_that_has_passed_means_at_once() {
        check("retry-after", "Tue, 06 Nov 1990 08:49:37 GMT", 0);
        for (at, ms) in [("1790000060", 60_000), ("1790000060000", 60_000), ("1789999999", 0)] {
            let headers = [("x-ratelimit-reset".try_into().unwrap(), at.parse().unwrap())].into_iter().collect();
            let now = UNIX_EPOCH + Duration::from_secs(1_790_000_000);
            assert_eq!(retry_after_ms(&headers, &Complaint::default(), now), Some(ms), "{at}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_as_if_it_was_not_said() {
        for text in [
            "soon",
            "-1",
            "NaN",
            "inf",
            "Sun, 99 Nov 1994 08:49:37 GMT",
            "Sun, 06 Foo 1994 08:49:37 GMT",
            ", 1 2 3 4 GMT",
            "1994-13-01T00:00:00Z",
            "3 apples",
            "..",
            "ä",
        ] {
            assert_eq!(wait(&[("retry-after", text)], "try again in a while"), None, "{text}");
        }
        assert_eq!(wait(&[], ""), None);
    }

    #[test]
    fn nobody_is_sent_away_for_ever() {
        assert_eq!(wait(&[("retry-after-ms", "99999999999999")], ""), Some(RETRY_MAX_MS));
        check("retry-after", "999999999h", RETRY_MAX_MS);
        check("retry-after", "9999999999999999999999", RETRY_MAX_MS);
    }
}
