//! Which package a grant is for, signed by whom, and until when.

use alloc::format;

use toml::de::{DeTable, DeValue};
use toml::value::{Datetime, Offset};

use super::PackagePattern;
use super::document::{Document, Span, quoted};
use super::grant::fits;
use crate::publisher::PublisherKey;
use crate::rights::shapes;
use crate::time::Millis;

/// A package and its versions: `acme:reporter@^1.2`.
pub(super) fn pattern(document: &mut Document<'_>, text: &str, place: &Span) -> Option<PackagePattern> {
    let (name, version) = match text.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (text, None),
    };
    if !fits(document, place, "package", text, shapes::package(name)) {
        return None;
    }
    let version = match version.map(semver::VersionReq::parse) {
        None => None,
        Some(Ok(version)) => Some(version),
        Some(Err(error)) => {
            let message = format!("the version of `package` is not one: {error}");
            document.mistake(place.clone(), message, "for example `package = \"acme:reporter@^1.2\"`");
            return None;
        }
    };
    Some(PackagePattern { name: name.into(), version })
}

/// Who must have signed the package: `ed25519:`, `keys:` or `cosign:`, and the digits.
pub(super) fn publisher(document: &mut Document<'_>, table: &DeTable<'_>) -> Option<PublisherKey> {
    let (text, place) = document.string(table, "publisher", "\"ed25519:5f0c…\"")?;
    let key = text.parse().ok();
    if key.is_none() {
        let message = format!("`publisher` is no key: {}", quoted(text));
        document.mistake(
            place,
            message,
            "`ed25519:`, `keys:` or `cosign:`, and 64 hexadecimal digits, as `agentry key ls` shows it",
        );
    }
    key
}

/// A grant ends with the beginning of the day, UTC, that it names.
pub(super) fn expires(document: &mut Document<'_>, table: &DeTable<'_>) -> Option<Millis> {
    let value = table.get("expires")?;
    let DeValue::Datetime(date) = value.get_ref() else {
        return document.wrong(value.span(), "expires", value.get_ref().type_str(), "a date", "2027-03-01");
    };
    let moment = moment(date);
    if moment.is_none() {
        let hint = "a date such as 2027-03-01, whose beginning in UTC is meant, or a time such as 2027-03-01T12:00:00Z";
        document.mistake(value.span(), "`expires` names no moment", hint);
    }
    moment
}

/// The moment that a date names; one with a time says of which zone that is.
pub fn moment(date: &Datetime) -> Option<Millis> {
    let day = date.date?;
    let offset_minutes = match (&date.time, &date.offset) {
        (None, _) | (_, Some(Offset::Z)) => 0,
        (Some(_), Some(Offset::Custom { minutes })) => i64::from(*minutes),
        (Some(_), None) => return None,
    };
    // Days from civil, by Howard Hinnant: the year begins in March, so that the leap day is its last.
    let (month, day) = (i64::from(day.month), (i64::from(day.year), i64::from(day.day)));
    let year = day.0 - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day.1 - 1;
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    let time = date.time.map_or(0, |time| {
        let second = time.second.map_or(0, i64::from);
        i64::from(time.hour) * 3600 + i64::from(time.minute) * 60 + second
    });
    let seconds = days * 86_400 + time - offset_minutes * 60;
    u64::try_from(seconds).ok()?.checked_mul(1000).map(Millis)
}
