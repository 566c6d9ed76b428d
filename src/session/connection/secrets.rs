//! The device secrets. There are several, because on a connection without TLS anyone on the path can refuse the genuine
//! secret, send another one and accept that. The device must not lose the genuine one by this. Nor must it when it is
//! pointed at two wrong clouds by mistake, one after the other.
//!
//! So the first secret that has logged in is never removed. If there is no room, the oldest of the others is removed,
//! and one that has not logged in before one that has.

use crate::protocol::{Activation, DeviceSecret, Secret, Standing};

const MAX_SECRETS: usize = 8;
/// At most so many of them have logged in, so that new ones have room, too.
const MAX_PROVEN: usize = 6;

/// In the order in which they came or last logged in, the oldest first.
#[derive(Debug, Default)]
pub struct DeviceSecrets(Vec<DeviceSecret>);

impl DeviceSecrets {
    /// The stored ones. Only version 0.1 can have stored too many.
    pub fn new(stored: Vec<DeviceSecret>) -> DeviceSecrets {
        let mut secrets = DeviceSecrets::default();
        for device in stored {
            if secrets.place_of(&device.secret).is_none() && secrets.make_room(u64::MAX) {
                secrets.0.push(device);
            }
        }
        secrets
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The oldest first.
    pub fn all(&self) -> &[DeviceSecret] {
        &self.0
    }

    /// This login has brought one.
    pub fn has_any_from(&self, login: u64) -> bool {
        self.0.iter().any(|device| device.brought_by == login)
    }

    /// Adds the secret of an activation that this login has brought. False if this login has brought the secret before,
    /// or has brought as many as there is room for.
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
        self.0.push(DeviceSecret {
            secret: secret.clone(),
            asset_id: activation.asset_id().map(str::to_owned),
            standing: Standing::Unproven,
            brought_by: login,
        });
        true
    }

    /// The device has logged in with this secret, which need not be one of these. True if that is to be stored.
    pub fn logged_in(&mut self, secret: &Secret) -> bool {
        self.0.iter_mut().for_each(|device| device.brought_by = 0);
        let Some(place) = self.place_of(secret) else { return false };
        let before = self.0[place].standing;
        if before == Standing::Unproven {
            let is_first = !self.0.iter().any(|device| device.standing == Standing::First);
            self.0[place].standing = if is_first { Standing::First } else { Standing::Proven };
        }
        self.0[place..].rotate_left(1);
        let proven = self.0.iter().filter(|device| device.standing != Standing::Unproven).count();
        if proven > MAX_PROVEN {
            if let Some(oldest) = self.0.iter().position(|device| device.standing == Standing::Proven) {
                self.0.remove(oldest);
            }
        }
        before == Standing::Unproven || place + 1 < self.0.len()
    }

    fn place_of(&self, secret: &Secret) -> Option<usize> {
        self.0.iter().position(|device| device.secret == *secret)
    }

    /// False if this login has brought all that could be removed.
    fn make_room(&mut self, login: u64) -> bool {
        if self.0.len() < MAX_SECRETS {
            return true;
        }
        let may_go = |&place: &usize| {
            let device = &self.0[place];
            device.standing == Standing::Unproven && device.brought_by != login && !self.is_pinned(place)
        };
        let place = (0..self.0.len()).find(may_go);
        place.map(|place| self.0.remove(place)).is_some()
    }

    /// It is the first that has logged in. If none has, it is the first that came.
    fn is_pinned(&self, place: usize) -> bool {
        match self.0.iter().position(|device| device.standing == Standing::First) {
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
    fn activate(secrets: &mut DeviceSecrets, text: &str, login: u64) {
        assert!(secrets.add(&activation(text), login));
        assert!(secrets.logged_in(&secret(text)));
    }

    fn texts(secrets: &DeviceSecrets) -> Vec<&str> {
        secrets.0.iter().map(|device| device.secret.as_str()).collect()
    }

    #[test]
    fn the_first_that_logged_in_stays_whatever_logs_in_later() {
        let mut secrets = DeviceSecrets::default();
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
        let mut secrets = DeviceSecrets::default();
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
        let mut secrets = DeviceSecrets::default();
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
        let device =
            |text: &str, standing| DeviceSecret { secret: secret(text), asset_id: None, standing, brought_by: 0 };
        let mut stored = vec![device("first", Standing::First), device("proven", Standing::Proven)];
        stored.extend(["first", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8"].map(|p| device(p, Standing::Unproven)));
        let secrets = DeviceSecrets::new(stored);
        assert_eq!(texts(&secrets), ["first", "proven", "p3", "p4", "p5", "p6", "p7", "p8"]);
    }
}
