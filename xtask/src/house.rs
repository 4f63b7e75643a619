//! The structure of the host as the code has it: its crates, the layers in each, and who imports whom. It reads text and judges nothing.

mod imports;
mod picture;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};

use crate::tidy::{File, Tree};
use crate::workspace;

/// Where the picture lies.
pub const PICTURE: &str = "docs/house.svg";

/// The module that stands for `lib.rs` or `main.rs` itself.
pub const ROOT: &str = "lib";

/// One crate of the host.
pub struct Crate {
    /// The directory under `host/`.
    pub name: String,
    /// What it is for, in a few words: the description in its manifest.
    pub purpose: String,
    /// The crates of ours that it depends on, by directory.
    pub knows: BTreeSet<String>,
    /// Its modules from the ground up; those of one layer do not know each other.
    pub layers: Vec<Vec<String>>,
    /// Arrows that run up and are known: a list that only shrinks.
    pub upward: BTreeSet<Arrow>,
    /// Every module at the top of its source.
    pub modules: BTreeSet<String>,
    /// Who imports whom, and where it was seen first.
    pub arrows: BTreeMap<Arrow, Place>,
    /// Sides that import nothing of each other: modules, and crates from elsewhere that one side alone names.
    pub apart: Vec<BTreeSet<String>>,
    /// Who names which of these crates.
    pub foreign: BTreeMap<Arrow, Place>,
    /// Every crate that it depends on, as its code spells it.
    pub dependencies: BTreeSet<String>,
}

/// One module imports another.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrow {
    /// Who imports.
    pub from: String,
    /// What is imported.
    pub to: String,
}

/// A line of a file.
#[derive(Clone)]
pub struct Place {
    /// Relative to the root of the workspace.
    pub file: std::path::PathBuf,
    /// From 1.
    pub line: usize,
}

impl std::fmt::Display for Arrow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} -> {}", self.from, self.to)
    }
}

impl Crate {
    /// The layer of a module, from the ground.
    pub fn layer(&self, module: &str) -> Option<usize> {
        self.layers.iter().position(|layer| layer.iter().any(|name| name == module))
    }

    /// Whether the arrow leads to a lower layer.
    pub fn descends(&self, arrow: &Arrow) -> bool {
        self.layer(&arrow.to).zip(self.layer(&arrow.from)).is_some_and(|(to, from)| to < from)
    }

    /// The side on which a module or a crate stands, if it stands on one.
    pub fn side(&self, name: &str) -> Option<usize> {
        self.apart.iter().position(|side| side.contains(name))
    }

    /// Whether the arrow leads from one side to the other.
    pub fn crosses(&self, arrow: &Arrow) -> bool {
        self.side(&arrow.from).zip(self.side(&arrow.to)).is_some_and(|(from, to)| from != to)
    }

    fn read(name: &str, tree: &Tree) -> Result<Self> {
        let path = format!("host/{name}/Cargo.toml");
        let file = tree.get(&path).with_context(|| format!("{path} is gone"))?;
        let manifest: toml::Table = file.text.parse().with_context(|| format!("cannot read {path}"))?;
        let package = manifest.get("package").and_then(toml::Value::as_table).context("a manifest has a package")?;
        let purpose = package.get("description").and_then(toml::Value::as_str).unwrap_or_default().to_owned();
        let dependencies = manifest.get("dependencies").and_then(toml::Value::as_table);
        let dependencies: Vec<&String> = dependencies.into_iter().flat_map(toml::Table::keys).collect();
        // What lies beside the SDK is no crate of the host.
        let of_host = |name: &&str| tree.get(format!("host/{name}/Cargo.toml")).is_some();
        let knows = dependencies.iter().filter_map(|name| name.strip_prefix("agentry-"));
        let knows = knows.filter(of_host).map(str::to_owned).collect();
        let layers = package.get("metadata").and_then(|metadata| metadata.get("layers"));
        let order = layers.and_then(|layers| layers.get("order")).map(strings).transpose()?.unwrap_or_default();
        let layers_of = |layer: &String| layer.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let apart = layers.and_then(|layers| layers.get("apart")).map(strings).transpose()?.unwrap_or_default();
        let apart: Vec<BTreeSet<String>> = apart.iter().map(|side| layers_of(side).into_iter().collect()).collect();
        let upward = layers.and_then(|layers| layers.get("upward")).map(strings).transpose()?.unwrap_or_default();
        let upward = upward.iter().map(|arrow| arrow_of(arrow)).collect::<Result<_>>();
        let upward = upward.with_context(|| format!("in {path}"))?;
        let source = format!("host/{name}/src");
        let files: Vec<&File> = tree.rust(&source).filter(|file| !imports::is_test(&file.path)).collect();
        let (modules, arrows) = imports::of(&source, &files);
        let layers = order.iter().map(layers_of).collect();
        let crates: Vec<&String> = apart.iter().flatten().filter(|name| !modules.contains(*name)).collect();
        let foreign = imports::foreign(&source, &files, &crates);
        let dependencies = dependencies.iter().map(|name| name.replace('-', "_")).collect();
        let name = name.to_owned();
        Ok(Self { name, purpose, knows, layers, upward, modules, arrows, apart, foreign, dependencies })
    }
}

/// All crates of the host, those that know the fewest first.
pub fn crates(tree: &Tree) -> Result<Vec<Crate>> {
    let names = tree.files().filter_map(|file| {
        let inside = file.path.strip_prefix("host").ok()?;
        let name = inside.parent()?.to_str()?;
        (inside.file_name()? == "Cargo.toml").then(|| name.to_owned())
    });
    // Workspaces of their own, for tests.
    let names: BTreeSet<String> = names.filter(|name| !["fuzz", "oracle"].contains(&name.as_str())).collect();
    let mut left = names.iter().map(|name| Crate::read(name, tree)).collect::<Result<Vec<_>>>()?;
    let mut sorted: Vec<Crate> = Vec::new();
    while !left.is_empty() {
        let stands = |of: &Crate| of.knows.iter().all(|known| sorted.iter().any(|below| below.name == *known));
        let Some(next) = left.iter().position(stands) else {
            bail!("the crates of the host know each other in a circle")
        };
        sorted.push(left.remove(next));
    }
    Ok(sorted)
}

/// Draws the picture and says where.
pub fn run() -> Result<()> {
    let tree = Tree::read()?;
    std::fs::write(workspace::root().join(PICTURE), drawn(&tree)?)
        .with_context(|| format!("cannot write {PICTURE}"))?;
    println!("{PICTURE}");
    Ok(())
}

/// The picture of the code as it stands.
pub fn drawn(tree: &Tree) -> Result<String> {
    Ok(picture::svg(&crates(tree)?))
}

fn strings(value: &toml::Value) -> Result<Vec<String>> {
    let list = value.as_array().context("a list of strings is wanted")?;
    list.iter().map(|item| item.as_str().map(str::to_owned).context("a list of strings is wanted")).collect()
}

fn arrow_of(text: &str) -> Result<Arrow> {
    let (from, to) = text.split_once(" -> ").with_context(|| format!("`{text}` is no arrow: FROM -> TO"))?;
    ensure!(from != to, "`{text}` leads nowhere");
    Ok(Arrow { from: from.to_owned(), to: to.to_owned() })
}
