//! The Debian package in a root of its own that has a shell, the C library and dpkg's books, and nothing else.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::stage::{Stage, agentry, end, skip};

const TEST: &str = "a_debian_package_is_installed_used_and_taken_away";

/// What the package may ask for, as this machine has it.
const LIBRARIES: [&str; 2] = ["libc6", "libgcc-s1"];

/// A program of this machine with the libraries that it is linked to, at the same places.
fn bring(root: &Path, program: &Path) {
    let linked = end(Command::new("ldd").arg(program));
    let words = linked.stdout.split_whitespace().filter(|word| word.starts_with('/'));
    for file in words.map(Path::new).chain([program]) {
        let to = root.join(file.strip_prefix("/").expect("it is absolute"));
        fs::create_dir_all(to.parent().expect("it lies in a directory")).expect("a directory");
        fs::copy(file, to).expect("a copy");
    }
}

/// The root, as dpkg sees it.
fn root(stage: &Stage, binary: &Path) -> PathBuf {
    let root = stage.directory("root");
    bring(&root, Path::new("/bin/sh"));
    // Its libraries alone: the package brings the program.
    bring(&root, binary);
    fs::remove_file(root.join(binary.strip_prefix("/").expect("it is absolute"))).expect("it was copied");
    for directory in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "tmp", "root", "etc"] {
        fs::create_dir_all(root.join(directory)).expect("a directory");
    }
    let known = end(Command::new("dpkg-query").arg("--status").args(LIBRARIES)).with(0).stdout;
    fs::write(root.join("var/lib/dpkg/status"), known).expect("a file");
    root
}

#[test]
fn a_debian_package_is_installed_used_and_taken_away() {
    let Some(packed) = std::env::var_os("AGENTRY_DIST").map(PathBuf::from) else {
        return skip(TEST, "AGENTRY_DIST names no directory of `cargo xtask dist`");
    };
    let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    if !is_root || Command::new("dpkg").arg("--version").output().is_err() {
        return skip(TEST, "only root of a Debian can change the root of a process and install there");
    }
    let stage = Stage::new();
    let root = root(&stage, &packed.join("agentry"));
    let packages = fs::read_dir(&packed).expect("it was packed").flatten().map(|entry| entry.path());
    let package =
        packages.into_iter().find(|path| path.extension().is_some_and(|end| end == "deb")).expect("a package");
    let dpkg = |verb: &[&str]| {
        let mut dpkg = Command::new("dpkg");
        dpkg.arg(format!("--root={}", root.display())).args(verb).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        dpkg
    };
    let inside = |arguments: &[&str]| {
        let mut command = Command::new("chroot");
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", "/root").arg(&root);
        end(command.args(["/usr/bin/agentry"]).args(arguments))
    };
    end(dpkg(&["--install"]).arg(&package)).with(0);
    let version = end(agentry().arg("--version")).with(0).stdout;
    assert_eq!(inside(&["--version"]).with(0).stdout, version);
    inside(&["setup", "--yes", "--home", "/var/lib/agentry"]).with(0);
    inside(&["policy", "check", "--home", "/var/lib/agentry"]).with(0);
    let is = fs::metadata(root.join("usr/bin/agentry")).expect("it is there");
    assert_eq!((is.uid(), is.gid(), is.permissions().mode() & 0o7777), (0, 0, 0o755));
    for file in [
        "share/man/man1/agentry-serve.1.gz",
        "share/bash-completion/completions/agentry",
        "share/doc/agentry/copyright",
    ] {
        assert!(root.join("usr").join(file).is_file(), "no {file}");
    }
    assert_eq!(end(&mut dpkg(&["--verify", "agentry"])).with(0).stdout, "", "files are not what the package says");
    unit(&root);
    // The same again, as an upgrade does it.
    end(dpkg(&["--install"]).arg(&package)).with(0);
    end(&mut dpkg(&["--purge", "agentry"])).with(0);
    assert!(!root.join("usr/bin/agentry").exists() && !root.join("usr/share/doc/agentry").exists());
    assert!(root.join("var/lib/agentry/policies/00-site.toml").exists(), "what agents did is nobody's to remove");
}

/// systemd reads the unit, where there is one.
fn unit(root: &Path) {
    let mut verify = Command::new("systemd-analyze");
    verify.arg(format!("--root={}", root.display())).args(["verify", "--man=no", "agentry.service"]);
    if Command::new("systemd-analyze").arg("--version").output().is_ok() {
        let read = end(&mut verify);
        // What is said of a line of it; that this root lacks systemd's own units is not its fault.
        let line = |said: &&str| {
            said.split("agentry.service:").nth(1).is_some_and(|at| at.starts_with(|c: char| c.is_ascii_digit()))
        };
        let wrong: Vec<&str> = read.stderr.lines().filter(line).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}
