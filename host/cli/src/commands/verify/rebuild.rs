//! `agentry verify --rebuild`: whether a package is what its source makes, which is built again for it. It changes nothing that is there.

use std::path::Path;
use std::process::ExitCode;

use agentry_engine::package::Package;
use agentry_packages::lock::Lock;
use agentry_packages::set::verified;
use anyhow::{Result, bail};
use serde_json::json;

use super::one_or_all;
use crate::author::rebuild::Source;
use crate::author::recipe::Recipe;
use crate::author::sections::{Difference, difference};
use crate::author::target::Target;
use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::package;
use crate::screen::{self, BAD, GOOD, HINT, styled, text};

/// What came of it.
struct Compared {
    package: Package,
    rebuilt: Option<String>,
    differs: Option<Difference>,
    /// What the toolchains are, where they are not the same: what, the package's, the one here.
    toolchain: Vec<(String, String, String)>,
    /// What is wrong and what to do; none if nothing is.
    trouble: Option<(String, String)>,
}

/// Builds the source in a directory again and compares what comes of it with the one package that is named, or whose name it has.
pub fn run(directory: &Path, named: &[String], home: &HomeArgs, json: bool) -> Result<ExitCode> {
    let source = Source::at(directory)?;
    let named = match named {
        [] => source.manifest.agent(),
        [one] => one.as_str(),
        _ => bail!("--rebuild compares one package\nhint: name one agent that is installed, or one file"),
    };
    let theirs = bytes(named, home)?;
    let compared = compare(&source, &theirs)?;
    if json {
        screen::print_json(&as_json(&compared))?;
    } else {
        screen::print(&shown(&compared))?;
    }
    Ok(if compared.trouble.is_none() { Exit::Done } else { Exit::Failed }.into())
}

/// The bytes of a file, or of an agent that is installed, as its lock has them.
fn bytes(named: &str, home: &HomeArgs) -> Result<Vec<u8>> {
    let file = Path::new(named);
    if file.extension().is_some_and(|end| end == "wasm") {
        return Ok(agentry_engine::package::read(file)?);
    }
    let home = home.existing()?;
    let lock = Lock::load(home.path())?;
    let found = one_or_all(&lock, &[named.to_owned()])?;
    let (_, release) = found.first().expect("one was asked for");
    Ok(agentry_engine::package::read(&verified(home.path(), release)?)?)
}

fn compare(source: &Source, theirs: &[u8]) -> Result<Compared> {
    let package = package::of(theirs)?;
    let mut compared = Compared { package, rebuilt: None, differs: None, toolchain: Vec::new(), trouble: None };
    let (own, said) = (&source.manifest, &compared.package.manifest);
    // Seen at once, and not after minutes of compiling.
    if (&own.name, &own.version) != (&said.name, &said.version) {
        let message = format!("this source is that of {} {}", text::line(&own.name), text::line(&own.version));
        compared.trouble = Some((message, origin(&compared.package)));
        return Ok(compared);
    }
    let recipe = Recipe::read(theirs);
    let target = recipe.as_ref().and_then(Recipe::target).unwrap_or(Target::Wasip2);
    let ours = source.build(target)?;
    compared.rebuilt = Some(format!("sha256:{}", agentry_engine::package::digest(&ours)));
    compared.differs = difference(theirs, &ours);
    let Some(first) = &compared.differs else { return Ok(compared) };
    let message = format!(
        "this source makes other bytes: they differ first in {}, at byte {} of {}",
        text::line(&first.section),
        first.at,
        first.bytes.0
    );
    let hint = match (recipe, Recipe::read(&ours)) {
        (Some(theirs), Some(ours)) => {
            let differences = theirs.differences(&ours).into_iter();
            let owned =
                |(what, theirs, ours): (&str, &str, &str)| (what.to_owned(), text::line(theirs), ours.to_owned());
            compared.toolchain = differences.map(owned).collect();
            remedy(&compared)
        }
        _ => "the package does not say what built it, so it may be another toolchain: ask its author which".to_owned(),
    };
    compared.trouble = Some((message, hint));
    Ok(compared)
}

/// What to do where the bytes are others.
fn remedy(compared: &Compared) -> String {
    let Some((what, theirs, ours)) = compared.toolchain.first() else {
        return format!(
            "it was built by this toolchain, so it is the source that is another; {}",
            origin(&compared.package)
        );
    };
    let with = format!("it was built with {what} {theirs}, and here is {ours}");
    match what.as_str() {
        "rustc" => {
            let release = theirs.split(' ').next().unwrap_or_default();
            format!("{with}; rustup toolchain install {release}, then again with RUSTUP_TOOLCHAIN={release}")
        }
        "rustc-host" => format!("{with}; build it again on such a machine"),
        "rust-std" => {
            format!(
                "{with}; std of one origin differs from that of another: `toolchain` is what `rustup target add` brings"
            )
        }
        _ => format!("{with}; build it again with that version of agentry"),
    }
}

/// Where the source is that the package names.
fn origin(package: &Package) -> String {
    let manifest = &package.manifest;
    match (&manifest.revision, &manifest.source) {
        (Some(revision), Some(source)) => {
            format!("the package says that it is of revision {} of {}", text::line(revision), text::line(source))
        }
        _ => "the package does not say of which revision it is: ask its author".to_owned(),
    }
}

fn as_json(compared: &Compared) -> serde_json::Value {
    let toolchain = compared.toolchain.iter();
    let toolchain = toolchain.map(|(what, package, here)| json!({"what": what, "package": package, "here": here}));
    let (trouble, hint) = compared.trouble.as_ref().map(|(trouble, hint)| (trouble, hint)).unzip();
    json!({
        "name": compared.package.manifest.name,
        "version": compared.package.manifest.version,
        "digest": compared.package.digest.to_string(),
        "rebuilt": compared.rebuilt,
        "differs": compared.differs.as_ref().map(|first| json!({"section": first.section, "at": first.at})),
        "toolchain": toolchain.collect::<Vec<_>>(),
        "trouble": trouble,
        "hint": hint,
    })
}

fn shown(compared: &Compared) -> String {
    let manifest = &compared.package.manifest;
    let name = format!("{} {}", text::line(&manifest.name), text::line(&manifest.version));
    match &compared.trouble {
        None => {
            format!(
                "{} {name}: this source makes the same bytes\n    sha256:{}\n",
                styled(GOOD, "✓"),
                compared.package.digest
            )
        }
        Some((trouble, hint)) => {
            let hint = screen::given::completed(hint);
            format!("{} {name}: {trouble}\n    {}: {hint}\n", styled(BAD, "✗"), styled(HINT, "hint"))
        }
    }
}
