//! Debian's packages of rust's source, of the C library for WASI and of an unwinder, unpacked with private apt state.
//!
//! The mirrors are those that the machine's own apt is configured with; only the suites differ. Nothing is installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::quietly::quietly;

/// Where each suite is looked for: security updates have an archive of their own.
const SUITES: [&[&str]; 2] =
    [&["trixie-backports", "bookworm-backports", "trixie-security", "bookworm-security"], &["sid"]];

/// Signs every Debian archive.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A directory for apt's state and for what is unpacked.
pub(crate) struct Debian {
    directory: PathBuf,
}

impl Debian {
    /// State in this directory, which need not exist yet.
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// The library directory of rust's source of exactly this version.
    pub(crate) fn rust_source(&self, release: &str) -> Result<PathBuf> {
        let mut found = None;
        for suites in SUITES {
            self.update(suites)?;
            found = self.package_of(release)?;
            if found.is_some() {
                break;
            }
        }
        let Some(package) = found else { bail!("no suite of Debian has the source of rust {release}") };
        let inside = format!("./usr/src/rustc-{release}/library");
        self.unpack(&package, &inside)?;
        Ok(self.directory.join("files").join(inside))
    }

    /// The directory of the C library for WASI 0.2.
    pub(crate) fn wasi_libc(&self) -> Result<PathBuf> {
        let inside = "./usr/lib/wasm32-wasip2";
        self.update(&["sid"])?;
        self.unpack("wasi-libc", inside)?;
        Ok(self.directory.join("files").join(inside))
    }

    /// LLVM's unwinder as a library to be linked in, of a release whose other libraries are older than what it may be linked with.
    pub(crate) fn unwinder(&self) -> Result<PathBuf> {
        self.update(&["bookworm", "trixie"])?;
        let output = self.apt("apt-cache").args(["pkgnames", "libunwind-"]).output()?;
        let listed = String::from_utf8_lossy(&output.stdout).into_owned();
        let release = |name: &str| name.strip_prefix("libunwind-")?.strip_suffix("-dev")?.parse::<u32>().ok();
        let Some(oldest) = listed.lines().filter_map(release).min() else { bail!("Debian has no unwinder of LLVM") };
        let inside = format!("./usr/lib/llvm-{oldest}/lib");
        self.unpack(&format!("libunwind-{oldest}-dev"), &inside)?;
        Ok(self.directory.join("files").join(inside).join("libunwind.a"))
    }

    /// `NAME=VERSION` of a package with this source.
    fn package_of(&self, release: &str) -> Result<Option<String>> {
        let output = self.apt("apt-cache").args(["madison", "rust-src", "rust-web-src"]).output()?;
        let listed = String::from_utf8_lossy(&output.stdout).into_owned();
        let exactly = format!("{release}+");
        Ok(listed.lines().find_map(|line| {
            let mut columns = line.split('|').map(str::trim);
            let (name, version) = (columns.next()?, columns.next()?);
            version.starts_with(&exactly).then(|| format!("{name}={version}"))
        }))
    }

    /// Fetches the lists of these suites, as far as the mirrors have them.
    fn update(&self, suites: &[&str]) -> Result<()> {
        fs::create_dir_all(self.directory.join("lists/partial"))?;
        fs::create_dir_all(self.directory.join("cache/archives/partial"))?;
        let mut sources = String::new();
        for mirror in mirrors()? {
            for suite in suites {
                let security = suite.ends_with("-security");
                let fits = if security { mirror.ends_with("-security/") } else { mirror.ends_with("/debian/") };
                if fits {
                    sources.push_str(&format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n"));
                }
            }
        }
        if sources.is_empty() {
            bail!("apt knows no mirror of Debian");
        }
        fs::write(self.directory.join("sources.list"), sources)?;
        // A mirror may lack a suite, and apt calls that a failure; what matters is what can be found afterwards.
        let _ = self.apt("apt-get").args(["-q", "update"]).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        Ok(())
    }

    fn unpack(&self, package: &str, inside: &str) -> Result<()> {
        let downloads = self.directory.join("downloads");
        let _ = fs::remove_dir_all(&downloads);
        fs::create_dir_all(&downloads)?;
        quietly(self.apt("apt-get").args(["-q", "download", package]).current_dir(&downloads))
            .with_context(|| format!("cannot download Debian's {package}"))?;
        let archive = fs::read_dir(&downloads)?.flatten().map(|entry| entry.path()).find(|path| is_archive(path));
        let archive = archive.with_context(|| format!("apt downloaded no {package}"))?;
        let files = self.directory.join("files");
        fs::create_dir_all(&files)?;
        let mut reader = Command::new("dpkg-deb").arg("--fsys-tarfile").arg(&archive).stdout(Stdio::piped()).spawn()?;
        let content = reader.stdout.take().context("dpkg-deb has no output")?;
        let unpacked = Command::new("tar").arg("-x").arg("-C").arg(&files).arg(inside).stdin(content).status()?;
        // tar may end before the archive does, so only its own verdict counts.
        let _ = reader.wait();
        if !unpacked.success() {
            bail!("{package} holds no {inside}");
        }
        Ok(())
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let at = |name: &str| self.directory.join(name).display().to_string();
        let options = [
            format!("Dir::Etc::SourceList={}", at("sources.list")),
            "Dir::Etc::SourceParts=/dev/null".into(),
            format!("Dir::State::Lists={}", at("lists")),
            format!("Dir::Cache={}", at("cache")),
            "APT::Update::Post-Invoke=".into(),
            "APT::Update::Post-Invoke-Success=".into(),
            "APT::Sandbox::User=".into(),
            "Acquire::Languages=none".into(),
            "Acquire::Retries=3".into(),
        ];
        for option in options {
            command.arg("-o").arg(option);
        }
        command.stdin(Stdio::null());
        command
    }
}

/// The archives that this machine's apt is configured with.
fn mirrors() -> Result<Vec<String>> {
    let output = Command::new("apt-get")
        .args(["indextargets", "--format", "$(REPO_URI)"])
        .stdin(Stdio::null())
        .output()
        .context("there is no apt here")?;
    let mut mirrors: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    mirrors.sort();
    mirrors.dedup();
    Ok(mirrors)
}

fn is_archive(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "deb")
}
