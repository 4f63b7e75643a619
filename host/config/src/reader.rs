//! Tables of a configuration, read key by key. What nobody reads is a mistake, and each mistake has its line.

use std::ops::Range;
use std::path::{Path, PathBuf};

use agentry_kernel::policy::{Mistake, Source};
use agentry_kernel::text;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::ConfigError;
use super::excerpt::without_keys;

/// A document, for the places of mistakes.
#[derive(Clone, Copy)]
pub struct Document<'a> {
    /// Its name, as the admin would open it.
    pub file: &'a str,
    /// All of it.
    pub text: &'a str,
}

/// One table and its name.
#[derive(Clone)]
pub struct Table<'a> {
    /// Where it stands.
    pub document: Document<'a>,
    /// What a mistake calls it: `[models.small]`.
    pub name: String,
    /// Its place in the document, in bytes.
    pub span: Range<usize>,
    table: &'a DeTable<'a>,
}

impl<'a> Document<'a> {
    /// A mistake at a place, in bytes.
    pub fn mistake(&self, at: usize, message: impl Into<String>, hint: impl Into<String>) -> ConfigError {
        let mistake = Mistake::at(Source { file: self.file, text: self.text }, at, message, hint);
        ConfigError::Mistake(Mistake { text: without_keys(&mistake.text), ..mistake })
    }

    /// Where a key stands that is named from the top, in bytes: `wants.files.0.root`. The innermost part of it that is there.
    pub fn place_of(&self, key: &str) -> usize {
        DeTable::parse(self.text).ok().and_then(|parsed| place(parsed.get_ref(), key)).unwrap_or(0)
    }

    /// A path that stands in it: a relative one is beside the file, wherever a command was started.
    pub fn beside(&self, path: &str) -> PathBuf {
        Path::new(self.file).parent().unwrap_or(Path::new("")).join(path)
    }

    /// Parses the document and has its table read.
    ///
    /// # Errors
    /// If it is not TOML, and what `read` fails with.
    pub fn read<T>(self, read: impl FnOnce(&Table<'_>) -> Result<T, ConfigError>) -> Result<T, ConfigError> {
        let (parsed, errors) = DeTable::parse_recoverable(self.text);
        // One broken line confuses a parser for many more, so only the first is told.
        if let Some(error) = errors.iter().min_by_key(|error| error.span().map_or(0, |span| span.start)) {
            let hint = match error.message() {
                "duplicate key" => "each key stands once in its table, and each [table] once in a file",
                _ => text::pasted(self.text, error.span().map_or(0, |span| span.start))
                    .unwrap_or("write it as TOML: `key = value`, texts in \"quotes\", tables below a [heading]"),
            };
            let at = error.span().map_or(0, |span| span.start);
            return Err(self.mistake(at, format!("not TOML: {}", error.message()), hint));
        }
        read(&self.table(&parsed))
    }

    /// The whole document as a table.
    pub fn table(self, parsed: &'a Spanned<DeTable<'a>>) -> Table<'a> {
        Table { document: self, name: "the file".to_owned(), span: 0..0, table: parsed.get_ref() }
    }
}

impl<'a> Table<'a> {
    /// A mistake in this table as a whole.
    pub fn mistake(&self, message: impl Into<String>, hint: impl Into<String>) -> ConfigError {
        self.document.mistake(self.span.start, message, hint)
    }

    /// A mistake in the value of `key`.
    pub fn mistake_in(&self, key: &str, message: impl Into<String>, hint: impl Into<String>) -> ConfigError {
        let at = self.table.get(key).map_or(self.span.start, |value| value.span().start);
        self.document.mistake(at, message, hint)
    }

    /// Refuses all keys but these.
    pub fn only(&self, known: &[&str]) -> Result<(), ConfigError> {
        self.only_in_our_words(known, &[])
    }

    /// Refuses all keys but these. Behind the words that other programs have stands what is written here instead.
    pub fn only_in_our_words(&self, known: &[&str], others: &[(&[&str], &str)]) -> Result<(), ConfigError> {
        let Some((key, value)) = self.table.iter().find(|(key, _)| !known.contains(&key.get_ref().as_ref())) else {
            return Ok(());
        };
        let word: &str = key.get_ref();
        let lower = word.to_ascii_lowercase();
        let hint = match (self.with_dots(word, value.get_ref(), known), nearest(&lower, known)) {
            (Some(heading), _) => format!("a name with dots stands in quotes: {heading}"),
            (None, Some(near)) => format!("did you mean `{near}`?"),
            (None, None) => match others.iter().find(|(words, _)| words.contains(&&*lower)) {
                Some((_, ours)) => format!("write {ours}"),
                None => format!("known here: {}", known.join(", ")),
            },
        };
        Err(self.document.mistake(key.span().start, format!("unknown key `{word}` in {}", self.name), hint))
    }

    /// The heading that was meant, if this table is one of many and below it stands the rest of its name: `[tools.mail.send]`.
    fn with_dots(&self, word: &str, value: &DeValue<'_>, known: &[&str]) -> Option<String> {
        let (list, first) = self.name.strip_prefix('[')?.strip_suffix(']')?.split_once('.')?;
        let DeValue::Table(below) = value else { return None };
        let mut inner: &DeTable<'_> = below;
        let mut name = format!("{}.{word}", first.trim_matches('"'));
        while let (1, Some((key, DeValue::Table(below)))) =
            (inner.len(), inner.iter().next().map(|(key, value)| (key.get_ref(), value.get_ref())))
            && !known.contains(&key.as_ref())
        {
            name = format!("{name}.{key}");
            inner = below;
        }
        Some(format!("[{list}.\"{name}\"]"))
    }

    /// Its keys.
    pub fn keys(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let table: &'a DeTable<'a> = self.table;
        table.keys().map(|key| key.get_ref().as_ref())
    }

    /// The tables in this one, in the order of the file.
    pub fn tables(&self, key: &str) -> Result<Vec<(&'a str, Table<'a>)>, ConfigError> {
        let Some(value) = self.table.get(key) else { return Ok(Vec::new()) };
        if !matches!(value.get_ref(), DeValue::Table(_)) {
            let hint = format!("write each below a heading of its own: [{key}.NAME]");
            return Err(self.mistake_in(key, format!("`{key}` is not a table"), hint));
        }
        let Some(outer) = self.get_table(key)? else { return Ok(Vec::new()) };
        let mut tables = Vec::new();
        for (name, value) in outer.table {
            let DeValue::Table(table) = value.get_ref() else {
                let hint = format!("write {}", heading(key, name.get_ref()));
                return Err(self.document.mistake(
                    value.span().start,
                    format!("`{}` is not a table", name.get_ref()),
                    hint,
                ));
            };
            let full = heading(key, name.get_ref());
            let span = name.span();
            tables.push((name.get_ref().as_ref(), Table { document: self.document, name: full, span, table }));
        }
        tables.sort_by_key(|(_, table)| table.span.start);
        Ok(tables)
    }

    /// Tables in a list; none is an empty one.
    pub fn list_of_tables(&self, key: &str) -> Result<Vec<Table<'a>>, ConfigError> {
        let Some(value) = self.table.get(key) else { return Ok(Vec::new()) };
        let wrong = || {
            let hint = format!("write {key} = [{{ … }}]");
            self.mistake_in(key, format!("`{key}` is not a list of tables"), hint)
        };
        let DeValue::Array(items) = value.get_ref() else { return Err(wrong()) };
        let table = |item: &'a Spanned<DeValue<'a>>| match item.get_ref() {
            DeValue::Table(table) => {
                Ok(Table { document: self.document, name: format!("`{key}`"), span: item.span(), table })
            }
            _ => Err(wrong()),
        };
        items.iter().map(table).collect()
    }

    /// Whatever stands there.
    pub fn value(&self, key: &str) -> Option<&'a DeValue<'a>> {
        let table: &'a DeTable<'a> = self.table;
        table.get(key).map(Spanned::get_ref)
    }

    /// A table in this one.
    pub fn get_table(&self, key: &str) -> Result<Option<Table<'a>>, ConfigError> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        let DeValue::Table(table) = value.get_ref() else {
            return Err(self.mistake_in(key, format!("`{key}` is not a table"), format!("write {key} = {{ … }}")));
        };
        Ok(Some(Table { document: self.document, name: format!("`{key}`"), span: value.span(), table }))
    }

    /// A text.
    pub fn text(&self, key: &str) -> Result<Option<&'a str>, ConfigError> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        match value.get_ref() {
            DeValue::String(text) if !text.is_empty() => Ok(Some(text)),
            _ => Err(self.mistake_in(key, format!("`{key}` is not a text"), format!("write {key} = \"…\""))),
        }
    }

    /// A text that must be there.
    pub fn needs_text(&self, key: &str) -> Result<&'a str, ConfigError> {
        self.text(key)?
            .ok_or_else(|| self.mistake(format!("{} has no `{key}`", self.name), format!("add {key} = \"…\"")))
    }

    /// A list of texts; none is an empty one.
    pub fn texts(&self, key: &str) -> Result<Vec<&'a str>, ConfigError> {
        let Some(value) = self.table.get(key) else { return Ok(Vec::new()) };
        let wrong =
            || self.mistake_in(key, format!("`{key}` is not a list of texts"), format!("write {key} = [\"…\"]"));
        let DeValue::Array(items) = value.get_ref() else { return Err(wrong()) };
        let texts = items.iter().map(|item| match item.get_ref() {
            DeValue::String(text) if !text.is_empty() => Ok(text.as_ref()),
            _ => Err(wrong()),
        });
        texts.collect()
    }

    /// A list of texts and of lists of texts; none is an empty one.
    pub fn texts_or_lists(&self, key: &str) -> Result<Vec<Vec<&'a str>>, ConfigError> {
        let Some(value) = self.table.get(key) else { return Ok(Vec::new()) };
        let wrong = || {
            self.mistake_in(
                key,
                format!("`{key}` is not a list of texts"),
                format!("write {key} = [\"…\", [\"…\", \"…\"]]"),
            )
        };
        let DeValue::Array(items) = value.get_ref() else { return Err(wrong()) };
        let text = |item: &'a Spanned<DeValue<'a>>| match item.get_ref() {
            DeValue::String(text) => Ok(text.as_ref()),
            _ => Err(wrong()),
        };
        let group = |item: &'a Spanned<DeValue<'a>>| match item.get_ref() {
            DeValue::Array(inner) => inner.iter().map(text).collect(),
            _ => Ok(vec![text(item)?]),
        };
        items.iter().map(group).collect()
    }

    /// A whole number in a range.
    pub fn number(&self, key: &str, range: Range<u64>) -> Result<Option<u64>, ConfigError> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        let number = match value.get_ref() {
            DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        number.filter(|number| range.contains(number)).map(Some).ok_or_else(|| {
            let hint = format!("write a whole number from {} to {}", range.start, range.end - 1);
            self.mistake_in(key, format!("`{key}` is out of range or no whole number"), hint)
        })
    }

    /// Refuses a file that does not say that it has this format.
    pub fn needs_format(&self, known: u64) -> Result<(), ConfigError> {
        if matches!(self.number("format", known..known + 1), Ok(Some(_))) {
            return Ok(());
        }
        let message = "the file has another format, or does not say which";
        Err(self.mistake_in("format", message, format!("write format = {known}")))
    }

    /// Yes or no.
    pub fn flag(&self, key: &str) -> Result<Option<bool>, ConfigError> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        match value.get_ref() {
            DeValue::Boolean(flag) => Ok(Some(*flag)),
            _ => Err(self.mistake_in(key, format!("`{key}` is neither true nor false"), format!("write {key} = true"))),
        }
    }
}

/// The heading of one of many tables, as it stands in a file: a name that TOML would take apart, in quotes.
fn heading(list: &str, name: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !name.is_empty() && name.bytes().all(bare) { format!("[{list}.{name}]") } else { format!("[{list}.{name:?}]") }
}

/// Where a key stands below a table; a number is one of a list.
fn place(table: &DeTable<'_>, key: &str) -> Option<usize> {
    let (first, rest) = key.split_once('.').map_or((key, None), |(first, rest)| (first, Some(rest)));
    let (name, value) = table.get_key_value(first)?;
    let inner = rest.and_then(|rest| match value.get_ref() {
        DeValue::Table(inner) => place(inner, rest),
        DeValue::Array(items) => {
            let (number, rest) = rest.split_once('.').map_or((rest, None), |(number, rest)| (number, Some(rest)));
            let item = items.get(number.parse::<usize>().ok()?)?;
            match (item.get_ref(), rest) {
                (DeValue::Table(inner), Some(rest)) => place(inner, rest).or(Some(item.span().start)),
                _ => Some(item.span().start),
            }
        }
        _ => None,
    });
    let own = if matches!(value.get_ref(), DeValue::Table(_)) { name.span() } else { value.span() };
    inner.or(Some(own.start))
}

/// The known word that was probably meant: one that is written nearly so, or the only one that goes on with a unit or the like.
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let longer = |known: &&str| known.strip_prefix(word).is_some_and(|rest| rest.starts_with('_'));
    text::nearest(word, known.iter().copied()).or_else(|| {
        let mut longer = known.iter().copied().filter(longer);
        longer.next().filter(|_| !word.is_empty() && longer.next().is_none())
    })
}

/// What to say of an unknown word: the one that was probably meant, or all there are.
pub fn near_or_all(word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "there is none yet".to_owned(),
        None => format!("there is: {}", known.join(", ")),
    }
}
