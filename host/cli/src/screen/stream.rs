//! What is printed while it is read, however much it is: an array of JSON item by item, a page for people part by part. It keeps nothing.

use anyhow::{Context, Result};
use serde::Serialize;

use super::{fold, text};

/// So much is written at once.
const PART_BYTES: usize = 64 * 1024;

/// Stdout, written part by part; what is left is written by [`Stream::end`].
pub struct Stream {
    waiting: String,
    columns: Option<usize>,
    items: u64,
}

impl Stream {
    /// Nothing yet.
    pub fn new() -> Self {
        Self { waiting: String::new(), columns: fold::columns(), items: 0 }
    }

    /// Whole lines for people, on lines that fit the screen.
    pub fn lines(&mut self, lines: &str) -> Result<()> {
        match self.columns {
            Some(columns) => self.waiting.push_str(&fold::fold(lines, columns)),
            None => self.waiting.push_str(lines),
        }
        self.give(PART_BYTES)
    }

    /// JSON that is no whole document yet.
    pub fn raw(&mut self, json: &str) -> Result<()> {
        self.waiting.push_str(&text::json(json));
        self.give(PART_BYTES)
    }

    /// The rest of a document, and the end of its line.
    pub fn last(&mut self, json: &str) -> Result<()> {
        self.raw(json)?;
        self.waiting.push('\n');
        Ok(())
    }

    /// The next item of an array.
    pub fn item(&mut self, item: &impl Serialize) -> Result<()> {
        if self.items > 0 {
            self.waiting.push(',');
        }
        self.items += 1;
        let item = serde_json::to_string(item).context("cannot write the answer as JSON")?;
        self.raw(&item)
    }

    /// Writes what is left.
    pub fn end(mut self) -> Result<()> {
        self.give(0)
    }

    fn give(&mut self, least: usize) -> Result<()> {
        if self.waiting.len() <= least {
            return Ok(());
        }
        super::print(&std::mem::take(&mut self.waiting))
    }
}
