//! Archives whose bytes depend on what is in them and on nothing else: sorted, owned by root, of a fixed time.

use std::collections::BTreeSet;
use std::io::{Cursor, Write as _};
use std::path::Path;

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// A file of an archive.
#[derive(Clone)]
pub struct Entry {
    /// Where it lies there: relative, with `/`.
    pub path: String,
    /// May it be executed.
    pub executable: bool,
    /// What stands in it.
    pub bytes: Vec<u8>,
}

impl Entry {
    /// A file to be read.
    pub fn file(path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), executable: false, bytes: bytes.into() }
    }

    /// A program.
    pub fn program(path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), executable: true, bytes: bytes.into() }
    }

    /// The same elsewhere.
    pub fn below(&self, directory: &str) -> Self {
        Self { path: format!("{directory}{}", self.path), ..self.clone() }
    }

    fn mode(&self) -> u32 {
        if self.executable { 0o755 } else { 0o644 }
    }
}

/// Compressed, without a name or a time.
pub fn gz(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut packed = GzBuilder::new().mtime(0).write(Vec::new(), Compression::default());
    packed.write_all(bytes)?;
    Ok(packed.finish()?)
}

/// A zip file: its times are the first that it can say.
pub fn zip(entries: &[Entry]) -> Result<Vec<u8>> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for entry in sorted(entries) {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(DateTime::default())
            .unix_permissions(0o100_000 | entry.mode());
        archive.start_file(entry.path.as_str(), options).with_context(|| format!("cannot pack {}", entry.path))?;
        archive.write_all(&entry.bytes)?;
    }
    Ok(archive.finish().context("cannot end the zip file")?.into_inner())
}

/// A tar file of these, with the directories above them, each name after `./` if `dotted`.
pub fn tar(entries: &[Entry], dotted: bool, seconds: u64) -> Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let name = |path: &str| if dotted { format!("./{path}") } else { path.to_owned() };
    let mut directories = BTreeSet::new();
    for entry in entries {
        let above = Path::new(&entry.path).ancestors().skip(1).filter_map(Path::to_str);
        directories.extend(above.filter(|path| dotted || !path.is_empty()).map(str::to_owned));
    }
    for directory in directories {
        let path = if directory.is_empty() { name("") } else { name(&format!("{directory}/")) };
        append(&mut archive, &path, 0o755, tar::EntryType::Directory, &[], seconds)?;
    }
    for entry in sorted(entries) {
        append(&mut archive, &name(&entry.path), entry.mode(), tar::EntryType::Regular, &entry.bytes, seconds)?;
    }
    archive.into_inner().context("cannot end the tar file")
}

/// The first form of `ar`, which Debian's packages have.
pub fn ar(members: &[(&str, Vec<u8>)], seconds: u64) -> Vec<u8> {
    let mut archive = b"!<arch>\n".to_vec();
    for (name, bytes) in members {
        let head = format!("{name:<16}{seconds:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, "100644", bytes.len());
        archive.extend(head.as_bytes());
        archive.extend(bytes);
        if bytes.len() % 2 == 1 {
            archive.push(b'\n');
        }
    }
    archive
}

fn sorted(entries: &[Entry]) -> Vec<&Entry> {
    let mut sorted: Vec<&Entry> = entries.iter().collect();
    sorted.sort_by(|one, other| one.path.cmp(&other.path));
    sorted
}

fn append(
    archive: &mut tar::Builder<Vec<u8>>,
    path: &str,
    mode: u32,
    kind: tar::EntryType,
    bytes: &[u8],
    seconds: u64,
) -> Result<()> {
    let mut head = tar::Header::new_gnu();
    head.set_entry_type(kind);
    head.set_mode(mode);
    head.set_mtime(seconds);
    head.set_uid(0);
    head.set_gid(0);
    head.set_username("root")?;
    head.set_groupname("root")?;
    head.set_size(bytes.len() as u64);
    // As it is: the crate would take the leading `./` off, by which dpkg knows names.
    let field = &mut head.as_old_mut().name;
    anyhow::ensure!(path.len() < field.len(), "{path} is too long for a tar file");
    field[..path.len()].copy_from_slice(path.as_bytes());
    head.set_cksum();
    archive.append(&head, bytes).with_context(|| format!("cannot pack {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_in_which_files_come_changes_nothing() {
        let one = Entry::file("share/a.1", "a page");
        let two = Entry::program("bin/agentry", vec![0x7f; 5_001]);
        let (there, back) = ([one.clone(), two.clone()], [two, one]);
        assert_eq!(zip(&there).unwrap(), zip(&back).unwrap());
        let packed = tar(&there, true, 1_700_000_000).unwrap();
        assert_eq!(packed, tar(&back, true, 1_700_000_000).unwrap());
        assert_eq!(gz(&packed).unwrap(), gz(&packed).unwrap());
        let mut names = Vec::new();
        for entry in tar::Archive::new(&packed[..]).entries().unwrap() {
            let entry = entry.unwrap();
            names.push((String::from_utf8(entry.path_bytes().to_vec()).unwrap(), entry.header().mode().unwrap()));
        }
        let expected = ["./", "./bin/", "./share/", "./bin/agentry", "./share/a.1"];
        assert_eq!(names.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), expected);
        assert_eq!(names.iter().map(|(_, mode)| *mode).collect::<Vec<_>>(), [0o755, 0o755, 0o755, 0o755, 0o644]);
    }

    #[test]
    fn members_of_an_ar_file_begin_at_even_places() {
        let archive = ar(&[("debian-binary", b"2.0\n".to_vec()), ("odd", b"x".to_vec()), ("last", vec![])], 7);
        assert_eq!(archive.len(), 8 + 60 + 4 + 60 + 2 + 60);
        assert_eq!(&archive[8..68], b"debian-binary   7           0     0     100644  4         `\n");
    }
}
