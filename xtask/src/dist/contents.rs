//! What lies beside the binary in every package: manual pages, completions, the systemd unit, the terms of all that is in it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::archive::{self, Entry};
use super::binary::Binary;
use super::sbom::Crates;
use super::{Artifact, NAME, licences};
use crate::steps::command;
use crate::workspace::{read, target};

/// A host that goes on. `docs/serve.md` shows the same.
pub const UNIT: &str = include_str!("agentry.service");

/// Where shells look for completions below `share/`.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "share/bash-completion/completions/agentry"),
    ("zsh", "share/zsh/site-functions/_agentry"),
    ("fish", "share/fish/vendor_completions.d/agentry.fish"),
];

const APACHE: &str = "LICENSE-APACHE";
/// One of the two under which Agentry is, as its file is called here and in packages.
pub const MIT: &str = "LICENSE-MIT";
/// The terms of others.
pub const THIRD_PARTY: &str = "THIRD-PARTY.txt";

/// What a package is made of.
pub struct Contents {
    /// `share/man/man1/…`, `share/bash-completion/…` and so on, below the prefix of an installation.
    pub share: Vec<Entry>,
    /// For whoever looks at the package itself.
    pub readme: Vec<u8>,
    /// Terms of Agentry itself, and of everything else that is in the binary.
    pub terms: Vec<Entry>,
    /// When it was made, in seconds: what `SOURCE_DATE_EPOCH` says, or else the commit.
    pub seconds: u64,
}

impl Contents {
    /// The manual pages by their file names.
    pub fn pages(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.share.iter().filter_map(|entry| Some((entry.path.strip_prefix("share/man/man1/")?, entry)))
    }
}

/// Asks the binary for its pages and completions, and collects the rest.
pub fn gather(binary: &Binary, crates: &Crates) -> Result<Contents> {
    let mut share = pages(&binary.path)?;
    // Completions know the agents of a home, and which ones whoever packs has is nobody's business.
    let empty = binary.path.parent().and_then(Path::to_str).context("the path of the binary is not UTF-8")?;
    for (shell, path) in COMPLETIONS {
        share.push(Entry::file(path, said(&binary.path, &["completions", shell, "--home", empty])?));
    }
    Ok(Contents {
        share,
        readme: read("README.md")?.into_bytes(),
        terms: vec![
            Entry::file(APACHE, read(APACHE)?),
            Entry::file(MIT, read(MIT)?),
            Entry::file(THIRD_PARTY, licences::of(crates, binary)?),
        ],
        seconds: seconds()?,
    })
}

/// The archive for whoever has no package manager, or none of these: to be unpacked below `/usr/local` or `~/.local`.
pub fn archive(contents: &Contents, binary: &Binary) -> Result<Artifact> {
    let name = format!("{NAME}-{}-{}-linux", binary.version, binary.architecture());
    let mut entries = contents.share.clone();
    entries.push(Entry::program(format!("bin/{NAME}"), binary.bytes.clone()));
    entries.push(Entry::file(format!("lib/systemd/system/{NAME}.service"), UNIT));
    entries.push(Entry::file(format!("share/doc/{NAME}/README.md"), contents.readme.clone()));
    entries.extend(contents.terms.iter().map(|entry| entry.below(&format!("share/doc/{NAME}/"))));
    let below: Vec<Entry> = entries.iter().map(|entry| entry.below(&format!("{name}/"))).collect();
    let bytes = archive::gz(&archive::tar(&below, false, contents.seconds)?)?;
    Ok(Artifact { name: format!("{name}.tar.gz"), bytes })
}

fn pages(binary: &Path) -> Result<Vec<Entry>> {
    let directory = target().join("dist-pages");
    let _ = fs::remove_dir_all(&directory);
    said(binary, &["man", directory.to_str().context("the path of the workspace is not UTF-8")?])?;
    let mut pages = Vec::new();
    for file in fs::read_dir(&directory).context("it wrote no pages")?.flatten() {
        let name = file.file_name().to_string_lossy().into_owned();
        pages.push(Entry::file(format!("share/man/man1/{name}"), fs::read(file.path())?));
    }
    fs::remove_dir_all(&directory).context("cannot remove the pages")?;
    pages.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(pages)
}

fn said(binary: &Path, arguments: &[&str]) -> Result<Vec<u8>> {
    let output = command(binary).args(arguments).output().context("the binary does not run here")?;
    ensure!(output.status.success(), "agentry {}: {}", arguments[0], String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}

/// Of <https://reproducible-builds.org/specs/source-date-epoch/>, or of the commit.
fn seconds() -> Result<u64> {
    if let Ok(given) = std::env::var("SOURCE_DATE_EPOCH") {
        return given.parse().context("SOURCE_DATE_EPOCH is no number of seconds");
    }
    let output = command("git").args(["log", "-1", "--format=%ct"]).output();
    let said = output.context("cannot run git: set SOURCE_DATE_EPOCH to a time in seconds")?.stdout;
    let said = String::from_utf8_lossy(&said).into_owned();
    said.trim().parse().context("git knows no commit here: set SOURCE_DATE_EPOCH to a time in seconds")
}

#[cfg(test)]
mod tests {
    use super::UNIT;
    use crate::workspace::read;

    #[test]
    fn the_page_about_hosts_shows_the_unit_that_is_installed() {
        let page = read("docs/serve.md").unwrap();
        let shown: String =
            UNIT.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("    {line}\n") }).collect();
        assert!(page.contains(&shown), "docs/serve.md shows another unit than xtask/src/dist/agentry.service");
    }
}
