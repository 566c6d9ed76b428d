//! Random worlds: the host, the cloud, the storage and the link do what they like for some hours, and then behave.

use super::*;

const HOUR_MS: u64 = 3_600_000;

/// What the host and the cloud are asked to do, at random.
struct World {
    park: Park,
    dice: fastrand::Rng,
    /// The keys of those that the host has, by id.
    ids: BTreeMap<u64, String>,
    /// Those that an operator has deleted, and that nobody has enabled or switched on since.
    deleted: BTreeSet<String>,
    disabled: BTreeSet<String>,
    /// When each has logged in.
    logins: BTreeMap<String, Vec<u64>>,
    deletions: Vec<(u64, String)>,
    /// The joined posts that were accepted, and how many outcomes each had.
    joined: BTreeMap<u64, usize>,
}

impl World {
    fn new(seed: u64) -> World {
        let mut dice = fastrand::Rng::with_seed(seed);
        let mut park = Park::new();
        park.cloud.max_batch = dice.bool().then(|| dice.usize(1..20));
        park.cloud.all_or_nothing = dice.u32(..4) == 0;
        park.connect();
        World {
            park,
            dice,
            ids: BTreeMap::new(),
            deleted: BTreeSet::new(),
            disabled: BTreeSet::new(),
            logins: BTreeMap::new(),
            deletions: Vec::new(),
            joined: BTreeMap::new(),
        }
    }

    fn any(&mut self) -> Option<(u64, String)> {
        let n = self.dice.usize(..self.ids.len().max(1));
        self.ids.iter().nth(n).map(|(id, key)| (*id, key.clone()))
    }

    fn order(&mut self, what: &str, key: &str) {
        let params = json!([{"productKey": "sub", "deviceKey": key}]);
        let body = json!({"id": "900", "method": format!("combine.{what}"), "params": params});
        self.park.message(&format!("/ext/session/pk/dk/combine/{what}"), &body);
    }

    fn is_online(&self) -> bool {
        self.park.session.state() == crate::session::State::Online
    }

    fn add(&mut self) {
        let key = Park::key(self.dice.usize(..12));
        let activates = key > Park::key(7);
        let mut new = Park::new_one(&key);
        new.add_topology = self.dice.bool();
        if activates {
            (new.device_secret, new.product_secret) = (None, Some(Secret::new(b"product").unwrap()));
            self.park.cloud.secrets.entry(key.clone()).or_insert_with(|| format!("secret of {key}"));
        }
        if let Ok(ids) = self.park.try_add(vec![new]) {
            self.ids.insert(ids[0], key.clone());
            self.deleted.remove(&key);
        }
    }

    fn step(&mut self) {
        match self.dice.u32(..25) {
            0..=2 => self.add(),
            3 => {
                if let Some((id, _)) = self.any() {
                    self.park.remove(id);
                    self.ids.remove(&id);
                }
            }
            4..=6 => {
                if let Some((id, key)) = self.any() {
                    let on = self.dice.bool();
                    if self.park.session.set_subdevice_online(self.park.now(), id, on).is_ok() && on {
                        self.deleted.remove(&key);
                    }
                    self.park.perform();
                }
            }
            7 if self.is_online() => self.park.lose_link(),
            8 => self.park.cloud.silent = self.dice.u32(..3) == 0,
            9 => self.park.cloud.holds = self.dice.bool(),
            10 => self.park.deliver(),
            11 if !self.park.replies.is_empty() => drop(self.park.replies.pop()),
            12 => self.park.storage_fails = self.dice.usize(..4),
            13 | 14 => {
                let key = Park::key(self.dice.usize(..12));
                let code = self.dice.choice([400, 429, 500, 740, 742, 770]).unwrap();
                if self.dice.bool() {
                    self.park.cloud.refused.insert(key, code);
                } else {
                    self.park.cloud.refused.clear();
                }
            }
            15 if self.is_online() => {
                if let Some((_, key)) = self.any() {
                    self.park.cloud.logged_in.remove(&key);
                    let what = self.dice.choice(["disable", "delete"]).unwrap();
                    self.order(what, &key);
                    match what {
                        "delete" => {
                            self.deletions.push((self.park.now, key.clone()));
                            self.deleted.insert(key);
                        }
                        _ => drop(self.disabled.insert(key)),
                    }
                }
            }
            16 if self.is_online() => {
                if let Some((_, key)) = self.any() {
                    self.order("enable", &key);
                    self.deleted.remove(&key);
                    self.disabled.remove(&key);
                }
            }
            17 => self.park.broker_holds = true,
            18 => self.park.release_acks(),
            20 | 21 => {
                for _ in 0..self.dice.usize(..6) {
                    let id = self.any().map_or(0, |(id, _)| id);
                    if let Ok(token) = self.park.join(id) {
                        self.joined.insert(token, 0);
                    }
                }
                self.park.cloud.batch_code = self.dice.choice([None, None, Some(400), Some(1009), Some(429)]).unwrap();
            }
            19 if self.is_online() => {
                let first = self.dice.usize(..20);
                self.park.register(first..first + 3);
            }
            _ => {
                if let Some((id, _)) = self.any() {
                    let is_online = self.park.states(&[id]) == [State::Online];
                    assert!(is_online || self.park.post(id).is_err(), "a post before the login");
                }
            }
        }
        let pause = self.dice.u64(..20_000);
        self.park.wait(pause);
        self.note();
    }

    /// Keeps what the cloud has seen.
    fn note(&mut self) {
        for (at, keys) in std::mem::take(&mut self.park.cloud.logins) {
            for key in keys {
                self.logins.entry(key).or_default().push(at);
            }
        }
        for event in std::mem::take(&mut self.park.events) {
            if let Some(outcomes) = self.joined.get_mut(&event.token).filter(|_| event.kind == EventKind::Reply) {
                *outcomes += 1;
            }
        }
        for (id, key) in &self.ids {
            let is_online = self.park.states(&[*id]) == [State::Online];
            assert!(!is_online || self.park.cloud.logged_in.contains(key), "{key} is not logged in");
        }
        if !self.park.session.has_unsaved_secret() {
            for (key, secret) in &self.park.arrived {
                let stored = self.park.disk.get(key).into_iter().flatten();
                let holds = stored.into_iter().any(|stored| stored.secret.as_bytes() == secret.as_bytes());
                assert!(holds, "the secret of {key} is lost");
            }
        }
    }

    /// All faults end. Each is then where the host and the cloud want it.
    fn settle(&mut self) {
        let cloud = &mut self.park.cloud;
        (cloud.silent, cloud.holds, self.park.storage_fails) = (false, false, 0);
        cloud.refused.clear();
        self.park.release_acks();
        self.park.deliver();
        for key in std::mem::take(&mut self.disabled) {
            if self.is_online() {
                self.order("enable", &key);
            }
        }
        self.park.wait(3 * HOUR_MS);
        assert!(!self.park.session.has_unsaved_secret());
        self.note();
        for (id, key) in &self.ids {
            let wanted = self.park.session.gateway.as_ref().unwrap().get(*id).unwrap().wanted;
            let state = self.park.session.subdevice_state(*id).unwrap();
            let fits = match state {
                State::Online => wanted && self.park.cloud.logged_in.contains(key),
                State::Deleted | State::Disabled => true,
                State::Offline => !wanted && !self.park.cloud.logged_in.contains(key),
                _ => false,
            };
            assert!(fits, "{key}: {state:?}, wanted: {wanted}");
        }
        let bad: Vec<_> = self.joined.iter().filter(|(_, outcomes)| **outcomes != 1).collect();
        assert!(bad.is_empty(), "outcomes of joined posts: {bad:?}");
        let topic = |key: &str| format!("/sys/sub/{key}/thing/measurepoint/post_reply");
        for (_, key) in self.ids.iter().filter(|(id, _)| self.park.states(&[**id]) == [State::Online]) {
            assert!(self.park.subscriptions.contains(&topic(key)), "{key} gets no replies");
        }
        let theirs: BTreeSet<&String> = self.ids.values().collect();
        let topics: BTreeSet<String> = theirs.iter().map(|key| topic(key)).collect();
        let of_subs = self.park.subscriptions.iter().filter(|filter| filter.contains("/sub/"));
        let left: Vec<_> = of_subs.filter(|filter| !topics.contains(*filter)).collect();
        assert!(left.is_empty(), "{left:?} is still subscribed to");
        let nobodys: Vec<_> = self.park.cloud.logged_in.iter().filter(|key| !theirs.contains(key)).collect();
        assert!(nobodys.is_empty(), "the cloud has {nobodys:?}, which the host has removed");
    }

    /// No device has more logins in an hour than its waits, the links and the host's switching allow.
    fn check_rate(&self) {
        for (key, times) in &self.logins {
            for (n, at) in times.iter().enumerate() {
                let within = times[n..].iter().take_while(|later| **later < at + HOUR_MS).count();
                assert!(within <= 400, "{within} logins of {key} in an hour");
            }
        }
    }
}

#[test]
fn each_is_where_it_belongs_in_the_end() {
    for seed in 0..150 {
        let failed = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            for _ in 0..300 {
                world.step();
            }
            world.settle();
            world.check_rate();
        });
        assert!(failed.is_ok(), "seed {seed}");
    }
}
