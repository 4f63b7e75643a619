//! When a provider says that trying again makes sense: `retry-after-ms`, or `Retry-After` in seconds or as a date (RFC 9110, 10.2.3).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::HeaderMap;

/// Nobody waits longer: what a provider says beyond is cut to this.
const RETRY_MAX_MS: u64 = 24 * 60 * 60 * 1000;

/// Milliseconds from `now`, if the provider says.
pub(super) fn retry_after_ms(headers: &HeaderMap, now: SystemTime) -> Option<u64> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let seconds = |text: &str| text.parse::<f64>().ok().filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
    let ms = match text("retry-after-ms").and_then(seconds) {
        Some(ms) => ms as u64,
        None => {
            let said = text("retry-after")?;
            match seconds(said) {
                Some(seconds) => (seconds * 1000.0) as u64,
                None => {
                    let wait = date(said)?.duration_since(now).unwrap_or_default();
                    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
                }
            }
        }
    };
    Some(ms.min(RETRY_MAX_MS))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, the one form that is still sent.
fn date(text: &str) -> Option<SystemTime> {
    let (_, rest) = text.split_once(", ")?;
    let words: Vec<&str> = rest.split(' ').collect();
    let [day, month, year, clock, "GMT"] = words[..] else { return None };
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months.iter().position(|name| *name == month)? as u64 + 1;
    let (day, year): (u64, u64) = (day.parse().ok()?, year.parse().ok()?);
    let clock: Vec<u64> = clock.split(':').map_while(|part| part.parse().ok()).collect();
    let [hour, minute, second] = clock[..] else { return None };
    if !(1970..=9999).contains(&year) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
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

    fn wait(pairs: &[(&'static str, &str)]) -> Option<u64> {
        let headers = pairs.iter().map(|(name, value)| ((*name).try_into().unwrap(), value.parse().unwrap())).collect();
        retry_after_ms(&headers, UNIX_EPOCH + Duration::from_secs(784_111_700))
    }

    #[test]
    fn seconds_milliseconds_and_dates_are_understood() {
        assert_eq!(wait(&[("retry-after", "3")]), Some(3000));
        assert_eq!(wait(&[("retry-after", "0.5")]), Some(500));
        assert_eq!(wait(&[("retry-after-ms", "250"), ("retry-after", "9")]), Some(250));
        assert_eq!(wait(&[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")]), Some(77_000));
    }

    #[test]
    fn a_date_that_has_passed_means_at_once() {
        assert_eq!(wait(&[("retry-after", "Tue, 06 Nov 1990 08:49:37 GMT")]), Some(0));
    }

    #[test]
    fn what_makes_no_sense_is_as_if_it_was_not_said() {
        for text in
            ["soon", "-1", "NaN", "Sun, 99 Nov 1994 08:49:37 GMT", "Sun, 06 Foo 1994 08:49:37 GMT", ", 1 2 3 4 GMT"]
        {
            assert_eq!(wait(&[("retry-after", text)]), None, "{text}");
        }
        assert_eq!(wait(&[]), None);
    }

    #[test]
    fn nobody_is_sent_away_for_ever() {
        assert_eq!(wait(&[("retry-after", "99999999999999")]), Some(RETRY_MAX_MS));
    }
}
