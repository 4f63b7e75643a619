//! What a compiler cannot check: which room knows which, one name in every room, file heads, the surface and its tests.

mod dependencies;
mod files;
mod layers;
mod names;
mod rooms;
mod screens;
mod surface;
mod versions;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::workspace;

/// A file of the repository and its text.
pub struct File {
    /// Relative to the root.
    pub path: PathBuf,
    /// All of it.
    pub text: String,
}

/// All text files of the repository.
pub struct Tree(Vec<File>);

/// What is out of order, as `FILE:LINE: what`.
#[derive(Default)]
pub struct Findings(Vec<String>);

/// Runs every check; all findings are told at once.
pub fn run() -> Result<()> {
    let tree = Tree::read()?;
    let mut findings = Findings::default();
    files::check(&tree, &mut findings);
    names::check(&tree, &mut findings);
    rooms::check(&tree, &mut findings);
    layers::check(&tree, &mut findings);
    screens::check(&tree, &mut findings);
    versions::check(&tree, &mut findings);
    dependencies::check(&tree, &mut findings);
    surface::check(&tree, &mut findings);
    if findings.0.is_empty() {
        return Ok(());
    }
    for finding in &findings.0 {
        eprintln!("{finding}");
    }
    bail!("{} things are out of order", findings.0.len())
}

impl Tree {
    /// Reads what git lists.
    pub fn read() -> Result<Self> {
        let files = workspace::files()?.into_iter().filter_map(|path| {
            let text = workspace::read(&path).ok()?;
            Some(File { path, text })
        });
        Ok(Self(files.collect()))
    }

    /// Every text file.
    pub fn files(&self) -> impl Iterator<Item = &File> {
        self.0.iter()
    }

    /// The Rust files under a directory.
    pub fn rust<'a>(&'a self, under: &'a str) -> impl Iterator<Item = &'a File> {
        self.0.iter().filter(move |file| file.is_rust() && file.path.starts_with(under))
    }

    /// One file, if it is there.
    pub fn get(&self, path: impl AsRef<Path>) -> Option<&File> {
        self.0.iter().find(|file| file.path == path.as_ref())
    }
}

impl File {
    /// Whether it is a Rust file.
    pub fn is_rust(&self) -> bool {
        self.path.extension().is_some_and(|end| end == "rs")
    }

    /// Its lines with their numbers, from 1.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }
}

impl Findings {
    /// Something about a file.
    pub fn file(&mut self, file: &File, line: usize, what: impl std::fmt::Display) {
        self.0.push(format!("{}:{line}: {what}", file.path.display()));
    }

    /// Something about something that is not there.
    pub fn missing(&mut self, path: impl AsRef<Path>, what: impl std::fmt::Display) {
        self.0.push(format!("{}: {what}", path.as_ref().display()));
    }
}
