//! The device secrets that are kept: several, for on a connection without TLS anyone on the way can refuse the genuine
//! one, send another, and accept that. None of it may cost the device the genuine one. Two wrong clouds that a device is
//! pointed at by mistake, one after the other, are the same case.
//!
//! So the first secret that has logged in stays for good. Of the others the oldest goes when there is no room: of those
//! that have not logged in, before one that has.

use crate::protocol::{Activation, Secret, Standing};

/// So many are kept.
pub const MAX_SECRETS: usize = 8;
/// So many of them have logged in at most: those that are new have room, too.
const MAX_PROVEN: usize = 6;

/// A device secret as it is kept in the host's storage.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptSecret {
    pub secret: Secret,
    pub asset_id: Option<String>,
    pub standing: Standing,
    /// The login of this process that has brought it, as long as the device has not logged in since; 0: none.
    pub brought_by: u64,
}

/// In the order in which they came or last logged in, the oldest first.
#[derive(Debug, Default)]
pub struct Secrets(Vec<KeptSecret>);

impl Secrets {
    /// What was stored. More than there is room for can only be what version 0.1 has left.
    pub fn new(stored: Vec<KeptSecret>) -> Secrets {
        let mut secrets = Secrets::default();
        for kept in stored {
            if secrets.place_of(&kept.secret).is_none() && secrets.make_room(u64::MAX) {
                secrets.0.push(kept);
            }
        }
        secrets
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The oldest first.
    pub fn all(&self) -> &[KeptSecret] {
        &self.0
    }

    /// Takes in the secret of an activation that this login has brought. False when this login has brought it before, or
    /// has brought as many as there is room for: of one login, what came first stays.
    pub fn add(&mut self, activation: &Activation, login: u64) -> bool {
        let secret = activation.device_secret();
        if let Some(known) = self.place_of(secret) {
            let is_new = self.0[known].brought_by != login;
            self.0[known].brought_by = login;
            if is_new && !self.is_pinned(known) {
                self.0[known..].rotate_left(1);
            }
            return is_new;
        }
        if !self.make_room(login) {
            return false;
        }
        self.0.push(KeptSecret {
            secret: secret.clone(),
            asset_id: activation.asset_id().map(str::to_owned),
            standing: Standing::Unproven,
            brought_by: login,
        });
        true
    }

    /// The device has logged in, with this secret or with one that is not among these. True when that is to be stored.
    pub fn logged_in(&mut self, secret: &Secret) -> bool {
        self.0.iter_mut().for_each(|kept| kept.brought_by = 0);
        let Some(place) = self.place_of(secret) else { return false };
        let before = self.0[place].standing;
        if before == Standing::Unproven {
            let is_first = !self.0.iter().any(|kept| kept.standing == Standing::First);
            self.0[place].standing = if is_first { Standing::First } else { Standing::Proven };
        }
        self.0[place..].rotate_left(1);
        let proven = self.0.iter().filter(|kept| kept.standing != Standing::Unproven).count();
        if proven > MAX_PROVEN {
            if let Some(oldest) = self.0.iter().position(|kept| kept.standing == Standing::Proven) {
                self.0.remove(oldest);
            }
        }
        before == Standing::Unproven || place + 1 < self.0.len()
    }

    fn place_of(&self, secret: &Secret) -> Option<usize> {
        self.0.iter().position(|kept| kept.secret == *secret)
    }

    /// False when all that could go has come with this login.
    fn make_room(&mut self, login: u64) -> bool {
        if self.0.len() < MAX_SECRETS {
            return true;
        }
        let may_go = |&place: &usize| {
            let kept = &self.0[place];
            kept.standing == Standing::Unproven && kept.brought_by != login && !self.is_pinned(place)
        };
        let place = (0..self.0.len()).find(may_go);
        place.map(|place| self.0.remove(place)).is_some()
    }

    /// The first that has logged in; as long as none has, the first that came.
    fn is_pinned(&self, place: usize) -> bool {
        match self.0.iter().position(|kept| kept.standing == Standing::First) {
            Some(first) => first == place,
            None => place == 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Identity;

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes()).unwrap()
    }

    fn activation(secret: &str) -> Activation {
        let identity = Identity::new("pk", "dk", None).unwrap();
        let payload = format!(
            r#"{{"method":"thing.activate.info","params":{{"productKey":"pk","deviceKey":"dk","deviceSecret":"{secret}"}}}}"#
        );
        Activation::parse(&identity, b"/ext/session/pk/dk/thing/activate/info", payload.as_bytes()).unwrap()
    }

    /// An activation in a login of its own, and then a login as the device.
    fn activate(secrets: &mut Secrets, text: &str, login: u64) {
        assert!(secrets.add(&activation(text), login));
        assert!(secrets.logged_in(&secret(text)));
    }

    fn texts(secrets: &Secrets) -> Vec<&str> {
        secrets.0.iter().map(|kept| kept.secret.as_str()).collect()
    }

    #[test]
    fn the_first_that_logged_in_stays_whatever_logs_in_later() {
        let mut secrets = Secrets::default();
        activate(&mut secrets, "genuine", 1);
        for login in 2..100 {
            activate(&mut secrets, &format!("forged-{login}"), login);
        }
        assert_eq!(texts(&secrets), ["genuine", "forged-95", "forged-96", "forged-97", "forged-98", "forged-99"]);
        assert!(secrets.logged_in(&secret("genuine")) && !secrets.logged_in(&secret("genuine")));
        assert_eq!(secrets.0.last().unwrap().standing, Standing::First);
    }

    #[test]
    fn no_number_of_activations_puts_out_one_that_has_logged_in_nor_the_first_that_came() {
        let mut secrets = Secrets::default();
        secrets.add(&activation("came-first"), 1);
        for login in 2..50 {
            assert!(secrets.add(&activation(&format!("forged-{login}")), login));
        }
        assert_eq!((texts(&secrets)[0], secrets.0.len()), ("came-first", MAX_SECRETS));
        for n in 0..MAX_PROVEN as u64 {
            activate(&mut secrets, &format!("proven-{n}"), 100 + n);
        }
        assert!(!texts(&secrets).contains(&"came-first"), "none was the first to log in but this");
        for login in 200..250 {
            assert!(secrets.add(&activation(&format!("flood-{login}")), login));
        }
        let held = texts(&secrets);
        assert!((0..MAX_PROVEN).all(|n| held.contains(&format!("proven-{n}").as_str())), "{held:?}");
        assert_eq!(held[MAX_PROVEN..], ["flood-248", "flood-249"]);
    }

    #[test]
    fn of_one_login_what_came_first_stays_and_what_comes_again_is_the_newest() {
        let mut secrets = Secrets::default();
        for (secret, login) in [("a", 1), ("b", 2), ("c", 3), ("b", 4)] {
            assert!(secrets.add(&activation(secret), login));
        }
        assert_eq!(texts(&secrets), ["a", "c", "b"]);
        assert!(!secrets.add(&activation("b"), 4), "this login has brought it already");
        let new: Vec<bool> = (0..9).map(|n| secrets.add(&activation(&format!("new-{n}")), 4)).collect();
        assert_eq!(new, [true, true, true, true, true, true, false, false, false]);
        assert_eq!(texts(&secrets), ["a", "b", "new-0", "new-1", "new-2", "new-3", "new-4", "new-5"]);
        assert!(secrets.add(&activation("a"), 5) && texts(&secrets)[0] == "a", "it stays the first");
    }

    #[test]
    fn what_was_stored_is_each_there_once_and_not_too_many() {
        let kept = |text: &str, standing| KeptSecret { secret: secret(text), asset_id: None, standing, brought_by: 0 };
        let mut stored = vec![kept("first", Standing::First), kept("proven", Standing::Proven)];
        stored.extend(["first", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8"].map(|p| kept(p, Standing::Unproven)));
        let secrets = Secrets::new(stored);
        assert_eq!(texts(&secrets), ["first", "proven", "p3", "p4", "p5", "p6", "p7", "p8"]);
    }
}
