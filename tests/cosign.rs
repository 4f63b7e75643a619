//! Packages that whoever a certificate names has signed, without a key that anybody keeps: bundles of cosign, held against a pinned root, with nobody asked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::impostors::server;
use crate::installing::{Market, package, text};
use crate::sigstore::{DAY, FLOW, ISSUER, Signing, Sigstore};
use crate::stage::{Ended, end, repository, skip};

/// What SLSA calls how a file came to be.
const PROVENANCE: &str = "https://slsa.dev/provenance/v1";

/// A Sigstore that the home of a market trusts, and a publisher of it.
struct Keyless {
    market: Market,
    sigstore: Sigstore,
}

impl Keyless {
    /// `acme` is that workflow, at any of its versions.
    fn new() -> Self {
        let keyless = Self { market: Market::new(), sigstore: Sigstore::new() };
        keyless.trusts(&keyless.sigstore.trusted_root(None));
        keyless.pins(&format!("{FLOW}v*"), ISSUER);
        keyless
    }

    fn trusts(&self, root: &Value) {
        self.market.stage.write("home/trusted_root.json", &root.to_string());
    }

    fn pins(&self, identity: &str, issuer: &str) {
        let publisher = format!("[publishers.acme]\nidentity = \"{identity}\"\nissuer = \"{issuer}\"\n");
        self.configure(&format!("[cosign]\nroot = \"trusted_root.json\"\n{publisher}"));
    }

    fn configure(&self, lines: &str) {
        self.market.stage.write("home/packages.toml", &format!("format = 1\n{lines}"));
    }

    /// A package of this version, and its bundle beside it.
    fn signed(&self, version: &str, seq: u64, signing: Signing<'_>) -> PathBuf {
        let file = package(&self.market.stage, &format!("{seq}/keeper.wasm"), "echo", |manifest| {
            manifest["version"] = version.into();
            manifest["seq"] = seq.into();
        });
        self.sign(&file, signing);
        file
    }

    fn sign(&self, file: &Path, signing: Signing<'_>) {
        let bundle = self.sigstore.bundle(&fs::read(file).expect("a package"), signing);
        fs::write(beside(file), bundle.to_string()).expect("a file");
    }

    fn info(&self, file: &Path) -> Ended {
        end(self.market.stage.agentry("info").arg(file))
    }

    #[track_caller]
    fn installs(&self, file: &Path) {
        end(&mut self.market.install(&file.display().to_string())).with(0);
    }
}

fn beside(file: &Path) -> PathBuf {
    PathBuf::from(format!("{}.sigstore.json", file.display()))
}

#[test]
fn a_package_that_an_identity_signed_goes_to_a_run_until_the_identity_is_revoked() {
    let keyless = Keyless::new();
    let stage = &keyless.market.stage;
    let tag = format!("{FLOW}v1.0.0");
    let file = keyless.signed("1.0.0", 1, Signing::by(&tag));
    let page = keyless.info(&file).with(0).stdout;
    let told = format!("signed by acme with a certificate of {tag}, logged 2026-01-01 00:01");
    assert!(page.contains(&told) && page.contains("pinned by an admin"), "{page}");
    let shown = end(stage.agentry("info").arg(&file).arg("--json")).with(0).json();
    let name = shown["key"].as_str().expect("a name").to_owned();
    assert!(name.starts_with("cosign:"), "{shown}");
    assert_eq!((&shown["signed_by"], &shown["signed_at"]), (&json!([tag]), &json!((DAY + 60) * 1_000)));
    let keys = end(stage.agentry("key list").arg("--json")).with(0).json();
    assert_eq!(
        keys["pinned"]["acme"],
        json!({"key": {"identity": format!("{FLOW}v*"), "issuer": ISSUER}, "grant": name})
    );
    assert!(end(&mut stage.agentry("key list")).with(0).stdout.contains("in packages.toml: "));
    keyless.installs(&file);
    let grant = fs::read_to_string(stage.path("home/policies/50-keeper.toml")).expect("a grant");
    assert!(grant.contains(&format!("publisher = \"{name}\"\n")), "{grant}");
    let run = || end(stage.agentry("run").args(["keeper", "--json", "--input", "1"]));
    assert_eq!(run().with(0).json()["output"], 1);
    let listed = end(stage.agentry("list").arg("--json")).with(0).json();
    let key = json!({"identity": format!("{FLOW}v*"), "issuer": ISSUER, "by": tag, "at": (DAY + 60) * 1_000});
    assert_eq!(listed[0]["key"], key);
    assert!(end(&mut stage.agentry("list")).with(0).stdout.contains(&tag));
    let verified = end(&mut stage.agentry("verify")).with(0).stdout;
    assert!(verified.contains(&format!("signed under a certificate of {tag}, logged 2026-01-01 00:01")), "{verified}");
    assert_eq!(end(stage.agentry("verify").arg("--json")).with(0).json()[0]["key"], key);
    // Another tag of the same workflow is the same publisher; a statement of how the file came to be vouches as well.
    let next = format!("{FLOW}v1.1.0");
    let attested = Signing { states: Some(PROVENANCE), ..Signing::by(&next) };
    let newer = keyless.signed("1.1.0", 5, attested);
    keyless.installs(&newer);
    let older = keyless.signed("1.0.5", 4, Signing::by(&tag));
    keyless.info(&older).with(3).complains("is older than what was here");
    assert_eq!(keyless.market.version("keeper").as_deref(), Some("1.1.0"));
    assert_eq!(end(stage.agentry("key list").arg("--json")).with(0).json()["publishers"]["acme"]["grant"], name);
    // What lies in the home is held against the root that is pinned now.
    let packages = fs::read_dir(stage.path("home/packages")).expect("a directory").flatten().map(|entry| entry.path());
    let digest = end(stage.agentry("list").arg("--json")).with(0).json()[0]["digest"].as_str().expect("one").to_owned();
    let kept: Vec<PathBuf> = packages.filter(|path| path.ends_with(format!("{digest}.sigstore"))).collect();
    let [kept] = kept.as_slice() else { panic!("one bundle: {kept:?}") };
    let bundle = fs::read(kept).expect("a file");
    fs::copy(beside(&older), kept).expect("a file");
    assert!(text(&end(&mut stage.agentry("verify")).with(1)).contains("does not prove who signed this file"));
    fs::write(kept, bundle).expect("a file");
    end(&mut stage.agentry("verify")).with(0);
    keyless.trusts(&Sigstore::new().trusted_root(None));
    assert!(text(&end(&mut stage.agentry("verify")).with(1)).contains("does not prove who signed this file"));
    keyless.trusts(&keyless.sigstore.trusted_root(None));
    assert_eq!(end(stage.agentry("rollback").arg("keeper")).with(0).code, 0);
    end(&mut stage.agentry("verify")).with(0);
    let revoked = end(stage.agentry("key revoke").args(["acme", "--because", "their forge was broken into"])).with(0);
    assert!(revoked.stderr.contains("is revoked"), "{}", revoked.stderr);
    run().with(3).complains("their forge was broken into");
    assert!(!stage.path("home/policies/50-keeper.toml").exists() && stage.path("home/withdrawn").exists());
    assert!(end(&mut stage.agentry("list")).with(0).stdout.contains("a revoked key"));
    keyless.info(&keyless.signed("1.2.0", 6, Signing::by(&next))).with(3).complains("their forge was broken into");
    assert!(end(&mut stage.agentry("key list")).with(0).stdout.contains("revoked their forge"));
}

#[test]
fn what_another_identity_signed_or_nobody_in_time_is_refused() {
    let keyless = Keyless::new();
    let stage = &keyless.market.stage;
    let (tag, branch) = (format!("{FLOW}v1.0.0"), FLOW.replace("tags/", "heads/main"));
    let good = Signing::by(&tag);
    let elsewhere = tag.replace("acme/keeper", "evil/keeper");
    for (signing, part) in [
        (Signing::by(&elsewhere), "`acme` did not sign it: https://github.com/evil/keeper/"),
        (Signing::by(&branch), "`acme` did not sign it"),
        (Signing::by("me@acme.example"), "`acme` did not sign it: me@acme.example, as "),
        (Signing { issuer: "https://accounts.example", ..good }, "as https://accounts.example says, did"),
        (Signing { logged: DAY + 601, ..good }, "does not prove who signed this file"),
        (Signing { logged: DAY - 1, ..good }, "does not prove who signed this file"),
        (
            Signing { states: Some("https://spdx.dev/Document/v2.3"), ..good },
            "does not stand for it: it states https://spdx.dev",
        ),
    ] {
        keyless.info(&keyless.signed("1.0.0", 1, signing)).with(3).complains(part);
    }
    let file = keyless.signed("1.0.0", 1, good);
    let digest = end(stage.agentry("info").arg(&file).arg("--json")).with(0).json();
    let digest = format!("sha256:{}", digest["digest"].as_str().expect("one"));
    let bundle = fs::read_to_string(beside(&file)).expect("a bundle");
    let put = |text: &str| fs::write(beside(&file), text).expect("a file");
    // The bundle of another file; of a key that somebody keeps; too long.
    let other = keyless.signed("1.1.0", 2, good);
    put(&fs::read_to_string(beside(&other)).expect("a bundle"));
    keyless.info(&file).with(3).complains("does not prove who signed this file");
    let mut managed: Value = serde_json::from_str(&bundle).expect("JSON");
    let material = managed["verificationMaterial"].as_object_mut().expect("an object");
    material.remove("certificate");
    material.insert("publicKey".into(), json!({"hint": "mine"}));
    put(&managed.to_string());
    keyless.info(&file).with(3).complains("is of a key that somebody keeps");
    put(&format!("{bundle}{}", " ".repeat(300_000)));
    keyless.info(&file).with(2).complains("has more than 262144 bytes");
    put("\u{1b}[2J");
    let refused = keyless.info(&file).with(3);
    refused.complains("cannot be read");
    assert!(!refused.stderr.contains('\u{1b}'));
    // Whoever names the digest needs no signature, and this one counts for nothing.
    let unsigned = end(stage.agentry("info").arg(&file).args(["--digest", &digest, "--json"])).with(0).json();
    assert_eq!(unsigned["key"], Value::Null);
    put(&bundle);
    keyless.info(&file).with(0);
    // Somebody else's name in the package: acme's workflow speaks for acme.
    let blue = package(stage, "blue.wasm", "echo", |manifest| manifest["name"] = "blue:keeper".into());
    keyless.sign(&blue, good);
    keyless.info(&blue).with(3).complains("pins nobody as `blue` by an identity");
    // A root that is not there, is another one, is none, had ended, or can be written by others.
    for (root, code, part) in [
        (Sigstore::new().trusted_root(None).to_string(), 3, "does not prove who signed this file"),
        (keyless.sigstore.trusted_root(Some(DAY)).to_string(), 3, "does not prove who signed this file"),
        ("{}".to_owned(), 2, "is no trusted root of Sigstore"),
        (" ".repeat(300_000), 5, "262144"),
    ] {
        stage.write("home/trusted_root.json", &root);
        keyless.info(&file).with(code).complains(part);
    }
    fs::remove_file(stage.path("home/trusted_root.json")).expect("it is ours");
    keyless.info(&file).with(2).complains("trusted_root.json is not there");
    keyless.configure("");
    keyless.info(&file).with(3).complains("packages.toml pins nobody by an identity");
    assert!(!stage.home().join("agents.lock").exists());
    for (lines, part) in [
        (
            "[publishers.acme]\nidentity = \"me@acme.example\"\nissuer = \"https://a.example\"\n",
            "without a trusted root",
        ),
        ("[cosign]\n", "has no `root`"),
        ("[cosign]\nroot = \"x\"\nkey = \"y\"\n", "unknown key `key`"),
        (
            "[cosign]\nroot = \"x\"\n[publishers.acme]\nidentity = \"*\"\nissuer = \"https://a.example\"\n",
            "is no identity",
        ),
        (
            "[cosign]\nroot = \"x\"\n[publishers.acme]\nidentity = \"https://*\"\nissuer = \"https://a.example\"\n",
            "could be anybody",
        ),
        (
            "[cosign]\nroot = \"x\"\n[publishers.acme]\nidentity = \"me@a.example\"\nissuer = \"me\"\n",
            "says who somebody is",
        ),
        ("[cosign]\nroot = \"x\"\n[publishers.acme]\nkey = \"ed25519:00\"\n", "is not trusted here"),
    ] {
        keyless.configure(lines);
        end(&mut stage.agentry("list")).with(2).complains(part);
    }
}

#[test]
fn a_publisher_is_a_key_or_an_identity_and_becomes_the_other_when_a_person_says_so() {
    let keyless = Keyless::new();
    let (market, stage) = (&keyless.market, &keyless.market.stage);
    let tag = format!("{FLOW}v1.0.0");
    let file = keyless.signed("1.0.0", 1, Signing::by(&tag));
    // Pinned by an identity, no key speaks for it: not beside the file, not by an index, not by hand.
    end(market.author("publish").arg(&file)).with(0);
    keyless.info(&file).with(0);
    let bundle = fs::read(beside(&file)).expect("a bundle");
    fs::remove_file(beside(&file)).expect("it is ours");
    keyless.info(&file).with(3).complains("packages.toml pins `acme` by an identity");
    end(stage.agentry("key trust").args(["acme", &market.key]))
        .with(3)
        .complains("packages.toml pins `acme` by an identity");
    market.publish(&file);
    let pinned = fs::read_to_string(stage.path("home/packages.toml")).expect("a file");
    let index = format!("[indexes.main]\nat = \"../index\"\nroot = \"{}\"\n", market.root);
    stage.write("home/packages.toml", &format!("{pinned}{index}"));
    end(stage.agentry("info").arg("acme:keeper")).with(3).complains("packages.toml pins `acme` by an identity");
    // A key that was trusted before stops it as another key would.
    keyless.configure(&index);
    end(&mut market.install("acme:keeper")).with(0);
    fs::write(beside(&file), bundle).expect("a file");
    let newer = keyless.signed("1.1.0", 2, Signing::by(&tag));
    stage.write("home/packages.toml", &format!("{pinned}{index}"));
    let refused = keyless.info(&newer).with(3);
    refused.complains("`acme` signed with another identity than before");
    let keys = end(stage.agentry("key list").arg("--json")).with(0).json();
    let name = keys["pinned"]["acme"]["grant"].as_str().expect("a name").to_owned();
    assert!(refused.stderr.contains(&format!("agentry key trust acme {name} --replace")), "{}", refused.stderr);
    end(stage.agentry("key trust").args(["acme", &name])).with(3).complains("has the key");
    let stranger = format!("cosign:{}", "0a".repeat(32));
    end(stage.agentry("key trust").args(["acme", &stranger, "--replace"])).with(2).complains("does not pin `acme` by");
    end(stage.agentry("key trust").args(["acme", &name, "--replace"])).with(0);
    // Another one signed than what is here: a person says yes to that, and nobody else.
    assert!(text(&end(&mut stage.agentry("verify")).with(1)).contains("was signed by ed25519:"));
    end(stage.agentry("install").arg(&newer).arg("--yes")).with(3);
    keyless.installs(&newer);
    end(&mut stage.agentry("verify")).with(0);
    // An identity that is changed in the file alone stops as well.
    keyless.pins(&tag, ISSUER);
    keyless.info(&keyless.signed("1.2.0", 3, Signing::by(&tag))).with(3).complains("with another identity than before");
    assert!(text(&end(&mut stage.agentry("verify")).with(1)).contains("was signed by"));
}

#[test]
fn a_bundle_of_a_server_lies_beside_the_file_and_nobody_else_is_asked() {
    let keyless = Keyless::new();
    let stage = &keyless.market.stage;
    let tag = format!("{FLOW}v1.0.0");
    let file = keyless.signed("1.0.0", 1, Signing::by(&tag));
    let directory = file.parent().expect("it lies somewhere").to_owned();
    let site = server(directory, |_, _| None);
    let inside = format!("[registries.\"127.0.0.1:{}\"]\nplain = true\nnetworks = [\"127.0.0.1\"]\n", site.port());
    let pinned = fs::read_to_string(stage.path("home/packages.toml")).expect("a file");
    stage.write("home/packages.toml", &format!("{pinned}{inside}"));
    let at = site.url("/keeper.wasm");
    assert!(end(stage.agentry("info").arg(&at)).with(0).stdout.contains(&format!("a certificate of {tag}")));
    end(&mut keyless.market.install(&at)).with(0);
    fs::remove_file(beside(&file)).expect("it is ours");
    end(stage.agentry("info").arg(&at)).with(3).complains("is not signed");
}

#[test]
fn another_implementation_of_sigstore_reads_our_bundles() {
    const NAME: &str = "another_implementation_of_sigstore_reads_our_bundles";
    let Some(python) = std::env::var_os("AGENTRY_SIGSTORE_PYTHON") else {
        return skip(NAME, "AGENTRY_SIGSTORE_PYTHON names no Python with `sigstore`");
    };
    let keyless = Keyless::new();
    let stage = &keyless.market.stage;
    let tag = format!("{FLOW}v1.0.0");
    let read = |file: &Path, identity: &str| {
        let mut client = Command::new(&python);
        client.arg(repository("tests/sigstore_client.py")).arg(stage.path("home/trusted_root.json"));
        end(client.arg(file).arg(beside(file)).args([identity, ISSUER]))
    };
    for states in [None, Some(PROVENANCE)] {
        let file = keyless.signed("1.0.0", 1, Signing { states, ..Signing::by(&tag) });
        assert_eq!(read(&file, &tag).with(0).stdout, format!("signed by {tag}\n"));
        keyless.info(&file).with(0);
        // And it refuses what we refuse.
        assert!(read(&file, &tag.replace("1.0", "1.1")).with(1).stderr.contains("SANs do not match"));
        let late = keyless.signed("1.0.0", 1, Signing { states, logged: DAY + 601, ..Signing::by(&tag) });
        read(&late, &tag).with(1);
    }
}
