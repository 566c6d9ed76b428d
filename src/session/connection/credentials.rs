//! The known secrets, and the order in which they are tried.

use super::secrets::DeviceSecrets;
use crate::model::sign::SignMethod;
use crate::protocol::Secret;
use crate::session::credential::{Accepted, Credential, Origin};

#[derive(Debug)]
pub struct Credentials {
    pub configured: Option<Secret>,
    /// What the configured secret is.
    pub configured_as: Origin,
    pub product: Option<Secret>,
    pub device: DeviceSecrets,
    pub last_accepted: Option<Accepted>,
    method: Option<SignMethod>,
}

impl Credentials {
    pub fn new(configured: Option<Secret>, product: Option<Secret>, method: Option<SignMethod>) -> Credentials {
        let (configured_as, device) = (Origin::Configured, DeviceSecrets::default());
        Credentials { configured, configured_as, product, device, last_accepted: None, method }
    }

    pub fn has_device_secret(&self) -> bool {
        self.configured.is_some() || !self.device.is_empty()
    }

    /// The device secrets, each once and with every method to try. The newest activation comes first, because it was only
    /// made after the others were refused. Then comes what worked last, then the rest.
    pub fn of_device(&self) -> Vec<Credential> {
        let all = self.device.all();
        let stored = all.iter().rev().zip(1..).map(|(device, number)| {
            let is_new = device.brought_by != 0;
            (if is_new { Origin::New } else { Origin::Stored(number, all.len()) }, &device.secret)
        });
        let configured = self.configured.iter().map(|secret| (self.configured_as, secret));
        let mut secrets: Vec<(Origin, &Secret)> = Vec::new();
        for (origin, secret) in configured.chain(stored) {
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

    /// The product secret, with every method to try.
    pub fn of_product(&self) -> Vec<Credential> {
        self.with_methods(self.product.iter().map(|secret| (Origin::Product, secret)))
    }

    fn with_methods<'a>(&self, secrets: impl Iterator<Item = (Origin, &'a Secret)>) -> Vec<Credential> {
        let methods = self.methods();
        secrets
            .flat_map(|(origin, secret)| {
                methods.iter().map(move |&method| Credential { origin, secret: secret.clone(), method })
            })
            .collect()
    }

    /// The one that was chosen, or the two of AUTO: first the one that worked last.
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
    use super::*;
    use crate::protocol::{DeviceSecret, Standing};

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes()).unwrap()
    }

    fn stored(text: &str, brought_by: u64) -> DeviceSecret {
        DeviceSecret { secret: secret(text), asset_id: None, standing: Standing::Proven, brought_by }
    }

    fn order(credentials: &Credentials) -> Vec<(Origin, SignMethod)> {
        credentials.of_device().into_iter().map(|credential| (credential.origin, credential.method)).collect()
    }

    #[test]
    fn auto_tries_both_methods_and_begins_with_what_worked() {
        let mut credentials = Credentials::new(Some(secret("a")), None, None);
        credentials.device = DeviceSecrets::new(vec![stored("b", 0)]);
        use {Origin::*, SignMethod::*};
        let of_storage = Stored(1, 1);
        assert_eq!(
            order(&credentials),
            [(Configured, HmacSha1), (Configured, Sha1), (of_storage, HmacSha1), (of_storage, Sha1)]
        );
        credentials.last_accepted = Some(Accepted { method: Sha1, fingerprint: secret("b").fingerprint() });
        assert_eq!(
            order(&credentials),
            [(of_storage, Sha1), (of_storage, HmacSha1), (Configured, Sha1), (Configured, HmacSha1)]
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
        let secrets = [("oldest", 0), ("worked", 0), ("a", 0), ("newest", 0), ("activated", 7)];
        credentials.device = DeviceSecrets::new(secrets.map(|(text, by)| stored(text, by)).to_vec());
        let worked = secret("worked").fingerprint();
        credentials.last_accepted = Some(Accepted { method: SignMethod::Sha1, fingerprint: worked });
        let order = credentials.of_device();
        let secrets: Vec<_> = order.iter().map(|credential| credential.secret.as_str()).collect();
        assert_eq!(secrets, ["activated", "worked", "a", "newest", "oldest"]);
        assert_eq!(order[4].to_string(), "SHA1 with stored device secret 5 of 5");
    }
}
