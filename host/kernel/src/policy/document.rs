//! A TOML file as the policy language reads it: every key is known or a mistake, every value has its type or is a
//! mistake, and each mistake knows its place. It decides nothing.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Mistake, Source, near};
use crate::limits::{LIST_MAX, MISTAKES_MAX, NESTING_MAX, POLICY_FILE_MAX_BYTES};
use crate::nesting::too_deep;
use crate::text;

/// A place in the file, in bytes.
pub(super) type Span = Range<usize>;

/// A file and what was found wrong with it.
#[derive(Debug)]
pub(super) struct Document<'a> {
    source: Source<'a>,
    pub(super) mistakes: Vec<Mistake>,
    pub(super) warnings: Vec<Mistake>,
}

/// The words of one table: those that it knows, and those of the language that this version cannot enforce.
pub(super) struct Words {
    /// As the admin would say it: `llm`, `[budget]`.
    pub(super) table: &'static str,
    pub(super) known: &'static [&'static str],
    pub(super) later: &'static [&'static str],
}

impl<'a> Document<'a> {
    pub(super) fn new(source: Source<'a>) -> Self {
        Self { source, mistakes: Vec::new(), warnings: Vec::new() }
    }

    /// The whole file as a table; none, with mistakes, if it is not TOML.
    pub(super) fn parse(&mut self) -> Option<Spanned<DeTable<'a>>> {
        let text = self.source.text;
        if text.len() > POLICY_FILE_MAX_BYTES {
            let message = format!("the file has {} bytes, more than {POLICY_FILE_MAX_BYTES}", text.len());
            self.mistake(0..0, message, "nobody could review it: split it, one agent a file");
            return None;
        }
        if let Some(place) = too_deep(text) {
            self.mistake(place, format!("nested deeper than {NESTING_MAX}"), "the language itself needs 4");
            return None;
        }
        let (table, errors) = DeTable::parse_recoverable(text);
        // One broken line confuses a parser for many more, so only the first is told.
        if let Some(error) = errors.iter().min_by_key(|error| error.span().map_or(0, |span| span.start)) {
            let hint = match error.message() {
                "duplicate key" => "each key stands once in its table",
                _ => text::pasted(text, error.span().map_or(0, |span| span.start))
                    .unwrap_or("write it as TOML: `key = value`, texts in \"quotes\""),
            };
            self.mistake(error.span().unwrap_or(0..0), error.message(), hint);
        }
        errors.is_empty().then_some(table)
    }

    /// Tells a mistake once, however often what it is in is read.
    pub(super) fn mistake(&mut self, place: Span, message: impl Into<String>, hint: impl Into<String>) {
        if self.mistakes.len() < MISTAKES_MAX {
            let mistake = Mistake::at(self.source, place.start, message, hint);
            let same = |told: &Mistake| {
                (told.line, told.column, &told.message) == (mistake.line, mistake.column, &mistake.message)
            };
            if !self.mistakes.iter().any(same) {
                self.mistakes.push(mistake);
            }
        }
    }

    pub(super) fn warn(&mut self, place: Span, message: impl Into<String>, hint: impl Into<String>) {
        if self.warnings.len() < MISTAKES_MAX {
            let warning = Mistake::at(self.source, place.start, message, hint);
            self.warnings.push(warning);
        }
    }

    /// Says that a table lacks all of these keys, unless one of them was misspelt in it: that is one mistake, and was told.
    pub(super) fn lacks(
        &mut self,
        (table, place): (&DeTable<'_>, &Span),
        keys: &[&str],
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let meant = |mistake: &Mistake| {
            keys.iter()
                .any(|key| [format!("`{key}`"), format!("`{key} =")].iter().any(|word| mistake.hint.contains(word)))
        };
        let is_told = table.keys().map(|word| Mistake::at(self.source, word.span().start, "", "")).any(|word| {
            let at_word = |mistake: &&Mistake| (mistake.line, mistake.column) == (word.line, word.column);
            self.mistakes.iter().filter(at_word).any(meant)
        });
        if !is_told {
            self.mistake(place.clone(), message, hint);
        }
    }

    /// What would be said about a place, should it come to that.
    pub(super) fn note(&self, place: Span, message: &str, hint: &str) -> Mistake {
        Mistake::at(self.source, place.start, message, hint)
    }

    pub(super) fn file(&self) -> &'a str {
        self.source.file
    }

    /// The line of a place, from 1.
    pub(super) fn line(&self, place: &Span) -> u32 {
        let before = &self.source.text.as_bytes()[..place.start.min(self.source.text.len())];
        let breaks = before.iter().filter(|byte| **byte == b'\n').count();
        u32::try_from(breaks).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// Reports each key that the table does not know.
    pub(super) fn closed(&mut self, table: &DeTable<'_>, words: &Words) {
        for key in table.keys() {
            let word: &str = key.get_ref();
            if words.known.contains(&word) {
                continue;
            }
            let shown = text::show(word);
            let better = near::hint(words.table, word);
            if near::is_of_site(words.table, word) {
                let message = format!("a grant cannot enforce `{shown}`: it is the site that bounds grants");
                self.mistake(key.span(), message, better.unwrap_or_default());
                continue;
            }
            if words.later.contains(&word) {
                let message = format!("this version cannot enforce `{shown}` in {} yet", words.table);
                let hint = better.unwrap_or("take it out: what cannot be enforced is refused, never ignored".into());
                self.mistake(key.span(), message, hint);
                continue;
            }
            let lower = word.to_ascii_lowercase();
            let near = text::nearest(&lower, words.known.iter().chain(words.later).copied());
            let hint = match (better, near) {
                (_, Some(near)) if near == lower => format!("write `{near}`: words are in small letters").into(),
                (Some(hint), _) => hint,
                (None, Some(near)) => format!("did you mean `{near}`?").into(),
                (None, None) => format!("{} knows {}", words.table, words.known.join(", ")).into(),
            };
            self.mistake(key.span(), format!("unknown key `{shown}` in {}", words.table), hint);
        }
    }

    pub(super) fn string<'t>(&mut self, table: &'t DeTable<'_>, key: &str, example: &str) -> Option<(&'t str, Span)> {
        let value = table.get(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some((text, value.span())),
            other => self.wrong(value.span(), key, other.type_str(), "a text", example),
        }
    }

    pub(super) fn number(&mut self, table: &DeTable<'_>, key: &str, example: &str) -> Option<(u64, Span)> {
        let value = table.get(key)?;
        let DeValue::Integer(number) = value.get_ref() else {
            return self.wrong(value.span(), key, value.get_ref().type_str(), "a whole number", example);
        };
        match u64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Some((number, value.span())),
            Err(_) => {
                let message = format!("`{key}` must be a number from 0 to {}", u64::MAX);
                self.mistake(value.span(), message, format!("for example `{key} = {example}`"));
                None
            }
        }
    }

    /// A whole number of either sign.
    pub(super) fn integer(&mut self, table: &DeTable<'_>, key: &str, example: &str) -> Option<i64> {
        let value = table.get(key)?;
        let DeValue::Integer(number) = value.get_ref() else {
            return self.wrong(value.span(), key, value.get_ref().type_str(), "a whole number", example);
        };
        let parsed = i64::from_str_radix(number.as_str(), number.radix()).ok();
        if parsed.is_none() {
            let message = format!("`{key}` must be a number from {} to {}", i64::MIN, i64::MAX);
            self.mistake(value.span(), message, format!("for example `{key} = {example}`"));
        }
        parsed
    }

    /// A list of texts, or a text alone; a mistake and none where it is something else, empty where it is not there.
    pub(super) fn strings<'t>(&mut self, table: &'t DeTable<'_>, key: &str, example: &str) -> Vec<(&'t str, Span)> {
        let Some(value) = table.get(key) else { return Vec::new() };
        let array = match value.get_ref() {
            DeValue::String(text) => return alloc::vec![(text as &str, value.span())],
            DeValue::Array(array) => array,
            other => {
                self.wrong::<()>(value.span(), key, other.type_str(), "a list of texts", example);
                return Vec::new();
            }
        };
        self.not_too_long(key, array.len(), value.span());
        let mut strings = Vec::new();
        for value in array.iter().take(LIST_MAX) {
            match value.get_ref() {
                DeValue::String(text) => strings.push((text as &str, value.span())),
                other => {
                    self.wrong::<()>(value.span(), key, other.type_str(), "a list of texts", example);
                }
            }
        }
        strings
    }

    pub(super) fn table<'t, 'i>(
        &mut self,
        table: &'t DeTable<'i>,
        key: &str,
        example: &str,
    ) -> Option<(&'t DeTable<'i>, Span)> {
        let (name, value) = table.get_key_value(key)?;
        match value.get_ref() {
            DeValue::Table(inner) => Some((inner, name.span())),
            DeValue::Array(_) if self.is_heading(&name.span()) => {
                let hint = format!("write [{key}], with one bracket: there is one of it");
                self.mistake(name.span(), format!("`{key}` is a list; it must be a table"), hint);
                None
            }
            other => self.wrong(value.span(), key, other.type_str(), "a table", example),
        }
    }

    /// A list of tables, `key = [{ … }]` or `[[key]]`.
    pub(super) fn tables<'t, 'i>(
        &mut self,
        table: &'t DeTable<'i>,
        key: &str,
        example: &str,
    ) -> Vec<(&'t DeTable<'i>, Span)> {
        let Some((name, value)) = table.get_key_value(key) else { return Vec::new() };
        let DeValue::Array(array) = value.get_ref() else {
            let kind = value.get_ref().type_str();
            if kind == "table" && self.is_heading(&name.span()) {
                let hint = format!("write [[{key}]], with two brackets: there may be several of it");
                self.mistake(name.span(), format!("`{key}` is a table; it must be a list of tables"), hint);
            } else {
                self.wrong::<()>(value.span(), key, kind, "a list of tables", example);
            }
            return Vec::new();
        };
        self.not_too_long(key, array.len(), value.span());
        let mut tables = Vec::new();
        for value in array.iter().take(LIST_MAX) {
            match value.get_ref() {
                DeValue::Table(inner) => tables.push((inner, value.span())),
                other => {
                    self.wrong::<()>(value.span(), key, other.type_str(), "a list of tables", example);
                }
            }
        }
        tables
    }

    /// The place of a key; of the whole file where it is missing.
    pub(super) fn place(table: &DeTable<'_>, key: &str) -> Span {
        table.get_key_value(key).map_or(0..0, |(key, _)| key.span())
    }

    /// Whether a key stands in brackets of its own: `[key]`, `[[key]]`, `[key.more]`.
    fn is_heading(&self, place: &Span) -> bool {
        let before = self.source.text.get(..place.start).unwrap_or_default();
        before.rsplit('\n').next().is_some_and(|line| line.trim_start().starts_with('['))
    }

    fn not_too_long(&mut self, key: &str, len: usize, place: Span) {
        if len > LIST_MAX {
            self.mistake(place, format!("`{key}` lists {len} things, more than {LIST_MAX}"), "use a wider pattern");
        }
    }

    pub(super) fn wrong<T>(&mut self, place: Span, key: &str, is: &str, must: &str, example: &str) -> Option<T> {
        let is: Cow<'_, str> = match is {
            "float" => "a number with a fraction".into(),
            "integer" => "a whole number".into(),
            "array" => "a list".into(),
            "string" => "a text".into(),
            "datetime" => "a date".into(),
            other => format!("a {other}").into(),
        };
        self.mistake(place, format!("`{key}` is {is}; it must be {must}"), format!("for example `{key} = {example}`"));
        None
    }
}

/// A value as a mistake shows it.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text::show(text))
}
