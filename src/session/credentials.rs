//! The secrets in hand, and the order in which they are tried.

use std::fmt;

use crate::protocol::{Activation, Secret, SecureMode, SignMethod};

/// How many activations that no login has confirmed yet are kept beside each other.
pub const MAX_PENDING: usize = 4;

/// A device secret as it is kept in the host's storage.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptSecret {
    pub secret: Secret,
    pub asset_id: Option<String>,
}

/// What worked last: the method, and which secret it was. Kept in the host's storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub method: SignMethod,
    pub fingerprint: [u8; 8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From an activation, not yet confirmed by a login as the device.
    Pending,
    Configured,
    /// The stored one.
    Current,
    /// The stored one before it.
    Previous,
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
            Origin::Pending => "the newly activated device secret",
            Origin::Configured => "the configured device secret",
            Origin::Current => "the stored device secret",
            Origin::Previous => "the stored device secret before it",
            Origin::Product => "the product secret",
        };
        write!(f, "{} with {secret}", self.method.name())
    }
}

#[derive(Debug)]
pub struct Credentials {
    pub configured: Option<Secret>,
    pub product: Option<Secret>,
    pub current: Option<KeptSecret>,
    pub previous: Option<KeptSecret>,
    /// Oldest first.
    pub pending: Vec<KeptSecret>,
    pub last_accepted: Option<Accepted>,
    method: Option<SignMethod>,
}

impl Credentials {
    pub fn new(configured: Option<Secret>, product: Option<Secret>, method: Option<SignMethod>) -> Credentials {
        Credentials {
            configured,
            product,
            current: None,
            previous: None,
            pending: Vec::new(),
            last_accepted: None,
            method,
        }
    }

    pub fn has_device_secret(&self) -> bool {
        self.configured.is_some() || self.current.is_some() || self.previous.is_some() || !self.pending.is_empty()
    }

    /// The device secrets, each once, with both methods where AUTO has two: the newest activation first (one was only
    /// made because the others were refused), then the pair that worked last, then the others.
    pub fn device_rotation(&self) -> Vec<Candidate> {
        let pending = self.pending.iter().rev().map(|kept| (Origin::Pending, &kept.secret));
        let configured = self.configured.iter().map(|secret| (Origin::Configured, secret));
        let current = self.current.iter().map(|kept| (Origin::Current, &kept.secret));
        let previous = self.previous.iter().map(|kept| (Origin::Previous, &kept.secret));
        let mut secrets: Vec<(Origin, &Secret)> = Vec::new();
        for (origin, secret) in pending.chain(configured).chain(current).chain(previous) {
            if !secrets.iter().any(|(_, known)| *known == secret) {
                secrets.push((origin, secret));
            }
        }
        let worked = self.last_accepted.map(|accepted| accepted.fingerprint);
        secrets.sort_by_key(|(origin, secret)| match origin {
            Origin::Pending => 0,
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

    /// Takes in the secret of an activation, as the newest. False when it is known already, or when this login has
    /// brought as many as there is room for: of one login, what came first stays.
    pub fn add_pending(&mut self, activation: &Activation, of_this_login: usize) -> bool {
        let secret = activation.device_secret();
        if let Some(known) = self.pending.iter().position(|kept| kept.secret == *secret) {
            self.pending[known..].rotate_left(1);
            return false;
        }
        if self.pending.len() >= MAX_PENDING {
            if of_this_login >= MAX_PENDING {
                return false;
            }
            self.pending.remove(0);
        }
        self.pending.push(KeptSecret { secret: secret.clone(), asset_id: activation.asset_id().map(str::to_owned) });
        true
    }

    /// What is to be stored as the current secret, and as the one before it, once a login has confirmed this one.
    pub fn promotion(&self, secret: &Secret) -> Option<(KeptSecret, Option<KeptSecret>)> {
        let kept = self.pending.iter().find(|kept| kept.secret == *secret)?.clone();
        let old = self.current.clone().filter(|current| current.secret != kept.secret);
        Some((kept, old))
    }

    /// That is stored. Until then the secret stays among the pending, in the storage as in memory.
    pub fn promoted(&mut self, current: KeptSecret, previous: Option<KeptSecret>) {
        self.previous = previous.or(self.previous.take());
        self.current = Some(current);
        self.pending.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes()).unwrap()
    }

    fn kept(text: &str) -> KeptSecret {
        KeptSecret { secret: secret(text), asset_id: None }
    }

    fn order(credentials: &Credentials) -> Vec<(Origin, SignMethod)> {
        credentials.device_rotation().into_iter().map(|candidate| (candidate.origin, candidate.method)).collect()
    }

    #[test]
    fn auto_tries_both_methods_and_begins_with_what_worked() {
        let mut credentials = Credentials::new(Some(secret("a")), None, None);
        credentials.current = Some(kept("b"));
        use {Origin::*, SignMethod::*};
        assert_eq!(
            order(&credentials),
            [(Configured, HmacSha1), (Configured, Sha1), (Current, HmacSha1), (Current, Sha1)]
        );
        credentials.last_accepted = Some(Accepted { method: Sha1, fingerprint: secret("b").fingerprint() });
        assert_eq!(
            order(&credentials),
            [(Current, Sha1), (Current, HmacSha1), (Configured, Sha1), (Configured, HmacSha1)]
        );
    }

    #[test]
    fn a_chosen_method_is_the_only_one() {
        let mut credentials = Credentials::new(Some(secret("a")), None, Some(SignMethod::Sha256));
        credentials.last_accepted = Some(Accepted { method: SignMethod::Sha1, fingerprint: secret("a").fingerprint() });
        assert_eq!(order(&credentials), [(Origin::Configured, SignMethod::Sha256)]);
    }

    #[test]
    fn the_newest_activation_comes_first_and_no_secret_twice() {
        let mut credentials = Credentials::new(Some(secret("a")), None, Some(SignMethod::Sha1));
        credentials.current = Some(kept("a"));
        credentials.previous = Some(kept("p"));
        credentials.pending = vec![kept("old"), kept("new")];
        let secrets: Vec<_> = credentials.device_rotation().into_iter().map(|candidate| candidate.secret).collect();
        assert_eq!(secrets, [secret("new"), secret("old"), secret("a"), secret("p")]);
    }

    fn activation(secret: &str) -> Activation {
        let identity = crate::protocol::Identity::new("pk", "dk", None).unwrap();
        let payload = format!(
            r#"{{"method":"thing.activate.info","params":{{"productKey":"pk","deviceKey":"dk","deviceSecret":"{secret}"}}}}"#
        );
        Activation::parse(&identity, b"/ext/session/pk/dk/thing/activate/info", payload.as_bytes()).unwrap()
    }

    #[test]
    fn a_flood_of_activations_costs_no_secret_of_its_own_login_and_one_that_comes_again_is_the_newest() {
        let mut credentials = Credentials::new(None, None, None);
        let order = |credentials: &Credentials| -> Vec<String> {
            credentials.pending.iter().map(|kept| kept.secret.as_str().to_owned()).collect()
        };
        // One in each of six logins, the first of them again in the third.
        for secret in ["a", "b", "a", "c", "d", "e"] {
            credentials.add_pending(&activation(secret), 0);
        }
        assert_eq!(order(&credentials), ["a", "c", "d", "e"]);
        let new: Vec<bool> = ["f", "g", "h", "i", "j"]
            .iter()
            .zip(0..)
            .map(|(secret, of_this_login)| credentials.add_pending(&activation(secret), of_this_login))
            .collect();
        assert_eq!(new, [true, true, true, true, false]);
        assert_eq!(order(&credentials), ["f", "g", "h", "i"]);
    }

    #[test]
    fn promotion_keeps_the_old_one_as_the_previous() {
        let mut credentials = Credentials::new(None, Some(secret("product")), None);
        credentials.current = Some(kept("old"));
        credentials.pending = vec![kept("new")];
        let (current, previous) = credentials.promotion(&secret("new")).unwrap();
        assert_eq!((&current, &previous), (&kept("new"), &Some(kept("old"))));
        credentials.promoted(current, previous);
        assert_eq!(credentials.promotion(&secret("new")), None);
        assert_eq!(credentials.current, Some(kept("new")));
        assert_eq!(credentials.previous, Some(kept("old")));
    }
}
