//! The sub-devices that are logged in, and through which gateway. It reads no clock.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::{
    config::{CountedAs, GatewayConfig},
    DeviceId,
};

/// The login of a sub-device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubLogin {
    pub gateway: DeviceId,
    /// The number of the gateway's connection.
    pub connection: u64,
}

/// The sub-devices of all gateways.
#[derive(Debug, Default)]
pub struct Gateways {
    logins: BTreeMap<DeviceId, SubLogin>,
    /// All that were ever logged in on a connection.
    seen: HashMap<u64, HashSet<DeviceId>>,
}

impl Gateways {
    pub fn login_of(&self, sub_device: &DeviceId) -> Option<&SubLogin> {
        self.logins.get(sub_device)
    }

    /// Whether it is logged in on this connection.
    pub fn is_on(&self, sub_device: &DeviceId, connection: u64) -> bool {
        self.login_of(sub_device).is_some_and(|login| login.connection == connection)
    }

    /// Whether a login on this connection would be one more than its limit, after `earlier` further logins.
    pub fn is_full(&self, sub_device: &DeviceId, connection: u64, earlier: usize, config: &GatewayConfig) -> bool {
        let (is_counted, count) = match config.counted {
            CountedAs::Now => {
                let now = self.logins.values().filter(|login| login.connection == connection).count();
                (self.is_on(sub_device, connection), now)
            }
            CountedAs::Ever => {
                let seen = self.seen.get(&connection);
                (seen.is_some_and(|seen| seen.contains(sub_device)), seen.map_or(0, HashSet::len))
            }
        };
        !is_counted && count + earlier >= config.online
    }

    /// Logs a sub-device in; returns the login that ends because of that.
    pub fn log_in(&mut self, sub_device: &DeviceId, login: SubLogin) -> Option<SubLogin> {
        self.seen.entry(login.connection).or_default().insert(sub_device.clone());
        let earlier = self.logins.insert(sub_device.clone(), login.clone());
        earlier.filter(|earlier| *earlier != login)
    }

    /// Ends a login.
    pub fn log_out(&mut self, sub_device: &DeviceId) -> Option<SubLogin> {
        self.logins.remove(sub_device)
    }

    /// Ends all logins of a connection.
    pub fn end_link(&mut self, connection: u64) -> Vec<(DeviceId, SubLogin)> {
        self.seen.remove(&connection);
        let ended = self.logins.iter().filter(|(_, login)| login.connection == connection);
        let ended: Vec<_> = ended.map(|(id, login)| (id.clone(), login.clone())).collect();
        self.logins.retain(|_, login| login.connection != connection);
        ended
    }

    /// All logins, in the order of the sub-devices' names.
    pub fn all(&self) -> impl Iterator<Item = (&DeviceId, &SubLogin)> {
        self.logins.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(key: &str) -> DeviceId {
        DeviceId::new("pk", key)
    }

    fn login(gateway: &str, connection: u64) -> SubLogin {
        SubLogin { gateway: id(gateway), connection }
    }

    #[test]
    fn a_login_elsewhere_ends_the_one_before() {
        let mut gateways = Gateways::default();
        assert_eq!(gateways.log_in(&id("a"), login("g", 1)), None);
        assert_eq!(gateways.log_in(&id("a"), login("g", 1)), None, "the same again");
        assert_eq!(gateways.log_in(&id("a"), login("h", 2)), Some(login("g", 1)));
        assert!(!gateways.is_on(&id("a"), 1) && gateways.is_on(&id("a"), 2));
        assert_eq!(gateways.end_link(1), []);
        assert_eq!(gateways.end_link(2), [(id("a"), login("h", 2))]);
        assert_eq!(gateways.login_of(&id("a")), None);
    }

    #[test]
    fn a_limit_counts_those_that_are_online_or_all_that_ever_were() {
        let mut gateways = Gateways::default();
        let config = |counted| GatewayConfig { online: 1, counted, ..GatewayConfig::default() };
        gateways.log_in(&id("a"), login("g", 1));
        let full = |gateways: &Gateways, key: &str| {
            [CountedAs::Now, CountedAs::Ever].map(|counted| gateways.is_full(&id(key), 1, 0, &config(counted)))
        };
        assert_eq!((full(&gateways, "a"), full(&gateways, "b")), ([false, false], [true, true]));
        gateways.log_out(&id("a"));
        assert_eq!((full(&gateways, "a"), full(&gateways, "b")), ([false, false], [false, true]));
        gateways.end_link(1);
        assert_eq!(full(&gateways, "b"), [false, false]);
    }
}
