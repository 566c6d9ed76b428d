//! EnOS's limit of CONNECTs: at most one a second, and the fourth within two minutes bans the device for five minutes.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use crate::{config::ThrottleConfig, event::Rule, DeviceId};

/// The limit of devices whose CONNECTs are counted, because user names come from outside.
const REMEMBERED: usize = 16_384;

#[derive(Debug, Default)]
pub struct Throttle(HashMap<DeviceId, History>);

#[derive(Debug, Default)]
struct History {
    connects: VecDeque<Instant>,
    banned_until: Option<Instant>,
}

/// The device has sent too many CONNECTs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ban {
    pub rule: Rule,
    pub remaining: Duration,
}

impl Throttle {
    /// Counts a CONNECT at `now`.
    pub fn connect(&mut self, device: &DeviceId, config: &ThrottleConfig, now: Instant) -> Result<(), Ban> {
        if self.0.len() >= REMEMBERED && !self.0.contains_key(device) {
            self.0.retain(|_, history| history.matters(config, now));
            if self.0.len() >= REMEMBERED {
                return Ok(());
            }
        }
        self.0.entry(device.clone()).or_default().connect(config, now)
    }
}

impl History {
    fn matters(&self, config: &ThrottleConfig, now: Instant) -> bool {
        self.banned_until.is_some_and(|until| until > now)
            || self.connects.back().is_some_and(|last| now.duration_since(*last) < config.window)
    }

    fn connect(&mut self, config: &ThrottleConfig, now: Instant) -> Result<(), Ban> {
        if let Some(until) = self.banned_until {
            if until > now {
                return Err(Ban { rule: Rule::Window, remaining: until - now });
            }
            *self = History::default();
        }
        while self.connects.front().is_some_and(|first| now.duration_since(*first) >= config.window) {
            self.connects.pop_front();
        }
        let since_last = self.connects.back().map(|last| now.duration_since(*last));
        self.connects.push_back(now);
        if self.connects.len() >= config.limit {
            self.connects.clear();
            self.banned_until = Some(now + config.ban);
            return Err(Ban { rule: Rule::Window, remaining: config.ban });
        }
        match since_last {
            Some(since) if since < config.spacing => {
                Err(Ban { rule: Rule::Spacing, remaining: config.spacing - since })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_rules() {
        let (mut throttle, config) = (Throttle::default(), ThrottleConfig::default());
        let (device, start) = (DeviceId::new("pk", "dk"), Instant::now());
        let mut connect = |ms| throttle.connect(&device, &config, start + Duration::from_millis(ms));
        assert_eq!(connect(0), Ok(()));
        assert_eq!(connect(400), Err(Ban { rule: Rule::Spacing, remaining: Duration::from_millis(600) }));
        assert_eq!(connect(2_000), Ok(()));
        assert_eq!(connect(119_000), Err(Ban { rule: Rule::Window, remaining: Duration::from_secs(300) }));
        assert_eq!(connect(418_000), Err(Ban { rule: Rule::Window, remaining: Duration::from_secs(1) }));
        assert_eq!(connect(419_000), Ok(()));
        assert_eq!(throttle.connect(&DeviceId::new("pk", "other"), &config, start), Ok(()));
    }

    #[test]
    fn three_within_the_window_are_free() {
        let (mut throttle, config) = (Throttle::default(), ThrottleConfig::default());
        let (device, start) = (DeviceId::new("pk", "dk"), Instant::now());
        for second in [0, 41, 82, 123, 164, 205, 246] {
            assert_eq!(throttle.connect(&device, &config, start + Duration::from_secs(second)), Ok(()), "{second}");
        }
    }
}
