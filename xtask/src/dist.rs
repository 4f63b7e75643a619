//! What a person installs, made from one binary: archive, wheel, npm package and Debian package, with checksums, what is in them, and a
//! signature. Nothing is uploaded, and the same inputs give the same bytes.

mod archive;
mod binary;
mod contents;
mod deb;
mod elf;
mod licences;
mod npm;
mod sbom;
mod sums;
mod wheel;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::workspace::{root, target};

pub use binary::Profile;

/// What the packages are called, and the command in them.
const NAME: &str = "agentry";

/// What each says of itself in a line.
const SUMMARY: &str = "An operating system for AI agents that you do not trust";

/// The terms of the whole, as in every manifest.
const LICENCE: &str = "Apache-2.0 OR MIT";

/// What is to be made, and where to.
pub struct Order {
    /// Which build is packed.
    pub profile: Profile,
    /// Emptied before.
    pub out: PathBuf,
    /// The file of a key that `agentry key new` made: it signs the checksums.
    pub key: Option<PathBuf>,
}

/// One file that is made: its name and its bytes.
struct Artifact {
    name: String,
    bytes: Vec<u8>,
}

impl Order {
    /// Reads the words after `dist`.
    pub fn read(words: &[String]) -> Result<Self> {
        let mut order = Self { profile: Profile::Release, out: target().join("dist"), key: None };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("`{word}` needs a value"));
            match word.as_str() {
                "--out" => order.out = std::path::absolute(value()?)?,
                "--key" => order.key = Some(std::path::absolute(value()?)?),
                "--profile" => {
                    order.profile = match value()?.as_str() {
                        "release" => Profile::Release,
                        "dev" => Profile::Dev,
                        other => bail!("there is no profile `{other}`: release or dev"),
                    }
                }
                other => bail!("`dist` knows no `{other}`: --out DIR, --key FILE, --profile release|dev"),
            }
        }
        Ok(order)
    }
}

/// Makes them all.
pub fn run(order: &Order) -> Result<()> {
    let out = emptied(&order.out)?;
    let binary = binary::make(order.profile, &out)?;
    let crates = sbom::Crates::of(&binary.target)?;
    let contents = contents::gather(&binary, &crates)?;
    let mut made = vec![
        contents::archive(&contents, &binary)?,
        wheel::pack(&contents, &binary)?,
        npm::pack(&contents, &binary)?,
        deb::pack(&contents, &binary)?,
        sbom::write(&crates, &binary)?,
        Artifact { name: NAME.to_owned(), bytes: binary.bytes.clone() },
    ];
    made.sort_by(|one, other| one.name.cmp(&other.name));
    let list = sums::list(&made);
    for Artifact { name, bytes } in &made {
        // The binary lies there and may be executed.
        fs::write(out.join(name), bytes).with_context(|| format!("cannot write {name}"))?;
        println!("{:>12} {name}", shown(bytes.len()));
    }
    fs::write(out.join(sums::FILE), list).context("cannot write the checksums")?;
    if let Some(key) = &order.key {
        sums::sign(&out, key)?;
    }
    println!("agentry {} for {}: {}", binary.version, binary.target, binary.needs);
    println!("in {}", out.strip_prefix(root()).unwrap_or(&out).display());
    Ok(())
}

/// Nothing of an earlier time is taken for something of this one. Only what this makes is removed.
fn emptied(out: &Path) -> Result<PathBuf> {
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    for entry in fs::read_dir(out)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(NAME) || name.starts_with(sums::FILE) {
            fs::remove_file(entry.path()).with_context(|| format!("cannot remove {}", entry.path().display()))?;
        }
    }
    Ok(out.to_owned())
}

fn shown(bytes: usize) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
