//! The secrets in hand, and the order in which they are tried.

use std::fmt;

use super::secrets::Secrets;
use crate::protocol::{Secret, SecureMode, SignMethod};

/// What worked last: the method, and which secret it was. Kept in the host's storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub method: SignMethod,
    pub fingerprint: [u8; 8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From an activation of this process; the device has not logged in since.
    New,
    Configured,
    /// Number so many of the stored ones, of which there are so many; the one used last is the first.
    Stored(usize, usize),
    Product,
}

/// One pair to sign with.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    pub origin: Origin,
    pub secret: Secret,
    pub method: SignMethod,
}

impl Candidate {
    pub fn mode(&self) -> SecureMode {
        match self.origin {
            Origin::Product => SecureMode::Product,
            _ => SecureMode::Device,
        }
    }

    pub fn accepted(&self) -> Accepted {
        Accepted { method: self.method, fingerprint: self.secret.fingerprint() }
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = match self.origin {
            Origin::New => "the newly activated device secret",
            Origin::Configured => "the configured device secret",
            Origin::Stored(_, 1) => "the stored device secret",
            Origin::Stored(number, all) => {
                return write!(f, "{} with stored device secret {number} of {all}", self.method.name());
            }
            Origin::Product => "the product secret",
        };
        write!(f, "{} with {secret}", self.method.name())
    }
}

#[derive(Debug)]
pub struct Credentials {
    pub configured: Option<Secret>,
    pub product: Option<Secret>,
    pub kept: Secrets,
    pub last_accepted: Option<Accepted>,
    method: Option<SignMethod>,
}

impl Credentials {
    pub fn new(configured: Option<Secret>, product: Option<Secret>, method: Option<SignMethod>) -> Credentials {
        Credentials { configured, product, kept: Secrets::default(), last_accepted: None, method }
    }

    pub fn has_device_secret(&self) -> bool {
        self.configured.is_some() || !self.kept.is_empty()
    }

    /// The device secrets, each once, with both methods where AUTO has two: the newest activation first (one was only
    /// made because the others were refused), then the pair that worked last, then the others.
    pub fn device_rotation(&self) -> Vec<Candidate> {
        let all = self.kept.all();
        let kept = all.iter().rev().zip(1..).map(|(kept, number)| {
            let is_new = kept.brought_by != 0;
            (if is_new { Origin::New } else { Origin::Stored(number, all.len()) }, &kept.secret)
        });
        let configured = self.configured.iter().map(|secret| (Origin::Configured, secret));
        let mut secrets: Vec<(Origin, &Secret)> = Vec::new();
        for (origin, secret) in configured.chain(kept) {
            if !secrets.iter().any(|(_, known)| *known == secret) {
                secrets.push((origin, secret));
            }
        }
        let worked = self.last_accepted.map(|accepted| accepted.fingerprint);
        secrets.sort_by_key(|(origin, secret)| match origin {
            Origin::New => 0,
            _ if worked == Some(secret.fingerprint()) => 1,
            _ => 2,
        });
        self.with_methods(secrets.into_iter())
    }

    /// The product secret, with both methods where AUTO has two.
    pub fn product_rotation(&self) -> Vec<Candidate> {
        self.with_methods(self.product.iter().map(|secret| (Origin::Product, secret)))
    }

    fn with_methods<'a>(&self, secrets: impl Iterator<Item = (Origin, &'a Secret)>) -> Vec<Candidate> {
        let methods = self.methods();
        secrets
            .flat_map(|(origin, secret)| {
                methods.iter().map(move |&method| Candidate { origin, secret: secret.clone(), method })
            })
            .collect()
    }

    /// AUTO's two, the one that worked last first; or the one that was chosen.
    fn methods(&self) -> Vec<SignMethod> {
        match (self.method, self.last_accepted.map(|accepted| accepted.method)) {
            (Some(chosen), _) => vec![chosen],
            (None, Some(SignMethod::Sha1)) => vec![SignMethod::Sha1, SignMethod::HmacSha1],
            (None, _) => vec![SignMethod::HmacSha1, SignMethod::Sha1],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::secrets::KeptSecret;
    use super::*;
    use crate::protocol::Standing;

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes()).unwrap()
    }

    fn kept(text: &str, brought_by: u64) -> KeptSecret {
        KeptSecret { secret: secret(text), asset_id: None, standing: Standing::Proven, brought_by }
    }

    fn order(credentials: &Credentials) -> Vec<(Origin, SignMethod)> {
        credentials.device_rotation().into_iter().map(|candidate| (candidate.origin, candidate.method)).collect()
    }

    #[test]
    fn auto_tries_both_methods_and_begins_with_what_worked() {
        let mut credentials = Credentials::new(Some(secret("a")), None, None);
        credentials.kept = Secrets::new(vec![kept("b", 0)]);
        use {Origin::*, SignMethod::*};
        let stored = Stored(1, 1);
        assert_eq!(
            order(&credentials),
            [(Configured, HmacSha1), (Configured, Sha1), (stored, HmacSha1), (stored, Sha1)]
        );
        credentials.last_accepted = Some(Accepted { method: Sha1, fingerprint: secret("b").fingerprint() });
        assert_eq!(
            order(&credentials),
            [(stored, Sha1), (stored, HmacSha1), (Configured, Sha1), (Configured, HmacSha1)]
        );
    }

    #[test]
    fn a_chosen_method_is_the_only_one() {
        let mut credentials = Credentials::new(Some(secret("a")), None, Some(SignMethod::Sha256));
        credentials.last_accepted = Some(Accepted { method: SignMethod::Sha1, fingerprint: secret("a").fingerprint() });
        assert_eq!(order(&credentials), [(Origin::Configured, SignMethod::Sha256)]);
    }

    #[test]
    fn a_new_activation_comes_first_then_what_worked_and_no_secret_twice() {
        let mut credentials = Credentials::new(Some(secret("a")), None, Some(SignMethod::Sha1));
        let stored = [("oldest", 0), ("worked", 0), ("a", 0), ("newest", 0), ("activated", 7)];
        credentials.kept = Secrets::new(stored.map(|(text, by)| kept(text, by)).to_vec());
        let worked = secret("worked").fingerprint();
        credentials.last_accepted = Some(Accepted { method: SignMethod::Sha1, fingerprint: worked });
        let candidates = credentials.device_rotation();
        let secrets: Vec<_> = candidates.iter().map(|candidate| candidate.secret.as_str()).collect();
        assert_eq!(secrets, ["activated", "worked", "a", "newest", "oldest"]);
        assert_eq!(candidates[4].to_string(), "SHA1 with stored device secret 5 of 5");
    }
}
