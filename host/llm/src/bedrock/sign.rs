//! AWS Signature Version 4 of a request with a body. Written here: it is sixty lines over the hashes that are there anyway, where the crate
//! for it brings two HTTP libraries, a clock and a tracing framework.
//!
//! Source: AWS IAM user guide, "Create a signed AWS API request".

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use reqwest::Request;
use reqwest::header::HeaderValue;
use sha2::{Digest, Sha256};

const SERVICE: &str = "bedrock";

/// What signs.
pub(super) struct Signer<'a> {
    id: &'a str,
    secret: &'a str,
    token: Option<&'a str>,
    region: &'a str,
    service: &'static str,
}

impl<'a> Signer<'a> {
    /// Of a key `ID:SECRET` or `ID:SECRET:TOKEN`.
    ///
    /// # Errors
    /// If it is none; the text does not name it.
    pub(super) fn of(key: &'a str, region: &'a str) -> Result<Self, String> {
        let mut parts = key.splitn(3, ':');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(id), Some(secret), token) if !id.is_empty() && !secret.is_empty() => {
                Ok(Self { id, secret, token, region, service: SERVICE })
            }
            _ => Err("the key of Bedrock is no `ID:SECRET` and no `ID:SECRET:TOKEN`".to_owned()),
        }
    }

    /// Adds the headers that sign the request.
    ///
    /// # Errors
    /// If it has no body that can be read, which none of ours lacks.
    pub(super) fn sign(&self, request: &mut Request, now: SystemTime) -> Result<(), String> {
        let body = request.body().and_then(reqwest::Body::as_bytes).ok_or("the request has no body to sign")?;
        let hash = hex(&Sha256::digest(body));
        let stamp = stamp(now);
        let url = request.url();
        let host = match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (host, _) => host.unwrap_or_default().to_owned(),
        };
        let mut headers = vec![("host", host), ("x-amz-date", stamp.clone())];
        headers.extend(self.token.map(|token| ("x-amz-security-token", token.to_owned())));
        // What is encoded in the path is encoded once more for the signature.
        let path: String = url.path().split('/').map(encoded).collect::<Vec<_>>().join("/");
        let authorization = self.authorization("POST", &path, &headers, &hash, &stamp);
        for (name, value) in
            headers.iter().skip(1).map(|(name, value)| (*name, value)).chain([("authorization", &authorization)])
        {
            let mut value = HeaderValue::from_str(value).map_err(|_| "the key of Bedrock has no place in a header")?;
            value.set_sensitive(true);
            request.headers_mut().insert(name, value);
        }
        Ok(())
    }

    fn authorization(&self, method: &str, path: &str, headers: &[(&str, String)], hash: &str, stamp: &str) -> String {
        let (region, service) = (self.region, self.service);
        let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let lines: String = headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
        let request = format!("{method}\n{path}\n\n{lines}\n{names}\n{hash}");
        let day = &stamp[..8];
        let scope = format!("{day}/{region}/{service}/aws4_request");
        let text = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}", hex(&Sha256::digest(request)));
        let key = [day, region, service, "aws4_request"]
            .iter()
            .fold(format!("AWS4{}", self.secret).into_bytes(), |key, part| hmac(&key, part.as_bytes()));
        let signature = hex(&hmac(&key, text.as_bytes()));
        format!("AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}", self.id)
    }
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key may have any length");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// All but letters, digits and `-._~` as `%XX`.
fn encoded(segment: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    segment
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// `20150830T123600Z`.
fn stamp(now: SystemTime) -> String {
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (day, second) = (crate::prices::date(now).replace('-', ""), seconds % 86_400);
    format!("{day}T{:02}{:02}{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Duration = Duration::from_secs(1_440_938_160);

    /// From the test suite that AWS publishes for this version.
    #[test]
    fn the_published_examples_are_signed_as_published() {
        let signer = Signer::of("AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "us-east-1").unwrap();
        let signer = Signer { service: "service", ..signer };
        let stamp = stamp(UNIX_EPOCH + NOW);
        assert_eq!(stamp, "20150830T123600Z");
        let headers = [("host", "example.amazonaws.com".to_owned()), ("x-amz-date", stamp.clone())];
        let empty = hex(&Sha256::digest(b""));
        let signed = |method: &str| signer.authorization(method, "/", &headers, &empty, &stamp);
        let beginning = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=";
        assert_eq!(
            signed("GET"),
            format!("{beginning}5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31")
        );
        assert_eq!(
            signed("POST"),
            format!("{beginning}5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b")
        );
    }

    #[test]
    fn a_path_is_encoded_once_more_and_a_token_is_signed_as_well() {
        assert_eq!(encoded("us.anthropic.claude-v1%3A0"), "us.anthropic.claude-v1%253A0");
        let url = "https://bedrock-runtime.us-east-1.amazonaws.com/model/m%3A0/converse".parse().unwrap();
        let mut request = Request::new(reqwest::Method::POST, url);
        *request.body_mut() = Some("{}".into());
        Signer::of("AKIA:secret:token", "us-east-1").unwrap().sign(&mut request, UNIX_EPOCH + NOW).unwrap();
        let header = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("x-amz-security-token"), "token");
        assert!(header("authorization").contains("SignedHeaders=host;x-amz-date;x-amz-security-token, Signature="));
        assert!(Signer::of("AKIA", "x").is_err() && Signer::of(":secret", "x").is_err());
    }
}
