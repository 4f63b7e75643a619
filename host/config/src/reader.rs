//! Tables of a configuration, read key by key. What nobody reads is a mistake, and each mistake has its line.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::ConfigError;

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
    /// A mistake at a place.
    pub fn mistake(&self, at: usize, message: impl Into<String>, hint: impl Into<String>) -> ConfigError {
        let before = self.text.as_bytes().get(..at).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        ConfigError::Mistake { file: self.file.to_owned(), line, message: message.into(), hint: hint.into() }
    }

    /// A path that stands in it: a relative one is beside the file, wherever a command was started.
    pub fn beside(&self, path: &str) -> PathBuf {
        Path::new(self.file).parent().unwrap_or(Path::new("")).join(path)
    }

    /// Parses the document and has its table read; `hint` is for a text that is no TOML at all.
    ///
    /// # Errors
    /// If it is not TOML, and what `read` fails with.
    pub fn read<T>(
        self,
        hint: &str,
        read: impl FnOnce(&Table<'_>) -> Result<T, ConfigError>,
    ) -> Result<T, ConfigError> {
        let parsed = DeTable::parse(self.text).map_err(|why| {
            let at = why.span().map_or(0, |span| span.start);
            self.mistake(at, format!("not TOML: {}", why.message()), hint)
        })?;
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
        match self.table.keys().find(|key| !known.contains(&key.get_ref().as_ref())) {
            None => Ok(()),
            Some(key) => {
                let word = key.get_ref();
                let hint = match nearest(word, known) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("known here: {}", known.join(", ")),
                };
                Err(self.document.mistake(key.span().start, format!("unknown key `{word}` in {}", self.name), hint))
            }
        }
    }

    /// Its keys.
    pub fn keys(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let table: &'a DeTable<'a> = self.table;
        table.keys().map(|key| key.get_ref().as_ref())
    }

    /// The tables in this one, in the order of the file.
    pub fn tables(&self, key: &str) -> Result<Vec<(&'a str, Table<'a>)>, ConfigError> {
        let Some(outer) = self.get_table(key)? else { return Ok(Vec::new()) };
        let mut tables = Vec::new();
        for (name, value) in outer.table {
            let DeValue::Table(table) = value.get_ref() else {
                let hint = format!("write [{key}.{}]", name.get_ref());
                return Err(self.document.mistake(
                    value.span().start,
                    format!("`{}` is not a table", name.get_ref()),
                    hint,
                ));
            };
            let full = format!("[{key}.{}]", name.get_ref());
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

    /// Yes or no.
    pub fn flag(&self, key: &str) -> Result<Option<bool>, ConfigError> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        match value.get_ref() {
            DeValue::Boolean(flag) => Ok(Some(*flag)),
            _ => Err(self.mistake_in(key, format!("`{key}` is neither true nor false"), format!("write {key} = true"))),
        }
    }
}

/// The known word that was probably meant.
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let close = |near: &&str| distance(word, near);
    known.iter().copied().min_by_key(close).filter(|near| distance(word, near) <= 1 + near.len() / 4)
}

/// What to say of an unknown word: the one that was probably meant, or all there are.
pub fn near_or_all(word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there is: {}", known.join(", ")),
    }
}

/// Letters to change, add or leave out: Levenshtein (1966).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().take(64).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, other) in b.iter().enumerate() {
            let change = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
