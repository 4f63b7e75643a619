//! The checksums of all that is made, and a signature over them that anybody can check by tools that they have.
//!
//! The key is a file of `agentry key new`: the 32 bytes of an Ed25519 seed (RFC 8032). OpenSSL takes it in the form of RFC 8410.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sha2::{Digest as _, Sha256};

use super::Artifact;
use super::sbom::hex;
use crate::steps::run;

/// The list, as `sha256sum --check` reads it.
pub const FILE: &str = "SHA256SUMS";

/// A private key of Ed25519 up to its seed (RFC 8410, 7).
const PRIVATE: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

const SEED_BYTES: usize = 32;

/// A line a file.
pub fn list(made: &[Artifact]) -> String {
    made.iter().map(|one| format!("{}  {}\n", hex(&Sha256::digest(&one.bytes)), one.name)).collect()
}

/// Signs the list in this directory: `SHA256SUMS.sig` and the public half, `SHA256SUMS.pem`, beside it.
pub fn sign(out: &Path, key: &Path) -> Result<()> {
    let is = fs::metadata(key).with_context(|| format!("there is no key {}", key.display()))?;
    ensure!(is.mode() & 0o077 == 0, "others may read the key {}: chmod 600", key.display());
    let seed = fs::read(key).context("cannot read the key")?;
    ensure!(seed.len() == SEED_BYTES, "{} is no key of `agentry key new`", key.display());
    let private = Private::write(out, &seed)?;
    let openssl = |verb: &str| {
        let mut command = Command::new("openssl");
        command.current_dir(out).args([verb, "-inkey", Private::FILE, "-keyform", "DER"]);
        command
    };
    let signature = format!("{FILE}.sig");
    run(openssl("pkeyutl").args(["-sign", "-rawin", "-in", FILE, "-out", &signature]))?;
    let mut public = Command::new("openssl");
    public.current_dir(out).args(["pkey", "-in", Private::FILE, "-inform", "DER", "-pubout", "-out"]);
    run(public.arg(format!("{FILE}.pem")))?;
    drop(private);
    Ok(())
}

/// The key as OpenSSL reads it, for as long as it does.
struct Private<'a>(&'a Path);

impl<'a> Private<'a> {
    const FILE: &'static str = ".key.der";

    fn write(out: &'a Path, seed: &[u8]) -> Result<Self> {
        let _ = fs::remove_file(out.join(Self::FILE));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(out.join(Self::FILE))?;
        let private = Self(out);
        file.write_all(&[&PRIVATE, seed].concat()).context("cannot hand the key to openssl")?;
        Ok(private)
    }
}

impl Drop for Private<'_> {
    fn drop(&mut self) {
        // There is nobody to tell; the directory is the signer's own.
        let _ = fs::remove_file(self.0.join(Self::FILE));
    }
}
