//! `agentry build`: makes a package of an agent: compiles a crate, or takes what another toolchain made, and attaches the manifest.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use agentry_kernel::manifest::Wants;
use anyhow::{Context, Result, bail};

use crate::author::cargo::{self, Select, Terms};
use crate::author::target::Target;
use crate::author::{component, manifest, pack, sbom, sdk, world};
use crate::screen::{self, text};

/// Makes a component with its manifest inside.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry build
  agentry build my-agent --out agents/my-agent.wasm
  agentry build my-agent --sbom my-agent.cdx.json                  # and what it is made of, for agentry publish --sbom
  agentry build core.wasm --manifest agent.toml --out agent.wasm   # from another toolchain: C, Go, Python, JavaScript
  agentry build --world wit                                        # the syscall table for that toolchain")]
pub struct Args {
    /// The directory of an agent's crate, or a component or core module that another toolchain made
    #[arg(default_value = ".")]
    path: PathBuf,
    /// What the agent is and wants [default: agent.toml beside it]
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Where the package goes; with --examples a directory [default: NAME.wasm beside the manifest]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Import nothing but the syscall table: no std for clocks, sleep or environment
    #[arg(long)]
    pure: bool,
    /// Make an agent of each example of the crate, all with its one manifest and a name of its own
    #[arg(long, requires = "out")]
    examples: bool,
    /// Where a bill of materials goes, in JSON of CycloneDX: the crates that Cargo.lock names
    #[arg(long, value_name = "BOM.json", conflicts_with = "examples")]
    sbom: Option<PathBuf>,
    /// Only write the syscall table, narrowed to what the manifest wants, for toolchains of other languages
    #[arg(long, value_name = "DIR", conflicts_with_all = ["out", "pure", "examples", "sbom"])]
    world: Option<PathBuf>,
}

/// Does it.
pub fn run(args: Args) -> Result<ExitCode> {
    let is_crate = args.path.is_dir();
    let beside = if is_crate { Some(args.path.as_path()) } else { args.path.parent() };
    let beside = beside.filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let manifest_path = args.manifest.clone().unwrap_or_else(|| beside.join(manifest::FILE));
    if !args.path.exists() {
        bail!("there is no {}\nhint: name the directory of a crate, or a `.wasm` file", args.path.display());
    }
    if !is_crate && (args.pure || args.examples) {
        bail!("{} is built already\nhint: --pure and --examples are for the directory of a crate", args.path.display());
    }
    if let Some(bom) = args.sbom.as_deref().filter(|_| !is_crate) {
        bail!(
            "{} is built already, and what it is made of its own toolchain knows\nhint: leave --sbom {} out",
            args.path.display(),
            bom.display()
        );
    }
    let wants = manifest::read(&manifest_path)?;
    if let Some(directory) = &args.world {
        world::write(&wants.wants, directory)?;
        let made = text::line(&directory.display().to_string());
        screen::tell(&format!(
            "wrote the syscall table to {made}: its world is `{}`\nnext: bind it, compile, then agentry build FILE.wasm --manifest {}\n",
            world::NAME,
            text::line(&manifest_path.display().to_string())
        ));
    } else if args.examples {
        let directory = args.out.as_deref().expect("--examples requires it");
        build_examples(&args, &wants, directory)?;
    } else {
        let here = manifest_path.parent().unwrap_or(Path::new("."));
        let out = args.out.clone().unwrap_or_else(|| here.join(format!("{}.wasm", manifest::agent(&wants))));
        let component = if is_crate { compile(&args)? } else { read(&args, &wants.wants)? };
        let digest = pack::write(&component, &wants, &out)?;
        if let Some(bom) = &args.sbom {
            fs::write(bom, sbom::of(&cargo::locked(&args.path)?, &wants, digest)?)
                .with_context(|| format!("cannot write {}", bom.display()))?;
            screen::print(&format!("{}\n", text::line(&bom.display().to_string())))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn compile(args: &Args) -> Result<Vec<u8>> {
    sdk::renew(&args.path)?;
    let mut made = cargo::build(&args.path, target(args), Select::Library, Terms::default())?;
    let one = made.pop().filter(|_| made.is_empty());
    Ok(one.context("the crate makes more than one component")?.component)
}

fn build_examples(args: &Args, shared: &agentry_kernel::manifest::Manifest, directory: &Path) -> Result<()> {
    sdk::renew(&args.path)?;
    let (publisher, _) = shared.name.split_once(':').context("the manifest's name is not `publisher:name`")?;
    for made in cargo::build(&args.path, target(args), Select::Examples, Terms::default())? {
        // Cargo's names may hold `_`, a package's may not.
        let name = made.name.replace('_', "-");
        let mut own = shared.clone();
        own.name = format!("{publisher}:{name}");
        pack::write(&made.component, &own, &directory.join(format!("{name}.wasm")))?;
    }
    Ok(())
}

fn read(args: &Args, wants: &Wants) -> Result<Vec<u8>> {
    let bytes = agentry_engine::package::read(&args.path)?;
    if !component::is_module(&bytes) {
        return Ok(bytes);
    }
    component::of_module(&bytes, wants)
}

fn target(args: &Args) -> Target {
    if args.pure { Target::Pure } else { Target::Wasip2 }
}
